"""Block E of OCPP 2.0.1, transactions.

The one rule: a response is declared before its request, for the request names it.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from ..actions import FallbackFacts, Sender, StopFacts, request
from ..errors import Deviation
from ..message import EXPENDABLE, LEFT_OUT, RECEIVED, AtLeast, StandIn
from .base import Message, Request
from .sequences import identity_of
from .types import (
    EVSE,
    AuthorizationStatus,
    Block,
    Id,
    IdToken,
    IdTokenInfo,
    IdTokenType,
    MessageContent,
    MeterValue,
    String36,
)

# -- TransactionEvent --------------------------------------------------------------------


class TransactionEventType(StrEnum):
    """Place of an event in its transaction. OCPP 2.0.1, TransactionEventEnumType."""

    ENDED = "Ended"
    STARTED = "Started"
    UPDATED = "Updated"


class TriggerReason(StrEnum):
    """Occasion of a transaction event. OCPP 2.0.1, TriggerReasonEnumType."""

    AUTHORIZED = "Authorized"
    CABLE_PLUGGED_IN = "CablePluggedIn"
    CHARGING_RATE_CHANGED = "ChargingRateChanged"
    CHARGING_STATE_CHANGED = "ChargingStateChanged"
    DEAUTHORIZED = "Deauthorized"
    ENERGY_LIMIT_REACHED = "EnergyLimitReached"
    EV_COMMUNICATION_LOST = "EVCommunicationLost"
    EV_CONNECT_TIMEOUT = "EVConnectTimeout"
    METER_VALUE_CLOCK = "MeterValueClock"
    METER_VALUE_PERIODIC = "MeterValuePeriodic"
    TIME_LIMIT_REACHED = "TimeLimitReached"
    TRIGGER = "Trigger"
    UNLOCK_COMMAND = "UnlockCommand"
    STOP_AUTHORIZED = "StopAuthorized"
    EV_DEPARTED = "EVDeparted"
    EV_DETECTED = "EVDetected"
    REMOTE_STOP = "RemoteStop"
    REMOTE_START = "RemoteStart"
    ABNORMAL_CONDITION = "AbnormalCondition"
    SIGNED_DATA_RECEIVED = "SignedDataReceived"
    RESET_COMMAND = "ResetCommand"


class ChargingState(StrEnum):
    """State of charging of a transaction. OCPP 2.0.1, ChargingStateEnumType."""

    CHARGING = "Charging"
    EV_CONNECTED = "EVConnected"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    IDLE = "Idle"


class Reason(StrEnum):
    """Cause of the end of a transaction; Local is the default. OCPP 2.0.1, ReasonEnumType."""

    DE_AUTHORIZED = "DeAuthorized"
    EMERGENCY_STOP = "EmergencyStop"
    ENERGY_LIMIT_REACHED = "EnergyLimitReached"
    EV_DISCONNECTED = "EVDisconnected"
    GROUND_FAULT = "GroundFault"
    IMMEDIATE_RESET = "ImmediateReset"
    LOCAL = "Local"
    LOCAL_OUT_OF_CREDIT = "LocalOutOfCredit"
    MASTER_PASS = "MasterPass"  # noqa: S105 - a reason
    OTHER = "Other"
    OVERCURRENT_FAULT = "OvercurrentFault"
    POWER_LOSS = "PowerLoss"
    POWER_QUALITY = "PowerQuality"
    REBOOT = "Reboot"
    REMOTE = "Remote"
    SOC_LIMIT_REACHED = "SOCLimitReached"
    STOPPED_BY_EV = "StoppedByEV"
    TIME_LIMIT_REACHED = "TimeLimitReached"
    TIMEOUT = "Timeout"


class TransactionInfo(Message):
    """Transaction, by the id that the station gave it, and its state; the time spent charging is in seconds.

    OCPP 2.0.1, TransactionType.
    """

    transaction_id: String36
    charging_state: Annotated[ChargingState, LEFT_OUT] | None = None
    time_spent_charging: Annotated[int, LEFT_OUT] | None = None
    stopped_reason: Annotated[Reason, LEFT_OUT] | None = None
    remote_start_id: Annotated[Id, LEFT_OUT] | None = None


class TransactionEventResponse(Message):
    """Confirm a transaction event; with information on the token, if the event had one.

    OCPP 2.0.1, 1.60.2.
    """

    total_cost: Decimal | None = None
    charging_priority: int | None = None
    id_token_info: IdTokenInfo | None = None
    updated_personal_message: MessageContent | None = None


def _stop_facts(request: "TransactionEvent", deviations: tuple[Deviation, ...]) -> StopFacts | None:
    """Return the figures of an end; a time that could not be read is None."""
    if request.event_type != TransactionEventType.ENDED:
        return None
    unread = any(one.stood_in and one.path == "timestamp" for one in deviations)
    return StopFacts(
        None,
        None if unread else request.timestamp,
        str(request.transaction_info.stopped_reason or Reason.LOCAL),
        "" if request.id_token is None else request.id_token.id_token,
    )


def _fallback(facts: FallbackFacts) -> bytes:
    # An event with a token needs information on it, or the station suspends charging; an empty token is always good.
    token = None if facts.request is None else facts.request.id_token
    if token is None:
        return b"{}"
    free = token.type == IdTokenType.NO_AUTHORIZATION
    status = AuthorizationStatus.ACCEPTED.value if free else facts.id_tag_status
    return b'{"idTokenInfo":{"status":"%b"}}' % status.encode()


@request(
    "TransactionEvent",
    Block.TRANSACTIONS,
    Sender.CHARGE_POINT,
    transaction=True,
    fallback=_fallback,
    transaction_of=lambda request: request.transaction_info.transaction_id,
    stop=_stop_facts,
    carries_readings=lambda _: True,
    identity=identity_of,
)
class TransactionEvent(Request[TransactionEventResponse]):
    """Report what happens in a transaction: its start, its end, and anything between. OCPP 2.0.1, 1.60.1."""

    event_type: Annotated[TransactionEventType, StandIn(TransactionEventType.UPDATED)]
    meter_value: Annotated[tuple[MeterValue, ...], AtLeast(1), EXPENDABLE, LEFT_OUT] | None = None
    timestamp: Annotated[datetime, RECEIVED]
    trigger_reason: Annotated[TriggerReason, StandIn("")]
    seq_no: Annotated[int, StandIn(-1)]
    offline: Annotated[bool, LEFT_OUT] | None = None
    number_of_phases_used: Annotated[int, LEFT_OUT] | None = None
    cable_max_current: Annotated[int, LEFT_OUT] | None = None
    reservation_id: Annotated[Id, LEFT_OUT] | None = None
    transaction_info: TransactionInfo
    evse: Annotated[EVSE, LEFT_OUT] | None = None
    id_token: Annotated[IdToken, LEFT_OUT] | None = None


# -- GetTransactionStatus ----------------------------------------------------------------


class GetTransactionStatusResponse(Message):
    """Tell whether a transaction goes on, and whether messages wait. OCPP 2.0.1, 1.27.2."""

    ongoing_indicator: bool | None = None
    messages_in_queue: bool


@request(
    "GetTransactionStatus",
    Block.TRANSACTIONS,
    Sender.CENTRAL_SYSTEM,
    transaction_of=lambda request: request.transaction_id,
)
class GetTransactionStatus(Request[GetTransactionStatusResponse]):
    """Ask whether a transaction goes on, and whether messages of it, or any, wait to be sent.

    OCPP 2.0.1, 1.27.1.
    """

    transaction_id: String36 | None = None
