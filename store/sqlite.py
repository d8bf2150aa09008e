"""Embedded store: one SQLite file in WAL mode, durable when a receipt says so.

Rows of one kind are written by statements over many of them at once.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import sqlite3
from typing import TYPE_CHECKING, Any

from .copying import Copy
from .durable import DurableStore
from .retention import FREEZES, MAY_GO
from .rows import (
    AMENDED,
    ASSESSED,
    EVENT,
    EVENT_DEAD_LETTER,
    FIGURES,
    LOGGED,
    ORIGIN_PLACES,
    READING,
    REPORT_PART,
    SPOOL,
    START,
    STOPPED,
    TOLD,
    VARIABLE,
    VARIABLE_KEY,
    Kind,
    grown,
    merged,
    parted,
)
from .sizes import Measurement
from .sqlite_schema import bring_up_to_date
from .store import ENDED_OTHERWISE, NEVER_STARTED, RowRefused, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .event_bounds import EventBounds
    from .records import StoreSize, Tag
    from .rows import Row
    from .writer import Threads

REFUSED = (
    sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError,
    OverflowError, ValueError,
)  # fmt: skip
"""Errors that blame a row."""
NOW = "CAST(strftime('%s', 'now') AS INTEGER)"

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Numbers of rows that a statement has room for; unused places are skipped."""

GIVEN: dict[Kind, Sequence[str]] = {
    Kind.IDS: ("number",),
    Kind.START: START,
    Kind.AMEND_OPEN: ("id", *AMENDED),
    Kind.STOP: ("id", *STOPPED),
    Kind.AMEND: ("id", *AMENDED),
    Kind.ASSESS: ("id", *ASSESSED),
    Kind.READING: READING,
    Kind.REGISTER: ("id", "registration", "version"),
    Kind.TOLD: TOLD,
    Kind.UNTOLD: ("id",),
    Kind.EVENT: EVENT,
    Kind.COLLECTION: ("book", "key", "data", "place"),
    Kind.SPOOL: SPOOL,
    Kind.DEAD_LETTER: ("number", "why"),
    Kind.UNSPOOL: ("number",),
    Kind.FORGET: ("number",),
    Kind.REQUEUE: ("number",),
    Kind.LOG: (),
    Kind.ADVANCE: ("name", "origin", "position", "owner"),
    Kind.PRUNE: ("origin", "number"),
    Kind.EVENT_DEAD_LETTER: EVENT_DEAD_LETTER,
    Kind.EVENT_FORGET: ("number",),
    Kind.REPORT_FORGET: ("charge_point", "report"),
    Kind.REPORT_PART: REPORT_PART,
    Kind.VARIABLE: VARIABLE,
    Kind.VARIABLES_FORGET: ("charge_point",),
    Kind.FREEZE: ("id",),
    Kind.DROP_READING: ("number", "at"),
    Kind.DROP_EVENT: ("number", "at"),
    Kind.DROP_TRANSACTION: ("number", "at"),
    Kind.SORT: (),
}
"""The columns of the rows, by kind."""


def _insert(kind: Kind, table: str, clause: str = "") -> str:
    names = ", ".join(GIVEN[kind])
    return f"INSERT INTO {table} ({names}) SELECT {names} FROM given WHERE true {clause}"  # noqa: S608


def _drop(kind: Kind, table: str, key: str, at: str) -> str:
    # With its time, for SQLite may give the number of a row that is gone to another one.
    return (
        f"DELETE FROM {table} WHERE {key} IN (SELECT number FROM given) "  # noqa: S608
        f"AND {at} IN (SELECT at FROM given) AND {MAY_GO[kind]}"
    )


_AT_STOP = ", ".join(f"{column} = given.{column}" for column in STOPPED)
_AMENDED = ", ".join(
    f"{column} = {grown('transactions')}"
    if column == "costs"
    else f"{column} = coalesce(given.{column}, transactions.{column})"
    for column in AMENDED
)
_ASSESSED = ", ".join(f"{column} = given.{column}" for column in ASSESSED)
_TOLD_AGAIN = ", ".join(
    f"{column} = coalesce(excluded.{column}, variables.{column})" for column in VARIABLE[VARIABLE_KEY:]
)

STATEMENTS: dict[Kind, str] = {
    Kind.IDS: "INSERT INTO ids (name, next) SELECT 'transaction', number FROM given WHERE true "
    "ON CONFLICT (name) DO UPDATE SET next = max(next, excluded.next)",
    # One of a station's transactions that has another number already is refused.
    Kind.START: _insert(Kind.START, "transactions", "ON CONFLICT (id) DO NOTHING"),
    Kind.AMEND_OPEN: f"UPDATE transactions SET {_AMENDED} FROM given "  # noqa: S608
    "WHERE transactions.id = given.id AND transactions.stop_received_at IS NULL",
    Kind.STOP: f"UPDATE transactions SET {_AT_STOP} FROM given "  # noqa: S608
    "WHERE transactions.id = given.id AND transactions.stop_received_at IS NULL",
    Kind.AMEND: f"UPDATE transactions SET {_AMENDED} FROM given WHERE transactions.id = given.id",  # noqa: S608
    Kind.ASSESS: f"UPDATE transactions SET {_ASSESSED} FROM given "  # noqa: S608
    "WHERE transactions.id = given.id AND transactions.stop_received_at IS NOT NULL "
    "AND transactions.readings_deleted = 0 AND (given.assessed = 1 OR transactions.assessed = 1)",
    Kind.READING: _insert(Kind.READING, "readings", "ON CONFLICT DO NOTHING"),
    Kind.REGISTER: _insert(
        Kind.REGISTER,
        "charge_points",
        "ON CONFLICT (id) DO UPDATE SET registration = excluded.registration, version = excluded.version",
    ),
    Kind.TOLD: _insert(
        Kind.TOLD,
        "told",
        "ON CONFLICT (charge_point, item) DO UPDATE SET version = excluded.version, "
        "action = excluded.action, payload = excluded.payload, received_at = excluded.received_at",
    ),
    Kind.UNTOLD: "DELETE FROM told WHERE charge_point IN (SELECT id FROM given)",
    Kind.EVENT: _insert(Kind.EVENT, "events"),
    Kind.COLLECTION: "INSERT INTO books (book, key, data, changed, removed_at) "  # noqa: S608
    "SELECT book, key, data, place + (SELECT next FROM ids WHERE name = 'change'), "
    f"CASE WHEN data IS NULL THEN {NOW} END FROM given WHERE true ON CONFLICT (book, key) DO UPDATE "
    "SET data = excluded.data, changed = excluded.changed, removed_at = excluded.removed_at",
    Kind.SPOOL: _insert(Kind.SPOOL, "spool"),
    Kind.DEAD_LETTER: "UPDATE spool SET aside = 1, why = given.why FROM given WHERE spool.number = given.number",
    Kind.REQUEUE: "UPDATE spool SET aside = 0 WHERE number IN (SELECT number FROM given)",
    Kind.UNSPOOL: "DELETE FROM spool WHERE aside = 0 AND number IN (SELECT number FROM given)",
    Kind.FORGET: "DELETE FROM spool WHERE aside = 1 AND number IN (SELECT number FROM given)",
    Kind.ADVANCE: "UPDATE event_consumers SET position = max(event_consumers.position, given.position) FROM given "
    "WHERE event_consumers.name = given.name AND event_consumers.origin = given.origin "
    "AND event_consumers.owner = given.owner",
    Kind.PRUNE: "UPDATE event_origins SET pruned_to = max(pruned_to, given.number) FROM given "
    "WHERE event_origins.number = given.origin",
    Kind.EVENT_DEAD_LETTER: _insert(Kind.EVENT_DEAD_LETTER, "event_dead_letters"),
    Kind.EVENT_FORGET: "DELETE FROM event_dead_letters WHERE number IN (SELECT number FROM given)",
    Kind.REPORT_FORGET: "DELETE FROM report_parts WHERE (charge_point, report) IN (SELECT * FROM given)",
    Kind.REPORT_PART: _insert(Kind.REPORT_PART, "report_parts", "ON CONFLICT DO NOTHING"),
    Kind.VARIABLE: _insert(
        Kind.VARIABLE, "variables", f"ON CONFLICT (charge_point, key, attribute) DO UPDATE SET {_TOLD_AGAIN}"
    ),
    Kind.VARIABLES_FORGET: "DELETE FROM variables WHERE charge_point IN (SELECT charge_point FROM given)",
    Kind.FREEZE: f"UPDATE transactions SET readings_deleted = 1 WHERE id IN (SELECT id FROM given) AND {FREEZES}",  # noqa: S608
    Kind.DROP_READING: _drop(Kind.DROP_READING, "readings", "number", "received_at"),
    Kind.DROP_EVENT: _drop(Kind.DROP_EVENT, "events", "number", "received_at"),
    Kind.DROP_TRANSACTION: _drop(Kind.DROP_TRANSACTION, "transactions", "id", "start_received_at"),
}
"""Statement for each kind of row; the rows are named `given`."""

_OF_TRANSACTION = "EXISTS (SELECT 1 FROM transactions AS one WHERE one.id = given.transaction_id"
_CLOSED = f"{_OF_TRANSACTION} AND one.stop_received_at IS NOT NULL"
HAPPENS: dict[Kind, str] = {
    Kind.AMEND: f"{_CLOSED} AND (coalesce(given.flags, one.flags) <> one.flags "
    "OR coalesce(given.other_stops, one.other_stops) <> one.other_stops "
    "OR coalesce(given.note, one.note) <> one.note "
    f"OR coalesce({grown('one')}, '') <> coalesce(one.costs, '')))",
    Kind.EVENT: "true",
    Kind.COLLECTION: "true",
    Kind.LOG: "true",
}
"""Conditions under which the row of a record changes something, so that its event happens; checked right before."""


def _log(kind: Kind) -> str:
    charge_point = "charge_point"
    if kind is Kind.AMEND:
        charge_point = (
            "(SELECT one.charge_point FROM transactions AS one WHERE one.id = given.transaction_id)"
        )
    return (
        "INSERT INTO event_log (place, charge_point, kind, at, transaction_id, data) "  # noqa: S608 - constants
        f"SELECT place, {charge_point}, kind, at, transaction_id, data FROM given WHERE {HAPPENS[kind]}"
    )


ENDED = f"SELECT {', '.join(FIGURES)} FROM transactions WHERE id = ? AND stop_received_at IS NOT NULL"  # noqa: S608
FIGURE_PLACES = tuple(GIVEN[Kind.STOP].index(column) for column in FIGURES)
UNLOGGED = "DELETE FROM event_log WHERE place = ?"
"""Takes an event back whose record is refused."""
PRUNED = f"DELETE FROM event_log WHERE place > ?1 * {ORIGIN_PLACES} AND place <= ?1 * {ORIGIN_PLACES} + ?2"  # noqa: S608
"""Follows `Kind.PRUNE`, for each of its rows."""
CHANGED = "UPDATE ids SET next = next + ? WHERE name = 'change'"
"""Statement after `Kind.COLLECTION`, which stores the last number used: numbers only rise, even after removals."""
REMOVED = f"DELETE FROM books WHERE removed_at <= {NOW} - ?"  # noqa: S608 - a constant
"""Follows too: so a removal keeps its place among the entries of its batch, and can be followed for so many seconds."""
FORGOTTEN = "DELETE FROM charge_points WHERE registration = ''"
"""Follows `Kind.REGISTER`, if one of its rows forgets a charge point."""
_BEHIND_LAST = "(SELECT ifnull(max(number), 0) + 1 FROM readings)"
SORT = (
    "INSERT INTO sorted_readings SELECT charge_point, received_at, number FROM readings "
    "WHERE number >= (SELECT next FROM ids WHERE name = 'sorted') AND unattached = 0 ON CONFLICT DO NOTHING"
)
"""Enters the readings since the last time into the order of charge points and times."""
SORTED = f"UPDATE ids SET next = {_BEHIND_LAST} WHERE name = 'sorted'"  # noqa: S608 - a constant
SORTED_AT_ONCE = 2000
"""Unsorted readings that are sorted: so many that most pages of that order get several entries. It takes some 4 ms."""
UNSORT = (
    "DELETE FROM sorted_readings WHERE (charge_point, received_at, number) IN "  # noqa: S608 - constants
    "(SELECT charge_point, received_at, number "
    f"FROM readings WHERE number = ? AND received_at = ? AND {MAY_GO[Kind.DROP_READING]})"
)
"""Comes before `Kind.DROP_READING`, for each of its rows."""
NUMBERED_AGAIN = f"UPDATE ids SET next = min(next, {_BEHIND_LAST}) WHERE name = 'sorted'"  # noqa: S608 - a constant
"""Follows it: the next reading gets the number behind the last one that is there, though another one has had it."""


LOGS = {kind: _log(kind) for kind in HAPPENS}
"""Statements that log the events of the records of a kind; the rows are those of events."""
STATEMENTS_KEPT = 256
"""Statements that are kept prepared."""


@functools.lru_cache(maxsize=STATEMENTS_KEPT)
def _text(kind: Kind, size: int, filled: tuple[bool, ...], *, logs: bool) -> str:
    """Write the statement for up to `size` rows; columns that are not `filled` are null and have no parameters."""
    columns, statement = (LOGGED, LOGS[kind]) if logs else (GIVEN[kind], STATEMENTS[kind])
    one = ", ".join(["?" if given else "NULL" for given in filled])
    room = ", ".join([f"({one})"] * size)
    return f"WITH given ({', '.join(columns)}) AS (SELECT * FROM (VALUES {room}) LIMIT ?) {statement}"  # noqa: S608


def _one_each(kind: Kind, rows: Sequence[Row]) -> Sequence[Row]:
    """Return the row that counts of those that change the same: the first end of a transaction, else the last."""
    if kind is Kind.STOP:
        return list({row[0]: row for row in reversed(rows)}.values())
    if kind in (Kind.AMEND_OPEN, Kind.AMEND):
        return merged(rows)
    if kind is Kind.VARIABLE:
        return merged(rows, VARIABLE_KEY)
    if kind is Kind.TOLD:
        return list({row[:2]: row for row in rows}.values())
    if kind in (Kind.ASSESS, Kind.DEAD_LETTER):
        return list({row[0]: row for row in rows}.values())
    if kind is Kind.COLLECTION:
        return [(*row, place) for place, row in enumerate(rows)]
    return rows


def _cheap(column: Sequence[Any]) -> Sequence[Any]:
    """Return the values of a column in types that need no adapter."""
    if type(column[0]) is not bytes:
        return column
    return [bytearray(value) if type(value) is bytes else value for value in column]


class SqliteFile:
    """Connection of the writer's thread. Removals from collections stay in the file for `removals_kept_s`."""

    def __init__(self, path: str, *, removals_kept_s: int = 0) -> None:
        self._removals_kept_s = removals_kept_s
        self._unsorted = 0  # readings that this connection has written
        with contextlib.suppress(OSError):  # SQLite says what is wrong
            # Before SQLite makes it for all to read; the files beside it get the mode of this one.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=STATEMENTS_KEPT)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA wal_autocheckpoint = 4000")
            bring_up_to_date(self._connection, path)
            self._connection.execute(NUMBERED_AGAIN)  # an older program may have deleted readings
            # What a statement over many rows may have to take back would else be a file that is made and deleted. Not
            # before the tables are made newer: indexes of large ones are sorted in files.
            self._connection.execute("PRAGMA temp_store = MEMORY")
        except sqlite3.Error as error:
            self._connection.close()
            raise StoreError(f"{path}: {error}") from error
        except StoreError:
            self._connection.close()
            raise

    def begin(self) -> None:
        """Begin a transaction."""
        self._connection.execute("BEGIN IMMEDIATE")

    def write(self, kind: Kind, rows: Sequence[Row]) -> None:
        """Write rows of one kind, all or none. Raises `StoreError` if one is refused, anything else if it fails."""
        if kind not in GIVEN:
            return
        rows, events = parted(kind, rows)
        try:
            if kind is Kind.DROP_READING:
                self._connection.executemany(UNSORT, rows)
            if events:
                self._write_with(kind, rows, events)
            elif kind in STATEMENTS:
                changes = self._connection.total_changes
                self._write(kind, _one_each(kind, rows))
                if kind is Kind.STOP and self._connection.total_changes - changes < len(rows):
                    self._refuse_others(rows)
            self._follow(kind, rows)
        except REFUSED as error:
            raise RowRefused(f"the database refused a row: {error}") from error

    def _follow(self, kind: Kind, rows: Sequence[Row]) -> None:
        """Carry out what follows the statement of a kind."""
        if kind is Kind.READING:
            self._unsorted += len(rows)
            if self._unsorted >= SORTED_AT_ONCE:
                self._sort()
        elif kind is Kind.COLLECTION:
            self._connection.execute(CHANGED, (len(rows),))
            self._connection.execute(REMOVED, (self._removals_kept_s,))
        elif kind is Kind.REGISTER and any(row[1] == "" for row in rows):
            self._connection.execute(FORGOTTEN)
        elif kind is Kind.PRUNE:
            self._connection.executemany(PRUNED, rows)
        elif kind is Kind.DROP_READING:
            self._connection.execute(NUMBERED_AGAIN)
        elif kind is Kind.SORT:
            self._sort()

    def _sort(self) -> None:
        self._connection.execute(SORT)
        self._connection.execute(SORTED)
        self._unsorted = 0

    def _refuse_others(self, stops: Sequence[Row]) -> None:
        """Refuse ends that are not the ones that count now; the others are written, and may be written again."""
        for stop in stops:
            ended = self.read(ENDED, stop[:1])
            if not ended:
                raise RowRefused(f"{NEVER_STARTED}: {stop[0]}")
            if ended[0] != tuple(stop[place] for place in FIGURE_PLACES):
                raise RowRefused(f"{ENDED_OTHERWISE}: {stop[0]}")

    def _write_with(self, kind: Kind, rows: Sequence[Row], events: Sequence[Row]) -> None:
        """Write rows with their events, which are looked at before: all or none."""
        self._write(kind, events, logs=True)
        if kind not in STATEMENTS:
            return
        try:
            self._write(kind, _one_each(kind, rows))
        except REFUSED:  # without a savepoint, which would cost as much as a row
            self._connection.executemany(UNLOGGED, [event[:1] for event in events])
            raise

    def _write(self, kind: Kind, rows: Sequence[Row], *, logs: bool = False) -> None:
        most = SIZES[-1]
        if len(rows) <= most:
            self._write_some(kind, rows, logs=logs)
            return
        self._connection.execute("SAVEPOINT kind")
        try:
            for first in range(0, len(rows), most):
                self._write_some(kind, rows[first : first + most], logs=logs)
        except REFUSED:
            self._connection.execute("ROLLBACK TO kind")
            raise
        finally:
            if self._connection.in_transaction:
                self._connection.execute("RELEASE kind")

    def _write_some(self, kind: Kind, rows: Sequence[Row], *, logs: bool) -> None:
        # None and bytes are parameters that cost five times as much as others, for which Python looks for adapters.
        # So a column that is null in all rows is no parameter, and bytes become a bytearray, which needs none.
        number = len(rows)
        size = next(size for size in SIZES if size >= number)
        columns = list(zip(*rows, strict=True))
        filled = tuple([column[0] is not None or column.count(None) < number for column in columns])
        rows_given = zip(*[_cheap(column) for column in itertools.compress(columns, filled)], strict=True)
        given = list(itertools.chain.from_iterable(rows_given))
        given += (0,) * (sum(filled) * (size - number))
        given.append(number)
        self._connection.execute(_text(kind, size, filled, logs=logs), given)

    def commit(self) -> None:
        """Make the transaction durable, or raise; `RowsLeftOut` if some rows are durable and some are not."""
        self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Roll the transaction back. Must not raise."""
        with contextlib.suppress(
            sqlite3.Error
        ):  # SQLite has rolled back already: it does so when the disk is full
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def read(self, query: str, values: Sequence[Any]) -> list[Any]:
        """Read rows, outside a transaction. Raises `StoreError`."""
        try:
            return self._connection.execute(query, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"the database could not be read: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class SqliteStore(DurableStore):
    """Store in an SQLite file. Made with `open`."""

    _path = ""

    @classmethod
    def open(
        cls,
        path: str,
        threads: Threads,
        *,
        first_transaction_id: int = 1,
        tags: Iterable[Tag] = (),
        bounds: EventBounds | None = None,
        origin: str = "",
    ) -> SqliteStore:
        """Open or make the file; switches greenlets. `tags` are those of the settings.

        Raises `StoreError` with one clear sentence.
        """
        store = cls(
            lambda: SqliteFile(path),
            threads,
            first_transaction_id=first_transaction_id,
            bounds=bounds,
            origin=origin,
        )
        store._path = path
        store.load(tags)
        return store

    def backup(self, path: str) -> None:
        """Write a consistent copy of everything into a new file, for its owner's eyes alone; switches greenlets."""
        self._ask("SELECT 1")  # behind all that was appended before
        Copy(self._path, path).make()

    def measure(self) -> StoreSize | None:
        """Find out how large the store is, in another thread; switches greenlets."""
        return Measurement(self._path).make()
