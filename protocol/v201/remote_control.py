"""Block F of OCPP 2.0.1, remote control.

The one rule: a response is declared before its request, for the request names it.
"""

from enum import StrEnum
from typing import Any

from ..actions import Needs, Sender, request
from . import effects
from .base import Message, Request
from .types import (
    EVSE,
    Block,
    ChargingProfile,
    ChargingProfilePurpose,
    Details,
    Id,
    IdToken,
    String36,
    place_of,
)

# -- RequestStartTransaction -------------------------------------------------------------


class RequestStartStopStatus(StrEnum):
    """Answer to a request to start or stop: it will be tried or not.

    OCPP 2.0.1, RequestStartStopStatusEnumType.
    """

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class RequestStartTransactionResponse(Message):
    """Tell whether the station will try; with a transaction id it has begun already. OCPP 2.0.1, 1.44.2."""

    status: RequestStartStopStatus
    status_info: Details | None = None
    transaction_id: String36 | None = None


def _forbidden(request: Any) -> tuple[str, str] | None:
    """Find the member of a profile that cannot be of the transaction to come. OCPP 2.0.1, F01 and K05."""
    profile = request.charging_profile
    if profile is None:
        return None
    if profile.charging_profile_purpose != ChargingProfilePurpose.TX_PROFILE:
        return "chargingProfile.chargingProfilePurpose", "must be TxProfile in a RequestStartTransaction"
    if profile.transaction_id is not None:
        return "chargingProfile.transactionId", "must not be there: the transaction has no id yet"
    return None


@request(
    "RequestStartTransaction",
    Block.REMOTE_CONTROL,
    Sender.CENTRAL_SYSTEM,
    urgent=True,
    needs=Needs.ACCEPTED,
    effect=lambda _: effects.REQUEST_START,
    numbered="remote_start_id",
    forbids=_forbidden,
)
class RequestStartTransaction(Request[RequestStartTransactionResponse]):
    """Ask the station to start a transaction. OCPP 2.0.1, 1.44.1."""

    evse_id: Id | None = None
    group_id_token: IdToken | None = None
    id_token: IdToken
    remote_start_id: Id
    charging_profile: ChargingProfile | None = None


# -- RequestStopTransaction --------------------------------------------------------------


class RequestStopTransactionResponse(Message):
    """Tell whether the station will stop the transaction. OCPP 2.0.1, 1.45.2."""

    status: RequestStartStopStatus
    status_info: Details | None = None


@request(
    "RequestStopTransaction",
    Block.REMOTE_CONTROL,
    Sender.CENTRAL_SYSTEM,
    urgent=True,
    needs=Needs.ACCEPTED,
    effect=lambda _: effects.REQUEST_STOP,
    transaction_of=lambda request: request.transaction_id,
)
class RequestStopTransaction(Request[RequestStopTransactionResponse]):
    """Ask the station to stop a transaction. OCPP 2.0.1, 1.45.1."""

    transaction_id: String36


# -- UnlockConnector ---------------------------------------------------------------------


class UnlockStatus(StrEnum):
    """Result of unlocking a connector. OCPP 2.0.1, UnlockStatusEnumType."""

    UNLOCKED = "Unlocked"
    UNLOCK_FAILED = "UnlockFailed"
    ONGOING_AUTHORIZED_TRANSACTION = "OngoingAuthorizedTransaction"
    UNKNOWN_CONNECTOR = "UnknownConnector"


class UnlockConnectorResponse(Message):
    """Tell whether the connector is unlocked. OCPP 2.0.1, 1.62.2."""

    status: UnlockStatus
    status_info: Details | None = None


@request("UnlockConnector", Block.REMOTE_CONTROL, Sender.CENTRAL_SYSTEM, urgent=True)
class UnlockConnector(Request[UnlockConnectorResponse]):
    """Unlock the cable of a connector. OCPP 2.0.1, 1.62.1."""

    evse_id: Id
    connector_id: Id


# -- TriggerMessage ----------------------------------------------------------------------


class TriggerMessageStatus(StrEnum):
    """Answer to a request for a message. OCPP 2.0.1, TriggerMessageStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_IMPLEMENTED = "NotImplemented"


class MessageTrigger(StrEnum):
    """Message that is asked for. OCPP 2.0.1, MessageTriggerEnumType."""

    BOOT_NOTIFICATION = "BootNotification"
    LOG_STATUS_NOTIFICATION = "LogStatusNotification"
    FIRMWARE_STATUS_NOTIFICATION = "FirmwareStatusNotification"
    HEARTBEAT = "Heartbeat"
    METER_VALUES = "MeterValues"
    SIGN_CHARGING_STATION_CERTIFICATE = "SignChargingStationCertificate"
    SIGN_V2G_CERTIFICATE = "SignV2GCertificate"
    STATUS_NOTIFICATION = "StatusNotification"
    TRANSACTION_EVENT = "TransactionEvent"
    SIGN_COMBINED_CERTIFICATE = "SignCombinedCertificate"
    PUBLISH_FIRMWARE_STATUS_NOTIFICATION = "PublishFirmwareStatusNotification"


class TriggerMessageResponse(Message):
    """Tell whether the message will be sent. OCPP 2.0.1, 1.61.2."""

    status: TriggerMessageStatus
    status_info: Details | None = None


@request(
    "TriggerMessage",
    Block.REMOTE_CONTROL,
    Sender.CENTRAL_SYSTEM,
    supersede_key=lambda request: (str(request.requested_message), place_of(request.evse)),
    effect=effects.triggered,
    triggers=effects.triggers,
)
class TriggerMessage(Request[TriggerMessageResponse]):
    """Have the station send a message now. OCPP 2.0.1, 1.61.1."""

    evse: EVSE | None = None
    requested_message: MessageTrigger
