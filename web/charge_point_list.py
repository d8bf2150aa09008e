"""List of charge points: rows of the whole node, and of the whole cluster, filtered and page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import msgspec

from ..remote.cluster.coordinator import CoordinatorUnavailable
from ..system.charge_point_list import FIELDS, FLAGS, ChargePointQuery, ChargePointRow
from .operations import AFTER, NOTHING, Parameter, flag, limit, operation, seconds, text
from .requests import Problem, Query
from .resources import DEFAULT_LIMIT, INNER, MAX_LIMIT, Resource, answer, viewed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    import falcon

    from ..remote.cluster.cluster import Cluster
    from ..system.central_system import CentralSystem

LONGEST_S = 366 * 86400.0
"""Longest silence that is asked for."""
MOST_WORKERS = 10_000
MERGED = frozenset({"id", "connected", "heard_at"})
"""Members by which rows of several processes are made one list."""


PARAMETERS = (
    flag("stored", "Those that only the store knows, too"),
    flag("connected", "Only those that are connected, or only those that are not", default=NOTHING),
    text("status", "Statuses in any case, separated by commas: one of its connectors has one of these"),
    text("id", "Pattern of its id: `*` is any text, `?` any character, `[ab]` one of these"),
    text("ids", "Ids, separated by commas"),
    text("vendor", "Pattern of its vendor, in any case"),
    text("model", "Pattern of its model, in any case"),
    text("firmware", "Pattern of its firmware, in any case"),
    text("firmware_below", "Firmware before this version; 1.9 is before 1.10"),
    text("version", "Versions of OCPP, separated by commas"),
    text("registration", "Pattern of its registration, in any case"),
    text("flag", f"Flags, separated by commas: {', '.join(FLAGS)}"),
    seconds("silent_s", "Seconds for which no message has come, or more", LONGEST_S),
    text("node", "Process of the cluster that has its session"),
    Parameter("worker", Annotated[int, msgspec.Meta(ge=0)], "Worker process that has its session"),
    text("q", "Text that id, name, vendor, model, firmware or a serial number contains"),
    text("fields", "Wanted members of the rows, separated by commas; `id` is always there"),
    limit(),
    AFTER,
)


class ChargePointsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Page of charge points in the order of their ids.

    `more`: there are others, and `next` is the `after` of their page. `unanswered` names processes of the cluster that
    did not answer in time, whose charge points may be missing.
    """

    charge_points: list[ChargePointRow]
    more: bool
    next: str | None
    unanswered: list[str]


class ChargePointRows(Resource):
    """`/api/v1/charge-points`."""

    @operation(
        "listChargePoints",
        "charge points",
        query=PARAMETERS,
        answer=ChargePointsPage,
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List charge points in the order of their ids, narrowed by the query; of all processes, if there are several.

        With `stored=1` also those that only the store knows. `fields` has the wanted members of the rows, separated by
        commas; `id` is always there.
        """
        query = Query(request, *(parameter.name for parameter in PARAMETERS))
        wanted, fields = query_of(query), _words(query, "fields", FIELDS) or frozenset(FIELDS)
        most, after = query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT), query.text("after")
        inner = bool(request.env.get(INNER))
        if inner:  # what only the store knows is told by the process that asks
            wanted = msgspec.structs.replace(wanted, stored=False)
        listed = self._system.charge_point_list
        rows, more = listed.page(wanted, after=after, limit=most, fields=fields)
        unanswered: list[str] = []
        if self._system.cluster is not None and not inner:
            asked = {**request.params, "fields": ",".join(sorted(fields | MERGED))}
            of_others, more_there, unanswered = _of_others(self._system.cluster, asked)
            rows, more = merged([*rows, *of_others], most, more=more or more_there)
        names = [name for name in FIELDS if name in fields or name == "id"]
        shown = viewed({name: getattr(row, name) for name in names} for row in rows)
        next_ = rows[-1].id if more and rows else None
        answer(
            response,
            {"charge_points": shown, "more": more, "next": next_, "unanswered": unanswered},
        )


def _of_others(cluster: Cluster, asked: Mapping[str, Any]) -> tuple[list[ChargePointRow], bool, list[str]]:
    """Ask the other processes for the same page; returns their rows, whether one has more, and who was silent."""
    others = cluster.others()
    replies = cluster.ask_all(others, "GET", "/api/v1/charge-points", urlencode(asked))
    rows: list[ChargePointRow] = []
    more, unanswered = False, set(others) - replies.keys()
    for node, reply in replies.items():
        try:
            told = msgspec.json.decode(reply.body, type=ChargePointsPage)
        except msgspec.MsgspecError:  # a problem, or the answer of another release
            unanswered.add(node)
            continue
        rows += told.charge_points
        more = more or told.more
    return rows, more, sorted(unanswered)


class ChargePointIds:
    """Ids that a query chooses among the charge points of all processes, in their order, read page by page.

    Reading them raises `CoordinatorUnavailable` if a process does not answer: none is left out without a word.
    """

    def __init__(self, system: CentralSystem, wanted: ChargePointQuery) -> None:
        self._system = system
        self._wanted = wanted

    def __iter__(self) -> Iterator[str]:
        after, more = "", True
        while more:
            rows, more = self._page(after)
            yield from (row.id for row in rows)
            after = rows[-1].id if rows else after
            more = more and bool(rows)

    def _page(self, after: str) -> tuple[list[ChargePointRow], bool]:
        rows, more = self._system.charge_point_list.page(
            self._wanted, after=after, limit=MAX_LIMIT, fields=MERGED
        )
        cluster = self._system.cluster
        if cluster is None:
            return rows, more
        told = _parameters(self._wanted)
        asked = {**told, "fields": ",".join(sorted(MERGED)), "limit": str(MAX_LIMIT), "after": after}
        of_others, more_there, unanswered = _of_others(cluster, asked)
        if unanswered:
            raise CoordinatorUnavailable(f"no answer from {', '.join(unanswered)}")
        return merged([*rows, *of_others], MAX_LIMIT, more=more or more_there)


def _parameters(wanted: ChargePointQuery) -> dict[str, str]:
    """Write a query as parameters, without what chooses all."""
    given = {
        name: value for name, value in msgspec.structs.asdict(wanted).items() if value not in (None, "", ())
    }
    return {
        name: ",".join(sorted(value))
        if isinstance(value, frozenset)
        else str(int(value) if value is True else value)
        for name, value in given.items()
        if value != frozenset()
    }


def query_of(query: Query) -> ChargePointQuery:
    """Read the choice of charge points. Raises `Problem` 400."""
    return ChargePointQuery(
        stored=query.flag("stored", default=False),
        connected=query.flag("connected", default=False) if query.has("connected") else None,
        status=_words(query, "status"),
        id=query.text("id"),
        ids=frozenset(query.text("ids").split(",")) - {""},
        vendor=query.text("vendor"),
        model=query.text("model"),
        firmware=query.text("firmware"),
        firmware_below=query.text("firmware_below"),
        version=_words(query, "version"),
        registration=query.text("registration"),
        flag=_words(query, "flag", FLAGS),
        silent_s=query.seconds("silent_s", default=1, most=LONGEST_S) if query.has("silent_s") else None,
        node=query.text("node"),
        worker=query.whole("worker", default=0, least=0, most=MOST_WORKERS) if query.has("worker") else None,
        q=query.text("q"),
    )


def _words(query: Query, name: str, known: Collection[str] = ()) -> frozenset[str]:
    """Read words that are separated by commas; in lower case, as all known ones are."""
    words = frozenset(word.strip().casefold() for word in query.text(name).split(",")) - {""}
    unknown = sorted(words - set(known)) if known else ()
    if unknown:
        raise Problem(400, "Bad query", f"{name} {unknown[0]} is not one of: {', '.join(known)}")
    return words


def merged(rows: Iterable[ChargePointRow], most: int, *, more: bool) -> tuple[list[ChargePointRow], bool]:
    """Make one page of those of several processes: of a charge point that several know the connected or latest row."""
    best: dict[str, ChargePointRow] = {}
    for row in rows:
        known = best.get(row.id)
        if known is None or _rank(row) > _rank(known):
            best[row.id] = row
    ordered = sorted(best.values(), key=lambda row: row.id)
    return ordered[:most], more or len(ordered) > most


def _rank(row: ChargePointRow) -> tuple[bool, float]:
    return row.connected, 0.0 if row.heard_at is None else row.heard_at.timestamp()
