"""Store in memory, which ends with its process and says so at start.

The store is bounded: over `limit` rows of a kind the oldest go, but never an open transaction or a spooled message;
what cannot be spooled any more is refused.
"""

from __future__ import annotations

import datetime as dt
import itertools
from bisect import bisect_left
from collections import Counter, OrderedDict, deque
from typing import TYPE_CHECKING, Any

import gevent
import msgspec

from .collections import Collections
from .event_bounds import EventBounds
from .events import CORRECTED, ENDED_KIND, STARTED_KIND
from .memory_event_log import MemoryEventLog
from .meter import COUNTED, StoreFigures, StoreMeter
from .open_transactions import OpenTransactions, stored
from .records import (
    EVERYTHING,
    NOT_ASSESSED,
    UNKNOWN_TRANSACTION,
    Cursor,
    Event,
    MeterReading,
    Spooled,
    StoredRegistration,
    StoreSize,
    Transaction,
    TransactionFilter,
)
from .reports import MemoryReports
from .store import ENDED_OTHERWISE, NEVER_STARTED, NoBackup, Receipt, RowRefused, StoreError
from .variables import MemoryVariables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ..protocol.events import DomainEvent
    from .records import Cost, StopFigures, Tag, Told
    from .retention import RetentionTable

TOLD_LATER = (
    "flags", "connector_id", "id_tag", "started_at", "verdict", "reservation_id", "evse_id", "charging_state",
    "id_type",
)  # fmt: skip
"""Fields of a transaction that its charge point may tell after its first message."""
PERSISTED = Receipt(done=True)
"""Receipt of everything here: as durable as it will get."""

LIMIT = 100_000
LOGGED = 20_000
"""Durable events that are kept at most."""
LARGEST_ID = 2**31 - 1
SLACK = 10
"""Part of a charge point's events that may be there above their limit: a tenth."""
DROPPED_PART = 100
"""Part of the readings that are dropped at once when there are too many: a hundredth."""
MOST_PLACES, SPARE_PLACES = 1.25, 1000
"""Places for each transaction, and besides: with more, those of transactions that are gone are dropped together."""
AT_A_TIME = 5000
"""Transactions looked at before other greenlets have their turn."""


class MemoryStore:
    """Store in memory: bounded, and gone when the process ends."""

    durable = False
    others_write = False

    def __init__(
        self,
        *,
        limit: int = LIMIT,
        first_transaction_id: int = 1,
        tags: Iterable[Tag] = (),
        bounds: EventBounds | None = None,
        origin: str = "",
    ) -> None:
        self.meter = StoreMeter()
        self._bounds = bounds or EventBounds()
        self.event_log = MemoryEventLog(origin, min(limit, LOGGED))
        self.reports = MemoryReports(self._append, limit)
        self.variables = MemoryVariables(self._append)
        self.backup_suffix = ""
        self.retention: RetentionTable | None = None  # what it holds is bounded, and ends with it
        self._limit = limit
        self._ids = itertools.count(first_transaction_id)
        self._numbers = itertools.count(1)
        self._allotted: OrderedDict[tuple[Any, ...], int] = OrderedDict()  # starts whose transaction is open
        self._starts: dict[int, tuple[Any, ...]] = {}
        self.collections = Collections(self._persist)
        self._open = OpenTransactions(self.collections.over_facts)
        self._closed: OrderedDict[int, Transaction] = OrderedDict()
        self._closed_remote: dict[tuple[str, str], int] = {}  # those of charge points that name them
        # Time of receipt and id of all transactions, in order.
        self._open_by_id = self._open.by_id
        self._order: deque[tuple[dt.datetime, int]] = deque()
        self._order_of: dict[str, deque[tuple[dt.datetime, int]]] = {}  # the same by charge point
        # Readings by transaction, those that name none by charge point; each by what makes two of them the same, which
        # are mostly the values alone.
        self._readings: dict[int | str, dict[bytes | tuple[bytes, int, str], MeterReading]] = {}
        self._reading_owners: list[int | str] = []  # keys of these, a reading each, in order of receipt
        self._dropped_readings = 0
        self._registrations: dict[str, StoredRegistration] = {}
        self._shared_registrations: dict[StoredRegistration, StoredRegistration] = {}
        self._events: deque[Event] = deque()
        self._events_of: dict[str, int] = {}  # number by charge point
        for tag in tags:
            self.collections.tags.put(tag)
        self._spool: dict[int, Spooled] = {}
        self._spooled_by: dict[str, dict[int, None]] = {}  # numbers by charge point, in order
        self._dead_letters: dict[int, Spooled] = {}

    def _append(self, append: Callable[[], Receipt]) -> Receipt:
        """Append at once; for stores that do otherwise."""
        return append()

    def follow_now(self) -> Receipt:
        """Return a settled receipt: no other process changes collections."""
        return PERSISTED

    def _persist(
        self,
        collection: str,  # noqa: ARG002 - nothing is written
        key: str,  # noqa: ARG002
        data: bytes | None,  # noqa: ARG002
        event: DomainEvent | None = None,
    ) -> Receipt:
        if event is not None:
            self.event_log.publish(event)
        return PERSISTED

    def backup(self, path: str) -> None:  # noqa: ARG002 - what a store that can do it needs
        """Refuse: there is no file to copy."""
        raise NoBackup("the store is memory: there is no file to copy")

    depth = 0

    def probe(self, then: Callable[[Exception | None], None]) -> None:
        """Call back at once: memory always answers."""
        then(None)

    def count(self, then: Callable[[StoreFigures | None], None]) -> None:
        """Call back with the numbers of records."""
        letters = self.event_log.dead_letters(limit=COUNTED)
        then(StoreFigures(len(self._spool), len(self._dead_letters), len(letters), len(self._open_by_id)))

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    # -- Transactions --------------------------------------------------------------------------

    def allot_transaction_id(
        self, charge_point_id: str, start: tuple[int, str, dt.datetime | str, int] | None
    ) -> int:
        """Allot a transaction id: unique, positive, 32 bit, never used again.

        The same for a start that is sent again.
        """
        key = None if start is None else (charge_point_id, *start)
        if key is not None and key in self._allotted:
            return self._allotted[key]
        number = next(self._ids)
        if number > LARGEST_ID:
            raise OverflowError("there are no transaction ids left")
        if key is not None:
            self._allotted[key] = number
            self._starts[number] = key
            if len(self._allotted) > self._limit:
                _, oldest = self._allotted.popitem(last=False)
                self._starts.pop(oldest, None)
        return number

    def start_transaction(self, transaction: Transaction) -> Receipt:
        """Store a started transaction; an existing one is left unchanged."""
        number = transaction.id
        if number not in self._open_by_id and number not in self._closed:
            place = (transaction.start_received_at, number)
            of_charge_point = self._order_of.get(transaction.charge_point_id)
            if of_charge_point is None:
                of_charge_point = self._order_of[transaction.charge_point_id] = deque()
            for order in (self._order, of_charge_point):
                if not order or order[-1] < place:
                    order.append(place)
                else:
                    order.insert(bisect_left(order, place), place)
            self.event_log.append(STARTED_KIND, transaction.start_received_at, transaction)
            self.meter.started += 1
            if transaction.open:
                self._open.add(transaction)
            else:
                at = transaction.stop_received_at or transaction.start_received_at
                self.event_log.append(ENDED_KIND, at, transaction)
                self._closed[number] = msgspec.structs.replace(transaction, **NOT_ASSESSED)
                self._note_closed(transaction)
            if len(self._open_by_id) + len(self._closed) > self._limit:
                self._drop_oldest_closed()
        return PERSISTED

    def _note_closed(self, transaction: Transaction) -> None:
        if transaction.remote_id:
            self._closed_remote[transaction.charge_point_id, transaction.remote_id] = transaction.id

    def _drop_oldest_closed(self) -> None:
        if self._closed:
            _, transaction = self._closed.popitem(last=False)
            self._closed_remote.pop((transaction.charge_point_id, transaction.remote_id), None)
            charge_point_id = transaction.charge_point_id
            of_charge_point = self._order_of[charge_point_id]
            self._drop_gone(self._order)
            self._drop_gone(of_charge_point)
            if not of_charge_point:
                del self._order_of[charge_point_id]
            if len(self._order) > (len(self._open_by_id) + len(self._closed)) * MOST_PLACES + SPARE_PLACES:
                self._order = deque(place for place in self._order if self._is_there(place[1]))
                of = self._order_of.items()
                left = {id_: deque(place for place in order if self._is_there(place[1])) for id_, order in of}
                self._order_of = {id_: order for id_, order in left.items() if order}

    def _drop_gone(self, order: deque[tuple[dt.datetime, int]]) -> None:
        """Drop the first places of transactions that are gone: those behind one that stays open wait for more."""
        while order and not self._is_there(order[0][1]):
            order.popleft()

    def _is_there(self, number: int) -> bool:
        return number in self._open_by_id or number in self._closed

    def stop_transaction(self, transaction: Transaction) -> Receipt:
        """Store the end of a transaction; refused if it never started, or has ended with other figures."""
        if self._open.remove(transaction.id) is not None:
            self.meter.transaction_ended(transaction)
            closed = self._closed[transaction.id] = stored(transaction)
            at = transaction.stop_received_at or transaction.start_received_at
            self.event_log.append(ENDED_KIND, at, closed)
            self._note_closed(closed)
            start = self._starts.pop(transaction.id, None)
            self._allotted.pop(start, None)  # type: ignore[arg-type]
        else:
            known = self._closed.get(transaction.id)
            if known is None:
                return Receipt(done=True, error=RowRefused(f"{NEVER_STARTED}: {transaction.id}"))
            if _figures(known) != _figures(transaction):
                return Receipt(done=True, error=RowRefused(f"{ENDED_OTHERWISE}: {transaction.id}"))
        return PERSISTED

    def flag_transaction(self, transaction_id: int, flag: str) -> Receipt:
        """Add a flag to an open transaction, once; one that is not open is left unchanged."""
        known = self._open.stored(transaction_id)
        if known is not None and flag not in known.flags:
            self._open.replace(msgspec.structs.replace(known, flags=(*known.flags, flag)))
        return PERSISTED

    def amend_transaction(
        self,
        transaction_id: int,
        *,
        flags: tuple[str, ...] | None = None,
        other_stops: tuple[StopFigures, ...] | None = None,
        note: str | None = None,
    ) -> Receipt:
        """Replace what stands beside the figures of a transaction; None leaves a column unchanged."""
        given = {"flags": flags, "other_stops": other_stops, "note": note}
        changes = {name: value for name, value in given.items() if value is not None}
        self._change(transaction_id, {**NOT_ASSESSED, **changes})
        return PERSISTED

    def price_transaction(self, transaction_id: int, costs: tuple[Cost, ...], *, correction: bool) -> Receipt:
        """Store all costs of a transaction; a `correction` of a closed one is an event.

        Nothing changes if the transaction has costs meanwhile with which these do not begin.
        """
        before = self._closed.get(transaction_id)
        if before is not None and costs[: len(before.costs)] != before.costs:
            return PERSISTED
        self._change(transaction_id, {"costs": costs})
        if correction and before is not None and before.costs != costs:
            self.event_log.append(CORRECTED, dt.datetime.now(dt.UTC), self._closed[transaction_id])
        return PERSISTED

    def update_transaction(self, transaction: Transaction) -> Receipt:
        """Store what later messages told of the beginning of a transaction, open or closed."""
        changes = {name: getattr(transaction, name) for name in TOLD_LATER}
        self._change(transaction.id, {**NOT_ASSESSED, **changes})
        return PERSISTED

    def remote_transaction(self, charge_point_id: str, remote_id: str) -> Transaction | None:
        """Find a transaction by the id that its charge point gave it; None if there is none."""
        number = self._open.number_of(charge_point_id, remote_id)
        if number is None:
            number = self._closed_remote.get((charge_point_id, remote_id))
        return None if number is None else self.transaction(number)

    def _change(self, transaction_id: int, changes: Mapping[str, Any]) -> None:
        known = self._open.stored(transaction_id)
        if known is not None:
            self._open.replace(msgspec.structs.replace(known, **changes))
        elif transaction_id in self._closed:
            before = self._closed[transaction_id]
            after = self._closed[transaction_id] = msgspec.structs.replace(before, **changes)
            if (before.flags, before.other_stops, before.note) != (
                after.flags,
                after.other_stops,
                after.note,
            ):
                self.event_log.append(CORRECTED, dt.datetime.now(dt.UTC), after)

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
        if transaction_id in self._closed:
            self.meter.energy_derived(transaction_id, energy_wh)
            self._change(
                transaction_id,
                {
                    "assessed": True,
                    "energy_wh": energy_wh,
                    "energy_source": energy_source,
                    "supported_energy_wh": supported_energy_wh,
                    "findings": findings,
                    "idle_since": idle_since,
                    "idle_derived": True,
                },
            )
        return PERSISTED

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
        return PERSISTED if fact is None else self.collections.over_facts.put(fact)

    def transaction_alive(self, transaction_id: int, received_at: dt.datetime) -> Receipt:
        """Note a sign of life of an open transaction; nothing is written unless it seemed to be over."""
        revived = self._open.revived(transaction_id, received_at)
        if revived is not None:
            self._open.replace(revived)
        return PERSISTED

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
        """Find a transaction by its id; None if there is none."""
        return self._open.get(transaction_id) or self._closed.get(transaction_id)

    def open_transaction(self, transaction_id: int) -> Transaction | None:
        """Find an open transaction by its id; None if none is known to be open."""
        return self._open.get(transaction_id)

    def owner_of(self, transaction_id: int) -> str | None:
        """Return the charge point of a transaction; None if there is none."""
        known = self._open_by_id.get(transaction_id) or self._closed.get(transaction_id)
        return None if known is None else known.charge_point_id

    def release_transaction(self, transaction_id: int) -> Receipt:  # noqa: ARG002 - nobody else writes
        """Have every process read an open transaction from the store again, before it is closed by hand."""
        return PERSISTED

    def transactions(
        self,
        wanted: TransactionFilter = EVERYTHING,
        *,
        before: Cursor | None = None,
        limit: int = 100,
    ) -> Sequence[Transaction]:
        """Return transactions, newest first by our time of receipt of the start, then by id.

        Switches greenlets when there are many.
        """
        found = (one for one in self._newest(wanted.charge_point_id, before) if wanted.matches(one))
        return list(itertools.islice(found, limit))

    def _newest(self, charge_point_id: str, before: Cursor | None) -> Iterator[Transaction]:
        """Yield transactions, newest first: those of a charge point, if one is given."""
        order = list(self._order_of.get(charge_point_id, ()) if charge_point_id else self._order)
        end = len(order) if before is None else bisect_left(order, before)
        for looked_at, place in enumerate(reversed(range(end)), 1):
            transaction = self.transaction(order[place][1])
            if transaction is not None:  # dropped meanwhile
                yield transaction
            if looked_at % AT_A_TIME == 0:
                gevent.sleep(0)

    def add_meter_reading(self, reading: MeterReading) -> Receipt:
        """Store meter values; identical ones that are sent again are stored once."""
        values, number = reading.values, reading.transaction_id
        if type(values) is not bytes:  # it may be a part of a frame
            values = bytes(values)
            reading = msgspec.structs.replace(reading, values=values)
        owner = reading.charge_point_id if number is None else number
        readings = self._readings.get(owner)
        values = reading.identity or values
        if readings is None:
            self._readings[owner] = {values: reading}
        else:
            known = readings.get(values)
            if known is None:
                readings[values] = reading
            elif _same(known, reading):
                return PERSISTED
            else:  # of another charge point, or without its connector
                key = values, reading.connector_id, reading.charge_point_id
                if key in readings:
                    return PERSISTED
                readings[key] = reading
        owners = self._reading_owners
        owners.append(owner)
        if len(owners) > self._limit:
            self._drop_oldest_readings()
        if number is not None and number not in self._open_by_id:
            closed = self._closed.get(number)
            if closed is not None:
                self._late(closed, reading)
        return PERSISTED

    def _late(self, closed: Transaction, reading: MeterReading) -> None:
        if closed.assessed:
            self._change(closed.id, NOT_ASSESSED)
        if closed.charge_point_id == reading.charge_point_id and UNKNOWN_TRANSACTION not in reading.flags:
            self.event_log.append(CORRECTED, reading.received_at, closed)

    def _drop_oldest_readings(self) -> None:
        number = max(1, self._limit // DROPPED_PART)
        owners = Counter(self._reading_owners[:number])
        del self._reading_owners[:number]
        for owner, dropped in owners.items():  # the oldest of all are the oldest of their owner
            readings = self._readings[owner]
            if dropped == len(readings):
                del self._readings[owner]
            else:
                for key in list(itertools.islice(readings, dropped)):
                    del readings[key]
        self._dropped_readings += number

    def meter_readings(
        self, transaction_id: int, *, charge_point_id: str = "", limit: int = 10_000
    ) -> Sequence[MeterReading]:
        """Return the meter values of a transaction, in order of receipt; those of its charge point, if given."""
        own = (
            one
            for one in self._readings.get(transaction_id, {}).values()
            if (not charge_point_id or one.charge_point_id == charge_point_id)
            and UNKNOWN_TRANSACTION not in one.flags
        )
        return list(itertools.islice(own, limit))

    def last_readings(self, transaction_ids: Sequence[int]) -> Sequence[MeterReading]:
        """Return the meter values of each of these transactions that came last."""
        of = (self._readings.get(transaction_id) for transaction_id in transaction_ids)
        return [next(reversed(readings.values())) for readings in of if readings]

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
        """Return meter values of a charge point, newest first by time of receipt; switches greenlets."""
        found = []
        # Numbers are in order of receipt, and stay when older ones are dropped.
        owners, number = list(self._reading_owners), self._dropped_readings
        of = {owner: iter(list(readings.values())) for owner, readings in self._readings.items()}
        for owner in owners:
            number += 1
            reading = next(of[owner])
            if number % AT_A_TIME == 0:
                gevent.sleep(0)
            if reading.charge_point_id != charge_point_id:
                continue
            one = msgspec.structs.replace(reading, number=number)
            if (
                (connector_id is None or one.connector_id == connector_id)
                and (since is None or one.received_at >= since)
                and (until is None or one.received_at < until)
                and (before is None or (one.received_at, one.number) < before)
                and not (without_transaction and self._has_transaction(one))
            ):
                found.append(one)
        found.sort(key=lambda one: (one.received_at, one.number), reverse=True)
        return found[:limit]

    def _has_transaction(self, reading: MeterReading) -> bool:
        if reading.transaction_id is None or UNKNOWN_TRANSACTION in reading.flags:
            return False
        transaction = self.transaction(reading.transaction_id)
        return transaction is not None and transaction.charge_point_id == reading.charge_point_id

    # -- Charge points ---------------------------------------------------------------------------

    def register(self, charge_point_id: str, status: str, version: str = "") -> Receipt:
        """Store the registration of a charge point, as its BootNotification was answered."""
        self._registrations[charge_point_id] = self._shared(status, version)
        return PERSISTED

    def _shared(self, status: str, version: str) -> StoredRegistration:
        """Return the one tuple that all charge points with this registration share."""
        registration = StoredRegistration(status, version)
        return self._shared_registrations.setdefault(registration, registration)

    def registration(self, charge_point_id: str) -> StoredRegistration | None:
        """Return the registration of a charge point; None if it has none."""
        return self._registrations.get(charge_point_id)

    def registered_ids(self, after: str = "", limit: int = 5000) -> Sequence[str]:
        """List charge points that have a registration, by id, behind one of them."""
        return sorted(id_ for id_ in self._registrations if id_ > after)[:limit]

    def find_registration(self, charge_point_id: str) -> StoredRegistration | None:
        """Return the registration of a charge point."""
        return self._registrations.get(charge_point_id)

    def find_registrations(self, charge_point_ids: Sequence[str]) -> Mapping[str, StoredRegistration]:
        """Read the registrations of these charge points."""
        known = self._registrations
        return {id_: known[id_] for id_ in charge_point_ids if id_ in known}

    def registrations(self) -> Mapping[str, StoredRegistration]:
        """Return the registrations of all charge points that ever booted, by id."""
        return self._registrations

    def forget(self, charge_point_id: str) -> Receipt:
        """Forget the registration of a charge point; one that never booted is no error."""
        self._registrations.pop(charge_point_id, None)
        return PERSISTED

    def refresh(self, charge_point_id: str) -> Receipt:  # noqa: ARG002 - nobody else writes
        """Read what other processes have stored of a charge point, before its first message is handled here."""
        return PERSISTED

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
        """Store nothing: the last facts of a charge point are in its session, which lives as long as this store."""
        del charge_point_id, item, version, action, payload, received_at
        return PERSISTED

    def told(self, charge_point_id: str) -> Sequence[Told]:  # noqa: ARG002 - nothing is kept of any
        """Return nothing."""
        return ()

    def told_by(self, charge_point_ids: Sequence[str]) -> Mapping[str, Sequence[Told]]:  # noqa: ARG002 - as above
        """Return nothing: nothing is kept of any charge point."""
        return {}

    def recall(self, charge_point_id: str, then: Callable[[Sequence[Told]], None]) -> None:
        """Do nothing: there is nothing to recall."""

    def hold_events(self, why: str) -> None:
        """Do nothing: there is no disk."""

    def measure(self) -> StoreSize | None:
        """Return nothing: the memory of the process has it all."""
        return None

    def hold_records(self, why: str) -> None:
        """Do nothing: there is no disk."""

    def add_event(self, event: Event) -> Receipt:
        """Store an event; of too many of its charge point the oldest are dropped."""
        charge_point_id, limit = event.charge_point_id, self._bounds.per_charge_point
        fitted = self._bounds.fitted(event)
        self._events.append(fitted)
        self.event_log.told(fitted)
        number = self._events_of[charge_point_id] = self._events_of.get(charge_point_id, 0) + 1
        if limit and number > limit + limit // SLACK:
            self._drop_events_of(charge_point_id, number - limit)
        elif len(self._events) > self._limit:
            self._leave_event(self._events.popleft())
        return PERSISTED

    def _leave_event(self, event: Event) -> None:
        left = self._events_of[event.charge_point_id] - 1
        if left:
            self._events_of[event.charge_point_id] = left
        else:
            del self._events_of[event.charge_point_id]

    def _drop_events_of(self, charge_point_id: str, surplus: int) -> None:
        """Drop the oldest events of a charge point: so many at once that the search is worth it."""
        left: deque[Event] = deque()
        dropped = 0
        for event in self._events:
            if dropped < surplus and event.charge_point_id == charge_point_id:
                dropped += 1
                self._leave_event(event)
            else:
                left.append(event)
        self._events = left
        self._bounds.dropped(charge_point_id, dropped)

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
        """Return events, newest first."""
        found = (
            event
            for event in reversed(self._events)
            if (not charge_point_id or event.charge_point_id == charge_point_id)
            and (not kind or event.kind == kind)
            and (until is None or event.received_at <= until)
        )
        return list(itertools.islice(found, skip, skip + limit))

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
        if len(self._spool if redeliver else self._dead_letters) >= self._limit:
            fault = "messages wait in the spool" if redeliver else "dead letters are kept"
            return Receipt(done=True, error=StoreError(f"{self._limit} {fault} already"))
        number = next(self._numbers)
        record = Spooled(
            number=number,
            charge_point_id=charge_point_id,
            action=action,
            unique_id=unique_id,
            payload=bytes(payload),
            transaction_id=transaction_id,
            received_at=received_at,
            why=why,
            version=version,
        )
        if redeliver:
            self._spool[number] = record
            self._spooled_by.setdefault(charge_point_id, {})[number] = None
        else:
            self._dead_letters[number] = record
        return PERSISTED

    def spooled(self, *, charge_point_id: str = "", limit: int = 1000) -> Sequence[Spooled]:
        """Return the messages that wait for redelivery, oldest first."""
        numbers = self._spooled_by.get(charge_point_id, {}) if charge_point_id else self._spool
        return [self._spool[number] for number in itertools.islice(numbers, limit)]

    def spooled_charge_points(self) -> Sequence[str]:
        """Return the charge points whose messages wait for redelivery."""
        return list(self._spooled_by)

    def unspool(self, numbers: Sequence[int]) -> Receipt:
        """Delete messages that their plugin has handled."""
        for number in numbers:
            self._take_out(number)
        return PERSISTED

    def dead_letter(self, number: int, why: str) -> Receipt:
        """Make a spooled message a dead letter: it is not redelivered any more, and stays visible."""
        record = self._take_out(number)
        if record is not None:
            self._dead_letters[number] = msgspec.structs.replace(record, why=why)
            if len(self._dead_letters) > self._limit:
                del self._dead_letters[next(iter(self._dead_letters))]
        return PERSISTED

    def dead_letters(self, *, after: int = 0, limit: int = 1000) -> Sequence[Spooled]:
        """Return dead letters, oldest first, with numbers above `after`."""
        return [self._dead_letters[number] for number in sorted(self._dead_letters) if number > after][:limit]

    def transaction_dead_letters(self, transaction_id: int, *, limit: int = 1000) -> Sequence[Spooled]:
        """Return the dead letters that belong to a transaction, oldest first."""
        found = (
            self._dead_letters[number]
            for number in sorted(self._dead_letters)
            if self._dead_letters[number].transaction_id == transaction_id
        )
        return list(itertools.islice(found, limit))

    def forget_dead_letters(self, numbers: Sequence[int]) -> Receipt:
        """Delete dead letters; messages that wait for redelivery stay."""
        for number in numbers:
            self._dead_letters.pop(number, None)
        return PERSISTED

    def requeue(self, numbers: Sequence[int]) -> Receipt:
        """Let dead letters wait for redelivery again, in their old places."""
        found = [number for number in dict.fromkeys(numbers) if number in self._dead_letters]
        if len(self._spool) + len(found) > self._limit:
            return Receipt(done=True, error=StoreError(f"{self._limit} messages wait in the spool already"))
        owners = set()
        for number in found:
            record = self._spool[number] = self._dead_letters.pop(number)
            self._spooled_by.setdefault(record.charge_point_id, {})[number] = None
            owners.add(record.charge_point_id)
        if found:  # each in its old place
            self._spool = dict(sorted(self._spool.items()))
        for charge_point_id in owners:
            self._spooled_by[charge_point_id] = dict.fromkeys(sorted(self._spooled_by[charge_point_id]))
        return PERSISTED

    def _take_out(self, number: int) -> Spooled | None:
        record = self._spool.pop(number, None)
        if record is not None:
            numbers = self._spooled_by[record.charge_point_id]
            del numbers[number]
            if not numbers:
                del self._spooled_by[record.charge_point_id]
        return record


def _same(one: MeterReading, other: MeterReading) -> bool:
    return one.connector_id == other.connector_id and one.charge_point_id == other.charge_point_id


def _figures(transaction: Transaction) -> tuple[Any, ...]:
    """Return by what the end that counts is known from another one."""
    return transaction.meter_stop, transaction.stopped_at, transaction.stop_reason, transaction.stop_id_tag
