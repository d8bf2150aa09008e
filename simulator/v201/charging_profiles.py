"""The charging profiles of a station, and the schedule that they come to.

The one rule: of the profiles with one purpose the highest stack level counts at each moment; among purposes the lowest
limit does. TxProfile goes before TxDefaultProfile, one of an EVSE's own before one for all. OCPP 2.0.1, block K.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from ...protocol import v201
from ..schedules import MOST_W, PowerLimit, in_unit, limit_of, turns
from .transactions import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .device_model import DeviceModel
    from .evses import Evses

Purpose, Source = v201.ChargingProfilePurpose, v201.ChargingLimitSource
Installed = tuple[int, v201.ChargingProfile]


class StationProfiles:
    """All that are installed, by the EVSE they were sent for; 0 is the station."""

    def __init__(self, model: DeviceModel, evses: Evses) -> None:
        self.installed: tuple[Installed, ...] = ()
        self.of_others: dict[v201.ChargingLimitSource, tuple[Installed, ...]] = {}
        """Limits that somebody else has set, by who it was."""
        self._model = model
        self._evses = evses

    # -- Set, find and clear ---------------------------------------------------------------------

    def set(self, evse_id: int, profile: v201.ChargingProfile) -> bool:
        """Install a profile; it replaces the one with its id, and the one in its place. OCPP 2.0.1, K01."""
        if not self._fits(evse_id, profile):
            return False
        place = _place(evse_id, profile)
        kept = tuple(
            (other_id, other)
            for other_id, other in self.installed
            if other.id != profile.id and _place(other_id, other) != place
        )
        if len(kept) >= self._model.integer("SmartChargingCtrlr.Entries[ChargingProfiles]"):
            return False
        self.installed = (*kept, (evse_id, profile))
        return True

    def _fits(self, evse_id: int, profile: v201.ChargingProfile) -> bool:
        model, purpose = self._model, profile.charging_profile_purpose
        if (
            not model.flag("SmartChargingCtrlr.Enabled")
            or profile.stack_level > model.integer("SmartChargingCtrlr.ProfileStackLevel")
            or (profile.charging_profile_kind == v201.ChargingProfileKind.RECURRING)
            != (profile.recurrency_kind is not None)
            or (evse_id != 0 and evse_id not in self._evses)
        ):
            return False
        for schedule in profile.charging_schedule:
            starts = [period.start_period for period in schedule.charging_schedule_period]
            if (
                len(starts) > model.integer("SmartChargingCtrlr.PeriodsPerSchedule")
                or starts[:1] != [0]
                or starts != sorted(set(starts))
            ):
                return False
        if purpose == Purpose.TX_PROFILE:
            transaction = self._evses[evse_id].transaction if evse_id else None
            return transaction is not None and profile.transaction_id == transaction.id
        return purpose == Purpose.TX_DEFAULT_PROFILE or (
            purpose == Purpose.CHARGING_STATION_MAX_PROFILE and evse_id == 0
        )

    def set_for_start(self, evse_id: int, profile: v201.ChargingProfile) -> None:
        """Install the profile of a RequestStartTransaction, which cannot have known the id. OCPP 2.0.1, F01."""
        transaction = self._evses[evse_id].transaction
        if transaction is not None and profile.charging_profile_purpose == Purpose.TX_PROFILE:
            self.set(
                evse_id,
                v201.ChargingProfile(
                    id=profile.id,
                    stack_level=profile.stack_level,
                    charging_profile_purpose=profile.charging_profile_purpose,
                    charging_profile_kind=profile.charging_profile_kind,
                    recurrency_kind=profile.recurrency_kind,
                    valid_from=profile.valid_from,
                    valid_to=profile.valid_to,
                    charging_schedule=profile.charging_schedule,
                    transaction_id=transaction.id,
                ),
            )

    def find(
        self, evse_id: int | None, wanted: v201.ChargingProfileCriterion
    ) -> dict[tuple[v201.ChargingLimitSource, int], list[v201.ChargingProfile]]:
        """Find profiles by number, or by what they are; by their source and EVSE. OCPP 2.0.1, K09."""
        found: dict[tuple[v201.ChargingLimitSource, int], list[v201.ChargingProfile]] = {}
        for source, installed in {Source.CSO: self.installed, **self.of_others}.items():
            if wanted.charging_limit_source is not None and source not in wanted.charging_limit_source:
                continue
            for place, profile in installed:
                if _wanted(evse_id, wanted, place, profile):
                    found.setdefault((source, place), []).append(profile)
        return found

    def limit_by_others(
        self, source: v201.ChargingLimitSource, evse_id: int, profile: v201.ChargingProfile
    ) -> None:
        """Take a limit of somebody else, in place of the one of that source and EVSE. OCPP 2.0.1, K11."""
        others = (entry for entry in self.of_others.get(source, ()) if entry[0] != evse_id)
        self.of_others[source] = (*others, (evse_id, profile))

    def cleared_by_others(self, source: v201.ChargingLimitSource, evse_id: int | None) -> None:
        """Forget a limit of somebody else, or all of that source. OCPP 2.0.1, K13."""
        left = tuple(entry for entry in self.of_others.pop(source, ()) if evse_id not in (None, entry[0]))
        if left:
            self.of_others[source] = left

    def clear(self, request: v201.ClearChargingProfile) -> bool:
        """Remove the profile with this id, or all that match; false if there was none. OCPP 2.0.1, K10."""
        wanted = request.charging_profile_criteria or v201.ClearChargingProfileCriteria()

        def matches(evse_id: int, profile: v201.ChargingProfile) -> bool:
            if request.charging_profile_id is not None:
                return profile.id == request.charging_profile_id
            return (
                wanted.evse_id in (None, evse_id)
                and wanted.charging_profile_purpose in (None, profile.charging_profile_purpose)
                and wanted.stack_level in (None, profile.stack_level)
            )

        return self._keep(entry for entry in self.installed if not matches(*entry))

    def transaction_over(self, evse_id: int) -> None:
        """Drop the TxProfiles of an EVSE: they end with its transaction."""
        self._keep(
            entry
            for entry in self.installed
            if entry[0] != evse_id or entry[1].charging_profile_purpose != Purpose.TX_PROFILE
        )

    def _keep(self, entries: Iterable[Installed]) -> bool:
        before = len(self.installed)
        self.installed = tuple(entries)
        return len(self.installed) < before

    # -- Composite schedule ----------------------------------------------------------------------

    def composite(
        self, evse_id: int, now: dt.datetime, duration_s: int, unit: v201.ChargingRateUnit | None
    ) -> v201.CompositeSchedule:
        """Return the schedule from `now` on, for an EVSE or (0) the station. OCPP 2.0.1, K08."""
        wanted = unit or v201.ChargingRateUnit.W
        end = now + dt.timedelta(seconds=duration_s)
        transaction = self._evses[evse_id].transaction if evse_id else None
        begun = now if transaction is None else transaction.started_at
        moments = {now}
        of_others = (entry for installed in self.of_others.values() for entry in installed)
        for _, profile in (*self.installed, *of_others):
            for schedule in profile.charging_schedule[:1]:
                moments |= {at for at in turns(profile, schedule, begun, now, end) if now < at < end}
        periods: list[v201.ChargingSchedulePeriod] = []
        for moment in sorted(moments):
            limit = self._limit(evse_id, begun, moment)
            value = in_unit(limit, wanted)
            if not periods or (periods[-1].limit, periods[-1].number_phases) != (value, limit.phases):
                start = int((moment - now).total_seconds())
                periods.append(
                    v201.ChargingSchedulePeriod(start_period=start, limit=value, number_phases=limit.phases)
                )
        return v201.CompositeSchedule(
            evse_id=evse_id,
            duration=duration_s,
            schedule_start=now,
            charging_rate_unit=wanted,
            charging_schedule_period=tuple(periods),
        )

    def limit_w(self, evse_id: int, now: dt.datetime) -> int:
        """Return the watts that a vehicle may take at an EVSE now; those that charge share the whole limit."""
        transaction = self._evses[evse_id].transaction
        begun = now if transaction is None else transaction.started_at
        own, whole = self._limit(evse_id, begun, now).watts, self._limit(0, begun, now).watts
        if whole < MOST_W:
            running = (evse.transaction for evse in self._evses)
            charging = sum(one is not None and one.state is State.CHARGING for one in running)
            own = min(own, whole / max(charging, 1))
        return int(own)

    def _limit(self, evse_id: int, begun: dt.datetime, at: dt.datetime) -> PowerLimit:
        """Return the lowest limit of the hardware, the station, and the EVSE's transaction."""

        def highest(purpose: v201.ChargingProfilePurpose, sent_for: int) -> PowerLimit | None:
            profiles = [
                profile
                for place, profile in self.installed
                if place == sent_for and profile.charging_profile_purpose == purpose
            ]
            profiles.sort(key=lambda profile: profile.stack_level, reverse=True)
            limits = (limit_of(profile, profile.charging_schedule[0], begun, at) for profile in profiles)
            return next((limit for limit in limits if limit is not None), None)

        limits = [highest(Purpose.CHARGING_STATION_MAX_PROFILE, 0)]
        for place, profile in (entry for installed in self.of_others.values() for entry in installed):
            if place in (0, evse_id):
                limits.append(limit_of(profile, profile.charging_schedule[0], begun, at))
        if evse_id:
            limits.append(
                highest(Purpose.TX_PROFILE, evse_id)
                or highest(Purpose.TX_DEFAULT_PROFILE, evse_id)
                or highest(Purpose.TX_DEFAULT_PROFILE, 0)
            )
        found = [limit for limit in limits if limit is not None]
        return min([*found, PowerLimit(MOST_W, None)], key=lambda limit: limit.watts)


def _wanted(
    evse_id: int | None, wanted: v201.ChargingProfileCriterion, place: int, profile: v201.ChargingProfile
) -> bool:
    if wanted.charging_profile_id is not None:
        return profile.id in wanted.charging_profile_id
    return (
        evse_id in (None, place)
        and wanted.charging_profile_purpose in (None, profile.charging_profile_purpose)
        and wanted.stack_level in (None, profile.stack_level)
    )


def _place(evse_id: int, profile: v201.ChargingProfile) -> tuple[int, str, int]:
    return evse_id, str(profile.charging_profile_purpose), profile.stack_level
