"""Native threads for handlers that block, and the way back to the hub for what they call.

A handler runs in a thread while its greenlet waits, so the deadline of the greenlet is the handler's too: when the
greenlet is killed, the fallback answers and the thread is abandoned, for it cannot be killed. It counts as stuck until
the handler returns; then it takes work again. What an abandoned handler calls through `in_hub` raises
`HandlerAbandoned`.

All state is the hub's: a thread only takes the job that it was given, and hands the outcome to the hub's inlet.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import gevent
from gevent import get_hub
from gevent._hub_local import get_hub_if_exists
from gevent.event import Event
from gevent.monkey import get_original, is_module_patched

from ...config.errors import ChargehandError
from .failure import Failure, attempt
from .future import Future
from .threads import Inlet, native_lock, native_thread, start_native_thread

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

EXIT_S = 1.0
"""Seconds that `close` waits for the threads that have nothing to do."""

here: Any = get_original("_thread", "_local")()
"""State of the current native thread: its `job`, if it is one of a pool."""


class HandlerAbandoned(ChargehandError):
    """Error: the deadline of a blocking handler has passed, and it may call nothing of the system any more."""


class ThreadsStuck(ChargehandError):
    """Error: every native thread of a plugin is held by a handler that did not end at its deadline."""


class Job:
    """Call of a handler in a native thread."""

    __slots__ = ("abandoned", "arguments", "ended", "function", "outcome")

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.function = function
        self.arguments = arguments
        self.ended = Event()
        self.outcome: Any = None
        self.abandoned = False

    @property
    def name(self) -> str:
        """Name of the handler."""
        return getattr(self.function, "__qualname__", repr(self.function))


class Worker:
    """Native thread of a pool: it waits for its lock, and takes the job that it was given; none ends it."""

    __slots__ = ("gone", "job", "wake")

    def __init__(self, job: Job) -> None:
        self.job: Job | None = job
        self.wake = native_lock()
        self.wake.acquire()
        self.gone = native_lock()
        self.gone.acquire()

    def give(self, job: Job | None) -> None:
        """Give it a job, or None to end it. For the hub, when it has none."""
        self.job = job
        self.wake.release()


class NativePool:
    """At most `size` native threads, started when they are first needed. For the hub's thread.

    `abandoned(job)` is called when a handler did not end at its deadline, `all_stuck()` when no thread is left.
    """

    def __init__(
        self,
        size: int,
        inlet: Inlet,
        name: str,
        *,
        abandoned: Callable[[Job], None],
        all_stuck: Callable[[], None],
    ) -> None:
        self.size = size
        self.stuck = 0
        self._inlet = inlet
        self._name = name
        self._abandoned = abandoned
        self._all_stuck = all_stuck
        self._waiting: deque[Job] = deque()
        self._idle: list[Worker] = []
        self._workers: set[Worker] = set()
        self._started = 0
        self._closed = False

    @property
    def all_are_stuck(self) -> bool:
        """True if every thread is held by a handler that did not end at its deadline."""
        return self.stuck >= self.size

    @property
    def threads(self) -> int:
        """Number of threads that live."""
        return len(self._workers)

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call `function` in a native thread, while the greenlet waits; in a thread of a pool, call it here.

        Raises what it raises, and `ThreadsStuck` if no thread can come free.
        """
        if native_thread() != self._inlet.thread:
            return function(*arguments)
        job = Job(function, arguments)
        self._start(job)
        # An inlet keeps no loop alive: without anything else to wait for gevent would give up.
        alive = get_hub().loop.async_()
        alive.start(_nothing)
        try:
            job.ended.wait()
        finally:
            alive.close()
            if not job.ended.is_set():
                self._abandon(job)
        if type(job.outcome) is Failure:
            raise job.outcome.error
        return job.outcome

    def _start(self, job: Job) -> None:
        if self._closed:
            raise RuntimeError(f"{self._name} has ended")
        if self._idle:
            self._idle.pop().give(job)
        elif len(self._workers) < self.size:
            worker = Worker(job)
            self._workers.add(worker)
            self._started += 1
            name = f"{self._name}-{self._started}"
            if is_module_patched("threading"):
                start_native_thread(self._work, (worker,))
            else:  # a thread of `threading`, which the host's libraries know
                threading.Thread(target=self._work, args=(worker,), name=name, daemon=True).start()
        elif self.all_are_stuck:
            self._all_stuck()
            raise ThreadsStuck(f"all {self.size} threads of {self._name} are stuck")
        else:
            self._waiting.append(job)

    def _abandon(self, job: Job) -> None:
        if job in self._waiting:
            self._waiting.remove(job)
            return
        job.abandoned = True
        self.stuck += 1
        self._abandoned(job)
        if self.all_are_stuck and not self._closed:
            waiting, self._waiting = self._waiting, deque()
            for other in waiting:
                other.outcome = Failure(ThreadsStuck(f"all {self.size} threads of {self._name} are stuck"))
                other.ended.set()
            self._all_stuck()

    def _work(self, worker: Worker) -> None:
        try:
            while True:
                job, worker.job = worker.job, None
                if job is None:
                    return
                here.job = job
                outcome = attempt(job.function, *job.arguments)
                here.job = None
                self._inlet.put(self._ended, (worker, job, outcome))
                del job, outcome
                worker.wake.acquire()
        finally:
            hub = get_hub_if_exists()  # a patched library may have made one here
            if hub is not None:
                hub.destroy(destroy_loop=True)
            worker.gone.release()

    def _ended(self, told: tuple[Worker, Job, Any]) -> None:
        worker, job, outcome = told
        job.outcome = outcome
        job.ended.set()
        if job.abandoned:
            self.stuck -= 1
            text = "%s: %s has ended after its deadline; its thread is free again"
            logger.warning(text, self._name, job.name)
        if self._waiting:
            worker.give(self._waiting.popleft())
        elif self._closed:
            self._workers.discard(worker)
            worker.give(None)
        else:
            self._idle.append(worker)

    def close(self) -> None:
        """End the threads that have nothing to do; the others end with their handler."""
        self._closed = True
        idle, self._idle = self._idle, []
        for worker in idle:
            self._workers.discard(worker)
            worker.give(None)
        for worker in idle:
            worker.gone.acquire(timeout=EXIT_S)  # it is awake already


def _nothing() -> None:
    """Do nothing: a watcher needs a function."""


def in_hub(inlet: Inlet, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call `function` in a greenlet of the inlet's hub, and return or raise what it does; from any native thread.

    In the hub's own thread it is called here. Raises `HandlerAbandoned` in a handler whose deadline has passed, and
    `HubBlocked` in any other thread while the hub hangs.
    """
    if native_thread() == inlet.thread:
        return function(*arguments, **options)
    must_go_on()
    future: Future[Any] = Future()
    if getattr(here, "job", None) is None:  # a handler has a deadline
        future.home = inlet
    inlet.put(_spawn, (future, function, arguments, options))
    future.wait()
    must_go_on()
    return future.get()


def must_go_on() -> None:
    """Raise `HandlerAbandoned` in a native thread whose handler has been abandoned."""
    job = getattr(here, "job", None)
    if job is not None and job.abandoned:
        raise HandlerAbandoned(f"the deadline of {job.name} has passed")


def _spawn(told: tuple[Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]) -> None:
    gevent.spawn(_call, *told)


def _call(
    future: Future[Any],
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> None:
    def call() -> Any:
        return function(*arguments, **options)

    outcome = attempt(call)
    if type(outcome) is Failure:
        future.set_exception(outcome.exc_info)
    else:
        future.set(outcome)
