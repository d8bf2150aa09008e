"""Records that are old enough to go: reading them in steps, and deleting them.

The one rule: nothing is deleted here that an open transaction needs, nor a reading of one whose energy is not stored.
Each step is one query over a bounded number of rows, along an index; the deletions are rows of the writer like all
others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .events import AUDIT
from .meter import COUNTED
from .rows import ORIGIN_PLACES, TRANSACTION, Kind, row, sent, transaction_of
from .search import COLUMNS, NAMED, PROBE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .records import Transaction
    from .store import Receipt
    from .writer import Writer

READINGS, STATUS, EVENTS, AUDITED, TRANSACTIONS = "readings", "status", "events", "audit", "transactions"
KINDS = (READINGS, STATUS, EVENTS, AUDITED, TRANSACTIONS)
"""Kinds of records that may be deleted by age, in the order in which that is done: transactions behind their readings.
"""
STATUS_KINDS = frozenset({"boot", "online", "status"})
"""Kinds of stored events that are the status history of a charge point."""

KEY, AT, OF = "number", "received_at", "transaction_id"
HEADS = {
    READINGS: (KEY, AT, OF, "charge_point", "connector", "version", "flags", "data"),
    STATUS: (KEY, AT, OF, "charge_point", "kind", "data"),
    EVENTS: (KEY, AT, OF, "charge_point", "kind", "data"),
    AUDITED: (KEY, AT, OF, "charge_point", "kind", "data"),
    TRANSACTIONS: (KEY, AT, OF, *TRANSACTION),
}
"""Columns of an exported record: its number in the store, the time by which it is old, its transaction, the rest."""


def _told(place: str) -> str:
    """Write the condition that the event at a place is dropped: no consumer can still need its record."""
    return (
        f"({place} IS NULL OR NOT EXISTS (SELECT 1 FROM event_origins AS origin "  # noqa: S608 - constants
        f"WHERE origin.number = {place} / {ORIGIN_PLACES} AND origin.pruned_to < {place} % {ORIGIN_PLACES} {PROBE}))"
    )


_WAITING = (
    "EXISTS (SELECT 1 FROM spool WHERE spool.aside = 0 AND spool.charge_point = {0}.charge_point "  # noqa: S608 - constants
    f"AND spool.transaction_id = {{0}}.{{1}} {PROBE})"
)
_LETTER = (
    "EXISTS (SELECT 1 FROM spool WHERE spool.aside = 1 AND spool.transaction_id IS NOT NULL "  # noqa: S608 - constants
    f"AND spool.transaction_id = {{0}}.{{1}} {PROBE})"
)
_FREE_READING = (
    f"NOT EXISTS (SELECT 1 FROM transactions AS one WHERE one.id = {NAMED} "  # noqa: S608 - constants
    f"AND (one.stop_received_at IS NULL OR one.stop_received_at >= ?) {PROBE}) "
    f"AND NOT {_WAITING.format('readings', 'transaction_id')} "
    f"AND (NOT {_LETTER.format('readings', 'transaction_id')} "
    f"OR EXISTS (SELECT 1 FROM transactions AS one WHERE one.id = {NAMED} {PROBE})) AND {_told('readings.place')}"
)
"""Condition under which a reading may go: its transaction has ended long ago, or there is none and none is to come."""
_ID = "+transactions.id"
"""Number of a transaction beside that of a reading, whose column has no type: without the sign SQLite would convert
the latter, and could not look it up in an index."""
_FREE_TRANSACTION = (
    "stop_received_at IS NOT NULL AND stop_received_at < ? "  # noqa: S608 - constants
    f"AND NOT EXISTS (SELECT 1 FROM readings WHERE readings.transaction_id = {_ID} {PROBE}) "
    f"AND NOT {_WAITING.format('transactions', 'id')} AND NOT {_LETTER.format('transactions', 'id')} "
    f"AND {_told('start_place')} AND {_told('end_place')}"
)
_OLD_READINGS = (
    "SELECT number, received_at, transaction_id, charge_point, connector, version, flags, data, "  # noqa: S608
    f"CASE WHEN {_FREE_READING} THEN 1 ELSE 0 END FROM readings WHERE number > ? ORDER BY number LIMIT ?"
)
_OLD_TRANSACTIONS = (
    f"SELECT id, start_received_at, id, {COLUMNS}, CASE WHEN {_FREE_TRANSACTION} THEN 1 ELSE 0 END "  # noqa: S608
    "FROM transactions WHERE (start_received_at, id) > (?, ?) ORDER BY start_received_at, id LIMIT ?"
)
_OLD_EVENTS = (
    "SELECT * FROM (SELECT number, received_at, NULL AS transaction_id, charge_point, kind, data, 1 AS free "
    "FROM events WHERE kind = ? AND number > ? ORDER BY number LIMIT ?) AS part{}"
)
_EVENT_KINDS = (
    "WITH RECURSIVE kinds (kind) AS (SELECT min(kind) FROM events UNION ALL "
    "SELECT (SELECT min(events.kind) FROM events WHERE events.kind > kinds.kind) FROM kinds "
    "WHERE kinds.kind IS NOT NULL) SELECT kind FROM kinds WHERE kind IS NOT NULL"
)
"""Query of the kinds of stored events: a step in the index for each of them."""

MAY_GO: dict[Kind, str] = {
    Kind.DROP_READING: "NOT EXISTS (SELECT 1 FROM transactions AS one "  # noqa: S608 - constants
    f"WHERE one.id = {NAMED} AND (one.stop_received_at IS NULL OR one.readings_deleted = 0) {PROBE})",
    Kind.DROP_EVENT: "true",
    Kind.DROP_TRANSACTION: "transactions.stop_received_at IS NOT NULL AND transactions.assessed = 1 "  # noqa: S608 - constants
    f"AND NOT EXISTS (SELECT 1 FROM readings WHERE readings.transaction_id = {_ID} {PROBE})",
}
"""Conditions that a row has to fulfil when it is deleted."""
FREEZES = "stop_received_at IS NOT NULL AND assessed = 1"
"""Condition under which the energy of a transaction may be kept for good as it is stored."""

Place = tuple[Any, ...]
"""Place in the order of a kind of records: a number, or a time and a number."""


class Aged(NamedTuple):
    """Row of a walk from the oldest record on; `values` has the rest of its columns, `free` says that it may go."""

    number: int
    at: str
    transaction_id: int | None
    values: tuple[Any, ...]
    free: bool


class RetentionTable:
    """Walks through records by age, and their deletion. `ask(query, *values)` reads rows and switches greenlets."""

    def __init__(
        self, writer: Writer, ask: Callable[..., list[Any]], lock: tuple[str, str] | None = None
    ) -> None:
        self._writer = writer
        self._ask = ask
        self._lock = lock

    def take(self) -> bool:
        """Take the lock of the one process of a cluster that does the upkeep; false if another one has it.

        A database that no other machine writes has no such lock. Switches greenlets.
        """
        return self._lock is None or bool(self._ask(self._lock[0])[0][0])

    def release(self) -> None:
        """Give the lock back. Switches greenlets."""
        if self._lock is not None:
            self._ask(self._lock[1])

    def first(self, kind: str) -> Place:
        """Return the place before all records of a kind."""
        return ("", 0) if kind == TRANSACTIONS else (0,)

    def place_of(self, kind: str, one: Aged, *, before: bool = False) -> Place:
        """Return the place of a record, or the one right before it."""
        number = one.number - before
        return (one.at, number) if kind == TRANSACTIONS else (number,)

    def event_kinds(self, kind: str) -> list[str]:
        """Return the kinds of stored events that a kind of records has. Switches greenlets."""
        there = {name for (name,) in self._ask(_EVENT_KINDS)}
        if kind == STATUS:
            return sorted(there & STATUS_KINDS)
        return sorted(there & AUDIT if kind == AUDITED else there - AUDIT - STATUS_KINDS)

    def aged(self, kind: str, before: str, after: Place, limit: int, names: Sequence[str] = ()) -> list[Aged]:
        """Return some records behind a place, the oldest first, as their numbers go. Switches greenlets.

        `before` is the time at which a transaction must have ended for its readings to be free; `names` are the kinds
        of events.
        """
        if kind == READINGS:
            found = self._ask(_OLD_READINGS, before, *after, limit)
        elif kind == TRANSACTIONS:
            found = self._ask(_OLD_TRANSACTIONS, before, *after, limit)
        elif names:
            parts = " UNION ALL ".join(_OLD_EVENTS.format(number) for number in range(len(names)))
            values = [value for name in names for value in (name, *after, limit)]
            found = self._ask(f"{parts} ORDER BY 1 LIMIT ?", *values, limit)
        else:
            return []
        return [
            Aged(one[0], one[1], one[2], tuple(map(_shown, one[3:-1])), free=bool(one[-1])) for one in found
        ]

    def due(self, kind: str, before: str, names: Sequence[str] = ()) -> int:
        """Return about how many records are older than a time, `COUNTED` at most of some kinds. Switches greenlets.

        None of the queries grows with the store: readings are counted by the numbers that they have.
        """
        if kind == TRANSACTIONS:
            within = "transactions WHERE start_received_at < ? AND stop_received_at IS NOT NULL"
            found = self._ask(f"SELECT count(*) FROM (SELECT 1 FROM {within} LIMIT {COUNTED}) AS old", before)  # noqa: S608
            return int(found[0][0])
        if kind == READINGS:
            first, behind = self.number_at("readings", ""), self.number_at("readings", before)
            return behind - first
        behind = self.number_at("events", before)
        within = "events WHERE kind = ? AND number < ?"
        query = f"SELECT count(*) FROM (SELECT 1 FROM {within} LIMIT {COUNTED}) AS old"  # noqa: S608
        return sum(int(self._ask(query, name, behind)[0][0]) for name in names)

    def number_at(self, table: str, at: str) -> int:
        """Return the number from which on the records of a table came at a time or later. Switches greenlets.

        Numbers rise with the times of receipt, but for what several processes write at once.
        """
        last = self._ask(f"SELECT max(number) FROM {table}")[0][0]  # noqa: S608
        first = self._ask(f"SELECT min(number) FROM {table}")[0][0]  # noqa: S608
        if last is None:
            return 0
        query = f"SELECT number, received_at FROM {table} WHERE number >= ? ORDER BY number LIMIT 1"  # noqa: S608
        low, high = first, last + 1
        while low < high:
            middle = (low + high) // 2
            number, received_at = self._ask(query, middle)[0]
            if received_at < at:
                low = number + 1
            else:
                high = middle
        return int(low)

    def not_frozen(self, numbers: Sequence[int]) -> list[Transaction]:
        """Return those of these transactions that have ended and whose readings may not go yet. Switches greenlets."""
        if not numbers:
            return []
        marks = ", ".join("?" * len(numbers))
        query = (
            f"SELECT {COLUMNS} FROM transactions WHERE id IN ({marks}) "  # noqa: S608
            "AND stop_received_at IS NOT NULL AND readings_deleted = 0"
        )
        return [transaction_of(values) for values in self._ask(query, *numbers)]

    def freeze(self, numbers: Sequence[int]) -> Receipt:
        """Keep the energy of transactions as it is stored, for good; those that are not assessed stay as they are."""
        receipt = self._writer.append(Kind.BARRIER, ())
        for number in numbers:
            receipt = self._writer.append(Kind.FREEZE, row(number))
        return receipt

    def drop(self, kind: str, rows: Sequence[tuple[int, str]]) -> Receipt:
        """Delete records by number and time; those that may not go are left. The last receipt stands for all."""
        receipt = self._writer.append(Kind.BARRIER, ())
        write = {READINGS: Kind.DROP_READING, TRANSACTIONS: Kind.DROP_TRANSACTION}.get(kind, Kind.DROP_EVENT)
        for number, at in rows:
            receipt = self._writer.append(write, row(number, at))
        return receipt


def _shown(value: Any) -> Any:
    """Show a value as the cell of a table has it."""
    if isinstance(value, bytes):
        return sent(value).decode("utf-8", "backslashreplace")
    return value
