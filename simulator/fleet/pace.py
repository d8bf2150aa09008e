"""Simulated time: faster than real time, and never faster than the central system answers.

The one rule: it stops at each thing that is due, at the very moment of that thing. While it is held it stands still,
and what it has lost is lost.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event

from ...actors.runtime.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable

TICK_S = 0.02
"""Longest real time that it sleeps."""
LATE_S = 300.0
"""Simulated time that may go by between two looks whether it is held."""
LOOK_S = 0.05
"""Real time that may."""
HELD_S = 0.001
"""Real time between two looks while it is held."""
QUIET_TURNS = 3


class _Clock:
    """Both clocks of a `Clock`, moved by the pace alone."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    monotonic = time


class Pace:
    """Clock and timers that begin at `start`, in seconds since 1970, and go `speed` times as fast as real time.

    `is_held` returns true while time has to stand still; it is asked at least once in `LATE_S` of simulated time.
    """

    def __init__(self, start: float, speed: float, is_held: Callable[[], bool]) -> None:
        self.speed = speed
        self.held_s = 0.0
        """Real seconds for which time stood still."""
        self._clock = _Clock(start)
        self.timers = Timers(self._clock)
        self._is_held = is_held
        self._looked = (start, 0.0)  # simulated and real time of the last look

    @property
    def now(self) -> float:
        """Seconds since 1970, simulated."""
        return self._clock.now

    def sleep_until(self, at: float) -> None:
        """Block until that moment; at once if it is over."""
        if at > self.now:
            due = Event()
            self.timers.call_at(at, due.set)
            due.wait()

    def run(self, until: float, over: Event) -> None:
        """Let time go on until a moment, or until `over` is set. What is due is done in the caller's greenlet."""
        before = time.monotonic()
        while self.now < until and not over.is_set():
            real = time.monotonic()
            target = min(until, self.now + (real - before) * self.speed)
            before = real
            while not over.is_set():
                next_ = min(self.timers.due, target)
                if self._hold(next_, over):
                    before = time.monotonic()
                    target = self.now
                if self.timers.due > target:
                    self._clock.now = max(self.now, target)
                    break
                self._clock.now = max(self.now, self.timers.due)
                self.timers.run_due()
                gevent.sleep(0)  # what is due begins now, at its own time
            rest_s = (min(self.timers.due, until) - self.now) / self.speed
            gevent.sleep(min(max(rest_s, 0.0), TICK_S))

    def _hold(self, ahead: float, over: Event) -> bool:
        """Stand still for as long as that is needed before time moves on to `ahead`; return true if it was."""
        simulated, real = self._looked
        begun = time.monotonic()
        if ahead - simulated < LATE_S and begun - real < LOOK_S:
            return False
        held, quiet = False, 0
        # Between two messages of a charge point nothing is on the wire: it has to be quiet for some turns of the hub.
        while quiet < QUIET_TURNS and not over.is_set():
            if self._is_held():
                held, quiet = True, 0
                gevent.sleep(HELD_S)
            else:
                quiet += 1
                gevent.sleep(0)
        now = time.monotonic()
        self.held_s += now - begun
        self._looked = (ahead, now)
        return held
