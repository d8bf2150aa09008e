"""Cells that have something to do, and the greenlets that run them.

A cell with a message is put on the run queue; a worker greenlet runs it for a bounded number of messages and goes
on to the next. A handler that blocks keeps its greenlet, and another worker takes over: so there is no greenlet for
an idle actor, and no actor waits for another one's handler. A scheduler belongs to one hub and is never shared.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from gevent import get_hub, getcurrent
from greenlet import greenlet

from .failure import Failure, attempt


class Runnable(Protocol):
    """What can stand on the run queue. `run` never raises."""

    def run(self, budget: int) -> None:
        """Handle at most `budget` messages, and put yourself on the queue again if there are more."""


class Scheduler:
    """The run queue of one hub.

    `drain` is how many messages one cell may handle at a turn, `turns` how many turns are taken before the hub looks
    at its sockets and timers again, `spare` how many idle workers are kept.
    """

    def __init__(self, *, drain: int = 32, turns: int = 512, spare: int = 16) -> None:
        self.hub: Any = get_hub()
        self._drain = drain
        self._turns = turns
        self._spare = spare
        self._queue: deque[Runnable] = deque()
        self._idle: list[greenlet] = []
        self._workers = 0
        self._armed = False
        self._left = 0
        self._closed = False

    def enqueue(self, cell: Runnable) -> None:
        """Put a cell on the run queue; it must not stand there already. Call it from the hub's thread."""
        self._queue.append(cell)
        if not self._armed:
            self._armed = True
            self.hub.loop.run_callback(self._pump)

    @property
    def workers(self) -> int:
        """How many greenlets there are: running, blocked in a handler, or spare."""
        return self._workers

    @property
    def busy(self) -> bool:
        """Whether a cell waits for its turn."""
        return self._armed

    def close(self) -> None:
        """Let the spare workers go; those that are blocked in a handler go when it ends."""
        self._closed = True
        while self._idle:
            self.hub.loop.run_callback(self._idle.pop().switch)

    def _pump(self) -> None:
        # Runs in the hub; every switch comes back here when the worker parks, blocks or ends.
        queue = self._queue
        self._left = self._turns
        try:
            while queue and self._left > 0:
                if self._idle:
                    worker = self._idle.pop()
                else:
                    worker = greenlet(self._work, self.hub)
                    self._workers += 1
                worker.switch()
        finally:  # whatever comes up here (a Ctrl-C between two handlers), the rest of the queue is run
            self._left = 0
            if queue:
                self.hub.loop.run_callback(self._pump)
            else:
                self._armed = False

    def _work(self) -> None:
        queue = self._queue
        drain = self._drain
        me = getcurrent()
        try:
            while True:
                while queue and self._left > 0:
                    self._left -= 1
                    cell = queue.popleft()
                    failure = attempt(cell.run, drain)
                    if type(failure) is Failure:
                        # A fault of the runtime, which must not cost the others their turns.
                        self.hub.handle_error(cell, *failure.exc_info)
                if self._closed or len(self._idle) >= self._spare:
                    return
                self._idle.append(me)
                self.hub.switch()
        finally:
            self._workers -= 1
