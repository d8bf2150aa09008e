"""Limits of charging schedules over time, as all versions of OCPP have them.

The one rule: it reads only members that profiles and schedules of every version have, by the same names.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

VOLTS = 230
PHASES = 3
"""Number of phases of a schedule that names none."""

MOST_W = Decimal(VOLTS * PHASES * 32)
"""Limit of the hardware, where no profile sets one."""

ONE_DAY_S = 86_400
RECURRENCES_S = {"Daily": ONE_DAY_S, "Weekly": 7 * ONE_DAY_S}
AMPERES = "A"


@dataclass(frozen=True, slots=True)
class PowerLimit:
    """Limit in force at one moment: total watts."""

    watts: Decimal
    phases: int | None


def limit_of(profile: Any, schedule: Any, begun: dt.datetime, at: dt.datetime) -> PowerLimit | None:
    """Limit of a profile at one moment of a transaction that began at `begun`; None if it sets none."""
    if profile.valid_from is not None and at < profile.valid_from:
        return None
    if profile.valid_to is not None and at >= profile.valid_to:
        return None
    elapsed_s = (at - _start(profile, schedule, begun)).total_seconds()
    if elapsed_s < 0:
        return None
    if profile.recurrency_kind is not None:
        elapsed_s %= RECURRENCES_S[profile.recurrency_kind]
    if schedule.duration is not None and elapsed_s >= schedule.duration:
        return None
    current = [period for period in schedule.charging_schedule_period if period.start_period <= elapsed_s][-1]
    watts = current.limit
    if schedule.charging_rate_unit == AMPERES:
        watts *= VOLTS * (current.number_phases or PHASES)
    return PowerLimit(watts, current.number_phases)


def _start(profile: Any, schedule: Any, begun: dt.datetime) -> dt.datetime:
    """Start that the periods count from: those of a relative profile from the start of the transaction."""
    start: dt.datetime | None = schedule.start_schedule
    relative = profile.charging_profile_kind == "Relative"
    return begun if start is None or relative else start


def turns(
    profile: Any, schedule: Any, begun: dt.datetime, now: dt.datetime, end: dt.datetime
) -> Iterator[dt.datetime]:
    """Return the moments at which the limit of a profile may change."""
    yield from (moment for moment in (profile.valid_from, profile.valid_to) if moment is not None)
    offsets = [period.start_period for period in schedule.charging_schedule_period]
    if schedule.duration is not None:
        offsets.append(schedule.duration)
    start = _start(profile, schedule, begun)
    if profile.recurrency_kind is None:
        yield from (start + dt.timedelta(seconds=offset) for offset in offsets)
        return
    every_s = RECURRENCES_S[profile.recurrency_kind]
    if start < now:
        start += dt.timedelta(seconds=(now - start).total_seconds() // every_s * every_s)
    while start < end:
        yield from (start + dt.timedelta(seconds=offset) for offset in offsets)
        start += dt.timedelta(seconds=every_s)


def in_unit(limit: PowerLimit, unit: str) -> Decimal:
    """Put a limit into watts, or amperes of each phase."""
    value = limit.watts
    if unit == AMPERES:
        value /= VOLTS * (limit.phases or PHASES)
    return value.quantize(Decimal("0.1"))


def unlimited(limit_w: float) -> float:
    """Return a limit of power, infinite if it is only that of the hardware: a vehicle brings its own."""
    return inf if limit_w >= MOST_W else limit_w
