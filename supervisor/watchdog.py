"""A native thread that sees when the hub is blocked, and says by what.

A loop that computes or a blocking call into C stops every greenlet; nothing can cure that, but one can be
told. The thread
touches no lock and no logger that greenlets use: it writes to a file descriptor, and keeps the report for the
hub to find.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

from gevent import get_hub

from ..actors.runtime.threads import native_lock, native_thread, start_native_thread

if TYPE_CHECKING:
    from collections.abc import Callable

STDERR = 2

STUCK_S = 1.0
"""Seconds that `stop` waits for a thread that cannot write its report."""


class Watchdog:
    """Watches the hub of the thread that starts it.

    The hub beats every `limit_s / 4`; when no beat came for `limit_s` the thread writes one report with the
    hub thread's stack,
    and `blocked(seconds, stack)` is called in the hub when that runs again.
    """

    def __init__(
        self, limit_s: float, blocked: Callable[[float, str], None], *, descriptor: int | None = STDERR
    ) -> None:
        self._limit_s = limit_s
        self._blocked = blocked
        self._descriptor = descriptor
        self._beat_at = 0.0
        self._timer: Any = None
        self._stop: Any = None
        self._ended: Any = None
        self._report = ""

    def start(self) -> None:
        """Begin to watch."""
        self._beat_at = time.monotonic()
        self._thread = native_thread()
        self._timer = get_hub().loop.timer(self._limit_s / 4, self._limit_s / 4, ref=False)
        self._timer.start(self._beat)
        self._stop, self._ended = native_lock(), native_lock()
        self._stop.acquire()
        self._ended.acquire()
        start_native_thread(self._watch, ())

    def stop(self) -> None:
        """Stop watching; its thread has ended when it returns."""
        if self._timer is None:
            return
        self._timer.stop()
        self._timer.close()
        self._timer = None
        self._stop.release()
        # At once: the thread wakes when `_stop` is released and does nothing more. Unless it is stuck in a report that
        # nobody reads.
        self._ended.acquire(timeout=STUCK_S)

    def _beat(self) -> None:
        now = time.monotonic()
        late_s, report = now - self._beat_at, self._report
        self._beat_at = now
        if report:
            self._report = ""
            self._blocked(late_s, report)

    def _watch(self) -> None:
        reported_for = 0.0
        try:
            while not self._stop.acquire(timeout=self._limit_s / 2):
                beat_at = self._beat_at
                late_s = time.monotonic() - beat_at
                if late_s > self._limit_s and reported_for != beat_at:
                    reported_for = beat_at
                    self._look(late_s)
        finally:
            self._ended.release()  # whatever happened: `stop` waits for it

    def _look(self, late_s: float) -> None:
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001 - there is no other way to another thread
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        self._report = stack
        if self._descriptor is not None:
            text = f"the hub has been blocked for {late_s:.1f} s:\n{stack}"
            with contextlib.suppress(OSError):  # nobody may read it, or not now
                os.write(self._descriptor, text.encode("utf-8", "replace"))
