"""Block B of OCPP 2.0.1, provisioning: boots, variables and their reports, network profiles, resets.

The one rule: a response is declared before its request, for the request names it.
"""

from collections.abc import Hashable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from ..actions import BootFacts, CommandCredential, Needs, Sender, empty_fallback, request
from ..message import EXPENDABLE, LEFT_OUT, RECEIVED, AtLeast, AtMost, StandIn
from . import effects
from .base import Message, Request
from .configuration import variable_key
from .types import (
    Block,
    Component,
    ComponentVariable,
    Details,
    GenericDeviceModelStatus,
    Id,
    String6,
    String16,
    String20,
    String25,
    String50,
    String255,
    String512,
    String1000,
    String2500,
    Variable,
)

# -- BootNotification --------------------------------------------------------------------


class RegistrationStatus(StrEnum):
    """Registration of a station. OCPP 2.0.1, RegistrationStatusEnumType."""

    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


class Modem(Message):
    """Numbers of the SIM card of a modem. OCPP 2.0.1, ModemType."""

    iccid: String20 | None = None
    imsi: String20 | None = None


class ChargingStation(Message):
    """Hardware and firmware of a station. OCPP 2.0.1, ChargingStationType."""

    serial_number: String25 | None = None
    model: Annotated[String20, StandIn("")]
    modem: Annotated[Modem, LEFT_OUT] | None = None
    vendor_name: Annotated[String50, StandIn("")]
    firmware_version: String50 | None = None


class BootReason(StrEnum):
    """Reason of a start of the station. OCPP 2.0.1, BootReasonEnumType."""

    APPLICATION_RESET = "ApplicationReset"
    FIRMWARE_UPDATE = "FirmwareUpdate"
    LOCAL_RESET = "LocalReset"
    POWER_UP = "PowerUp"
    REMOTE_RESET = "RemoteReset"
    SCHEDULED_RESET = "ScheduledReset"
    TRIGGERED = "Triggered"
    UNKNOWN = "Unknown"
    WATCHDOG = "Watchdog"


class BootNotificationResponse(Message):
    """Accept a station or not, and set its clock; `interval` is in seconds. OCPP 2.0.1, 1.2.2."""

    current_time: datetime
    interval: int
    status: RegistrationStatus
    status_info: Details | None = None


class _Hardware(msgspec.Struct, gc=False, rename="camel"):
    vendor_name: Any = ""
    model: Any = ""
    serial_number: Any = ""
    firmware_version: Any = ""


class _Boot(msgspec.Struct, gc=False, rename="camel"):
    charging_station: _Hardware


_boot = msgspec.json.Decoder(_Boot)


def boot_facts(payload: bytes) -> BootFacts:
    """Read what a BootNotification says of the hardware from its payload as sent; what is no text is left out."""
    try:
        told = _boot.decode(payload).charging_station
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
        return BootFacts()
    return BootFacts(
        told.vendor_name if isinstance(told.vendor_name, str) else "",
        told.model if isinstance(told.model, str) else "",
        (told.serial_number,) if isinstance(told.serial_number, str) and told.serial_number else (),
        told.firmware_version if isinstance(told.firmware_version, str) else "",
    )


@request("BootNotification", Block.PROVISIONING, Sender.CHARGE_POINT, registers=True, needs=Needs.NONE)
class BootNotification(Request[BootNotificationResponse]):
    """Report the start of a station. OCPP 2.0.1, 1.2.1."""

    charging_station: Annotated[ChargingStation, StandIn(ChargingStation(model="", vendor_name=""))]
    reason: Annotated[BootReason, StandIn(BootReason.UNKNOWN)]


# -- GetVariables ------------------------------------------------------------------------


class GetVariableStatus(StrEnum):
    """Result of reading a variable. OCPP 2.0.1, GetVariableStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_COMPONENT = "UnknownComponent"
    UNKNOWN_VARIABLE = "UnknownVariable"
    NOT_SUPPORTED_ATTRIBUTE_TYPE = "NotSupportedAttributeType"


class AttributeType(StrEnum):
    """Attribute of a variable; Actual is the default. OCPP 2.0.1, AttributeEnumType."""

    ACTUAL = "Actual"
    TARGET = "Target"
    MIN_SET = "MinSet"
    MAX_SET = "MaxSet"


class GetVariableResult(Message):
    """Result of reading one variable; the value is there if its status is Accepted.

    OCPP 2.0.1, GetVariableResultType.
    """

    attribute_status_info: Details | None = None
    attribute_status: GetVariableStatus
    attribute_type: AttributeType | None = None
    attribute_value: String2500 | None = None
    component: Component
    variable: Variable


class GetVariableData(Message):
    """Variable that is read. OCPP 2.0.1, GetVariableDataType."""

    attribute_type: AttributeType | None = None
    component: Component
    variable: Variable


class GetVariablesResponse(Message):
    """Give the values of variables, in any order. OCPP 2.0.1, 1.28.2."""

    get_variable_result: Annotated[tuple[GetVariableResult, ...], AtLeast(1), EXPENDABLE]


def _told(_: Any, response: Any) -> Mapping[str, str]:
    if response is None:
        return {}
    return {
        variable_key(one.component, one.variable): one.attribute_value
        for one in response.get_variable_result
        if one.attribute_value is not None
        and one.attribute_status == GetVariableStatus.ACCEPTED
        and one.attribute_type in (None, AttributeType.ACTUAL)
    }


@request("GetVariables", Block.PROVISIONING, Sender.CENTRAL_SYSTEM, configuration=_told)
class GetVariables(Request[GetVariablesResponse]):
    """Read variables of the device model. OCPP 2.0.1, 1.28.1."""

    get_variable_data: Annotated[tuple[GetVariableData, ...], AtLeast(1)]


# -- SetVariables ------------------------------------------------------------------------


class SetVariableStatus(StrEnum):
    """Result of setting a variable. OCPP 2.0.1, SetVariableStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_COMPONENT = "UnknownComponent"
    UNKNOWN_VARIABLE = "UnknownVariable"
    NOT_SUPPORTED_ATTRIBUTE_TYPE = "NotSupportedAttributeType"
    REBOOT_REQUIRED = "RebootRequired"


class SetVariableResult(Message):
    """Result of setting one variable. OCPP 2.0.1, SetVariableResultType."""

    attribute_type: AttributeType | None = None
    attribute_status: SetVariableStatus
    attribute_status_info: Details | None = None
    component: Component
    variable: Variable


class SetVariableData(Message):
    """Variable that is set, and its new value. OCPP 2.0.1, SetVariableDataType."""

    attribute_type: AttributeType | None = None
    attribute_value: String1000
    component: Component
    variable: Variable


class SetVariablesResponse(Message):
    """Give the result for each variable, in any order. OCPP 2.0.1, 1.57.2."""

    set_variable_result: Annotated[tuple[SetVariableResult, ...], AtLeast(1), EXPENDABLE]


REDACTED = "***"
TAKEN = frozenset({SetVariableStatus.ACCEPTED, SetVariableStatus.REBOOT_REQUIRED})
"""Results after which a variable has its new value."""


def _named(one: Any) -> tuple[str, str]:
    """Key of a variable and its attribute. Names are compared without case."""
    return variable_key(one.component, one.variable).lower(), str(one.attribute_type or AttributeType.ACTUAL)


def _variables_key(request: Any) -> Hashable:
    return frozenset(map(_named, request.set_variable_data))


def _is_password(one: Any) -> bool:
    return _named(one)[0] == "securityctrlr.basicauthpassword"


def _password(request: Any) -> CommandCredential | None:
    found = [one.attribute_value for one in request.set_variable_data if _is_password(one)]
    return CommandCredential(found[-1], is_text=True) if found else None


def _without_password(request: Any) -> Any:
    data = tuple(
        msgspec.structs.replace(one, attribute_value=REDACTED) if _is_password(one) else one
        for one in request.set_variable_data
    )
    return msgspec.structs.replace(request, set_variable_data=data)


def _changed(request: Any, response: Any) -> Mapping[str, str]:
    if response is None:
        return {}
    taken = {_named(one) for one in response.set_variable_result if one.attribute_status in TAKEN}
    return {
        variable_key(one.component, one.variable): one.attribute_value
        for one in request.set_variable_data
        if one.attribute_type in (None, AttributeType.ACTUAL)
        and _named(one) in taken
        and not _is_password(one)
    }


@request(
    "SetVariables",
    Block.PROVISIONING,
    Sender.CENTRAL_SYSTEM,
    supersede_key=_variables_key,
    credential=_password,
    redacted=_without_password,
    configuration=_changed,
)
class SetVariables(Request[SetVariablesResponse]):
    """Set variables of the device model; values are text whatever their type. OCPP 2.0.1, 1.57.1."""

    set_variable_data: Annotated[tuple[SetVariableData, ...], AtLeast(1)]


# -- GetBaseReport -----------------------------------------------------------------------


class ReportBase(StrEnum):
    """Extent of a report of the device model. OCPP 2.0.1, ReportBaseEnumType."""

    CONFIGURATION_INVENTORY = "ConfigurationInventory"
    FULL_INVENTORY = "FullInventory"
    SUMMARY_INVENTORY = "SummaryInventory"


class GetBaseReportResponse(Message):
    """Tell whether reports follow. OCPP 2.0.1, 1.17.2."""

    status: GenericDeviceModelStatus
    status_info: Details | None = None


@request(
    "GetBaseReport",
    Block.PROVISIONING,
    Sender.CENTRAL_SYSTEM,
    effect=lambda _: effects.REPORT,
    triggers=lambda _: ("NotifyReport",),
    numbered="request_id",
)
class GetBaseReport(Request[GetBaseReportResponse]):
    """Have a report of the device model sent. OCPP 2.0.1, 1.17.1."""

    request_id: Id
    report_base: ReportBase


# -- GetReport ---------------------------------------------------------------------------


class ComponentCriterion(StrEnum):
    """State of the components that a report is about. OCPP 2.0.1, ComponentCriterionEnumType."""

    ACTIVE = "Active"
    AVAILABLE = "Available"
    ENABLED = "Enabled"
    PROBLEM = "Problem"


class GetReportResponse(Message):
    """Tell whether reports follow. OCPP 2.0.1, 1.26.2."""

    status: GenericDeviceModelStatus
    status_info: Details | None = None


@request(
    "GetReport",
    Block.PROVISIONING,
    Sender.CENTRAL_SYSTEM,
    effect=lambda _: effects.REPORT,
    triggers=lambda _: ("NotifyReport",),
    numbered="request_id",
)
class GetReport(Request[GetReportResponse]):
    """Have a report of parts of the device model sent. OCPP 2.0.1, 1.26.1."""

    component_variable: Annotated[tuple[ComponentVariable, ...], AtLeast(1)] | None = None
    request_id: Id
    component_criteria: Annotated[tuple[ComponentCriterion, ...], AtLeast(1), AtMost(4)] | None = None


# -- NotifyReport ------------------------------------------------------------------------


class Mutability(StrEnum):
    """Directions in which a variable can be used. OCPP 2.0.1, MutabilityEnumType."""

    READ_ONLY = "ReadOnly"
    WRITE_ONLY = "WriteOnly"
    READ_WRITE = "ReadWrite"


class VariableAttribute(Message):
    """Attribute of a variable, with its value. OCPP 2.0.1, VariableAttributeType."""

    type: AttributeType | None = None
    value: String2500 | None = None
    mutability: Mutability | None = None
    persistent: bool | None = None
    constant: bool | None = None


class DataType(StrEnum):
    """Type of a variable's value. OCPP 2.0.1, DataEnumType."""

    STRING = "string"
    DECIMAL = "decimal"
    INTEGER = "integer"
    DATE_TIME = "dateTime"
    BOOLEAN = "boolean"
    OPTION_LIST = "OptionList"
    SEQUENCE_LIST = "SequenceList"
    MEMBER_LIST = "MemberList"


class VariableCharacteristics(Message):
    """Unit, type and limits of a variable. OCPP 2.0.1, VariableCharacteristicsType."""

    unit: String16 | None = None
    data_type: Annotated[DataType, StandIn("")]
    min_limit: Decimal | None = None
    max_limit: Decimal | None = None
    values_list: String1000 | None = None
    supports_monitoring: Annotated[bool, StandIn(value=False)]


class ReportData(Message):
    """Variable of a report: its attributes and what it can take. OCPP 2.0.1, ReportDataType."""

    component: Component
    variable: Variable
    variable_attribute: Annotated[tuple[VariableAttribute, ...], AtLeast(1), AtMost(4), EXPENDABLE]
    variable_characteristics: VariableCharacteristics | None = None


class NotifyReportResponse(Message):
    """Confirm a part of a report. OCPP 2.0.1, 1.40.2."""


@request("NotifyReport", Block.PROVISIONING, Sender.CHARGE_POINT, fallback=empty_fallback)
class NotifyReport(Request[NotifyReportResponse]):
    """Report variables of the device model. OCPP 2.0.1, 1.40.1."""

    request_id: Id
    generated_at: Annotated[datetime, RECEIVED]
    report_data: Annotated[tuple[ReportData, ...], AtLeast(1), EXPENDABLE] | None = None
    tbc: bool | None = None
    seq_no: Annotated[int, StandIn(0)]


# -- SetNetworkProfile -------------------------------------------------------------------


class SetNetworkProfileStatus(StrEnum):
    """Result of storing a network profile. OCPP 2.0.1, SetNetworkProfileStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    FAILED = "Failed"


class APNAuthentication(StrEnum):
    """Authentication at a mobile network. OCPP 2.0.1, APNAuthenticationEnumType."""

    CHAP = "CHAP"
    NONE = "NONE"
    PAP = "PAP"
    AUTO = "AUTO"


class APN(Message):
    """Access to a mobile network. OCPP 2.0.1, APNType."""

    apn: String512
    apn_user_name: String20 | None = None
    apn_password: String20 | None = None
    sim_pin: int | None = None
    preferred_network: String6 | None = None
    use_only_preferred_network: bool | None = None
    apn_authentication: APNAuthentication


class OCPPVersion(StrEnum):
    """Version of OCPP; OCPP20 stands for 2.0.1 too. OCPP 2.0.1, OCPPVersionEnumType."""

    OCPP12 = "OCPP12"
    OCPP15 = "OCPP15"
    OCPP16 = "OCPP16"
    OCPP20 = "OCPP20"


class OCPPTransport(StrEnum):
    """Encoding of messages. OCPP 2.0.1, OCPPTransportEnumType."""

    JSON = "JSON"
    SOAP = "SOAP"


class OCPPInterface(StrEnum):
    """Network interface of the station. OCPP 2.0.1, OCPPInterfaceEnumType."""

    WIRED0 = "Wired0"
    WIRED1 = "Wired1"
    WIRED2 = "Wired2"
    WIRED3 = "Wired3"
    WIRELESS0 = "Wireless0"
    WIRELESS1 = "Wireless1"
    WIRELESS2 = "Wireless2"
    WIRELESS3 = "Wireless3"


class VPNType(StrEnum):
    """Kind of a virtual private network. OCPP 2.0.1, VPNEnumType."""

    IKEV2 = "IKEv2"
    IPSEC = "IPSec"
    L2TP = "L2TP"
    PPTP = "PPTP"


class VPN(Message):
    """Access to a virtual private network. OCPP 2.0.1, VPNType."""

    server: String512
    user: String20
    group: String20 | None = None
    password: String20
    key: String255
    type: VPNType


class NetworkConnectionProfile(Message):
    """Way of a station to a central system; `message_timeout` is in seconds.

    OCPP 2.0.1, NetworkConnectionProfileType.
    """

    apn: APN | None = None
    ocpp_version: OCPPVersion
    ocpp_transport: OCPPTransport
    ocpp_csms_url: String512
    message_timeout: int
    security_profile: int
    ocpp_interface: OCPPInterface
    vpn: VPN | None = None


class SetNetworkProfileResponse(Message):
    """Tell whether the profile is stored. OCPP 2.0.1, 1.55.2."""

    status: SetNetworkProfileStatus
    status_info: Details | None = None


def _without_secrets(request: Any) -> Any:
    """Leave out what gives access to networks: passwords, keys, the PIN of a SIM."""
    data, replaced = request.connection_data, msgspec.structs.replace
    changes: dict[str, Any] = {}
    if data.apn is not None and (data.apn.apn_password is not None or data.apn.sim_pin is not None):
        password = None if data.apn.apn_password is None else REDACTED
        changes["apn"] = replaced(data.apn, apn_password=password, sim_pin=None)
    if data.vpn is not None:
        changes["vpn"] = replaced(data.vpn, password=REDACTED, key=REDACTED)
    return replaced(request, connection_data=replaced(data, **changes)) if changes else request


@request(
    "SetNetworkProfile",
    Block.PROVISIONING,
    Sender.CENTRAL_SYSTEM,
    supersede_key=lambda request: request.configuration_slot,
    redacted=_without_secrets,
)
class SetNetworkProfile(Request[SetNetworkProfileResponse]):
    """Store a network profile in a slot; NetworkConfigurationPriority and a reset put it to use.

    OCPP 2.0.1, 1.55.1.
    """

    configuration_slot: int
    connection_data: NetworkConnectionProfile


# -- Reset -------------------------------------------------------------------------------


class ResetStatus(StrEnum):
    """Answer to a reset; Scheduled: after the running transactions. OCPP 2.0.1, ResetStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    SCHEDULED = "Scheduled"


class ResetType(StrEnum):
    """Time of a reset: at once, or when no transaction runs. OCPP 2.0.1, ResetEnumType."""

    IMMEDIATE = "Immediate"
    ON_IDLE = "OnIdle"


class ResetResponse(Message):
    """Tell whether the reset happens now, later, or not. OCPP 2.0.1, 1.48.2."""

    status: ResetStatus
    status_info: Details | None = None


@request(
    "Reset",
    Block.PROVISIONING,
    Sender.CENTRAL_SYSTEM,
    urgent=True,
    effect=lambda request: effects.RESET if request.evse_id is None else None,
)
class Reset(Request[ResetResponse]):
    """Restart the station, or one EVSE. OCPP 2.0.1, 1.48.1."""

    type: ResetType
    evse_id: Id | None = None
