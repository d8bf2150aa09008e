"""Upkeep of the store: what the server does beside its charge points, once in a while, in a greenlet of its own.

One process of a node does it, and one node of those that share a database. Whatever fails is logged, and tried again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import gevent

from ..config.errors import ChargehandError
from .exports import ExportsInUse

if TYPE_CHECKING:
    from collections.abc import Callable

    from .backups import Backups
    from .counters import Counters
    from .retention import Retention

logger = logging.getLogger(__name__)

FIRST_S = 60.0
"""Seconds from the start to the first look: a server that has just started has other things to do."""
LOOK_S = 30.0
"""Seconds between two looks whether something is due."""
PASS_S = 3600.0
"""Seconds between two passes of retention."""
AGAIN_S = 600.0
"""Seconds after a backup that failed before the next one is tried."""


class Upkeep:
    """Upkeep by one process; `spawn` starts its greenlet, which whoever owns it kills. `here` if it is this process."""

    def __init__(
        self,
        retention: Retention,
        backups: Backups,
        counters: Counters,
        *,
        here: bool,
        spawn: Callable[..., Any],
        clock: Callable[[], float],
        pause: Callable[[float], object] = gevent.sleep,
    ) -> None:
        self.retention = retention
        self.backups = backups
        self._counters = counters
        self._here = here
        self._spawn = spawn
        self._clock = clock
        self._pause = pause
        self._pass_at = self._backup_at = 0.0

    def start(self) -> None:
        """Start the greenlet, if this process does the upkeep and there is something to do."""
        if self._here and (self.retention.days or self.backups.scheduled):
            self._spawn(self._run)

    def _run(self) -> None:
        self._pause(FIRST_S)
        while True:
            self.look()
            self._pause(LOOK_S)

    def look(self) -> None:
        """Do what is due."""
        now = self._clock()
        if self.retention.days and now >= self._pass_at:
            self._pass_at = now + PASS_S
            self._try("retention", self.retention.run)
        if self.backups.scheduled and now >= self._backup_at and self.backups.due():
            self._backup_at = now + AGAIN_S
            self._try("backup", self.backups.make)

    def _try(self, name: str, work: Callable[[], object]) -> None:
        try:
            work()
        except ExportsInUse as error:
            logger.info("%s: %s", name, error)
        except (ChargehandError, OSError) as error:
            self._counters.count("retention_failed" if name == "retention" else "backup_failed", "")
            logger.error("%s failed, and is tried again: %s", name, error)  # noqa: TRY400 - a full disk needs none
        except Exception:
            self._counters.count("retention_failed" if name == "retention" else "backup_failed", "")
            logger.exception("%s failed, and is tried again", name)
