"""Supervision of worker processes: they are started, and restarted when they end.

The first one is started alone, so that a fault of the settings is reported once; the others when it serves. One
that ends is started again at once, then at growing intervals; each has the budget of the root supervisor's children.
"""

from __future__ import annotations

import contextlib
import logging
import random
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

import gevent
from gevent import socket
from gevent.event import AsyncResult, Event
from gevent.subprocess import Popen

from ..supervisor.rules import Budget, Policy
from .channel import BEAT, READY, RELOAD

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COMMAND = (sys.executable, "-m", "chargehand", "serve-worker")
ABORT_S = 2.0
"""Seconds that a worker process whose hub is blocked has to leave its stacks and end."""


class WorkerProcess:
    """Worker process, started by the constructor, which gets the first message to it. Raises OSError.

    `reload` is called when it asks that all of them read the files of TLS again.
    """

    def __init__(
        self, first: bytes, command: Sequence[str] = COMMAND, reload: Callable[[], None] = lambda: None
    ) -> None:
        self.ready = Event()
        self.beaten = Event()
        self._reload = reload
        self._channel, theirs = socket.socketpair()
        self._to_tell = [first]
        self._told = Event()
        self._told.set()
        try:
            with theirs:
                # A group of its own: the terminal's Ctrl-C is for the parent, which stops its workers.
                self._process: Any = Popen([*command], stdin=theirs.fileno(), process_group=0)
        except OSError:
            self._channel.close()
            raise
        self.pid: int = self._process.pid
        self._greenlets = [gevent.spawn(self._listen), gevent.spawn(self._tell)]

    def tell(self, message: bytes) -> None:
        """Send a message; of waiting ones only the newest is sent, and the first."""
        del self._to_tell[1:]
        self._to_tell.append(message)
        self._told.set()

    def _tell(self) -> None:
        with contextlib.suppress(OSError):  # it has ended
            while True:
                self._told.wait()
                self._told.clear()
                while self._to_tell:
                    message = self._to_tell[0]
                    self._channel.sendall(message)
                    self._to_tell.remove(message)

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while told := self._channel.recv(1):
                if told == READY:
                    self.ready.set()
                elif told == BEAT:
                    self.beaten.set()
                elif told == RELOAD:
                    self._reload()

    def wait(self) -> int:
        """Wait for its end; its exit status, negative for a signal. Then nothing of it is left."""
        try:
            return int(self._process.wait())
        finally:
            gevent.killall(self._greenlets)
            self._channel.close()

    def stop(self) -> None:
        """Have it stop in order."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)

    def abort(self) -> None:
        """End it; it leaves its stacks on standard error, if it can."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGABRT)

    def kill(self) -> None:
        """End it without a word."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


def ending(status: int) -> str:
    """Return an exit status in words."""
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


logger = logging.getLogger(__name__)


class Process(Protocol):
    """Interface of `WorkerProcess`."""

    pid: int
    ready: Event
    beaten: Event

    def wait(self) -> int:
        """Wait for its end: its exit status."""

    def tell(self, message: bytes) -> None:
        """Tell it something."""

    def stop(self) -> None:
        """Have it stop in order."""

    def abort(self) -> None:
        """End it, with its stacks on standard error; one that is suspended goes on."""

    def kill(self) -> None:
        """End it."""


class WorkerSlot:
    """Slot of one worker process, kept across restarts."""

    def __init__(self, number: int, policy: Policy) -> None:
        self.number = number
        self.budget = Budget(policy)
        self.process: Process | None = None
        self.state = "starting"
        self.last_exit = ""
        self.has_served = False
        self.failed_to_stop = False

    def view(self) -> dict[str, Any]:
        """Return the view of this worker process."""
        return {
            "worker": self.number,
            "pid": None if self.process is None else self.process.pid,
            "state": self.state,
            "restarts": self.budget.total,
            "last_exit": self.last_exit,
        }


class Workers:
    """Supervisor of worker processes. `spawn(number, first)` starts a process, `first` for one that is not there again.

    A process that has not told for `hang_s` that its hub runs is killed; 0 waits for ever.
    `serving` is set when all are ready for the first time. `gave_up` has the exit status that is left when one could
    not be started, or was over its budget.
    """

    def __init__(
        self,
        count: int,
        policy: Policy,
        spawn: Callable[..., Process],
        encode: Callable[[list[dict[str, Any]], int], bytes],
        *,
        hang_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hang_s = hang_s
        self.serving = Event()
        self.gave_up: AsyncResult[int] = AsyncResult()
        self._places = [WorkerSlot(number, policy) for number in range(1, count + 1)]
        self._spawn = spawn
        self._encode = encode
        self.reloads = 0
        self._clock = clock
        self._chance = random.Random()  # noqa: S311 - no secret
        self._keepers: list[Any] = []
        self._stopping = Event()

    def start(self) -> None:
        """Start the workers; returns at once."""
        self._keepers.append(gevent.spawn(self._keep, self._places[0]))

    def views(self) -> list[dict[str, Any]]:
        """List the workers: number, process, state, restarts, last exit."""
        return [place.view() for place in self._places]

    def stop(self, timeout_s: float | None) -> bool:
        """Stop all in order, and kill those left after `timeout_s`; return false if one did not end in order."""
        self._stopping.set()
        for place in self._places:
            if place.process is not None:
                place.process.stop()
        gevent.joinall(self._keepers, timeout=timeout_s)
        for place in self._places:
            if place.process is not None:
                logger.error("worker %d did not stop in time and is killed", place.number)
                place.process.kill()
        gevent.joinall(self._keepers)
        return not any(place.failed_to_stop for place in self._places)

    def _keep(self, place: WorkerSlot) -> None:
        """Have one process after the other at a place."""
        while not self._stopping.is_set():
            status = self._run(place)
            if self._stopping.is_set():
                place.failed_to_stop = status != 0
                return
            if not place.has_served:
                logger.critical("worker %d could not be started: %s", place.number, ending(status))
                self._give_up(max(status, 1))
                return
            place.last_exit = ending(status)
            in_budget = place.budget.spend(self._clock())
            delay_s = place.budget.delay_s(self._chance)
            self._changed(place, "waiting")
            if not in_budget:
                logger.critical("worker %d ends again and again: %s", place.number, place.last_exit)
                self._give_up(1)
                return
            logger.error("worker %d has ended with %s, and is started again", place.number, place.last_exit)
            self._stopping.wait(delay_s)

    def _run(self, place: WorkerSlot) -> int:
        """Start a process and wait for its end; its exit status."""
        try:
            process = self._spawn(place.number, first=not place.has_served)
        except OSError as error:
            logger.error("worker %d cannot be started: %s", place.number, error)  # noqa: TRY400 - it is the system's
            return 1
        place.process = process
        if self._stopping.is_set():
            process.stop()
        self._changed(place, "starting")
        greeter = gevent.spawn(self._greet, place, process)
        try:
            return process.wait()
        finally:
            greeter.kill()
            place.process = None

    def _greet(self, place: WorkerSlot, process: Process) -> None:
        process.ready.wait()
        first = not place.has_served
        place.has_served = True
        self._changed(place, "running")
        if not first:
            logger.info("worker %d serves again, process %d", place.number, process.pid)
        elif place is self._places[0]:
            self._keepers += [gevent.spawn(self._keep, other) for other in self._places[1:]]
        if all(one.has_served for one in self._places):
            self.serving.set()
        while self._hang_s and process.beaten.wait(self._hang_s):
            process.beaten.clear()
        if self._hang_s:
            logger.error(
                "worker %d is killed, for its hub has not run for %g s (WATCHDOG_USEC)",
                place.number,
                self._hang_s,
            )
            process.abort()
            gevent.sleep(ABORT_S)  # this greenlet ends with the process
            process.kill()

    def _changed(self, place: WorkerSlot, state: str) -> None:
        place.state = state
        self._tell_all()

    def reload(self) -> None:
        """Have all worker processes read the files of TLS again."""
        self.reloads += 1
        self._tell_all()

    def _tell_all(self) -> None:
        told = self._encode(self.views(), self.reloads)
        for one in self._places:
            if one.process is not None:
                one.process.tell(told)

    def _give_up(self, status: int) -> None:
        if not self.gave_up.ready():
            self.gave_up.set(status)
