"""Watermarks: what this process does without before its memory or its disk is used up, looked at once a second.

Memory: first no new connections, then hardly any reading, then without those connections that hold most of it. Disk:
first no history of events, then no record at all, before there is no room to write one; what is not stored is never
acknowledged. Everything recovers by itself.
"""

from __future__ import annotations

import ctypes
import logging
from typing import TYPE_CHECKING, Any

from . import machine

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ..actors.runtime.timers import Timers
    from ..actors.session.context import Observer
    from ..admission.intake import Intake
    from ..config.resources import ResourceSettings

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""Seconds between two looks."""
NEAR, NEAR_S = 0.2, 0.25
"""Part of the memory below the first watermark from which on it is looked at more often, and seconds between looks."""
MEMORY_BACK = 0.02
"""Part of the memory by which its use has to fall below a watermark before that is over."""
DISK_BACK = 1.1
"""Multiple of a watermark of the disk that has to be free before that is over."""
PATIENCE_S = 1.0
"""Seconds without reading after which the connections that hold most memory are closed."""
GREEDY_BYTES = 65_536
"""Bytes that such a connection holds at least."""
UNREAD_S = 10.0
"""Seconds without reading after which connections are read from one look to the next, whatever is in use."""
TRIM_S = 10.0
"""Seconds, while memory is short, between two requests to the allocator to give back what is free."""


class Watermarks:
    """Watermarks of one process, one of `processes`. For the hub's thread.

    `connections` are the open ones; `folders` those whose disks are looked at, `store_folder` that of the store's file
    or database, if that is known. `hold_events` is given the reason for which the history of events is not stored, ""
    if it is, `hold_records` that for no record; `alert` a subject and a text.
    """

    def __init__(
        self,
        settings: ResourceSettings,
        *,
        processes: int,
        folders: Sequence[str],
        connections: Collection[Any],
        intake: Intake,
        timers: Timers,
        observer: Observer,
        hold_events: Callable[[str], None],
        alert: Callable[[str, str], object],
        hold_records: Callable[[str], None] = lambda _: None,
        store_folder: str = "",
        memory_in_use: Callable[[], int | None] = machine.memory_in_use,
        free_bytes: Callable[[str], int | None] = machine.free_bytes,
    ) -> None:
        self._settings = settings
        self._processes = processes
        self._folders = folders
        self._connections = connections
        self._intake = intake
        self._timers = timers
        self._observer = observer
        self._hold_events = hold_events
        self._alert = alert
        self._hold_records = hold_records
        self._store_folder = store_folder
        self._memory_in_use = memory_in_use
        self._free_bytes = free_bytes
        self._running = False
        self._unread_since = self._read_at = self._trimmed_at = self._disk_looked_at = 0.0
        limit = settings.memory_bytes or machine.memory_limit()
        self.memory_limit_bytes = None if limit is None else limit // processes
        """Memory that this process may use; None if that is not known."""
        self.memory_bytes: int | None = None
        """Memory that it used at the last look."""
        self.accepts = True
        """False while no new connection is accepted, for `resources.memory_accept`."""
        self.reads = True
        """False while no connection is read, for `resources.memory_read`."""
        self.free_bytes: int | None = None
        """Free bytes of the fullest of its disks at the last look; None if there is none, or it cannot be looked at."""
        self.disk_is_low = False
        """True while less is free than `resources.disk_free_bytes`."""
        self.room_bytes: int | None = None
        """Bytes that the store's disk has for records, at the last look; None if that disk is not known."""
        self.stops = ""
        """Reason for which no record is taken, for `resources.disk_stop_bytes`; "" if they are."""

    def take(self, settings: ResourceSettings) -> None:
        """Take the settings of a reload; the next look goes by them."""
        self._settings = settings

    def start(self) -> None:
        """Look now, and once a second."""
        folder = self._store_folder
        if folder and self._free_bytes(folder) is None:
            logger.warning(
                "the disk with %s cannot be looked at: when it is full for records is not known", folder
            )
        self._running = True
        self._look()

    def stop(self) -> None:
        """Look no more."""
        self._running = False

    def _look(self) -> None:
        if not self._running:
            return
        now = self._timers.clock.monotonic()
        is_near = self._look_at_memory(now)
        if now - self._disk_looked_at >= LOOK_S:
            self._disk_looked_at = now
            self._look_at_disk()
            self._look_at_records()
        self._timers.call_at(now + (NEAR_S if is_near else LOOK_S), self._look)

    # -- Memory ------------------------------------------------------------------------------------

    def _look_at_memory(self, now: float) -> bool:
        """Look at the memory and do what follows; return whether a watermark is near."""
        used, limit = self._memory_in_use(), self.memory_limit_bytes
        self.memory_bytes = used
        if used is None or not limit:
            return False
        part, settings = used / limit, self._settings
        if _crossed(part, settings.memory_accept, is_above=not self.accepts):
            self._set_accepts(accepts=not self.accepts)
        if _crossed(part, settings.memory_read, is_above=not self.reads):
            self._set_reads(reads=not self.reads)
        if not self.reads:
            self._hold(now, used - int((settings.memory_read - MEMORY_BACK) * limit))
        if not self.accepts and now - self._trimmed_at >= TRIM_S:
            self._trimmed_at = now
            _trim()
        return part > settings.memory_accept - NEAR

    def _hold(self, now: float, excess_bytes: int) -> None:
        """Hold all connections, those whose handshake has ended since too; once in a while let them be read."""
        connections = list(self._connections)
        if now - self._read_at >= UNREAD_S:
            self._read_at = now  # until the next look: a server that never reads again hangs
            for connection in connections:
                connection.release()
            return
        for connection in connections:
            connection.hold()
            if connection.has_been_left():
                connection.give_up("the connection was lost")
        if now - self._unread_since >= PATIENCE_S:
            self._drop_greedy(excess_bytes)

    def _drop_greedy(self, excess_bytes: int) -> None:
        """Close the connections that hold most, until that makes up for the excess: without reading it would stay."""
        holders = sorted(
            ((held, id(one), one) for one in self._connections if (held := one.held_bytes) >= GREEDY_BYTES),
            reverse=True,
        )
        freed = dropped = 0
        for held, _, connection in holders:
            if freed >= excess_bytes:
                break
            freed, dropped = freed + held, dropped + 1
            self._observer.count("memory_dropped", connection.peer)
            connection.give_up("memory is short (resources.memory_read)")
        if dropped:
            text = (
                "%d connections were closed that held %d MiB of unfinished messages (resources.memory_read)"
            )
            logger.error(text, dropped, freed >> 20)

    def _figures(self) -> tuple[int, int]:
        return (self.memory_bytes or 0) >> 20, (self.memory_limit_bytes or 0) >> 20

    def _set_accepts(self, *, accepts: bool) -> None:
        self.accepts = accepts
        self._intake.memory_is_short = not accepts
        if accepts:
            text = "connections are accepted again: %d of %d MiB of memory are used (resources.memory_accept)"
            logger.warning(text, *self._figures())
            return
        self._observer.count("memory_high", "")
        text = "no new connection is accepted: %d of %d MiB of memory are used (resources.memory_accept)"
        logger.error(text, *self._figures())

    def _set_reads(self, *, reads: bool) -> None:
        self.reads = reads
        self._unread_since = self._read_at = self._timers.clock.monotonic()
        if reads:
            for connection in list(self._connections):
                connection.release()
            text = "connections are read again: %d of %d MiB of memory are used (resources.memory_read)"
            logger.warning(text, *self._figures())
            return
        self._observer.count("memory_full", "")
        text = "no connection is read: %d of %d MiB of memory are used (resources.memory_read)"
        logger.error(text, *self._figures())

    # -- Disk --------------------------------------------------------------------------------------

    def _look_at_disk(self) -> None:
        found = [(free, folder) for folder in self._folders if (free := self._free_bytes(folder)) is not None]
        self.free_bytes, folder = min(found, default=(None, ""))
        free, least = self.free_bytes, self._settings.disk_free_bytes
        if free is None or not least:
            return
        if self.disk_is_low:
            if free >= least * DISK_BACK:
                self.disk_is_low = False
                self._hold_events("")
                text = "the history of events is stored again: %d MiB of the disk with %s are free (%s)"
                logger.warning(text, free >> 20, folder, "resources.disk_free_bytes")
        elif free < least:
            self.disk_is_low = True
            self._observer.count("disk_low", "")
            reason = f"{free >> 20} MiB of the disk with {folder} are free (resources.disk_free_bytes)"
            logger.error("the history of events is not stored: only %s", reason)
            self._hold_events(f"the disk is nearly full: {reason}")
            self._alert("disk nearly full", reason)

    def _look_at_records(self) -> None:
        """Stop records while there is still room for what is in the store's journal, and take them again."""
        folder, least = self._store_folder, self._settings.disk_stop_bytes
        free = self._free_bytes(folder) if folder else None
        self.room_bytes = None if free is None else max(0, free - least)
        if free is None:
            return
        if self.stops and free >= least * DISK_BACK:
            self.stops = ""
            self._hold_records("")
            text = "records are stored again: %d MiB of the disk with %s are free (%s)"
            logger.warning(text, free >> 20, folder, "resources.disk_stop_bytes")
        elif not self.stops and free < least:
            reason = f"{free >> 20} MiB of the disk with {folder} are free (resources.disk_stop_bytes)"
            self._observer.count("disk_full", "")
            logger.error("no record is stored, and none acknowledged, until there is room: only %s", reason)
            self._alert("disk full", reason)  # which is a record, too
            self.stops = f"no record is taken: only {reason}"
            self._hold_records(self.stops)


def _crossed(part: float, watermark: float, *, is_above: bool) -> bool:
    """Return whether a part has come above its watermark, or well below it again. 0 is no watermark."""
    if is_above:
        return part < watermark - MEMORY_BACK
    return 0 < watermark < part


def _trim() -> None:
    """Have the allocator of glibc give back what is free; others have no such function."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
