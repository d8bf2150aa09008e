"""Accepted state of charge points: reservations, charging profiles, and local lists.

The plugin answers and sends nothing; it handles the outcomes of commands and stores what was accepted. The back office
reports which start used a reservation, and when the profiles of a transaction end.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from .. import ChargingProfile, Plugin, Reservation, TicketState, on_online, on_outcome, v16
from . import charging_profiles as profiles
from . import reservations
from .local_lists import after_asking, after_sending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .. import ChargePoint, PluginSpec, Receipt, Settings, Store, Ticket, Transaction

STORE_S = 30.0
"""Seconds that the store has to persist a fact; a failure is logged."""

LOOKED_AT = 20
"""Open transactions among which that of a reservation is looked for."""

UNKNOWN = frozenset({TicketState.TIMED_OUT, TicketState.OUTCOME_UNKNOWN})
"""Final states of a command that the charge point may have carried out."""


class AcceptedState(Plugin):
    """Keeper of accepted state. `now` gives the time."""

    outcomes_once = True

    def __init__(
        self, store: Store, *, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    ) -> None:
        super().__init__()
        self._store = store
        self._collections = store.collections
        self._now = now

    @classmethod
    def bundled(cls, _settings: Settings, store: Store) -> PluginSpec:
        """Make the spec of this plugin in a system with these settings."""
        return cls.spec(store, name="accepted-state")

    @on_online
    def online(self, charge_point: ChargePoint) -> None:
        """Delete records that ended long ago."""
        self._tidy(charge_point.id)

    def _tidy(self, charge_point_id: str) -> None:
        now = self._now()
        reservations.tidy(self._collections, charge_point_id, now)
        profiles.tidy(self._collections, charge_point_id, now)

    # -- Reservations ------------------------------------------------------------------------------

    @on_outcome(v16.ReserveNow)
    def reserved(self, ticket: Ticket[v16.ReserveNowResponse]) -> None:
        """Store a reservation, replacing the one with its number. OCPP 1.6, 5.13."""
        accepted = _status(ticket) == v16.ReservationStatus.ACCEPTED
        if not accepted and not _is_unknown(ticket):
            return
        request: Any = ticket.request
        reservation = Reservation(
            id=request.reservation_id,
            charge_point_id=ticket.charge_point_id,
            connector_id=request.connector_id,
            id_tag=request.id_tag,
            parent=request.parent_id_tag or "",
            expiry=request.expiry_date,
            accepted_at=self._now(),
            state="active" if accepted else "uncertain",
        )
        receipts = [self._collections.reservations.put(reservation)]
        for transaction in self._store.open_transactions(ticket.charge_point_id):
            # The start may have come before the answer.
            if _is_later(transaction.start_received_at, ticket):
                receipts += reservations.use_if_meant(self._collections, reservation.id, transaction)
        self._tidy(ticket.charge_point_id)
        _wait(receipts)

    def _may_have_used(self, reservation: Reservation) -> Sequence[Transaction]:
        """Open transactions whose start may have used a reservation: the last ones of its connector, or of all."""
        charge_point_id, connector_id = reservation.charge_point_id, reservation.connector_id
        if connector_id:
            return self._store.open_on_connector(charge_point_id, connector_id, limit=LOOKED_AT)
        return self._store.open_transactions(charge_point_id, limit=LOOKED_AT)

    @on_outcome(v16.CancelReservation)
    def cancelled(self, ticket: Ticket[v16.CancelReservationResponse]) -> None:
        """Note that a reservation is cancelled. A used one stays used. OCPP 1.6, 5.1."""
        request: Any = ticket.request
        known = self._collections.reservations.get(
            reservations.key_of(ticket.charge_point_id, request.reservation_id)
        )
        accepted = _status(ticket) == v16.CancelReservationStatus.ACCEPTED
        if accepted and known is not None and known.state != "used":
            _wait([reservations.cancel(self._collections, known, self._now())])

    # -- Charging profiles -------------------------------------------------------------------------

    @on_outcome(v16.SetChargingProfile)
    def profile_set(self, ticket: Ticket[v16.SetChargingProfileResponse]) -> None:
        """Store a charging profile; a TxProfile belongs to the transaction in progress. OCPP 1.6, 5.16."""
        if _status(ticket) != v16.ChargingProfileStatus.ACCEPTED:
            return
        request: Any = ticket.request
        data = msgspec.json.decode(ticket.payload)["csChargingProfiles"]
        profile = self._profile(ticket, request.connector_id, request.cs_charging_profiles, data)
        if profile.purpose == profiles.TX_PROFILE and profile.transaction_id is None:
            going_on = self._store.open_on_connector(ticket.charge_point_id, profile.connector_id)
            profile = msgspec.structs.replace(profile, transaction_id=going_on[0].id if going_on else None)
        self._enter(profile)

    @on_outcome(v16.RemoteStartTransaction)
    def started_remotely(self, ticket: Ticket[v16.RemoteStartTransactionResponse]) -> None:
        """Store the charging profile of a RemoteStartTransaction, for the transaction to come. OCPP 1.6, 5.11."""
        request: Any = ticket.request
        if request.charging_profile is None or _status(ticket) != v16.RemoteStartStopStatus.ACCEPTED:
            return
        data = msgspec.json.decode(ticket.payload)["chargingProfile"]
        profile = msgspec.structs.replace(
            self._profile(ticket, request.connector_id or 0, request.charging_profile, data),
            id_tag=request.id_tag,
        )
        for transaction in self._store.open_transactions(ticket.charge_point_id):
            # The start may have come before the answer.
            if (
                transaction.id_tag.lower() == request.id_tag.lower()
                and request.connector_id in (None, transaction.connector_id)
                and _is_later(transaction.start_received_at, ticket)
            ):
                profile = profiles.given_to(profile, transaction)
                break
        self._enter(profile)

    def _profile(
        self, ticket: Ticket[Any], connector_id: int, asked: v16.ChargingProfile, data: dict[str, Any]
    ) -> ChargingProfile:
        return ChargingProfile(
            id=asked.charging_profile_id,
            charge_point_id=ticket.charge_point_id,
            connector_id=connector_id,
            stack_level=asked.stack_level,
            purpose=str(asked.charging_profile_purpose),
            accepted_at=self._now(),
            transaction_id=asked.transaction_id,
            data=data,
        )

    def _enter(self, profile: ChargingProfile) -> None:
        receipts = profiles.enter(self._collections, profile)
        self._tidy(profile.charge_point_id)
        _wait(receipts)

    @on_outcome(v16.ClearChargingProfile)
    def profile_cleared(self, ticket: Ticket[v16.ClearChargingProfileResponse]) -> None:
        """Delete the cleared profiles; the answer Unknown means that none matches either. OCPP 1.6, 5.5."""
        if _status(ticket):
            request: Any = ticket.request
            _wait(profiles.clear(self._collections, ticket.charge_point_id, request))

    # -- Local lists -------------------------------------------------------------------------------

    @on_outcome(v16.SendLocalList)
    def list_sent(self, ticket: Ticket[v16.SendLocalListResponse]) -> None:
        """Store what the list holds now, as far as that is known. OCPP 1.6, 5.15."""
        known = self._collections.local_lists.get(ticket.charge_point_id)
        believed = after_sending(known, ticket, self._now())
        if believed is not None:
            _wait([self._collections.local_lists.put(believed)])

    @on_outcome(v16.GetLocalListVersion)
    def list_version(self, ticket: Ticket[v16.GetLocalListVersionResponse]) -> None:
        """Compare the version with the stored one. OCPP 1.6, 5.10."""
        if ticket.response is not None:
            known = self._collections.local_lists.get(ticket.charge_point_id)
            version = ticket.response.list_version
            _wait(
                [
                    self._collections.local_lists.put(
                        after_asking(known, ticket.charge_point_id, version, self._now())
                    )
                ]
            )


def _status(ticket: Ticket[Any]) -> str:
    """Return the status of the answer; empty if there is none that can be used."""
    return str(ticket.response.status) if ticket.response is not None else ""


def _is_unknown(ticket: Ticket[Any]) -> bool:
    """Return whether the command was sent and its outcome is unknown."""
    return ticket.state in UNKNOWN or ticket.unreadable


def _is_later(moment: dt.datetime, ticket: Ticket[Any]) -> bool:
    return ticket.sent_at is not None and moment.timestamp() >= ticket.sent_at


def _wait(receipts: Iterable[Receipt]) -> None:
    for receipt in receipts:
        receipt.wait(STORE_S)
