"""Currents and limits in messages: pure, in the words of OCPP 1.6 and 2.0.1."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ... import CommandEnded

OLD = dt.timedelta(minutes=5)
"""Age of a reading that says nothing of now."""
STATION_MAXIMUM = frozenset({"ChargePointMaxProfile", "ChargingStationMaxProfile"})
SET, CLEAR = "SetChargingProfile", "ClearChargingProfile"
NOT_IN_FORCE = frozenset({"never_sent", "expired", "superseded", "cancelled", "refused"})
"""Final states of a command that has changed nothing."""


def currents(meter_values: list[Any], at: dt.datetime) -> dict[str, float]:
    """Return the currents of the last meter values by phase, "" for those of none; those of long ago are left out."""
    for one in reversed(meter_values):
        try:
            age = at - dt.datetime.fromisoformat(one["timestamp"])
            samples = one["sampledValue"]
        except (KeyError, TypeError, ValueError):
            continue
        if abs(age) > OLD or not isinstance(samples, list):
            continue
        found: dict[str, float] = {}
        for sample in samples:
            try:
                if sample.get("measurand") == "Current.Import":
                    power = (sample.get("unitOfMeasure") or {}).get("multiplier", 0)
                    found[sample.get("phase", "")] = float(sample["value"]) * 10.0**power
            except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
                continue
        if found:
            return found
    return {}


class StationLimit(NamedTuple):
    """Limit of a station as a whole, in tenths of an ampere rounded up; None if it is not one number."""

    tenths: int | None


def limit_of(event: CommandEnded, volts: float, phases: int) -> StationLimit | None:
    """Return the limit of a station that a command may have set, or taken back; None for any other command."""
    request, response = event.request or {}, event.response or {}
    if event.action not in (SET, CLEAR) or event.state in NOT_IN_FORCE:
        return None
    if event.action == CLEAR:
        sought = request.get("chargingProfileCriteria") or request
        purpose = sought.get("chargingProfilePurpose")
        return StationLimit(None) if purpose is None or purpose in STATION_MAXIMUM else None
    profile = request.get("csChargingProfiles") or request.get("chargingProfile") or {}
    rejected = event.state == "answered" and response.get("status") != "Accepted"
    if rejected or profile.get("chargingProfilePurpose") not in STATION_MAXIMUM:
        return None
    schedule: Any = profile.get("chargingSchedule")
    schedule = schedule[0] if isinstance(schedule, list) and schedule else schedule
    try:
        (period,) = schedule["chargingSchedulePeriod"]
        amount = float(period["limit"])
        watts = schedule["chargingRateUnit"] == "W"
        return StationLimit(int((amount / (volts * phases) if watts else amount) * 10 + 0.999))
    except (KeyError, TypeError, ValueError):
        return StationLimit(None)
