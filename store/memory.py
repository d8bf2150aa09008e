"""A store that lives and dies with its process. It promises nothing beyond that, and says so at start.

It is bounded: over `keep` rows of a kind the oldest go, but never an open transaction or a spooled message; what
cannot be spooled any more is refused.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

import gevent
import msgspec

from .collections import Collections
from .records import (
    EVERYTHING,
    Event,
    MeterReading,
    Spooled,
    StoredRegistration,
    Transaction,
    TransactionFilter,
)
from .store import NoBackup, Receipt, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from .records import Tag

KEPT = Receipt(done=True)
"""The one receipt of everything here: it is as durable as it will get."""

KEEP = 100_000
LARGEST_ID = 2**31 - 1
AT_A_TIME = 5000
"""Transactions looked at before other greenlets have their turn."""


class MemoryStore:
    """Store in memory: bounded, and gone when the process ends."""

    durable = False

    def __init__(self, *, keep: int = KEEP, first_transaction_id: int = 1, tags: Iterable[Tag] = ()) -> None:
        self._keep = keep
        self._ids = itertools.count(first_transaction_id)
        self._numbers = itertools.count(1)
        self._allotted: OrderedDict[tuple[Any, ...], int] = OrderedDict()  # starts whose transaction is open
        self._starts: dict[int, tuple[Any, ...]] = {}
        self._transactions: OrderedDict[int, Transaction] = OrderedDict()
        self._open_by_tag: dict[str, set[int]] = {}
        self._open_of: dict[str, dict[int, None]] = {}  # numbers by charge point, in order
        self._readings: OrderedDict[tuple[Any, ...], MeterReading] = OrderedDict()
        self._registrations: dict[str, StoredRegistration] = {}
        self._shared_registrations: dict[StoredRegistration, StoredRegistration] = {}
        self._events: deque[Event] = deque(maxlen=keep)
        self.collections = Collections(lambda *_: KEPT)
        for tag in tags:
            self.collections.tags.put(tag)
        self._spool: dict[int, Spooled] = {}
        self._spooled_by: dict[str, dict[int, None]] = {}  # numbers by charge point, in order
        self._aside: dict[int, Spooled] = {}

    def backup(self, path: str) -> None:  # noqa: ARG002 - what a store that can do it needs
        """Refuse it."""
        raise NoBackup("the store is memory: there is no file to copy")

    def close(self) -> None:
        """Nothing is left to do."""

    # -- Transactions --------------------------------------------------------------------------

    def allot_transaction_id(self, charge_point_id: str, start: tuple[int, str, datetime, int] | None) -> int:
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
            if len(self._allotted) > self._keep:
                _, oldest = self._allotted.popitem(last=False)
                self._starts.pop(oldest, None)
        return number

    def start_transaction(self, transaction: Transaction) -> Receipt:
        """Store a started transaction; an existing one is left unchanged."""
        if transaction.id not in self._transactions:
            self._transactions[transaction.id] = transaction
            self._open_by_tag.setdefault(transaction.id_tag.lower(), set()).add(transaction.id)
            self._open_of.setdefault(transaction.charge_point_id, {})[transaction.id] = None
            if len(self._transactions) > self._keep:
                self._drop_oldest_closed()
        return KEPT

    def _drop_oldest_closed(self) -> None:
        for number, transaction in self._transactions.items():
            if not transaction.open:
                del self._transactions[number]
                return

    def stop_transaction(self, transaction: Transaction) -> Receipt:
        """Store the end of a transaction; one that has ended, or never started, is left unchanged."""
        known = self._transactions.get(transaction.id)
        if known is not None and known.open:
            self._transactions[transaction.id] = transaction
            open_ids = self._open_by_tag.get(known.id_tag.lower(), set())
            open_ids.discard(transaction.id)
            if not open_ids:
                self._open_by_tag.pop(known.id_tag.lower(), None)
            numbers = self._open_of[known.charge_point_id]
            del numbers[transaction.id]
            if not numbers:
                del self._open_of[known.charge_point_id]
            start = self._starts.pop(transaction.id, None)
            self._allotted.pop(start, None)  # type: ignore[arg-type]
        return KEPT

    def flag_transaction(self, transaction_id: int, flag: str) -> Receipt:
        """Add a flag to an open transaction, once; one that is not open is left unchanged."""
        known = self._transactions.get(transaction_id)
        if known is not None and known.open and flag not in known.flags:
            self._transactions[transaction_id] = msgspec.structs.replace(known, flags=(*known.flags, flag))
        return KEPT

    def open_transactions(self, charge_point_id: str) -> Sequence[Transaction]:
        """Return the open transactions of a charge point, oldest first. Never switches greenlets."""
        return [self._transactions[number] for number in self._open_of.get(charge_point_id, ())]

    def open_transactions_of_tag(self, id_tag: str) -> Sequence[Transaction]:
        """Return the open transactions of an id tag at any charge point, oldest first. Never switches greenlets."""
        return [self._transactions[number] for number in sorted(self._open_by_tag.get(id_tag.lower(), ()))]

    def transaction(self, transaction_id: int) -> Transaction | None:
        """Find a transaction by its id; None if there is none."""
        return self._transactions.get(transaction_id)

    def transactions(
        self,
        wanted: TransactionFilter = EVERYTHING,
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[Transaction]:
        """Return transactions, highest ids first; `before` is the id under which the next page begins.

        Switches greenlets when there are many.
        """
        found = (
            transaction
            for transaction in self._newest(wanted.id_tag if wanted.open_only else "", before)
            if wanted.matches(transaction)
        )
        return list(itertools.islice(found, limit))

    def _newest(self, charges_with: str, before: int | None) -> Iterator[Transaction]:
        """Yield transactions, highest ids first; for a tag only the open ones."""
        numbers = sorted(
            self._open_by_tag.get(charges_with.lower(), ()) if charges_with else self._transactions
        )
        end = len(numbers) if before is None else bisect_left(numbers, before)
        for looked_at, place in enumerate(reversed(range(end)), 1):
            transaction = self._transactions.get(numbers[place])
            if transaction is not None:  # dropped meanwhile
                yield transaction
            if looked_at % AT_A_TIME == 0:
                gevent.sleep(0)

    def add_meter_reading(self, reading: MeterReading) -> Receipt:
        """Store meter values; identical ones that are sent again are stored once."""
        key = (reading.charge_point_id, reading.connector_id, reading.transaction_id, reading.values)
        readings = self._readings
        if key not in readings:
            readings[key] = reading
            if len(readings) > self._keep:
                readings.popitem(last=False)
        return KEPT

    def meter_readings(self, transaction_id: int, *, limit: int = 10_000) -> Sequence[MeterReading]:
        """Return the meter values of a transaction, in order of receipt."""
        found = (reading for reading in self._readings.values() if reading.transaction_id == transaction_id)
        return list(itertools.islice(found, limit))

    # -- Charge points ---------------------------------------------------------------------------

    def register(self, charge_point_id: str, status: str, version: str = "") -> Receipt:
        """Store the registration of a charge point, as its BootNotification was answered."""
        self._registrations[charge_point_id] = self._shared(status, version)
        return KEPT

    def _shared(self, status: str, version: str) -> StoredRegistration:
        """Return the one tuple that all charge points with this registration share."""
        registration = StoredRegistration(status, version)
        return self._shared_registrations.setdefault(registration, registration)

    def registration(self, charge_point_id: str) -> StoredRegistration | None:
        """Return the registration of a charge point; None if it has none."""
        return self._registrations.get(charge_point_id)

    def registrations(self) -> Mapping[str, StoredRegistration]:
        """Return the registrations of all charge points that ever booted, by id."""
        return self._registrations

    def forget(self, charge_point_id: str) -> Receipt:
        """Forget the registration of a charge point; one that never booted is no error."""
        self._registrations.pop(charge_point_id, None)
        return KEPT

    def refresh(self, charge_point_id: str) -> Receipt:  # noqa: ARG002 - nobody else writes
        """Read what other processes have stored of a charge point, before its first message is handled here."""
        return KEPT

    def add_event(self, event: Event) -> Receipt:
        """Store an event."""
        self._events.append(event)
        return KEPT

    def events(self, *, charge_point_id: str = "", kind: str = "", limit: int = 100) -> Sequence[Event]:
        """Return events, newest first."""
        found = (
            event
            for event in reversed(self._events)
            if (not charge_point_id or event.charge_point_id == charge_point_id)
            and (not kind or event.kind == kind)
        )
        return list(itertools.islice(found, limit))

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
        received_at: datetime,
        why: str,
        replay: bool = True,
    ) -> Receipt:
        """Store a transaction message that no handler has handled.

        With `replay` it waits for redelivery, else it is a dead letter.
        """
        if len(self._spool if replay else self._aside) >= self._keep:
            place = "in the spool" if replay else "aside"
            return Receipt(done=True, error=StoreError(f"{self._keep} messages wait {place} already"))
        number = next(self._numbers)
        record = Spooled(
            number=number,
            charge_point_id=charge_point_id,
            action=action,
            unique_id=unique_id,
            payload=payload,
            transaction_id=transaction_id,
            received_at=received_at,
            why=why,
            version=version,
        )
        if replay:
            self._spool[number] = record
            self._spooled_by.setdefault(charge_point_id, {})[number] = None
        else:
            self._aside[number] = record
        return KEPT

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
        return KEPT

    def dead_letter(self, number: int, why: str) -> Receipt:
        """Make a spooled message a dead letter: it is not redelivered any more, and stays visible."""
        record = self._take_out(number)
        if record is not None:
            self._aside[number] = msgspec.structs.replace(record, why=why)
            if len(self._aside) > self._keep:
                del self._aside[next(iter(self._aside))]
        return KEPT

    def dead_letters(self, *, after: int = 0, limit: int = 1000) -> Sequence[Spooled]:
        """Return dead letters, oldest first, with numbers above `after`."""
        return [self._aside[number] for number in sorted(self._aside) if number > after][:limit]

    def requeue(self, numbers: Sequence[int]) -> Receipt:
        """Let dead letters wait for redelivery again, in their old places."""
        found = [number for number in dict.fromkeys(numbers) if number in self._aside]
        if len(self._spool) + len(found) > self._keep:
            return Receipt(done=True, error=StoreError(f"{self._keep} messages wait in the spool already"))
        owners = set()
        for number in found:
            record = self._spool[number] = self._aside.pop(number)
            self._spooled_by.setdefault(record.charge_point_id, {})[number] = None
            owners.add(record.charge_point_id)
        if found:  # each in its old place
            self._spool = dict(sorted(self._spool.items()))
        for charge_point_id in owners:
            self._spooled_by[charge_point_id] = dict.fromkeys(sorted(self._spooled_by[charge_point_id]))
        return KEPT

    def _take_out(self, number: int) -> Spooled | None:
        record = self._spool.pop(number, None)
        if record is not None:
            numbers = self._spooled_by[record.charge_point_id]
            del numbers[number]
            if not numbers:
                del self._spooled_by[record.charge_point_id]
        return record
