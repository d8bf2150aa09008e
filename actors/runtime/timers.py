"""Time, and what is to happen when it comes.

One heap and one timer of the hub serve everybody: a session with a deadline for every call would otherwise pay for a
hub timer for each. A timer cannot be cancelled: whoever is called looks whether there is still something to do. So an
owner keeps at most one of them running and lets it find its later deadlines.
"""

from __future__ import annotations

import heapq
import itertools
import time
from typing import TYPE_CHECKING, Any, Protocol

from gevent import get_hub

from .failure import Failure, attempt

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock(Protocol):
    """Where the time comes from; tests pass `chargehand.testing.ManualClock`."""

    def monotonic(self) -> float:
        """Seconds from some point in the past; never goes back."""

    def time(self) -> float:
        """Seconds since 1970, UTC."""


class SystemClock:
    """The machine's clocks."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


class Timers:
    """Callbacks by due time, on `clock`'s monotonic scale. `run_due` is called by the hub, or by a test."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def due(self) -> float:
        """When the next callback is due; infinity if there is none."""
        return self._heap[0][0] if self._heap else float("inf")

    def call_at(self, due: float, callback: Callable[[], None]) -> None:
        """Call `callback` in the hub when the clock reaches `due`, or soon after. It must not block."""
        heapq.heappush(self._heap, (due, next(self._numbers), callback))
        if self._heap[0][0] == due:
            self._arm(due)

    def run_due(self) -> float | None:
        """Call what is due; return when the next one is, if there is one."""
        heap = self._heap
        now = self.clock.monotonic()
        while heap and heap[0][0] <= now:
            callback = heapq.heappop(heap)[2]
            failure = attempt(callback)
            if type(failure) is Failure:
                # With a context it is printed; without one gevent would raise it in the host's main greenlet.
                get_hub().handle_error(callback, *failure.exc_info)
        return heap[0][0] if heap else None

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()

    def _arm(self, due: float) -> None:
        """Arrange that `run_due` is called at `due`. Here: nobody does, for the clock is moved by hand."""


class HubTimers(Timers):
    """Timers that the hub runs."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._loop: Any = get_hub().loop
        self._timer: Any = None
        self._armed_for = float("inf")

    def clear(self) -> None:
        """Forget everything and stop the hub's timer."""
        super().clear()
        self._disarm()

    def _arm(self, due: float) -> None:
        if due >= self._armed_for:
            return
        self._disarm()
        self._armed_for = due
        self._timer = self._loop.timer(max(due - self.clock.monotonic(), 0.0), ref=False)
        self._timer.start(self._fire)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        self._armed_for = float("inf")

    def _fire(self) -> None:
        self._disarm()
        due = self.run_due()
        if due is not None:
            self._arm(due)
