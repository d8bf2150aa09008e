"""Accepted state of charge points: reservations, charging profiles, monitors, messages of displays and more.

The plugin answers and sends nothing; it handles the outcomes of commands and stores what was accepted. The back office
reports which start used a reservation, and when the profiles of a transaction end.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from .. import (
    ChargePointOnline,
    ChargingProfile,
    NetworkProfile,
    Plugin,
    Reservation,
    TicketState,
    on,
    on_outcome,
    v16,
    v201,
)
from . import charging_profiles as profiles
from . import display_messages, installed_certificates, monitors, reservations
from .local_lists import after_asking, after_sending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .. import PluginSpec, Receipt, Settings, Store, Ticket, Transaction

STORE_S = 30.0
"""Seconds that the store has to persist a fact; a failure is logged."""

LOOKED_AT = 20
"""Open transactions among which that of a reservation or of a profile is looked for, the last ones."""

ACCEPTED = "Accepted"
"""Status of an answer that means yes, in every action and version."""

NOT_FOUND = "NotFound"
"""Status of an answer to DeleteCertificate: there is no such certificate."""

ANY = v201.ClearChargingProfileCriteria()
"""Criteria that every charging profile meets."""

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

    @on(ChargePointOnline)
    def online(self, event: ChargePointOnline) -> None:
        """Delete records that ended long ago."""
        self._tidy(event.charge_point_id)

    def _tidy(self, charge_point_id: str) -> None:
        now = self._now()
        reservations.tidy(self._collections, charge_point_id, now)
        profiles.tidy(self._collections, charge_point_id, now)

    # -- Reservations ------------------------------------------------------------------------------

    @on_outcome(v16.ReserveNow)
    def reserved(self, ticket: Ticket[v16.ReserveNowResponse]) -> None:
        """Store a reservation, replacing the one with its number. OCPP 1.6, 5.13."""
        request: Any = ticket.request
        parent = request.parent_id_tag or ""
        self._reserve(
            ticket, request.reservation_id, request.connector_id, request.id_tag, parent, request.expiry_date
        )

    @on_outcome(v201.ReserveNow)
    def reserved_evse(self, ticket: Ticket[v201.ReserveNowResponse]) -> None:
        """Store a reservation, replacing the one with its number. OCPP 2.0.1, H01."""
        request: Any = ticket.request
        group = request.group_id_token.id_token if request.group_id_token is not None else ""
        token = request.id_token
        self._reserve(
            ticket,
            request.id,
            request.evse_id or 0,
            token.id_token,
            group,
            request.expiry_date_time,
            ""
            if token.type == v201.IdTokenType.CENTRAL
            else str(token.type),  # how one without a type is sent
            str(request.connector_type or ""),
        )

    def _reserve(
        self,
        ticket: Ticket[Any],
        number: int,
        connector_id: int,
        id_tag: str,
        parent: str,
        expiry: dt.datetime,
        id_type: str = "",
        connector_type: str = "",
    ) -> None:
        accepted = _status(ticket) == ACCEPTED
        if not accepted and not _is_unknown(ticket):
            return
        reservation = Reservation(
            id=number,
            charge_point_id=ticket.charge_point_id,
            connector_id=connector_id,
            id_tag=id_tag,
            parent=parent,
            id_type=id_type,
            connector_type=connector_type,
            expiry=expiry,
            accepted_at=self._now(),
            state="active" if accepted else "uncertain",
        )
        receipts = [self._collections.reservations.put(reservation)]
        for transaction in self._begun_since(ticket):
            receipts += reservations.use_if_meant(self._collections, reservation.id, transaction)
        self._tidy(ticket.charge_point_id)
        _wait(receipts)

    def _begun_since(self, ticket: Ticket[Any]) -> list[Transaction]:
        """List open transactions whose start came after a command was sent: before its answer, which came just now."""
        begun = self._store.open_transactions(ticket.charge_point_id, limit=LOOKED_AT)
        sent_at = ticket.sent_at
        return [one for one in begun if sent_at is not None and one.start_received_at.timestamp() >= sent_at]

    @on_outcome("CancelReservation")
    def cancelled(self, ticket: Ticket[Any]) -> None:
        """Note that a reservation is cancelled. A used one stays used. OCPP 1.6, 5.1; OCPP 2.0.1, H02."""
        request: Any = ticket.request
        known = self._collections.reservations.get(
            reservations.key_of(ticket.charge_point_id, request.reservation_id)
        )
        if _status(ticket) == ACCEPTED and known is not None and known.state != "used":
            _wait([reservations.cancel(self._collections, known, self._now())])

    # -- Charging profiles -------------------------------------------------------------------------

    @on_outcome(v16.SetChargingProfile)
    def profile_set(self, ticket: Ticket[v16.SetChargingProfileResponse]) -> None:
        """Store a charging profile; a TxProfile belongs to the transaction in progress. OCPP 1.6, 5.16."""
        if _status(ticket) != ACCEPTED:
            return
        request: Any = ticket.request
        data = msgspec.json.decode(ticket.payload)["csChargingProfiles"]
        asked = request.cs_charging_profiles
        profile = self._profile(
            ticket, request.connector_id, asked.charging_profile_id, asked, data, asked.transaction_id
        )
        if profile.purpose == profiles.TX_PROFILE and profile.transaction_id is None:
            going_on = self._store.open_on_connector(ticket.charge_point_id, profile.connector_id)
            profile = msgspec.structs.replace(profile, transaction_id=going_on[0].id if going_on else None)
        self._enter(profile)

    @on_outcome(v201.SetChargingProfile)
    def evse_profile_set(self, ticket: Ticket[v201.SetChargingProfileResponse]) -> None:
        """Store a charging profile; a TxProfile names its transaction. OCPP 2.0.1, K01."""
        if _status(ticket) != ACCEPTED:
            return
        request: Any = ticket.request
        data = msgspec.json.decode(ticket.payload)["chargingProfile"]
        asked = request.charging_profile
        transaction = self._named(ticket, asked.transaction_id)
        if transaction is None:
            self._enter(self._profile(ticket, request.evse_id, asked.id, asked, data, None))
        elif transaction.open:
            self._enter(self._profile(ticket, request.evse_id, asked.id, asked, data, transaction.id))

    @on_outcome(v16.RemoteStartTransaction)
    def started_remotely(self, ticket: Ticket[v16.RemoteStartTransactionResponse]) -> None:
        """Store the charging profile of a RemoteStartTransaction, for the transaction to come. OCPP 1.6, 5.11."""
        request: Any = ticket.request
        asked = request.charging_profile
        if asked is None or _status(ticket) != ACCEPTED:
            return
        data = msgspec.json.decode(ticket.payload)["chargingProfile"]
        place, number = request.connector_id or 0, asked.charging_profile_id
        profile = self._profile(ticket, place, number, asked, data, asked.transaction_id)
        self._enter(self._for_start(ticket, msgspec.structs.replace(profile, id_tag=request.id_tag)))

    @on_outcome(v201.RequestStartTransaction)
    def start_requested(self, ticket: Ticket[v201.RequestStartTransactionResponse]) -> None:
        """Store the charging profile of a RequestStartTransaction, for its transaction. OCPP 2.0.1, F01 and F02."""
        request: Any = ticket.request
        asked = request.charging_profile
        if asked is None or _status(ticket) != ACCEPTED:
            return
        data = msgspec.json.decode(ticket.payload)["chargingProfile"]
        profile = self._profile(ticket, request.evse_id or 0, asked.id, asked, data, None)
        profile = msgspec.structs.replace(profile, id_tag=request.id_token.id_token)
        running = self._named(ticket, ticket.response.transaction_id if ticket.response is not None else None)
        if running is None:
            self._enter(self._for_start(ticket, profile))
        elif running.open:
            self._enter(profiles.given_to(profile, running))

    def _named(self, ticket: Ticket[Any], remote_id: str | None) -> Transaction | None:
        """Find the transaction that a station knows by an id of its own; may switch greenlets."""
        if remote_id is None:
            return None
        return self._store.remote_transaction(ticket.charge_point_id, remote_id)

    def _for_start(self, ticket: Ticket[Any], profile: ChargingProfile) -> ChargingProfile:
        """Return the profile of a remote start; its transaction may have begun before the answer."""
        for transaction in self._begun_since(ticket):
            if profiles.waits_for(profile, transaction):
                return profiles.given_to(profile, transaction)
        return profile

    def _profile(
        self,
        ticket: Ticket[Any],
        place: int,
        number: int,
        asked: v16.ChargingProfile | v201.ChargingProfile,
        data: dict[str, Any],
        transaction_id: int | None,
    ) -> ChargingProfile:
        """Make the record of a profile at a connector, or at an EVSE."""
        return ChargingProfile(
            id=number,
            charge_point_id=ticket.charge_point_id,
            connector_id=place,
            stack_level=asked.stack_level,
            purpose=str(asked.charging_profile_purpose),
            accepted_at=self._now(),
            transaction_id=transaction_id,
            data=data,
        )

    def _enter(self, profile: ChargingProfile) -> None:
        receipts = profiles.enter(self._collections, profile)
        self._tidy(profile.charge_point_id)
        _wait(receipts)

    @on_outcome(v16.ClearChargingProfile)
    def profile_cleared(self, ticket: Ticket[v16.ClearChargingProfileResponse]) -> None:
        """Delete the cleared profiles; the answer Unknown means that none matches either. OCPP 1.6, 5.5."""
        request: Any = ticket.request
        self._clear(
            ticket,
            request.id,
            request.connector_id,
            request.charging_profile_purpose,
            request.stack_level,
        )

    @on_outcome(v201.ClearChargingProfile)
    def evse_profile_cleared(self, ticket: Ticket[v201.ClearChargingProfileResponse]) -> None:
        """Delete the cleared profiles; the answer Unknown means that none matches either. OCPP 2.0.1, K10."""
        request: Any = ticket.request
        sought = request.charging_profile_criteria or ANY
        self._clear(
            ticket,
            request.charging_profile_id,
            sought.evse_id,
            sought.charging_profile_purpose,
            sought.stack_level,
        )

    def _clear(
        self,
        ticket: Ticket[Any],
        number: int | None,
        place: int | None,
        purpose: str | None,
        stack_level: int | None,
    ) -> None:
        if _status(ticket):
            _wait(
                profiles.clear(self._collections, ticket.charge_point_id, number, place, purpose, stack_level)
            )

    @on_outcome(v201.GetChargingProfiles)
    def no_profiles(self, ticket: Ticket[v201.GetChargingProfilesResponse]) -> None:
        """Delete the profiles that were asked for if the station has none of them. OCPP 2.0.1, K09."""
        if _status(ticket) == v201.GetChargingProfileStatus.NO_PROFILES:
            request: Any = ticket.request
            _wait(
                profiles.keep_only(
                    self._collections, ticket.charge_point_id, (), request, self._sent_at(ticket)
                )
            )

    # -- Monitors, displays and networks -----------------------------------------------------------

    @on_outcome(v201.SetVariableMonitoring)
    def monitors_set(self, ticket: Ticket[v201.SetVariableMonitoringResponse]) -> None:
        """Note the monitors that were accepted, by the numbers that the station gave them. OCPP 2.0.1, N04."""
        request: Any = ticket.request
        if ticket.response is not None:
            results = ticket.response.set_monitoring_result
            _wait(monitors.put(self._collections, request, results, ticket.charge_point_id, self._now()))

    @on_outcome(v201.ClearVariableMonitoring)
    def monitors_cleared(self, ticket: Ticket[v201.ClearVariableMonitoringResponse]) -> None:
        """Forget the monitors that were cleared. OCPP 2.0.1, N06."""
        if ticket.response is not None:
            results = ticket.response.clear_monitoring_result
            _wait(monitors.clear(self._collections, ticket.charge_point_id, results))

    @on_outcome(v201.SetMonitoringBase)
    def monitors_chosen(self, ticket: Ticket[v201.SetMonitoringBaseResponse]) -> None:
        """Forget the monitors that were set from here when the station goes back to its maker's. OCPP 2.0.1, N05."""
        request: Any = ticket.request
        if _status(ticket) == ACCEPTED and request.monitoring_base != v201.MonitoringBase.ALL:
            _wait(monitors.forget_ours(self._collections, ticket.charge_point_id))

    @on_outcome(v201.GetMonitoringReport)
    def no_monitors(self, ticket: Ticket[v201.GetMonitoringReportResponse]) -> None:
        """Forget the monitors that were asked for if the station has none of them. OCPP 2.0.1, N02."""
        if _status(ticket) == v201.GenericDeviceModelStatus.EMPTY_RESULT_SET:
            _wait(
                monitors.keep_only(
                    self._collections, ticket.charge_point_id, (), ticket.request, self._sent_at(ticket)
                )
            )

    @on_outcome(v201.SetDisplayMessage)
    def message_set(self, ticket: Ticket[v201.SetDisplayMessageResponse]) -> None:
        """Note a message that the station shows. OCPP 2.0.1, O01, O02 and O06."""
        request: Any = ticket.request
        if _status(ticket) == ACCEPTED:
            message = request.message
            transaction = self._named(ticket, message.transaction_id)
            if transaction is not None and not transaction.open:
                return
            _wait(
                display_messages.put(
                    self._collections, ticket.charge_point_id, message, transaction, self._now()
                )
            )

    @on_outcome(v201.ClearDisplayMessage)
    def message_cleared(self, ticket: Ticket[v201.ClearDisplayMessageResponse]) -> None:
        """Forget a message; the answer Unknown means that there is none either. OCPP 2.0.1, O05."""
        request: Any = ticket.request
        if _status(ticket):
            _wait([display_messages.remove(self._collections, ticket.charge_point_id, request.id)])

    @on_outcome(v201.GetDisplayMessages)
    def no_messages(self, ticket: Ticket[v201.GetDisplayMessagesResponse]) -> None:
        """Forget the messages that were asked for if the station has none of them. OCPP 2.0.1, O03 and O04."""
        if _status(ticket) == v201.GetDisplayMessagesStatus.UNKNOWN:
            _wait(
                display_messages.keep_only(
                    self._collections, ticket.charge_point_id, (), ticket.request, self._sent_at(ticket)
                )
            )

    @on_outcome(v201.SetNetworkProfile)
    def network_set(self, ticket: Ticket[v201.SetNetworkProfileResponse]) -> None:
        """Note a network profile that the station has stored, without its secrets. OCPP 2.0.1, B09."""
        request: Any = ticket.request
        if _status(ticket) == ACCEPTED:
            shown = request.__action__.shown(request)
            record = NetworkProfile(
                slot=request.configuration_slot,
                charge_point_id=ticket.charge_point_id,
                accepted_at=self._now(),
                data=msgspec.to_builtins(shown.connection_data),
            )
            _wait([self._collections.network_profiles.put(record)])

    def _sent_at(self, ticket: Ticket[Any]) -> dt.datetime:
        """Return when a command was sent: what was accepted since then its answer does not know."""
        sent_at = ticket.sent_at
        return self._now() if sent_at is None else dt.datetime.fromtimestamp(sent_at, dt.UTC)

    # -- Local lists -------------------------------------------------------------------------------

    @on_outcome("SendLocalList")
    def list_sent(self, ticket: Ticket[Any]) -> None:
        """Store what the list holds now, as far as that is known. OCPP 1.6, 5.15; OCPP 2.0.1, D01 and D02."""
        known = self._collections.local_lists.get(ticket.charge_point_id)
        believed = after_sending(known, ticket, self._now())
        if believed is not None:
            _wait([self._collections.local_lists.put(believed)])

    @on_outcome(v16.GetLocalListVersion)
    def list_version(self, ticket: Ticket[v16.GetLocalListVersionResponse]) -> None:
        """Compare the version with the stored one. OCPP 1.6, 5.10."""
        if ticket.response is not None:
            self._compare(ticket, ticket.response.list_version)

    @on_outcome(v201.GetLocalListVersion)
    def list_number(self, ticket: Ticket[v201.GetLocalListVersionResponse]) -> None:
        """Compare the version with the stored one. OCPP 2.0.1, D03."""
        if ticket.response is not None:
            self._compare(ticket, ticket.response.version_number)

    def _compare(self, ticket: Ticket[Any], version: int) -> None:
        lists = self._collections.local_lists
        known = lists.get(ticket.charge_point_id)
        _wait([lists.put(after_asking(known, ticket.charge_point_id, version, self._now()))])

    # -- Certificates ------------------------------------------------------------------------------

    @on_outcome("InstallCertificate")
    def certificate_installed(self, ticket: Ticket[Any]) -> None:
        """Note a certificate that was installed. White paper, 5.11; OCPP 2.0.1, M05."""
        accepted = _status(ticket) == ACCEPTED
        if accepted or _is_unknown(ticket):
            now = self._now()
            _wait(
                installed_certificates.install(
                    self._collections, ticket.charge_point_id, ticket.request, now, certain=accepted
                )
            )

    @on_outcome("DeleteCertificate")
    def certificate_deleted(self, ticket: Ticket[Any]) -> None:
        """Forget a certificate that was deleted, or is not there. White paper, 5.3; OCPP 2.0.1, M04."""
        gone = _status(ticket) in (ACCEPTED, NOT_FOUND)
        if gone or _is_unknown(ticket):
            _wait(
                installed_certificates.delete(
                    self._collections, ticket.charge_point_id, ticket.request, certain=gone
                )
            )

    @on_outcome(v16.GetInstalledCertificateIds)
    def certificates_told(self, ticket: Ticket[v16.GetInstalledCertificateIdsResponse]) -> None:
        """Note which certificates of one use are installed. White paper, 5.7."""
        request: Any = ticket.request
        if ticket.response is not None:
            use = str(request.certificate_type)
            told = [(use, name) for name in ticket.response.certificate_hash_data or ()]
            self._report(ticket, [use], told)

    @on_outcome(v201.GetInstalledCertificateIds)
    def chains_told(self, ticket: Ticket[v201.GetInstalledCertificateIdsResponse]) -> None:
        """Note which certificates are installed, of the uses that were asked for. OCPP 2.0.1, M03."""
        request: Any = ticket.request
        if ticket.response is not None:
            uses = [str(use) for use in request.certificate_type or v201.GetCertificateIdUse]
            chains = ticket.response.certificate_hash_data_chain or ()
            told = [(str(one.certificate_type), one.certificate_hash_data) for one in chains]
            self._report(ticket, uses, [one for one in told if one[0] in uses])

    def _report(self, ticket: Ticket[Any], uses: list[str], told: list[tuple[str, Any]]) -> None:
        _wait(
            installed_certificates.report(self._collections, ticket.charge_point_id, uses, told, self._now())
        )


def _status(ticket: Ticket[Any]) -> str:
    """Return the status of the answer; empty if there is none that can be used."""
    return str(ticket.response.status) if ticket.response is not None else ""


def _is_unknown(ticket: Ticket[Any]) -> bool:
    """Return whether the command was sent and its outcome is unknown."""
    return ticket.state in UNKNOWN or ticket.unreadable


def _wait(receipts: Iterable[Receipt]) -> None:
    for receipt in receipts:
        receipt.wait(STORE_S)
