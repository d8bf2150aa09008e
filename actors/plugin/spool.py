"""State of the spool: which charge points have messages in it, and which transactions are dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ...protocol.errors import Refused
from ...protocol.payload import lenient

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ...protocol.actions import Action, Version
    from ..runtime.cell import Cell
    from ..session.context import RecordReceipt, SessionStore, SpooledMessage

DEAD_LETTERS_READ = 100_000
"""Dead letters that are read to find the transactions they belong to."""


class SpoolGrew(msgspec.Struct, frozen=True, gc=False):
    """Event: a message of a charge point is in the spool, behind all others or, if `older`, perhaps before them."""

    charge_point_id: str
    older: bool = False


class RedeliverNow(msgspec.Struct, frozen=True, gc=False):
    """Command: try everything in the spool now; a plugin has been released."""


class Spool:
    """Messages that were acknowledged but not yet handled, and what must not overtake them.

    `Redelivery` owns it and empties it. Sessions, the plugins' supervisor and the system report to it, from the hub's
    thread; `behind` and `dead` are for looks only. While no redelivery is attached nothing goes behind what is spooled.
    """

    __slots__ = ("_changed", "_redelivery", "_store", "_versions", "behind", "dead")

    def __init__(self, store: SessionStore, versions: Iterable[Version]) -> None:
        self._store = store
        self._versions = {version.name: version for version in versions}
        self._redelivery: Cell | None = None
        # Charge points with messages in the spool: their further ones go behind these.
        self.behind: set[str] = set()
        # Charge points of which something was spooled since their messages were read last.
        self._changed: set[str] = set()
        # Transactions by charge point whose first message is a dead letter: the rest of them follows it.
        self.dead: set[tuple[str, Any]] = set()

    # -- For sessions ----------------------------------------------------------------------------

    def is_behind(self, charge_point_id: str, transaction: int | str | None) -> bool:
        """Return whether a message must be spooled because its plugin has not had the earlier ones."""
        return charge_point_id in self.behind or (
            bool(self.dead) and (charge_point_id, transaction) in self.dead
        )

    def put_behind(self, charge_point_id: str) -> None:
        """Let further messages of a charge point go behind those in the spool, from before the store has them."""
        self.behind.add(charge_point_id)
        self._changed.add(charge_point_id)

    def spooled(self, charge_point_id: str, *, older: bool = False) -> None:
        """Notify the redelivery that the store has a message of a charge point; perhaps one `older` than others."""
        redelivery = self._redelivery
        if redelivery is None:
            self.behind.discard(charge_point_id)
        elif not redelivery.ended:
            redelivery.tell(SpoolGrew(charge_point_id, older))

    # -- For the system --------------------------------------------------------------------------

    def redeliver_now(self) -> None:
        """Try everything in the spool now: a plugin has been released."""
        if self._redelivery is not None and not self._redelivery.ended:
            self._redelivery.tell(RedeliverNow())

    def connected(self, charge_point_id: str) -> None:
        """Note that a charge point has connected here, which another process may have had."""
        if charge_point_id in self.behind:
            self.spooled(charge_point_id)

    def requeue(self, numbers: Collection[int] | None, timeout_s: float) -> list[int]:
        """Put dead letters, these or all, back into the spool with their whole transactions; return their numbers.

        Switches greenlets until the store has done it; raises `StoreError`.
        """
        keys = {
            record.number: (record.charge_point_id, self.transaction_of(record))
            for record in self._store.dead_letters(limit=DEAD_LETTERS_READ)
        }
        wanted = set(keys if numbers is None else keys.keys() & set(numbers))
        transactions = {keys[number] for number in wanted if keys[number][1] is not None}
        back = [number for number, key in keys.items() if number in wanted or key in transactions]
        # Before the store has them: what comes in from now on goes behind them, and redelivery leaves them in.
        revived = transactions & self.dead
        self.dead -= revived
        charge_points = {keys[number][0] for number in back}
        for charge_point_id in charge_points:
            self.put_behind(charge_point_id)
        done = False
        try:
            self._store.requeue(back).wait(timeout_s)
            done = True
        finally:
            if not done:
                self.dead |= revived
            for charge_point_id in charge_points:
                self.spooled(charge_point_id, older=True)
        return back

    def forget(self, record: SpooledMessage) -> None:
        """Note that a dead letter is gone for good: what comes of its transaction does not follow it any more."""
        self.dead.discard((record.charge_point_id, record.transaction_id))

    # -- For the redelivery ----------------------------------------------------------------------

    def attach(self, redelivery: Cell) -> None:
        """Let a redelivery hand over from now on what is spooled."""
        self._redelivery = redelivery

    def load(self) -> None:
        """Read from the store which transactions are dead letters."""
        for record in self._store.dead_letters(limit=DEAD_LETTERS_READ):
            self._note_dead(record)

    def charge_points(self) -> Sequence[str]:
        """Return the charge points with spooled messages."""
        return self._store.spooled_charge_points()

    def next_of(self, charge_point_id: str, limit: int) -> Sequence[SpooledMessage]:
        """Return the oldest messages of a charge point; if there are none, its further ones go to their plugin again.

        May switch greenlets. What is spooled while the store reads is not overtaken.
        """
        records: Sequence[SpooledMessage] = ()
        changed = True
        while not records and changed:
            self._changed.discard(charge_point_id)
            records = self._store.spooled(charge_point_id=charge_point_id, limit=limit)
            changed = charge_point_id in self._changed
        if not records:
            self.behind.discard(charge_point_id)
        return records

    def is_dead(self, record: SpooledMessage) -> bool:
        """Return whether the first message of a record's transaction is a dead letter."""
        return (record.charge_point_id, self.transaction_of(record)) in self.dead

    def dead_letter(self, record: SpooledMessage, why: str) -> RecordReceipt:
        """Make a record a dead letter, and with it what will come of a transaction that it began."""
        self._note_dead(record)
        return self._store.dead_letter(record.number, why)

    def action_of(self, record: SpooledMessage) -> Action | None:
        """Return the action of a record; None if the system does not speak its version any more."""
        version = self._versions.get(record.version)
        return version.actions.get(record.action) if version is not None else None

    def transaction_of(self, record: SpooledMessage) -> Any:
        """Return the transaction that a record belongs to; None if it names none or cannot be read."""
        if record.transaction_id is not None:
            return record.transaction_id
        action = self.action_of(record)
        if action is None or action.transaction_of is None:
            return None
        try:
            request, _ = lenient(action.request, record.payload, received_at=record.received_at)
        except Refused:
            return None
        return action.transaction_of(request)

    def _note_dead(self, record: SpooledMessage) -> None:
        action = self.action_of(record)
        if action is None or action.allots is None or record.transaction_id is None:
            return
        try:
            lenient(action.request, record.payload, received_at=record.received_at)
        except Refused:
            # Its plugin could never have had it: the rest of the transaction does not wait for it.
            return
        self.dead.add((record.charge_point_id, record.transaction_id))
