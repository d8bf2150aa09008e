"""Goals of chargehand: a bound for each figure that matters.

Rule: a goal that the run has no figure for is left out; it never counts as met.
"""

from dataclasses import dataclass
from typing import Any

from contestants import (
    ECHO,
    GREENLET,
    NODE_PEER,
    PEER,
    REACTOR,
    REACTOR_PLUGIN,
    REACTOR_REMOTE,
    REACTOR_SQLITE,
    REACTOR_TLS,
)

Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Goal:
    """Bound on the median of one figure of a contestant in a scenario, or of the ratio of its rate to `over`'s."""

    what: str
    who: str
    scenario: str
    figure: str
    at_least: float | None = None
    at_most: float | None = None
    over: str = ""

    def judge(self, report: Report) -> Report | None:
        """Return the goal with its figure for JSON; None if it was not measured."""
        found = self._found(report)
        if found is None:
            return None
        if self.at_least is not None:
            asked, met = f"at least {self.at_least:g}", found >= self.at_least
        else:
            asked, met = f"at most {self.at_most:g}", found <= (self.at_most or 0)
        return {"what": f"{self.who}: {self.what}", "asked": asked, "found": found, "met": met}

    def _found(self, report: Report) -> float | None:
        scenario = report["scenarios"].get(self.scenario, {"medians": {}, "ratios": {}})
        if self.over:
            quartiles = scenario["ratios"].get(self.who, {}).get(self.over, {}).get(self.figure)
            return None if quartiles is None else float(quartiles[1])
        figure = scenario["medians"].get(self.who, {}).get(self.figure)
        return None if figure is None else float(figure)


def ratio(
    who: str, over: str, at_least: float, *, scenario: str = "throughput", what: str = "times the rate of"
) -> Goal:
    """Return the goal of a rate in comparison with that of another contestant in the same rounds."""
    return Goal(f"{what} {over}", who, scenario, "calls_per_s", at_least=at_least, over=over)


GOALS = (
    ratio(REACTOR, PEER, 23),
    ratio(REACTOR, NODE_PEER, 1),
    ratio(REACTOR, ECHO, 0.8),
    ratio(GREENLET, PEER, 8),
    ratio(REACTOR_SQLITE, PEER, 12),
    ratio(REACTOR_REMOTE, REACTOR_PLUGIN, 0.5, scenario="remote"),
    Goal("KiB per idle connection", REACTOR, "memory", "kib", at_most=4.5),
    Goal("KiB per idle connection", REACTOR_TLS, "memory", "kib", at_most=16),
    Goal("KiB per idle connection", GREENLET, "memory", "kib", at_most=28),
    Goal("KiB per idle connection of OCPP 2.0.1", REACTOR, "memory-2.0.1", "kib", at_most=6),
    *(
        goal
        for who in (REACTOR, GREENLET)
        for goal in (
            Goal("p99 in ms, all at a pace", who, "pace", "p99_ms", at_most=10),
            Goal("p99 in ms, few among many idle", who, "busy", "p99_ms", at_most=5),
            Goal("seconds to connect and boot many", who, "storm", "connect_s", at_most=10),
            Goal("seconds to drop them", who, "storm", "drop_s", at_most=3),
            Goal(
                "longest wait of the others in ms, while connecting",
                who,
                "storm",
                "connect_stall_ms",
                at_most=100,
            ),
            Goal(
                "longest wait of the others in ms, while dropping", who, "storm", "drop_stall_ms", at_most=100
            ),
        )
    ),
)


def judged(report: Report) -> list[Report]:
    """Return every goal that the run has a figure for."""
    return [row for goal in GOALS if (row := goal.judge(report)) is not None]
