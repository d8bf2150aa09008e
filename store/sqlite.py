"""The embedded store: one SQLite file, written by one native thread, durable when a receipt says so.

What a session asks for at once (numbers, registrations, tags, whose messages are spooled) is kept in memory
too and read from the
file at start. Numbers of transactions are reserved in blocks: one is never used twice, though a few are lost
at a crash.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

import msgspec

from .book import Books
from .records import Event, MeterReading, Spooled, Transaction
from .store import Receipt, StoreError
from .tables import bring_up_to_date
from .writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .records import Tag
    from .writer import Threads

LARGEST_ID = 2**31 - 1
BLOCK = 1000
"""Numbers of transactions that are reserved at a time."""

LARGEST_INTEGER = 2**63 - 1

COLUMNS = (
    "id, charge_point, connector, id_tag, meter_start, started_at, start_received_at, verdict, reservation, "
    "meter_stop, stopped_at, stop_received_at, stop_reason, stop_id_tag, flags"
)


class SqliteFile:
    """The connection, in the writer's thread alone."""

    def __init__(self, path: str) -> None:
        try:
            self._connection = sqlite3.connect(path, isolation_level=None)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            bring_up_to_date(self._connection, path)
        except sqlite3.Error as error:
            self._connection.close()
            raise StoreError(f"{path}: {error}") from error
        except StoreError:
            self._connection.close()
            raise

    def begin(self) -> None:
        """See `writer.Database`."""
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """See `writer.Database`."""
        self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        """See `writer.Database`."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite has rolled back already: it does so when the disk is full

    def close(self) -> None:
        """See `writer.Database`."""
        self._connection.close()

    def execute(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement; values that SQLite cannot hold are escaped, a row it refuses is a `StoreError`."""
        try:
            return self._connection.execute(statement, [storable(value) for value in values])
        except (
            sqlite3.IntegrityError,
            sqlite3.DataError,
            sqlite3.InterfaceError,
            sqlite3.ProgrammingError,
        ) as error:
            raise StoreError(f"the database refused a row: {error}") from error


def storable(value: Any) -> Any:
    """A value as SQLite can hold it: a number over 64 bits as its text, a lone surrogate escaped."""
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        return str(value)
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return value


class SqliteStore:
    """See the head of this file. Made with `open`, which switches greenlets; `tags` are those of the settings."""

    durable = True

    def __init__(self, path: str, threads: Threads, *, first_transaction_id: int = 1) -> None:
        self._writer = Writer(lambda: SqliteFile(path), threads)
        self._first = first_transaction_id
        self._next = self._reserved = first_transaction_id
        self._allotted: dict[tuple[Any, ...], int] = {}  # starts whose transaction is open
        self._starts: dict[int, tuple[Any, ...]] = {}
        self._fresh: set[int] = set()  # allotted, and not stored yet
        self._open: dict[int, Transaction] = {}
        self._registrations: dict[str, str] = {}
        self.books = Books(self._keep)

    @classmethod
    def open(
        cls, path: str, threads: Threads, *, first_transaction_id: int = 1, tags: Iterable[Tag] = ()
    ) -> SqliteStore:
        """Open or make the file; raises `StoreError` with one clear sentence."""
        store = cls(path, threads, first_transaction_id=first_transaction_id)
        store._writer.start()
        store._load()
        for tag in tags:
            store.books.tags.put(tag)
        return store

    def _load(self) -> None:
        ask = self._writer.ask
        row = ask(lambda file: file.execute("SELECT next FROM ids WHERE name = 'transaction'").fetchone())
        used = ask(
            lambda file: file.execute(
                "SELECT max(number) FROM (SELECT max(id) AS number FROM transactions "
                "UNION ALL SELECT max(transaction_id) FROM spool)"
            ).fetchone()
        )
        self._next = self._reserved = max(self._first if row is None else row[0], (used[0] or 0) + 1)
        self._reserve_ahead()
        query = f"SELECT {COLUMNS} FROM transactions WHERE stop_received_at IS NULL ORDER BY id"  # noqa: S608
        for values in ask(lambda file: file.execute(query).fetchall()):
            self._remember(_transaction(values))
        rows = ask(lambda file: file.execute("SELECT id, registration FROM charge_points").fetchall())
        self._registrations = dict(rows)
        for book in self.books:
            book.load(
                self._select("SELECT key, data FROM books", [("book = ?", book.name)], "ORDER BY key", -1)
            )
        waiting = "SELECT transaction_id, start FROM spool WHERE aside = 0 AND start IS NOT NULL"
        for number, start in ask(lambda file: file.execute(waiting).fetchall()):
            self._know_start(number, tuple(json.loads(start)))

    def _reserve_ahead(self) -> None:
        """Reserve the next block before this one is used up."""
        if self._next + BLOCK // 2 <= self._reserved:
            return
        self._reserved = reserved = self._next + BLOCK
        self._writer.append(
            lambda file: file.execute(
                "INSERT INTO ids VALUES ('transaction', ?) ON CONFLICT (name) DO UPDATE SET next = excluded.next",
                (reserved,),
            )
        )

    def close(self) -> None:
        """See `Store`."""
        self._writer.close()

    # -- Transactions --------------------------------------------------------------------------

    def allot_transaction_id(
        self, charge_point_id: str, start: tuple[int, str, dt.datetime, int] | None
    ) -> int:
        """See `Store`. The block a number is from is written before what is stored with it: the thread keeps order."""
        key = None if start is None else _start_key(charge_point_id, *start)
        if key is not None and key in self._allotted:
            return self._allotted[key]
        number = self._next
        if number > LARGEST_ID:
            raise OverflowError("there are no transaction ids left")
        self._next += 1
        self._reserve_ahead()
        self._fresh.add(number)
        if key is not None:
            self._know_start(number, key)
        return number

    def _know_start(self, number: int, key: tuple[Any, ...]) -> None:
        self._allotted[key] = number
        self._starts[number] = key

    def _remember(self, transaction: Transaction) -> None:
        self._fresh.discard(transaction.id)
        self._open[transaction.id] = transaction
        key = _start_key(
            transaction.charge_point_id,
            transaction.connector_id,
            transaction.id_tag,
            transaction.started_at,
            transaction.meter_start,
        )
        self._know_start(transaction.id, key)

    def start_transaction(self, transaction: Transaction) -> Receipt:
        """See `Store`."""
        if transaction.id not in self._open:
            self._remember(transaction)
        if transaction.id >= self._next:  # a number that somebody else has given must not be given again
            self._next = transaction.id + 1
            self._reserve_ahead()
        values = _values(transaction)
        marks = ", ".join("?" * len(values))
        return self._writer.append(
            lambda file: file.execute(f"INSERT OR IGNORE INTO transactions VALUES ({marks})", values)  # noqa: S608
        )

    def stop_transaction(self, transaction: Transaction) -> Receipt:
        """See `Store`."""
        if self._open.pop(transaction.id, None) is not None:
            key = self._starts.pop(transaction.id, None)
            if key is not None:
                self._allotted.pop(key, None)
        values = _values(transaction)
        return self._writer.append(
            lambda file: file.execute(
                "UPDATE transactions SET meter_stop = ?, stopped_at = ?, stop_received_at = ?, stop_reason = ?, "
                "stop_id_tag = ?, flags = ? WHERE id = ? AND stop_received_at IS NULL",
                (*values[9:], values[0]),
            )
        )

    def transaction(self, transaction_id: int) -> Transaction | None:
        """See `Store`. Switches greenlets for one that is not open."""
        if transaction_id in self._open:
            return self._open[transaction_id]
        if transaction_id in self._fresh:
            return None
        query = f"SELECT {COLUMNS} FROM transactions WHERE id = ?"  # noqa: S608
        row = self._writer.ask(lambda file: file.execute(query, (transaction_id,)).fetchone())
        return _transaction(row) if row is not None else None

    def transactions(
        self, *, charge_point_id: str = "", id_tag: str = "", open_only: bool = False, limit: int = 100
    ) -> Sequence[Transaction]:
        """See `Store`. Switches greenlets."""
        rows = self._select(
            f"SELECT {COLUMNS} FROM transactions",  # noqa: S608
            [
                ("charge_point = ?", charge_point_id),
                ("lower(id_tag) = ?", id_tag.lower()),
                ("stop_received_at IS NULL", open_only),
            ],
            "ORDER BY id DESC",
            limit,
        )
        return [_transaction(row) for row in rows]

    def _select(self, query: str, conditions: list[tuple[str, Any]], order: str, limit: int) -> list[Any]:
        """Read rows under the conditions whose value is not empty; one that is True has no value of its own."""
        wanted = [(text, value) for text, value in conditions if value]
        where = f" WHERE {' AND '.join(text for text, _ in wanted)}" if wanted else ""
        values = [value for _, value in wanted if value is not True]
        rows: list[Any] = self._writer.ask(
            lambda file: file.execute(f"{query}{where} {order} LIMIT ?", (*values, limit)).fetchall()
        )
        return rows

    def add_meter_reading(self, reading: MeterReading) -> Receipt:
        """See `Store`."""
        digest = hashlib.blake2b(reading.values, digest_size=16).digest()
        values = (
            reading.charge_point_id,
            reading.connector_id,
            reading.transaction_id,
            reading.received_at.isoformat(),
            digest,
            reading.values,
        )
        return self._writer.append(
            lambda file: file.execute(
                "INSERT OR IGNORE INTO readings (charge_point, connector, transaction_id, received_at, digest, data) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                values,
            )
        )

    def meter_readings(self, transaction_id: int, *, limit: int = 10_000) -> Sequence[MeterReading]:
        """See `Store`. Switches greenlets."""
        query = "SELECT charge_point, connector, transaction_id, received_at, data FROM readings"
        rows = self._select(query, [("transaction_id = ?", transaction_id)], "ORDER BY number", limit)
        return [
            MeterReading(
                charge_point_id=row[0],
                connector_id=row[1],
                transaction_id=row[2],
                received_at=_time(row[3]),
                values=row[4],
            )
            for row in rows
        ]

    # -- Charge points ---------------------------------------------------------------------------

    def register(self, charge_point_id: str, status: str) -> Receipt:
        """See `Store`."""
        self._registrations[charge_point_id] = status
        return self._writer.append(
            lambda file: file.execute(
                "INSERT OR REPLACE INTO charge_points VALUES (?, ?)", (charge_point_id, status)
            )
        )

    def registration(self, charge_point_id: str) -> str | None:
        """See `Store`."""
        return self._registrations.get(charge_point_id)

    def registrations(self) -> Mapping[str, str]:
        """See `Store`."""
        return self._registrations

    def _keep(self, book: str, key: str, data: bytes | None) -> Receipt:
        if data is None:
            return self._writer.append(
                lambda file: file.execute("DELETE FROM books WHERE book = ? AND key = ?", (book, key))
            )
        return self._writer.append(
            lambda file: file.execute("INSERT OR REPLACE INTO books VALUES (?, ?, ?)", (book, key, data))
        )

    def add_event(self, event: Event) -> Receipt:
        """See `Store`."""
        data = msgspec.json.encode(event.data).decode()
        values = (event.charge_point_id, event.kind, event.received_at.isoformat(), data)
        return self._writer.append(
            lambda file: file.execute(
                "INSERT INTO events (charge_point, kind, received_at, data) VALUES (?, ?, ?, ?)", values
            )
        )

    def events(self, *, charge_point_id: str = "", kind: str = "", limit: int = 100) -> Sequence[Event]:
        """See `Store`. Switches greenlets."""
        query = "SELECT charge_point, kind, received_at, data FROM events"
        conditions = [("charge_point = ?", charge_point_id), ("kind = ?", kind)]
        rows = self._select(query, conditions, "ORDER BY number DESC", limit)
        return [
            Event(charge_point_id=row[0], kind=row[1], received_at=_time(row[2]), data=json.loads(row[3]))
            for row in rows
        ]

    # -- Spool -----------------------------------------------------------------------------------

    def spool(
        self,
        *,
        charge_point_id: str,
        action: str,
        unique_id: str,
        payload: bytes,
        transaction_id: int | None,
        received_at: dt.datetime,
        why: str,
        replay: bool = True,
    ) -> Receipt:
        """See `Store`."""
        key = self._starts.get(transaction_id) if transaction_id is not None else None
        start = None if key is None else json.dumps(key)
        values = (
            charge_point_id, action, unique_id, payload, transaction_id, received_at.isoformat(), why, start, not replay
        )  # fmt: skip
        return self._writer.append(
            lambda file: file.execute(
                "INSERT INTO spool (charge_point, action, unique_id, payload, transaction_id, received_at, why, "
                "start, aside) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
        )

    def spooled(self, *, charge_point_id: str = "", limit: int = 1000) -> Sequence[Spooled]:
        """See `Store`. Switches greenlets."""
        return self._spool_rows([("aside = 0", True), ("charge_point = ?", charge_point_id)], limit)

    def aside(self, *, limit: int = 1000) -> Sequence[Spooled]:
        """See `Store`. Switches greenlets."""
        return self._spool_rows([("aside = 1", True)], limit)

    def _spool_rows(self, conditions: list[tuple[str, Any]], limit: int) -> list[Spooled]:
        query = "SELECT number, charge_point, action, unique_id, payload, transaction_id, received_at, why FROM spool"
        return [
            Spooled(
                number=row[0],
                charge_point_id=row[1],
                action=row[2],
                unique_id=row[3],
                payload=row[4],
                transaction_id=row[5],
                received_at=_time(row[6]),
                why=row[7],
            )
            for row in self._select(query, conditions, "ORDER BY number", limit)
        ]

    def spooled_charge_points(self) -> Sequence[str]:
        """See `Store`. Switches greenlets."""
        query = "SELECT DISTINCT charge_point FROM spool WHERE aside = 0"
        rows: list[tuple[str]] = self._writer.ask(lambda file: file.execute(query).fetchall())
        return [row[0] for row in rows]

    def unspool(self, numbers: Sequence[int]) -> Receipt:
        """See `Store`."""
        marks = ", ".join("?" * len(numbers))
        return self._writer.append(
            lambda file: file.execute(f"DELETE FROM spool WHERE number IN ({marks})", numbers)  # noqa: S608
        )

    def set_aside(self, number: int, why: str) -> Receipt:
        """See `Store`."""
        return self._writer.append(
            lambda file: file.execute("UPDATE spool SET aside = 1, why = ? WHERE number = ?", (why, number))
        )


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _start_key(
    charge_point: str, connector: int, id_tag: str, at: dt.datetime, meter: int
) -> tuple[Any, ...]:
    return charge_point, connector, id_tag, at.isoformat(), meter


def _values(transaction: Transaction) -> tuple[Any, ...]:
    def text(at: dt.datetime | None) -> str | None:
        return None if at is None else at.isoformat()

    return (
        transaction.id,
        transaction.charge_point_id,
        transaction.connector_id,
        transaction.id_tag,
        transaction.meter_start,
        text(transaction.started_at),
        text(transaction.start_received_at),
        transaction.verdict,
        transaction.reservation_id,
        transaction.meter_stop,
        text(transaction.stopped_at),
        text(transaction.stop_received_at),
        transaction.stop_reason,
        transaction.stop_id_tag,
        json.dumps(transaction.flags),
    )


def _transaction(row: Sequence[Any]) -> Transaction:
    def time(text: str | None) -> dt.datetime | None:
        return None if text is None else _time(text)

    return Transaction(
        id=row[0],
        charge_point_id=row[1],
        connector_id=row[2],
        id_tag=row[3],
        meter_start=int(row[4]),
        started_at=_time(row[5]),
        start_received_at=_time(row[6]),
        verdict=row[7],
        reservation_id=row[8],
        meter_stop=None if row[9] is None else int(row[9]),
        stopped_at=time(row[10]),
        stop_received_at=time(row[11]),
        stop_reason=row[12],
        stop_id_tag=row[13],
        flags=tuple(json.loads(row[14])),
    )
