"""A copy of the store's file, made while the server serves, and handed to whoever asked for it.

It is first made whole beside the file, where there is room or there is not; so what is sent is one moment, however slow
its receiver. Its name is gone before the first byte is sent: nothing is left of it when this process is killed then.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import falcon
from gevent import get_hub

from ..store.store import NoBackup, StoreError
from .problems import CLOSE, Problem
from .queries import Query
from .resources import Resource
from .stopping import Stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..config.settings import Settings
    from ..system.central_system import CentralSystem
    from .stopping import Stop

logger = logging.getLogger(__name__)

COPY_FILE = "chargehand.sqlite.copy"
"""The copy in the data folder, while it is made."""
SQLITE = "application/vnd.sqlite3"
CHUNK_BYTES = 1 << 18


def remove_leftover(settings: Settings) -> None:
    """Remove the copy: that of a process that was killed, or the name of one that is open."""
    path = Path(settings.data) / COPY_FILE
    with suppress(OSError):
        for name in (path, path.with_name(f"{path.name}-journal")):
            name.unlink(missing_ok=True)


class Backup(Resource):
    """`/api/v1/backup`: one at a time."""

    def __init__(self, system: CentralSystem, stop: Stop) -> None:
        super().__init__(system)
        self._stop = stop
        self._busy = False

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer with the file. 409: this store has none, or another copy is being made; 507: no room for it."""
        Query(request)
        if self._busy:
            raise Problem(409, "Busy", "another backup is being made")
        self._busy = True
        handed_over = False
        try:
            copy = self._copy()
            response.set_stream(copy, copy.length)
            response.content_type = SQLITE
            handed_over = True
        finally:
            if not handed_over:
                self._over()

    def _over(self) -> None:
        self._busy = False

    def _copy(self) -> CopyStream:
        path = Path(self._system.settings.data) / COPY_FILE
        try:
            with self._stop.interrupts():
                self._system.store.backup(str(path))
            try:
                copy = CopyStream(path, self._over)
            finally:
                remove_leftover(self._system.settings)
        except NoBackup as error:
            raise Problem(409, "No backup of this store", str(error)) from error
        except Stopping:
            raise Problem(503, "Stopping", "the central system stops", headers=CLOSE) from None
        except (StoreError, OSError) as error:
            logger.error("There is no backup: %s", error)  # noqa: TRY400 - a full disk needs no traceback
            raise Problem(507, "No backup", str(error)) from error
        logger.info("A backup of %d bytes is made, and sent", copy.length)
        return copy


class CopyStream:
    """The bytes of a file, whose name may be taken away then; `closed` is called at its end. Raises OSError."""

    def __init__(self, path: Path, closed: Callable[[], None]) -> None:
        self._file = path.open("rb", buffering=0)
        self._closed = closed
        self._reading: Any = None
        self.length = os.fstat(self._file.fileno()).st_size

    def __iter__(self) -> Iterator[bytes]:
        pool = get_hub().threadpool
        while True:
            self._reading = pool.spawn(self._file.read, CHUNK_BYTES)
            chunk = self._reading.get()
            if not chunk:
                return
            yield chunk

    def close(self) -> None:
        """Let go of the file: WSGI calls it however the request ended."""
        if self._reading is not None:
            self._reading.wait()  # a thread must not read what is another file by then
        get_hub().threadpool.spawn(
            self._file.close
        ).wait()  # its blocks are given back: with many that takes long
        self._closed()
