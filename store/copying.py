"""Consistent copy of an SQLite file that is in use, made by a native thread on a connection of its own.

The copy is one snapshot: a read transaction is open while SQLite's backup copies the pages in steps, so later writes
are not in it, and do not make it begin again. Each step is put on the disk, and followed by a pause, so the writer
finds the disk free; what it writes meanwhile stays in the journal. A store that is restored from the copy skips the
transaction ids that may have been given since: charge points have them.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gevent import get_hub
from gevent.monkey import get_original  # reads what there was before; patches nothing

from .durable import LARGEST_ID
from .store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

SPARE_BYTES = 16 << 20
"""Bytes that a copy must leave free on its disk, for the records that come meanwhile."""

STEP_PAGES, PAUSE_S = 1000, 0.01
"""Pages of one step (4 MiB as SQLite makes them), and seconds between two."""

rest: Callable[[float], None] = get_original("time", "sleep")
"""Sleeps a native thread, whether the host has patched `time` or not."""

IDS_LEFT_OUT = 1_000_000
"""Transaction ids skipped by a store that is restored from a copy: so many may have been given since it was made."""


class Copy:
    """Copy of an SQLite file in progress; `target` must not exist yet."""

    def __init__(self, source: str, target: str) -> None:
        self._source = source
        self._target = target
        self._interrupted = False
        self.steps = 0
        """Steps that were made so far."""

    def make(self) -> None:
        """Make the copy, readable by its owner alone; switches greenlets. Raises `StoreError` and leaves no file."""
        task: Any = get_hub().threadpool.spawn(self._run)
        waited = False
        try:
            failure = task.get()
            waited = True
        finally:
            if not waited:
                self._give_up(task)
        if failure is not None:
            raise failure

    def _give_up(self, task: Any) -> None:
        self._interrupted = True
        task.wait()  # for a step at most
        if task.get() is None:  # it was just done
            get_hub().threadpool.apply(self._remove)

    # -- In the thread ---------------------------------------------------------------------------

    def _run(self) -> StoreError | None:
        try:
            os.close(os.open(self._target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except OSError as error:
            return StoreError(f"no copy was made: {error}")
        try:
            address = f"{Path(self._source).absolute().as_uri()}?mode=ro"
            with closing(
                sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
            ) as connection:
                self._copy(connection)
        except (OSError, sqlite3.Error) as error:
            failure = StoreError(f"no copy was made: {error}")
        except StoreError as error:
            failure = error
        else:
            return None
        self._remove()
        return failure

    def _remove(self) -> None:
        for end in ("", "-journal", "-wal", "-shm"):
            Path(f"{self._target}{end}").unlink(missing_ok=True)

    def _copy(self, connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        needed, free = pages * page_bytes + SPARE_BYTES, shutil.disk_usage(Path(self._target).parent).free
        if needed > free:
            raise StoreError(
                f"no copy was made: it needs {needed >> 20} MiB of room, and {free >> 20} MiB are free"
            )
        connection.execute("BEGIN")
        connection.execute("SELECT next FROM ids").fetchone()  # the snapshot is of this moment
        with closing(sqlite3.connect(self._target, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode = OFF")  # a copy that is not complete is removed
            copy.execute("PRAGMA synchronous = OFF")  # each step is put on the disk as a whole
            with open(self._target, "rb") as file:  # noqa: PTH123 - its descriptor is what counts
                connection.backup(copy, pages=STEP_PAGES, progress=lambda *_: self._step(file.fileno()))
            connection.execute("COMMIT")
            copy.execute("PRAGMA synchronous = FULL")
            copy.execute("PRAGMA journal_mode = DELETE")  # one that is only read needs no files beside it
            copy.execute(
                "UPDATE ids SET next = max(next, min(next + ?, ?)) WHERE name = 'transaction'",
                (IDS_LEFT_OUT, LARGEST_ID + 1),
            )

    def _step(self, descriptor: int) -> None:
        """End a step. Raises `StoreError` if nobody wants the copy any more."""
        self.steps += 1
        if self._interrupted:
            raise StoreError("no copy was made: the request for it has ended")
        os.fdatasync(descriptor)
        rest(PAUSE_S)
