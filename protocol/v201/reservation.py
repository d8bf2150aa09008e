"""Block H of OCPP 2.0.1, reservations.

The one rule: a response is declared before its request, for the request names it.
"""

from datetime import datetime
from enum import StrEnum

from ..actions import Sender, empty_fallback, request
from .base import Message, Request
from .types import Block, Details, Id, IdToken

# -- ReserveNow --------------------------------------------------------------------------


class ReserveNowStatus(StrEnum):
    """Result of a reservation; Occupied and Faulted: of the EVSE that was asked for.

    OCPP 2.0.1, ReserveNowStatusEnumType.
    """

    ACCEPTED = "Accepted"
    FAULTED = "Faulted"
    OCCUPIED = "Occupied"
    REJECTED = "Rejected"
    UNAVAILABLE = "Unavailable"


class ConnectorType(StrEnum):
    """Type of a connector: c for a cable, s for a socket, w for wireless charging.

    OCPP 2.0.1, ConnectorEnumType.
    """

    C_CCS1 = "cCCS1"
    C_CCS2 = "cCCS2"
    C_G105 = "cG105"
    C_TESLA = "cTesla"
    C_TYPE1 = "cType1"
    C_TYPE2 = "cType2"
    S309_1P_16A = "s309-1P-16A"
    S309_1P_32A = "s309-1P-32A"
    S309_3P_16A = "s309-3P-16A"
    S309_3P_32A = "s309-3P-32A"
    S_BS1361 = "sBS1361"
    S_CEE_7_7 = "sCEE-7-7"
    S_TYPE2 = "sType2"
    S_TYPE3 = "sType3"
    OTHER_1PH_MAX_16A = "Other1PhMax16A"
    OTHER_1PH_OVER_16A = "Other1PhOver16A"
    OTHER_3PH = "Other3Ph"
    PAN = "Pan"
    W_INDUCTIVE = "wInductive"
    W_RESONANT = "wResonant"
    UNDETERMINED = "Undetermined"
    UNKNOWN = "Unknown"


class ReserveNowResponse(Message):
    """Tell whether the reservation holds. OCPP 2.0.1, 1.47.2."""

    status: ReserveNowStatus
    status_info: Details | None = None


@request("ReserveNow", Block.RESERVATION, Sender.CENTRAL_SYSTEM)
class ReserveNow(Request[ReserveNowResponse]):
    """Reserve the station, an EVSE or a type of connector for an id token. OCPP 2.0.1, 1.47.1."""

    id: int
    expiry_date_time: datetime
    connector_type: ConnectorType | None = None
    id_token: IdToken
    evse_id: Id | None = None
    group_id_token: IdToken | None = None


# -- CancelReservation -------------------------------------------------------------------


class CancelReservationStatus(StrEnum):
    """Result of cancelling a reservation; Rejected: there is none with this number.

    OCPP 2.0.1, CancelReservationStatusEnumType.
    """

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class CancelReservationResponse(Message):
    """Tell whether the reservation is cancelled. OCPP 2.0.1, 1.3.2."""

    status: CancelReservationStatus
    status_info: Details | None = None


@request("CancelReservation", Block.RESERVATION, Sender.CENTRAL_SYSTEM, urgent=True)
class CancelReservation(Request[CancelReservationResponse]):
    """Cancel a reservation. OCPP 2.0.1, 1.3.1."""

    reservation_id: Id


# -- ReservationStatusUpdate -------------------------------------------------------------


class ReservationUpdateStatus(StrEnum):
    """End of a reservation: its time is over, or it was removed.

    OCPP 2.0.1, ReservationUpdateStatusEnumType.
    """

    EXPIRED = "Expired"
    REMOVED = "Removed"


class ReservationStatusUpdateResponse(Message):
    """Confirm the end of a reservation. OCPP 2.0.1, 1.46.2."""


@request("ReservationStatusUpdate", Block.RESERVATION, Sender.CHARGE_POINT, fallback=empty_fallback)
class ReservationStatusUpdate(Request[ReservationStatusUpdateResponse]):
    """Report the end of a reservation. OCPP 2.0.1, 1.46.1."""

    reservation_id: Id
    reservation_update_status: ReservationUpdateStatus
