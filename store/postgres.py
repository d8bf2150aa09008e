"""PostgreSQL store, which several nodes may share; durable when a receipt says so.

Each kind of write is one statement over an array of rows in JSON. The connection is the writer's
thread's alone. When it is lost, what was on its way fails, and may be there all the same: so whatever is written can be
written twice. It is made again by the next that needs it, at growing intervals.
"""

from __future__ import annotations

import itertools
import re
import time
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from .dumping import dump
from .libpq import DatabaseAddress, QueryFailed, ResponseTimeout, literal, lost, read, run
from .postgres_schema import COLLECTIONS_LOCK, SCHEMA, STATEMENT_S, UPKEEP_LOCK, bring_up_to_date
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
from .shared import SharedStore
from .sizes import size_of
from .store import ENDED_OTHERWISE, NEVER_STARTED, RowRefused, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from psycopg.pq.abc import PGconn

    from .event_bounds import EventBounds
    from .records import StoreSize, Tag
    from .rows import Row
    from .writer import Database, Threads

T = TypeVar("T")

PAUSE_MIN_S, PAUSE_MAX_S = 0.1, 5.0
"""Between two attempts to connect, growing from the one to the other."""

SILENT_S = STATEMENT_S + 2
"""Seconds of silence after which the server is taken for lost: before the deadline of the call that waits for it."""
AT_ONCE_S = 1.0
"""Seconds within which a failure means that the connection had been lost before."""

_encode = msgspec.json.Encoder().encode

BEGIN = b"; ".join(
    [b"BEGIN", *(b"SET LOCAL enable_%b = off" % way for way in (b"seqscan", b"hashjoin", b"mergejoin"))]
)
"""Beginning of a transaction. Rows are written by their keys: a plan that was made while a table was small must not
read all of it when it is large."""

STATEMENT_BYTES = 16 * 1024 * 1024
"""Rows of one statement, in JSON; a single row may be larger."""

TYPES = {
    "id": "bigint", "connector": "numeric", "meter_start": "numeric", "reservation": "numeric", "meter_stop": "numeric",
    "evse": "numeric",
    "transaction_id": "numeric", "aside": "integer", "number": "bigint", "assessed": "integer", "energy_wh": "numeric",
    "supported_energy_wh": "numeric", "unattached": "integer", "place": "bigint", "origin": "bigint",
    "position": "bigint", "start_place": "bigint", "end_place": "bigint",
    "report": "bigint", "request_id": "numeric", "seq_no": "numeric", "last": "integer", "size_bytes": "bigint",
    "cut": "integer",
}  # fmt: skip

BYTES = (("spool", "payload"), ("readings", "data"), ("told", "payload"), ("report_parts", "payload"))
"""Tables and columns of bytes, which are base64 in JSON."""

ROWS = "FROM jsonb_array_elements(%b::jsonb) WITH ORDINALITY AS given (value, place)"
"""Rows of a statement. Parsed once: of a value that is `json` each column would parse the row again."""


def _value(number: int, column: str, table: str = "") -> str:
    if (table, column) in BYTES:
        return f"decode(given.value ->> {number}, 'base64')"
    return f"(given.value ->> {number})::{TYPES.get(column, 'text')}"


def _values(columns: Sequence[str], *, named: bool = False, table: str = "") -> str:
    return ", ".join(
        f"{_value(number, column, table)} AS {column}" if named else _value(number, column, table)
        for number, column in enumerate(columns)
    )


def _insert(table: str, columns: Sequence[str], clause: str = "") -> str:
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {_values(columns, table=table)} {ROWS} "
        f"ORDER BY given.place {clause}"
    )


def _one_each(columns: Sequence[str], which: str) -> str:
    """Select one of several rows with the same first column, the first (ASC) or the last (DESC).

    Ordered, to avoid deadlocks.
    """
    key = _value(0, columns[0])
    values = _values(columns, named=True)
    return f"(SELECT DISTINCT ON ({key}) {values} {ROWS} ORDER BY {key}, given.place {which}) AS given"


def _drop(kind: Kind, table: str, key: str, at: str) -> str:
    given = f"(SELECT {_values(('number', 'at'), named=True)} {ROWS}) AS given"
    return (
        f"DELETE FROM {table} USING {given} WHERE {table}.{key} = given.number "  # noqa: S608
        f"AND {table}.{at} = given.at AND {MAY_GO[kind]}"
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

CONSUMER = ("name", "origin", "position", "owner")


def _figures(table: str) -> str:
    return f"({', '.join(f'{table}.{column}' for column in FIGURES)})"


SPOOL_KEY = (
    "md5(charge_point || ' ' || action || ' ' || unique_id || ' ' || received_at || ' ' || md5(payload))"
)
"""Expression of the unique index `spool_once`: a message that is written again is there once."""

STATEMENTS: dict[Kind, bytes] = {
    kind: text.encode()
    for kind, text in {
        # One of a station's transactions that has another number already is refused.
        Kind.START: _insert("transactions", START, "ON CONFLICT (id) DO NOTHING"),
        Kind.AMEND_OPEN: f"UPDATE transactions SET {_AMENDED} FROM {_one_each(('id', *AMENDED), 'DESC')} "  # noqa: S608
        "WHERE transactions.id = given.id AND transactions.stop_received_at IS NULL",
        Kind.STOP: f"UPDATE transactions SET {_AT_STOP} FROM {_one_each(('id', *STOPPED), 'ASC')} "  # noqa: S608
        "WHERE transactions.id = given.id AND transactions.stop_received_at IS NULL; "
        # A conversion that fails, and says why, for an end that is of no transaction here, or is not the one that
        # counts: it must not count as stored.
        f"SELECT (CASE WHEN transactions.id IS NULL THEN '{NEVER_STARTED}: ' ELSE '{ENDED_OTHERWISE}: ' END "
        f"|| given.id)::integer FROM (SELECT {_values(('id', *STOPPED), named=True)} {ROWS}) AS given "
        "LEFT JOIN transactions ON transactions.id = given.id "
        "WHERE transactions.stop_received_at IS NULL "
        f"OR {_figures('transactions')} IS DISTINCT FROM {_figures('given')}",
        Kind.AMEND: f"UPDATE transactions SET {_AMENDED} FROM {_one_each(('id', *AMENDED), 'DESC')} "  # noqa: S608
        "WHERE transactions.id = given.id",
        Kind.ASSESS: f"UPDATE transactions SET {_ASSESSED} FROM {_one_each(('id', *ASSESSED), 'DESC')} "  # noqa: S608
        "WHERE transactions.id = given.id AND transactions.stop_received_at IS NOT NULL "
        "AND transactions.readings_deleted = 0 AND (given.assessed = 1 OR transactions.assessed = 1)",
        Kind.READING: _insert("readings", READING, "ON CONFLICT DO NOTHING"),
        Kind.TOLD: f"INSERT INTO told ({', '.join(TOLD)}) "  # noqa: S608
        f"SELECT DISTINCT ON (charge_point, item) {', '.join(TOLD)} "
        f"FROM (SELECT {_values(TOLD, named=True, table='told')}, given.place {ROWS}) AS given "
        "ORDER BY charge_point, item, place DESC ON CONFLICT (charge_point, item) DO UPDATE "
        "SET version = excluded.version, action = excluded.action, payload = excluded.payload, "
        "received_at = excluded.received_at",
        Kind.UNTOLD: f"DELETE FROM told WHERE charge_point IN (SELECT {_values(('charge_point',))} {ROWS})",  # noqa: S608
        Kind.REGISTER: "INSERT INTO charge_points (id, registration, version) "  # noqa: S608
        "SELECT charge_point, registration, version "
        f"FROM {_one_each(('charge_point', 'registration', 'version'), 'DESC')} "
        "ON CONFLICT (id) DO UPDATE SET registration = excluded.registration, version = excluded.version",
        Kind.EVENT: _insert("events", EVENT),
        # The lock is held until it is durable, so that changes are seen in the order of their numbers: a reader that
        # has seen one has seen all before it. A removal stays for a while: see `shared.py`.
        Kind.COLLECTION: f"SELECT pg_advisory_xact_lock({COLLECTIONS_LOCK}); "  # noqa: S608
        "INSERT INTO books (book, key, data, changed, removed_at) "
        "SELECT DISTINCT ON (book, key) book, key, data, nextval('changes'), "
        f"CASE WHEN data IS NULL THEN now() END "
        f"FROM (SELECT {_values(('book', 'key', 'data'), named=True)}, given.place {ROWS}) AS given "
        "ORDER BY book, key, place DESC ON CONFLICT (book, key) DO UPDATE "
        "SET data = excluded.data, changed = excluded.changed, removed_at = excluded.removed_at",
        # A message that is in the spool and comes again as a dead letter is one from now on: a handler that redelivery
        # has called says so, and redelivery then takes out what waits, not this.
        Kind.SPOOL: _insert(
            "spool",
            SPOOL,
            f"ON CONFLICT ({SPOOL_KEY}) DO UPDATE SET aside = 1, why = excluded.why, "
            "transaction_id = coalesce(excluded.transaction_id, spool.transaction_id) "
            "WHERE excluded.aside = 1 AND spool.aside = 0",
        ),
        Kind.DEAD_LETTER: "UPDATE spool SET aside = 1, why = given.why "  # noqa: S608
        f"FROM {_one_each(('number', 'why'), 'DESC')} WHERE spool.number = given.number",
        Kind.REQUEUE: f"UPDATE spool SET aside = 0 WHERE number IN (SELECT {_values(('number',))} {ROWS})",  # noqa: S608
        Kind.FORGET: f"DELETE FROM spool WHERE aside = 1 AND number IN (SELECT {_values(('number',))} {ROWS})",  # noqa: S608
        Kind.UNSPOOL: f"DELETE FROM spool WHERE aside = 0 AND number IN (SELECT {_values(('number',))} {ROWS})",  # noqa: S608
        Kind.ADVANCE: "UPDATE event_consumers SET position = greatest(event_consumers.position, given.position) "  # noqa: S608
        f"FROM (SELECT name, origin, owner, max(position) AS position FROM (SELECT {_values(CONSUMER, named=True)} "
        f"{ROWS}) AS one GROUP BY name, origin, owner) AS given WHERE event_consumers.name = given.name "
        "AND event_consumers.origin = given.origin AND event_consumers.owner = given.owner",
        Kind.PRUNE: f"WITH given AS (SELECT {_values(('origin', 'number'), named=True)} {ROWS}), "  # noqa: S608
        "told AS (UPDATE event_origins SET pruned_to = greatest(pruned_to, given.number) FROM given "
        "WHERE event_origins.number = given.origin) DELETE FROM event_log USING given "
        f"WHERE event_log.place > given.origin * {ORIGIN_PLACES} "
        f"AND event_log.place <= given.origin * {ORIGIN_PLACES} + given.number",
        Kind.EVENT_DEAD_LETTER: _insert("event_dead_letters", EVENT_DEAD_LETTER),
        Kind.EVENT_FORGET: "DELETE FROM event_dead_letters WHERE number IN "  # noqa: S608
        f"(SELECT {_values(('number',))} {ROWS})",
        Kind.REPORT_FORGET: "DELETE FROM report_parts WHERE (charge_point, report) IN "  # noqa: S608
        f"(SELECT {_values(('charge_point', 'report'))} {ROWS})",
        Kind.REPORT_PART: _insert("report_parts", REPORT_PART, "ON CONFLICT DO NOTHING"),
        Kind.VARIABLE: _insert(
            "variables", VARIABLE, f"ON CONFLICT (charge_point, key, attribute) DO UPDATE SET {_TOLD_AGAIN}"
        ),
        Kind.VARIABLES_FORGET: "DELETE FROM variables WHERE charge_point IN "  # noqa: S608
        f"(SELECT {_values(('charge_point',))} {ROWS})",
        Kind.FREEZE: f"UPDATE transactions SET readings_deleted = 1 WHERE id IN (SELECT {_values(('id',))} {ROWS}) "  # noqa: S608
        f"AND {FREEZES}",
        Kind.DROP_READING: _drop(Kind.DROP_READING, "readings", "number", "received_at"),
        Kind.DROP_EVENT: _drop(Kind.DROP_EVENT, "events", "number", "received_at"),
        Kind.DROP_TRANSACTION: _drop(Kind.DROP_TRANSACTION, "transactions", "id", "start_received_at"),
    }.items()
}

_LOGGED = ("place", "charge_point", "kind", "at", "transaction_id", "data")
_GIVEN = f"(SELECT {_values(LOGGED, named=True)} {ROWS}) AS given"
_TRANSACTION = f"{_GIVEN} JOIN transactions AS one ON one.id = given.transaction_id"
# What is looked at is locked: of two nodes that amend a transaction at once the second one sees what the first did.
_LOCKED = "ORDER BY one.id FOR UPDATE OF one"
HAPPENS: dict[Kind, str] = {
    Kind.AMEND: f"{_TRANSACTION} WHERE one.stop_received_at IS NOT NULL "
    "AND (coalesce(given.flags, one.flags) <> one.flags "
    "OR coalesce(given.other_stops, one.other_stops) <> one.other_stops "
    "OR coalesce(given.note, one.note) <> one.note "
    f"OR coalesce({grown('one')}, '') <> coalesce(one.costs, '')) {_LOCKED}",
    Kind.EVENT: _GIVEN,
    Kind.COLLECTION: _GIVEN,
    Kind.LOG: _GIVEN,
}
"""Rows of events of records of a kind that change something; checked right before."""


def _log(kind: Kind, rows: str) -> bytes:
    charge_point = "given.charge_point"
    if kind is Kind.AMEND:
        charge_point = "coalesce(given.charge_point, one.charge_point)"
    values = f"given.place, {charge_point}, given.kind, given.at, given.transaction_id, given.data"
    text = f"INSERT INTO event_log ({', '.join(_LOGGED)}) SELECT {values} FROM {rows} ON CONFLICT DO NOTHING"  # noqa: S608
    return text.encode()


LOGS = {kind: _log(kind, rows) for kind, rows in HAPPENS.items()}
"""Statements that log the events of the records of a kind."""


GOING_ON = (
    "SELECT coalesce(string_agg(DISTINCT virtualtransaction, ' '), '') FROM pg_locks WHERE locktype = 'relation' "
    "AND mode = 'RowExclusiveLock' AND relation IN ('transactions'::regclass, 'spool'::regclass) "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()"
)
"""Query of other transactions of the database that have written records of charge points."""
STILL_GOING_ON = f"{GOING_ON} AND virtualtransaction = ANY (string_to_array(?, ' '))"


TABLE_SIZES = (
    "SELECT relname, greatest(reltuples, 0)::bigint, pg_total_relation_size(oid) FROM pg_class "
    "WHERE relkind = 'r' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = ?)"
)
"""Query of the tables with their rows, as they were counted last, and their bytes with their indexes."""


class PostgresServer:
    """The connection, in the writer's thread alone. Raises `StoreError` if there is none at first."""

    def __init__(self, address: DatabaseAddress, leash: ResponseTimeout) -> None:
        self._address = address
        self._leash = leash
        self._connection: PGconn | None = None
        self._transaction: PGconn | None = None  # the connection, when one is begun on it
        self._prepared: set[bytes] = set()  # names of the statements that it knows
        self._pause_s = 0.0
        self._next_at = 0.0
        self._why = ""
        self._connect()

    def _connect(self) -> PGconn:
        if time.monotonic() < self._next_at:
            raise StoreError(self._why)
        self._prepared = set()
        try:
            self._connection = self._address.connect()
            try:
                self._wait(self._connection, bring_up_to_date, self._address.shown)
            except QueryFailed as error:
                raise StoreError(f"{self._address.shown}: {error}") from error
        except StoreError as error:
            self.close()
            self._pause_s = min(max(2 * self._pause_s, PAUSE_MIN_S), PAUSE_MAX_S)
            self._next_at = time.monotonic() + self._pause_s
            self._why = str(error)
            raise
        self._pause_s = 0.0
        return self._connection

    def _live(self) -> PGconn:
        """Return the connection, made again if it was lost. Raises `QueryFailed`: no row is to blame."""
        if self._connection is not None and not lost(self._connection):
            return self._connection
        self.close()
        try:
            return self._connect()
        except StoreError as error:
            raise QueryFailed(str(error)) from error

    def _wait(self, connection: PGconn, ask: Callable[..., T], *arguments: Any) -> T:
        self._leash.hold(connection)
        try:
            return ask(connection, *arguments)
        finally:
            self._leash.let_go()

    def _twice(self, ask: Callable[[], T]) -> T:
        """Run the first query of a batch; again, if the connection had been lost before."""
        begun = time.monotonic()
        try:
            return ask()
        except QueryFailed as error:
            if error.state or self._connection is None or not lost(self._connection):
                raise
            if time.monotonic() - begun > AT_ONCE_S:
                raise
            return ask()

    def begin(self) -> None:
        """Begin a transaction. The server hears of it with the first rows."""
        self._transaction = None

    def write(self, kind: Kind, rows: Sequence[Row]) -> None:
        """Write rows of one kind, all or none. Raises `StoreError` if one is refused, anything else if it fails."""
        if kind not in STATEMENTS and kind not in LOGS:
            return
        if self._transaction is None:
            self._twice(lambda: self._wait(self._live(), run, BEGIN))
            self._transaction = self._live()
        # From here on nothing may be said on another connection.
        connection = self._transaction
        commands = []
        if kind in LOGS:
            rows, events = parted(kind, rows)
            if events:
                commands = self._commands(connection, b"log_" + kind.name.encode(), LOGS[kind], events)
        if kind in (Kind.AMEND_OPEN, Kind.AMEND):
            rows = merged(rows)
        elif kind is Kind.VARIABLE:
            rows = merged(rows, VARIABLE_KEY)
        if kind in STATEMENTS:
            commands += self._commands(connection, kind.name.encode(), STATEMENTS[kind], rows)
        text = b"; ".join([b"SAVEPOINT kind", *commands, b"RELEASE SAVEPOINT kind"])
        try:
            self._wait(connection, run, text)
        except QueryFailed as error:
            if not error.refused:
                raise
            self._wait(connection, run, b"ROLLBACK TO SAVEPOINT kind")
            raise RowRefused(f"the database refused a row: {error}") from error

    def _commands(
        self, connection: PGconn, name: bytes, statements: bytes, rows: Sequence[Row]
    ) -> list[bytes]:
        """Return commands that run statements with rows, prepared once: planning one costs more than a row."""
        commands = []
        for array in _arrays(rows):
            given = literal(connection, array)
            for place, statement in enumerate(statements.split(b"; ")):
                if b"%b" not in statement:
                    commands.append(statement)
                    continue
                prepared = b"chargehand_%b_%d" % (name, place)
                if prepared not in self._prepared:
                    text = b"PREPARE %b (jsonb) AS %b" % (prepared, statement.replace(b"%b", b"$1"))
                    self._wait(connection, run, text)
                    self._prepared.add(prepared)  # which a rollback does not undo
                commands.append(b"EXECUTE %b (%b)" % (prepared, given))
        return commands

    def commit(self) -> None:
        """Make the transaction durable, or raise; `RowsLeftOut` if some rows are durable and some are not."""
        if self._transaction is None:
            return
        result = self._wait(self._transaction, run, b"COMMIT")
        if result.command_status != b"COMMIT":  # SQLSTATE of a statement in a transaction that failed before
            raise QueryFailed("the transaction was rolled back")
        self._transaction = None

    def roll_back(self) -> None:
        """Roll the transaction back. Must not raise."""
        connection, self._transaction = self._transaction, None
        if connection is None:
            return
        try:
            self._wait(connection, run, b"ROLLBACK")
            if self._wait(connection, read, "SHOW transaction_read_only", []) == [("on",)]:
                self.close()  # it is no primary any more: another one is
        except QueryFailed:
            self.close()

    def read(self, query: str, values: Sequence[Any]) -> list[Any]:
        """Read rows, outside a transaction. Raises `StoreError`. `?` stands for a value."""
        numbers = itertools.count(1)
        query = re.sub(r"\?", lambda _: f"${next(numbers)}", query)
        given = [None if value is None else str(value).encode() for value in values]
        try:
            return self._twice(lambda: self._wait(self._live(), read, query, given))
        except QueryFailed as error:
            raise StoreError(f"the database could not be read: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.finish()
        self._connection = self._transaction = None


def _arrays(rows: Sequence[Row]) -> Iterator[bytes]:
    """Rows as arrays of JSON, none of them much larger than a statement should be."""
    some: list[bytes] = []
    size = 0
    for row in map(_encode, rows):
        if some and size + len(row) > STATEMENT_BYTES:
            yield b"[%b]" % b",".join(some)
            some, size = [], 0
        some.append(row)
        size += len(row)
    yield b"[%b]" % b",".join(some)


class PostgresStore(SharedStore):
    """Store in PostgreSQL. Made with `open`."""

    leash: ResponseTimeout
    address: DatabaseAddress
    backup_suffix = ".pgdump"
    upkeep_lock = (
        f"SELECT pg_try_advisory_lock({UPKEEP_LOCK})::integer",
        f"SELECT pg_advisory_unlock({UPKEEP_LOCK})::integer",
    )

    @classmethod
    def open(
        cls,
        url: str,
        threads: Threads,
        *,
        first_transaction_id: int = 1,
        tags: Iterable[Tag] = (),
        bounds: EventBounds | None = None,
        origin: str = "",
    ) -> PostgresStore:
        """Connect, and make the tables if need be; switches greenlets. `tags` are those of the settings.

        Raises `StoreError` with one clear sentence.
        """
        address, leash = DatabaseAddress(url), ResponseTimeout(threads.native_lock())
        store = cls(
            lambda: PostgresServer(address, leash),
            threads,
            first_transaction_id=first_transaction_id,
            bounds=bounds,
            origin=origin,
        )
        store.leash = leash
        store.address = address
        store.load(tags)
        return store

    def backup(self, path: str) -> None:
        """Have `pg_dump` write a consistent copy of everything into a new file; switches greenlets."""
        self._ask("SELECT 1")  # behind all that this process has appended before
        dump(self.address, path)

    def measure(self) -> StoreSize | None:
        """Ask the database how large its tables are; switches greenlets."""
        begun = time.monotonic()
        tables = [(str(name), int(rows), int(size)) for name, rows, size in self._ask(TABLE_SIZES, SCHEMA)]
        return size_of(tables, self._ask, took_s=time.monotonic() - begun)

    def every_second(self) -> None:
        """Read changes of the collections, and reserve ids if there are too few. Called every `FOLLOW_S`."""
        self.leash.pull(SILENT_S)
        super().every_second()

    def _going_on(self, database: Database, begun: str | None) -> str:
        """Name transactions of other processes that go on, of those that had `begun`; in the writer's thread.

        A server process carries out what it was sent though its client was killed.
        """
        found = database.read(GOING_ON, ()) if begun is None else database.read(STILL_GOING_ON, (begun,))
        names: str = found[0][0]
        return names

    def close(self) -> None:
        """Write what is pending, and release files and threads."""
        self.leash.pull(AT_ONCE_S)
        super().close()
