"""Fleets of simulated charge points, in simulated time: drivers that come and go, batteries, faults by name.

    fleet = Fleet("ws://127.0.0.1:9000/ocpp", stations=300, profile="home", ocpp="mixed", speed=60, days=1)
    print(fleet.run())

The one rule: a fleet knows what it did. What it counts is true of its own meters, whatever it tells the central system.
It never decides how a charge point speaks: `simulator` does.

In reading order: `profiles`, `vehicle`, `pace`, `fleet`.
"""

from .fleet import Fleet, Session
from .profiles import PROFILES

__all__ = ["PROFILES", "Fleet", "Session"]
