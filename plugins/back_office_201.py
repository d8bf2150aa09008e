"""Back office for OCPP 2.0.1: answers every passive action of that version that no other plugin claims.

The records are those of the back office for OCPP 1.6: one list of tags, one of transactions. OCPP 2.0.1, part 2.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING, Any

import msgspec

from .. import Call, ChargePointOnline, Event, Plugin, StatusQuery, on, passive, v201
from . import charging_profiles as profiles
from . import monitors, reservations
from .kept_messages import as_sent, passive_each, with_numbers
from .missing_events import ASK_AFTER_S, MissingEvents
from .security_alerts import raise_if_critical
from .transactions_201 import Transactions201
from .verdicts_201 import Verdicts201

if TYPE_CHECKING:
    from collections.abc import Callable

    from .. import PluginSpec, Receipt, Settings, Store

PENDING = v201.RegistrationStatus.PENDING
ENDS_OF_RESERVATIONS = {
    v201.ReservationUpdateStatus.EXPIRED: "expired",
    v201.ReservationUpdateStatus.REMOVED: "cancelled",
}
"""States of reservations that their stations have ended."""
WITH_NUMBERS = (v201.NotifyChargingLimit, v201.NotifyEVChargingSchedule)
"""Messages with decimals."""
KEPT: dict[Any, tuple[str, Any]] = {
    # A free connector says nothing of its EVSE, which may have another one in use.
    v201.StatusNotification: ("status", v201.StatusNotificationResponse()),
    v201.FirmwareStatusNotification: ("firmware", v201.FirmwareStatusNotificationResponse()),
    v201.LogStatusNotification: ("log", v201.LogStatusNotificationResponse()),
    v201.NotifyChargingLimit: ("charging_limit", v201.NotifyChargingLimitResponse()),
    v201.PublishFirmwareStatusNotification: (
        "publish_firmware",
        v201.PublishFirmwareStatusNotificationResponse(),
    ),
    # A plugin of the user answers those of its vendors, and has a certificate authority.
    v201.DataTransfer: (
        "data_transfer",
        v201.DataTransferResponse(status=v201.DataTransferStatus.UNKNOWN_VENDOR_ID),
    ),
    v201.SignCertificate: (
        "sign_certificate",
        v201.SignCertificateResponse(status=v201.GenericStatus.REJECTED),
    ),
    # No charging profile follows from here.
    v201.NotifyEVChargingNeeds: (
        "charging_needs",
        v201.NotifyEVChargingNeedsResponse(status=v201.NotifyEVChargingNeedsStatus.REJECTED),
    ),
    v201.NotifyEVChargingSchedule: (
        "charging_schedule",
        v201.NotifyEVChargingScheduleResponse(status=v201.GenericStatus.ACCEPTED),
    ),
}
"""Messages that are only stored, by request: kinds of their events, and their answers."""


class BackOffice201(Plugin):
    """Answers to stations of OCPP 2.0.1 from the store.

    The options are those of the back office for OCPP 1.6. With `accept_all_tags` a token that the store does not know
    is Accepted, else Unknown. `ask_after_s` after an end with a hole in the events before it, the station is asked
    once for the state of the transaction: the question is stored, and outlives the process. Tags whose parent is the
    `master_pass_group` may stop every transaction, and start none (C16). Events of the device model raise alerts if
    they are at least as severe as `alert_severity`, from 0, danger, to 9; -1 for none.
    """

    def __init__(
        self,
        store: Store,
        *,
        heartbeat_interval_s: int = 300,
        heartbeat_spread: float = 0.1,
        accept_all_tags: bool = True,
        concurrent_transactions: bool = True,
        naive_zone: dt.tzinfo | None = dt.UTC,
        registration: str = "Accepted",
        approval: bool = False,
        fallback_id_tag_status: str = "Accepted",
        master_pass_group: str = "",
        alert_severity: int = 4,
        ask_after_s: float = ASK_AFTER_S,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC).replace(microsecond=0),
    ) -> None:
        super().__init__()
        self._store = store
        self._interval_s = heartbeat_interval_s
        self._spread = heartbeat_spread
        self._approval = approval
        self._registration = v201.RegistrationStatus(registration)
        self._alert_severity = alert_severity
        self._now = now
        self._missing = MissingEvents(store, ask=self._ask, is_here=self._is_here, ask_after_s=ask_after_s)
        self._verdicts = Verdicts201(
            store,
            accept_all_tags=accept_all_tags,
            concurrent_transactions=concurrent_transactions,
            master_pass_group=master_pass_group,
            now=now,
        )
        self._transactions = Transactions201(
            store,
            self._verdicts,
            self._missing,
            naive_zone=naive_zone,
            fallback_id_tag_status=fallback_id_tag_status,
            master_pass_group=master_pass_group,
        )

    @classmethod
    def bundled(cls, settings: Settings, store: Store) -> PluginSpec | None:
        """Make the spec of this plugin in a system with these settings; None if they switch it off."""
        office = settings.back_office
        if not office.enabled:
            return None
        return cls.spec(
            store,
            heartbeat_interval_s=office.heartbeat_interval_s,
            heartbeat_spread=office.heartbeat_spread,
            accept_all_tags=office.accept_all_tags,
            concurrent_transactions=office.concurrent_transactions,
            naive_zone=settings.naive_zone,
            registration=office.registration,
            approval=settings.auth.unknown == "ask",
            fallback_id_tag_status=settings.deadlines.fallback_id_tag_status,
            master_pass_group=office.master_pass_group,
            alert_severity=settings.events.alert_severity,
            name="back-office-201",
        )

    def on_start(self) -> None:
        """Wait again with the questions to stations that are connected: this plugin may have been restarted."""
        self._missing.start()

    def on_stop(self) -> None:
        """End the waits for events that are missing."""
        self._missing.stop()

    # -- Registration and life -------------------------------------------------------------------

    @passive(v201.BootNotification)
    def boot(self, call: Call[v201.BootNotification]) -> v201.BootNotificationResponse:
        """Register the station, and answer with the time and its heartbeat interval."""
        self._note(call, "boot")
        if not call.asked_for:  # else it is no sign of a restart
            self._store.transaction_over(call.charge_point.id, None, call.received_at, call.action)
        interval = round(self._interval_s * (1 - self._spread * random.random()))  # noqa: S311 - no secret
        return v201.BootNotificationResponse(
            status=PENDING if self._waits(call) else self._registration,
            current_time=self._now(),
            interval=interval,
        )

    @passive(v201.Heartbeat)
    def heartbeat(self, _: Call[v201.Heartbeat]) -> v201.HeartbeatResponse:
        """Answer with the time."""
        return v201.HeartbeatResponse(current_time=self._now())

    # -- Tokens ------------------------------------------------------------------------------------

    @passive(v201.Authorize)
    def authorize(self, call: Call[v201.Authorize]) -> v201.AuthorizeResponse:
        """Answer from the tags of the store.

        A certificate cannot be checked here, so it is not accepted: a plugin with an authority checks it, and passes
        the call on without it. OCPP 2.0.1, C07.
        """
        request = call.request
        if request.certificate is not None or request.iso15118_certificate_hash_data is not None:
            return v201.AuthorizeResponse(
                id_token_info=v201.IdTokenInfo(status=v201.AuthorizationStatus.INVALID),
                certificate_status=v201.AuthorizeCertificateStatus.NO_CERTIFICATE_AVAILABLE,
            )
        return v201.AuthorizeResponse(id_token_info=self._verdicts.judge(request.id_token))

    # -- Transactions ------------------------------------------------------------------------------

    @passive(v201.TransactionEvent)
    def transaction_event(self, call: Call[v201.TransactionEvent]) -> v201.TransactionEventResponse:
        """Keep an event, and what it tells of its transaction; one that comes again changes nothing."""
        return self._transactions.event(call)

    @passive(v201.MeterValues)
    def meter_values(self, call: Call[v201.MeterValues]) -> v201.MeterValuesResponse:
        """Store meter values of an EVSE, which belong to no transaction."""
        return self._transactions.meter_values(call)

    @on(ChargePointOnline)
    def online(self, event: ChargePointOnline) -> None:
        """Ask what has not been asked yet: the process ended before, or the station was away."""
        self._missing.came_online(event.charge_point_id)

    def _is_here(self, charge_point_id: str) -> bool:
        charge_point = self.system.charge_point(charge_point_id)
        return charge_point is not None and charge_point.connected

    def _ask(self, query: StatusQuery) -> None:
        """Ask a station for the state of a transaction, and whether messages of it wait."""
        request = v201.GetTransactionStatus(transaction_id=query.remote_id)
        self.system.send(query.charge_point_id, request, when_offline="queue")

    @passive(v201.ReservationStatusUpdate)
    def reservation(self, call: Call[v201.ReservationStatusUpdate]) -> v201.ReservationStatusUpdateResponse:
        """Store the end of a reservation, and note that it is over."""
        self._note(call, "reservation")
        request, collections = call.request, self._store.collections
        known = collections.reservations.get(
            reservations.key_of(call.charge_point.id, request.reservation_id)
        )
        response = v201.ReservationStatusUpdateResponse()
        if known is None or known.state not in reservations.WAITING:
            return response
        state = ENDS_OF_RESERVATIONS[request.reservation_update_status]
        return call.once_stored(response, reservations.end(collections, known, state, call.received_at))

    # -- Everything else ---------------------------------------------------------------------------

    @passive(v201.Get15118EVCertificate)
    def vehicle_certificate(self, _: Call[v201.Get15118EVCertificate]) -> v201.Get15118EVCertificateResponse:
        """Answer Failed: no certificate pool is known here."""
        return v201.Get15118EVCertificateResponse(
            status=v201.Iso15118EVCertificateStatus.FAILED, exi_response=""
        )

    @passive(v201.GetCertificateStatus)
    def certificate_status(self, _: Call[v201.GetCertificateStatus]) -> v201.GetCertificateStatusResponse:
        """Answer Failed: no OCSP responder is asked here."""
        return v201.GetCertificateStatusResponse(status=v201.GetCertificateStatusResult.FAILED)

    @passive(v201.NotifyEvent)
    def event(self, call: Call[v201.NotifyEvent]) -> v201.NotifyEventResponse:
        """Keep each event of the device model, with the severity of its monitor; raise alerts of severe ones."""
        charge_point_id, receipts = call.charge_point.id, []
        for one in call.request.event_data:
            data = msgspec.to_builtins(one)
            severity = monitors.severity_of(
                self._store.collections, charge_point_id, one.variable_monitoring_id
            )
            if severity is not None:
                data["severity"] = severity
            receipts.append(self._add_event(call, "device_event", data))
            if monitors.is_alert(one, severity, self._alert_severity):
                subject, text = monitors.described(one)
                receipts.append(
                    self.system.raise_alert(
                        charge_point_id,
                        severity=severity,
                        source="monitor",
                        subject=subject,
                        text=text,
                        data=data,
                    )
                )
        return call.once_stored(v201.NotifyEventResponse(), *receipts)

    @passive(v201.ClearedChargingLimit)
    def limit_cleared(self, call: Call[v201.ClearedChargingLimit]) -> v201.ClearedChargingLimitResponse:
        """Store that a limit of somebody else is over, and forget the profiles of it that were reported."""
        self._note(call, "charging_limit_cleared")
        request = call.request
        source = "" if request.charging_limit_source == profiles.OURS else str(request.charging_limit_source)
        receipts = profiles.limit_cleared(
            self._store.collections, call.charge_point.id, source, request.evse_id
        )
        return call.once_stored(v201.ClearedChargingLimitResponse(), *receipts)

    @passive(v201.SecurityEventNotification)
    def security(self, call: Call[v201.SecurityEventNotification]) -> v201.SecurityEventNotificationResponse:
        """Store a security event; a critical one raises an alert."""
        self._note(call, "security")
        raise_if_critical(self.system, call, v201.CRITICAL_SECURITY_EVENTS)
        return v201.SecurityEventNotificationResponse()

    @passive_each(KEPT)
    def keep(self, call: Call[Any]) -> Any:
        """Store a message as an event, and give the answer of the table: nothing else is done about it here."""
        kind, answer = KEPT[type(call.request)]
        self._note(call, kind)
        return answer

    def _waits(self, call: Call[Any]) -> bool:
        applicant = self._store.collections.applicants.get(call.charge_point.id) if self._approval else None
        return applicant is not None and applicant.state != "approved"

    def _note(self, call: Call[Any], kind: str) -> Receipt:
        if call.deviations:
            data = as_sent(call)
        elif type(call.request) in WITH_NUMBERS:
            data = with_numbers(call.request)
        else:
            data = msgspec.to_builtins(call.request)
        return self._add_event(call, kind, data)

    def _add_event(self, call: Call[Any], kind: str, data: dict[str, Any]) -> Receipt:
        return self._store.add_event(
            Event(charge_point_id=call.charge_point.id, kind=kind, received_at=call.received_at, data=data)
        )
