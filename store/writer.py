"""A native thread that does what would block the hub: in order, and as many at a time as have come meanwhile.

Work is handed over in a deque and a lock that only natives wait for; results come back by the loop's `async_`
watcher. All
work of one batch is one transaction of the database: its receipts are settled when that is committed (group
commit). Work that is
refused fails alone; a batch that cannot be committed fails as a whole, and the next one is tried as if nothing
had been.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from gevent import get_hub
from gevent.event import AsyncResult

from .store import Receipt, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable


class Threads(Protocol):
    """The native threads beneath the greenlets, as `actors.threads` has them; the two folders meet in `system.py`."""

    def native_lock(self) -> Any:
        """Make a lock that stops a native thread."""

    def start_native_thread(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> Any:
        """Start a native thread."""


class Database(Protocol):
    """What the thread works on; made, used and closed in the thread alone."""

    def begin(self) -> None:
        """Begin a transaction."""

    def commit(self) -> None:
        """Make it durable, or raise."""

    def roll_back(self) -> None:
        """Undo it. Must not raise."""

    def close(self) -> None:
        """Let go of everything."""


class Job:
    """One piece of work: `work(database)` runs in the thread, its result or error comes back to the hub."""

    __slots__ = ("error", "receipt", "result", "waiter", "work")

    def __init__(
        self, work: Callable[[Any], Any], receipt: Receipt | None, waiter: AsyncResult[Any] | None
    ) -> None:
        self.work = work
        self.receipt = receipt
        self.waiter = waiter
        self.result: Any = None
        self.error: Exception | None = None


class Writer:
    """See the head of this file. `open_` makes the database, in the thread; what it raises is raised by `start`."""

    def __init__(self, open_: Callable[[], Database], threads: Threads, *, most: int = 2000) -> None:
        self._open = open_
        self._threads = threads
        self._most = most  # jobs of one batch
        self._jobs: deque[Job] = deque()
        self._done: deque[Job] = deque()
        self._wake = threads.native_lock()
        self._wake.acquire()
        self._ended = threads.native_lock()
        self._ended.acquire()
        self._stopping = False
        self._back: Any = None
        self._loop: Any = None

    def start(self) -> None:
        """Start the thread and wait until the database is open; switches greenlets."""
        self._loop = get_hub().loop
        self._back = self._loop.async_()
        self._back.start(self._settle)
        opened: AsyncResult[Any] = AsyncResult()
        self._jobs.append(Job(lambda _: None, None, opened))
        self._threads.start_native_thread(self._run, ())
        self._wake_up()
        try:
            opened.get()
        except Exception:
            self.close()
            raise

    def append(self, work: Callable[[Any], Any]) -> Receipt:
        """Hand over something to be kept; its receipt is settled when it is durable."""
        receipt = Receipt()
        self._hand_over(Job(work, receipt, None))
        return receipt

    def ask(self, work: Callable[[Any], Any]) -> Any:
        """Have something read, behind all that was handed over before, and wait for it; switches greenlets."""
        answer: AsyncResult[Any] = AsyncResult()
        self._hand_over(Job(work, None, answer))
        return answer.get()

    def _hand_over(self, job: Job) -> None:
        if self._stopping:
            job.error = StoreError("the store is closed")
            self._finish(job)
            return
        self._jobs.append(job)
        self._wake_up()

    def _wake_up(self) -> None:
        if self._wake.locked():
            with contextlib.suppress(RuntimeError):  # the thread was waking already
                self._wake.release()

    def close(self) -> None:
        """Keep what was handed over, end the thread, and settle everything. Blocks the hub until then."""
        if self._stopping:
            return
        self._stopping = True
        self._wake_up()
        self._ended.acquire()
        self._settle()
        self._back.stop()
        self._back.close()

    # -- In the hub ------------------------------------------------------------------------------

    def _settle(self) -> None:
        done = self._done
        while done:
            self._finish(done.popleft())

    @staticmethod
    def _finish(job: Job) -> None:
        if job.receipt is not None:
            job.receipt.settle(job.error)
        elif job.waiter is not None and job.error is not None:
            job.waiter.set_exception(job.error)
        elif job.waiter is not None:
            job.waiter.set(job.result)

    # -- In the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        database, failure = self._opened()
        while True:
            self._wake.acquire()
            while self._jobs:
                batch = [self._jobs.popleft() for _ in range(min(len(self._jobs), self._most))]
                if database is None:
                    self._fail(batch, failure or StoreError("the store is closed"))
                else:
                    self._do(database, batch)
                self._done.extend(batch)
                self._back.send()
            if self._stopping:
                break
        if database is not None:
            database.close()
        self._ended.release()

    def _opened(self) -> tuple[Database | None, Exception | None]:
        try:
            return self._open(), None
        except Exception as error:  # noqa: BLE001 - whatever it is, `start` raises it
            return None, error

    def _do(self, database: Database, batch: list[Job]) -> None:
        try:
            database.begin()
            for job in batch:
                try:
                    job.result = job.work(database)
                except StoreError as refused:
                    job.error = refused
            database.commit()
        except Exception as error:  # noqa: BLE001 - a full disk, a broken file: nobody is told it was kept
            database.roll_back()
            self._fail(batch, StoreError(f"not stored: {error}"))

    @staticmethod
    def _fail(batch: list[Job], error: Exception) -> None:
        for job in batch:
            job.error = error
