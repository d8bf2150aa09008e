"""Limit of log lines that others can cause: the first few of a subject and a reason are written, the rest is counted.

A subject is a charge point or an address. Nothing is lost without a word: at the end of each interval a line says how
many were left out.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ...protocol.text import INVISIBLE, escaped

if TYPE_CHECKING:
    from collections.abc import Hashable

    from .timers import Timers

REPEAT_S, REPEAT_LINES = 60.0, 10
"""Defaults of the settings `log.repeat_s` and `log.repeat_lines`."""

MOST_KEYS = 10_000
"""Pairs of subject and reason that are told apart within an interval; further subjects count as one."""
MOST_SUMMARIES = 100
"""Lines at the end of an interval; the rest is one more line."""
OTHERS = "others"
"""Subject of the lines for which there was no room."""


class Lines:
    """Lines of one subject and reason within an interval."""

    __slots__ = ("left_out", "level", "logger", "written")

    def __init__(self, logger: logging.Logger, level: int) -> None:
        self.logger = logger
        self.level = level
        self.written = 0
        self.left_out = 0


class LogLimit:
    """Writer of log lines, at most `lines` of a subject and a reason in `interval_s` seconds; 0 seconds set no limit.

    Belongs to the hub's thread.
    """

    def __init__(self, timers: Timers, interval_s: float = REPEAT_S, lines: int = REPEAT_LINES) -> None:
        self._timers = timers
        self._interval_s = interval_s
        self._lines = lines
        self._seen: dict[tuple[Hashable, str], Lines] = {}

    def log(
        self,
        logger: logging.Logger,
        level: int,
        subject: str,
        reason: str,
        text: str,
        *args: object,
        exc_info: object = None,
    ) -> bool:
        """Write a line, or count it; return whether it was written. Invisible characters in it are escaped.

        `reason` is one of few: no charge point may choose it.
        """
        if self._interval_s > 0 and not self._may_write(logger, level, subject, reason):
            return False
        line = text % args
        if INVISIBLE.search(line) is None:
            logger.log(level, text, *args, exc_info=exc_info)  # type: ignore[arg-type]
        else:
            logger.log(level, "%s", escaped(line), exc_info=exc_info)  # type: ignore[arg-type]
        return True

    def _may_write(self, logger: logging.Logger, level: int, subject: str, reason: str) -> bool:
        seen = self._seen
        lines = seen.get((subject, reason))
        if lines is None:
            if not seen:
                self._timers.call_at(self._timers.clock.monotonic() + self._interval_s, self.sum_up)
            key = (subject, reason) if len(seen) < MOST_KEYS else (OTHERS, reason)
            lines = seen.get(key)
            if lines is None:
                lines = seen[key] = Lines(logger, level)
        if lines.written < self._lines:
            lines.written += 1
            return True
        lines.left_out += 1
        return False

    def sum_up(self) -> None:
        """Say how many lines were left out, and begin a new interval."""
        seen, self._seen = self._seen, {}
        left_out = [(key, lines) for key, lines in seen.items() if lines.left_out]
        left_out.sort(key=lambda entry: -entry[1].left_out)
        for (subject, reason), lines in left_out[:MOST_SUMMARIES]:
            lines.logger.log(
                lines.level,
                "%s: %d more lines (%s) were left out within %g s (log.repeat_s, log.repeat_lines)",
                subject,
                lines.left_out,
                reason,
                self._interval_s,
            )
        if len(left_out) > MOST_SUMMARIES:
            rest = left_out[MOST_SUMMARIES:]
            count = sum(lines.left_out for _, lines in rest)
            level = max(lines.level for _, lines in rest)
            rest[0][1].logger.log(
                level,
                "%d more lines of %d subjects were left out within %g s",
                count,
                len(rest),
                self._interval_s,
            )
