"""A native thread that does what would block the hub: as much at a time as has come meanwhile.

Work is handed over in a deque and a lock that only natives wait for; results come back by the loop's `async_` watcher.
All rows of one batch are one transaction of the database, and those of a kind one statement: receipts are settled when
it is committed (group commit). Rows that are refused fail alone; a batch that cannot be committed fails as a whole, and
the next one is tried as if nothing had been. Reads come after the writes of their batch.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from gevent import get_hub
from gevent.event import AsyncResult

from .rows import Kind
from .store import Receipt, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


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

    def write(self, kind: Kind, rows: Sequence[bytes]) -> None:
        """Write rows of one kind, all or none. Raises `StoreError` if one is refused, anything else if it fails."""

    def read(self, query: str, values: Sequence[Any]) -> list[Any]:
        """Read rows, outside a transaction. Raises `StoreError`."""

    def commit(self) -> None:
        """Make it durable, or raise; `RowsLeftOut` if some is durable and some is not."""

    def roll_back(self) -> None:
        """Undo it. Must not raise."""

    def close(self) -> None:
        """Let go of everything."""


class RowsLeftOut(Exception):
    """What was written is durable, but for these rows: by kind and place among the rows of the kind, why."""

    def __init__(self, errors: dict[tuple[Kind, int], StoreError]) -> None:
        super().__init__(f"{len(errors)} rows were left out")
        self.errors = errors


class Job:
    """A row to write, whose receipt is settled; or something to read, whose result its waiter or its callback gets."""

    __slots__ = ("error", "kind", "read", "receipt", "result", "row", "then", "waiter")

    def __init__(self, kind: Kind, row: bytes, receipt: Receipt | None) -> None:
        self.kind = kind
        self.row = row
        self.receipt = receipt
        self.read: Callable[[Any], Any] | None = None
        self.waiter: AsyncResult[Any] | None = None
        self.then: Callable[[Any, Exception | None], None] | None = None
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
        self._jobs.append(self._question(lambda _: None, opened))
        self._threads.start_native_thread(self._run, ())
        self._wake_up()
        try:
            opened.get()
        except Exception:
            self.close()
            raise

    def append(self, kind: Kind, row: bytes) -> Receipt:
        """Hand over a row to be kept; its receipt is settled when it is durable."""
        receipt = Receipt()
        self._hand_over(Job(kind, row, receipt))
        return receipt

    def ask(self, read: Callable[[Any], Any]) -> Any:
        """Have something read, behind all that was handed over before, and wait for it; switches greenlets."""
        answer: AsyncResult[Any] = AsyncResult()
        self._hand_over(self._question(read, answer))
        return answer.get()

    def look(self, read: Callable[[Any], Any], then: Callable[[Any, Exception | None], None]) -> None:
        """Have something read likewise, and `then` called in the hub with the result and None, or None and an error."""
        job = self._question(read, None)
        job.then = then
        self._hand_over(job)

    @staticmethod
    def _question(read: Callable[[Any], Any], waiter: AsyncResult[Any] | None) -> Job:
        job = Job(Kind.BARRIER, b"", None)
        job.read = read
        job.waiter = waiter
        return job

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
        elif job.then is not None:
            job.then(job.result, job.error)
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
                    self._try(database, batch)
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

    def _try(self, database: Database, batch: list[Job]) -> None:
        try:
            self._do(database, batch)
        except Exception as error:  # noqa: BLE001 - the thread goes on, and nobody waits for ever
            self._fail(batch, StoreError(f"not stored: {error}"))

    def _do(self, database: Database, batch: list[Job]) -> None:
        writes = [job for job in batch if job.read is None]
        if writes:
            store(database, writes)
        for job in batch:
            if job.read is not None:
                try:
                    job.result = job.read(database)
                except Exception as error:  # noqa: BLE001 - whoever asked is told
                    job.error = error

    @staticmethod
    def _fail(batch: list[Job], error: Exception) -> None:
        for job in batch:
            job.error = error


def store(database: Database, jobs: Sequence[Job]) -> None:
    """Write the rows of a batch in one transaction; those that are not durable then have their `error`."""
    by_kind: dict[Kind, list[Job]] = {}
    for job in jobs:
        by_kind.setdefault(job.kind, []).append(job)
    rows = {kind: [job.row for job in some] for kind, some in by_kind.items()}
    for (kind, place), error in store_rows(database, rows).items():
        by_kind[kind][place].error = error


def store_rows(
    database: Database, rows: Mapping[Kind, Sequence[bytes]]
) -> dict[tuple[Kind, int], StoreError]:
    """Write rows in one transaction, in the order of their kinds.

    Returns why some are not durable then: by kind and place among the rows of the kind.
    """
    errors: dict[tuple[Kind, int], StoreError] = {}
    try:
        database.begin()
        for kind in sorted(rows):
            errors |= _write(database, kind, rows[kind])
        database.commit()
    except RowsLeftOut as some:
        errors |= some.errors
    except Exception as error:  # noqa: BLE001 - a full disk, a broken file: nobody is told it was kept
        database.roll_back()
        failure = StoreError(f"not stored: {error}")
        errors = {(kind, place): failure for kind, all_ in rows.items() for place in range(len(all_))}
    return errors


def _write(database: Database, kind: Kind, rows: Sequence[bytes]) -> dict[tuple[Kind, int], StoreError]:
    errors: dict[tuple[Kind, int], StoreError] = {}
    try:
        database.write(kind, rows)
    except StoreError:  # one of them: each by itself shows which
        for place, row in enumerate(rows):
            try:
                database.write(kind, [row])
            except StoreError as refused:
                errors[kind, place] = refused
    return errors
