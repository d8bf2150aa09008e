"""Block N of OCPP 2.0.1, diagnostics: logs, monitors, events, customer information.

The one rule: a response is declared before its request, for the request names it.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from ..actions import Sender, empty_fallback, request
from ..message import EXPENDABLE, RECEIVED, AtLeast, AtMost, StandIn
from . import effects
from .base import Message, Request
from .types import (
    Block,
    CertificateHashData,
    Component,
    ComponentVariable,
    Details,
    GenericDeviceModelStatus,
    GenericStatus,
    Id,
    IdToken,
    String36,
    String50,
    String64,
    String255,
    String500,
    String512,
    String2500,
    Variable,
)

# -- GetLog ------------------------------------------------------------------------------


class LogStatus(StrEnum):
    """Answer to a request for a log; AcceptedCanceled: in place of another. OCPP 2.0.1, LogStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    ACCEPTED_CANCELED = "AcceptedCanceled"


class LogParameters(Message):
    """Part of a log to upload, and where to. OCPP 2.0.1, LogParametersType."""

    remote_location: String512
    oldest_timestamp: datetime | None = None
    latest_timestamp: datetime | None = None


class LogType(StrEnum):
    """Kind of a log. OCPP 2.0.1, LogEnumType."""

    DIAGNOSTICS_LOG = "DiagnosticsLog"
    SECURITY_LOG = "SecurityLog"


class GetLogResponse(Message):
    """Tell whether a log will be uploaded, and name its file. OCPP 2.0.1, 1.24.2."""

    status: LogStatus
    status_info: Details | None = None
    filename: String255 | None = None


@request(
    "GetLog",
    Block.DIAGNOSTICS,
    Sender.CENTRAL_SYSTEM,
    effect=lambda _: effects.LOG,
    numbered="request_id",
    url=("log", "remote_location"),
)
class GetLog(Request[GetLogResponse]):
    """Have a log uploaded; `retry_interval` is in seconds. OCPP 2.0.1, 1.24.1."""

    log: LogParameters
    log_type: LogType
    request_id: Id
    retries: int | None = None
    retry_interval: int | None = None


# -- LogStatusNotification ---------------------------------------------------------------


class UploadLogStatus(StrEnum):
    """Progress of an upload of a log; AcceptedCanceled: another one took its place.

    OCPP 2.0.1, UploadLogStatusEnumType.
    """

    BAD_MESSAGE = "BadMessage"
    IDLE = "Idle"
    NOT_SUPPORTED_OPERATION = "NotSupportedOperation"
    PERMISSION_DENIED = "PermissionDenied"
    UPLOADED = "Uploaded"
    UPLOAD_FAILURE = "UploadFailure"
    UPLOADING = "Uploading"
    ACCEPTED_CANCELED = "AcceptedCanceled"


class LogStatusNotificationResponse(Message):
    """Confirm a log status. OCPP 2.0.1, 1.31.2."""


@request("LogStatusNotification", Block.DIAGNOSTICS, Sender.CHARGE_POINT, fallback=empty_fallback)
class LogStatusNotification(Request[LogStatusNotificationResponse]):
    """Report how far the upload of a log got. OCPP 2.0.1, 1.31.1."""

    status: UploadLogStatus
    request_id: Id | None = None


# -- SetMonitoringBase -------------------------------------------------------------------


class MonitoringBase(StrEnum):
    """Set of monitors that is in use. OCPP 2.0.1, MonitoringBaseEnumType."""

    ALL = "All"
    FACTORY_DEFAULT = "FactoryDefault"
    HARD_WIRED_ONLY = "HardWiredOnly"


class SetMonitoringBaseResponse(Message):
    """Tell whether the set is in use. OCPP 2.0.1, 1.53.2."""

    status: GenericDeviceModelStatus
    status_info: Details | None = None


@request("SetMonitoringBase", Block.DIAGNOSTICS, Sender.CENTRAL_SYSTEM, supersede_key=lambda _: None)
class SetMonitoringBase(Request[SetMonitoringBaseResponse]):
    """Choose the set of monitors that is in use. OCPP 2.0.1, 1.53.1."""

    monitoring_base: MonitoringBase


# -- SetMonitoringLevel ------------------------------------------------------------------


class SetMonitoringLevelResponse(Message):
    """Tell whether the level is set. OCPP 2.0.1, 1.54.2."""

    status: GenericStatus
    status_info: Details | None = None


@request("SetMonitoringLevel", Block.DIAGNOSTICS, Sender.CENTRAL_SYSTEM, supersede_key=lambda _: None)
class SetMonitoringLevel(Request[SetMonitoringLevelResponse]):
    """Choose the severity up to which events are reported: 0, danger, to 9, debugging. OCPP 2.0.1, 1.54.1."""

    severity: int


# -- SetVariableMonitoring ---------------------------------------------------------------


class SetMonitoringStatus(StrEnum):
    """Result of setting a monitor; Duplicate: there is one of this kind and severity.

    OCPP 2.0.1, SetMonitoringStatusEnumType.
    """

    ACCEPTED = "Accepted"
    UNKNOWN_COMPONENT = "UnknownComponent"
    UNKNOWN_VARIABLE = "UnknownVariable"
    UNSUPPORTED_MONITOR_TYPE = "UnsupportedMonitorType"
    REJECTED = "Rejected"
    DUPLICATE = "Duplicate"


class MonitorType(StrEnum):
    """Kind of a monitor of a variable. OCPP 2.0.1, MonitorEnumType."""

    UPPER_THRESHOLD = "UpperThreshold"
    LOWER_THRESHOLD = "LowerThreshold"
    DELTA = "Delta"
    PERIODIC = "Periodic"
    PERIODIC_CLOCK_ALIGNED = "PeriodicClockAligned"


class SetMonitoringResult(Message):
    """Result of setting one monitor. OCPP 2.0.1, SetMonitoringResultType."""

    id: int | None = None
    status_info: Details | None = None
    status: SetMonitoringStatus
    type: MonitorType
    component: Component
    variable: Variable
    severity: int


class SetMonitoringData(Message):
    """Monitor that is set. OCPP 2.0.1, SetMonitoringDataType."""

    id: int | None = None
    transaction: bool | None = None
    value: Decimal
    type: MonitorType
    severity: int
    component: Component
    variable: Variable


class SetVariableMonitoringResponse(Message):
    """Give the result for each monitor. OCPP 2.0.1, 1.56.2."""

    set_monitoring_result: Annotated[tuple[SetMonitoringResult, ...], AtLeast(1), EXPENDABLE]


@request("SetVariableMonitoring", Block.DIAGNOSTICS, Sender.CENTRAL_SYSTEM)
class SetVariableMonitoring(Request[SetVariableMonitoringResponse]):
    """Set monitors of variables. OCPP 2.0.1, 1.56.1."""

    set_monitoring_data: Annotated[tuple[SetMonitoringData, ...], AtLeast(1)]


# -- ClearVariableMonitoring -------------------------------------------------------------


class ClearMonitoringStatus(StrEnum):
    """Result of clearing a monitor. OCPP 2.0.1, ClearMonitoringStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_FOUND = "NotFound"


class ClearMonitoringResult(Message):
    """Result of clearing one monitor. OCPP 2.0.1, ClearMonitoringResultType."""

    status: ClearMonitoringStatus
    id: int
    status_info: Details | None = None


class ClearVariableMonitoringResponse(Message):
    """Tell of each monitor whether it is cleared. OCPP 2.0.1, 1.10.2."""

    clear_monitoring_result: Annotated[tuple[ClearMonitoringResult, ...], AtLeast(1), EXPENDABLE]


@request("ClearVariableMonitoring", Block.DIAGNOSTICS, Sender.CENTRAL_SYSTEM)
class ClearVariableMonitoring(Request[ClearVariableMonitoringResponse]):
    """Clear monitors by their numbers. OCPP 2.0.1, 1.10.1."""

    id: Annotated[tuple[int, ...], AtLeast(1)]


# -- GetMonitoringReport -----------------------------------------------------------------


class MonitoringCriterion(StrEnum):
    """Kind of monitors that a report is about. OCPP 2.0.1, MonitoringCriterionEnumType."""

    THRESHOLD_MONITORING = "ThresholdMonitoring"
    DELTA_MONITORING = "DeltaMonitoring"
    PERIODIC_MONITORING = "PeriodicMonitoring"


class GetMonitoringReportResponse(Message):
    """Tell whether reports follow. OCPP 2.0.1, 1.25.2."""

    status: GenericDeviceModelStatus
    status_info: Details | None = None


@request(
    "GetMonitoringReport",
    Block.DIAGNOSTICS,
    Sender.CENTRAL_SYSTEM,
    effect=lambda _: effects.MONITORING_REPORT,
    numbered="request_id",
)
class GetMonitoringReport(Request[GetMonitoringReportResponse]):
    """Have a report of the monitors sent. OCPP 2.0.1, 1.25.1."""

    component_variable: Annotated[tuple[ComponentVariable, ...], AtLeast(1)] | None = None
    request_id: Id
    monitoring_criteria: Annotated[tuple[MonitoringCriterion, ...], AtLeast(1), AtMost(3)] | None = None


# -- NotifyMonitoringReport --------------------------------------------------------------


class VariableMonitoring(Message):
    """Monitor of a variable. OCPP 2.0.1, VariableMonitoringType."""

    id: int
    transaction: bool
    value: Decimal
    type: MonitorType
    severity: int


class MonitoringData(Message):
    """Monitors of one variable. OCPP 2.0.1, MonitoringDataType."""

    component: Component
    variable: Variable
    variable_monitoring: Annotated[tuple[VariableMonitoring, ...], AtLeast(1), EXPENDABLE]


class NotifyMonitoringReportResponse(Message):
    """Confirm a part of a report. OCPP 2.0.1, 1.39.2."""


@request("NotifyMonitoringReport", Block.DIAGNOSTICS, Sender.CHARGE_POINT, fallback=empty_fallback)
class NotifyMonitoringReport(Request[NotifyMonitoringReportResponse]):
    """Report monitors. OCPP 2.0.1, 1.39.1."""

    monitor: Annotated[tuple[MonitoringData, ...], AtLeast(1), EXPENDABLE] | None = None
    request_id: Id
    tbc: bool | None = None
    seq_no: Annotated[int, StandIn(0)]
    generated_at: Annotated[datetime, RECEIVED]


# -- NotifyEvent -------------------------------------------------------------------------


class EventTrigger(StrEnum):
    """Occasion of an event: a threshold, a change, or time. OCPP 2.0.1, EventTriggerEnumType."""

    ALERTING = "Alerting"
    DELTA = "Delta"
    PERIODIC = "Periodic"


class EventNotificationType(StrEnum):
    """Kind of the monitor behind an event. OCPP 2.0.1, EventNotificationEnumType."""

    HARD_WIRED_NOTIFICATION = "HardWiredNotification"
    HARD_WIRED_MONITOR = "HardWiredMonitor"
    PRECONFIGURED_MONITOR = "PreconfiguredMonitor"
    CUSTOM_MONITOR = "CustomMonitor"


class EventData(Message):
    """Event of the device model. OCPP 2.0.1, EventDataType."""

    event_id: int
    timestamp: Annotated[datetime, RECEIVED]
    trigger: EventTrigger
    cause: int | None = None
    actual_value: String2500
    tech_code: String50 | None = None
    tech_info: String500 | None = None
    cleared: bool | None = None
    transaction_id: String36 | None = None
    component: Component
    variable_monitoring_id: int | None = None
    event_notification_type: EventNotificationType
    variable: Variable


class NotifyEventResponse(Message):
    """Confirm events. OCPP 2.0.1, 1.38.2."""


@request("NotifyEvent", Block.DIAGNOSTICS, Sender.CHARGE_POINT, fallback=empty_fallback)
class NotifyEvent(Request[NotifyEventResponse]):
    """Report events of the device model. OCPP 2.0.1, 1.38.1."""

    generated_at: Annotated[datetime, RECEIVED]
    tbc: bool | None = None
    seq_no: Annotated[int, StandIn(0)]
    event_data: Annotated[tuple[EventData, ...], AtLeast(1), EXPENDABLE]


# -- CustomerInformation -----------------------------------------------------------------


class CustomerInformationStatus(StrEnum):
    """Answer to a request about a customer; Invalid: the request names nobody.

    OCPP 2.0.1, CustomerInformationStatusEnumType.
    """

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    INVALID = "Invalid"


class CustomerInformationResponse(Message):
    """Tell whether it will be done; reports follow. OCPP 2.0.1, 1.12.2."""

    status: CustomerInformationStatus
    status_info: Details | None = None


def _without_name(request: Any) -> Any:
    """Leave out the name of the customer."""
    if request.customer_identifier is None:
        return request
    return msgspec.structs.replace(request, customer_identifier="***")


@request(
    "CustomerInformation",
    Block.DIAGNOSTICS,
    Sender.CENTRAL_SYSTEM,
    effect=lambda request: effects.CUSTOMER_INFORMATION if request.report else None,
    numbered="request_id",
    redacted=_without_name,
)
class CustomerInformation(Request[CustomerInformationResponse]):
    """Have what the station knows of a customer reported, cleared, or both. OCPP 2.0.1, 1.12.1."""

    customer_certificate: CertificateHashData | None = None
    id_token: IdToken | None = None
    request_id: Id
    report: bool
    clear: bool
    customer_identifier: String64 | None = None


# -- NotifyCustomerInformation -----------------------------------------------------------


class NotifyCustomerInformationResponse(Message):
    """Confirm a part of a report. OCPP 2.0.1, 1.34.2."""


@request("NotifyCustomerInformation", Block.DIAGNOSTICS, Sender.CHARGE_POINT, fallback=empty_fallback)
class NotifyCustomerInformation(Request[NotifyCustomerInformationResponse]):
    """Report a part of what the station knows of a customer. OCPP 2.0.1, 1.34.1."""

    data: String512
    tbc: bool | None = None
    seq_no: Annotated[int, StandIn(0)]
    generated_at: Annotated[datetime, RECEIVED]
    request_id: Id
