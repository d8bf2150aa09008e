"""Block K of OCPP 2.0.1, smart charging.

The one rule: a response is declared before its request, for the request names it.
"""

from collections.abc import Hashable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from ..actions import Sender, empty_fallback, request
from ..message import EXPENDABLE, AtLeast, AtMost, WireName
from . import effects
from .base import Message, Request
from .types import (
    Block,
    ChargingProfile,
    ChargingProfilePurpose,
    ChargingRateUnit,
    ChargingSchedule,
    ChargingSchedulePeriod,
    Details,
    GenericStatus,
    Id,
    Percent,
)

PURPOSE = "chargingProfile.chargingProfilePurpose"
"""Path of the purpose of a profile in a request."""

# -- SetChargingProfile ------------------------------------------------------------------


class ChargingProfileStatus(StrEnum):
    """Answer to a charging profile. OCPP 2.0.1, ChargingProfileStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class SetChargingProfileResponse(Message):
    """Tell whether the station takes the profile. OCPP 2.0.1, 1.51.2."""

    status: ChargingProfileStatus
    status_info: Details | None = None


def _profile_key(request: Any) -> Hashable:
    profile = request.charging_profile
    purpose = str(profile.charging_profile_purpose)
    return request.evse_id, purpose, profile.stack_level, profile.transaction_id


def _forbidden(request: Any) -> tuple[str, str] | None:
    """Find the member of a SetChargingProfile that goes with none of its purpose. OCPP 2.0.1, K01."""
    profile = request.charging_profile
    purpose = profile.charging_profile_purpose
    if purpose == ChargingProfilePurpose.CHARGING_STATION_EXTERNAL_CONSTRAINTS:
        return PURPOSE, "is ChargingStationExternalConstraints: those limits are set by others"
    if purpose == ChargingProfilePurpose.CHARGING_STATION_MAX_PROFILE and request.evse_id != 0:
        return "evseId", f"must be 0 for a ChargingStationMaxProfile, not {request.evse_id}"
    of_transaction = purpose == ChargingProfilePurpose.TX_PROFILE
    if of_transaction and not request.evse_id:
        return "evseId", "must be that of the transaction for a TxProfile, not 0"
    if of_transaction != bool(profile.transaction_id):
        return "chargingProfile.transactionId", "must be there for a TxProfile, and for no other purpose"
    return None


@request(
    "SetChargingProfile",
    Block.SMART_CHARGING,
    Sender.CENTRAL_SYSTEM,
    supersede_key=_profile_key,
    forbids=_forbidden,
)
class SetChargingProfile(Request[SetChargingProfileResponse]):
    """Set a charging profile of an EVSE, or of the station as EVSE 0. OCPP 2.0.1, 1.51.1."""

    evse_id: Id
    charging_profile: ChargingProfile


# -- GetChargingProfiles -----------------------------------------------------------------


class GetChargingProfileStatus(StrEnum):
    """Result of a search for charging profiles; Accepted: reports follow.

    OCPP 2.0.1, GetChargingProfileStatusEnumType.
    """

    ACCEPTED = "Accepted"
    NO_PROFILES = "NoProfiles"


class ChargingLimitSource(StrEnum):
    """Origin of a limit: energy management (EMS), grid operator (SO), operator of stations (CSO).

    OCPP 2.0.1, ChargingLimitSourceEnumType.
    """

    EMS = "EMS"
    OTHER = "Other"
    SO = "SO"
    CSO = "CSO"


class ChargingProfileCriterion(Message):
    """Search for charging profiles: by number, or by what they are.

    OCPP 2.0.1, ChargingProfileCriterionType.
    """

    charging_profile_purpose: ChargingProfilePurpose | None = None
    stack_level: int | None = None
    charging_profile_id: Annotated[tuple[int, ...], AtLeast(1)] | None = None
    charging_limit_source: Annotated[tuple[ChargingLimitSource, ...], AtLeast(1), AtMost(4)] | None = None


class GetChargingProfilesResponse(Message):
    """Tell whether reports follow. OCPP 2.0.1, 1.19.2."""

    status: GetChargingProfileStatus
    status_info: Details | None = None


@request(
    "GetChargingProfiles",
    Block.SMART_CHARGING,
    Sender.CENTRAL_SYSTEM,
    effect=lambda _: effects.CHARGING_PROFILES,
    numbered="request_id",
)
class GetChargingProfiles(Request[GetChargingProfilesResponse]):
    """Have the charging profiles that match reported. OCPP 2.0.1, 1.19.1."""

    request_id: Id
    evse_id: Id | None = None
    charging_profile: ChargingProfileCriterion


# -- ReportChargingProfiles --------------------------------------------------------------


class ReportChargingProfilesResponse(Message):
    """Confirm a part of a report. OCPP 2.0.1, 1.43.2."""


@request("ReportChargingProfiles", Block.SMART_CHARGING, Sender.CHARGE_POINT, fallback=empty_fallback)
class ReportChargingProfiles(Request[ReportChargingProfilesResponse]):
    """Report charging profiles of an EVSE. OCPP 2.0.1, 1.43.1."""

    request_id: Id
    charging_limit_source: ChargingLimitSource
    charging_profile: Annotated[tuple[ChargingProfile, ...], AtLeast(1), EXPENDABLE]
    tbc: bool | None = None
    evse_id: Id


# -- ClearChargingProfile ----------------------------------------------------------------


class ClearChargingProfileStatus(StrEnum):
    """Result of clearing charging profiles; Unknown: none matched.

    OCPP 2.0.1, ClearChargingProfileStatusEnumType.
    """

    ACCEPTED = "Accepted"
    UNKNOWN = "Unknown"


class ClearChargingProfileCriteria(Message):
    """Search for charging profiles to be cleared. OCPP 2.0.1, ClearChargingProfileType."""

    evse_id: Id | None = None
    charging_profile_purpose: ChargingProfilePurpose | None = None
    stack_level: int | None = None


class ClearChargingProfileResponse(Message):
    """Tell whether any profile was cleared. OCPP 2.0.1, 1.7.2."""

    status: ClearChargingProfileStatus
    status_info: Details | None = None


def _never_ours(request: Any) -> tuple[str, str] | None:
    """Find the purpose of profiles that others have set. OCPP 2.0.1, K10."""
    sought = request.charging_profile_criteria
    purpose = None if sought is None else sought.charging_profile_purpose
    if purpose != ChargingProfilePurpose.CHARGING_STATION_EXTERNAL_CONSTRAINTS:
        return None
    path = "chargingProfileCriteria.chargingProfilePurpose"
    return path, "is ChargingStationExternalConstraints: those limits are cleared by others"


@request("ClearChargingProfile", Block.SMART_CHARGING, Sender.CENTRAL_SYSTEM, forbids=_never_ours)
class ClearChargingProfile(Request[ClearChargingProfileResponse]):
    """Clear charging profiles: one by number, or those that match. OCPP 2.0.1, 1.7.1."""

    charging_profile_id: int | None = None
    charging_profile_criteria: ClearChargingProfileCriteria | None = None


# -- GetCompositeSchedule ----------------------------------------------------------------


class CompositeSchedule(Message):
    """Limits that hold at an EVSE when all profiles are put together; `duration` is in seconds.

    OCPP 2.0.1, CompositeScheduleType.
    """

    charging_schedule_period: Annotated[tuple[ChargingSchedulePeriod, ...], AtLeast(1)]
    evse_id: Id
    duration: int
    schedule_start: datetime
    charging_rate_unit: ChargingRateUnit


class GetCompositeScheduleResponse(Message):
    """Give the limits that hold at an EVSE. OCPP 2.0.1, 1.20.2."""

    status: GenericStatus
    status_info: Details | None = None
    schedule: CompositeSchedule | None = None


@request("GetCompositeSchedule", Block.SMART_CHARGING, Sender.CENTRAL_SYSTEM)
class GetCompositeSchedule(Request[GetCompositeScheduleResponse]):
    """Ask for the limits that hold at an EVSE in the next `duration` seconds. OCPP 2.0.1, 1.20.1."""

    duration: int
    charging_rate_unit: ChargingRateUnit | None = None
    evse_id: Id


# -- NotifyChargingLimit -----------------------------------------------------------------


class ChargingLimit(Message):
    """Origin of a limit. OCPP 2.0.1, ChargingLimitType."""

    charging_limit_source: ChargingLimitSource
    is_grid_critical: bool | None = None


class NotifyChargingLimitResponse(Message):
    """Confirm a limit. OCPP 2.0.1, 1.33.2."""


@request("NotifyChargingLimit", Block.SMART_CHARGING, Sender.CHARGE_POINT, fallback=empty_fallback)
class NotifyChargingLimit(Request[NotifyChargingLimitResponse]):
    """Report a limit that somebody else has set. OCPP 2.0.1, 1.33.1."""

    charging_schedule: Annotated[tuple[ChargingSchedule, ...], AtLeast(1)] | None = None
    evse_id: Id | None = None
    charging_limit: ChargingLimit


# -- ClearedChargingLimit ----------------------------------------------------------------


class ClearedChargingLimitResponse(Message):
    """Confirm the end of a limit. OCPP 2.0.1, 1.9.2."""


@request("ClearedChargingLimit", Block.SMART_CHARGING, Sender.CHARGE_POINT, fallback=empty_fallback)
class ClearedChargingLimit(Request[ClearedChargingLimitResponse]):
    """Report that a limit of somebody else is over. OCPP 2.0.1, 1.9.1."""

    charging_limit_source: ChargingLimitSource
    evse_id: Id | None = None


# -- NotifyEVChargingNeeds ---------------------------------------------------------------


class NotifyEVChargingNeedsStatus(StrEnum):
    """Answer to the needs of a vehicle; Processing: a schedule will follow later.

    OCPP 2.0.1, NotifyEVChargingNeedsStatusEnumType.
    """

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    PROCESSING = "Processing"


class ACChargingParameters(Message):
    """Needs of a vehicle for alternating current: Wh, amperes of each phase, volts.

    OCPP 2.0.1, ACChargingParametersType.
    """

    energy_amount: int
    ev_min_current: int
    ev_max_current: int
    ev_max_voltage: int


class DCChargingParameters(Message):
    """Needs of a vehicle for direct current: amperes, volts, Wh, watts, percent.

    OCPP 2.0.1, DCChargingParametersType.
    """

    ev_max_current: int
    ev_max_voltage: int
    energy_amount: int | None = None
    ev_max_power: int | None = None
    state_of_charge: Percent | None = None
    ev_energy_capacity: int | None = None
    full_soc: Annotated[Percent, WireName("fullSoC")] | None = None
    bulk_soc: Annotated[Percent, WireName("bulkSoC")] | None = None


class EnergyTransferMode(StrEnum):
    """Kind of current that a vehicle asks for. OCPP 2.0.1, EnergyTransferModeEnumType."""

    DC = "DC"
    AC_SINGLE_PHASE = "AC_single_phase"
    AC_TWO_PHASE = "AC_two_phase"
    AC_THREE_PHASE = "AC_three_phase"


class ChargingNeeds(Message):
    """Needs of a vehicle, and when it leaves. OCPP 2.0.1, ChargingNeedsType."""

    ac_charging_parameters: ACChargingParameters | None = None
    dc_charging_parameters: DCChargingParameters | None = None
    requested_energy_transfer: EnergyTransferMode
    departure_time: datetime | None = None


class NotifyEVChargingNeedsResponse(Message):
    """Tell whether a charging profile follows. OCPP 2.0.1, 1.36.2."""

    status: NotifyEVChargingNeedsStatus
    status_info: Details | None = None


@request(
    "NotifyEVChargingNeeds",
    Block.SMART_CHARGING,
    Sender.CHARGE_POINT,
    fallback=lambda _: b'{"status":"Rejected"}',
)
class NotifyEVChargingNeeds(Request[NotifyEVChargingNeedsResponse]):
    """Report the needs of a vehicle. OCPP 2.0.1, 1.36.1."""

    max_schedule_tuples: int | None = None
    charging_needs: ChargingNeeds
    evse_id: Id


# -- NotifyEVChargingSchedule ------------------------------------------------------------


class NotifyEVChargingScheduleResponse(Message):
    """Tell whether the schedule is within the limits. OCPP 2.0.1, 1.37.2."""

    status: GenericStatus
    status_info: Details | None = None


@request(
    "NotifyEVChargingSchedule",
    Block.SMART_CHARGING,
    Sender.CHARGE_POINT,
    fallback=lambda _: b'{"status":"Accepted"}',
)
class NotifyEVChargingSchedule(Request[NotifyEVChargingScheduleResponse]):
    """Report the schedule that a vehicle has chosen. OCPP 2.0.1, 1.37.1."""

    time_base: datetime
    charging_schedule: ChargingSchedule
    evse_id: Id
