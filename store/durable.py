"""Store on a database of any kind: its copy in memory, and the rows that its writer gets.

Sessions read without waiting: transaction ids, registrations, collections and open transactions are in memory too, read
from the database at start. Transaction ids are reserved in blocks: none is used twice, though a few are lost at a
crash.
"""

from __future__ import annotations

import os
import random
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from .collections import Collections
from .event_bounds import DROPPED_AT_ONCE, LOOK_EVERY, EventBounds, decoded
from .event_log import EventLog
from .events import has_event, is_history
from .meter import COUNTED, StoreFigures, StoreMeter
from .open_transactions import OpenTransactions
from .records import EVERYTHING, UNKNOWN_TRANSACTION, Cursor, StoredRegistration, TransactionFilter
from .report_table import ReportTable
from .retention import RetentionTable
from .rows import (
    LARGEST_INTEGER,
    NOT_ASSESSED,
    Kind,
    amend_row,
    as_kept,
    costs_text,
    event_of,
    flags_text,
    json_text,
    reading_of,
    reading_row,
    row,
    spooled_of,
    stop_row,
    stops_text,
    storable,
    text,
    told_of,
    transaction_of,
    transaction_row,
)
from .search import (
    COLUMNS,
    FACT_IN_SQLITE,
    NAMED_KNOWN,
    READING_COLUMNS,
    SORTED_READINGS,
    newest_readings,
    newest_transactions,
    records,
    select,
)
from .store import NoBackup, Receipt, StoreError
from .variable_table import VariableTable
from .writer import Writer

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..protocol.events import DomainEvent
    from .records import Cost, Event, MeterReading, Spooled, StopFigures, StoreSize, Tag, Told, Transaction
    from .writer import Database, Threads

LARGEST_ID = 2**31 - 1
CLOSED_LATELY = 10_000
"""Closed transactions whose charge point is in memory."""
NOTHING_NEW = Receipt(done=True)
"""Receipt for a record that need not be written."""
BLOCK = 1000
"""Numbers of transactions that are reserved at a time."""


SURPLUS_EVENTS = (
    "DELETE FROM events WHERE number IN (SELECT number FROM events WHERE charge_point = ? AND number <= "
    "(SELECT number FROM events WHERE charge_point = ? ORDER BY number DESC LIMIT 1 OFFSET ?) "
    "ORDER BY number LIMIT ?) RETURNING number"
)
REGISTERED_IDS = "SELECT id FROM charge_points WHERE registration <> '' AND id > ? ORDER BY id LIMIT ?"
REGISTRATION = "SELECT registration, version FROM charge_points WHERE registration <> '' AND id = ?"
TOLD = "item, version, action, payload, received_at"
TOLD_OF = f"SELECT {TOLD} FROM told WHERE charge_point = ? ORDER BY item"  # noqa: S608
READS, WRITES = "SELECT 1", "UPDATE ids SET next = next WHERE name = 'transaction' RETURNING next"
"""Queries that show that the database answers, and that it can be written."""


def _count(what: str, name: str) -> str:
    return f"(SELECT count(*) FROM (SELECT 1 FROM {what} LIMIT {COUNTED}) AS {name})"  # noqa: S608 - constants


FIGURES = "SELECT " + ", ".join(
    (
        _count("spool WHERE aside = 0", "spooled"),
        _count("spool WHERE aside = 1", "letters"),
        _count("event_dead_letters", "events"),
        _count("transactions WHERE stop_received_at IS NULL", "going_on"),
    )
)
"""Query of the `StoreFigures`."""


class DurableStore:
    """Store on a database, with a native thread that writes.

    `open_` makes the database, in the writer's thread; `load` must be called once.
    """

    durable = True

    others_write = False
    """True if other processes write to the database."""

    backup_suffix = ".sqlite"
    """End of the name of a file with a backup."""

    upkeep_lock: tuple[str, str] | None = None
    """Queries that take and release the lock of the upkeep, where several machines write to the database."""

    fact = FACT_IN_SQLITE
    """SQL of the database for the members of an `OverFact`."""

    readings_by_time = SORTED_READINGS
    """SQL of the database for readings by charge point and time."""

    def __init__(
        self,
        open_: Callable[[], Database],
        threads: Threads,
        *,
        first_transaction_id: int = 1,
        bounds: EventBounds | None = None,
        origin: str = "",
    ) -> None:
        self._bounds = bounds or EventBounds()
        self.meter = StoreMeter()
        self._writer = Writer(open_, threads, meter=self.meter)
        self.event_log = EventLog(self._writer, self._ask, origin or os.urandom(8).hex())
        self.reports = ReportTable(self._writer, self._ask)
        self.variables = VariableTable(self._writer, self._ask)
        self.retention: RetentionTable | None = RetentionTable(self._writer, self._ask, self.upkeep_lock)
        self._first = first_transaction_id
        self._next = self._reserved = first_transaction_id
        self._allotted: dict[tuple[Any, ...], int] = {}  # starts whose transaction is open
        self._starts: dict[int, tuple[Any, ...]] = {}
        self._fresh: set[int] = set()  # allotted, and stored nowhere yet, not even in the spool
        # Charge points of transactions that were closed here lately and not assessed since.
        self._closed: OrderedDict[int, str] = OrderedDict()
        self._registrations: dict[str, StoredRegistration] = {}
        self._shared_registrations: dict[StoredRegistration, StoredRegistration] = {}
        self.collections = Collections(self._persist)
        self._open = OpenTransactions(self.collections.over_facts)

    def load(self, tags: Iterable[Tag] = ()) -> None:
        """Start the writer and read what is stored; switches greenlets. `tags` are those of the settings.

        Raises `StoreError` with one clear sentence.
        """
        self._writer.start()
        self.event_log.load()
        self._load_numbers()
        for values in self._ask(
            f"SELECT {COLUMNS} FROM transactions WHERE stop_received_at IS NULL ORDER BY start_received_at, id"  # noqa: S608
        ):
            self._remember(transaction_of(values))
        query = "SELECT id, registration, version FROM charge_points WHERE registration <> ''"
        self._registrations = {
            id_: self._shared(status, version) for id_, status, version in self._ask(query)
        }
        self._load_collections()
        for number, start in self._ask(
            "SELECT transaction_id, start FROM spool WHERE aside = 0 AND start IS NOT NULL"
        ):
            self._know_start(number, tuple(msgspec.json.decode(start)))
        for tag in tags:
            self.collections.tags.put(tag)

    def _load_collections(self) -> None:
        for collection in self.collections:
            query = "SELECT key, data FROM books WHERE book = ? AND data IS NOT NULL ORDER BY key"
            collection.load(self._ask(query, collection.name))

    def _ask(self, query: str, *values: Any) -> list[Any]:
        """Read rows, behind all that was handed over before; switches greenlets."""
        stored = [storable(value) for value in values]  # as it was written
        rows: list[Any] = self._writer.ask(lambda database: database.read(query, stored))
        return rows

    # -- Numbers of transactions ---------------------------------------------------------------

    def _load_numbers(self) -> None:
        (used,) = self._ask(
            "SELECT max(number) FROM (SELECT max(id) AS number FROM transactions "
            "UNION ALL SELECT max(transaction_id) FROM spool) AS used"
        )[0]
        reserved = self._ask("SELECT next FROM ids WHERE name = 'transaction'")
        self._next = self._reserved = max(self._first, reserved[0][0], (used or 0) + 1)
        self._reserve_ahead()

    def _take_number(self) -> int:
        number = self._next
        if number > LARGEST_ID:
            raise OverflowError("there are no transaction ids left")
        self._next += 1
        self._reserve_ahead()
        return number

    def _note_number(self, number: int) -> None:
        """Note a number that another process has given, so that it is not given again."""
        if number >= self._next:
            self._next = number + 1
            self._reserve_ahead()

    def _reserve_ahead(self) -> None:
        """Reserve the next block before this one is used up."""
        if self._next + BLOCK // 2 <= self._reserved:
            return
        self._reserved = reserved = self._next + BLOCK
        self._writer.append(Kind.IDS, row(reserved))

    def follow_now(self) -> Receipt:
        """Return a settled receipt: no other process changes collections."""
        return Receipt(done=True)

    def measure(self) -> StoreSize | None:
        """Return nothing: this database has no way to tell."""
        return None

    def backup(self, path: str) -> None:  # noqa: ARG002 - what a store that can do it needs
        """Refuse: a database server has a backup of its own."""
        raise NoBackup("the store is a database with a backup of its own: for PostgreSQL use pg_dump")

    @property
    def depth(self) -> int:
        """Number of writes and reads that wait for the database."""
        return self._writer.depth

    def probe(self, then: Callable[[Exception | None], None]) -> None:
        """Ask the database something, and after a failed commit have it write; calls back in the hub."""
        if self._writer.held:
            then(StoreError(self._writer.held))
            return
        writes = bool(self.meter.failing)

        def take(_: Any, error: Exception | None) -> None:
            if writes and error is None:
                self.meter.failing = ""
            then(error)

        query = WRITES if writes else READS
        self._writer.look(lambda database: database.read(query, ()), take)

    def count(self, then: Callable[[StoreFigures | None], None]) -> None:
        """Count records; calls back in the hub, with None after an error."""

        def take(rows: Any, error: Exception | None) -> None:
            then(StoreFigures(*rows[0]) if error is None else None)

        self._writer.look(lambda database: database.read(FIGURES, ()), take)

    def close(self) -> None:
        """Write what is pending, and release files and threads."""
        self._writer.close()

    # -- Transactions --------------------------------------------------------------------------

    def allot_transaction_id(
        self, charge_point_id: str, start: tuple[int, str, dt.datetime | str, int] | None
    ) -> int:
        """Allot a transaction id: unique, positive, 32 bit, never used again; the same for a start that is sent again.

        The block a number is from is written before what is stored with it: the thread keeps order.
        """
        key = None if start is None else _start_key(charge_point_id, *start)
        if key is not None and key in self._allotted:
            return self._allotted[key]
        number = self._take_number()
        self._fresh.add(number)
        if key is not None:
            self._know_start(number, key)
        return number

    def _know_start(self, number: int, key: tuple[Any, ...]) -> None:
        self._allotted[key] = number
        self._starts[number] = key

    def _remember(self, transaction: Transaction) -> None:
        self._fresh.discard(transaction.id)
        self._open.add(transaction)
        if transaction.remote_id:
            return
        key = _start_key(
            transaction.charge_point_id,
            transaction.connector_id,
            transaction.id_tag,
            transaction.started_text or transaction.started_at,
            transaction.meter_start,
        )
        self._know_start(transaction.id, key)

    def start_transaction(self, transaction: Transaction) -> Receipt:
        """Store a started transaction; an existing one is left unchanged.

        One that its station has named is refused if another process has given it another id meanwhile.
        """
        if transaction.open and transaction.id not in self._open:
            self.meter.started += 1
            self._remember(as_kept(transaction))
        self._note_number(transaction.id)
        values = (*transaction_row(transaction), *self.event_log.started(transaction))
        receipt = self._writer.append(Kind.START, values)
        if transaction.remote_id:
            receipt.then(partial(self._named_start_ended, transaction.id))
        return self.event_log.appended(receipt)

    def _named_start_ended(self, number: int, error: Exception | None) -> None:
        if error is not None and not getattr(error, "passing", True):
            self._open.remove(number)

    def stop_transaction(self, transaction: Transaction) -> Receipt:
        """Store the end of a transaction; refused if it never started, or has ended with other figures.

        One that comes again is written again: what came first may have failed, and else it counts.
        """
        known = self._open.stored(transaction.id)
        if known is not None:
            self.meter.transaction_ended(transaction)
            self._closed[known.id] = known.charge_point_id
            if len(self._closed) > CLOSED_LATELY:
                self._closed.popitem(last=False)
        self._forget(transaction.id)
        values = (*stop_row(transaction), *self.event_log.next_place())
        return self.event_log.appended(self._writer.append(Kind.STOP, values))

    def _forget(self, number: int) -> None:
        """Drop an open transaction, and its start, from memory."""
        self._open.remove(number)
        key = self._starts.pop(number, None)
        if key is not None and self._allotted.get(key) == number:
            del self._allotted[key]

    def flag_transaction(self, transaction_id: int, flag: str) -> Receipt:
        """Add a flag to an open transaction, once; one that is not open is left unchanged."""
        known = self._open.stored(transaction_id)
        if known is None:
            return self._writer.append(Kind.BARRIER, ())
        if flag not in known.flags:
            known = msgspec.structs.replace(known, flags=(*known.flags, flag))
            self._open.replace(known)
        return self._writer.append(Kind.AMEND_OPEN, amend_row(transaction_id, flags=flags_text(known.flags)))

    def amend_transaction(
        self,
        transaction_id: int,
        *,
        flags: tuple[str, ...] | None = None,
        other_stops: tuple[StopFigures, ...] | None = None,
        note: str | None = None,
    ) -> Receipt:
        """Replace what stands beside the figures of a transaction; None leaves a column unchanged."""
        values = amend_row(
            transaction_id,
            flags=None if flags is None else flags_text(flags),
            other_stops=None if other_stops is None else stops_text(other_stops),
            note=note,
        )
        known = self._open.stored(transaction_id)
        if known is None:
            event = self.event_log.amended(transaction_id, *values[1:4])
            self.event_log.appended(self._writer.append(Kind.AMEND, (*values, *event)))
            return self._writer.append(Kind.ASSESS, row(transaction_id, *NOT_ASSESSED))
        given = {"flags": flags, "other_stops": other_stops, "note": note}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self._open.replace(msgspec.structs.replace(known, **changes))
        return self._writer.append(Kind.AMEND_OPEN, values)

    def price_transaction(self, transaction_id: int, costs: tuple[Cost, ...], *, correction: bool) -> Receipt:
        """Store all costs of a transaction; a `correction` of a closed one is an event.

        Nothing changes if the transaction has costs meanwhile with which these do not begin.
        """
        values = amend_row(transaction_id, costs=costs_text(costs))
        known = self._open.stored(transaction_id)
        if known is not None:  # in our copy: it may have ended in another process
            self._open.replace(msgspec.structs.replace(known, costs=costs))
        if not correction:
            return self._writer.append(Kind.AMEND, values)
        event = self.event_log.amended(transaction_id, None, None, None, values[-1])
        return self.event_log.appended(self._writer.append(Kind.AMEND, (*values, *event)))

    def update_transaction(self, transaction: Transaction) -> Receipt:
        """Store what later messages told of the beginning of a transaction, open or closed."""
        number = transaction.id
        values = amend_row(
            number,
            flags=flags_text(transaction.flags),
            connector=transaction.connector_id,
            id_tag=transaction.id_tag,
            started_at=text(transaction.started_at),
            verdict=transaction.verdict,
            reservation=transaction.reservation_id,
            evse=transaction.evse_id,
            charging_state=transaction.charging_state or None,
            id_type=transaction.id_type or None,
        )
        if number in self._open:
            self._open.replace(transaction)
            return self._writer.append(Kind.AMEND_OPEN, values)
        event = self.event_log.amended(number, *values[1:4])
        self.event_log.appended(self._writer.append(Kind.AMEND, (*values, *event)))
        return self._writer.append(Kind.ASSESS, row(number, *NOT_ASSESSED))

    def remote_transaction(self, charge_point_id: str, remote_id: str) -> Transaction | None:
        """Find a transaction by the id that its charge point gave it. Switches greenlets for one that is not open."""
        number = self._open.number_of(charge_point_id, remote_id)
        if number is not None:
            return self._open.get(number)
        query = f"SELECT {COLUMNS} FROM transactions WHERE charge_point = ? AND remote_id = ?"  # noqa: S608
        found = self._ask(query, charge_point_id, remote_id)
        return self._open.derived(transaction_of(found[0])) if found else None

    def assess_transaction(
        self,
        transaction_id: int,
        *,
        energy_wh: float | None,
        energy_source: str,
        supported_energy_wh: float | None,
        findings: tuple[str, ...],
        idle_since: dt.datetime | None = None,
    ) -> Receipt:
        """Store what was derived of a closed transaction, until a reading or an amendment invalidates it."""
        self._closed.pop(transaction_id, None)
        self.meter.energy_derived(transaction_id, energy_wh)
        idle = text(idle_since) or ""
        values = row(
            transaction_id, 1, energy_wh, energy_source, supported_energy_wh, flags_text(findings), idle
        )
        return self._writer.append(Kind.ASSESS, values)

    def transaction_over(
        self,
        charge_point_id: str,
        connector_id: int | None,
        received_at: dt.datetime,
        reason: str,
        transaction_id: int | None = None,
    ) -> Receipt:
        """Note why what is open on a connector (None: on all of them) cannot be going on; constant work."""
        fact = self._open.new_fact(charge_point_id, connector_id, received_at, reason, transaction_id)
        return NOTHING_NEW if fact is None else self.collections.over_facts.put(fact)

    def transaction_alive(self, transaction_id: int, received_at: dt.datetime) -> Receipt:
        """Note a sign of life of an open transaction; nothing is written unless it seemed to be over."""
        revived = self._open.revived(transaction_id, received_at)
        if revived is None:
            return NOTHING_NEW
        self._open.replace(revived)
        return self._writer.append(Kind.AMEND_OPEN, amend_row(transaction_id, life_at=text(revived.life_at)))

    def open_transactions(self, charge_point_id: str, *, limit: int | None = None) -> Sequence[Transaction]:
        """Return the open transactions of a charge point, or the last ones of them, oldest first."""
        return self._open.of(charge_point_id, limit)

    def open_on_connector(
        self, charge_point_id: str, connector_id: int, *, limit: int = 1
    ) -> Sequence[Transaction]:
        """Return open transactions of a connector, those that came last first. Never switches greenlets."""
        return self._open.on(charge_point_id, connector_id, limit)

    def open_with_tag(self, charge_point_id: str, id_tag: str, *, limit: int = 100) -> Sequence[Transaction]:
        """Return open transactions of a tag at a charge point, those that came last first. Never switches greenlets."""
        return self._open.with_tag(charge_point_id, id_tag, limit)

    def charging_with_tag(
        self, id_tag: str, *, besides: int | None = None, id_type: str = ""
    ) -> Transaction | None:
        """Find an accepted open transaction of a tag at any charge point that is going on, `besides` that one."""
        return self._open.charging(id_tag, besides, id_type)

    def transaction(self, transaction_id: int) -> Transaction | None:
        """Find a transaction by its id; None if there is none. Switches greenlets for one that is not open."""
        known = self._open.get(transaction_id)
        if known is not None:
            return known
        if transaction_id in self._fresh or abs(transaction_id) > LARGEST_INTEGER:
            return None
        found = self._ask(f"SELECT {COLUMNS} FROM transactions WHERE id = ?", transaction_id)  # noqa: S608
        return self._open.derived(transaction_of(found[0])) if found else None

    def open_transaction(self, transaction_id: int) -> Transaction | None:
        """Find an open transaction by its id; None if none is known to be open. Never switches greenlets."""
        return self._open.get(transaction_id)

    def owner_of(self, transaction_id: int) -> str | None:
        """Return the charge point of a transaction; None if there is none.

        Switches greenlets only for one that is not open and was not closed lately.
        """
        known = self._open.stored(transaction_id)
        if known is not None:
            return known.charge_point_id
        owner = self._closed.get(transaction_id)
        if owner is not None:
            return owner
        found = self.transaction(transaction_id)
        return None if found is None else found.charge_point_id

    def release_transaction(self, transaction_id: int) -> Receipt:  # noqa: ARG002 - nobody else writes
        """Have every process read an open transaction from the store again, before it is closed by hand."""
        return Receipt(done=True)

    def transactions(
        self,
        wanted: TransactionFilter = EVERYTHING,
        *,
        before: Cursor | None = None,
        limit: int = 100,
    ) -> Sequence[Transaction]:
        """Return transactions, newest first by our time of receipt of the start, then by id.

        Switches greenlets
        """
        found = newest_transactions(self._ask, self.fact, wanted, before, limit)
        return [self._open.derived(transaction) for transaction in found]

    def add_meter_reading(self, reading: MeterReading) -> Receipt:
        """Store meter values; identical ones that are sent again are stored once."""
        number = reading.transaction_id
        known = None if number is None else self._open.stored(number)
        closed_owner = None if number is None or known is not None else self._closed.get(number)
        owner = closed_owner if known is None else known.charge_point_id
        unattached = owner != reading.charge_point_id
        if known is not None or number is None or not 0 < number <= LARGEST_ID:
            return self._writer.append(Kind.READING, reading_row(reading, unattached=unattached))
        # Its transaction may have ended.
        place = (None, None) if UNKNOWN_TRANSACTION in reading.flags else self.event_log.next_place()
        values = reading_row(reading, unattached=unattached, place=place)
        receipt = self.event_log.appended(self._writer.append(Kind.READING, values))
        if closed_owner is None or self.others_write:  # it may have been assessed, too
            self._writer.append(Kind.ASSESS, row(number, *NOT_ASSESSED))
        return receipt

    def meter_readings(
        self, transaction_id: int, *, charge_point_id: str = "", limit: int = 10_000
    ) -> Sequence[MeterReading]:
        """Return the meter values of a transaction, in order of receipt; those of its charge point, if given."""
        query = f"SELECT {READING_COLUMNS} FROM readings"  # noqa: S608
        conditions = [
            ("transaction_id = ?", (transaction_id,)),
            ("charge_point = ?", charge_point_id),
            (NAMED_KNOWN, True),
        ]
        return records(select(self._ask, query, conditions, "ORDER BY number", limit), reading_of)

    def last_readings(self, transaction_ids: Sequence[int]) -> Sequence[MeterReading]:
        """Return the meter values of each of these transactions that came last."""
        if not transaction_ids:
            return []
        places = ", ".join("?" * len(transaction_ids))
        query = (
            f"SELECT {READING_COLUMNS} FROM readings WHERE number IN (SELECT max(number) FROM readings "  # noqa: S608
            f"WHERE transaction_id IN ({places}) GROUP BY transaction_id)"
        )
        return records(self._ask(query, *transaction_ids), reading_of)

    def readings_of(
        self,
        charge_point_id: str,
        *,
        connector_id: int | None = None,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
        without_transaction: bool = True,
        before: Cursor | None = None,
        limit: int = 100,
    ) -> Sequence[MeterReading]:
        """Return meter values of a charge point, newest first by time of receipt."""
        if not without_transaction:
            self._writer.append(Kind.SORT, ())
        return newest_readings(
            self._ask,
            charge_point_id,
            connector_id=connector_id,
            since=since,
            until=until,
            without_transaction=without_transaction,
            before=before,
            limit=limit,
            by_time=self.readings_by_time,
        )

    # -- Charge points ---------------------------------------------------------------------------

    def register(self, charge_point_id: str, status: str, version: str = "") -> Receipt:
        """Store the registration of a charge point, as its BootNotification was answered."""
        self._registrations[charge_point_id] = self._shared(status, version)
        return self._writer.append(Kind.REGISTER, row(charge_point_id, status, version))

    def forget(self, charge_point_id: str) -> Receipt:
        """Forget the registration of a charge point; one that never booted is no error.

        An empty registration is none; so one that comes after it in its batch counts.
        """
        self._registrations.pop(charge_point_id, None)
        self._writer.append(Kind.UNTOLD, row(charge_point_id))
        return self._writer.append(Kind.REGISTER, row(charge_point_id, "", ""))

    def _shared(self, status: str, version: str) -> StoredRegistration:
        """Return the one tuple that all charge points with this registration share."""
        registration = StoredRegistration(status, version)
        return self._shared_registrations.setdefault(registration, registration)

    def registration(self, charge_point_id: str) -> StoredRegistration | None:
        """Return the registration of a charge point; None if it has none."""
        return self._registrations.get(charge_point_id)

    def registered_ids(self, after: str = "", limit: int = 5000) -> Sequence[str]:
        """List charge points that have a registration, in the order of the database, behind one. Switches greenlets."""
        return [id_ for (id_,) in self._ask(REGISTERED_IDS, after, limit)]

    def find_registration(self, charge_point_id: str) -> StoredRegistration | None:
        """Return the registration of a charge point. Switches greenlets unless it is in memory, and only there."""
        known = self._registrations.get(charge_point_id)
        if known is not None and not self.others_write:
            return known
        return next((self._shared(*found) for found in self._ask(REGISTRATION, charge_point_id)), known)

    def find_registrations(self, charge_point_ids: Sequence[str]) -> Mapping[str, StoredRegistration]:
        """Read the registrations of these charge points."""
        if not charge_point_ids or not self.others_write:
            known = self._registrations
            return {id_: known[id_] for id_ in charge_point_ids if id_ in known}
        names = {storable(id_): id_ for id_ in charge_point_ids}
        places = ", ".join("?" * len(charge_point_ids))
        query = f"SELECT id, registration, version FROM charge_points WHERE registration <> '' AND id IN ({places})"  # noqa: S608
        found = self._ask(query, *charge_point_ids)
        return {names[id_]: self._shared(status, version) for id_, status, version in found}

    def registrations(self) -> Mapping[str, StoredRegistration]:
        """Return the registrations of all charge points that ever booted, by id."""
        return self._registrations

    def refresh(self, charge_point_id: str) -> Receipt:  # noqa: ARG002 - where nobody else writes, nothing is new
        """Read what other processes have stored of a charge point, before its first message is handled here."""
        return Receipt(done=True)

    def _persist(
        self, collection: str, key: str, data: bytes | None, event: DomainEvent | None = None
    ) -> Receipt:
        values = row(collection, key, None if data is None else json_text(data))
        if event is None:
            return self._writer.append(Kind.COLLECTION, values)
        values = (*values, *self.event_log.published(event))
        return self.event_log.appended(self._writer.append(Kind.COLLECTION, values))

    def note_told(
        self,
        charge_point_id: str,
        *,
        item: str,
        version: str,
        action: str,
        payload: bytes,
        received_at: dt.datetime,
    ) -> Receipt:
        """Store the last message of one kind that a charge point sent, in place of the one before."""
        values = row(charge_point_id, item, version, action, bytes(payload), text(received_at))
        return self._writer.append(Kind.TOLD, values)

    def told(self, charge_point_id: str) -> Sequence[Told]:
        """Return what a charge point told last, by item. Switches greenlets."""
        return [told_of(values) for values in self._ask(TOLD_OF, charge_point_id)]

    def told_by(self, charge_point_ids: Sequence[str]) -> Mapping[str, Sequence[Told]]:
        """Return what each of these charge points told last, by item. Switches greenlets."""
        found: dict[str, list[Told]] = {}
        if charge_point_ids:
            places = ", ".join("?" * len(charge_point_ids))
            query = f"SELECT charge_point, {TOLD} FROM told WHERE charge_point IN ({places}) ORDER BY item"  # noqa: S608
            names = {storable(id_): id_ for id_ in charge_point_ids}
            for charge_point, *values in self._ask(query, *charge_point_ids):
                found.setdefault(names[charge_point], []).append(told_of(values))
        return found

    def recall(self, charge_point_id: str, then: Callable[[Sequence[Told]], None]) -> None:
        """Call back in the hub with what a charge point told last, if there is something that can be read."""
        name = storable(charge_point_id)

        def take(found: list[Any], error: Exception | None) -> None:
            if error is None and found:
                then([told_of(values) for values in found])

        self._writer.look(lambda database: database.read(TOLD_OF, (name,)), take)

    def hold_events(self, why: str) -> None:
        """Refuse the history of events from now on, for this reason; "" takes it again."""
        self._bounds.held = why

    def hold_records(self, why: str) -> None:
        """Take no new record, for this reason, from the next batch on; "" takes them again."""
        self._writer.hold(why)

    def add_event(self, event: Event) -> Receipt:
        """Store an event; of too many of its charge point the oldest are dropped."""
        if self._bounds.held and is_history(event):
            return self._bounds.refused(event)
        data = self._bounds.encoded(event).decode()
        values = row(event.charge_point_id, event.kind, text(event.received_at), data)
        if has_event(event):
            told = msgspec.structs.replace(event, data=decoded(data))  # as it is stored
            values = (*values, *self.event_log.told(told))
            receipt = self.event_log.appended(self._writer.append(Kind.EVENT, values))
        else:
            receipt = self._writer.append(Kind.EVENT, values)
        if self._bounds.per_charge_point and random.random() * LOOK_EVERY < 1:  # noqa: S311 - no secret
            self._drop_events_of(event.charge_point_id)
        return receipt

    def _drop_events_of(self, charge_point_id: str) -> None:
        """Drop the oldest of too many events of a charge point; the work is the same however many there are."""
        name = storable(charge_point_id)
        values = (name, name, self._bounds.per_charge_point, DROPPED_AT_ONCE)

        def take(dropped: list[Any], error: Exception | None) -> None:
            if error is None:
                self._bounds.dropped(charge_point_id, len(dropped))

        self._writer.look(lambda database: database.read(SURPLUS_EVENTS, values), take)

    def publish(self, event: DomainEvent) -> Receipt:
        """Log a durable event that has no record here; its id is given to it."""
        return self.event_log.publish(event)

    def events(
        self,
        *,
        charge_point_id: str = "",
        kind: str = "",
        until: dt.datetime | None = None,
        skip: int = 0,
        limit: int = 100,
    ) -> Sequence[Event]:
        """Return events, newest first. Switches greenlets."""
        query = "SELECT charge_point, kind, received_at, data FROM events"
        conditions = [
            ("charge_point = ?", charge_point_id),
            ("kind = ?", kind),
            ("received_at <= ?", text(until)),
        ]
        found = select(self._ask, query, conditions, "ORDER BY number DESC", limit, skip)
        return records(found, event_of)

    # -- Spool -----------------------------------------------------------------------------------

    def spool(
        self,
        *,
        charge_point_id: str,
        version: str,
        action: str,
        unique_id: str,
        payload: bytes,
        transaction_id: int | None,
        received_at: dt.datetime,
        why: str,
        redeliver: bool = True,
    ) -> Receipt:
        """Store a transaction message that no handler has handled.

        With `redeliver` it waits for redelivery, else it is a dead letter.
        """
        key = self._starts.get(transaction_id) if transaction_id is not None else None
        start = None if key is None else msgspec.json.encode(key).decode()
        values = row(
            charge_point_id, action, unique_id, bytes(payload), transaction_id, text(received_at), why, start,
            int(not redeliver), version,
        )  # fmt: skip
        if transaction_id is not None:
            self._note_spooled(charge_point_id, transaction_id)
        return self._writer.append(Kind.SPOOL, values)

    def _note_spooled(self, charge_point_id: str, number: int) -> None:  # noqa: ARG002 - what several processes need
        """Note that a spooled start has a number: redelivered by whichever process, it becomes a transaction."""
        self._fresh.discard(number)

    def spooled(self, *, charge_point_id: str = "", limit: int = 1000) -> Sequence[Spooled]:
        """Return the messages that wait for redelivery, oldest first. Switches greenlets."""
        return self._spool_rows([("aside = 0", True), ("charge_point = ?", charge_point_id)], limit)

    def dead_letters(self, *, after: int = 0, limit: int = 1000) -> Sequence[Spooled]:
        """Return dead letters, oldest first, with numbers above `after`. Switches greenlets."""
        return self._spool_rows([("aside = 1", True), ("number > ?", after)], limit)

    def transaction_dead_letters(self, transaction_id: int, *, limit: int = 1000) -> Sequence[Spooled]:
        """Return the dead letters that belong to a transaction, oldest first. Switches greenlets."""
        return self._spool_rows([("aside = 1", True), ("transaction_id = ?", (transaction_id,))], limit)

    def forget_dead_letters(self, numbers: Sequence[int]) -> Receipt:
        """Delete dead letters; messages that wait for redelivery stay."""
        receipt = self._writer.append(Kind.BARRIER, ())
        for number in numbers:
            receipt = self._writer.append(Kind.FORGET, row(number))
        return receipt

    def _spool_rows(self, conditions: list[tuple[str, Any]], limit: int) -> list[Spooled]:
        query = (
            "SELECT number, charge_point, action, unique_id, payload, transaction_id, received_at, why, version "
            "FROM spool"
        )
        return records(select(self._ask, query, conditions, "ORDER BY number", limit), spooled_of)

    def spooled_charge_points(self) -> Sequence[str]:
        """Return the charge points whose messages wait for redelivery. Switches greenlets."""
        return [
            charge_point
            for (charge_point,) in self._ask("SELECT DISTINCT charge_point FROM spool WHERE aside = 0")
        ]

    def unspool(self, numbers: Sequence[int]) -> Receipt:
        """Delete messages that their plugin has handled."""
        receipt = self._writer.append(Kind.BARRIER, ())
        for number in numbers:
            receipt = self._writer.append(Kind.UNSPOOL, row(number))
        return receipt

    def requeue(self, numbers: Sequence[int]) -> Receipt:
        """Let dead letters wait for redelivery again, in their old places."""
        receipt = self._writer.append(Kind.BARRIER, ())
        for number in numbers:
            receipt = self._writer.append(Kind.REQUEUE, row(number))
        return receipt

    def dead_letter(self, number: int, why: str) -> Receipt:
        """Make a spooled message a dead letter: it is not redelivered any more, and stays visible."""
        return self._writer.append(Kind.DEAD_LETTER, row(number, why))


def _start_key(
    charge_point: str, connector: int, id_tag: str, at: dt.datetime | str, meter: int | None
) -> tuple[Any, ...]:
    return charge_point, connector, id_tag, at if isinstance(at, str) else at.isoformat(), meter
