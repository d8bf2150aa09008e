"""Functions that let the hub run in tests, without ever sleeping for a fixed time."""

import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import gevent

from chargehand.actors.runtime.scheduler import Scheduler

PASSES = 10
LOOK_EVERY = 5
TIMEOUT_S = 60.0
PAUSE_S = 0.0005

_schedulers: weakref.WeakSet[Scheduler] = weakref.WeakSet()


def notice_schedulers(turns: int | None = None) -> None:
    """Have `settle` know the schedulers that are made from now on in the main thread.

    With `turns` they let the hub poll its sockets and timers after so few turns, as on a machine that is very busy,
    except where a test chooses the length of a slice itself.
    """
    init = Scheduler.__init__

    def noticed(scheduler: Scheduler, **options: Any) -> None:
        if turns is not None and not options.keys() & {"turns", "slice_s"}:
            options["turns"] = turns
        init(scheduler, **options)
        if threading.current_thread() is threading.main_thread():
            _schedulers.add(scheduler)

    Scheduler.__init__ = noticed  # type: ignore[method-assign]


def settle() -> None:
    """Let everything run that is ready, until the queues of all schedulers stay empty.

    A scheduler that has used up its time slice goes on by a timer of the hub, and on a busy machine a slice may be over
    after a single turn. Callbacks alone run before timers do, so some passes let the hub handle its timers too.
    """
    quiet = 0
    while quiet < PASSES:
        busy = any(scheduler.busy for scheduler in _schedulers)
        if busy or quiet % LOOK_EVERY == 0:
            look_at_timers()
        else:
            gevent.sleep(0)
        quiet = 0 if busy else quiet + 1


def look_at_timers() -> None:
    """Let the hub run the timers that are due; one without a delay keeps it from waiting."""
    hub = gevent.get_hub()
    hub.wait(hub.loop.timer(0.0))


def until(
    condition: Callable[[], Any], what: str = "the condition holds", timeout_s: float = TIMEOUT_S
) -> Any:
    """Let the hub run until a condition holds, and return its value; fail after `timeout_s`, naming `what`."""
    ends_at = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < ends_at, f"not within {timeout_s:g} s: {what}"
        gevent.sleep(PAUSE_S)
    return found
