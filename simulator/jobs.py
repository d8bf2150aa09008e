"""Background work of a charge point, at once or later, in greenlets that end with the charge point.

The one rule: a job that fails for reasons of the network, or of the central system, is noted and forgotten; anything
else is a bug and is shown. The clock is that of the timers, so a test that moves it by hand moves the charge point.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any

from gevent import getcurrent
from gevent.pool import Group

from ..actors.runtime.timers import HubTimers, SystemClock
from ..protocol.handshake import HandshakeError
from .errors import CallFailed, NotPossible

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..actors.runtime.timers import Timers

logger = logging.getLogger(__name__)


class Job:
    """Work to be done later, unless it is cancelled."""

    __slots__ = ("cancelled",)

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        """Leave it undone."""
        self.cancelled = True


class Jobs:
    """Greenlets and timers of one charge point. Without `timers` it has some of its own, which the hub runs."""

    def __init__(self, name: str, timers: Timers | None = None) -> None:
        self._name = name
        self._timers: Timers = HubTimers(SystemClock()) if timers is None else timers
        self._own = timers is None
        self._group = Group()
        self._open = True

    def __len__(self) -> int:
        return len(self._group)

    def time(self) -> float:
        """Return the seconds since 1970."""
        return self._timers.clock.time()

    def now(self) -> dt.datetime:
        """Return the time in UTC, in whole seconds as in OCPP."""
        return dt.datetime.fromtimestamp(int(self.time()), dt.UTC)

    def begin(self) -> None:
        """Take jobs again, after `end`."""
        self._open = True

    def start(self, function: Callable[..., object], *args: Any) -> None:
        """Do it in a greenlet of its own."""
        if self._open:
            self._group.spawn(self._run, function, args)

    def later(self, delay_s: float, function: Callable[..., object], *args: Any) -> Job:
        """Do it in so many seconds, in a greenlet of its own."""
        job = Job()

        def due() -> None:
            if not job.cancelled:
                self.start(function, *args)

        if self._open:
            self._timers.call_at(self._timers.clock.monotonic() + delay_s, due)
        return job

    def _run(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        try:
            function(*args)
        except (CallFailed, NotPossible, OSError, HandshakeError) as error:
            logger.info("%s: %s", self._name, error)

    def end(self) -> None:
        """Kill the running jobs except the caller, and drop the later ones."""
        self._open = False
        if self._own:
            self._timers.clear()
        current = getcurrent()
        for greenlet in list(self._group):
            if greenlet is not current:
                self._group.killone(greenlet)


class PeriodicTask:
    """Something done again and again. `interval_s` is asked before each time; at 0 the beat rests until `restart`."""

    def __init__(self, jobs: Jobs, interval_s: Callable[[], float], function: Callable[[], object]) -> None:
        self._jobs = jobs
        self._interval_s = interval_s
        self._function = function
        self._job = Job()

    def restart(self) -> None:
        """Count from now on."""
        self._job.cancel()
        interval_s = self._interval_s()
        if interval_s > 0:
            self._job = self._jobs.later(interval_s, self._beat)

    def stop(self) -> None:
        """Rest until `restart`."""
        self._job.cancel()

    def _beat(self) -> None:
        self.restart()
        self._function()
