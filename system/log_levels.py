"""Levels of log lines about single charge points, set at run time, in every process that shares the store.

The one rule: this object only knows them. Who configures logging, such as the program, applies them to its handlers.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..store.records import LogLevel

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from ..store.collections import Collection
    from ..store.store import Receipt


class LogLevels:
    """Levels by charge point. Belongs to the hub's thread."""

    def __init__(self, records: Collection[LogLevel], now: Callable[[], dt.datetime]) -> None:
        self._records = records
        self._now = now

    def set(self, record: LogLevel) -> Receipt:
        """Set the level of a charge point, in place of the one before."""
        return self._records.put(record)

    def remove(self, charge_point_id: str) -> Receipt:
        """Give a charge point the level of all others again."""
        return self._records.remove(charge_point_id)

    def find(self, charge_point_id: str) -> LogLevel | None:
        """Return the level of a charge point; None if it has none of its own."""
        record = self._records.get(charge_point_id)
        return None if record is None or record.is_over(self._now()) else record

    def all(self) -> list[LogLevel]:
        """List the levels that count now."""
        now = self._now()
        return [record for record in self._records if not record.is_over(now)]

    def numbers(self) -> dict[str, int]:
        """Return the levels that count now, by charge point, as numbers of `logging`; forget those that are over."""
        if not len(self._records):
            return {}
        now, found = self._now(), {}
        for record in self._records:
            if record.is_over(now):
                self._records.remove(record.charge_point_id)
            else:
                found[record.charge_point_id] = logging.getLevelNamesMapping()[record.level]
        return found
