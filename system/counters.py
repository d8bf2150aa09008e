"""Counters and callbacks: observers hear of all that is counted, the embedding program of charge points.

What they raise is logged, and costs the system nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..actors.runtime.failure import Failure, attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gevent.pool import Pool

    from ..actors.session.charge_point import ChargePoint
    from ..actors.session.context import Observer

logger = logging.getLogger(__name__)


class Counters:
    """Counts of events by name, each passed on to the observers."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self.counts: dict[str, int] = {}
        self._observers = tuple(observers)

    def count(self, name: str, charge_point_id: str) -> None:
        """Count one."""
        self.counts[name] = self.counts.get(name, 0) + 1
        for observer in self._observers:
            failure = attempt(observer.count, name, charge_point_id)
            if type(failure) is Failure:
                logger.error("An observer failed at %s:", name, exc_info=failure.exc_info)


def call_back(pool: Pool, callback: Callable[[ChargePoint], None], charge_point: ChargePoint) -> None:
    """Tell whoever embeds the system, in a greenlet of its own; one that blocks costs the session nothing either."""

    def run() -> None:
        failure = attempt(callback, charge_point)
        if type(failure) is Failure and not failure.killed:
            logger.error("A callback failed for %s:", charge_point, exc_info=failure.exc_info)

    pool.spawn(run)
