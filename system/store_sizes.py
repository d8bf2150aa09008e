"""Sizes of the store over time: measured once in a while by one process, kept for a week, and what follows from them.

The samples are records of the store, so every process that shares it tells the same, and a restart loses none.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any

import gevent

from ..config.errors import ChargehandError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..store.collections import Collection
    from ..store.records import StoreSize
    from ..store.store import Store

logger = logging.getLogger(__name__)

FIRST_S = 5.0
"""Seconds from the start to the first look whether the store is to be measured."""
LOOK_S = 30.0
"""Seconds between two looks."""
EVERY_S = 900.0
"""Seconds between two samples at least."""
SHARE = 100
"""Multiple of the time that a measurement took after which the next one is due: it takes a hundredth of the time."""
KEPT = dt.timedelta(days=7)
"""Age up to which samples are kept; growth is that since the oldest of them."""
DAY = dt.timedelta(days=1)


class StoreSizes:
    """Sizes of a store; `here` if this process measures. `spawn` starts its greenlet, which whoever owns it kills.

    `room` tells the bytes that the disk has for the store; None if that disk is not known.
    """

    def __init__(
        self,
        store: Store,
        now: Callable[[], dt.datetime],
        *,
        here: bool,
        spawn: Callable[..., Any],
        room: Callable[[], int | None],
        pause: Callable[[float], object] = gevent.sleep,
    ) -> None:
        self._store = store
        self._samples: Collection[StoreSize] = store.collections.store_sizes
        self._now = now
        self._here = here
        self._spawn = spawn
        self._room = room
        self._pause = pause

    def start(self) -> None:
        """Start the greenlet, if this process measures and the store outlives it."""
        if self._here and self._store.durable:
            self._spawn(self._run)

    def _run(self) -> None:
        self._pause(FIRST_S)
        while True:
            self.look()
            self._pause(LOOK_S)

    def look(self) -> None:
        """Measure the store if that is due, and drop samples that are too old."""
        now, last = self._now(), self.last
        if last is not None and now - last.at < dt.timedelta(seconds=max(EVERY_S, SHARE * last.took_s)):
            return
        try:
            measured = self._store.measure()
        except ChargehandError as error:
            logger.warning("the size of the store is not known: %s", error)
            return
        if measured is None:
            return
        self._samples.put(measured)
        for old in self._samples:
            if measured.at - old.at > KEPT:
                self._samples.remove(self._samples.key(old))

    @property
    def last(self) -> StoreSize | None:
        """Newest sample; None before the first."""
        return max(self._samples, key=lambda one: one.at, default=None)

    @property
    def growth_bytes_per_day(self) -> float | None:
        """Growth since the oldest sample that is kept; None while there is only one."""
        last = self.last
        first = min(self._samples, key=lambda one: one.at, default=None)
        if first is None or last is None or first.at == last.at:
            return None
        return (last.size_bytes - first.size_bytes) / ((last.at - first.at) / DAY)

    @property
    def room_bytes(self) -> int | None:
        """Bytes that the store may still grow by; None if its disk is not known, or it is not measured yet."""
        last, room = self.last, self._room()
        return None if last is None or room is None else room + last.unused_bytes

    @property
    def full_in_days(self) -> float | None:
        """Days until no record is taken any more, at this growth; None if it does not grow, or that is not known."""
        growth, room = self.growth_bytes_per_day, self.room_bytes
        return None if growth is None or room is None or growth <= 0 else room / growth
