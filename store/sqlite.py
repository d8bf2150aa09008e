"""The embedded store: one SQLite file in WAL mode, durable when a receipt says so.

Each kind of write is one statement over an array of rows in JSON: see `rows.py`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING, Any

from .copying import Copy
from .durable import DurableStore
from .rows import EVENT, READING, SPOOL, STOP, TRANSACTION, Kind
from .store import RowRefused, StoreError
from .tables import bring_up_to_date

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .records import Tag
    from .writer import Threads

REFUSED = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
ROWS = "FROM json_each(?) AS given"
NOW = "CAST(strftime('%s', 'now') AS INTEGER)"


def _values(count: int, first: int = 0) -> str:
    return ", ".join(f"given.value ->> {number}" for number in range(first, first + count))


def _insert(table: str, columns: Sequence[str], clause: str = "") -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {_values(len(columns))} {ROWS} WHERE true {clause}"


_AT_STOP = ", ".join(f"{column} = given.{column}" for column in STOP)
_STOPS = ", ".join(f"value ->> {number} AS {column}" for number, column in enumerate(STOP, 1))

STATEMENTS: dict[Kind, str] = {
    Kind.IDS: f"INSERT INTO ids (name, next) SELECT 'transaction', {_values(1)} {ROWS} WHERE true "
    "ON CONFLICT (name) DO UPDATE SET next = max(next, excluded.next)",
    Kind.START: _insert("transactions", TRANSACTION, "ON CONFLICT DO NOTHING"),
    # Of several rows for one transaction the last counts: SQLite takes the other columns from the row of the maximum.
    Kind.FLAGS: "UPDATE transactions SET flags = given.flags "
    "FROM (SELECT value ->> 0 AS id, value ->> 1 AS flags, max(key) FROM json_each(?) GROUP BY 1) AS given "
    "WHERE transactions.id = given.id AND transactions.stop_received_at IS NULL",
    # And here the first one.
    Kind.STOP: f"UPDATE transactions SET {_AT_STOP} "  # noqa: S608
    f"FROM (SELECT value ->> 0 AS id, {_STOPS}, min(key) FROM json_each(?) GROUP BY 1) AS given "
    "WHERE transactions.id = given.id AND transactions.stop_received_at IS NULL",
    Kind.READING: _insert("readings", READING, "ON CONFLICT DO NOTHING"),
    Kind.REGISTER: _insert(
        "charge_points",
        ("id", "registration"),
        "ON CONFLICT (id) DO UPDATE SET registration = excluded.registration",
    ),
    Kind.EVENT: _insert("events", EVENT),
    Kind.BOOK: "INSERT INTO books (book, key, data, changed, removed_at) "  # noqa: S608
    f"SELECT {_values(3)}, given.key + (SELECT next FROM ids WHERE name = 'change'), "
    f"CASE WHEN given.value ->> 2 IS NULL THEN {NOW} END {ROWS} WHERE true ON CONFLICT (book, key) DO UPDATE "
    "SET data = excluded.data, changed = excluded.changed, removed_at = excluded.removed_at",
    Kind.SPOOL: _insert("spool", SPOOL),
    Kind.ASIDE: f"UPDATE spool SET aside = 1, why = given.value ->> 1 {ROWS} "  # noqa: S608
    "WHERE number = given.value ->> 0",
    Kind.BACK: f"UPDATE spool SET aside = 0 WHERE number IN (SELECT {_values(1)} {ROWS})",  # noqa: S608
    Kind.UNSPOOL: f"DELETE FROM spool WHERE number IN (SELECT {_values(1)} {ROWS})",  # noqa: S608
}
CHANGED = "UPDATE ids SET next = next + ? WHERE name = 'change'"
"""Follows `Kind.BOOK`, which has given so many numbers: they only go up, whatever is removed."""
REMOVED = f"DELETE FROM books WHERE removed_at <= {NOW} - ?"  # noqa: S608 - a constant
"""Follows too: so a removal keeps its place among the entries of its batch, and can be followed for so many seconds."""
FORGOTTEN = "DELETE FROM charge_points WHERE registration = ''"
"""Follows `Kind.REGISTER`, if one of its rows forgets a charge point."""


class SqliteFile:
    """The connection, in the writer's thread alone. Removals from books stay in the file for `removals_kept_s`."""

    def __init__(self, path: str, *, removals_kept_s: int = 0) -> None:
        self._removals_kept_s = removals_kept_s
        with contextlib.suppress(OSError):  # SQLite says what is wrong
            # Before SQLite makes it for all to read; the files beside it get the mode of this one.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
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

    def write(self, kind: Kind, rows: Sequence[bytes]) -> None:
        """See `writer.Database`."""
        statement = STATEMENTS.get(kind)
        if statement is None:
            return
        array = b"[%b]" % b",".join(rows)
        try:
            self._connection.execute(statement, (array.decode(),))
            if kind is Kind.BOOK:
                self._connection.execute(CHANGED, (len(rows),))
                self._connection.execute(REMOVED, (self._removals_kept_s,))
            elif kind is Kind.REGISTER and any(one.endswith(b',""]') for one in rows):
                self._connection.execute(FORGOTTEN)
        except REFUSED as error:
            raise RowRefused(f"the database refused a row: {error}") from error

    def commit(self) -> None:
        """See `writer.Database`."""
        self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        """See `writer.Database`."""
        with contextlib.suppress(
            sqlite3.Error
        ):  # SQLite has rolled back already: it does so when the disk is full
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def read(self, query: str, values: Sequence[Any]) -> list[Any]:
        """See `writer.Database`."""
        try:
            return self._connection.execute(query, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"the database could not be read: {error}") from error

    def close(self) -> None:
        """See `writer.Database`."""
        self._connection.close()


class SqliteStore(DurableStore):
    """See the head of this file. Made with `open`."""

    _path = ""

    @classmethod
    def open(
        cls, path: str, threads: Threads, *, first_transaction_id: int = 1, tags: Iterable[Tag] = ()
    ) -> SqliteStore:
        """Open or make the file; switches greenlets. `tags` are those of the settings.

        Raises `StoreError` with one clear sentence.
        """
        store = cls(lambda: SqliteFile(path), threads, first_transaction_id=first_transaction_id)
        store._path = path
        store.load(tags)
        return store

    def backup(self, path: str) -> None:
        """See `Store`."""
        self._ask("SELECT 1")  # behind all that was appended before
        Copy(self._path, path).make()
