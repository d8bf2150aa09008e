"""Block G of OCPP 2.0.1, availability.

The one rule: a response is declared before its request, for the request names it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from ..actions import Sender, empty_fallback, request, time_fallback
from ..message import RECEIVED
from . import effects
from .base import Message, Request
from .types import EVSE, Block, Details, Id, place_of

# -- StatusNotification ------------------------------------------------------------------


class ConnectorStatus(StrEnum):
    """Status of a connector. OCPP 2.0.1, ConnectorStatusEnumType."""

    AVAILABLE = "Available"
    OCCUPIED = "Occupied"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


class StatusNotificationResponse(Message):
    """Confirm a status. OCPP 2.0.1, 1.59.2."""


@request(
    "StatusNotification",
    Block.AVAILABILITY,
    Sender.CHARGE_POINT,
    fallback=empty_fallback,
    connector_status=lambda request: f"{request.evse_id}/{request.connector_id}",
)
class StatusNotification(Request[StatusNotificationResponse]):
    """Report the status of a connector. OCPP 2.0.1, 1.59.1."""

    timestamp: Annotated[datetime, RECEIVED]
    connector_status: ConnectorStatus
    evse_id: Id
    connector_id: Id


# -- Heartbeat ---------------------------------------------------------------------------


class HeartbeatResponse(Message):
    """Tell the time. OCPP 2.0.1, 1.29.2."""

    current_time: datetime


@request("Heartbeat", Block.AVAILABILITY, Sender.CHARGE_POINT, fallback=time_fallback)
class Heartbeat(Request[HeartbeatResponse]):
    """Show that the station is alive, and ask for the time. OCPP 2.0.1, 1.29.1."""


# -- ChangeAvailability ------------------------------------------------------------------


class ChangeAvailabilityStatus(StrEnum):
    """Answer to a change of availability; Scheduled: after the running transactions.

    OCPP 2.0.1, ChangeAvailabilityStatusEnumType.
    """

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    SCHEDULED = "Scheduled"


class OperationalStatus(StrEnum):
    """Availability that is asked for. OCPP 2.0.1, OperationalStatusEnumType."""

    INOPERATIVE = "Inoperative"
    OPERATIVE = "Operative"


class ChangeAvailabilityResponse(Message):
    """Tell whether the availability changes now, later, or not. OCPP 2.0.1, 1.5.2."""

    status: ChangeAvailabilityStatus
    status_info: Details | None = None


@request(
    "ChangeAvailability",
    Block.AVAILABILITY,
    Sender.CENTRAL_SYSTEM,
    supersede_key=lambda request: place_of(request.evse),
    effect=lambda _: effects.AVAILABILITY,
)
class ChangeAvailability(Request[ChangeAvailabilityResponse]):
    """Take the station, an EVSE or a connector in or out of operation. OCPP 2.0.1, 1.5.1."""

    evse: EVSE | None = None
    operational_status: OperationalStatus
