"""Store of what must outlive the process, behind one Protocol; memory, SQLite and PostgreSQL implement it.

An append returns a `Receipt` at once and never blocks the hub: it is durable when the receipt says so, not before.
A record is acknowledged to a charge point after that. Reads see every append that was made before them. An
append of what is there already gets its receipt no sooner than what is there is durable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from ..actors.runtime.future import Future
from ..config.errors import ChargehandError
from .records import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from ..protocol.events import DomainEvent
    from .collections import Collections
    from .event_log import Elsewhere, EventDeadLetter, Origin, Position
    from .meter import StoreFigures, StoreMeter
    from .records import (
        Cost,
        Cursor,
        Event,
        MeterReading,
        Spooled,
        StopFigures,
        StoredRegistration,
        StoreSize,
        Told,
        Transaction,
        TransactionFilter,
    )
    from .reports import StoredReports
    from .retention import RetentionTable
    from .variables import StoredVariables


class StoreError(ChargehandError):
    """Failure to store or to read. A handler that lets it through is not to blame.

    `passing` says that the same may be stored later: the disk is full, the database away.
    """

    blameless = True
    passing = True


NEVER_STARTED = "there is no such transaction to end"
"""Error of the end of a transaction whose start is not stored: it must not count as stored."""
ENDED_OTHERWISE = "the transaction has ended with other figures"
"""Error of an end that was made before the one that counts was known here: by another process, or by hand there."""


class RowRefused(StoreError):
    """Refusal of a row that the database will never hold."""

    passing = False


class NoBackup(StoreError):
    """Refusal of a backup that this store cannot make; the text says what to do instead."""


class Receipt:
    """Promise that an append will be durable. Its callbacks run in the hub's thread."""

    any_thread: ClassVar[bool] = True  # may be used as it is in a native thread

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
        """Settle the receipt, in the hub's thread; for the store. The first outcome counts."""
        if self.done:
            return
        self.done = True
        self.error = error
        callbacks, self._callbacks = self._callbacks, []
        if len(callbacks) == 1:
            callbacks[0](error)
        elif callbacks:
            _call_all(callbacks, error)

    def wait(self, timeout_s: float | None = None) -> None:
        """Return when it is durable; switches greenlets, or blocks a native thread.

        Raises the store's error, or TimeoutError.
        """
        if not self.done:
            known: Future[None] = Future()
            self.then(lambda _: known.set(None))
            # In another thread it may have been settled since, and the callback may never be called.
            if not self._is_done() and not known.wait(timeout_s) and not self._is_done():
                raise TimeoutError(f"not stored within {timeout_s} s")
        if self.error is not None:
            raise self.error

    def _is_done(self) -> bool:
        return self.done


def _call_all(callbacks: list[Callable[[Exception | None], None]], error: Exception | None) -> None:
    """Call callbacks in order; one that raises does not keep the others from being called."""
    done = 0
    try:
        for callback in callbacks:
            done += 1
            callback(error)
    finally:
        if done < len(callbacks):
            _call_all(callbacks[done:], error)


class LoggedEvent(Protocol):
    """Event as a log has it; `number` counts within its origin."""

    @property
    def number(self) -> int:
        """Number within its origin."""

    @property
    def charge_point_id(self) -> str:
        """Charge point that it is of."""

    @property
    def kind(self) -> str:
        """Name of its kind."""

    @property
    def transaction_id(self) -> int | None:
        """Id of the transaction that it is of."""

    @property
    def data(self) -> str:
        """JSON of the event, or "" for one that is made of its record."""

    @property
    def logged_at(self) -> datetime:
        """Time when it was logged."""

    def event(self, origin: str) -> DomainEvent:
        """Make the event again, of the origin with this name. Raises ValueError for data that is none."""


class EventLogView(Protocol):
    """Log of durable events, the positions of its consumers, and the dead letters of events.

    Numbers count within an origin, the life of a process. What says so may switch greenlets.
    """

    origin: str
    """Name of this process's life."""
    number: int
    """Number of this process's life: later lives have higher ones."""
    last: int
    """Number of the last event of this process that was handed over."""

    def rename(self, origin: str) -> None:
        """Give this process's life the name by which the others know it; may switch greenlets."""

    def watch(self, heard: Callable[[], None] | None) -> None:
        """Call back in the hub when further events of this process may be durable; None for nobody any more."""

    def origins(self) -> Sequence[Origin]:
        """Return all origins, in the order of their lives; may switch greenlets."""

    def read(self, origin: int, after: int, limit: int) -> Sequence[LoggedEvent]:
        """Return events of an origin behind a number, in order; may switch greenlets."""

    def elsewhere(self, consumer: str, followed: Collection[int] = ()) -> Elsewhere:
        """Return of which charge points a consumer has events to come from other processes; may switch greenlets.

        `followed` are the numbers of the origins that this process delivers.
        """

    def register(self, name: str, last: int | None = None) -> Mapping[int, Position]:
        """Return the positions of a consumer by the number of the origin; a new one starts now. May switch.

        `last` is the last number of this process before it, by default of now.
        """

    def positions(self, name: str) -> Mapping[int, Position]:
        """Return the positions of a consumer by the number of the origin. May switch greenlets."""

    def advance(self, name: str, origin: int, number: int) -> Receipt:
        """Store how far a consumer is done with an origin that this process delivers."""

    def adopt(self, name: str, origin: int, owner: str | None) -> int | None:
        """Take over the delivery of an origin from a process that has ended; None if another one was faster.

        `owner` is that process, None if the consumer has no position there. Returns the position. May switch.
        """

    def forget_ended(self, origin: Origin, before: datetime) -> None:
        """Forget an origin that has ended, began `before`, and has nothing for any consumer; may switch greenlets."""

    def set_aside(self, consumer: str, event: DomainEvent, why: str) -> Receipt:
        """Keep an event that a consumer could not take, as a dead letter."""

    def set_aside_unknown(self, consumer: str, origin: str, logged: LoggedEvent, why: str) -> Receipt:
        """Keep an event of a kind that this program does not know, as a dead letter for a newer one."""

    def dead_letters(self, *, after: int = 0, limit: int = 1000) -> Sequence[EventDeadLetter]:
        """Return dead letters of events, oldest first, with numbers above `after`; may switch greenlets."""

    def forget_dead_letters(self, numbers: Sequence[int]) -> Receipt:
        """Delete dead letters of events for good."""

    def prune(self, *, keep: int, since: datetime | None) -> bool:
        """Drop some of the oldest events: those over `keep`, and those from before `since`; 0 and None set no limit.

        Returns whether there may be more to drop. May switch greenlets.
        """


class Store(Protocol):
    """Store of what outlives the process.

    One instance serves one system; all methods are called in its hub's thread.
    """

    durable: bool
    """True if records outlive the process."""

    others_write: bool
    """True if other processes write to the same records."""

    @property
    def event_log(self) -> EventLogView:
        """Log of durable events: the methods that make or change a record append its event in the same commit."""

    @property
    def reports(self) -> StoredReports:
        """Reports of stations, which come in parts."""

    @property
    def variables(self) -> StoredVariables:
        """Variables of the device models of stations."""

    retention: RetentionTable | None
    """Walks through old records, and their deletion; None for a store that ends with the process."""

    backup_suffix: str
    """End of the name of a file with a backup."""

    collections: Collections
    """Tags, reservations, charging profiles, local lists, credentials, unfinished tickets: see `Collections`.

    Id tags are compared without case (OCPP 1.6, 7.28: CiString20Type), so the key of a tag is in lower case.
    """

    def follow_now(self) -> Receipt:
        """Read what other processes have changed in collections; settled when that is known here."""

    @property
    def meter(self) -> StoreMeter:
        """Numbers of its commits and transactions, for metrics."""

    @property
    def depth(self) -> int:
        """Number of writes and reads that wait for the database."""

    def probe(self, then: Callable[[Exception | None], None]) -> None:
        """Ask whether the database answers, and can be written if the last commit failed; calls back in the hub.

        It may never call back, if the database hangs.
        """

    def count(self, then: Callable[[StoreFigures | None], None]) -> None:
        """Count records for metrics; calls back in the hub, with None if that failed. It may never, as `probe`."""

    def measure(self) -> StoreSize | None:
        """Find out how large the store is; None if it cannot tell. Switches greenlets, and delays no append.

        Raises `StoreError`.
        """

    def backup(self, path: str) -> None:
        """Write a consistent copy of everything into a new file, readable by its owner alone; switches greenlets.

        Appends meanwhile are not delayed. Raises `NoBackup` if that cannot be done with this store, else
        `StoreError`; then there is no file.
        """

    def close(self) -> None:
        """Write what is pending, and release files and threads."""

    # -- Transactions --------------------------------------------------------------------------

    def allot_transaction_id(
        self, charge_point_id: str, start: tuple[int, str, datetime | str, int] | None
    ) -> int:
        """Allot a transaction id: unique, positive, 32 bit, never used again; the same for a start that is sent again.

        The same start (connector, id tag, the charge point's time, meter reading) gets the same number again for as
        long as its transaction is open. A time that cannot be read is its text as sent. None stands for a start that
        could not be read: always a new number.
        """

    def start_transaction(self, transaction: Transaction) -> Receipt:
        """Store a started transaction; an existing one is left unchanged."""

    def stop_transaction(self, transaction: Transaction) -> Receipt:
        """Store the end of a transaction; refused if it never started, or has ended with other figures."""

    def flag_transaction(self, transaction_id: int, flag: str) -> Receipt:
        """Add a flag to an open transaction, once; one that is not open is left unchanged."""

    def amend_transaction(
        self,
        transaction_id: int,
        *,
        flags: tuple[str, ...] | None = None,
        other_stops: tuple[StopFigures, ...] | None = None,
        note: str | None = None,
    ) -> Receipt:
        """Replace what stands beside the figures of a transaction, open or closed; None leaves a column unchanged.

        What was derived of its energy has to be derived again.
        """

    def price_transaction(self, transaction_id: int, costs: tuple[Cost, ...], *, correction: bool) -> Receipt:
        """Store all costs of a transaction; a `correction` of a closed one is the event `TransactionCorrected`.

        Nothing changes if the transaction has costs meanwhile with which these do not begin.
        """

    def update_transaction(self, transaction: Transaction) -> Receipt:
        """Store what later messages told of the beginning of a transaction, open or closed: place, tag, time, state.

        Columns are those that a charge point may tell later: connector, EVSE, id tag, verdict, reservation, time of
        the start, charging state and flags.
        """

    def remote_transaction(self, charge_point_id: str, remote_id: str) -> Transaction | None:
        """Find a transaction by the id that its charge point gave it; None if there is none.

        Switches greenlets for one that is not open.
        """

    def assess_transaction(
        self,
        transaction_id: int,
        *,
        energy_wh: float | None,
        energy_source: str,
        supported_energy_wh: float | None,
        findings: tuple[str, ...],
        idle_since: datetime | None = None,
    ) -> Receipt:
        """Store what was derived of a closed transaction, until a reading or an amendment invalidates it."""

    def transaction_over(
        self,
        charge_point_id: str,
        connector_id: int | None,
        received_at: datetime,
        reason: str,
        transaction_id: int | None = None,
    ) -> Receipt:
        """Note why what is open on a connector (None: on all of them) cannot be going on; constant work.

        `transaction_id` is the transaction that starts, for a reason that is a start. Nothing is written if no open
        transaction is concerned.
        """

    def transaction_alive(self, transaction_id: int, received_at: datetime) -> Receipt:
        """Note a sign of life of an open transaction; nothing is written unless it seemed to be over."""

    def open_transactions(self, charge_point_id: str, *, limit: int | None = None) -> Sequence[Transaction]:
        """Return the open transactions of a charge point, oldest first. Never switches greenlets.

        With a limit only the last ones, in constant time.
        """

    def open_on_connector(
        self, charge_point_id: str, connector_id: int, *, limit: int = 1
    ) -> Sequence[Transaction]:
        """Return open transactions of a connector, those that came last first. Never switches greenlets."""

    def open_with_tag(self, charge_point_id: str, id_tag: str, *, limit: int = 100) -> Sequence[Transaction]:
        """Return open transactions of a tag at a charge point, those that came last first. Never switches greenlets."""

    def charging_with_tag(
        self, id_tag: str, *, besides: int | None = None, id_type: str = ""
    ) -> Transaction | None:
        """Find an accepted open transaction of a tag at any charge point that is going on, `besides` that one.

        None if there is none. Tokens of two types are two tags; a transaction or a token without a type is of any.
        Constant work on average; never switches greenlets.
        """

    def transaction(self, transaction_id: int) -> Transaction | None:
        """Find a transaction by its id; None if there is none."""

    def open_transaction(self, transaction_id: int) -> Transaction | None:
        """Find an open transaction by its id; None if none is known to be open. Never switches greenlets."""

    def owner_of(self, transaction_id: int) -> str | None:
        """Return the charge point of a transaction; None if there is none.

        Switches greenlets only for one that is not open and was not closed lately.
        """

    def release_transaction(self, transaction_id: int) -> Receipt:
        """Have every process read an open transaction from the store again, before it is closed by hand.

        Settled when no other process takes it for open because it was.
        """

    def transactions(
        self,
        wanted: TransactionFilter = EVERYTHING,
        *,
        before: Cursor | None = None,
        limit: int = 100,
    ) -> Sequence[Transaction]:
        """Return transactions, newest first by our time of receipt of the start, then by id.

        `before` is the cursor of the last one of the page before.
        """

    def add_meter_reading(self, reading: MeterReading) -> Receipt:
        """Store meter values; identical ones that are sent again are stored once."""

    def meter_readings(
        self, transaction_id: int, *, charge_point_id: str = "", limit: int = 10_000
    ) -> Sequence[MeterReading]:
        """Return the meter values of a transaction, in order of receipt; those of its charge point, if given."""

    def last_readings(self, transaction_ids: Sequence[int]) -> Sequence[MeterReading]:
        """Return the last meter values of each of these transactions, with one query; some hundred at most."""

    def readings_of(
        self,
        charge_point_id: str,
        *,
        connector_id: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        without_transaction: bool = True,
        before: Cursor | None = None,
        limit: int = 100,
    ) -> Sequence[MeterReading]:
        """Return meter values of a charge point, newest first by time of receipt; may switch greenlets.

        Only those that belong to none of its transactions, unless `without_transaction` is false. `before` is the
        cursor of the last one of the page before: its `received_at` and `number`.
        """

    # -- Charge points ---------------------------------------------------------------------------

    def register(self, charge_point_id: str, status: str, version: str = "") -> Receipt:
        """Store the registration of a charge point, as its BootNotification was answered."""

    def registration(self, charge_point_id: str) -> StoredRegistration | None:
        """Return the registration of a charge point; None if it has none."""

    def registrations(self) -> Mapping[str, StoredRegistration]:
        """Return the registrations of all charge points that ever booted, by id."""

    def registered_ids(self, after: str = "", limit: int = 5000) -> Sequence[str]:
        """List charge points that have a registration, in the store's order of ids, behind one of them.

        Those that booted at another process are among them, unlike in `registrations`. May switch greenlets.
        """

    def find_registration(self, charge_point_id: str) -> StoredRegistration | None:
        """Return the registration of a charge point, at whichever process it booted. May switch greenlets."""

    def find_registrations(self, charge_point_ids: Sequence[str]) -> Mapping[str, StoredRegistration]:
        """Read the registrations of these charge points with one query; some hundred at most. May switch greenlets."""

    def forget(self, charge_point_id: str) -> Receipt:
        """Forget the registration of a charge point; one that never booted is no error."""

    def refresh(self, charge_point_id: str) -> Receipt:
        """Read what other processes have stored of a charge point, before its first message is handled here.

        When it is settled without an error, open transactions, the ids of starts, the registration and the collections
        are known as they were stored until then. Settled at once where nobody else writes.
        """

    def note_told(
        self,
        charge_point_id: str,
        *,
        item: str,
        version: str,
        action: str,
        payload: bytes,
        received_at: datetime,
    ) -> Receipt:
        """Store the last message of one kind that a charge point sent, in place of the one before."""

    def told(self, charge_point_id: str) -> Sequence[Told]:
        """Return what a charge point told last, by item; may switch greenlets. Nothing, from a store in memory."""

    def told_by(self, charge_point_ids: Sequence[str]) -> Mapping[str, Sequence[Told]]:
        """Return what each of these charge points told last, as `told` does, with one query; some hundred at most."""

    def recall(self, charge_point_id: str, then: Callable[[Sequence[Told]], None]) -> None:
        """Call back in the hub with what a charge point told last; not at all if there is nothing or it cannot be read.

        Never switches greenlets.
        """

    def hold_events(self, why: str) -> None:
        """Refuse the history of events from now on, for this reason; "" takes it again.

        History are events that no consumer gets and no audit needs (`is_history`). Everything else is stored.
        """

    def hold_records(self, why: str) -> None:
        """Take no new record soon, for this reason; "" takes them again. For a store in a file.

        Receipts of records then fail as on a full disk, with an error that passes. What was appended before is stored;
        removals go on.
        """

    def add_event(self, event: Event) -> Receipt:
        """Store an event."""

    def publish(self, event: DomainEvent) -> Receipt:
        """Log a durable event that has no record here; its id is given to it."""

    def events(
        self,
        *,
        charge_point_id: str = "",
        kind: str = "",
        until: datetime | None = None,
        skip: int = 0,
        limit: int = 100,
    ) -> Sequence[Event]:
        """Return events, newest first; those received at `until` or before, but for the first `skip` of these."""

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
        redeliver: bool = True,
    ) -> Receipt:
        """Store a transaction message that no handler has handled.

        With `redeliver` it waits for redelivery, else it is a dead letter. `transaction_id` is that of a transaction
        that is there, or was allotted.
        """

    def spooled(self, *, charge_point_id: str = "", limit: int = 1000) -> Sequence[Spooled]:
        """Return the messages that wait for redelivery, oldest first."""

    def spooled_charge_points(self) -> Sequence[str]:
        """Return the charge points whose messages wait for redelivery."""

    def dead_letter(self, number: int, why: str) -> Receipt:
        """Make a spooled message a dead letter: it is not redelivered any more, and stays visible."""

    def dead_letters(self, *, after: int = 0, limit: int = 1000) -> Sequence[Spooled]:
        """Return dead letters, oldest first, with numbers above `after`."""

    def transaction_dead_letters(self, transaction_id: int, *, limit: int = 1000) -> Sequence[Spooled]:
        """Return the dead letters that belong to a transaction, oldest first."""

    def forget_dead_letters(self, numbers: Sequence[int]) -> Receipt:
        """Delete dead letters; messages that wait for redelivery stay."""

    def requeue(self, numbers: Sequence[int]) -> Receipt:
        """Let dead letters wait for redelivery again, in their old places."""

    def unspool(self, numbers: Sequence[int]) -> Receipt:
        """Delete messages that their plugin has handled."""
