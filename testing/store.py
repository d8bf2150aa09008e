"""A store that is as slow and as unreliable as a test wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..store.memory import MemoryStore
from ..store.store import Receipt, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ..protocol.events import DomainEvent
    from ..store.records import Cost, Event, MeterReading, Transaction

DOWN = StoreError("the store is down")


class StubStore(MemoryStore):
    """A `MemoryStore` that says it is durable, and whose receipts a test can hold back or let fail.

    While it holds, what is appended can be read at once, as with any store; only the receipts wait, in `pending`.
    While it fails, nothing is kept.
    """

    durable = True

    def __init__(self, **options: Any) -> None:
        self._error: StoreError | None = None
        self._holds = False
        self.pending: list[Receipt] = []
        super().__init__(**options)

    def _persist(
        self, collection: str, key: str, data: bytes | None, event: DomainEvent | None = None
    ) -> Receipt:
        return self._append(lambda: super(StubStore, self)._persist(collection, key, data, event))

    def hold(self) -> None:
        """Give out receipts that are not settled yet."""
        self._holds = True

    def settle(self, error: StoreError | None = None) -> None:
        """Settle all that are held: with an error if there is one. It goes on holding."""
        pending, self.pending = self.pending, []
        for receipt in pending:
            receipt.settle(error)

    def fail(self, error: StoreError = DOWN) -> None:
        """Refuse everything from now on."""
        self._error = error

    def work(self) -> None:
        """Work as a store should again; what is held is settled."""
        self._holds = False
        self._error = None
        self.settle()

    def _append(self, append: Callable[[], Receipt]) -> Receipt:
        """Append as the test wants it."""
        if self._error is not None:
            return Receipt(done=True, error=self._error)
        receipt = append()
        if not self._holds or receipt.error is not None:
            return receipt
        receipt = Receipt()
        self.pending.append(receipt)
        return receipt

    # -- All that appends --------------------------------------------------------------------------

    def start_transaction(self, transaction: Transaction) -> Receipt:
        """Store a started transaction; an existing one is left unchanged."""
        return self._append(lambda: MemoryStore.start_transaction(self, transaction))

    def stop_transaction(self, transaction: Transaction) -> Receipt:
        """Store the end of a transaction; refused if it never started, or has ended with other figures."""
        return self._append(lambda: MemoryStore.stop_transaction(self, transaction))

    def flag_transaction(self, transaction_id: int, flag: str) -> Receipt:
        """Add a flag to an open transaction, once; one that is not open is left unchanged."""
        return self._append(lambda: MemoryStore.flag_transaction(self, transaction_id, flag))

    def amend_transaction(self, transaction_id: int, **columns: Any) -> Receipt:
        """Replace what stands beside the figures of a transaction; None leaves a column unchanged."""
        return self._append(lambda: MemoryStore.amend_transaction(self, transaction_id, **columns))

    def price_transaction(self, transaction_id: int, costs: tuple[Cost, ...], *, correction: bool) -> Receipt:
        """Store all costs of a transaction; a `correction` of a closed one is an event."""
        return self._append(
            lambda: MemoryStore.price_transaction(self, transaction_id, costs, correction=correction)
        )

    def update_transaction(self, transaction: Transaction) -> Receipt:
        """Store what later messages told of the beginning of a transaction, open or closed."""
        return self._append(lambda: MemoryStore.update_transaction(self, transaction))

    def assess_transaction(self, transaction_id: int, **derived: Any) -> Receipt:
        """Store what was derived of a closed transaction, until a reading or an amendment makes it void."""
        return self._append(lambda: MemoryStore.assess_transaction(self, transaction_id, **derived))

    def transaction_alive(self, transaction_id: int, received_at: datetime) -> Receipt:
        """Note a sign of life of an open transaction; nothing is written unless it seemed to be over."""
        return self._append(lambda: MemoryStore.transaction_alive(self, transaction_id, received_at))

    def add_meter_reading(self, reading: MeterReading) -> Receipt:
        """Store meter values; identical ones that are sent again are stored once."""
        return self._append(lambda: MemoryStore.add_meter_reading(self, reading))

    def register(self, charge_point_id: str, status: str, version: str = "") -> Receipt:
        """Store the registration of a charge point, as its BootNotification was answered."""
        return self._append(lambda: MemoryStore.register(self, charge_point_id, status, version))

    def forget(self, charge_point_id: str) -> Receipt:
        """Forget the registration of a charge point; one that never booted is no error."""
        return self._append(lambda: MemoryStore.forget(self, charge_point_id))

    def refresh(self, charge_point_id: str) -> Receipt:
        """Read what other processes have stored of a charge point, before its first message is handled here."""
        return self._append(lambda: MemoryStore.refresh(self, charge_point_id))

    def add_event(self, event: Event) -> Receipt:
        """Store an event."""
        return self._append(lambda: MemoryStore.add_event(self, event))

    def spool(self, **record: Any) -> Receipt:
        """Store a transaction message that no handler has handled.

        With `redeliver` it waits for redelivery, else it is a dead letter.
        """
        return self._append(lambda: MemoryStore.spool(self, **record))

    def unspool(self, numbers: Sequence[int]) -> Receipt:
        """Delete messages that their plugin has handled."""
        return self._append(lambda: MemoryStore.unspool(self, numbers))

    def forget_dead_letters(self, numbers: Sequence[int]) -> Receipt:
        """Delete dead letters for good; what waits for redelivery is left."""
        return self._append(lambda: MemoryStore.forget_dead_letters(self, numbers))

    def requeue(self, numbers: Sequence[int]) -> Receipt:
        """Let dead letters wait for redelivery again, in their old places."""
        return self._append(lambda: MemoryStore.requeue(self, numbers))

    def dead_letter(self, number: int, why: str) -> Receipt:
        """Make a spooled message a dead letter: it is not redelivered any more, and stays visible."""
        return self._append(lambda: MemoryStore.dead_letter(self, number, why))
