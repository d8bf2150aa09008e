"""Writer: a native thread that reads and writes the database in batches of what has come meanwhile.

Work is handed over in a deque and a lock that only natives wait for; results come back by the loop's `async_` watcher.
All rows of one batch are one transaction of the database: receipts are settled when
it is committed (group commit). Rows that are refused fail alone; a batch that cannot be committed fails as a whole, and
the next one is tried as if nothing had been. Reads come after the writes of their batch.
"""

from __future__ import annotations

import contextlib
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from gevent import get_hub
from gevent.event import AsyncResult

from ..config.errors import ChargehandError
from .gil_handoff import GilHandoff
from .meter import StoreMeter
from .rows import NO_RECORD, Kind
from .store import Receipt, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .rows import Row


COMMIT_WINDOW_S = 0.002
"""Group-commit window in seconds. Committing 1 or 100 rows costs the same, so writes within this window share a
commit; a lone write and reads are not delayed."""


class Threads(Protocol):
    """Native threads beneath the greenlets, as `actors.runtime.threads` makes them."""

    def native_lock(self) -> Any:
        """Make a lock that stops a native thread."""

    def start_native_thread(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> Any:
        """Start a native thread."""


class Database(Protocol):
    """Database of the writer thread; made, used and closed in that thread alone."""

    def begin(self) -> None:
        """Begin a transaction."""

    def write(self, kind: Kind, rows: Sequence[Row]) -> None:
        """Write rows of one kind, all or none. Raises `StoreError` if one is refused, anything else if it fails."""

    def read(self, query: str, values: Sequence[Any]) -> list[Any]:
        """Read rows, outside a transaction. Raises `StoreError`."""

    def commit(self) -> None:
        """Make the transaction durable, or raise; `RowsLeftOut` if some rows are durable and some are not."""

    def roll_back(self) -> None:
        """Roll the transaction back. Must not raise."""

    def close(self) -> None:
        """Close the connection."""


class RowsLeftOut(ChargehandError):
    """Failure of some rows of a batch that is durable else; their errors by kind and place among its rows."""

    def __init__(self, errors: dict[tuple[Kind, int], StoreError]) -> None:
        super().__init__(f"{len(errors)} rows were left out")
        self.errors = errors


class PendingWrite(Receipt):
    """Row to be stored, and its receipt. `failure` is the thread's outcome, until the hub has settled the receipt."""

    __slots__ = ("failure", "kind", "row")

    def __init__(self, kind: Kind, row: Row) -> None:
        # As the parent's, whose call would cost more.
        self.done = False
        self.error = None
        self._callbacks = []
        self.kind = kind
        self.row = row
        self.failure: Exception | None = None


class Question:
    """Read that the thread does; the hub is told what was found, or how it failed."""

    __slots__ = ("failure", "found", "read", "then")

    def __init__(self, read: Callable[[Any], Any], then: Callable[[Any, Exception | None], None]) -> None:
        self.read = read
        self.then = then
        self.found: Any = None
        self.failure: Exception | None = None


class Writer:
    """Native thread that writes rows in batches.

    `open_` makes the database, in the thread; its errors are raised by `start`.
    """

    def __init__(
        self,
        open_: Callable[[], Database],
        threads: Threads,
        *,
        most: int = 2000,
        meter: StoreMeter | None = None,
    ) -> None:
        self._open = open_
        self._meter = meter or StoreMeter()
        self._threads = threads
        self._most = most  # jobs of one batch
        self._jobs: deque[PendingWrite | Question] = deque()
        self._done: deque[PendingWrite | Question] = deque()
        self._wake = threads.native_lock()
        self._wake.acquire()
        self._ended = threads.native_lock()
        self._ended.acquire()
        self._stopping = False
        self._waking = False  # the loop will wake the thread
        self._woken_at = 0.0
        self._gathering: Any = None  # the timer that will
        self._busy = False  # so is the thread
        self._batches = 0  # that the thread has done
        self.held = ""
        """Reason for which no record is taken; "" if they are. Set by the thread, in its turn."""
        self._handoff = GilHandoff(threads.native_lock())
        self._back: Any = None
        self._loop: Any = None

    def start(self) -> None:
        """Start the thread and wait until the database is open; switches greenlets."""
        self._loop = get_hub().loop
        self._back = self._loop.async_()
        self._back.start(self._settle)
        opened: AsyncResult[Any] = AsyncResult()
        self._jobs.append(_question(lambda _: None, opened))
        self._threads.start_native_thread(self._run, ())
        self._wake_up()
        try:
            opened.get()
        except Exception:
            self.close()
            raise

    @property
    def depth(self) -> int:
        """Number of writes and reads that wait for the thread."""
        return len(self._jobs)

    def append(self, kind: Kind, row: Row) -> Receipt:
        """Hand over a row to be stored; its receipt is settled when it is durable."""
        job = PendingWrite(kind, row)
        if self._waking and not self._stopping:  # it comes with those before, as most do
            self._jobs.append(job)
        else:
            self._hand_over(job)
        return job

    def ask(self, read: Callable[[Any], Any]) -> Any:
        """Read behind all that was handed over before, and wait for the result; switches greenlets."""
        answer: AsyncResult[Any] = AsyncResult()
        self._hand_over(_question(read, answer))
        return answer.get()

    def look(self, read: Callable[[Any], Any], then: Callable[[Any, Exception | None], None]) -> None:
        """Read likewise, and call `then` in the hub with the result and None, or with None and an error."""
        self._hand_over(Question(read, then))

    def hold(self, why: str) -> None:
        """Refuse records for this reason, from the next batch on; "" takes them again."""

        def take(_: Any) -> None:
            self.held = why

        self.look(take, lambda *_: None)

    def _hand_over(self, job: PendingWrite | Question) -> None:
        if self._stopping:
            job.failure = StoreError("the store is closed")
            self._finish(job)
            return
        self._jobs.append(job)
        if type(job) is Question:
            self._loop.run_callback(self._wake_up)
        elif not self._waking:
            self._waking = True
            left_s = self._woken_at + COMMIT_WINDOW_S - monotonic()
            if left_s <= 0:
                self._loop.run_callback(self._wake_up)
            else:
                self._gathering = self._loop.timer(left_s, ref=False)
                self._gathering.start(self._wake_up)

    def _wake_up(self) -> None:
        self._waking = False
        self._woken_at = monotonic()
        _end(self._gathering)
        self._gathering = None
        if self._wake.locked():
            with contextlib.suppress(RuntimeError):  # the thread was waking already
                self._wake.release()
        if not self._stopping:
            self._handoff.begin(self._loop, self._done_so_far)

    def _done_so_far(self) -> int | None:
        """Number of batches that the thread has committed; None if it is idle."""
        return self._batches if self._jobs or self._busy else None

    def close(self) -> None:
        """Write what was handed over, end the thread, settle everything. Blocks the hub until then."""
        if self._stopping:
            return
        self._stopping = True
        self._wake_up()
        self._ended.acquire()
        self._handoff.end()
        for watcher in (self._back, self._gathering):
            _end(watcher)
        self._settle()

    # -- In the hub ------------------------------------------------------------------------------

    def _settle(self) -> None:
        done = self._done
        try:
            while done:
                job = done.popleft()
                if type(job) is PendingWrite:  # as most are
                    job.settle(job.failure)
                else:
                    self._finish(job)
        finally:
            if done:  # a callback has raised: the hub prints that, and the other callbacks run
                self._loop.run_callback(self._settle)

    @staticmethod
    def _finish(job: PendingWrite | Question) -> None:
        if type(job) is PendingWrite:
            job.settle(job.failure)
        elif type(job) is Question:
            job.then(job.found, job.failure)

    # -- In the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        database, failure = self._opened()
        while True:
            self._busy = False
            self._wake.acquire()
            self._busy = True
            while self._jobs:
                batch = [self._jobs.popleft() for _ in range(min(len(self._jobs), self._most))]
                if database is None:
                    self._fail(batch, failure or StoreError("the store is closed"))
                else:
                    self._try(database, batch)
                self._done.extend(batch)
                self._batches += 1
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

    def _try(self, database: Database, batch: list[PendingWrite | Question]) -> None:
        try:
            self._do(database, batch)
        except Exception as error:  # noqa: BLE001 - the thread goes on, and nobody waits for ever
            self._fail(batch, StoreError(f"not stored: {error}"))

    def _do(self, database: Database, batch: list[PendingWrite | Question]) -> None:
        writes = all_writes = [job for job in batch if type(job) is PendingWrite]
        if self.held:
            writes = self._refuse_records(writes)
        if writes:
            begun = monotonic()
            try:
                store(database, writes)
            finally:
                self._meter.committed(monotonic() - begun, len(writes), _why_none(writes))
        if len(all_writes) == len(batch):
            return
        for job in batch:
            if type(job) is Question:
                try:
                    job.found = job.read(database)
                except Exception as error:  # noqa: BLE001 - the asking greenlet is told
                    job.failure = error

    def _refuse_records(self, writes: list[PendingWrite]) -> list[PendingWrite]:
        """Refuse what makes a record; return the rest."""
        rest = [job for job in writes if job.kind in NO_RECORD]
        refused = [job for job in writes if job.kind not in NO_RECORD]
        if refused:
            self._fail(refused, StoreError(f"not stored: {self.held}"))
            self._meter.failed += 1
        return rest

    @staticmethod
    def _fail(batch: Sequence[PendingWrite | Question], error: Exception) -> None:
        for job in batch:
            job.failure = error


def _why_none(writes: Sequence[PendingWrite]) -> str:
    """Return why no row of a batch is durable, though no row is to blame; "" if one is."""
    first = writes[0].failure
    if all(getattr(job.failure, "passing", False) for job in writes):
        return str(first)
    return ""


def _end(watcher: Any) -> None:
    """End a watcher, if there is one."""
    if watcher is not None:
        watcher.stop()
        watcher.close()


def _question(read: Callable[[Any], Any], waiter: AsyncResult[Any]) -> Question:
    """Make a question for a greenlet that waits for the answer."""

    def then(found: Any, failure: Exception | None) -> None:
        if failure is None:
            waiter.set(found)
        else:
            waiter.set_exception(failure)

    return Question(read, then)


def store(database: Database, jobs: Sequence[PendingWrite]) -> None:
    """Write the rows of a batch in one transaction; those that are not durable then have a `failure`."""
    by_kind: dict[Kind, list[PendingWrite]] = {}
    for job in jobs:
        by_kind.setdefault(job.kind, []).append(job)
    rows = {kind: [job.row for job in some] for kind, some in by_kind.items()}
    for (kind, place), error in store_rows(database, rows).items():
        by_kind[kind][place].failure = error


def store_rows(database: Database, rows: Mapping[Kind, Sequence[Row]]) -> dict[tuple[Kind, int], StoreError]:
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
    except Exception as error:  # noqa: BLE001 - a full disk, a broken file: nobody is told that it was stored
        database.roll_back()
        failure = StoreError(f"not stored: {error}")
        errors = {(kind, place): failure for kind, all_ in rows.items() for place in range(len(all_))}
    return errors


def _write(database: Database, kind: Kind, rows: Sequence[Row]) -> dict[tuple[Kind, int], StoreError]:
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
