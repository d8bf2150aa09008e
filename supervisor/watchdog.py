"""Watchdog: a native thread that reports when the hub is blocked, and by what.

A long computation or a blocking call into C stops every greenlet; that cannot be cured, only reported. The thread
touches no lock and no logger that greenlets use: it writes to a file descriptor, and keeps the report for the hub.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, Self

from gevent import get_hub

from ..actors.runtime.actor import Actor
from ..actors.runtime.failure import attempt
from ..actors.runtime.threads import Block, inlet_of, native_lock, native_thread, start_native_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ..actors.session.context import Observer
    from ..config.settings import SupervisionSettings

logger = logging.getLogger(__name__)

STDERR = 2

BELOW_HANDLERS = (__name__.split(".", maxsplit=1)[0] + ".", "pykka.")
"""Beginnings of the names of modules that have methods of actors which are no handlers."""

RUNTIME = frozenset({"receive", "answer_call"})
"""Methods of actors that look for the handler; they are none themselves."""

STUCK_S = 1.0
"""Seconds that `stop` waits for a thread that cannot write its report."""


class Watchdog:
    """Watchdog of the hub of the thread that starts it.

    The hub beats every `limit_s / 4`. When no beat came for `limit_s`, the thread takes the stack of the hub's thread,
    writes it to the `descriptor`, if it has one, and `blocked(seconds, handler, stack)` is called in the hub when it
    runs again. `handler` is the handler that blocks, as in `Tags.authorize`, or empty if it is none. Threads that wait
    for the hub find the block at its inlet, and wait no longer once it has been blocked for `hang_s`.
    """

    def __init__(
        self,
        limit_s: float,
        blocked: Callable[[float, str, str], None],
        *,
        hang_s: float = 10.0,
        descriptor: int | None = STDERR,
    ) -> None:
        self._limit_s = limit_s
        self._hang_s = hang_s
        self._blocked = blocked
        self._descriptor = descriptor
        self._beat_at = 0.0
        self._timer: Any = None
        self._stop: Any = None
        self._ended: Any = None
        self._report: tuple[str, str] | None = None

    @classmethod
    def of(cls, settings: SupervisionSettings, observer: Observer) -> Self | None:
        """Make the watchdog of the settings, which logs and counts each block (`hub_blocked`); None if it is off."""
        if settings.watchdog_s <= 0:
            return None

        def blocked(seconds: float, handler: str, stack: str) -> None:
            observer.count("hub_blocked", "")
            logger.error(
                "the hub was blocked for %.1f s by %s: mark it as blocking=True, or keep it from blocking "
                "(supervision.watchdog_s)\n%s",
                seconds,
                handler or "what no handler is",
                stack,
            )

        # What is on standard error is the host's affair; the program has asked for it.
        descriptor = STDERR if settings.watchdog_stderr else None
        return cls(settings.watchdog_s, blocked, hang_s=settings.hang_s, descriptor=descriptor)

    def start(self) -> None:
        """Start watching."""
        self._beat_at = time.monotonic()
        self._thread = native_thread()
        self._inlet = inlet_of(get_hub())
        self._timer = get_hub().loop.timer(self._limit_s / 4, self._limit_s / 4, ref=False)
        self._timer.start(self._beat)
        self._stop, self._ended = native_lock(), native_lock()
        self._stop.acquire()
        self._ended.acquire()
        start_native_thread(self._watch, ())

    def stop(self) -> None:
        """Stop watching, and wait for the end of the thread."""
        if self._timer is None:
            return
        self._timer.stop()
        self._timer.close()
        self._timer = None
        self._stop.release()
        # Immediate, as the thread wakes when `_stop` is released; unless it is stuck writing a report that nobody
        # reads.
        self._ended.acquire(timeout=STUCK_S)
        self._inlet.block = None

    def _beat(self) -> None:
        now = time.monotonic()
        late_s, report = now - self._beat_at, self._report
        self._beat_at = now
        self._inlet.block = None
        if report is not None:
            self._report = None
            self._blocked(late_s, *report)

    def _watch(self) -> None:
        reported_for = 0.0
        try:
            while not self._stop.acquire(timeout=self._limit_s / 2):
                beat_at = self._beat_at
                late_s = time.monotonic() - beat_at
                if late_s > self._limit_s and reported_for != beat_at:
                    reported_for = beat_at
                    self._look(beat_at, late_s)
        finally:
            self._ended.release()  # in any case, as `stop` waits for it

    def _look(self, beat_at: float, late_s: float) -> None:
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001 - there is no other way to another thread
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        handler = handler_in(frame)
        self._report = handler, stack
        self._inlet.block = Block(beat_at, handler, stack, beat_at + self._hang_s)
        if self._descriptor is not None:
            by = f" by {handler}" if handler else ""
            text = f"the hub has been blocked for {late_s:.1f} s{by}:\n{stack}"
            with contextlib.suppress(OSError):  # the descriptor may have no reader
                os.write(self._descriptor, text.encode("utf-8", "replace"))


def handler_in(frame: FrameType | None) -> str:
    """Return the name of the handler that runs in a stack, as in `Tags.authorize`; empty if there is none.

    Handlers are called by `attempt`, of several that are nested the innermost method of an actor counts; others, as
    `on_receive`, are the outermost method of an actor that is not the runtime's.
    """
    other = ""
    while frame is not None:
        code = frame.f_code
        if code is attempt.__code__:
            function: Any = frame.f_locals.get("function")
            owner = getattr(function, "__self__", None)
            if isinstance(owner, Actor) and function.__name__ not in RUNTIME:
                return f"{type(owner).__qualname__}.{function.__name__}"
        elif code.co_argcount and not str(frame.f_globals.get("__name__")).startswith(BELOW_HANDLERS):
            owner = frame.f_locals.get(code.co_varnames[0])
            if isinstance(owner, Actor):
                other = f"{type(owner).__qualname__}.{code.co_name}"
        frame = frame.f_back
    return other
