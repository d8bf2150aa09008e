"""Transactions of OCPP 1.6 (Core profile): their start and stop, told or asked for.

The one rule: whatever can be read of a start or a stop is read; each is money.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from ..actions import FallbackFacts, Needs, Request, Sender, StopFacts, request
from ..errors import Deviation
from ..message import EXPENDABLE, LEFT_OUT, RECEIVED, Message, StandIn
from ..rules import Integer
from . import effects
from .metering import SampledValue, transaction_named
from .types import ChargingProfile, CiString20, ConnectorId, IdTagInfo, Profile

# -- What is common to starts and stops -----------------------------------------------------


def _unread_time(deviations: Iterable[Deviation]) -> str:
    """Return the timestamp of a start or a stop as it was sent, if ours stands in for it; else an empty text."""
    return next(
        (one.value or "missing" for one in deviations if one.stood_in and one.path == "timestamp"), ""
    )


def _stop_facts(request: "StopTransaction", deviations: tuple[Deviation, ...]) -> StopFacts:
    """Return the figures of a stop; a time that could not be read is None, a tag of blanks is none."""
    return StopFacts(
        request.meter_stop,
        None if deviations and _unread_time(deviations) else request.timestamp,
        "Local" if request.reason is None else str(request.reason),
        request.id_tag.strip() if request.id_tag else "",
    )


# -- StartTransaction --------------------------------------------------------------------


class StartTransactionResponse(Message):
    """Number a transaction, and say whether its id tag may charge. OCPP 1.6, 6.46."""

    id_tag_info: IdTagInfo
    transaction_id: int


def _start_fallback(facts: FallbackFacts) -> bytes:
    # The number that was allotted to the transaction, and the configured status for a tag that was not checked.
    if facts.transaction_id is None:
        return b"{}"
    return b'{"idTagInfo":{"status":"%b"},"transactionId":%d}' % (
        facts.id_tag_status.encode(),
        facts.transaction_id,
    )


def _start_key(request: Any, deviations: tuple[Deviation, ...]) -> tuple[Any, ...] | None:
    if request is None:
        return None
    # As it was sent, if it cannot be read: sent again it has another time of receipt.
    time = (_unread_time(deviations) if deviations else "") or request.timestamp
    return request.connector_id, request.id_tag, time, request.meter_start


@request(
    "StartTransaction",
    Profile.CORE,
    Sender.CHARGE_POINT,
    transaction=True,
    fallback=_start_fallback,
    allots=_start_key,
)
class StartTransaction(Request[StartTransactionResponse]):
    """Tell that a transaction has started; the meter is in Wh. OCPP 1.6, 4.8 and 6.45."""

    connector_id: ConnectorId
    id_tag: CiString20
    meter_start: int
    reservation_id: Annotated[int, LEFT_OUT] | None = None
    timestamp: Annotated[datetime, RECEIVED]


# -- StopTransaction ---------------------------------------------------------------------


class Reason(StrEnum):
    """Reason for the end of a transaction. OCPP 1.6, 7.36."""

    EMERGENCY_STOP = "EmergencyStop"
    EV_DISCONNECTED = "EVDisconnected"
    HARD_RESET = "HardReset"
    LOCAL = "Local"
    OTHER = "Other"
    POWER_LOSS = "PowerLoss"
    REBOOT = "Reboot"
    REMOTE = "Remote"
    SOFT_RESET = "SoftReset"
    UNLOCK_COMMAND = "UnlockCommand"
    DE_AUTHORIZED = "DeAuthorized"


class TransactionData(Message):
    """A meter value of a transaction: the official schema lets it hold no reading."""

    timestamp: datetime
    sampled_value: Annotated[tuple[SampledValue, ...], EXPENDABLE]


class StopTransactionResponse(Message):
    """Confirm the end of a transaction, with news of its id tag if there are any. OCPP 1.6, 6.50."""

    id_tag_info: IdTagInfo | None = None


@request(
    "StopTransaction",
    Profile.CORE,
    Sender.CHARGE_POINT,
    transaction=True,
    transaction_of=lambda request: request.transaction_id,
    stop=_stop_facts,
    carries_readings=lambda request: bool(request.transaction_data),
    transaction_named=transaction_named,
)
class StopTransaction(Request[StopTransactionResponse]):
    """Tell that a transaction has ended; the meter is in Wh. OCPP 1.6, 4.10 and 6.49."""

    id_tag: Annotated[CiString20, LEFT_OUT] | None = None
    meter_stop: int
    timestamp: Annotated[datetime, RECEIVED]
    # Some stop before they have their number: their stop is that of no known transaction.
    transaction_id: Annotated[int, Integer(names=True), StandIn(-1)]
    reason: Annotated[Reason, LEFT_OUT] | None = None
    transaction_data: Annotated[tuple[TransactionData, ...], EXPENDABLE, LEFT_OUT] | None = None


# -- RemoteStartTransaction and RemoteStopTransaction ------------------------------------


class RemoteStartStopStatus(StrEnum):
    """Answer to a remote start or stop: it will be tried or not. OCPP 1.6, 7.39."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class RemoteStartTransactionResponse(Message):
    """Tell whether the charge point will try; the start itself is told separately. OCPP 1.6, 6.34."""

    status: RemoteStartStopStatus


@request(
    "RemoteStartTransaction",
    Profile.CORE,
    Sender.CENTRAL_SYSTEM,
    urgent=True,
    needs=Needs.ACCEPTED,
    effect=lambda _: effects.REMOTE_START,
)
class RemoteStartTransaction(Request[RemoteStartTransactionResponse]):
    """Ask the charge point to start a transaction. OCPP 1.6, 5.11 and 6.33."""

    connector_id: ConnectorId | None = None
    id_tag: CiString20
    charging_profile: ChargingProfile | None = None


class RemoteStopTransactionResponse(Message):
    """Tell whether the charge point will stop the transaction. OCPP 1.6, 6.36."""

    status: RemoteStartStopStatus


@request(
    "RemoteStopTransaction",
    Profile.CORE,
    Sender.CENTRAL_SYSTEM,
    urgent=True,
    needs=Needs.ACCEPTED,
    effect=lambda _: effects.REMOTE_STOP,
    transaction_of=lambda request: request.transaction_id,
)
class RemoteStopTransaction(Request[RemoteStopTransactionResponse]):
    """Ask the charge point to stop a transaction. OCPP 1.6, 5.12 and 6.35."""

    transaction_id: int
