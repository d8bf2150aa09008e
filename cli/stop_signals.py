"""The signals that ask a process to stop: the first stops it in order, the second ends it at once; and SIGHUP."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def ended_by_signals(over: Callable[[], object]) -> Iterator[None]:
    """Call `over` in the hub at Ctrl-C and SIGTERM; a second one ends the process at once."""
    numbers = SIGNALS
    loop: Any = gevent.get_hub().loop
    before = {number: signal.getsignal(number) for number in numbers}

    def end(_number: int, _frame: object) -> None:
        # In the middle of anything: it may only ask the hub to go on later.
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        loop.run_callback_threadsafe(over)

    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


TERMINAL_S = 0.2
"""Seconds after SIGHUP until it is looked whether the terminal that the process was started from is gone."""


class StopSignals:
    """Sets `asked` in the hub in which it was made.

    `stuck_s` seconds after a signal the stacks are printed and the process ends; 0 waits without a limit.
    """

    def __init__(self, stuck_s: float) -> None:
        self.asked = Event()
        self.heard = False
        self._stuck_s = stuck_s
        self._hub: Any = gevent.get_hub()

    def catch(self) -> None:
        """Start to catch the signals."""
        for number in SIGNALS:
            signal.signal(number, self._signalled)

    def reload_with(self, reload: Callable[[], object]) -> None:
        """Call `reload` in a greenlet of the hub at each SIGHUP from now on; one from a terminal that is gone stops."""
        loop, of_terminal = self._hub.loop, has_terminal()

        def hung_up() -> None:
            if of_terminal:
                gevent.sleep(TERMINAL_S)  # it may be going
                if not has_terminal():
                    self._signalled(signal.SIGHUP, None)
                    return
            reload()

        signal.signal(
            signal.SIGHUP, lambda *_: loop.run_callback_threadsafe(lambda: gevent.spawn(hung_up) and None)
        )

    def stopped(self) -> None:
        """Note that the process has stopped in time."""
        faulthandler.cancel_dump_traceback_later()

    def _signalled(self, number: int, _frame: object) -> None:
        """Begin to stop; from now on the system's own handlers stand, so that a second signal ends the process at once.

        This runs in the middle of anything: it may only ask the hub to go on later.
        """
        self.heard = True
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        # A hub that a plugin blocks cannot react to the signal; this is C code in a thread of its own.
        if self._stuck_s:
            faulthandler.dump_traceback_later(self._stuck_s, exit=True)
        self._hub.loop.run_callback_threadsafe(self._stop, number)

    def _stop(self, number: int) -> None:
        logger.info("%s: stopping", signal.Signals(number).name)
        self.asked.set()


def has_terminal() -> bool:
    """Return whether this process has a terminal that it can be asked for."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
