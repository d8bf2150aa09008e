"""Parts that several messages of OCPP 1.6 share: strings, enumerations and objects.

The one rule: it is here only if two modules of this version need it.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from ..message import EXPENDABLE, Message
from ..rules import Integer, Tenths, Text


class Profile(StrEnum):
    """Feature profiles of OCPP 1.6, as its configuration keys name them, and its security extension."""

    CORE = "Core"
    FIRMWARE_MANAGEMENT = "FirmwareManagement"
    LOCAL_AUTH_LIST_MANAGEMENT = "LocalAuthListManagement"
    RESERVATION = "Reservation"
    SMART_CHARGING = "SmartCharging"
    REMOTE_TRIGGER = "RemoteTrigger"
    SECURITY = "Security"


CiString20 = Annotated[str, Text(20)]
CiString25 = Annotated[str, Text(25)]
CiString50 = Annotated[str, Text(50)]
CiString255 = Annotated[str, Text(255)]
CiString500 = Annotated[str, Text(500)]
OneDecimal = Annotated[Decimal, Tenths()]
ConnectorId = Annotated[int, Integer(at_least=1)]
ConnectorIdOrZero = Annotated[int, Integer(at_least=0)]  # 0 is the charge point as a whole
StackLevel = Annotated[int, Integer(at_least=0)]

# -- Id tags -----------------------------------------------------------------------------


class AuthorizationStatus(StrEnum):
    """Status of an id tag. OCPP 1.6, 7.2."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    CONCURRENT_TX = "ConcurrentTx"


class IdTagInfo(Message):
    """Status of an id tag, its expiry and its parent. OCPP 1.6, 7.27."""

    expiry_date: datetime | None = None
    parent_id_tag: CiString20 | None = None
    status: AuthorizationStatus


# -- Charging profiles -------------------------------------------------------------------


class ChargingProfilePurpose(StrEnum):
    """Scope of a charging profile: a charge point, any transaction, or one. OCPP 1.6, 7.10."""

    CHARGE_POINT_MAX_PROFILE = "ChargePointMaxProfile"
    TX_DEFAULT_PROFILE = "TxDefaultProfile"
    TX_PROFILE = "TxProfile"


class ChargingProfileKind(StrEnum):
    """Start from which the periods of a charging profile count. OCPP 1.6, 7.9."""

    ABSOLUTE = "Absolute"
    RECURRING = "Recurring"
    RELATIVE = "Relative"


class RecurrencyKind(StrEnum):
    """Interval after which a recurring charging profile starts again. OCPP 1.6, 7.37."""

    DAILY = "Daily"
    WEEKLY = "Weekly"


class ChargingRateUnit(StrEnum):
    """The unit of a limit: amperes a phase, or watts in all. OCPP 1.6, 7.12."""

    A = "A"
    W = "W"


class ChargingSchedulePeriod(Message):
    """A limit that holds from so many seconds into a schedule. OCPP 1.6, 7.14."""

    start_period: int
    limit: OneDecimal
    number_phases: int | None = None


class ChargingSchedule(Message):
    """A list of limits over time; `duration` is in seconds. OCPP 1.6, 7.13."""

    duration: int | None = None
    start_schedule: datetime | None = None
    charging_rate_unit: ChargingRateUnit
    charging_schedule_period: Annotated[tuple[ChargingSchedulePeriod, ...], EXPENDABLE]
    min_charging_rate: OneDecimal | None = None


class ChargingProfile(Message):
    """A schedule, and when it applies. OCPP 1.6, 7.8."""

    charging_profile_id: int
    transaction_id: int | None = None
    stack_level: StackLevel
    charging_profile_purpose: ChargingProfilePurpose
    charging_profile_kind: ChargingProfileKind
    recurrency_kind: RecurrencyKind | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    charging_schedule: ChargingSchedule
