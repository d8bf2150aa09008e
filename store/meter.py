"""Meter of a store: what metrics tell of its commits and of the transactions that it was given, in plain numbers."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from ..protocol.histogram import Histogram

if TYPE_CHECKING:
    from .records import Transaction

WAITING = 10_000
"""Ended transactions whose energy is not derived yet that are remembered."""


class StoreFigures(NamedTuple):
    """Numbers of records, of all processes that share the store; none is counted beyond `COUNTED`."""

    spooled: int
    dead_letters: int
    dead_events: int
    open_transactions: int


COUNTED = 100_000
"""Records of one kind that are counted at most."""


class StoreMeter:
    """Numbers of one store in this process. `failing` says why the last commit failed; "" if it did not.

    `commits`, `rows`, `failed` and `failing` are the writer thread's, the rest the hub's.
    """

    def __init__(self) -> None:
        self.commits = Histogram()
        self.rows = 0
        self.failed = 0
        self.failing = ""
        self.started = 0
        self.ended = 0
        self.energy_wh = 0.0
        self._not_derived: OrderedDict[int, None] = OrderedDict()

    def committed(self, seconds: float, rows: int, failing: str) -> None:
        """Note the end of a batch of writes."""
        self.commits.add(seconds)
        self.failing = failing
        if failing:
            self.failed += 1
        else:
            self.rows += rows

    def transaction_ended(self, transaction: Transaction) -> None:
        """Count a transaction that has ended, with the energy between its registers if both are known."""
        self.ended += 1
        start, stop = transaction.meter_start, transaction.meter_stop
        if start is not None and stop is not None:
            self.energy_wh += max(0, stop - start)
            return
        self._not_derived[transaction.id] = None
        if len(self._not_derived) > WAITING:
            self._not_derived.popitem(last=False)

    def energy_derived(self, transaction_id: int, energy_wh: float | None) -> None:
        """Count the energy of a transaction whose registers did not tell it."""
        if transaction_id in self._not_derived:
            del self._not_derived[transaction_id]
            self.energy_wh += max(0.0, energy_wh or 0.0)
