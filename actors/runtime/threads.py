"""Native threads, whether or not the host application has patched `threading`.

A system belongs to the hub of one native thread. Other threads hand it calls through an inlet.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from gevent import get_hub
from gevent.monkey import get_original  # returns the originals; patches nothing

from .failure import Failure, attempt

if TYPE_CHECKING:
    from collections.abc import Callable

native_thread: Callable[[], int] = get_original("_thread", "get_ident")
"""Return the number of the current native thread, the same for all greenlets of a hub."""

native_lock = get_original("_thread", "allocate_lock")
"""Factory of native locks; never wait for one in a hub's thread."""

start_native_thread = get_original("_thread", "start_new_thread")
"""Start a native thread; it must not touch anything that greenlets use."""


class Inlet:
    """Inlet to the hub of the thread that makes it: calls from any thread run there, in order.

    It uses a watcher of its own. gevent's `run_callback_threadsafe` counts a reference of the loop in the caller's
    thread, while libev counts in the hub's without the interpreter's lock: after many calls the count is wrong, and the
    hub stops with `LoopExit` although greenlets wait.
    """

    def __init__(self) -> None:
        self._hub: Any = get_hub()
        self.thread = native_thread()
        self._waiting: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._closed = False
        self._watcher: Any = self._hub.loop.async_(ref=False)
        self._watcher.start(self._take)

    def put(self, function: Callable[[Any], None], argument: Any) -> None:
        """Have `function(argument)` called in the hub, where it must not block; from any thread."""
        self._waiting.append((function, argument))
        if self._closed:
            self._take()  # the hub has ended, so it is called here
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
        """Run the calls that wait, and stop watching; later calls run in the caller's thread."""
        self._closed = True
        self._watcher.stop()
        self._take()


def inlet_of(hub: Any) -> Inlet:
    """Return the inlet that a hub keeps as long as it lives; the first time, in the hub's own thread."""
    inlet: Inlet | None = vars(hub).get("chargehand_inlet")
    if inlet is None:
        inlet = hub.chargehand_inlet = Inlet()
    return inlet
