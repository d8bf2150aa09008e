"""Inspection of an SQLite file that no process writes to: its integrity, and the consistency of its records.

It is only read, row by row, so there may be any number. One that an older program left is copied, and brought up to
date in the copy.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from .collections import Collections
from .durable import LARGEST_ID
from .events import decoded
from .open_transactions import OpenTransactions
from .rows import event_of, reading_of, spooled_of, told_of, transaction_of
from .search import COLUMNS, READING_COLUMNS
from .sqlite_schema import STEPS, bring_up_to_date
from .store import Receipt, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .collections import Collection
    from .records import OverFact

TOLD = 20
"""Faults of one kind that are listed one by one."""

REGISTRATIONS = ("Accepted", "Pending", "Rejected")
UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, RecursionError)
"""Errors raised when a record is made from a spoilt row; msgspec's own errors are ValueErrors."""


class Inspection:
    """Inspection of one file; its findings are in `faults`. Raises `StoreError` for a file of another program."""

    def __init__(self, path: str) -> None:
        self.faults: list[str] = []
        self.rows: dict[str, int] = {}
        """Number of rows by table."""
        self.open = self.flagged = self.orphans = 0
        """Transactions."""
        self._largest = 0
        address = f"{Path(path).absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True)) as connection:
                self._connection = connection
                self._run(path)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error

    def _run(self, path: str) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > len(STEPS):
            raise StoreError(f"{path} was written by a newer chargehand, which can look at it")
        if version < 1:
            raise StoreError(f"{path} is no store of chargehand's")
        self._check(self._integrity, lambda: self._schema(version))
        if version == len(STEPS):
            self._check_records()
            return
        # A file of an older program is migrated in a copy, as this program would do at start.
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(sqlite3.connect(Path(folder) / "copy", isolation_level=None)) as copy,
        ):
            self._connection.backup(copy)
            try:
                bring_up_to_date(copy, path)
            except (sqlite3.Error, *UNREADABLE) as error:
                self.faults.append(f"the file cannot be brought up to date: {error}")
                return
            self._connection = copy
            self._check_records()

    def _check_records(self) -> None:
        self._check(
            self._count,
            self._transactions,
            self._ids,
            self._repeated_readings,
            lambda: self._decoded("readings", _READINGS, reading_of, _parsed),
            lambda: self._decoded("events", _EVENTS, event_of),
            self._event_log,
            self._told,
            lambda: self._decoded("spool", _SPOOL, spooled_of, _parsed),
            self._spooled_starts,
            self._registrations,
            self._collections,
        )

    def _check(self, *checks: Callable[[], Iterable[str]]) -> None:
        for check in checks:
            try:
                self._tell(check())
            except sqlite3.Error as error:
                self.faults.append(f"the file cannot be read on: {error}")

    def _tell(self, faults: Iterable[str]) -> None:
        found = 0
        for fault in faults:
            found += 1
            if found <= TOLD:
                self.faults.append(fault)
        if found > TOLD:
            self.faults.append(f"… and {found - TOLD} more of that kind")

    # -- The file --------------------------------------------------------------------------------

    def _integrity(self) -> Iterator[str]:
        for (line,) in self._connection.execute("PRAGMA integrity_check"):
            if line != "ok":
                yield f"the file is damaged: {line}"

    def _schema(self, version: int) -> Iterator[str]:
        """Check that tables and indexes are as this program makes them: what must be unique is so by an index."""
        query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
            bring_up_to_date(fresh, ":memory:", version)
            wanted = dict(fresh.execute(query))
        found = dict(self._connection.execute(query))
        for name, statement in wanted.items():
            if name not in found:
                yield f"{name}, a table or an index, is missing"
            elif found[name] != statement:
                yield f"{name}, a table or an index, is not as it was made"

    def _count(self) -> Iterator[str]:
        for table in ("transactions", "readings", "charge_points", "events", "books", "spool", "told"):
            (rows,) = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
            self.rows["collections" if table == "books" else table] = rows
        yield from ()

    # -- Records ---------------------------------------------------------------------------------

    def _transactions(self) -> Iterator[str]:
        open_ = OpenTransactions(self._facts())
        for values in self._connection.execute(f"SELECT {COLUMNS} FROM transactions ORDER BY id"):  # noqa: S608
            name = f"transaction {values[0]}"
            self._largest = max(self._largest, values[0])
            if not 0 < values[0] <= LARGEST_ID:
                yield f"{name}: its id is no positive number of 32 bits"
            try:
                one = open_.derived(transaction_of(values))
            except UNREADABLE as error:
                yield f"{name} cannot be read: {error}"
                continue
            self.open += one.open
            self.flagged += bool(one.flags or one.findings or one.orphaned)
            self.orphans += one.orphaned
            if one.stop_received_at is not None and one.stop_received_at < one.start_received_at:
                yield f"{name}: its stop was received before its start"
            told = {one.stop_received_at is None, one.stopped_at is None}
            if not (one.closed_by or one.remote_id):  # else there need be no meter's value
                told.add(one.meter_stop is None)
            if len(told) > 1:
                yield f"{name}: half of its stop is missing"

    def _facts(self) -> Collection[OverFact]:
        facts = Collections(lambda *_: Receipt(done=True)).over_facts
        query = "SELECT key, data FROM books WHERE book = ? AND data IS NOT NULL"
        for key, data in self._connection.execute(query, (facts.name,)):
            with suppress(*UNREADABLE):  # counted with the other records of collections
                facts.follow(key, data)
        return facts

    def _ids(self) -> Iterator[str]:
        (spooled,) = self._connection.execute("SELECT max(transaction_id) FROM spool").fetchone()
        used = max(self._largest, spooled or 0)
        found = self._connection.execute("SELECT next FROM ids WHERE name = 'transaction'").fetchone()
        if found is None:
            if used:
                yield f"the ids that were given are not stored, and {used} is in use"
        elif found[0] <= used:
            yield f"id {used} is in use, though the next one to be given is {found[0]}"

    def _repeated_readings(self) -> Iterator[str]:
        query = (
            "SELECT min(number), count(*) FROM readings "
            "GROUP BY charge_point, connector, ifnull(transaction_id, -1), digest HAVING count(*) > 1"
        )
        for number, count in self._connection.execute(query):
            yield f"reading {number} is stored {count} times"

    def _decoded(
        self,
        table: str,
        columns: str,
        record_of: Callable[[Any], Any],
        payload_of: Callable[[str], Any] | None = None,
    ) -> Iterator[str]:
        """Check that each row of a table is a record, and that the JSON in the first of its columns can be read."""
        for number, payload, *values in self._connection.execute(f"SELECT number, {columns} FROM {table}"):  # noqa: S608
            try:
                record_of(values)
                if payload_of is not None:
                    payload_of(payload)
            except UNREADABLE as error:
                yield f"{table} {number} cannot be read: {error}"

    def _told(self) -> Iterator[str]:
        query = "SELECT charge_point, item, version, action, payload, received_at FROM told"
        for charge_point, item, *values in self._connection.execute(query):
            try:
                told_of((item, *values))
            except UNREADABLE as error:
                yield f"{item} of {charge_point} cannot be read: {error}"

    def _spooled_starts(self) -> Iterator[str]:
        query = "SELECT number, start, aside FROM spool WHERE start IS NOT NULL OR aside NOT IN (0, 1)"
        for number, start, dead_letters in self._connection.execute(query):
            if dead_letters not in (0, 1):
                yield f"spool {number}: it is neither waiting nor a dead letter"
            try:
                if start is not None:
                    msgspec.json.decode(start, type=tuple[str, int, str, str, int])
            except UNREADABLE as error:
                yield f"spool {number}: the start it stands for cannot be read: {error}"

    def _registrations(self) -> Iterator[str]:
        for id_, registration in self._connection.execute("SELECT id, registration FROM charge_points"):
            if registration not in REGISTRATIONS:
                yield f"charge point {id_}: there is no registration {registration!r}"

    def _event_log(self) -> Iterator[str]:
        rows = self._connection.execute("SELECT place, kind, data FROM event_log WHERE data <> ''")
        for place, kind, data in rows:
            try:
                decoded(kind, data)
            except UNREADABLE as error:
                yield f"event {place} cannot be read: {error}"

    def _collections(self) -> Iterator[str]:
        collections = {one.name: one for one in Collections(lambda *_: Receipt(done=True))}
        for name, key, data in self._connection.execute(
            "SELECT book, key, data FROM books WHERE data IS NOT NULL"
        ):
            collection = collections.get(name)
            if collection is None:
                yield f"{name} {key}: there is no such collection"
                continue
            try:
                found = collection.key_of(data)
            except UNREADABLE as error:
                yield f"{name} {key} cannot be read: {error}"
            else:
                if found != key:
                    yield f"{name} {key}: its record is that of {found}"


_READINGS = f"data, {READING_COLUMNS}"
_EVENTS = "data, charge_point, kind, received_at, data"
_SPOOL = (
    "CASE WHEN aside = 1 THEN '{}' ELSE payload END, number, charge_point, action, unique_id, payload, "
    "transaction_id, received_at, why, version"
)
"""The JSON first, then what a record is made of. A dead letter may be anything that a charge point has sent."""


def _parsed(payload: bytes | str) -> Any:
    """Read JSON as leniently as any reader of messages does: lone surrogates and control characters included."""
    try:
        return msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return json.loads(payload, strict=False)
