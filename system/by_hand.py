"""Operations on records by hand: close a transaction, attach a dead letter to a transaction, forget a dead letter.

The one rule: each leaves an event of kind `by_hand` that says who did it, and no figure that a charge point sent is
replaced. All of them may switch greenlets until the store has it, and belong to the hub's thread.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from ..config.errors import ChargehandError
from ..protocol.errors import Refused
from ..protocol.payload import lenient
from ..protocol.versions import version_named
from ..store.records import Event, MeterReading, StopFigures
from ..store.stops import take_stop
from ..store.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..actors.plugin.spool import Spool
    from ..protocol.actions import StopFacts, Version
    from ..store.records import Spooled, Transaction
    from ..store.store import Receipt, Store

STORE_S = 30.0
"""Seconds that the store has to store what was done by hand."""

KIND = "by_hand"
"""Kind of the events that tell what was done by hand."""


class TransactionNotFound(ChargehandError, LookupError):
    """A transaction id that is none of the store's."""


class TransactionClosed(ChargehandError, ValueError):
    """A transaction that is to be closed by hand has been closed already."""


class WrongFigures(ChargehandError, ValueError):
    """Figures of a closing by hand that cannot be; the text says why."""


class DeadLetterNotFound(ChargehandError, LookupError):
    """A number that is no dead letter's: it was handled, forgotten, or never there."""


class NotAttachable(ChargehandError, ValueError):
    """A dead letter that cannot be attached to a transaction; the text says why."""


class ByHand:
    """Operations on records of a store by hand. `now` gives the time."""

    def __init__(
        self,
        store: Store,
        spool: Spool,
        versions: Mapping[str, Version],
        now: Callable[[], dt.datetime],
        naive_zone: dt.tzinfo | None = dt.UTC,
    ) -> None:
        self._store = store
        self._spool = spool
        self._versions = versions
        self._now = now
        self._naive_zone = naive_zone

    def find_transaction(self, transaction_id: int) -> Transaction:
        """Find a transaction by its id. Raises `TransactionNotFound` if there is none."""
        known = self._store.transaction(transaction_id)
        if known is None:
            raise TransactionNotFound(f"there is no transaction {transaction_id}")
        return known

    def close_transaction(
        self,
        transaction_id: int,
        *,
        by: str,
        reason: str,
        note: str = "",
        meter_stop: int | None = None,
        stopped_at: dt.datetime | None = None,
    ) -> Transaction:
        """Close an open transaction whose stop will not come, and return it.

        A stop that comes all the same is answered as valid, and its figures stand beside those given here. Without
        `meter_stop` the energy is what the readings say; without `stopped_at` it ends now. Raises
        `TransactionNotFound`, `TransactionClosed`, `WrongFigures` and `StoreError`.
        """
        known = self.find_transaction(transaction_id)
        if not known.open:
            raise TransactionClosed(f"transaction {transaction_id} is closed already")
        if not by.strip() or not reason.strip():
            raise WrongFigures("a transaction is closed by somebody, for a reason")
        if meter_stop is not None and known.meter_start is not None and meter_stop < known.meter_start:
            raise WrongFigures(
                f"meter value {meter_stop} is less than {known.meter_start}, that of the start"
            )
        if stopped_at is not None and stopped_at.utcoffset() is None:
            raise WrongFigures(f"the time {stopped_at.isoformat()} has no offset")
        known = self._release(known)
        if not known.open:
            raise TransactionClosed(f"transaction {transaction_id} was closed in this moment")
        if stopped_at is not None and stopped_at < min(known.started_at, known.start_received_at):
            raise WrongFigures(f"the time {stopped_at.isoformat()} is before that of the start")
        now = self._now()
        if stopped_at is not None and stopped_at > now:
            raise WrongFigures(f"the time {stopped_at.isoformat()} has not come yet")
        closed = msgspec.structs.replace(
            known,
            meter_stop=meter_stop,
            stopped_at=stopped_at or now,
            stop_received_at=now,
            stop_reason=reason,
            closed_by=by,
            note=note,
        )
        self._end(closed)
        found = self.find_transaction(transaction_id)
        if found.closed_by != by or found.stop_received_at != now:
            raise TransactionClosed(f"transaction {transaction_id} was closed in this moment")
        facts = {"meter_stop": meter_stop, "stopped_at": closed.stopped_at, "reason": reason, "note": note}
        self._audit(known.charge_point_id, by, "close_transaction", transaction_id=transaction_id, **facts)
        return found

    def _end(self, closed: Transaction) -> None:
        """Store the end of a transaction, unless it has ended meanwhile."""
        try:
            self._store.stop_transaction(closed).wait(STORE_S)
        except StoreError as error:
            if error.passing:
                raise

    def reattach(self, number: int, transaction_id: int, *, by: str) -> Transaction:
        """Give a transaction the dead letter that is its stop or its readings, and return the transaction.

        A stop closes it if it is open, else its figures stand beside those that count. Done again after it was
        interrupted, nothing is there twice. Raises `DeadLetterNotFound`, `TransactionNotFound`, `NotAttachable`,
        `TooManyStops` and `StoreError`.
        """
        letter, known = self._dead_letter(number), self.find_transaction(transaction_id)
        if known.open:
            known = self._release(known)
        receipts = self._attach(letter, known, by)
        _wait(receipts)
        what = {"number": number, "action": letter.action, "why": letter.why}
        for charge_point_id in dict.fromkeys((known.charge_point_id, letter.charge_point_id)):
            self._audit(charge_point_id, by, "reattach", transaction_id=transaction_id, **what)
        self._drop(letter)
        return self.find_transaction(transaction_id)

    def forget_dead_letter(self, number: int, *, by: str) -> Spooled:
        """Delete a dead letter for good, and return it; its payload stays in the event that tells of it.

        Raises `DeadLetterNotFound` and `StoreError`.
        """
        letter = self._dead_letter(number)
        payload = letter.payload.decode("utf-8", "backslashreplace")
        self._audit(
            letter.charge_point_id,
            by,
            "forget_dead_letter",
            number=number,
            action=letter.action,
            why=letter.why,
            payload=payload,
        )
        self._drop(letter)
        return letter

    def _release(self, known: Transaction) -> Transaction:
        """Have no process take an open transaction for open any more once it is closed here; return it as it is now."""
        self._store.release_transaction(known.id).wait(STORE_S)
        return self.find_transaction(known.id)

    def _dead_letter(self, number: int) -> Spooled:
        for letter in self._store.dead_letters(after=number - 1, limit=1):
            if letter.number == number:
                return letter
        raise DeadLetterNotFound(f"there is no dead letter {number}")

    def _attach(self, letter: Spooled, known: Transaction, by: str) -> list[Receipt]:
        version = version_named(self._versions, letter.version)
        action = version.actions.get(letter.action) if version is not None else None
        if action is None or (action.stop is None and action.carries_readings is None):
            raise NotAttachable(f"dead letter {letter.number} is a {letter.action}: no stop, and no readings")
        request: Any = None
        try:
            request, deviations = lenient(
                action.request,
                letter.payload,
                received_at=letter.received_at,
                naive_zone=self._naive_zone,
            )
        except Refused as refused:
            if action.stop is not None:
                raise NotAttachable(
                    f"dead letter {letter.number} has no figures that can be read ({refused}): "
                    "close the transaction with them by hand"
                ) from None
        flag = f"a dead letter was attached by hand by {by}"
        facts = None if action.stop is None else action.stop(request, deviations)
        receipts = []
        if facts is not None and not known.open:
            receipts.append(self._stop(letter, known, facts, flag))
        if request is None or (action.carries_readings is not None and action.carries_readings(request)):
            sender = f", of {letter.charge_point_id}" * (letter.charge_point_id != known.charge_point_id)
            reading = MeterReading(
                charge_point_id=known.charge_point_id,
                connector_id=known.connector_id,
                transaction_id=known.id,
                received_at=letter.received_at,
                values=letter.payload,
                identity=b"" if action.identity is None else action.identity(letter.payload),
                flags=(f"{flag}{sender}: {letter.why}",),
                version=letter.version,
            )
            receipts.append(self._store.add_meter_reading(reading))
        if facts is not None and known.open:  # behind its readings, or they would be a correction
            receipts.append(self._stop(letter, known, facts, flag))
        return receipts

    def _stop(self, letter: Spooled, known: Transaction, facts: StopFacts, flag: str) -> Receipt:
        stop = StopFigures(received_at=letter.received_at, **facts._asdict())
        backwards = stop.meter_stop is not None and (known.meter_start or 0) > stop.meter_stop
        flags = (flag, "the meter ran backwards") if backwards else (flag,)
        return take_stop(self._store, known, stop, flags)

    def _drop(self, letter: Spooled) -> None:
        self._store.forget_dead_letters([letter.number]).wait(STORE_S)
        self._spool.forget(letter)

    def _audit(self, charge_point_id: str, by: str, what: str, **facts: Any) -> None:
        data = {"what": what, "by": by, **{key: msgspec.to_builtins(value) for key, value in facts.items()}}
        event = Event(charge_point_id=charge_point_id, kind=KIND, received_at=self._now(), data=data)
        self._store.add_event(event).wait(STORE_S)


def _wait(receipts: Iterable[Receipt]) -> None:
    for receipt in receipts:
        receipt.wait(STORE_S)
