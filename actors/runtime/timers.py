"""Clocks and timers.

One heap and one timer of the hub serve all callbacks: a hub timer for each deadline of a session would be expensive. A
timer cannot be cancelled: the callback checks whether there is still something to do. So an owner keeps at most one
running, and lets it find its later deadlines. A callback that many short-lived owners leave behind has an attribute
`over`, so that those are taken out together.
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
    """Source of time; tests pass `chargehand.testing.ManualClock`."""

    def monotonic(self) -> float:
        """Return the seconds since some point in the past; never goes back."""

    def time(self) -> float:
        """Return the seconds since 1970, UTC."""


class SystemClock:
    """Clocks of the machine."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


LEFT_LEAST = 1000
"""Callbacks left behind before any of them are taken out."""


class Timers:
    """Callbacks by due time, on `clock`'s monotonic scale. `run_due` is called by the hub, or by a test."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._left = 0  # callbacks that were left since the last time that such were taken out

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def due(self) -> float:
        """Time of the next callback; infinity if there is none."""
        return self._heap[0][0] if self._heap else float("inf")

    def call_at(self, due: float, callback: Callable[[], None]) -> None:
        """Call `callback` in the hub when the clock reaches `due`, or soon after. It must not block."""
        heapq.heappush(self._heap, (due, next(self._numbers), callback))
        if self._heap[0][0] == due:
            self._arm(due)

    def run_due(self) -> float | None:
        """Run the callbacks that are due; return the time of the next one, if any."""
        heap = self._heap
        now = self.clock.monotonic()
        while heap and heap[0][0] <= now:
            callback = heapq.heappop(heap)[2]
            failure = attempt(callback)
            if type(failure) is Failure:
                # With a context the error is printed; without one gevent would raise it in the main greenlet.
                get_hub().handle_error(callback, *failure.exc_info)
        return heap[0][0] if heap else None

    def clear(self) -> None:
        """Drop all callbacks."""
        self._heap.clear()

    def leave(self) -> None:
        """Note that a callback is `over`; all such are taken out once they may be half of the callbacks.

        A storm of short connections would leave a callback each, for the length of a keepalive's interval.
        """
        self._left += 1
        if self._left >= LEFT_LEAST and self._left * 2 >= len(self._heap):
            self._left = 0
            self._heap[:] = [entry for entry in self._heap if not getattr(entry[2], "over", False)]
            heapq.heapify(self._heap)

    def _arm(self, due: float) -> None:
        """Arrange that `run_due` is called at `due`; a no-op here, where the clock is moved by hand."""


class HubTimers(Timers):
    """Timers that the hub runs."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._loop: Any = get_hub().loop
        self._timer: Any = None
        self._armed_for = float("inf")

    def clear(self) -> None:
        """Drop all callbacks and stop the hub's timer."""
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
