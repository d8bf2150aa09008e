"""Limit of log lines that others can cause: the first few of a subject and a reason are written, the rest is counted.

A subject is a charge point or an address. Nothing is lost without a word: at the end of each interval a line says how
many were left out.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ...protocol.text import INVISIBLE, NAME_CHARS, escaped, shortened
from .failure import attempt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .timers import Timers

REPEAT_S, REPEAT_LINES = 60.0, 10
"""Defaults of the settings `log.repeat_s` and `log.repeat_lines`."""

MOST_KEYS = 10_000
"""Pairs of subject and reason that are told apart within an interval; more subjects count as one."""
MOST_SUMMARIES = 100
"""Lines at the end of an interval; the rest is one more line."""
OTHERS = "others"
"""Subject of the lines for which there was no room."""


class LeftOut:
    """Lines of one subject and reason that were left out within an interval."""

    __slots__ = ("count", "level", "logger")

    def __init__(self, logger: logging.Logger, level: int) -> None:
        self.logger = logger
        self.level = level
        self.count = 0


class LogLimit:
    """Writer of log lines, at most `lines` of a subject and a reason in `interval_s` seconds; 0 seconds set no limit.

    Belongs to the hub's thread.
    """

    def __init__(self, timers: Timers, interval_s: float = REPEAT_S, lines: int = REPEAT_LINES) -> None:
        self._timers = timers
        self.take(interval_s, lines)
        # By subject and reason, within this interval: lines written, and those left out.
        self._written: dict[tuple[str, str], int] = {}
        self._left_out: dict[tuple[str, str], LeftOut] = {}

    def take(self, interval_s: float, lines: int) -> None:
        """Take other limits from now on; an interval that has begun keeps its end."""
        self._interval_s = interval_s
        self._lines = lines

    def log(
        self,
        logger: logging.Logger,
        level: int,
        subject: str,
        reason: str,
        text: str,
        *args: object,
        exc_info: object = None,
        extra: Mapping[str, object] | None = None,
    ) -> bool:
        """Write a line, or count it; return whether it was written.

        Invisible characters in it are escaped, and a long subject in it is shortened.
        `reason` is one of few: no charge point may choose it. `extra` is that of the record.
        """
        if not logger.isEnabledFor(level):
            return False
        if len(subject) > NAME_CHARS:
            subject, whole = shortened(subject), subject
            args = tuple(subject if argument == whole else argument for argument in args)
        if self._interval_s > 0 and not self._may_write(logger, level, subject, reason):
            return False
        line = attempt(lambda: text % args)  # what stands in it may raise; logging deals with that
        if type(line) is str and INVISIBLE.search(line) is not None:
            text, args = "%s", (escaped(line),)
        logger.log(level, text, *args, exc_info=exc_info, extra=extra)  # type: ignore[arg-type]
        return True

    def _may_write(self, logger: logging.Logger, level: int, subject: str, reason: str) -> bool:
        key, written = (subject, reason), self._written
        if not written:
            self._timers.call_at(self._timers.clock.monotonic() + self._interval_s, self.sum_up)
        if key not in written and len(written) >= MOST_KEYS:
            key = (OTHERS, reason)
        count = written.get(key, 0)
        if count < self._lines:
            written[key] = count + 1
            return True
        left_out = self._left_out.get(key)
        if left_out is None:
            left_out = self._left_out[key] = LeftOut(logger, level)
        left_out.count += 1
        return False

    def sum_up(self) -> None:
        """Write how many lines were left out, and begin a new interval."""
        found = sorted(self._left_out.items(), key=lambda entry: -entry[1].count)
        self._written, self._left_out = {}, {}
        for (subject, reason), left_out in found[:MOST_SUMMARIES]:
            left_out.logger.log(
                left_out.level,
                "%s: %d more lines (%s) were left out within %g s (log.repeat_s, log.repeat_lines)",
                subject,
                left_out.count,
                reason,
                self._interval_s,
            )
        rest = [left_out for _, left_out in found[MOST_SUMMARIES:]]
        if rest:
            rest[0].logger.log(
                max(left_out.level for left_out in rest),
                "%d more lines of %d subjects were left out within %g s",
                sum(left_out.count for left_out in rest),
                len(rest),
                self._interval_s,
            )
