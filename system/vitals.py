"""Vital signs of one process: does the store answer, is the hub on time, is there room on the disk.

They are looked at in the background: whoever asks for them never waits for what does not answer.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from ..protocol.histogram import Histogram
from ..store.factory import SQLITE_FILE
from ..store.meter import StoreFigures

if TYPE_CHECKING:
    from ..actors.runtime.timers import Timers
    from ..remote.cluster.cluster import Cluster
    from ..store.store import Store
    from .watermarks import Watermarks

BEAT_S = 0.25
"""Seconds between two looks at how late the hub is."""
LATE_S = 1.0
"""Lateness of the hub in seconds from which on the process is not ready."""
LATE_FOR_S = 5.0
"""Seconds for which it is not ready after that."""
LOOK_S = 1.0
"""Seconds between two probes of the store."""
STORE_S = 3.0
"""Seconds that the store has to answer a probe."""
COUNT_EVERY = 10
"""Looks between two counts of records."""
FREE_BYTES = 134_217_728
"""Default of `resources.disk_free_bytes`, below which the process is not ready."""


class Check(NamedTuple):
    """Result of one check; `reason` says why it is not ok, or what is worth knowing."""

    name: str
    ok: bool
    reason: str = ""


class Vitals:
    """Vital signs of one process. `data` is the folder whose disk is looked at; "" for none."""

    def __init__(
        self,
        store: Store,
        timers: Timers,
        cluster: Cluster | None,
        data: str,
        watermarks: Watermarks | None = None,
        least_free_bytes: int = FREE_BYTES,
    ) -> None:
        self._watermarks = watermarks
        self._least_free_bytes = least_free_bytes
        self._store = store
        self._timers = timers
        self._clock = timers.clock
        self._cluster = cluster
        self._data = data
        self._stopped = False
        self.lag = Histogram()
        self.lag_s = 0.0  # at the last look
        self.figures: StoreFigures | None = None
        self._late_at = -LATE_FOR_S
        self._late_s = 0.0
        self._looks = 0
        self._asked_at: float | None = None  # of the probe that the store has not answered
        self._counting = False
        self._store_fault = "the store has not answered yet"

    def start(self) -> None:
        """Begin to look."""
        self._beat_at(self._clock.monotonic() + BEAT_S)
        self._look()

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True

    # -- Looks -------------------------------------------------------------------------------------

    def _beat_at(self, due: float) -> None:
        def beat() -> None:
            now = self._clock.monotonic()
            self.lag_s = late_s = max(0.0, now - due)
            self.lag.add(late_s)
            if late_s >= LATE_S:
                self._late_at, self._late_s = now, late_s
            if not self._stopped:
                self._beat_at(now + BEAT_S)

        self._timers.call_at(due, beat)

    def _look(self) -> None:
        if self._stopped:
            return
        now = self._clock.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            self._store.probe(self._answered)
        if self._looks % COUNT_EVERY == 0 and not self._counting:
            self._counting = True
            self._store.count(self._counted)
        self._looks += 1
        self._timers.call_at(now + LOOK_S, self._look)

    def _answered(self, error: Exception | None) -> None:
        self._asked_at = None
        self._store_fault = "" if error is None else str(error) or type(error).__name__

    def _counted(self, figures: StoreFigures | None) -> None:
        self._counting = False
        if figures is not None:
            self.figures = figures

    # -- What they tell ----------------------------------------------------------------------------

    @property
    def store_bytes(self) -> int | None:
        """Bytes of the store's file with its journal; None if the store is no file."""
        if not self._data or self._store.backup_suffix != ".sqlite":
            return None
        size = 0
        for name in (SQLITE_FILE, f"{SQLITE_FILE}-wal"):
            with suppress(OSError):
                size += os.stat(os.path.join(self._data, name)).st_size  # noqa: PTH116, PTH118 - text, as it was given
        return size or None

    def checks(self) -> list[Check]:
        """Return all checks; never waits."""
        checks = [self._check_store(), self._check_hub()]
        if self._data:
            checks.append(self._check_disk())
        if self._watermarks is not None:
            accepts = self._watermarks.accepts
            reason = "" if accepts else "no connection is accepted (resources.memory_accept)"
            checks.append(Check("memory", accepts, reason))
        cluster = self._cluster
        if cluster is not None:
            trouble, held = cluster.coordinator.trouble, cluster.coordinator.held
            checks.append(Check("coordinator", not trouble, trouble))
            checks.append(Check("lease", held, "" if held else "no lease: no commands are sent"))
        return checks

    def _check_store(self) -> Check:
        asked_at = self._asked_at
        waits_s = 0.0 if asked_at is None else self._clock.monotonic() - asked_at
        if waits_s > STORE_S:
            return Check("store", ok=False, reason=f"the store has not answered for {waits_s:.0f} s")
        return Check("store", not self._store_fault, self._store_fault)

    def _check_hub(self) -> Check:
        ago_s = self._clock.monotonic() - self._late_at
        if ago_s < LATE_FOR_S:
            return Check("hub", ok=False, reason=f"the hub was {self._late_s:.1f} s late {ago_s:.0f} s ago")
        return Check("hub", ok=True)

    def _check_disk(self) -> Check:
        free = self.free_bytes
        if free is None:
            return Check("disk", ok=False, reason=f"the folder {self._data} cannot be looked at")
        least = self._least_free_bytes
        low = free < least
        stops = "" if self._watermarks is None else self._watermarks.stops
        if stops:
            return Check("disk", ok=False, reason=stops)
        return Check("disk", not low, f"{free} bytes are free, below {least}" if low else "")

    @property
    def free_bytes(self) -> int | None:
        """Free bytes of the disk with the data folder; None if there is none, or it cannot be looked at."""
        if not self._data:
            return None
        try:
            found = os.statvfs(self._data)
        except OSError:
            return None
        return found.f_bavail * found.f_frsize
