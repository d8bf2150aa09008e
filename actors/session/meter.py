"""Meter of the sessions of one system: what metrics tell of calls, commands and connections, in plain numbers.

Everything here belongs to the hub. Keys come from the versions' tables: no charge point can make new ones.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Any

from ...protocol.errors import Deviation
from ...protocol.histogram import SECONDS, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...protocol.actions import Action, Version
    from .tickets import Ticket

QUICK_S = SECONDS[0]
"""Seconds within which most calls are answered: these are counted once for both histograms."""
OTHER = "other"
"""Label of all actions and codes that no table has."""


class CallMeter:
    """Counts and times of the calls of one action.

    `refused` were answered with the CALLERROR that a handler raised, `fallback` in a handler's place, `rejected` before
    any handler; `unanswered` lost their connection before.
    """

    __slots__ = (
        "_answers",
        "_handlers",
        "answer_s",
        "fallback",
        "handler_s",
        "quick",
        "refused",
        "rejected",
        "unanswered",
    )

    def __init__(self) -> None:
        self.quick = self.refused = self.fallback = self.rejected = self.unanswered = 0
        self.answer_s = self.handler_s = 0.0
        # Counts of the times that are not quick; most actions have none.
        self._answers: list[int] | None = None
        self._handlers: list[int] | None = None

    def answer(self, waited_s: float, handled_s: float) -> None:
        """Count a call that was answered by its handler, but not within `QUICK_S`."""
        self.answer_s += waited_s
        self.handler_s += handled_s
        if self._handlers is None:
            self._handlers = Histogram().counts
        self._handlers[bisect_left(SECONDS, handled_s)] += 1
        self._note_answer(waited_s)

    def refuse(self, received_at: float, now: float) -> None:
        """Count a call that its handler has refused now."""
        self.refused += 1
        self.answer_s += now - received_at
        self._note_answer(now - received_at)

    def fall_back(self, received_at: float, now: float) -> None:
        """Count a call that is answered now in its handler's place."""
        self.fallback += 1
        self.answer_s += now - received_at
        self._note_answer(now - received_at)

    def _note_answer(self, waited_s: float) -> None:
        if self._answers is None:
            self._answers = Histogram().counts
        self._answers[bisect_left(SECONDS, waited_s)] += 1

    @property
    def answered(self) -> int:
        """Number of calls that were answered by their handlers."""
        return self.quick + sum(self._handlers or ())

    @property
    def answers(self) -> Histogram:
        """Times from the receipt of a call to its answer; without rejected calls."""
        return self._histogram(self._answers, self.answer_s)

    @property
    def handlers(self) -> Histogram:
        """Times from the start of a handler to its answer."""
        return self._histogram(self._handlers, self.handler_s)

    def _histogram(self, counts: list[int] | None, sum_: float) -> Histogram:
        made = Histogram()
        made.counts = list(counts or made.counts)
        made.counts[0] += self.quick
        made.sum = sum_
        return made


class SessionMeter:
    """Numbers of all sessions of one system. `calls` has every action of its versions from the start."""

    def __init__(self, versions: Iterable[Version]) -> None:
        self.calls: dict[Action, CallMeter] = {}
        # Calls with a name that no version has, by the version of the connection.
        self.unknown_calls: Counter[str] = Counter()
        self.connections: Counter[str] = Counter()  # that were opened, by version
        self.deviations: Counter[tuple[str, str]] = Counter()  # by version and code
        self.commands: Counter[tuple[str, str, str]] = Counter()  # by version, action and final state
        self.effects: Counter[tuple[str, str, str]] = Counter()  # by version, action and effect
        self.command_times: dict[tuple[str, str], Histogram] = {}  # from sending to answer
        for version in versions:
            for action in version.actions.values():
                self.calls[action] = CallMeter()

    def rejected(self, version: Version, action: str) -> None:
        """Count a call that was answered with a CALLERROR before any handler."""
        row = version.actions.get(action)
        if row is None:
            self.unknown_calls[version.name] += 1
        else:
            self.calls[row].rejected += 1

    def deviated(self, version: Version, deviations: Iterable[object]) -> None:
        """Count deviations by their codes."""
        for deviation in deviations:
            code = str(deviation.code) if isinstance(deviation, Deviation) else OTHER
            self.deviations[version.name, code] += 1

    def command_ended(self, ticket: Ticket[Any]) -> None:
        """Count a command that has its final state."""
        self.commands[ticket.version, ticket.action, str(ticket.state)] += 1
        if ticket.response is not None and ticket.sent_at is not None and ticket.ended_at is not None:
            times = self.command_times.get((ticket.version, ticket.action))
            if times is None:
                times = self.command_times[ticket.version, ticket.action] = Histogram()
            times.add(max(0.0, ticket.ended_at - ticket.sent_at))

    def effect_known(self, ticket: Ticket[Any]) -> None:
        """Count a command whose effect is known, or will not be."""
        self.effects[ticket.version, ticket.action, str(ticket.effect)] += 1
