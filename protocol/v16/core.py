"""The Core profile of OCPP 1.6, but for metering and transactions, which have modules of their own.

The one rule: a response is declared before its request, for the request names it.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from ..actions import (
    BootFacts,
    CommandCredential,
    Needs,
    Request,
    Sender,
    empty_fallback,
    request,
    time_fallback,
)
from ..message import EXPENDABLE, Message, StandIn
from ..rules import FreeText
from . import effects
from .types import (
    CiString20,
    CiString25,
    CiString50,
    CiString255,
    CiString500,
    ConnectorId,
    ConnectorIdOrZero,
    IdTagInfo,
    Profile,
)

# -- Authorize ---------------------------------------------------------------------------


class AuthorizeResponse(Message):
    """Tell whether an id tag may charge. OCPP 1.6, 6.2."""

    id_tag_info: IdTagInfo


@request("Authorize", Profile.CORE, Sender.CHARGE_POINT)
class Authorize(Request[AuthorizeResponse]):
    """Ask whether an id tag may charge. OCPP 1.6, 4.1 and 6.1."""

    id_tag: CiString20


# -- BootNotification --------------------------------------------------------------------


class RegistrationStatus(StrEnum):
    """Registration of a charge point. OCPP 1.6, 7.38."""

    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


class BootNotificationResponse(Message):
    """Accept a charge point or not, and set its clock; `interval` is in seconds. OCPP 1.6, 6.4.

    Accepted, it is the interval of heartbeats; otherwise the least time until the next BootNotification.
    """

    status: RegistrationStatus
    current_time: datetime
    interval: int


@request(
    "BootNotification",
    Profile.CORE,
    Sender.CHARGE_POINT,
    registers=True,
    needs=Needs.NONE,
)
class BootNotification(Request[BootNotificationResponse]):
    """Report the start of a charge point. OCPP 1.6, 4.2 and 6.3."""

    charge_point_vendor: Annotated[CiString20, StandIn("")]
    charge_point_model: Annotated[CiString20, StandIn("")]
    charge_point_serial_number: CiString25 | None = None
    charge_box_serial_number: CiString25 | None = None
    firmware_version: CiString50 | None = None
    iccid: CiString20 | None = None
    imsi: CiString20 | None = None
    meter_type: CiString25 | None = None
    meter_serial_number: CiString25 | None = None


class _Hardware(msgspec.Struct, gc=False, rename="camel"):
    charge_point_vendor: Any = ""
    charge_point_model: Any = ""
    charge_point_serial_number: Any = ""
    charge_box_serial_number: Any = ""
    firmware_version: Any = ""


_hardware = msgspec.json.Decoder(_Hardware)


def boot_facts(payload: bytes) -> BootFacts:
    """Read what a BootNotification says of the hardware from its payload as sent; what is no text is left out."""
    try:
        told = _hardware.decode(payload)
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
        return BootFacts()
    vendor, model = told.charge_point_vendor, told.charge_point_model
    serials = (told.charge_point_serial_number, told.charge_box_serial_number)
    return BootFacts(
        vendor if isinstance(vendor, str) else "",
        model if isinstance(model, str) else "",
        tuple(one for one in serials if isinstance(one, str) and one),
        told.firmware_version if isinstance(told.firmware_version, str) else "",
    )


# -- ChangeAvailability ------------------------------------------------------------------


class AvailabilityType(StrEnum):
    """The availability asked for. OCPP 1.6, 7.4."""

    INOPERATIVE = "Inoperative"
    OPERATIVE = "Operative"


class AvailabilityStatus(StrEnum):
    """Result of a change of availability; Scheduled: after the running transaction. OCPP 1.6, 7.3."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    SCHEDULED = "Scheduled"


class ChangeAvailabilityResponse(Message):
    """Tell whether the availability changes now, later, or not. OCPP 1.6, 6.8."""

    status: AvailabilityStatus


@request(
    "ChangeAvailability",
    Profile.CORE,
    Sender.CENTRAL_SYSTEM,
    supersede_key=lambda request: request.connector_id,
    effect=lambda _: effects.AVAILABILITY,
)
class ChangeAvailability(Request[ChangeAvailabilityResponse]):
    """Take a connector, or all of them as connector 0, in or out of operation. OCPP 1.6, 5.2 and 6.7."""

    connector_id: ConnectorIdOrZero
    type: AvailabilityType


# -- ChangeConfiguration -----------------------------------------------------------------


class ConfigurationStatus(StrEnum):
    """Result of a change of a configuration key. OCPP 1.6, 7.22."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    REBOOT_REQUIRED = "RebootRequired"
    NOT_SUPPORTED = "NotSupported"


class ChangeConfigurationResponse(Message):
    """Tell whether the key has its new value. OCPP 1.6, 6.10."""

    status: ConfigurationStatus


REDACTED = "***"


def _changed(request: Any, response: Any) -> Mapping[str, str]:
    accepted = ConfigurationStatus.ACCEPTED, ConfigurationStatus.REBOOT_REQUIRED
    told = response is not None and response.status in accepted and _authorization_key(request) is None
    return {request.key: request.value} if told else {}


def _authorization_key(request: Any) -> CommandCredential | None:
    return CommandCredential(request.value) if request.key.lower() == "authorizationkey" else None


@request(
    "ChangeConfiguration",
    Profile.CORE,
    Sender.CENTRAL_SYSTEM,
    # OCPP 1.6, 7.29: keys are compared without case.
    supersede_key=lambda request: request.key.lower(),
    credential=_authorization_key,
    redacted=lambda request: msgspec.structs.replace(request, value=REDACTED),
    configuration=_changed,
)
class ChangeConfiguration(Request[ChangeConfigurationResponse]):
    """Set a configuration key; its value is text whatever its type. OCPP 1.6, 5.3 and 6.9."""

    key: CiString50
    value: CiString500


# -- ClearCache --------------------------------------------------------------------------


class ClearCacheStatus(StrEnum):
    """Result of clearing the authorization cache. OCPP 1.6, 7.20."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class ClearCacheResponse(Message):
    """Tell whether the authorization cache was cleared. OCPP 1.6, 6.12."""

    status: ClearCacheStatus


@request(
    "ClearCache",
    Profile.CORE,
    Sender.CENTRAL_SYSTEM,
    supersede_key=lambda _: None,
)
class ClearCache(Request[ClearCacheResponse]):
    """Clear the charge point's authorization cache. OCPP 1.6, 5.4 and 6.11."""


# -- DataTransfer ------------------------------------------------------------------------


class DataTransferStatus(StrEnum):
    """Result of a vendor's own message. OCPP 1.6, 7.23."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_MESSAGE_ID = "UnknownMessageId"
    UNKNOWN_VENDOR_ID = "UnknownVendorId"


class DataTransferResponse(Message):
    """Answer a vendor's own message. OCPP 1.6, 6.16."""

    status: DataTransferStatus
    data: Annotated[str, FreeText()] | None = None


@request("DataTransfer", Profile.CORE, Sender.EITHER)
class DataTransfer(Request[DataTransferResponse]):
    """Carry a vendor's own message, in either direction. OCPP 1.6, 4.3, 5.6 and 6.15."""

    vendor_id: Annotated[CiString255, StandIn("")]
    message_id: CiString50 | None = None
    data: Annotated[str, FreeText()] | None = None


# -- GetConfiguration --------------------------------------------------------------------


class KeyValue(Message):
    """Configuration key and its value. OCPP 1.6, 7.29."""

    key: CiString50
    readonly: Annotated[bool, StandIn(None)]
    value: CiString500 | None = None


class GetConfigurationResponse(Message):
    """The configuration asked for, and the keys that are not known. OCPP 1.6, 6.24."""

    configuration_key: Annotated[tuple[KeyValue, ...], EXPENDABLE] | None = None
    unknown_key: Annotated[tuple[CiString50, ...], EXPENDABLE] | None = None


def _told(_: Any, response: Any) -> Mapping[str, str]:
    told = response.configuration_key if response is not None else None
    return {one.key: one.value for one in told or () if isinstance(one, KeyValue) and one.value is not None}


@request("GetConfiguration", Profile.CORE, Sender.CENTRAL_SYSTEM, configuration=_told)
class GetConfiguration(Request[GetConfigurationResponse]):
    """Ask for some configuration keys, or for all of them. OCPP 1.6, 5.8 and 6.23."""

    key: tuple[CiString50, ...] | None = None


# -- Heartbeat ---------------------------------------------------------------------------


class HeartbeatResponse(Message):
    """Give the time. OCPP 1.6, 6.30."""

    current_time: datetime


@request("Heartbeat", Profile.CORE, Sender.CHARGE_POINT, fallback=time_fallback)
class Heartbeat(Request[HeartbeatResponse]):
    """Show that the charge point is still there, and ask for the time. OCPP 1.6, 4.6 and 6.29."""


# -- Reset -------------------------------------------------------------------------------


class ResetType(StrEnum):
    """Kind of a restart. OCPP 1.6, 7.42."""

    HARD = "Hard"
    SOFT = "Soft"


class ResetStatus(StrEnum):
    """Answer to a reset: the charge point will restart or not. OCPP 1.6, 7.41."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class ResetResponse(Message):
    """Tell whether the charge point will reset itself. OCPP 1.6, 6.40."""

    status: ResetStatus


@request(
    "Reset",
    Profile.CORE,
    Sender.CENTRAL_SYSTEM,
    urgent=True,
    effect=lambda _: effects.RESET,
)
class Reset(Request[ResetResponse]):
    """Restart the charge point; a soft reset stops transactions gracefully. OCPP 1.6, 5.14 and 6.39."""

    type: ResetType


# -- StatusNotification ------------------------------------------------------------------


class ChargePointErrorCode(StrEnum):
    """Error of a connector or a charge point. OCPP 1.6, 7.6."""

    CONNECTOR_LOCK_FAILURE = "ConnectorLockFailure"
    EV_COMMUNICATION_ERROR = "EVCommunicationError"
    GROUND_FAILURE = "GroundFailure"
    HIGH_TEMPERATURE = "HighTemperature"
    INTERNAL_ERROR = "InternalError"
    LOCAL_LIST_CONFLICT = "LocalListConflict"
    NO_ERROR = "NoError"
    OTHER_ERROR = "OtherError"
    OVER_CURRENT_FAILURE = "OverCurrentFailure"
    POWER_METER_FAILURE = "PowerMeterFailure"
    POWER_SWITCH_FAILURE = "PowerSwitchFailure"
    READER_FAILURE = "ReaderFailure"
    RESET_FAILURE = "ResetFailure"
    UNDER_VOLTAGE = "UnderVoltage"
    OVER_VOLTAGE = "OverVoltage"
    WEAK_SIGNAL = "WeakSignal"


class ChargePointStatus(StrEnum):
    """The status of a connector. OCPP 1.6, 7.7.

    The charge point itself, connector 0, is only ever Available, Unavailable or Faulted.
    """

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EVSE = "SuspendedEVSE"
    SUSPENDED_EV = "SuspendedEV"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


class StatusNotificationResponse(Message):
    """Confirm a status notification. OCPP 1.6, 6.48."""


@request(
    "StatusNotification",
    Profile.CORE,
    Sender.CHARGE_POINT,
    fallback=empty_fallback,
    connector_status=attrgetter("connector_id"),
)
class StatusNotification(Request[StatusNotificationResponse]):
    """Tell the status of a connector, or of the charge point as connector 0. OCPP 1.6, 4.9 and 6.47."""

    connector_id: ConnectorIdOrZero
    error_code: Annotated[ChargePointErrorCode, StandIn("")]
    info: CiString50 | None = None
    status: ChargePointStatus
    timestamp: datetime | None = None
    vendor_id: CiString255 | None = None
    vendor_error_code: CiString50 | None = None


# -- UnlockConnector ---------------------------------------------------------------------


class UnlockStatus(StrEnum):
    """Result of unlocking a connector. OCPP 1.6, 7.46."""

    UNLOCKED = "Unlocked"
    UNLOCK_FAILED = "UnlockFailed"
    NOT_SUPPORTED = "NotSupported"


class UnlockConnectorResponse(Message):
    """Tell whether the connector is unlocked. OCPP 1.6, 6.54."""

    status: UnlockStatus


@request(
    "UnlockConnector",
    Profile.CORE,
    Sender.CENTRAL_SYSTEM,
    urgent=True,
)
class UnlockConnector(Request[UnlockConnectorResponse]):
    """Unlock a connector, for a driver whose cable is stuck. OCPP 1.6, 5.18 and 6.53."""

    connector_id: ConnectorId
