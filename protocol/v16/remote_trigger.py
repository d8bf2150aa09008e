"""The RemoteTrigger profile of OCPP 1.6: a message of the charge point's, asked for.

The one rule: the answer says only whether the message will come; it comes by itself.
"""

from enum import StrEnum

from ..actions import Request, Sender, request
from ..message import Message
from . import effects
from .types import ConnectorId, Profile


class MessageTrigger(StrEnum):
    """The message asked for. OCPP 1.6, 7.32."""

    BOOT_NOTIFICATION = "BootNotification"
    DIAGNOSTICS_STATUS_NOTIFICATION = "DiagnosticsStatusNotification"
    FIRMWARE_STATUS_NOTIFICATION = "FirmwareStatusNotification"
    HEARTBEAT = "Heartbeat"
    METER_VALUES = "MeterValues"
    STATUS_NOTIFICATION = "StatusNotification"


class TriggerMessageStatus(StrEnum):
    """Answer to a trigger: the message will come or not. OCPP 1.6, 7.44."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_IMPLEMENTED = "NotImplemented"


class TriggerMessageResponse(Message):
    """Tell whether the message will be sent. OCPP 1.6, 6.52."""

    status: TriggerMessageStatus


@request(
    "TriggerMessage",
    Profile.REMOTE_TRIGGER,
    Sender.CENTRAL_SYSTEM,
    supersede_key=lambda request: (str(request.requested_message), request.connector_id),
    effect=effects.triggered,
    triggers=effects.triggers,
)
class TriggerMessage(Request[TriggerMessageResponse]):
    """Ask the charge point to send a message, for one connector or for all. OCPP 1.6, 5.17 and 6.51."""

    requested_message: MessageTrigger
    connector_id: ConnectorId | None = None
