"""Reservations of a station: of one EVSE, or of any.

The one rule: a reservation of any EVSE holds one back for its token, whichever is free last. OCPP 2.0.1, block H.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...protocol import v201
from .authorization import token_key

if TYPE_CHECKING:
    from datetime import datetime

    from .evses import Evse, Evses

Status, Connector = v201.ReserveNowStatus, v201.ConnectorStatus
TAKEN = {
    Connector.FAULTED: Status.FAULTED,
    Connector.UNAVAILABLE: Status.UNAVAILABLE,
    Connector.OCCUPIED: Status.OCCUPIED,
}


class Reservations:
    """All that hold, by their numbers. The command that made one is kept as it was."""

    def __init__(self, evses: Evses) -> None:
        self.all: dict[int, v201.ReserveNow] = {}
        self._evses = evses

    def _mark(self) -> None:
        """Tell the EVSEs which of them are reserved; with as many reservations of any as are free all are."""
        named = {one.evse_id for one in self.all.values()}
        for evse in self._evses:
            evse.reserved = evse.id in named
        free = [evse for evse in self._evses if evse.free and not evse.reserved]
        unnamed = sum(one.evse_id is None for one in self.all.values())
        for evse in free if unnamed >= len(free) else ():
            evse.reserved = True

    def reserve(self, request: v201.ReserveNow, now: datetime) -> v201.ReserveNowStatus:
        """Reserve, or replace the reservation with that number. OCPP 2.0.1, H01."""
        others = [one for number, one in self.all.items() if number != request.id]
        if request.expiry_date_time <= now:
            return Status.REJECTED
        if request.connector_type not in (None, v201.ConnectorType.C_TYPE2):
            return Status.REJECTED
        if request.evse_id is not None:
            if request.evse_id not in self._evses:
                return Status.REJECTED
            evse = self._evses[request.evse_id]
            if not evse.free:
                return TAKEN.get(evse.status, Status.OCCUPIED)
            if any(one.evse_id == evse.id for one in others):
                return Status.OCCUPIED
        elif sum(evse.free for evse in self._evses) <= len(others):
            return Status.OCCUPIED
        self.all[request.id] = request
        self._mark()
        return Status.ACCEPTED

    def cancel(self, number: int) -> bool:
        """End a reservation; false if there is none with this number."""
        found = self.all.pop(number, None) is not None
        self._mark()
        return found

    def of(self, evse: Evse, token: v201.IdToken, group: v201.IdToken | None) -> int | None:
        """Return the number of the reservation that a token uses up at an EVSE; None if it has none."""
        mine = [one for one in self.all.values() if _is_for(one, token, group)]
        mine.sort(key=lambda one: one.evse_id is None)
        return next((one.id for one in mine if one.evse_id in (None, evse.id)), None)

    def obstacle(self, evse: Evse, token: v201.IdToken, group: v201.IdToken | None) -> str | None:
        """Name what keeps a token from this EVSE; None if nothing does."""
        if self.of(evse, token, group) is not None:
            return None
        return f"EVSE {evse.id} is reserved for somebody else" if evse.reserved else None

    def lost(self) -> list[int]:
        """List the reservations of EVSEs that are out of order or out of operation. OCPP 2.0.1, H01."""
        gone = (Connector.FAULTED, Connector.UNAVAILABLE)
        return [
            number
            for number, one in self.all.items()
            if one.evse_id is not None and self._evses[one.evse_id].status in gone
        ]

    def refresh(self) -> None:
        """Judge again which EVSEs are reserved: one has become free, or is so no more."""
        if self.all:
            self._mark()


def _is_for(reservation: v201.ReserveNow, token: v201.IdToken, group: v201.IdToken | None) -> bool:
    if token_key(reservation.id_token) == token_key(token):
        return True
    theirs = reservation.group_id_token
    return group is not None and theirs is not None and token_key(theirs) == token_key(group)
