"""Levels of log lines about single charge points, applied to the handlers of the program; and frames as lines at DEBUG.

The one rule: while no charge point has a level of its own, logging is as it was configured, and costs what it did.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import gevent

from ..actors.runtime.failure import Failure, attempt
from ..protocol.log_fields import about

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..config.settings import LogSettings
    from ..system.central_system import CentralSystem

LOOK_S = 1.0
"""Seconds between two looks for changed levels."""
FRAMES_S = 0.2
"""Seconds between two looks for frames, while a charge point has the level DEBUG."""
logger = logging.getLogger(__name__)
frames_logger = logging.getLogger("chargehand.frames")


class Levels:
    """Levels that the settings have, and those of single charge points, which win for lines about these.

    A logger makes records at the lowest level that anything has; `passes` is asked by each handler which to write.
    """

    def __init__(self, settings: LogSettings) -> None:
        self._base = number_of(settings.level)
        self._by_logger = {name: number_of(level) for name, level in settings.levels.items()}
        self._of: Mapping[str, int] = {}

    def configure(self, settings: LogSettings) -> None:
        """Let the levels of other settings count from now on; charge points keep those of their own."""
        of, self._of = self._of, {}
        for name in self._by_logger.keys() - settings.levels.keys():
            logging.getLogger(name).setLevel(logging.NOTSET)
        self._base = number_of(settings.level)
        self._by_logger = {name: number_of(level) for name, level in settings.levels.items()}
        logging.getLogger().setLevel(self._base)
        for name, level in self._by_logger.items():
            logging.getLogger(name).setLevel(level)
        self.set(of)

    def passes(self, record: logging.LogRecord, fields: Mapping[str, Any]) -> bool:
        """Return whether a record is to be written."""
        if not self._of:
            return True
        own = self._of.get(fields.get("charge_point", ""))
        return record.levelno >= (self._configured(record.name) if own is None else own)

    def _configured(self, name: str) -> int:
        while name:
            if name in self._by_logger:
                return self._by_logger[name]
            name = name.rpartition(".")[0]
        return self._base

    def set(self, of: Mapping[str, int]) -> None:
        """Set the levels of charge points; none: everything is as it was configured."""
        if of == self._of:
            return
        self._of = dict(of)
        lowest = min(of.values(), default=self._base)
        logging.getLogger().setLevel(min(self._base, lowest))
        for name, level in self._by_logger.items():
            logging.getLogger(name).setLevel(min(level, lowest) if of else level)


def number_of(level: str) -> int:
    """Return the number of a level."""
    return logging.getLevelNamesMapping()[level]


class LevelFollower:
    """Follower of the levels of a system: applies them to `levels`, and logs the frames of who has DEBUG."""

    def __init__(self, system: CentralSystem, levels: Levels) -> None:
        self._system = system
        self._levels = levels
        self._after: dict[str, float] = {}  # places in the flight recorders of charge points with DEBUG

    def run(self) -> None:
        """Follow for ever; for a greenlet."""
        due_s = 0.0
        while True:
            if due_s <= 0:
                due_s = LOOK_S
                self._try(self.look)
            pause_s = FRAMES_S if self._after else LOOK_S
            gevent.sleep(pause_s)
            due_s -= pause_s
            self._try(self.log_frames)

    def _try(self, step: Callable[[], None]) -> None:
        failure = attempt(step)
        if type(failure) is Failure:
            if failure.escaped is not None:  # the end of this greenlet
                raise failure.escaped
            logger.warning("levels of charge points cannot be followed now: %s", failure.text)

    def look(self) -> None:
        """Apply the levels as they are now."""
        found = self._system.log_levels.numbers()
        self._levels.set(found)
        debugged = {id_ for id_, level in found.items() if level <= logging.DEBUG}
        for id_ in self._after.keys() - debugged:
            del self._after[id_]
        for id_ in debugged - self._after.keys():
            told = self._system.frames(id_)
            if told is not None:  # it is known to this process
                self._after[id_] = told.next

    def log_frames(self) -> None:
        """Log the frames that passed since the last time."""
        for id_, after in list(self._after.items()):
            told = self._system.frames(id_, after)
            if told is None:
                del self._after[id_]
                continue
            self._after[id_] = told.next
            known = self._system.charge_point(id_)
            extra = about(charge_point=id_, version=known and known.version, connection=known and known.peer)
            for row in told.rows:
                frames_logger.debug("%s %s %s", id_, row["kind"], row["data"], extra=extra)
            if told.missed:
                frames_logger.debug("%s: frames before these are missing", id_, extra=extra)
