"""The charging profiles of a charge point, and the schedule that they come to.

The one rule: of the profiles with one purpose the highest stack level counts at each moment; among purposes the lowest
limit does. TxProfile goes before TxDefaultProfile, one of a connector's own before one for all. OCPP 1.6, 3.13.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from ..protocol import v16
from .schedules import MOST_W, PowerLimit, in_unit, limit_of, turns

if TYPE_CHECKING:
    from .configuration import Configuration
    from .connectors import Connectors

Purpose = v16.ChargingProfilePurpose


class InstalledProfiles:
    """All that are installed, by the connector they were sent for; 0 is the charge point."""

    def __init__(self, configuration: Configuration, connectors: Connectors) -> None:
        self.installed: list[tuple[int, v16.ChargingProfile]] = []
        self._configuration = configuration
        self._connectors = connectors

    # -- Set and clear ---------------------------------------------------------------------------

    def set(self, connector_id: int, profile: v16.ChargingProfile) -> v16.ChargingProfileStatus:
        """Install a profile; it replaces the one with its id, and the one in its place. OCPP 1.6, 5.16."""
        if not self._fits(connector_id, profile):
            return v16.ChargingProfileStatus.REJECTED
        place = _place(connector_id, profile)
        kept = [
            (other_id, other)
            for other_id, other in self.installed
            if other.charging_profile_id != profile.charging_profile_id and _place(other_id, other) != place
        ]
        if len(kept) >= self._configuration.integer("MaxChargingProfilesInstalled"):
            return v16.ChargingProfileStatus.REJECTED
        self.installed = [*kept, (connector_id, profile)]
        return v16.ChargingProfileStatus.ACCEPTED

    def _fits(self, connector_id: int, profile: v16.ChargingProfile) -> bool:
        schedule = profile.charging_schedule
        periods = schedule.charging_schedule_period
        starts = [period.start_period for period in periods]
        if (
            profile.stack_level > self._configuration.integer("ChargeProfileMaxStackLevel")
            or len(periods) > self._configuration.integer("ChargingScheduleMaxPeriods")
            or starts[:1] != [0]
            or starts != sorted(set(starts))
            or (profile.charging_profile_kind == v16.ChargingProfileKind.RECURRING)
            != (profile.recurrency_kind is not None)
        ):
            return False
        if connector_id and connector_id not in self._connectors:
            return False
        if profile.charging_profile_purpose == Purpose.CHARGE_POINT_MAX_PROFILE:
            return connector_id == 0
        if profile.charging_profile_purpose == Purpose.TX_DEFAULT_PROFILE:
            return True
        transaction = self._connectors[connector_id].transaction if connector_id else None
        return transaction is not None and profile.transaction_id in (None, transaction.id)

    def clear(self, request: v16.ClearChargingProfile) -> v16.ClearChargingProfileStatus:
        """Remove the profile with this id, or all that match. OCPP 1.6, 5.5."""

        def matches(connector_id: int, profile: v16.ChargingProfile) -> bool:
            if request.id is not None:
                return profile.charging_profile_id == request.id
            return (
                request.connector_id in (None, connector_id)
                and request.charging_profile_purpose in (None, profile.charging_profile_purpose)
                and request.stack_level in (None, profile.stack_level)
            )

        kept = [entry for entry in self.installed if not matches(*entry)]
        found = len(kept) < len(self.installed)
        self.installed = kept
        return v16.ClearChargingProfileStatus.ACCEPTED if found else v16.ClearChargingProfileStatus.UNKNOWN

    def transaction_over(self, connector_id: int) -> None:
        """Drop the TxProfiles of a connector: they end with its transaction. OCPP 1.6, 3.13.1."""
        self.installed = [
            (other_id, profile)
            for other_id, profile in self.installed
            if other_id != connector_id or profile.charging_profile_purpose != Purpose.TX_PROFILE
        ]

    # -- Composite schedule ------------------------------------------------------------------------

    def composite(
        self, connector_id: int, now: dt.datetime, duration_s: int, unit: v16.ChargingRateUnit | None
    ) -> v16.ChargingSchedule:
        """Return the schedule from `now` on, for a connector or (0) the charge point. OCPP 1.6, 5.7."""
        wanted = unit or v16.ChargingRateUnit.W
        end = now + dt.timedelta(seconds=duration_s)
        transaction = self._connectors[connector_id].transaction if connector_id else None
        begun = now if transaction is None else transaction.started_at
        moments = {now}
        for _, profile in self.installed:
            moments |= {
                at for at in turns(profile, profile.charging_schedule, begun, now, end) if now < at < end
            }
        periods: list[v16.ChargingSchedulePeriod] = []
        for moment in sorted(moments):
            limit = self._limit(connector_id, begun, moment)
            value = in_unit(limit, wanted)
            if not periods or (periods[-1].limit, periods[-1].number_phases) != (value, limit.phases):
                start = int((moment - now).total_seconds())
                periods.append(
                    v16.ChargingSchedulePeriod(start_period=start, limit=value, number_phases=limit.phases)
                )
        return v16.ChargingSchedule(
            duration=duration_s,
            start_schedule=now,
            charging_rate_unit=wanted,
            charging_schedule_period=tuple(periods),
        )

    def limit_w(self, connector_id: int, now: dt.datetime) -> int:
        """Return the watts that a vehicle may take at a connector now; those that charge share the whole limit."""
        transaction = self._connectors[connector_id].transaction
        begun = now if transaction is None else transaction.started_at
        own, whole = self._limit(connector_id, begun, now).watts, self._limit(0, begun, now).watts
        if whole < MOST_W:
            charging = sum(one.transaction is not None and not one.suspended for one in self._connectors)
            own = min(own, whole / max(charging, 1))
        return int(own)

    def _limit(self, connector_id: int, begun: dt.datetime, at: dt.datetime) -> PowerLimit:
        """Return the lowest limit of the hardware, the charge point, and the connector's transaction."""

        def highest(purpose: v16.ChargingProfilePurpose, sent_for: int) -> PowerLimit | None:
            profiles = [
                profile
                for other_id, profile in self.installed
                if other_id == sent_for and profile.charging_profile_purpose == purpose
            ]
            profiles.sort(key=lambda profile: profile.stack_level, reverse=True)
            limits = (limit_of(profile, profile.charging_schedule, begun, at) for profile in profiles)
            return next((limit for limit in limits if limit is not None), None)

        limits = [highest(Purpose.CHARGE_POINT_MAX_PROFILE, 0)]
        if connector_id:
            limits.append(
                highest(Purpose.TX_PROFILE, connector_id)
                or highest(Purpose.TX_DEFAULT_PROFILE, connector_id)
                or highest(Purpose.TX_DEFAULT_PROFILE, 0)
            )
        found = [limit for limit in limits if limit is not None]
        return min([*found, PowerLimit(MOST_W, None)], key=lambda limit: limit.watts)


def _place(connector_id: int, profile: v16.ChargingProfile) -> tuple[int, str, int]:
    return connector_id, str(profile.charging_profile_purpose), profile.stack_level
