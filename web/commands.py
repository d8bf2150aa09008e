"""Commands sent by a POST, the ticket's state as the status of the answer; and tickets, read and cancelled."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Literal

import falcon
import gevent
import msgspec

from ..actors.session.commands import NotACommand, UnknownAction, UnknownVersion
from ..actors.session.tickets import TicketState
from ..protocol.errors import InvalidPayload
from ..protocol.log_fields import about
from ..protocol.verbs import VerbRefused
from ..store.store import StoreError
from .operations import BEFORE, CHARGE_POINT, Parameter, flag, limit, operation, page, seconds
from .requests import CLOSE, Problem, Query, Stopping, body_of, segment
from .resources import COMMAND, Resource, answer, paged, viewed
from .ticket_views import Outcome, TicketView, outcome, ticket_facts
from .views import Payload, members, moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..actors.session.command_sender import SendOptions
    from ..actors.session.commands import PreparedCommand
    from ..actors.session.tickets import Ticket
    from ..protocol.verbs import Verb
    from ..system.central_system import CentralSystem
    from .requests import Stop

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT_S = 30.0
MAX_TIMEOUT_S = 3600.0
MAX_EXPIRY_S = 366 * 86400.0
STORE_S = 5.0
"""Seconds that the store has to persist a ticket before its id is returned."""
GRACE_S = 1.0
"""Seconds to wait for a ticket's end beyond the command's own time limit."""

# The states whose status is always the same, each with its title. `answered` and `never_sent` depend on more.
STATUSES = {
    TicketState.HELD: (202, ""),
    TicketState.QUEUED: (202, ""),
    TicketState.SENT: (202, ""),
    TicketState.REFUSED: (409, "Refused by the charge point"),
    TicketState.EXPIRED: (410, "Never sent: its time was over"),
    TicketState.CANCELLED: (410, "Never sent: it was cancelled"),
    TicketState.SUPERSEDED: (410, "Never sent: superseded by a newer command"),
    TicketState.OUTCOME_UNKNOWN: (502, "Sent, but the connection died before the answer"),
    TicketState.TIMED_OUT: (504, "Sent, but not answered in time"),
}


OPTIONS = (
    seconds("timeout", "Seconds for the answer", MAX_TIMEOUT_S, DEFAULT_TIMEOUT_S),
    flag("until_effect", "Wait for the effect, too"),
    seconds("effect_timeout", "Seconds for the effect; with `until_effect`", MAX_TIMEOUT_S),
    Parameter(
        "when_offline", Literal["fail", "queue"], "Queue the command for a charge point that is away", "fail"
    ),
    seconds("expires_in", "Seconds for which it may wait to be sent", MAX_EXPIRY_S),
)
"""Parameters of all that send commands."""
WAIT = flag("wait", "Wait for the outcome; by default unless the command may be queued", default=True)
SENDING = {status: title for status, title in STATUSES.values() if title} | {
    404: "The charge point is unknown or not connected",
    410: "Never sent",
    502: "Sent, but the connection died before the answer; or the answer breaks the contract",
    503: "The charge point's queue is full, or the central system stops",
}
"""Problems of all that send commands."""


class Dispatch:
    """Sending for resources: reads the options of a command from the query, and answers with its ticket."""

    OPTIONS = tuple(parameter.name for parameter in OPTIONS)

    def __init__(self, system: CentralSystem, stop: Stop) -> None:
        self._system = system
        self._stop = stop

    def options(self, query: Query) -> SendOptions:
        """Read the options of `send`."""
        timeout_s = query.seconds("timeout", default=DEFAULT_TIMEOUT_S, most=MAX_TIMEOUT_S)
        queue = query.choice("when_offline", "fail", "queue") == "queue"
        effect_timeout_s = self._effect_timeout_s(query)
        return {
            "timeout_s": timeout_s,
            "when_offline": "queue" if queue else "fail",
            "expires_in_s": self._expires_in_s(query, timeout_s, queue=queue),
            "until_effect": effect_timeout_s is not None,
            "effect_timeout_s": effect_timeout_s,
        }

    def send(
        self,
        query: Query,
        response: falcon.Response,
        charge_point: str,
        command: PreparedCommand[Any] | Verb,
        *,
        more: Callable[[Ticket[Any]], dict[str, Any]] = lambda _: {},
    ) -> None:
        """Send a command, wait for the end of its ticket unless `wait=0`, and answer; with `more` of the ticket."""
        options = self.options(query)
        queue = options["when_offline"] == "queue"
        wait = query.flag("wait", default=not queue)
        if queue and not self._system.knows(charge_point):
            raise Problem(404, "Unknown charge point", f"{charge_point} has never been here")
        try:
            ticket = self._system.send(charge_point, command, **options)
        except RuntimeError as error:  # between the system's stop and ours
            raise Problem(503, "Not running", str(error)) from error
        except (VerbRefused, InvalidPayload):
            raise
        except ValueError as error:  # the times are checked, so it has no effect that could be seen
            raise Problem(400, "Bad query", str(error)) from error
        if wait:
            effect_s = options["effect_timeout_s"] or 0.0
            self._wait(ticket, (options["timeout_s"] or 0.0) + effect_s + GRACE_S)
        elif ticket.persisted is not None:
            self._wait_until_kept(ticket)
        logger.info(
            "%s to %s by HTTP: %s is %s",
            ticket.action,
            charge_point,
            ticket.id,
            ticket.state,
            extra=about(charge_point=charge_point, ticket=ticket.id),
        )
        self._answer(response, ticket, more(ticket))

    @staticmethod
    def _expires_in_s(query: Query, timeout_s: float, *, queue: bool) -> float | None:
        """Read how long a command may wait to be sent; for a charge point that is away the default is no limit."""
        if not query.text("expires_in"):
            return None if queue else timeout_s
        return query.seconds("expires_in", default=timeout_s, most=MAX_EXPIRY_S)

    @staticmethod
    def _wait_until_kept(ticket: Ticket[Any]) -> None:
        """Wait until a ticket is durable, so that its id is valid after a restart."""
        try:
            ticket.persisted.wait(STORE_S)
        except (StoreError, TimeoutError) as error:
            logger.error(  # noqa: TRY400 - the text says all
                "Ticket %s could not be persisted and will be lost with this process: %s",
                ticket.id,
                error,
                extra=about(charge_point=ticket.charge_point_id, ticket=ticket.id),
            )

    def _effect_timeout_s(self, query: Query) -> float | None:
        """Read how long to wait for the effect; None: do not wait."""
        if not query.flag("until_effect", default=False):
            if query.text("effect_timeout"):
                raise Problem(400, "Bad query", "effect_timeout is for until_effect=1")
            return None
        default_s = self._system.settings.sessions.effect_timeout_s
        return query.seconds("effect_timeout", default=default_s, most=max(default_s, MAX_TIMEOUT_S))

    def _wait(self, ticket: Ticket[Any], timeout_s: float) -> None:
        try:
            with self._stop.interrupts():
                ticket.wait(timeout_s)
        except Stopping:
            text = "Server is shutting down; the outcome of this command will not be recorded."
            raise Problem(
                503, "Stopping", text, headers=CLOSE, **members(outcome(ticket, self._system.versions))
            ) from None

    def _answer(self, response: falcon.Response, ticket: Ticket[Any], more: dict[str, Any]) -> None:
        status, title = status_of(self._system, ticket)
        view = members(outcome(ticket, self._system.versions)) | more
        headers = {} if ticket.settled else {"Location": f"/api/v1/tickets/{segment(ticket.id)}"}
        if title:
            reason = ticket.reason or f"{ticket.action} to {ticket.charge_point_id}"
            raise Problem(status, title, reason, headers=headers, **view)
        response.status = falcon.code_to_http_status(status)
        response.set_headers(headers)
        answer(response, view)


class CommandResource(Resource):
    """`/api/v1/charge-points/{id}/commands/{Action}`; with `until_effect` it also waits for the effect."""

    changes = COMMAND
    any_node = True

    def __init__(self, system: CentralSystem, dispatch: Dispatch) -> None:
        super().__init__(system)
        self._dispatch = dispatch

    @operation(
        "sendCommand",
        "commands",
        many="actions",
        query=(
            Parameter("version", str, "Version of OCPP of the payload; by default that of its connection"),
            *OPTIONS,
            WAIT,
        ),
        body=Payload,
        answer=Outcome,
        answers={202: Outcome},
        problems=SENDING
        | {
            404: "The charge point is unknown or not connected, or the action is unknown",
            422: "The payload is invalid: `violations` has all that is wrong with it",
        },
    )
    def on_post(
        self, request: falcon.Request, response: falcon.Response, charge_point: str, action: str
    ) -> None:
        """Send the body as a request of the central system."""
        query = Query(request, *Dispatch.OPTIONS, "wait", "version")
        command = prepared(
            self._system, request, action, body_of(request), query.text("version"), charge_point
        )
        self._dispatch.send(query, response, charge_point, command)


def prepared(
    system: CentralSystem,
    request: falcon.Request,
    action: str,
    payload: bytes,
    version: str,
    charge_point: str = "",
) -> PreparedCommand[Any]:
    """Have a payload checked as a request; none at all stands for `{}`. Raises `Problem` and `InvalidPayload`."""
    try:
        request.context.version = system.version_of(charge_point, version)
        payload = payload.strip() or b"{}"
        return system.prepare(charge_point, action, payload, request.context.version.name)
    except UnknownVersion as error:
        raise Problem(400, "Bad query", str(error)) from error
    except UnknownAction as error:
        raise Problem(404, "Unknown action", str(error)) from error
    except NotACommand as error:
        raise Problem(404, "Not a command", str(error)) from error
    except InvalidPayload:
        _check_readable(payload)
        raise


def status_of(system: CentralSystem, ticket: Ticket[Any]) -> tuple[int, str]:
    """Return the HTTP status of a ticket's state, and its title if that is an error."""
    if ticket.unreadable or (ticket.state is TicketState.ANSWERED and ticket.response is None):
        return 502, "The answer breaks the contract"
    if ticket.state is TicketState.ANSWERED:
        return (200, "") if ticket.settled else (202, "")
    if ticket.state is TicketState.NEVER_SENT:
        if ticket.verb_refused:
            return 422, "Verb refused"
        known = system.charge_point(ticket.charge_point_id)
        if known is not None and known.connected:  # its queue is full
            return 503, "Never sent"
        cluster = system.cluster
        if cluster is not None and (cluster.coordinator.trouble or not cluster.coordinator.held):
            return 503, "Never sent"  # nobody can tell which node has it
        return 404, "Not connected" if known is not None else "Unknown charge point"
    return STATUSES[ticket.state]


def _check_readable(body: bytes) -> None:
    """Refuse a body that is not JSON."""
    try:
        msgspec.json.decode(body.decode())
    except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        raise Problem(400, "Not JSON", f"the body is not readable JSON: {error}") from error


def ticket_place(created_at: float, id_: str) -> tuple[Any, ...]:
    """Return the place of a ticket in a list: by the millisecond of its creation, as it is shown."""
    return (moment(created_at), id_)


CANCEL_S = 5.0
"""Seconds for the session to cancel a command; one that waits for its restart may need longer."""
POLL_S = 0.01
WAITING = frozenset({TicketState.HELD, TicketState.QUEUED})


class Tickets(Resource):
    """`/api/v1/tickets`, with `/{id}` one of them."""

    changes = COMMAND

    def __init__(self, system: CentralSystem, stop: Stop) -> None:
        super().__init__(system)
        self._stop = stop

    @operation(
        "listTickets",
        "commands",
        query=(CHARGE_POINT, flag("open", "Only those that have not ended"), BEFORE, limit()),
        answer=page("tickets", TicketView),
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List open tickets and those that ended last, the newest first."""
        query = Query(request, "charge_point", "open", "before", "limit")
        tickets = self._system.tickets(
            query.text("charge_point"), open_only=query.flag("open", default=False)
        )
        found, paging = paged(tickets, query, lambda ticket: ticket_place(ticket.created_at, ticket.id))
        listed = viewed(ticket_facts(ticket, self._system.versions) for ticket in found)
        answer(response, {"tickets": listed, **paging})

    @operation("getTicket", "commands", answer=TicketView)
    def on_get_one(self, request: falcon.Request, response: falcon.Response, ticket: str) -> None:
        """Show one ticket: a command and its outcome."""
        Query(request)
        answer(response, ticket_facts(self._find(ticket), self._system.versions))

    @operation(
        "cancelTicket",
        "commands",
        answer=TicketView,
        answers={202: TicketView},
        problems={409: "It is on the wire, or has ended", 503: "The central system stops"},
    )
    def on_delete_one(self, request: falcon.Request, response: falcon.Response, ticket: str) -> None:
        """Cancel a command that is not sent yet. 202: its session waits for a restart, and is notified then."""
        Query(request)
        found = self._find(ticket)
        waited = found.state in WAITING
        found.cancel()
        self._wait(found)
        if not waited or found.state not in {TicketState.CANCELLED, *WAITING}:
            what = "it is on the wire" if found.open else f"it has ended: {found.state}"
            raise Problem(409, "Not cancelled", what, **members(outcome(found, self._system.versions)))
        response.status = falcon.HTTP_202 if found.open else falcon.HTTP_200
        answer(response, ticket_facts(found, self._system.versions))

    def _wait(self, ticket: Ticket[Any]) -> None:
        """Wait until the command does not wait any more; its end is not waited for, as that may take long."""
        ends_at = time.monotonic() + CANCEL_S
        with self._stop.interrupts():
            while ticket.state in WAITING and time.monotonic() < ends_at:
                gevent.sleep(POLL_S)

    def _find(self, ticket: str) -> Ticket[Any]:
        found = self._system.ticket(ticket)
        if found is None:
            raise Problem(404, "Unknown ticket", f"ticket {ticket} is unknown, or ended long ago")
        return found
