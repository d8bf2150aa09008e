"""EVSEs of a station and their connectors: vehicles, transactions, and the status that follows from these.

The one rule: a status is never set; it follows from facts. Nothing is sent from here and no time passes here.
OCPP 2.0.1, part 2, block G.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...protocol import v201
from ..errors import NotPossible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..vehicle import AnyVehicle
    from .transactions import StationTransaction

Status = v201.ConnectorStatus
Change = v201.ChangeAvailabilityStatus


class Connector:
    """Connector of an EVSE, with its number in it."""

    __slots__ = ("evse", "faulted", "id", "operative", "plugged", "told")

    def __init__(self, evse: Evse, id_: int) -> None:
        self.evse = evse
        self.id = id_
        self.operative = True
        self.plugged = False
        self.faulted = False
        self.told: v201.ConnectorStatus | None = None  # the status that the central system knows

    @property
    def status(self) -> v201.ConnectorStatus:
        """Status for StatusNotification. Beside a connector that is used the others are unavailable."""
        evse = self.evse
        if self.faulted:
            return Status.FAULTED
        if self.plugged:
            return Status.OCCUPIED
        operative = self.operative and evse.operative and evse.station.operative
        if not operative or (evse.connector is not None and evse.connector is not self):
            return Status.UNAVAILABLE
        return Status.RESERVED if evse.reserved else Status.AVAILABLE


class Evse:
    """EVSE: at most one vehicle charges at a time, on one of its connectors; its meter is in Wh."""

    __slots__ = (
        "connectors",
        "id",
        "meter_wh",
        "operative",
        "presented",
        "reserved",
        "scheduled",
        "station",
        "transaction",
        "vehicle",
    )

    def __init__(self, station: Evses, id_: int, connectors: int, meter_wh: int) -> None:
        self.station = station
        self.id = id_
        self.connectors = tuple(Connector(self, number) for number in range(1, connectors + 1))
        self.operative = True
        self.scheduled: dict[Connector | None, bool] | None = None  # once the transaction is over
        self.transaction: StationTransaction | None = None
        self.vehicle: AnyVehicle | None = None  # how it charges; None: as the station has it
        self.presented: object | None = None  # a start that waits for a vehicle
        self.reserved = False
        self.meter_wh = meter_wh

    def __getitem__(self, number: int) -> Connector:
        if not 1 <= number <= len(self.connectors):
            raise NotPossible(f"EVSE {self.id} has no connector {number}")
        return self.connectors[number - 1]

    @property
    def connector(self) -> Connector | None:
        """Connector with a vehicle; None if no vehicle is there."""
        return next((one for one in self.connectors if one.plugged), None)

    @property
    def status(self) -> v201.ConnectorStatus:
        """Most telling status of its connectors."""
        found = {one.status for one in self.connectors}
        order = (Status.OCCUPIED, Status.RESERVED, Status.AVAILABLE, Status.UNAVAILABLE, Status.FAULTED)
        return next(status for status in order if status in found)

    @property
    def free(self) -> bool:
        """True if a vehicle could come: reserved or not."""
        return self.transaction is None and self.status in (Status.AVAILABLE, Status.RESERVED)

    def plug_in(self, connector_id: int, vehicle: AnyVehicle | None = None) -> Connector:
        """Plug a vehicle in. Raises NotPossible if there is one."""
        connector = self[connector_id]
        if self.connector is not None:
            raise NotPossible(f"EVSE {self.id}: a vehicle is plugged in already")
        connector.plugged = True
        self.vehicle = vehicle
        return connector

    def unplug(self) -> Connector:
        """Unplug the vehicle. Raises NotPossible if there is none."""
        connector = self.connector
        if connector is None:
            raise NotPossible(f"EVSE {self.id}: no vehicle is plugged in")
        connector.plugged = False
        self.vehicle = None
        return connector

    def end(self) -> None:
        """End the transaction. A scheduled change of availability takes place."""
        self.transaction = None
        scheduled, self.scheduled = self.scheduled, None
        for connector, operative in (scheduled or {}).items():
            if connector is None:
                self.operative = operative
            else:
                connector.operative = operative


class Evses:
    """EVSEs of a station, numbered from 1."""

    __slots__ = ("_evses", "operative", "scheduled")

    def __init__(self, count: int, connectors: int, meter_wh: int) -> None:
        self.operative = True
        self.scheduled: bool | None = None
        self._evses = tuple(Evse(self, number, connectors, meter_wh) for number in range(1, count + 1))

    def __iter__(self) -> Iterator[Evse]:
        return iter(self._evses)

    def __len__(self) -> int:
        return len(self._evses)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and 1 <= number <= len(self._evses)

    def __getitem__(self, number: int) -> Evse:
        if number not in self:
            raise NotPossible(f"the station has no EVSE {number}")
        return self._evses[number - 1]

    def connectors(self) -> Iterator[Connector]:
        """List all connectors."""
        for evse in self._evses:
            yield from evse.connectors

    def transaction(self, transaction_id: str) -> StationTransaction | None:
        """Return the running transaction with this id; None if there is none."""
        running = (evse.transaction for evse in self._evses)
        return next((one for one in running if one is not None and one.id == transaction_id), None)

    @property
    def busy(self) -> bool:
        """True while a transaction runs."""
        return any(evse.transaction is not None for evse in self._evses)

    def meant(self, place: v201.EVSE | None) -> list[Connector]:
        """List the connectors of a place: of the station, an EVSE, or one. Raises NotPossible if there is none."""
        if place is None or place.id == 0:
            return list(self.connectors())
        evse = self[place.id]
        return list(evse.connectors) if place.connector_id is None else [evse[place.connector_id]]

    def ended(self) -> None:
        """Carry out what waits for the end of the last transaction."""
        if self.scheduled is not None and not self.busy:
            self.operative, self.scheduled = self.scheduled, None

    def change_availability(
        self, place: v201.EVSE | None, *, operative: bool
    ) -> v201.ChangeAvailabilityStatus:
        """Take a place in or out of operation: at once, or after its transaction. OCPP 2.0.1, G03 and G04."""
        try:
            self.meant(place)
        except NotPossible:
            return Change.REJECTED
        if place is None or place.id == 0:
            later = self.busy and not operative
            self.scheduled = operative if later else None
            if not later:
                self.operative = operative
            return Change.SCHEDULED if later else Change.ACCEPTED
        evse = self[place.id]
        part = None if place.connector_id is None else evse[place.connector_id]
        waiting = dict(evse.scheduled or {})
        waiting.pop(part, None)
        if evse.transaction is not None and not operative:
            evse.scheduled = {**waiting, part: operative}
            return Change.SCHEDULED
        evse.scheduled = waiting or None
        if part is None:
            evse.operative = operative
        else:
            part.operative = operative
        return Change.ACCEPTED
