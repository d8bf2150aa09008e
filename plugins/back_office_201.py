"""Back office for OCPP 2.0.1: answers every passive action of that version that no other plugin claims.

The records are those of the back office for OCPP 1.6: one list of tags, one of transactions. Every event of a
transaction is kept as it was sent, and answered when it is durable; events may come in any order, late and again.
A doubtful one is flagged, never refused. OCPP 2.0.1, part 2.
"""

from __future__ import annotations

import datetime as dt
import random
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from .. import (
    Call,
    ChargePointOnline,
    Event,
    MeterReading,
    Plugin,
    StatusQuery,
    StopFigures,
    TooManyStops,
    Transaction,
    on,
    passive,
    take_stop,
    v201,
)
from . import charging_profiles as profiles
from . import reservations, tokens
from .kept_messages import as_sent, flags_of, passive_each, reasons, same_time, utc
from .missing_events import ASK_AFTER_S, MissingEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .. import PluginSpec, Receipt, Settings, Store, Tag

VERSION_NAME = v201.VERSION.name
"""Version of OCPP of all records here."""
NO_START = "its start has not come"
"""Flag of a transaction of which only later events have come."""
REGISTER, INTERVAL, POWER = (
    v201.Measurand.ENERGY_ACTIVE_IMPORT_REGISTER,
    v201.Measurand.ENERGY_ACTIVE_IMPORT_INTERVAL,
    v201.Measurand.POWER_ACTIVE_IMPORT,
)
WH, W = ("Wh", "kWh", None), ("W", "kW", None)
UNITS = {REGISTER: WH, INTERVAL: WH, POWER: W, None: WH}
"""Usual units of the quantities that tell of energy."""
LARGE = 10**12
STATUSES = {str(status): status for status in v201.AuthorizationStatus}
EMPTY = v201.TransactionEventResponse()
ENDS_OF_RESERVATIONS = {
    v201.ReservationUpdateStatus.EXPIRED: "expired",
    v201.ReservationUpdateStatus.REMOVED: "cancelled",
}
"""States of reservations that their stations have ended."""
_adapter: Any = v201.VERSION.local_lists
_stop_facts: Any = v201.TransactionEvent.__action__.stop
_identity_of: Any = v201.TransactionEvent.__action__.identity


KEPT: dict[Any, tuple[str, Any]] = {
    # A free connector says nothing of its EVSE, which may have another one in use.
    v201.StatusNotification: ("status", v201.StatusNotificationResponse()),
    v201.ClearedChargingLimit: ("charging_limit_cleared", v201.ClearedChargingLimitResponse()),
    v201.FirmwareStatusNotification: ("firmware", v201.FirmwareStatusNotificationResponse()),
    v201.LogStatusNotification: ("log", v201.LogStatusNotificationResponse()),
    v201.NotifyChargingLimit: ("charging_limit", v201.NotifyChargingLimitResponse()),
    v201.NotifyDisplayMessages: ("display_messages", v201.NotifyDisplayMessagesResponse()),
    v201.NotifyMonitoringReport: ("monitoring_report", v201.NotifyMonitoringReportResponse()),
    v201.NotifyReport: ("report", v201.NotifyReportResponse()),
    v201.PublishFirmwareStatusNotification: (
        "publish_firmware",
        v201.PublishFirmwareStatusNotificationResponse(),
    ),
    v201.ReportChargingProfiles: ("charging_profiles", v201.ReportChargingProfilesResponse()),
    v201.SecurityEventNotification: ("security", v201.SecurityEventNotificationResponse()),
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


def _info_of(tag: Tag) -> Any:
    """Return what a station is told of a tag, whether it asks or has it in its local list."""
    return _adapter.info(_adapter.entry(tag))


def _is_of(token: v201.IdToken, known: Transaction) -> bool:
    """Return whether a token is the one that a transaction has."""
    return tokens.same(token.id_token, str(token.type), known.id_tag, known.id_type)


def _seem_usable(meter_values: Iterable[v201.MeterValue]) -> bool:
    """Tell quickly if the values of energy and power are figures in the usual units; others are only shown."""
    for one in meter_values:
        for sampled in one.sampled_value:
            units = UNITS.get(sampled.measurand)
            if units is None:
                continue
            measure = sampled.unit_of_measure
            if measure is not None and (measure.multiplier or measure.unit not in units):
                return False
            if not -LARGE < sampled.value < LARGE:
                return False
    return True


class BackOffice201(Plugin):
    """Answers to stations of OCPP 2.0.1 from the store.

    The options are those of the back office for OCPP 1.6. With `accept_all_tags` a token that the store does not know
    is Accepted, else Unknown. `ask_after_s` after an end with a hole in the events before it, the station is asked
    once for the state of the transaction: the question is stored, and outlives the process. Tags whose parent is the
    `master_pass_group` may stop every transaction, and start none (C16).
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
        fallback_id_tag_status: str = "Accepted",
        master_pass_group: str = "",
        ask_after_s: float = ASK_AFTER_S,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC).replace(microsecond=0),
    ) -> None:
        super().__init__()
        self._store = store
        self._collections = store.collections
        self._facts = store.collections.over_facts
        self._interval_s = heartbeat_interval_s
        self._spread = heartbeat_spread
        self._accept_all_tags = accept_all_tags
        self._concurrent_transactions = concurrent_transactions
        self._naive_zone = naive_zone
        self._registration = v201.RegistrationStatus(registration)
        self._fallback_id_tag_status = fallback_id_tag_status
        self._master_pass_group = master_pass_group
        self._missing = MissingEvents(store, ask=self._ask, is_here=self._is_here, ask_after_s=ask_after_s)
        self._now = now
        # Transactions whose record is not known to be durable: it is handed over again with each of their events.
        self._unsure: dict[int, Receipt] = {}
        # The same for what later events told of it.
        self._amending: dict[int, Receipt] = {}

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
            fallback_id_tag_status=settings.deadlines.fallback_id_tag_status,
            master_pass_group=office.master_pass_group,
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
            status=self._registration, current_time=self._now(), interval=interval
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
        return v201.AuthorizeResponse(id_token_info=self._judge(request.id_token))

    def _judge(self, token: v201.IdToken) -> v201.IdTokenInfo:
        status = v201.AuthorizationStatus
        if token.type == v201.IdTokenType.NO_AUTHORIZATION:
            return v201.IdTokenInfo(status=status.ACCEPTED)
        tag = self._collections.tag_of(token.id_token, token.type)
        if tag is None:
            return v201.IdTokenInfo(status=status.ACCEPTED if self._accept_all_tags else status.UNKNOWN)
        info: v201.IdTokenInfo = _info_of(tag)
        if info.status is status.ACCEPTED and tag.expiry is not None and tag.expiry <= self._now():
            info = msgspec.structs.replace(info, status=status.EXPIRED)
        return info

    def _judge_start(self, token: v201.IdToken, number: int) -> v201.IdTokenInfo:
        """Return the verdict on the token of a start.

        One that is charging already may get ConcurrentTx; a master pass starts nothing, it is Invalid. OCPP 2.0.1, C16.
        """
        info, text, kind = self._judge(token), token.id_token, token.type
        status = v201.AuthorizationStatus
        if info.status is not status.ACCEPTED or not text:
            return info
        if tokens.is_master_pass(self._collections, text, kind, self._master_pass_group):
            return msgspec.structs.replace(info, status=status.INVALID)
        if self._concurrent_transactions:
            return info
        if self._store.charging_with_tag(text, besides=number, id_type=str(kind)) is not None:
            return msgspec.structs.replace(info, status=status.CONCURRENT_TX)
        return info

    # -- Transactions ------------------------------------------------------------------------------

    @passive(v201.TransactionEvent)
    def transaction_event(self, call: Call[v201.TransactionEvent]) -> v201.TransactionEventResponse:
        """Keep an event, and what it tells of its transaction; one that comes again changes nothing."""
        request, charge_point_id = call.request, call.charge_point.id
        receipts: list[Receipt] = []
        known = self._store.remote_transaction(charge_point_id, request.transaction_info.transaction_id)
        if known is None:
            # From here on nothing switches greenlets: of two starts of one token the second sees the first.
            known = self._begun(call)
            self._over(call, known)
            receipts.append(self._unsure_of(known))
            self._use_reservation(known, receipts)
            if request.event_type == v201.TransactionEventType.STARTED:
                self._missing.begin(known.id, request.seq_no)
        else:
            known = self._told_more(call, known, receipts)
        call.transaction_id = known.id
        whole = self._missing.go_on(known.id, request.seq_no)
        ends = request.event_type == v201.TransactionEventType.ENDED
        if known.open:  # before its end, or it would be a correction
            receipts += self._keep(call, known)
            if ends:
                receipts += self._ended(call, known)
                if not whole:
                    receipts.append(self._missing.ask_later(known))
            elif charge_point_id in self._facts.by_charge_point and not request.offline:
                self._store.transaction_alive(known.id, call.received_at)
        else:
            if ends:
                receipts += self._ended(call, known)
            receipts += self._keep(call, known)
        return call.once_stored(self._answer(call, known), *receipts)

    def _answer(self, call: Call[v201.TransactionEvent], known: Transaction) -> v201.TransactionEventResponse:
        """Answer each token; that of the start as it was answered first."""
        token = call.request.id_token
        if token is None:
            return EMPTY
        info = self._judge(token)
        if self._is_of_start(call.request) and _is_of(token, known):
            verdict = STATUSES.get(known.verdict, info.status)
            info = msgspec.structs.replace(info, status=verdict)
        return v201.TransactionEventResponse(id_token_info=info)

    @staticmethod
    def _is_of_start(request: v201.TransactionEvent) -> bool:
        """Return whether the token of an event is that of the start: not what stopped the transaction."""
        return (
            request.event_type != v201.TransactionEventType.ENDED
            and request.trigger_reason != v201.TriggerReason.STOP_AUTHORIZED
        )

    def _begun(self, call: Call[v201.TransactionEvent]) -> Transaction:
        """Make the record of a transaction from the first of its events that has come."""
        request = call.request
        started = request.event_type == v201.TransactionEventType.STARTED
        transaction = Transaction(
            id=self._store.allot_transaction_id(call.charge_point.id, None),
            charge_point_id=call.charge_point.id,
            connector_id=request.evse.id if request.evse is not None else 0,
            id_tag="",
            meter_start=None,
            started_at=utc(request.timestamp),
            start_received_at=call.received_at,
            reservation_id=request.reservation_id,
            version=VERSION_NAME,
            remote_id=request.transaction_info.transaction_id,
            evse_id=request.evse.id if request.evse is not None else None,
            charging_state=str(request.transaction_info.charging_state or ""),
            flags=() if started else (NO_START,),
        )
        transaction = self._with_token(call, transaction)
        transaction = msgspec.structs.replace(transaction, flags=(*transaction.flags, *self._flags(call)))
        return self._with_doubts(transaction)

    def _with_doubts(self, known: Transaction) -> Transaction:
        """Return a transaction with the doubts about its reservation, which is judged by all that is known by now."""
        if known.reservation_id is None:
            return known
        flags = tuple(flag for flag in known.flags if not flag.startswith(reservations.DOUBT))
        doubts = reservations.doubts(self._store.collections, known)
        return msgspec.structs.replace(known, flags=(*flags, *doubts))

    def _with_token(self, call: Call[v201.TransactionEvent], known: Transaction) -> Transaction:
        """Return a transaction with the token of its start, if this event has it."""
        token = call.request.id_token
        if token is None or not self._is_of_start(call.request) or not token.id_token:
            return known
        if known.id_tag and call.request.event_type != v201.TransactionEventType.STARTED:
            return known
        if _is_of(token, known):
            return known
        verdict, flags = str(self._judge_start(token, known.id).status), known.flags
        if call.redelivered and verdict != self._fallback_id_tag_status:
            # The station was answered with this verdict; a repetition must get the same one.
            flags = (*flags, f"its id tag was {verdict}")
            verdict = self._fallback_id_tag_status
        return msgspec.structs.replace(
            known, id_tag=token.id_token, id_type=str(token.type), verdict=verdict, flags=flags
        )

    def _stop_doubts(self, call: Call[v201.TransactionEvent], known: Transaction) -> list[str]:
        """Return the doubt about a token that stops a transaction. OCPP 2.0.1, C09 and C16."""
        token = call.request.id_token
        if token is None or self._is_of_start(call.request) or not known.id_tag:
            return []
        return tokens.stopped_by_another(
            self._collections,
            known,
            token.id_token,
            str(token.type),
            master_pass_group=self._master_pass_group,
        )

    def _told_more(
        self, call: Call[v201.TransactionEvent], known: Transaction, receipts: list[Receipt]
    ) -> Transaction:
        """Store what an event tells of a transaction that is known; it is handed over again if it comes again."""
        request, later = call.request, self._with_token(call, known)
        flags = tuple(dict.fromkeys((*later.flags, *self._flags(call), *self._stop_doubts(call, known))))
        started_at, at = later.started_at, utc(request.timestamp)
        if request.event_type == v201.TransactionEventType.STARTED:
            flags = tuple(flag for flag in flags if flag != NO_START)
            started_at = at
        elif NO_START in flags:
            started_at = min(started_at, at)
        evse, reservation, state = (
            request.evse,
            request.reservation_id,
            request.transaction_info.charging_state,
        )
        later = msgspec.structs.replace(
            later,
            flags=flags,
            started_at=started_at,
            connector_id=later.connector_id if evse is None else evse.id,
            evse_id=later.evse_id if evse is None else evse.id,
            reservation_id=later.reservation_id if reservation is None else reservation,
            charging_state=str(state) if state is not None and known.open else later.charging_state,
        )
        moved = (later.connector_id, later.id_tag, later.id_type, later.reservation_id) != (
            known.connector_id,
            known.id_tag,
            known.id_type,
            known.reservation_id,
        )
        if moved:
            later = self._with_doubts(later)
        if known.id in self._unsure:
            receipts.append(self._unsure_of(later))
        tells = evse is not None or request.id_token is not None or known.id in self._amending
        if tells or later != known:
            receipts.append(self._amend(later))
        if moved:
            if later.open:
                self._over(call, later)
            self._use_reservation(later, receipts)
        return later

    def _unsure_of(self, transaction: Transaction) -> Receipt:
        """Hand a new record to the store, which does not change one that is there, until it is known to be durable."""
        receipt = self._unsure[transaction.id] = self._store.start_transaction(transaction)
        receipt.then(partial(self._sure_of, transaction.id, receipt))
        return receipt

    def _amend(self, transaction: Transaction) -> Receipt:
        """Store what an event told of a transaction; until that is durable, each event of it stores it again."""
        receipt = self._amending[transaction.id] = self._store.update_transaction(transaction)
        receipt.then(partial(self._amended, transaction.id, receipt))
        return receipt

    def _amended(self, number: int, receipt: Receipt, error: Exception | None) -> None:
        if error is None and self._amending.get(number) is receipt:
            del self._amending[number]

    def _sure_of(self, number: int, receipt: Receipt, error: Exception | None) -> None:
        if error is None and self._unsure.get(number) is receipt:
            del self._unsure[number]

    def _over(self, call: Call[v201.TransactionEvent], transaction: Transaction) -> None:
        """Note that other transactions of an EVSE are over when one begins there: it has one at a time."""
        if transaction.evse_id and not call.request.offline:
            self._store.transaction_over(
                transaction.charge_point_id,
                transaction.connector_id,
                call.received_at,
                call.action,
                transaction.id,
            )

    def _use_reservation(self, transaction: Transaction, receipts: list[Receipt]) -> None:
        collections = self._store.collections
        if transaction.id_tag or transaction.reservation_id is not None:
            receipts += reservations.use(collections, transaction)
            if transaction.open:
                receipts += profiles.transaction_started(collections, transaction)

    def _ended(self, call: Call[v201.TransactionEvent], known: Transaction) -> list[Receipt]:
        """Close a transaction; an end that differs from the first one is kept beside it."""
        meter_stop, stopped_at, reason, id_tag = _stop_facts(call.request, call.deviations)
        stop = StopFigures(
            received_at=call.received_at,
            meter_stop=meter_stop,
            stopped_at=None if stopped_at is None else utc(stopped_at),
            reason=reason,
            id_tag=id_tag,
        )
        try:
            receipts = [take_stop(self._store, known, stop, same_time=same_time(call, known, stop))]
        except TooManyStops as error:
            return [self._set_aside(call, str(error), known.id)]
        if known.open:
            self._missing.end(known.id)
            receipts += profiles.transaction_stopped(self._store.collections, known)
        return receipts

    def _keep(self, call: Call[v201.TransactionEvent], known: Transaction) -> list[Receipt]:
        """Store a whole event; if a part of its meter values cannot be used, make a dead letter too."""
        payload, evse = call.payload, call.request.evse
        flags = flags_of(call.deviations)
        receipts: list[Receipt] = []
        if call.request.meter_value or call.deviations:
            flags = self._unusable(call, flags, known.id, receipts)
        reading = MeterReading(
            charge_point_id=call.charge_point.id,
            connector_id=0 if evse is None else evse.id,
            transaction_id=known.id,
            received_at=call.received_at,
            values=payload,
            identity=_identity_of(payload),
            flags=flags,
            version=VERSION_NAME,
        )
        receipts.append(self._store.add_meter_reading(reading))
        return receipts

    def _unusable(
        self, call: Call[Any], flags: tuple[str, ...], transaction_id: int | None, receipts: list[Receipt]
    ) -> tuple[str, ...]:
        if not call.deviations and _seem_usable(call.request.meter_value or ()):
            return flags
        unusable = v201.VERSION.samples(call.payload, self._naive_zone).unusable
        if not unusable:
            return flags
        why = reasons(unusable)
        receipts.append(self._set_aside(call, why, transaction_id))
        return (*flags, why)

    def _set_aside(self, call: Call[Any], why: str, transaction_id: int | None) -> Receipt:
        """Make a message a dead letter; `transaction_id` is the transaction that it belongs to."""
        return self._store.spool(
            version=VERSION_NAME,
            charge_point_id=call.charge_point.id,
            action=call.action,
            unique_id=call.unique_id,
            payload=call.payload,
            transaction_id=transaction_id,
            received_at=call.received_at,
            why=why,
            redeliver=False,
        )

    @staticmethod
    def _flags(call: Call[Any]) -> tuple[str, ...]:
        redelivered = (f"{call.action} was acknowledged by a fallback",) if call.redelivered else ()
        return (*redelivered, *flags_of(call.deviations)) if call.deviations else redelivered

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

    @passive(v201.MeterValues)
    def meter_values(self, call: Call[v201.MeterValues]) -> v201.MeterValuesResponse:
        """Store meter values of an EVSE, which belong to no transaction."""
        flags, receipts = flags_of(call.deviations), list[Any]()
        flags = self._unusable(call, flags, None, receipts)
        reading = MeterReading(
            charge_point_id=call.charge_point.id,
            connector_id=call.request.evse_id,
            transaction_id=None,
            received_at=call.received_at,
            values=call.payload,
            flags=flags,
            version=VERSION_NAME,
        )
        receipts.append(self._store.add_meter_reading(reading))
        return call.once_stored(v201.MeterValuesResponse(), *receipts)

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

    @passive(v201.NotifyCustomerInformation)
    def customer_information(
        self, call: Call[v201.NotifyCustomerInformation]
    ) -> v201.NotifyCustomerInformationResponse:
        """Keep that a part of a report came, and nothing of its contents: they are a person's."""
        request = call.request
        data = {"requestId": request.request_id, "seqNo": request.seq_no, "tbc": bool(request.tbc)}
        self._add_event(call, "customer_information", data)
        return v201.NotifyCustomerInformationResponse()

    @passive(v201.NotifyEvent)
    def event(self, call: Call[v201.NotifyEvent]) -> v201.NotifyEventResponse:
        """Keep each event of the device model."""
        for one in call.request.event_data:
            self._add_event(call, "device_event", msgspec.to_builtins(one))
        return v201.NotifyEventResponse()

    @passive_each(KEPT)
    def keep(self, call: Call[Any]) -> Any:
        """Store a message as an event, and give the answer of the table: nothing else is done about it here."""
        kind, answer = KEPT[type(call.request)]
        self._note(call, kind)
        return answer

    def _note(self, call: Call[Any], kind: str) -> Receipt:
        data = as_sent(call) if call.deviations else msgspec.to_builtins(call.request)
        return self._add_event(call, kind, data)

    def _add_event(self, call: Call[Any], kind: str, data: dict[str, Any]) -> Receipt:
        return self._store.add_event(
            Event(charge_point_id=call.charge_point.id, kind=kind, received_at=call.received_at, data=data)
        )
