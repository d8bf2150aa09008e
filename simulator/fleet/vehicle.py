"""Battery of a vehicle and the power that it takes: capacity, state of charge, phases, taper, cold.

The one rule: energy follows from the plan and the limits alone. It is counted in whole watts and seconds, so that it
does not matter how often, or exactly when, a meter is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import inf

CELL_S = 60
"""Seconds for which the power of a vehicle is the same."""
HOUR_S = 3600
MILD_C = 15.0
"""Temperature from which on a battery takes all that it can."""
COLD_LOSS = 0.02
"""Share of the power that a battery refuses for each degree below."""
COLDEST_SHARE = 0.4
WARM_AFTER_S = 1800
"""Seconds of charging after which a battery is warm."""

# Share of the greatest power that is taken at a state of charge; between two points it changes evenly.
DC_TAPER = ((0.0, 0.85), (0.1, 1.0), (0.55, 1.0), (0.8, 0.4), (1.0, 0.06))
AC_TAPER = ((0.0, 1.0), (0.95, 1.0), (1.0, 0.2))
DC_EFFICIENCY, AC_EFFICIENCY = 0.95, 0.9


@dataclass(slots=True, eq=False, kw_only=True)
class Vehicle:
    """Vehicle at a charge point since `since`, in seconds since 1970; it charges up to `target`, a share of 1."""

    since: int
    until: float = inf
    """Time when it leaves, and takes nothing more."""
    capacity_wh: int
    soc: float
    """State of charge, a share of 1."""
    target: float
    max_w: int
    """Greatest power of vehicle and charge point together, by current and `phases`."""
    phases: int
    """Phases that it charges on; 0 for direct current."""
    celsius: float = MILD_C
    power_w: int = 0
    """Power that it takes now."""
    _counted: int = field(init=False)
    _cell_ends: int = field(init=False)
    _cell_w: int = 0
    _drawn_ws: int = 0
    _given_wh: int = 0

    def __post_init__(self) -> None:
        self._counted = self._cell_ends = self.since

    @property
    def full(self) -> bool:
        """True once it has all that it wants."""
        return self.soc >= self.target

    def take(self, at: float, limit_w: float = inf) -> int:
        """Return the energy in Wh that it has taken since the last time, with this limit of the charge point."""
        end = int(min(at, self.until))
        while self._counted < end:
            if self._counted >= self._cell_ends:
                self._cell_w = self._wanted_w()
                self._cell_ends = self._counted + CELL_S - (self._counted - self.since) % CELL_S
            self.power_w = int(min(self._cell_w, max(limit_w, 0)))
            seconds = min(self._cell_ends, end) - self._counted
            self._counted += seconds
            self._drawn_ws += self.power_w * seconds
            efficiency = AC_EFFICIENCY if self.phases else DC_EFFICIENCY
            charged = self.power_w * seconds * efficiency / (HOUR_S * self.capacity_wh)
            self.soc = min(1.0, self.soc + charged)
        given, self._given_wh = self._given_wh, self._drawn_ws // HOUR_S
        return self._given_wh - given

    def _wanted_w(self) -> int:
        if self.full:
            return 0
        return int(self.max_w * _share(AC_TAPER if self.phases else DC_TAPER, self.soc) * self._warmth())

    def _warmth(self) -> float:
        """Return the share of its power that the temperature of the battery allows; only DC is that strong."""
        if self.phases or self.celsius >= MILD_C:
            return 1.0
        cold = max(COLDEST_SHARE, 1.0 - COLD_LOSS * (MILD_C - self.celsius))
        return cold + (1.0 - cold) * min(1.0, (self._counted - self.since) / WARM_AFTER_S)


def _share(taper: tuple[tuple[float, float], ...], soc: float) -> float:
    for (low, before), (high, after) in pairwise(taper):
        if soc <= high:
            return before + (after - before) * (soc - low) / (high - low)
    return taper[-1][1]
