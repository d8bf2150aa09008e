"""Handing the interpreter's lock to a native thread that a busy hub would starve.

A hub that releases the interpreter's lock often, and takes it again at once, is never asked to give it up: the waiting
thread is woken too late each time, and starts to wait again. So a hub that sees no progress pauses for a moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_S, LOOK_SELDOM_S = 0.005, 0.05
"""Seconds after which the hub sees whether the thread gets on: the second, when `LOOKS` have shown that it does not."""
LOOKS = 50
YIELD_S = 0.0002
"""Seconds that the hub then stands still for it."""


class GilHandoff:
    """Pause of the hub that lets a starved thread have the interpreter's lock.

    `lock` is a native lock that is never free: waiting for it is the pause.
    """

    def __init__(self, lock: Any) -> None:
        lock.acquire()
        self._lock = lock
        self._looks = 0  # since there was progress
        self._seen = 0
        self._timer: Any = None

    def begin(self, loop: Any, progress: Callable[[], int | None]) -> None:
        """Watch a thread until `progress`, which grows with its work, is None: the thread is idle."""
        if self._timer is None:
            self._timer = loop.timer(LOOK_S if self._looks < LOOKS else LOOK_SELDOM_S, ref=False)
            self._timer.start(self._look, loop, progress)

    def _look(self, loop: Any, progress: Callable[[], int | None]) -> None:
        self.end()
        now = progress()
        if now is None:
            self._looks = 0
            return
        if now != self._seen:
            self._seen = now
            self._looks = 0
        else:
            self._lock.acquire(timeout=YIELD_S)
            self._looks += 1
        self.begin(loop, progress)

    def end(self) -> None:
        """Stop looking after the thread."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
