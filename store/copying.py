"""Consistent copy of an SQLite file that is in use, made by a native thread on a connection of its own.

The copy is one snapshot (`VACUUM INTO`): writers are not held up, and their later writes are not in it. A store that is
restored from it skips the transaction ids that may have been given since: charge points have them.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from gevent import get_hub

from .durable import LARGEST_ID
from .store import StoreError

SPARE_BYTES = 16 << 20
"""Bytes that a copy must leave free on its disk, for the records that come meanwhile."""

INTERRUPT_S = 0.05

IDS_LEFT_OUT = 1_000_000
"""Transaction ids skipped by a store that is restored from a copy: so many may have been given since it was made."""


class Copy:
    """Copy of an SQLite file in progress; `target` must not exist yet."""

    def __init__(self, source: str, target: str) -> None:
        self._source = source
        self._target = target
        self._interrupted = False
        self._connection: sqlite3.Connection | None = None

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
        while not task.ready():
            connection = self._connection
            if connection is not None:
                with suppress(sqlite3.Error):  # closed at this moment
                    connection.interrupt()  # in vain before the statement has begun
            task.wait(INTERRUPT_S)
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
        for name in (self._target, f"{self._target}-journal"):
            Path(name).unlink(missing_ok=True)

    def _copy(self, connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        needed, free = pages * page_bytes + SPARE_BYTES, shutil.disk_usage(Path(self._target).parent).free
        if needed > free:
            raise StoreError(
                f"no copy was made: it needs {needed >> 20} MiB of room, and {free >> 20} MiB are free"
            )
        self._connection = connection
        if self._interrupted:
            raise StoreError("no copy was made: the request for it has ended")
        connection.execute("VACUUM INTO ?", (self._target,))
        with closing(sqlite3.connect(self._target, isolation_level=None)) as copy:
            copy.execute(
                "UPDATE ids SET next = max(next, min(next + ?, ?)) WHERE name = 'transaction'",
                (IDS_LEFT_OUT, LARGEST_ID + 1),
            )
