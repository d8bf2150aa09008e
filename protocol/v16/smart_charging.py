"""The SmartCharging profile of OCPP 1.6: charging profiles set, cleared, and added up.

The one rule: the profiles themselves are in `types`, for RemoteStartTransaction may carry one, too.
"""

from collections.abc import Hashable
from datetime import datetime
from enum import StrEnum
from typing import Any

from ..actions import Request, Sender, request
from ..message import Message
from .types import ChargingProfile, ChargingProfilePurpose, ChargingRateUnit, ChargingSchedule, Profile

# -- ClearChargingProfile ----------------------------------------------------------------


class ClearChargingProfileStatus(StrEnum):
    """Result of clearing charging profiles. OCPP 1.6, 7.21."""

    ACCEPTED = "Accepted"
    UNKNOWN = "Unknown"


class ClearChargingProfileResponse(Message):
    """Tell whether any profile was found and cleared. OCPP 1.6, 6.14."""

    status: ClearChargingProfileStatus


@request("ClearChargingProfile", Profile.SMART_CHARGING, Sender.CENTRAL_SYSTEM)
class ClearChargingProfile(Request[ClearChargingProfileResponse]):
    """Clear the charging profile with this id, or all that match. OCPP 1.6, 5.5 and 6.13."""

    id: int | None = None
    connector_id: int | None = None
    charging_profile_purpose: ChargingProfilePurpose | None = None
    stack_level: int | None = None


# -- GetCompositeSchedule ----------------------------------------------------------------


class GetCompositeScheduleStatus(StrEnum):
    """Result of the request for a composite schedule. OCPP 1.6, 7.26."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class GetCompositeScheduleResponse(Message):
    """Give the schedule that all charging profiles of a connector result in. OCPP 1.6, 6.22."""

    status: GetCompositeScheduleStatus
    connector_id: int | None = None
    schedule_start: datetime | None = None
    charging_schedule: ChargingSchedule | None = None


@request("GetCompositeSchedule", Profile.SMART_CHARGING, Sender.CENTRAL_SYSTEM)
class GetCompositeSchedule(Request[GetCompositeScheduleResponse]):
    """Ask for the schedule that all charging profiles of a connector result in. OCPP 1.6, 5.7 and 6.21."""

    connector_id: int
    duration: int
    charging_rate_unit: ChargingRateUnit | None = None


# -- SetChargingProfile ------------------------------------------------------------------


class ChargingProfileStatus(StrEnum):
    """Result of setting a charging profile. OCPP 1.6, 7.11."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_SUPPORTED = "NotSupported"


class SetChargingProfileResponse(Message):
    """Tell whether a charging profile has been taken. OCPP 1.6, 6.44."""

    status: ChargingProfileStatus


def _profile_key(request: Any) -> Hashable:
    # OCPP 1.6, 3.13.2: a profile replaces the one of its purpose and stack level.
    profile = request.cs_charging_profiles
    purpose, level = str(profile.charging_profile_purpose), profile.stack_level
    return request.connector_id, purpose, level, profile.transaction_id


@request(
    "SetChargingProfile",
    Profile.SMART_CHARGING,
    Sender.CENTRAL_SYSTEM,
    supersede_key=_profile_key,
)
class SetChargingProfile(Request[SetChargingProfileResponse]):
    """Set a charging profile for a connector, or for all as connector 0. OCPP 1.6, 5.16 and 6.43."""

    connector_id: int
    cs_charging_profiles: ChargingProfile
