"""Counters of events, passed on to observers, and callbacks of the embedding application.

Their exceptions are logged and have no other effect.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..actors.runtime.failure import Failure, attempt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..actors.session.context import Observer

logger = logging.getLogger(__name__)


class Counters:
    """Counts of events by name, each passed on to the observers."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self.counts: dict[str, int] = {}
        self._observers = tuple(observers)

    def count(self, name: str, charge_point_id: str) -> None:
        """Count one event."""
        self.counts[name] = self.counts.get(name, 0) + 1
        for observer in self._observers:
            failure = attempt(observer.count, name, charge_point_id)
            if type(failure) is Failure:
                logger.error("An observer failed at %s:", name, exc_info=failure.exc_info)
