"""Connectors of a charge point: vehicles, transactions, and the status that follows from these.

The one rule: a status is never set; it follows from facts. Nothing is sent from here and no time passes here.
OCPP 1.6, sections 4.9 and 7.7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..protocol import v16
from .errors import NotPossible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from .transactions import Transaction
    from .vehicle import AnyVehicle

Status = v16.ChargePointStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorReservation:
    """A connector kept for an id tag; on connector 0 it is for any one of them."""

    id: int
    connector_id: int
    id_tag: str
    parent_id_tag: str | None
    expiry: datetime

    def is_for(self, id_tag: str, parent_id_tag: str | None) -> bool:
        """Return true if this tag, or its group, may use the reservation."""
        return id_tag == self.id_tag or (parent_id_tag is not None and parent_id_tag == self.parent_id_tag)


class Connector:
    """Connector; number 0 is the charge point as a whole, where nothing is ever plugged in."""

    def __init__(self, id_: int) -> None:
        self.id = id_
        self.operative = True
        self.scheduled: bool | None = None  # operative or not, once the transaction is over
        self.error = v16.ChargePointErrorCode.NO_ERROR
        self.plugged = False
        self.vehicle: AnyVehicle | None = None  # how it charges; None: as the charge point has it
        self.presented: str | None = None  # an id tag that may charge, and waits for a vehicle
        self.transaction: Transaction | None = None
        self.suspended: v16.ChargePointStatus | None = None  # SuspendedEV or SuspendedEVSE
        self.over = False  # a transaction is over, and its vehicle is still there
        self.reservation: ConnectorReservation | None = None
        self.meter_wh = 0
        self.told: v16.ChargePointStatus | None = None  # the status that the central system knows

    @property
    def status(self) -> v16.ChargePointStatus:
        """Status for StatusNotification. OCPP 1.6, 4.9."""
        if self.error is not v16.ChargePointErrorCode.NO_ERROR:
            return Status.FAULTED
        if self.transaction is not None:
            return self.suspended or Status.CHARGING
        if not self.operative:
            return Status.UNAVAILABLE
        if self.id == 0:
            return Status.AVAILABLE
        if self.over:
            return Status.FINISHING
        if self.plugged or self.presented is not None:
            return Status.PREPARING
        return Status.AVAILABLE if self.reservation is None else Status.RESERVED

    # -- Actions ---------------------------------------------------------------------------------

    def plug_in(self, vehicle: AnyVehicle | None = None) -> None:
        """Plug a vehicle in. Raises NotPossible if there is one."""
        if self.plugged:
            raise NotPossible(f"connector {self.id}: a vehicle is plugged in already")
        self.plugged = True
        self.vehicle = vehicle

    def unplug(self) -> None:
        """Unplug the vehicle. Raises NotPossible if there is none. A transaction stays as it is."""
        if not self.plugged:
            raise NotPossible(f"connector {self.id}: no vehicle is plugged in")
        self.plugged = False
        self.vehicle = None
        self.over = False

    def obstacle(self, id_tag: str, parent_id_tag: str | None = None) -> str | None:
        """Name the obstacle to charging with this tag, apart from a missing vehicle; None if there is none."""
        if self.error is not v16.ChargePointErrorCode.NO_ERROR:
            return f"connector {self.id} is faulted"
        if self.transaction is not None:
            return f"connector {self.id} is charging"
        if not self.operative:
            return f"connector {self.id} is unavailable"
        if self.reservation is not None and not self.reservation.is_for(id_tag, parent_id_tag):
            return f"connector {self.id} is reserved for somebody else"
        return None

    def begin(self, transaction: Transaction) -> None:
        """Start a transaction, which was checked before. It uses up the connector's reservation."""
        self.transaction = transaction
        self.presented = None
        self.suspended = None
        self.over = False
        if self.reservation is not None:
            transaction.reservation_id = self.reservation.id
            self.reservation = None

    def end(self) -> None:
        """End the transaction. A scheduled change of availability takes place."""
        self.transaction = None
        self.suspended = None
        self.over = self.plugged
        if self.scheduled is not None:
            self.operative, self.scheduled = self.scheduled, None

    def change_availability(self, *, operative: bool) -> v16.AvailabilityStatus:
        """Take it in or out of operation: at once, or after the transaction. OCPP 1.6, 5.2."""
        if self.transaction is not None and not operative:
            self.scheduled = operative
            return v16.AvailabilityStatus.SCHEDULED
        self.scheduled = None
        self.operative = operative
        return v16.AvailabilityStatus.ACCEPTED


class Connectors:
    """Connectors 1 to `count`, and 0 as `whole`."""

    def __init__(self, count: int) -> None:
        self.whole = Connector(0)
        self._all = {id_: Connector(id_) for id_ in range(1, count + 1)}

    def __iter__(self) -> Iterator[Connector]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, id_: int) -> Connector:
        """Return the connector with this number, from 1. Raises NotPossible for an unknown number."""
        connector = self._all.get(id_)
        if connector is None:
            raise NotPossible(f"there is no connector {id_}")
        return connector

    def __contains__(self, id_: object) -> bool:
        return id_ in self._all

    def everything(self) -> list[Connector]:
        """Return all connectors, connector 0 first."""
        return [self.whole, *self]

    def transaction(self, transaction_id: int) -> Transaction | None:
        """Return the running transaction with this number."""
        running = [connector.transaction for connector in self if connector.transaction is not None]
        return next((transaction for transaction in running if transaction.id == transaction_id), None)

    def obstacle(self, id_: int, id_tag: str, parent_id_tag: str | None = None) -> str | None:
        """Name the obstacle to charging with this tag at a connector; None if there is none. Raises NotPossible.

        A reservation of connector 0 keeps the last free one for its tag.
        """
        connector = self[id_]
        obstacle = connector.obstacle(id_tag, parent_id_tag)
        kept = self.whole.reservation
        if obstacle is None and kept is not None and not kept.is_for(id_tag, parent_id_tag):
            free = [other for other in self if other.obstacle(kept.id_tag, kept.parent_id_tag) is None]
            if free == [connector]:
                return "the last free connector is reserved for somebody else"
        return obstacle

    def free_for(self, id_tag: str) -> Connector | None:
        """Return the first connector where this tag may charge; those with a vehicle, or reserved by it, first."""
        free = [connector for connector in self if self.obstacle(connector.id, id_tag) is None]
        free.sort(key=lambda connector: (connector.reservation is None, not connector.plugged))
        return free[0] if free else None

    def begin(self, transaction: Transaction) -> Connector:
        """Start a transaction at its connector. Raises NotPossible with the obstacle."""
        connector = self[transaction.connector_id]
        id_tag, parent_id_tag = transaction.id_tag, transaction.parent_id_tag
        obstacle = self.obstacle(connector.id, id_tag, parent_id_tag)
        if obstacle is None and not connector.plugged:
            obstacle = f"connector {connector.id}: no vehicle is plugged in"
        if obstacle is not None:
            raise NotPossible(obstacle)
        kept = self.whole.reservation
        if connector.reservation is None and kept is not None and kept.is_for(id_tag, parent_id_tag):
            connector.reservation, self.whole.reservation = kept, None
        connector.begin(transaction)
        return connector

    def change_availability(self, id_: int, *, operative: bool) -> v16.AvailabilityStatus:
        """Take a connector in or out of operation, or all of them as 0. OCPP 1.6, 5.2. Raises NotPossible."""
        if id_:
            return self[id_].change_availability(operative=operative)
        answers = [connector.change_availability(operative=operative) for connector in self]
        scheduled = v16.AvailabilityStatus.SCHEDULED in answers
        self.whole.operative = operative
        return v16.AvailabilityStatus.SCHEDULED if scheduled else v16.AvailabilityStatus.ACCEPTED

    # -- Reservations ----------------------------------------------------------------------------

    def reserve(self, reservation: ConnectorReservation) -> v16.ReservationStatus:
        """Keep a connector; a reservation with a known number replaces that one. OCPP 1.6, 5.13."""
        status = v16.ReservationStatus
        former = self._holder(reservation.id)
        wanted = [self.whole] if reservation.connector_id == 0 else [self[reservation.connector_id]]
        candidates = list(self) if reservation.connector_id == 0 else wanted
        states = {_as_reservable(connector, besides=former) for connector in candidates}
        if Status.AVAILABLE not in states:
            for seen, verdict in (
                (Status.CHARGING, status.OCCUPIED),
                (Status.UNAVAILABLE, status.UNAVAILABLE),
                (Status.FAULTED, status.FAULTED),
            ):
                if seen in states:
                    return verdict
        if former is not None:
            former.reservation = None
        wanted[0].reservation = reservation
        return status.ACCEPTED

    def cancel(self, reservation_id: int) -> Connector | None:
        """Drop a reservation; return the connector that it was on, None if there is none with this number."""
        holder = self._holder(reservation_id)
        if holder is not None:
            holder.reservation = None
        return holder

    def expire(self, reservation_id: int, now: datetime) -> bool:
        """Drop a reservation if its time is over; it may have been replaced by a longer one meanwhile."""
        holder = self._holder(reservation_id)
        if holder is None or holder.reservation is None or holder.reservation.expiry > now:
            return False
        holder.reservation = None
        return True

    def _holder(self, reservation_id: int) -> Connector | None:
        for connector in self.everything():
            if connector.reservation is not None and connector.reservation.id == reservation_id:
                return connector
        return None


def _as_reservable(connector: Connector, besides: Connector | None) -> v16.ChargePointStatus:
    """Name the obstacle to a reservation: Available is nothing, Charging is any use of it."""
    status = connector.status
    if status in (Status.AVAILABLE, Status.UNAVAILABLE, Status.FAULTED):
        return status
    return Status.AVAILABLE if status is Status.RESERVED and connector is besides else Status.CHARGING
