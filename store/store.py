"""What must outlive the process, behind one Protocol; memory, SQLite and PostgreSQL fill it.

An append returns a `Receipt` at once and never blocks the hub: it is durable when the receipt says so, not before.
Whoever acknowledges a record to a charge point waits for that. Reads see every append that was made before them. An
append of what is there already gets its receipt no sooner than what is there is durable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gevent.event import AsyncResult

from ..config.errors import ChargehandError
from .records import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from .collections import Collections
    from .records import Event, MeterReading, Spooled, StoredRegistration, Transaction, TransactionFilter


class StoreError(ChargehandError):
    """The store could not keep something, or not read. A handler that lets it through is not to blame.

    `passing` says that the same may be kept later: the disk is full, the database away.
    """

    blameless = True
    passing = True


class RowRefused(StoreError):
    """The database will never hold this row."""

    passing = False


class NoBackup(StoreError):
    """A store that cannot be copied so; the text says what to do instead."""


class Receipt:
    """The promise that something will be durable. Its callbacks run in the hub's thread."""

    __slots__ = ("_callbacks", "done", "error")

    def __init__(self, *, done: bool = False, error: Exception | None = None) -> None:
        self.done = done
        self.error = error
        self._callbacks: list[Callable[[Exception | None], None]] = []

    def then(self, callback: Callable[[Exception | None], None]) -> None:
        """Call back once it is durable (with None) or cannot be (with the error); at once if that is known."""
        if self.done:
            callback(self.error)
        else:
            self._callbacks.append(callback)

    def settle(self, error: Exception | None = None) -> None:
        """Say how it went. For the store, in the hub's thread; the first word counts."""
        if self.done:
            return
        self.done = True
        self.error = error
        callbacks, self._callbacks = self._callbacks, []
        _call_all(callbacks, error)

    def wait(self, timeout_s: float | None = None) -> None:
        """Return when it is durable; switches greenlets. Raises the store's error, or TimeoutError."""
        if not self.done:
            known: AsyncResult[None] = AsyncResult()
            self.then(lambda _: known.set(None))
            known.wait(timeout_s)
            if not self.done:
                raise TimeoutError(f"not stored within {timeout_s} s")
        if self.error is not None:
            raise self.error


def _call_all(callbacks: list[Callable[[Exception | None], None]], error: Exception | None) -> None:
    """Call them in order. One that raises does not keep the others from their word."""
    done = 0
    try:
        for callback in callbacks:
            done += 1
            callback(error)
    finally:
        if done < len(callbacks):
            _call_all(callbacks[done:], error)


class Store(Protocol):
    """See the head of this file. One instance serves one system; all methods are called in its hub's thread."""

    durable: bool
    """Whether anything is left when the process has ended."""

    collections: Collections
    """Tags, reservations, charging profiles, local lists, credentials, unfinished tickets: see `Collections`.

    Id tags are compared without case (OCPP 1.6, 7.28: CiString20Type), so the key of a tag is in lower case.
    """

    def backup(self, path: str) -> None:
        """Write a consistent copy of everything into a new file, for its owner's eyes alone; switches greenlets.

        What is appended meanwhile is not held up. Raises `NoBackup` if that cannot be done with this store, else
        `StoreError`; then there is no file.
        """

    def close(self) -> None:
        """Keep what is still to be kept, and let go of files and threads."""

    # -- Transactions --------------------------------------------------------------------------

    def allot_transaction_id(self, charge_point_id: str, start: tuple[int, str, datetime, int] | None) -> int:
        """The number of a transaction that starts: unique, positive, 32 bit, never used again.

        The same start (connector, id tag, the charge point's time, meter reading) gets the same number again for as
        long as its transaction is open. None stands for a start that could not be read: always a new number.
        """

    def start_transaction(self, transaction: Transaction) -> Receipt:
        """Keep a transaction that started; one that is there already is left as it is."""

    def stop_transaction(self, transaction: Transaction) -> Receipt:
        """Keep the end of a transaction; one that has an end already, or never started, is left as it is."""

    def flag_transaction(self, transaction_id: int, flag: str) -> Receipt:
        """Add to what is doubtful about an open transaction, once; one that is not open is left as it is."""

    def open_transactions(self, charge_point_id: str) -> Sequence[Transaction]:
        """The open transactions of a charge point, oldest first. Never switches greenlets."""

    def open_transactions_of_tag(self, id_tag: str) -> Sequence[Transaction]:
        """The open transactions of an id tag, anywhere, oldest first. Never switches greenlets."""

    def transaction(self, transaction_id: int) -> Transaction | None:
        """Find a transaction."""

    def transactions(
        self,
        wanted: TransactionFilter = EVERYTHING,
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[Transaction]:
        """Return transactions, highest ids first; `before` is the id under which the next page begins."""

    def add_meter_reading(self, reading: MeterReading) -> Receipt:
        """Keep meter values; exactly the same ones, sent again, are kept once."""

    def meter_readings(self, transaction_id: int, *, limit: int = 10_000) -> Sequence[MeterReading]:
        """The meter values of a transaction, in order of receipt."""

    # -- Charge points ---------------------------------------------------------------------------

    def register(self, charge_point_id: str, status: str, version: str = "") -> Receipt:
        """Keep what a BootNotification was answered."""

    def registration(self, charge_point_id: str) -> StoredRegistration | None:
        """What the last BootNotification was answered; None if there was none."""

    def registrations(self) -> Mapping[str, StoredRegistration]:
        """Every charge point that ever booted: its id and what it was answered."""

    def forget(self, charge_point_id: str) -> Receipt:
        """Forget what a BootNotification was answered; a charge point that never booted is no error."""

    def refresh(self, charge_point_id: str) -> Receipt:
        """Learn what others who share this store have kept of a charge point, before its first message is taken here.

        When it is settled without an error, open transactions, the numbers of starts, the registration and the books
        are known as they were kept until then. Settled at once where nobody else writes.
        """

    def add_event(self, event: Event) -> Receipt:
        """Keep an event."""

    def events(self, *, charge_point_id: str = "", kind: str = "", limit: int = 100) -> Sequence[Event]:
        """The newest events first."""

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
        """Keep a transaction message that no handler took; with `replay`, for its plugin to have later."""

    def spooled(self, *, charge_point_id: str = "", limit: int = 1000) -> Sequence[Spooled]:
        """What waits to be replayed, oldest first."""

    def spooled_charge_points(self) -> Sequence[str]:
        """Whose messages wait to be replayed."""

    def dead_letter(self, number: int, why: str) -> Receipt:
        """Do not replay a message any more; it stays where people can find it."""

    def dead_letters(self, *, after: int = 0, limit: int = 1000) -> Sequence[Spooled]:
        """What was set aside, oldest first; only numbers over `after`."""

    def requeue(self, numbers: Sequence[int]) -> Receipt:
        """Let what was set aside wait for its plugin again, in its old place."""

    def unspool(self, numbers: Sequence[int]) -> Receipt:
        """Take out what its plugin has now."""
