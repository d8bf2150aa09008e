"""Scheduler: the run queue of cells with messages, and the greenlets that run them.

A cell with a message is put on the run queue; a runner greenlet runs it for a bounded number of messages, then the next
cell. A handler that blocks keeps its greenlet, and another runner takes over: an idle actor has no greenlet, and no
actor waits for another one's handler. A scheduler belongs to one hub and is never shared.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from gevent import get_hub, getcurrent
from greenlet import greenlet

from .failure import Failure, attempt
from .threads import inlet_of

if TYPE_CHECKING:
    from collections.abc import Callable

SPARE_DEQUES = 128
"""Emptied deques that a scheduler keeps for the inboxes that get a message next: 0.75 KiB each."""

BETWEEN_LOOKS = 7
"""Mask: one turn of eight reads the clock; doing it in each would cost some percent of a cheap turn."""


class Runnable(Protocol):
    """Entry of the run queue."""

    def run(self, budget: int) -> None:
        """Handle at most `budget` messages; the entry queues itself again if there are more."""

    def failed(self, failure: Failure) -> None:
        """Handle an exception that left `run`, in the same greenlet. Must not raise."""


def _tell_failed(cell: Runnable | None, failure: Failure) -> None:
    if cell is not None:  # else it came between two turns
        cell.failed(failure)


class _Runner(greenlet):
    """Greenlet that runs cells, one after the other."""

    cell: Runnable | None = None  # the cell that it runs


class Scheduler:
    """Run queue of one hub.

    `drain` is the number of messages that one cell may handle in a turn. The hub polls its sockets and timers after
    `turns` turns, or after about `slice_s` seconds of `monotonic`. `spare` is the number of idle runners that are kept.
    """

    def __init__(
        self,
        *,
        drain: int = 32,
        turns: int = 512,
        slice_s: float = 0.005,
        spare: int = 16,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.hub: Any = get_hub()
        self.inlet = inlet_of(self.hub)  # for the messages of other native threads
        self._drain = drain
        self._turns = turns
        self._spare = spare
        self.queue: deque[Runnable] = deque()  # for `Cell.tell`, which inlines `enqueue`
        self.armed = False
        # For `Inbox.tell`; of more than there is room for the oldest go.
        self.spare_deques: deque[deque[Any]] = deque(maxlen=SPARE_DEQUES)
        self._behind = False  # the last slice has left something
        self._idle: list[_Runner] = []
        self._blocked: set[_Runner] = set()
        self._workers = 0
        self._left = 0
        self._slice_s = slice_s
        self._monotonic = monotonic
        self._ends_at = 0.0  # this pump
        self._closed = False
        self._again: Any = None

    def enqueue(self, cell: Runnable) -> None:
        """Put a cell on the run queue, where it must not be already. For the hub's thread."""
        self.queue.append(cell)
        if not self.armed:
            self.arm()

    def arm(self) -> None:
        """Have the queue run at the hub's next turn."""
        self.armed = True
        self.hub.loop.run_callback(self._pump)

    @property
    def runners(self) -> int:
        """Number of greenlets: running, blocked in a handler, or spare."""
        return self._workers

    def blocked(self) -> list[Runnable]:
        """List the cells whose handler is blocked."""
        return [runner.cell for runner in self._blocked if runner.cell is not None]

    @property
    def busy(self) -> bool:
        """Return whether a cell waits for its turn."""
        return self.armed

    def close(self) -> None:
        """End the idle runners; those that are blocked end with their handler."""
        self._closed = True
        while self._idle:
            self.hub.loop.run_callback(self._idle.pop().switch)
        if self._again is not None and not self.armed:
            self._again.close()
            self._again = None

    def _pump(self) -> None:
        # Runs in the hub; every switch comes back here when the runner parks, blocks or ends.
        queue = self.queue
        self._left = self._turns
        self._ends_at = self._monotonic() + self._slice_s
        try:
            while queue and self._left > 0:
                if self._idle:
                    runner = self._idle.pop()
                else:
                    runner = _Runner(self._work, self.hub)
                    self._workers += 1
                runner.switch()
                if runner.cell is not None and not runner.dead:  # the runner is blocked in a handler
                    self._blocked.add(runner)
        finally:  # whatever is raised here (a Ctrl-C between two handlers), the rest of the queue is run
            self._left = 0
            self._behind = bool(queue)
            if queue:
                self._pump_later()
            else:
                self.armed = False

    def run_now(self) -> None:
        """Run the queue now, unless it is longer than a slice already. For the hub."""
        if self.queue and not self._behind:
            self._pump()

    def is_behind(self) -> bool:
        """Return whether more waited than a slice could do."""
        return self._behind

    def _pump_later(self) -> None:
        # Not by a callback: dozens of them run before the hub polls its sockets; a timer runs once per poll.
        if self._again is None:
            self._again = self.hub.loop.timer(0.0)
        self._again.start(self._pump)

    def _work(self) -> None:
        me: Any = getcurrent()
        try:
            while True:
                # One `attempt` until something is raised: one per turn would cost more than the turn itself.
                failure = attempt(self._take_turns, me)
                if type(failure) is Failure:
                    fault = attempt(_tell_failed, me.cell, failure)
                    if (
                        type(fault) is Failure
                    ):  # a failure of the runtime must not cost other cells their turns
                        self.hub.handle_error(me.cell, *fault.exc_info)
                    continue
                me.cell = None
                self._blocked.discard(me)
                if self._closed or len(self._idle) >= self._spare:
                    return
                self._idle.append(me)
                self.hub.switch()
        finally:
            self._blocked.discard(me)
            self._workers -= 1

    def _take_turns(self, me: _Runner) -> None:
        queue = self.queue
        drain = self._drain
        while queue and self._left > 0:
            self._left = left = self._left - 1
            me.cell = cell = queue.popleft()
            cell.run(drain)
            if not left & BETWEEN_LOOKS and self._monotonic() >= self._ends_at:
                self._left = 0
