"""Vehicle as a charge point sees it: the energy that it takes."""

from __future__ import annotations

from typing import Protocol


class AnyVehicle(Protocol):
    """Vehicle that is plugged in; `fleet.vehicle` has one with a battery."""

    soc: float
    """State of charge, a share of 1."""
    phases: int
    """Phases that it charges on; 0 for direct current, with which it tells its state of charge."""
    power_w: int
    """Power that it takes now."""

    def take(self, at: float, limit_w: float) -> int:
        """Return the energy in Wh that it has taken since the last time, until `at`, with this limit."""
