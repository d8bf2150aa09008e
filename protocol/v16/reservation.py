"""The Reservation profile of OCPP 1.6: a connector, or any of them, kept for an id tag.

The one rule: the central system numbers reservations; the number comes back in StartTransaction.
"""

from datetime import datetime
from enum import StrEnum

from ..actions import Request, Sender, request
from ..message import Message
from .types import CiString20, ConnectorIdOrZero, Profile

# -- CancelReservation -------------------------------------------------------------------


class CancelReservationStatus(StrEnum):
    """Result of cancelling a reservation. OCPP 1.6, 7.5."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class CancelReservationResponse(Message):
    """Tell whether the reservation was known, and is gone. OCPP 1.6, 6.6."""

    status: CancelReservationStatus


@request(
    "CancelReservation",
    Profile.RESERVATION,
    Sender.CENTRAL_SYSTEM,
    urgent=True,
)
class CancelReservation(Request[CancelReservationResponse]):
    """Cancel a reservation. OCPP 1.6, 5.1 and 6.5."""

    reservation_id: int


# -- ReserveNow --------------------------------------------------------------------------


class ReservationStatus(StrEnum):
    """Result of a reservation, with the reason of a refusal. OCPP 1.6, 7.40."""

    ACCEPTED = "Accepted"
    FAULTED = "Faulted"
    OCCUPIED = "Occupied"
    REJECTED = "Rejected"
    UNAVAILABLE = "Unavailable"


class ReserveNowResponse(Message):
    """Tell whether the connector is reserved. OCPP 1.6, 6.38."""

    status: ReservationStatus


@request("ReserveNow", Profile.RESERVATION, Sender.CENTRAL_SYSTEM)
class ReserveNow(Request[ReserveNowResponse]):
    """Reserve a connector, or any one as connector 0. OCPP 1.6, 5.13 and 6.37.

    A reservation with a known number replaces that one.
    """

    connector_id: ConnectorIdOrZero
    expiry_date: datetime
    id_tag: CiString20
    parent_id_tag: CiString20 | None = None
    reservation_id: int
