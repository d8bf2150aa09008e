"""Native threads, whether or not the host application has patched `threading`.

A system belongs to the hub of one native thread. Other threads hand it calls through an inlet.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pykka
from gevent import get_hub
from gevent.monkey import get_original  # returns the originals; patches nothing

from ...config.errors import ChargehandError
from .failure import Failure, attempt

if TYPE_CHECKING:
    from collections.abc import Callable

native_thread: Callable[[], int] = get_original("_thread", "get_ident")
"""Return the number of the current native thread, the same for all greenlets of a hub."""

native_lock = get_original("_thread", "allocate_lock")
"""Factory of native locks; never wait for one in a hub's thread."""

start_native_thread = get_original("_thread", "start_new_thread")
"""Start a native thread; it must not touch anything that greenlets use."""


class HubBlocked(ChargehandError, pykka.Timeout, TimeoutError):
    """Error: the time limit of a wait passed in a thread, or there is none, while the hub that it waits for is blocked.

    Its note is the stack that blocks the hub. What the hub was asked for may still happen, as after any time limit.
    """


@dataclass(frozen=True, slots=True)
class Block:
    """Block of a hub that the watchdog has found: since when, by which handler, and from when on the hub hangs."""

    since: float
    handler: str
    stack: str
    hangs_at: float

    def error(self) -> HubBlocked:
        """Make the error for those who wait for the hub."""
        seconds = time.monotonic() - self.since
        way_out = (
            f"{self.handler}: mark it as blocking=True, or keep it from blocking"
            if self.handler
            else "what no handler is: let its thread wait by gevent, or start the system in a thread of its own"
        )
        error = HubBlocked(f"the hub has been blocked for {seconds:.1f} s by {way_out}")
        error.add_note(self.stack)
        return error


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
        self.block: Block | None = None  # set by the watchdog, while the hub is blocked
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
