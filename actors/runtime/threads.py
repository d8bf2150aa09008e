"""The native threads beneath the greenlets, whether the host has patched them away or not.

A system belongs to the hub of one native thread. Other threads may only hand it calls and wait for tickets.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from gevent import get_hub
from gevent.monkey import get_original  # reads what there was before; patches nothing

from .failure import Failure, attempt

if TYPE_CHECKING:
    from collections.abc import Callable

native_thread: Callable[[], int] = get_original("_thread", "get_ident")
"""The number of the native thread one is in, which for all greenlets of a hub is the same."""

native_lock = get_original("_thread", "allocate_lock")
"""Makes a lock that stops a native thread, and so must never be waited for in a hub's."""

start_native_thread = get_original("_thread", "start_new_thread")
"""Starts a native thread, which must keep away from everything that greenlets use."""


class Inlet:
    """The way into the hub of the thread that makes it: what any thread puts in is called there, in order.

    It is a watcher of our own. gevent's `run_callback_threadsafe` counts a reference of the loop in the caller's
    thread, while libev counts in the hub's without the interpreter's lock: after many calls the count is wrong, and the
    hub stops with `LoopExit` although somebody waits.
    """

    def __init__(self) -> None:
        self._hub: Any = get_hub()
        self._waiting: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._closed = False
        self._watcher: Any = self._hub.loop.async_(ref=False)
        self._watcher.start(self._take)

    def put(self, function: Callable[[Any], None], argument: Any) -> None:
        """Have `function(argument)` called in the hub, where it must not block; from any thread."""
        self._waiting.append((function, argument))
        if self._closed:
            self._take()  # nobody else does any more, and what it belongs to has ended
        else:
            self._watcher.send()

    def _take(self) -> None:
        while self._waiting:
            try:
                function, argument = self._waiting.popleft()
            except IndexError:
                return  # another thread had it
            failure = attempt(function, argument)
            if type(failure) is Failure:
                self._hub.handle_error(function, *failure.exc_info)

    def close(self) -> None:
        """Call what was put in, and stop watching; what comes later is called in the thread it comes from."""
        self._closed = True
        self._watcher.stop()
        self._take()
