"""A clock that stands still until a test moves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..actors.runtime.timers import Timers

NEW_YEAR_2026 = 1_767_225_600.0


class ManualClock:
    """Both clocks of a `Clock`, moved together by `advance`.

    `time` starts at 2026-01-01T00:00:00Z unless told otherwise, `monotonic` at a number that is no date. Timers that
    `drive` was given run as their times come; a `CentralSystem` with this clock has timers that nobody drives.
    """

    def __init__(self, time: float = NEW_YEAR_2026, monotonic: float = 1000.0) -> None:
        self._time = time
        self._monotonic = monotonic
        self._driven: list[Timers] = []

    def monotonic(self) -> float:
        """Return seconds from some point in the past."""
        return self._monotonic

    def time(self) -> float:
        """Return the seconds since 1970, UTC."""
        return self._time

    def drive(self, timers: Timers) -> None:
        """Run the due callbacks of these timers whenever the clock is moved."""
        self._driven.append(timers)

    def advance(self, seconds: float, between: Callable[[], None] | None = None) -> None:
        """Move on by so many seconds, stopping at each due callback on the way; then `between` is called too.

        Callbacks run in the caller's greenlet, at their own time. Raises ValueError for a step back.
        """
        if seconds < 0:
            raise ValueError("time does not go back")
        target = self._monotonic + seconds
        while True:
            for timers in self._driven:
                timers.run_due()
            if between is not None:
                between()
            due = min((timers.due for timers in self._driven), default=target)
            if due > target or not self._driven:
                break
            self._move_to(max(due, self._monotonic))
        self._move_to(target)

    def set_time(self, time: float) -> None:
        """Change only the time of day, as an administrator or NTP does."""
        self._time = time

    def _move_to(self, monotonic: float) -> None:
        self._time += monotonic - self._monotonic
        self._monotonic = monotonic
