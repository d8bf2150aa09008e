"""Bulk commands: one command to many charge points, started by a POST, watched by a GET, cancelled by a DELETE."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, Literal

import falcon
import msgspec

from ..protocol.verbs import VerbRefused
from ..system.charge_point_filter import ChargePointFilter
from ..system.charge_point_list import ChargePointQuery
from .charge_point_list import LONGEST_S, ChargePointIds
from .commands import OPTIONS, Dispatch, prepared
from .operations import Parameter, limit, listing, operation, seconds
from .requests import Problem, Query, body_of, decoded, segment
from .resources import COMMAND, DEFAULT_LIMIT, MAX_LIMIT, Resource, answer, viewed
from .ticket_views import BulkResultView, BulkView, bulk_facts, bulk_result
from .verbs import note_version, verb_from
from .views import members

if TYPE_CHECKING:
    from ..actors.session.commands import PreparedCommand
    from ..protocol.verbs import Verb
    from ..system.bulk import Bulk
    from ..system.central_system import CentralSystem
    from .requests import Stop

logger = logging.getLogger(__name__)

MAX_WAIT_S = 4.0
"""Most seconds to wait for a result: other nodes have 5 for an answer."""
PAGE_BYTES = 128 * 1024
"""Most bytes of the results on a page: a page of another node is one message."""
MOST_RESULTS = 2**53
"""Largest number of a result that is asked for."""


class BulkFilter(ChargePointFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Choice of charge points by the filters of `GET /api/v1/charge-points`: all that are connected, or all known ones.

    A text is a pattern, a list has alternatives, `silent_s` are seconds without a message.
    """

    firmware: str = ""
    firmware_below: str = ""
    version: list[str] = msgspec.field(default_factory=list)
    status: list[str] = msgspec.field(default_factory=list)
    registration: str = ""
    flag: list[Literal["deviations", "ignored", "paused", "breaker_open"]] = msgspec.field(
        default_factory=list
    )
    silent_s: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S)] | None = None
    node: str = ""
    worker: Annotated[int, msgspec.Meta(ge=0)] | None = None
    q: str = ""

    def chosen(self, system: CentralSystem) -> ChargePointFilter | ChargePointIds:
        """Return the choice as a bulk command takes it."""
        simple = {name: getattr(self, name) for name in ChargePointFilter.__struct_fields__}
        more = {name: getattr(self, name) for name in self.__struct_fields__ if name not in simple}
        if not any(value not in (None, "", []) for value in more.values()):
            return ChargePointFilter(**simple)
        words = {
            name: frozenset(word.casefold() for word in value)
            for name, value in more.items()
            if isinstance(value, list)
        }
        connected = self.connected or None
        given = {**simple, **more, **words, "connected": connected, "stored": connected is None}
        return ChargePointIds(system, ChargePointQuery(**given))


def _no_members() -> msgspec.Raw:
    return msgspec.Raw(b"{}")


class BulkCommand(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Bulk command: to these charge points or those of a filter, an action with its payload or a verb."""

    charge_points: tuple[str, ...] | None = None
    filter: BulkFilter | None = None
    action: str = ""
    payload: msgspec.Raw = msgspec.field(default_factory=_no_members)
    version: str = ""
    verb: str = ""
    members: msgspec.Raw = msgspec.field(default_factory=_no_members)
    at_most_at_once: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None


class BulkResultsPage(BulkView):
    """Bulk command with a page of its results; `next` is the `after` of the next page."""

    results: list[BulkResultView]
    more: bool
    next: int


class BulkResource(Resource):
    """`/api/v1/bulk`, with `/{id}` one of them."""

    changes = COMMAND

    def __init__(self, system: CentralSystem, stop: Stop, dispatch: Dispatch) -> None:
        super().__init__(system)
        self._stop = stop
        self._dispatch = dispatch

    @operation(
        "startBulk",
        "commands",
        query=OPTIONS,
        body=BulkCommand,
        answer=BulkView,
        status=202,
        problems={
            404: "The action or the verb is unknown",
            422: "A member is wrong, or the payload is invalid",
            503: "Too many run, or the central system stops",
        },
        example={"filter": {"model": "Wallbox*"}, "verb": "reset", "members": {"at_once": False}},
    )
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Send a command to many charge points: to these or those of a filter, an action or a verb.

        202 at once: `Location` leads to it.
        """
        options = self._dispatch.options(Query(request, *Dispatch.OPTIONS))
        given = decoded(body_of(request), BulkCommand, "bulk command")
        chosen = given.charge_points if given.filter is None else given.filter.chosen(self._system)
        if chosen is None or (given.filter is not None and given.charge_points is not None):
            raise Problem(422, "Invalid bulk command", "either charge_points or filter must be given")
        command = self._command(request, given)
        try:
            bulk = self._system.send_many(chosen, command, at_most_at_once=given.at_most_at_once, **options)
        except VerbRefused:
            raise
        except ValueError as error:
            raise Problem(400, "Bad query", str(error)) from error
        except RuntimeError as error:  # the system stops, or too many run
            raise Problem(503, "Not started", str(error)) from error
        logger.info("bulk %s of %s by HTTP", bulk.id, bulk.name)
        response.status = falcon.HTTP_202
        answer(response, bulk_facts(bulk))
        response.location = f"/api/v1/bulk/{segment(bulk.id)}"

    def _command(self, request: falcon.Request, given: BulkCommand) -> PreparedCommand[Any] | Verb:
        if bool(given.action) == bool(given.verb):
            raise Problem(422, "Invalid bulk command", "either action or verb must be given")
        if given.verb:
            note_version(self._system, request, "")
            return verb_from(given.verb, bytes(given.members))
        return prepared(self._system, request, given.action, bytes(given.payload), given.version)

    @operation("listBulks", "commands", answer=listing("bulks", BulkView))
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the bulk commands that run, and the last that have ended, the newest first."""
        Query(request)
        answer(response, {"bulks": [bulk_facts(bulk) for bulk in self._system.bulks()]})

    @operation(
        "getBulk",
        "commands",
        query=(
            Parameter(
                "after", Annotated[int, msgspec.Meta(ge=0)], "Number of the last result that is known", 0
            ),
            limit(),
            seconds("wait", "Seconds to wait for a result behind that number", MAX_WAIT_S),
        ),
        answer=BulkResultsPage,
    )
    def on_get_one(self, request: falcon.Request, response: falcon.Response, bulk: str) -> None:
        """Answer with the counts of one, and the results behind the number `after`.

        `wait` are seconds to wait for one of these. `next` is the `after` of the next page; `more`: there is one.
        """
        query = Query(request, "after", "limit", "wait")
        after = query.whole("after", default=0, least=0, most=MOST_RESULTS)
        most = query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
        found = self._find(bulk)
        if query.has("wait"):
            wait_s = query.seconds("wait", default=MAX_WAIT_S, most=MAX_WAIT_S)
            with self._stop.interrupts():
                found.wait_for(after, wait_s)
        results = found.results(after, most)
        shown: list[msgspec.Raw] = []
        size, last = 0, after
        for result, view in zip(
            results, viewed(bulk_result(one, self._system.versions) for one in results), strict=True
        ):
            size += len(view)
            if shown and size > PAGE_BYTES:
                break
            shown.append(view)
            last = result.number
        facts = bulk_facts(found)
        answer(response, members(facts) | {"results": shown, "more": facts.ended > last, "next": last})

    @operation("cancelBulk", "commands", answer=BulkView, status=202, problems={409: "It has ended"})
    def on_delete_one(self, request: falcon.Request, response: falcon.Response, bulk: str) -> None:
        """Send nothing more, and cancel what is not on the wire yet. 202: it ends; 409: it has ended."""
        Query(request)
        found = self._find(bulk)
        if found.done:
            raise Problem(
                409, "Not cancelled", f"bulk command {bulk} has ended", **members(bulk_facts(found))
            )
        found.cancel()
        response.status = falcon.HTTP_202
        answer(response, bulk_facts(found))

    def _find(self, bulk: str) -> Bulk:
        found = self._system.bulk(bulk)
        if found is None:
            raise Problem(404, "Unknown bulk command", f"bulk command {bulk} is unknown, or ended long ago")
        return found
