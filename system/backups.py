"""Backups of the store that the server makes by itself: on a schedule, whole before they have a name, and rotated."""

from __future__ import annotations

import datetime as dt
import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gevent import get_hub

from ..config.errors import ChargehandError
from ..store.store import NoBackup
from .exports import ExportFolder, ExportsInUse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..config.upkeep import BackupSettings
    from ..store.store import Store

logger = logging.getLogger(__name__)

PREFIX, NAME, PART = "chargehand-", "chargehand-%Y-%m-%dT%H%M%SZ", ".part"


class NoRoom(ChargehandError):
    """The disk has no room for a backup."""


class Backups:
    """Backups of a store in a folder; its methods switch greenlets. `last` is the time of the last one made here."""

    def __init__(
        self,
        store: Store,
        settings: BackupSettings,
        folder: str,
        now: Callable[[], dt.datetime],
        *,
        disk_is_low: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._settings = settings
        self.folder = Path(folder)
        self._now = now
        self._disk_is_low = disk_is_low
        self.last: dt.datetime | None = None

    @property
    def scheduled(self) -> bool:
        """True if backups are to be made by the hour."""
        return self._settings.every_hours > 0

    def there(self) -> list[Path]:
        """Return the backups in the folder, the oldest first."""
        return sorted(path for path in self.folder.glob(f"{PREFIX}*Z.*") if path.suffix != PART)

    def due(self) -> bool:
        """Return whether the last backup in the folder is older than a backup should be."""
        there = self.there()
        if not self.scheduled or not there:
            return self.scheduled
        made_at = dt.datetime.strptime(there[-1].stem, NAME).replace(tzinfo=dt.UTC)
        return self._now() - made_at >= dt.timedelta(hours=self._settings.every_hours)

    def make(self) -> Path:
        """Make a backup, and delete the oldest of too many; return its path.

        Raises `NoBackup`, `StoreError`, `NoRoom`, OSError, and `ExportsInUse` while another process makes one.
        """
        if not self._store.durable:
            raise NoBackup("the store is memory: there is nothing to copy")
        if self._disk_is_low():
            raise NoRoom("the disk is nearly full (resources.disk_free_bytes): no backup is made")
        with self._held():
            for path in self.folder.glob(f"{PREFIX}*{PART}"):
                path.unlink()  # of a process that was killed
            at = self._now()
            path = self.folder / f"{at.strftime(NAME)}{self._store.backup_suffix}"
            part = path.with_name(f"{path.name}{PART}")
            self._store.backup(str(part))
            get_hub().threadpool.apply(_put_in_place, (part, path))
            for old in self.there()[: -self._settings.keep]:
                old.unlink(missing_ok=True)
        self.last = at
        logger.info("backup: the store is in %s (%d bytes)", path, path.stat().st_size)
        return path

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the folder, and the lock of the cluster."""
        with ExportFolder(str(self.folder)).held():
            table = self._store.retention
            if table is not None and not table.take():
                raise ExportsInUse("another node does the upkeep of the store now")
            try:
                yield
            finally:
                if table is not None:
                    table.release()


def _put_in_place(part: Path, path: Path) -> None:
    """Put a whole file on the disk, under its name."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
