"""Log of durable events in a database, the positions of its consumers, and the dead letters of events.

Events are numbered within their origin, the life of a process, in the order in which they are handed to its writer,
which is the order of their commits. The time when an event is logged never goes back within an origin, unlike that of
its record: by it the events of several origins are in order. The events of starts and ends are made of the record of
their transaction, which has their places and times. The row of any other one stands behind that of its record
(`rows.LOGGED`): nothing can tear them apart. A record that changes nothing leaves its event out, and the number is not
used again.
"""

from __future__ import annotations

import datetime as dt
from time import time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from .events import CORRECTED, ENDED_KIND, STARTED_KIND, Logged, encoded, event_of_record
from .rows import ORIGIN_PLACES, Kind, json_text, row, storable, text, time, transaction_of
from .search import COLUMNS, PROBE, records, select

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ..protocol.events import DomainEvent
    from .records import Event, Transaction
    from .rows import Row
    from .store import LoggedEvent, Receipt
    from .writer import Writer

PRUNED_AT_ONCE = 500
"""Events that are dropped in one step."""


class Origin(NamedTuple):
    """Life of a process that logs events: `number` gives their order, `last` is that of its last event, 0 for none.

    Events up to `pruned_to` were dropped.
    """

    number: int
    name: str
    last: int
    pruned_to: int


class Position(NamedTuple):
    """Last event of an origin that a consumer is done with; `owner` is the process that delivers those behind it.

    `owner` is "" for none: that origin has not entered the consumer.
    """

    number: int
    owner: str


class Elsewhere(NamedTuple):
    """Charge points of which other processes had events to deliver to a consumer at a time.

    `oldest` has when the oldest of each was logged.
    """

    looked_at: dt.datetime
    oldest: Mapping[str, dt.datetime]


class EventDeadLetter(NamedTuple):
    """Event that a consumer could not take, however often it was delivered; `data` is its JSON."""

    number: int
    consumer: str
    event: str
    charge_point_id: str
    kind: str
    failed_at: dt.datetime
    why: str
    data: str


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


OF_RECORDS = frozenset({STARTED_KIND, ENDED_KIND})
"""Kinds of events that are made of the record of their transaction, which has their place."""
_LATE = (
    "EXISTS (SELECT 1 FROM transactions AS one WHERE one.id = CAST(readings.transaction_id AS bigint) "  # noqa: S608
    "AND one.charge_point = readings.charge_point AND one.stop_received_at IS NOT NULL "
    "AND (coalesce(one.end_place, 0) < readings.place OR one.stop_received_at <= readings.received_at) "
    f"{PROBE})"
)
"""Condition that a reading with a place came after the end of its transaction."""
_SOURCES = (
    ("event_log", "true", "place", "charge_point", "kind", "at", "transaction_id", "data"),
    (
        "transactions",
        "true",
        "start_place",
        "charge_point",
        f"'{STARTED_KIND}'",
        "coalesce(start_logged_at, start_received_at)",
        "id",
        "''",
    ),
    (
        "transactions",
        "true",
        "end_place",
        "charge_point",
        f"'{ENDED_KIND}'",
        "coalesce(end_logged_at, stop_received_at)",
        "id",
        "''",
    ),
    (
        "readings",
        _LATE,
        "place",
        "charge_point",
        f"'{CORRECTED}'",
        "coalesce(logged_at, received_at)",
        "transaction_id",
        "''",
    ),
)
"""Table, condition, and the columns of an event, of all that has events."""
_NAMES = ("place", "charge_point", "kind", "at", "transaction_id", "data")


def _source(number: int) -> str:
    table, condition, place, *columns = _SOURCES[number]
    named = ", ".join(f"{one} AS {name}" for one, name in zip((place, *columns), _NAMES, strict=True))
    within = f"{place} > ? AND {place} < ? AND {condition}"
    return (
        f"SELECT * FROM (SELECT {named} FROM {table} WHERE {within} ORDER BY {place} LIMIT ?) AS part{number}"  # noqa: S608
    )


READ = f"{' UNION ALL '.join(map(_source, range(len(_SOURCES))))} ORDER BY 1 LIMIT ?"
"""Query of events in the order of their places; behind, before and limit for each source, and limit."""
LAST = "SELECT max(place) FROM ({}) AS lasts".format(  # noqa: S608 - constants
    " UNION ALL ".join(
        f"SELECT max({place}) AS place FROM {table} WHERE {place} > event_origins.number * {ORIGIN_PLACES} "  # noqa: S608
        f"AND {place} < (event_origins.number + 1) * {ORIGIN_PLACES} AND {condition}"
        for table, condition, place, *_ in _SOURCES
    )
)
"""Query of the last place of one of `event_origins`."""
ELSEWHERE = (
    "SELECT event_origins.number, coalesce(position, 0) FROM event_origins "
    "LEFT JOIN event_consumers ON event_consumers.name = ? AND origin = event_origins.number "
    "WHERE event_origins.number <> ? AND (coalesce(owner, '') <> '' OR begun_at > ?)"
)
"""Query of the origins of other processes whose events somebody delivers to a consumer, with its positions.

Those that began a moment ago may have to enter the consumer still.
"""
OLDEST = "SELECT charge_point, min(at) FROM ({}) AS found GROUP BY charge_point".format(  # noqa: S608 - constants
    " UNION ALL ".join(
        f"SELECT charge_point, {at} AS at FROM {table} WHERE {place} > ? AND {place} < ? AND {condition}"  # noqa: S608
        for table, condition, place, _, _, at, *_ in _SOURCES
    )
)
"""Query of the charge points with events within places, and when the oldest of them was logged."""
ENTERING_WITHIN = dt.timedelta(seconds=60)
"""Time since its begin within which a process that lacks a consumer may have to enter it still."""

_NOTHING = (None,) * 4  # of the columns that are compared


class EventLog:
    """Log of the events of a store. `ask(query, *values)` reads, behind all that was handed over before."""

    def __init__(
        self,
        writer: Writer,
        ask: Callable[..., list[Any]],
        origin: str,
    ) -> None:
        self.origin = origin
        self._writer = writer
        self._ask = ask
        self._base = 0
        self._heard: Callable[[], None] | None = None
        self._logged_us, self._logged_at = 0, ""
        self._second, self._second_text = 0, ""
        self.last = 0
        """Number of the last event that was handed over here."""

    def load(self) -> None:
        """Enter this process's life as an origin; switches greenlets."""
        self.number: int = self._ask(
            "INSERT INTO event_origins (name, begun_at) VALUES (?, ?) RETURNING number",
            self.origin,
            text(_now()),
        )[0][0]
        self._base = self.number * ORIGIN_PLACES

    def rename(self, origin: str) -> None:
        """Give this process's life the name by which the others know it; switches greenlets."""
        if origin != self.origin:
            self.origin = origin
            self._ask(
                "UPDATE event_origins SET name = ? WHERE number = ? RETURNING number", origin, self.number
            )

    def watch(self, heard: Callable[[], None] | None) -> None:
        """Call back in the hub when further events of this process may be durable; None for nobody any more."""
        self._heard = heard

    # -- Appending -------------------------------------------------------------------------------

    def appended(self, receipt: Receipt) -> Receipt:
        """Return the receipt of a row with an event, having arranged that it is heard of."""
        if self._heard is not None:
            receipt.then(self._tell)
        return receipt

    def _tell(self, _error: Exception | None) -> None:
        if self._heard is not None:
            self._heard()

    def _take(self) -> str:
        self.last += 1
        return f"{self.origin}:{self.last}"

    def _row(
        self,
        charge_point_id: str | None,
        kind: str,
        transaction_id: int | None,
        data: str,
        compared: tuple[Any, ...] = _NOTHING,
    ) -> Row:
        return (
            self._base + self.last,
            storable(charge_point_id),
            kind,
            self._time(),
            transaction_id,
            json_text(data.encode("utf-8", "backslashreplace")),
            *compared,
        )

    def started(self, transaction: Transaction) -> Row:
        """Return the places of the events of a start, and of its end if it has ended already, each with its time."""
        start = self.next_place()
        return *start, *((None, None) if transaction.open else self.next_place())

    def next_place(self) -> Row:
        """Return the place of an event that is made of its record, and the time when it is logged."""
        self.last += 1
        return self._base + self.last, self._time()

    def _time(self) -> str:
        """Return the time, which does not go back when the clock is set; as `rows.text`, which is slower."""
        now_us = time_ns() // 1000
        if now_us > self._logged_us:
            self._logged_us = now_us
            second, part_us = divmod(now_us, 1_000_000)
            if second != self._second:
                self._second = second
                self._second_text = dt.datetime.fromtimestamp(second, dt.UTC).isoformat()[:19]
            self._logged_at = f"{self._second_text}.{part_us:06d}+00:00"
        return self._logged_at

    def amended(self, transaction_id: int, flags: Any, other_stops: Any, note: Any, costs: Any = None) -> Row:
        """Make the row of an amendment of a closed transaction."""
        self._take()
        return self._row(None, CORRECTED, transaction_id, "", (flags, other_stops, note, costs))

    def told(self, record: Event) -> Row:
        """Make the row of something that a charge point has told; nothing for a kind without an event."""
        event = event_of_record(record, f"{self.origin}:{self.last + 1}")
        if event is None:
            return ()
        self._take()
        return self._row(event.charge_point_id, type(event).__name__, None, encoded(event))

    def published(self, event: DomainEvent) -> Row:
        """Make the row of an event that is given, without its id."""
        data = encoded(msgspec.structs.replace(event, id=self._take()))
        return self._row(event.charge_point_id, type(event).__name__, None, data)

    def publish(self, event: DomainEvent) -> Receipt:
        """Log an event that has no record."""
        return self.appended(self._writer.append(Kind.LOG, self.published(event)))

    # -- Reading ---------------------------------------------------------------------------------

    def origins(self) -> list[Origin]:
        """Return all origins, in the order of their lives; switches greenlets."""
        found = self._ask(f"SELECT number, name, pruned_to, ({LAST}) FROM event_origins ORDER BY number")  # noqa: S608
        return [
            Origin(number, name, (last or 0) % ORIGIN_PLACES, pruned_to)
            for number, name, pruned_to, last in found
        ]

    def read(self, origin: int, after: int, limit: int) -> Sequence[Logged]:
        """Return events of an origin behind a number, in order; switches greenlets."""
        within = (origin * ORIGIN_PLACES + after, (origin + 1) * ORIGIN_PLACES, limit)
        found = self._ask(READ, *within * len(_SOURCES), limit)
        ids = dict.fromkeys(values[4] for values in found if values[2] in OF_RECORDS)
        known: dict[int, Transaction] = {}
        if ids:
            marks = ", ".join("?" * len(ids))
            query = f"SELECT {COLUMNS} FROM transactions WHERE id IN ({marks})"  # noqa: S608 - constants
            known = {values[0]: transaction_of(values) for values in self._ask(query, *ids)}
        return [
            Logged(
                number=place % ORIGIN_PLACES,
                charge_point_id=charge_point_id,
                kind=kind,
                at=at,
                transaction_id=transaction_id,
                data=data,
                transaction=known.get(transaction_id) if kind in OF_RECORDS else None,
            )
            for place, charge_point_id, kind, at, transaction_id, data in found
        ]

    def elsewhere(self, consumer: str, followed: Collection[int] = ()) -> Elsewhere:
        """Return of which charge points a consumer has events to come from other processes. Switches greenlets.

        An origin is ours only if it is among those `followed`: a database that ends while it is adopted may have
        stored us as its owner, and nobody has told us.

        Processes never wait for each other, if each waits for what was logged before its own: what was logged first of
        all that is to come waits for nothing, and all that stands before it in its origin is done.
        """
        looked_at = _now()
        oldest: dict[str, str] = {}
        within = text(looked_at - ENTERING_WITHIN)
        for origin, position in self._ask(ELSEWHERE, consumer, self.number, within):
            if origin in followed:
                continue
            places = origin * ORIGIN_PLACES + position, (origin + 1) * ORIGIN_PLACES
            for charge_point_id, at in self._ask(OLDEST, *places * len(_SOURCES)):
                oldest[charge_point_id] = min(at, oldest.get(charge_point_id, at))
        return Elsewhere(looked_at, {charge_point_id: time(at) for charge_point_id, at in oldest.items()})

    # -- Consumers -------------------------------------------------------------------------------

    def register(self, name: str, last: int | None = None) -> Mapping[int, Position]:
        """Return the positions of a consumer by the number of the origin; a new one starts now. Switches greenlets.

        `last` is the last number of this process before it, by default of now.
        """
        last = self.last if last is None else last
        found = self._positions(name)
        if not found:
            self._ask(
                "INSERT INTO event_consumers (name, origin, position, owner) SELECT CAST(? AS text), 0, 0, '' "  # noqa: S608
                f"UNION ALL SELECT CAST(? AS text), number, coalesce(({LAST}) - number * {ORIGIN_PLACES}, 0), '' "
                "FROM event_origins WHERE number <> ? "
                "ON CONFLICT DO NOTHING RETURNING origin",
                name,
                name,
                self.number,
            )
        else:
            last = 0
        self._ask(
            "INSERT INTO event_consumers (name, origin, position, owner) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING RETURNING origin",
            name,
            self.number,
            last,
            self.origin,
        )
        self._ask(
            "UPDATE event_consumers SET owner = ? WHERE name = ? AND origin = ? AND owner = '' RETURNING origin",
            self.origin,
            name,
            self.number,
        )
        return self._positions(name)

    def _positions(self, name: str) -> dict[int, Position]:
        found = self._ask("SELECT origin, position, owner FROM event_consumers WHERE name = ?", name)
        return {origin: Position(position, owner) for origin, position, owner in found}

    def positions(self, name: str) -> Mapping[int, Position]:
        """Return the positions of a consumer by the number of the origin. Switches greenlets."""
        return self._positions(name)

    def advance(self, name: str, origin: int, number: int) -> Receipt:
        """Store how far a consumer is done with an origin that this process delivers."""
        return self._writer.append(Kind.ADVANCE, row(name, origin, number, self.origin))

    def adopt(self, name: str, origin: int, owner: str | None) -> int | None:
        """Take over the delivery of an origin from a process that has ended; None if another one was faster.

        `owner` is that process, None if the consumer has no position there. Returns the position. Switches greenlets.
        """
        if owner is None:
            found = self._ask(
                "INSERT INTO event_consumers (name, origin, position, owner) VALUES (?, ?, 0, ?) "
                "ON CONFLICT DO NOTHING RETURNING position",
                name,
                origin,
                self.origin,
            )
        else:
            found = self._ask(
                "UPDATE event_consumers SET owner = ? WHERE name = ? AND origin = ? AND owner = ? RETURNING position",
                self.origin,
                name,
                origin,
                owner,
            )
        return found[0][0] if found else None

    def forget_ended(self, origin: Origin, before: dt.datetime) -> None:
        """Forget an origin that has ended, began `before`, and has nothing for any consumer; switches greenlets."""
        if origin.last > origin.pruned_to:
            return
        gone = self._ask(
            "DELETE FROM event_origins WHERE number = ? AND begun_at < ? AND NOT EXISTS (SELECT 1 FROM event_consumers "
            "WHERE event_consumers.origin = event_origins.number AND position < pruned_to) RETURNING number",
            origin.number,
            text(before),
        )
        if gone:
            self._ask("DELETE FROM event_consumers WHERE origin = ? RETURNING origin", origin.number)

    # -- Dead letters ----------------------------------------------------------------------------

    def set_aside(self, consumer: str, event: DomainEvent, why: str) -> Receipt:
        """Keep an event that a consumer could not take."""
        kind = type(event).__name__
        return self._letter(consumer, event.id, event.charge_point_id, kind, encoded(event), why)

    def set_aside_unknown(self, consumer: str, origin: str, logged: LoggedEvent, why: str) -> Receipt:
        """Keep an event of a kind that this program does not know, for a newer one."""
        id_ = f"{origin}:{logged.number}"
        return self._letter(consumer, id_, logged.charge_point_id, logged.kind, logged.data, why)

    def _letter(
        self, consumer: str, id_: str, charge_point_id: str, kind: str, data: str, why: str
    ) -> Receipt:
        written = json_text(data.encode("utf-8", "backslashreplace"))
        return self._writer.append(
            Kind.EVENT_DEAD_LETTER, row(consumer, id_, charge_point_id, kind, text(_now()), why, written)
        )

    def dead_letters(self, *, after: int = 0, limit: int = 1000) -> Sequence[EventDeadLetter]:
        """Return dead letters of events, oldest first, with numbers above `after`; switches greenlets."""
        query = (
            "SELECT number, consumer, event, charge_point, kind, failed_at, why, data FROM event_dead_letters"
        )
        found = select(self._ask, query, [("number > ?", after)], "ORDER BY number", limit)
        return records(found, _dead_letter_of)

    def forget_dead_letters(self, numbers: Sequence[int]) -> Receipt:
        """Delete dead letters of events for good."""
        receipt = self._writer.append(Kind.BARRIER, ())
        for number in numbers:
            receipt = self._writer.append(Kind.EVENT_FORGET, row(number))
        return receipt

    # -- Retention -------------------------------------------------------------------------------

    def prune(self, *, keep: int, since: dt.datetime | None) -> bool:
        """Drop some of the oldest events: those over `keep`, and those from before `since`; 0 and None set no limit.

        Returns whether there may be more to drop. Switches greenlets.
        """
        there = [origin for origin in self.origins() if origin.last > origin.pruned_to]
        oldest = {}
        for origin in there:
            first = self.read(origin.number, origin.pruned_to, 1)
            if first:
                oldest[first[0].at, origin.number] = origin
        if not oldest:
            return False
        oldest_of = oldest[min(oldest)]
        surplus = sum(origin.last - origin.pruned_to for origin in there) - keep if keep else 0
        drop_to = oldest_of.pruned_to + min(max(surplus, 0), PRUNED_AT_ONCE)
        if since is not None:
            limit = text(since.astimezone(dt.UTC)) or ""
            for one in self.read(oldest_of.number, oldest_of.pruned_to, PRUNED_AT_ONCE):
                if one.at >= limit:
                    break
                drop_to = max(drop_to, one.number)
        drop_to = min(drop_to, oldest_of.last)
        if drop_to <= oldest_of.pruned_to:
            return False
        self._writer.append(Kind.PRUNE, row(oldest_of.number, drop_to))
        return True


def _dead_letter_of(values: Sequence[Any]) -> EventDeadLetter:
    number, consumer, event, charge_point_id, kind, failed_at, why, data = values
    return EventDeadLetter(number, consumer, event, charge_point_id, kind, time(failed_at), why, data)
