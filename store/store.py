"""Store of what must outlive the process, behind one Protocol; memory, SQLite and PostgreSQL implement it.

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
    """Store of what outlives the process.

    One instance serves one system; all methods are called in its hub's thread.
    """

    durable: bool
    """True if records outlive the process."""

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
        """Write what is pending, and release files and threads."""

    # -- Transactions --------------------------------------------------------------------------

    def allot_transaction_id(self, charge_point_id: str, start: tuple[int, str, datetime, int] | None) -> int:
        """Allot a transaction id: unique, positive, 32 bit, never used again; the same for a start that is sent again.

        The same start (connector, id tag, the charge point's time, meter reading) gets the same number again for as
        long as its transaction is open. None stands for a start that could not be read: always a new number.
        """

    def start_transaction(self, transaction: Transaction) -> Receipt:
        """Store a started transaction; an existing one is left unchanged."""

    def stop_transaction(self, transaction: Transaction) -> Receipt:
        """Store the end of a transaction; one that has ended, or never started, is left unchanged."""

    def flag_transaction(self, transaction_id: int, flag: str) -> Receipt:
        """Add a flag to an open transaction, once; one that is not open is left unchanged."""

    def open_transactions(self, charge_point_id: str) -> Sequence[Transaction]:
        """Return the open transactions of a charge point, oldest first. Never switches greenlets."""

    def open_transactions_of_tag(self, id_tag: str) -> Sequence[Transaction]:
        """Return the open transactions of an id tag at any charge point, oldest first. Never switches greenlets."""

    def transaction(self, transaction_id: int) -> Transaction | None:
        """Find a transaction by its id; None if there is none."""

    def transactions(
        self,
        wanted: TransactionFilter = EVERYTHING,
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[Transaction]:
        """Return transactions, highest ids first; `before` is the id under which the next page begins."""

    def add_meter_reading(self, reading: MeterReading) -> Receipt:
        """Store meter values; identical ones that are sent again are stored once."""

    def meter_readings(self, transaction_id: int, *, limit: int = 10_000) -> Sequence[MeterReading]:
        """Return the meter values of a transaction, in order of receipt."""

    # -- Charge points ---------------------------------------------------------------------------

    def register(self, charge_point_id: str, status: str, version: str = "") -> Receipt:
        """Store the registration of a charge point, as its BootNotification was answered."""

    def registration(self, charge_point_id: str) -> StoredRegistration | None:
        """Return the registration of a charge point; None if it has none."""

    def registrations(self) -> Mapping[str, StoredRegistration]:
        """Return the registrations of all charge points that ever booted, by id."""

    def forget(self, charge_point_id: str) -> Receipt:
        """Forget the registration of a charge point; one that never booted is no error."""

    def refresh(self, charge_point_id: str) -> Receipt:
        """Read what other processes have stored of a charge point, before its first message is handled here.

        When it is settled without an error, open transactions, the numbers of starts, the registration and the books
        are known as they were kept until then. Settled at once where nobody else writes.
        """

    def add_event(self, event: Event) -> Receipt:
        """Store an event."""

    def events(self, *, charge_point_id: str = "", kind: str = "", limit: int = 100) -> Sequence[Event]:
        """Return events, newest first."""

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

    def spooled(self, *, charge_point_id: str = "", limit: int = 1000) -> Sequence[Spooled]:
        """Return the messages that wait for redelivery, oldest first."""

    def spooled_charge_points(self) -> Sequence[str]:
        """Return the charge points whose messages wait for redelivery."""

    def dead_letter(self, number: int, why: str) -> Receipt:
        """Make a spooled message a dead letter: it is not redelivered any more, and stays visible."""

    def dead_letters(self, *, after: int = 0, limit: int = 1000) -> Sequence[Spooled]:
        """Return dead letters, oldest first, with numbers above `after`."""

    def requeue(self, numbers: Sequence[int]) -> Receipt:
        """Let dead letters wait for redelivery again, in their old places."""

    def unspool(self, numbers: Sequence[int]) -> Receipt:
        """Delete messages that their plugin has handled."""
