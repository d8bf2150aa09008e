"""Future of pykka without monkey patching: greenlets of any hub and native threads may wait for it, and set it."""

from __future__ import annotations

import contextlib
import queue
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pykka
from gevent._hub_local import get_hub_if_exists
from gevent.event import Event
from gevent.exceptions import LoopExit

from .threads import HubBlocked, inlet_of, native_lock, native_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from .threads import Inlet

T = TypeVar("T")


LOOK_S = 0.25
"""Seconds between two looks of a waiting thread at the hub that it waits for."""


def wait_until(
    settled: Callable[[], bool],
    wakers: list[Callable[[], None]],
    timeout_s: float | None,
    home: Inlet | None = None,
) -> bool:
    """Wait in any greenlet or native thread until `settled`, which is set before each of `wakers` is called.

    A native thread without a hub waits for a native lock; a greenlet is woken through the inlet of its hub. `home` is
    the inlet of the hub that settles it: raises `HubBlocked` in another thread once that hub hangs.
    """
    hub, thread = get_hub_if_exists(), native_thread()
    wait: Callable[[float | None], object]
    if hub is None:
        lock = native_lock()
        lock.acquire()
        wake = lock.release

        def wait(seconds: float | None) -> bool:
            return bool(lock.acquire(timeout=-1 if seconds is None else max(seconds, 0.0)))
    else:
        ended, inlet = Event(), inlet_of(hub)

        def wake() -> None:
            if native_thread() == thread:
                ended.set()
            else:
                inlet.put(_set, ended)

        def wait(seconds: float | None) -> bool:
            return _wait(hub, ended, seconds)

    wakers.append(wake)
    try:
        if not settled():  # it may have been settled meanwhile, by another thread
            if home is None or home.thread == thread:
                wait(timeout_s)
            else:
                _wait_and_look(wait, timeout_s, home)
    finally:
        if not settled():
            with contextlib.suppress(ValueError):  # woken at this moment
                wakers.remove(wake)
    return settled()


def wake_all(wakers: Iterable[Callable[[], None]]) -> None:
    """Wake those that `wait_until`. A thread that gives up meanwhile takes itself out of the list."""
    for wake in tuple(wakers):
        wake()


def _wait_and_look(wait: Callable[[float | None], bool], timeout_s: float | None, home: Inlet) -> None:
    ends_at = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = LOOK_S if ends_at is None else min(LOOK_S, ends_at - time.monotonic())
        if wait(left_s):
            return
        if home.thread not in sys._current_frames():  # noqa: SLF001 - there is no other way to know
            raise HubBlocked("the thread of the hub has ended")
        # Looked at after a wait: a hub that runs again needs a moment to say so.
        now, block = time.monotonic(), home.block
        if block is not None and now >= block.hangs_at:
            raise block.error()
        if ends_at is not None and now >= ends_at:
            return


def _set(ended: Event) -> None:
    ended.set()


def _wait(hub: Any, ended: Event, timeout_s: float | None) -> bool:
    try:
        return bool(ended.wait(timeout_s))
    except LoopExit:
        # Nothing else keeps the hub's loop running, but another thread may wake us: a watcher of our own keeps it.
        stays = hub.loop.async_()
        stays.start(lambda: None)
        try:
            return bool(ended.wait(timeout_s))
        finally:
            stays.stop()
            stays.close()


class Future(pykka.Future[T]):
    """Value that is set later. `get` switches greenlets in a hub, and blocks a native thread that has none.

    `home` is the inlet of the hub that sets it, if that is known.
    """

    home: Inlet | None = None

    def __init__(self) -> None:
        super().__init__()
        self._done = False
        self._value: Any = None
        self._error: tuple[BaseException, TracebackType | None] | None = None
        self._wakers: list[Callable[[], None]] = []
        self._hook: Callable[[float | None], T] | None = None

    def get(self, *, timeout: float | None = None) -> T:
        """Return the value or raise the exception; `pykka.Timeout` after `timeout` seconds.

        In another thread that is a `HubBlocked` if the hub is blocked which would set it; one that hangs ends the wait.
        A `gevent.Timeout` of the caller's own passes through.
        """
        if not self._done:
            if self._hook is not None:
                self._settle(self._hook(timeout), None)
            elif not self.wait(timeout):
                if self.home is not None and self.home.block is not None:
                    raise self.home.block.error()
                raise pykka.Timeout(f"{timeout} seconds")
        if self._error is not None:
            error, traceback = self._error
            raise error.with_traceback(traceback)
        return cast("T", self._value)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the value or the exception; return false if `timeout_s` passed before."""
        return self._done or wait_until(self.done, self._wakers, timeout_s, self.home)

    def done(self) -> bool:
        """Return whether `get` would return or raise at once."""
        return self._done

    def set(self, value: T | None = None) -> None:
        """Set the value; raises `queue.Full` if there is a result."""
        self._must_be_open()
        self._settle(value, None)

    def set_exception(
        self,
        exc_info: tuple[type[BaseException] | None, BaseException | None, TracebackType | None] | None = None,
    ) -> None:
        """Set an exception (default: the one being handled); raises `queue.Full` if there is a result."""
        self._must_be_open()
        kind, value, traceback = exc_info or sys.exc_info()
        if kind is None:
            raise ValueError("there is no exception to set")
        self._settle(None, (value if value is not None else kind(), traceback))

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """Have `func(timeout)` make the value at the first `get`."""
        if self._done:
            raise queue.Full
        self._hook = func

    def _settle(self, value: Any, error: tuple[BaseException, TracebackType | None] | None) -> None:
        self._value, self._error = value, error
        self._done = True
        wakers = self._wakers
        while wakers:
            try:
                wake = wakers.pop()
            except IndexError:  # its waiter has taken it back
                return
            wake()

    def _must_be_open(self) -> None:
        if self._done or self._hook is not None:
            raise queue.Full
