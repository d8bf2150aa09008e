"""Back office: the bundled plugin that answers every passive action that no other plugin claims.

It answers from the store: registration, tags, transactions, meter values, and a record of
everything else. Transaction messages are acknowledged when they are stored, and doubtful ones are
flagged, never refused: a refusal would make the charge point throw the record away. OCPP 1.6, section 4.
"""

from __future__ import annotations

import datetime as dt
import random
import time
from typing import TYPE_CHECKING, Any

import msgspec

from .. import (
    UNKNOWN_TRANSACTION,
    Call,
    ChargePointOnline,
    Event,
    MeterReading,
    OcppError,
    Plugin,
    StopFigures,
    TooManyStops,
    Transaction,
    on,
    passive,
    take_stop,
    v16,
)
from . import charging_profiles as profiles
from . import reservations, stops, tokens
from .kept_messages import (
    as_sent,
    flags_of,
    flags_of_call,
    passive_each,
    reasons,
    same_time,
    say_all,
    set_aside,
    utc,
)
from .security_alerts import raise_if_critical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .. import PluginSpec, Receipt, Settings, Store

WH = frozenset({None, v16.UnitOfMeasure.WH, v16.UnitOfMeasure.KWH})
"""Units of a sample without a measurand, which is one of energy."""
TRANSACTION_DATA = b'"transactionData"'
DIGITS = 12
"""Digits of a value that is not large."""
LARGE = 1e15
"""Sum of the values of a message beyond which they are looked at one by one."""

GOING_ON = (  # no set: an enumeration's hash is a Python call
    v16.ChargePointStatus.CHARGING,
    v16.ChargePointStatus.SUSPENDED_EV,
    v16.ChargePointStatus.SUSPENDED_EVSE,
)
"""Statuses that a connector has in a transaction only."""


_start_key: Any = v16.StartTransaction.__action__.allots
_stop_facts: Any = v16.StopTransaction.__action__.stop


REGISTER = v16.Measurand.ENERGY_ACTIVE_IMPORT_REGISTER
INTERVAL = v16.Measurand.ENERGY_ACTIVE_IMPORT_INTERVAL
POWER = v16.Measurand.POWER_ACTIVE_IMPORT
NO_MEMBERS = v16.MeterValuesResponse()
NO_STATUS_MEMBERS = v16.StatusNotificationResponse()

# Looking a member up on its class costs a Python call before 3.12.
AVAILABLE = v16.ChargePointStatus.AVAILABLE
PENDING = v16.RegistrationStatus.PENDING
ACCEPTED = v16.AuthorizationStatus.ACCEPTED
INVALID = v16.AuthorizationStatus.INVALID
STATUSES = {str(status): status for status in v16.AuthorizationStatus}
"""Statuses by their texts; a tag may have one that only later versions have, and is Invalid here."""
UNKNOWN_ACCEPTED = v16.IdTagInfo(status=ACCEPTED)
UNKNOWN_INVALID = v16.IdTagInfo(status=v16.AuthorizationStatus.INVALID)
"""Answers about an id tag that the store does not know."""

VERSION_NAME = v16.VERSION.name
"""Version of OCPP of all records here."""


def _whole_seconds() -> Callable[[], dt.datetime]:
    """Make a clock that gives the time in whole seconds, in UTC."""
    second, moment = 0, dt.datetime.fromtimestamp(0, dt.UTC)

    def now() -> dt.datetime:
        nonlocal second, moment
        this = int(time.time())
        if this != second:
            second, moment = this, dt.datetime.fromtimestamp(this, dt.UTC)
        return moment

    return now


def _unread_time(call: Call[v16.StartTransaction]) -> str:
    """Return the time of a start as it was sent, if ours stands in for it; else an empty text."""
    time = _start_key(call.request, call.deviations)[2] if call.deviations else None
    return time if isinstance(time, str) else ""


def _seem_usable(meter_values: Iterable[v16.MeterValue | v16.TransactionData]) -> bool:
    """Tell quickly if the values of energy and power are numbers; others are only shown."""
    total = 0.0
    try:
        for one in meter_values:
            for sampled in one.sampled_value:
                measurand = sampled.measurand
                if measurand is None:
                    if sampled.unit not in WH:
                        return False
                elif measurand is not REGISTER and measurand is not POWER and measurand is not INTERVAL:
                    continue  # as most are
                value = sampled.value
                if len(value) > DIGITS or not value.isdecimal():  # quicker for most than the conversion
                    total += float(value)
    except ValueError:
        return False
    return -LARGE < total < LARGE


KEPT: dict[Any, tuple[str, Any]] = {
    v16.DiagnosticsStatusNotification: ("diagnostics", v16.DiagnosticsStatusNotificationResponse()),
    v16.FirmwareStatusNotification: ("firmware", v16.FirmwareStatusNotificationResponse()),
    v16.SignedFirmwareStatusNotification: ("firmware", v16.SignedFirmwareStatusNotificationResponse()),
    v16.LogStatusNotification: ("log", v16.LogStatusNotificationResponse()),
    # A plugin of the user answers those of its vendors, and has a certificate authority.
    v16.DataTransfer: (
        "data_transfer",
        v16.DataTransferResponse(status=v16.DataTransferStatus.UNKNOWN_VENDOR_ID),
    ),
    v16.SignCertificate: ("sign_certificate", v16.SignCertificateResponse(status=v16.GenericStatus.REJECTED)),
}
"""Messages that are only stored, by request: kinds of their events, and their answers."""


class BackOffice(Plugin):
    """Answers to charge points from the store.

    `now` gives the time, by default that of the machine; the heartbeat interval is shortened by up to
    `heartbeat_spread` of itself; with `accept_all_tags` a tag that the store does not know is Accepted, else Invalid;
    without `concurrent_transactions` one that charges already is ConcurrentTx; over `suspect_energy_wh` a transaction
    is flagged. A stop that names no known transaction may be from `stop_tolerance_s` before the start that it fits.
    `fallback_id_tag_status` is what a fallback answers to a StartTransaction, which a redelivered one is stored with.
    Tags whose parent is the `master_pass_group` may stop every transaction, and start none.
    """

    def __init__(
        self,
        store: Store,
        *,
        heartbeat_interval_s: int = 300,
        heartbeat_spread: float = 0.1,
        accept_all_tags: bool = True,
        concurrent_transactions: bool = True,
        suspect_energy_wh: int = 1_000_000,
        stop_tolerance_s: float = 600.0,
        naive_zone: dt.tzinfo | None = dt.UTC,
        registration: str = "Accepted",
        approval: bool = False,
        fallback_id_tag_status: str = "Accepted",
        master_pass_group: str = "",
        now: Callable[[], dt.datetime] | None = None,
    ) -> None:
        super().__init__()
        self._store = store
        self._facts = store.collections.over_facts
        self._tag_of = store.collections.tag_of
        self._interval_s = heartbeat_interval_s
        self._spread = heartbeat_spread
        self._approval = approval
        self._accept_all_tags = accept_all_tags
        self._concurrent_transactions = concurrent_transactions
        self._suspect_energy_wh = suspect_energy_wh
        self._stop_tolerance = dt.timedelta(seconds=stop_tolerance_s)
        self._naive_zone = naive_zone
        self._registration = v16.RegistrationStatus(registration)
        self._fallback_id_tag_status = v16.AuthorizationStatus(fallback_id_tag_status)
        self._master_pass_group = master_pass_group
        self._now = now or _whole_seconds()

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
            suspect_energy_wh=office.suspect_energy_wh,
            stop_tolerance_s=office.stop_tolerance_s,
            naive_zone=settings.naive_zone,
            registration=office.registration,
            approval=settings.auth.unknown == "ask",
            fallback_id_tag_status=settings.deadlines.fallback_id_tag_status,
            master_pass_group=office.master_pass_group,
            name="back-office",
        )

    # -- Registration and life -------------------------------------------------------------------

    @passive(v16.BootNotification)
    def boot(self, call: Call[v16.BootNotification]) -> v16.BootNotificationResponse:
        """Register the charge point, and answer with the time and its heartbeat interval."""
        self._note(call, "boot")
        if not call.asked_for:  # else it is no sign of a restart
            self._store.transaction_over(call.charge_point.id, None, call.received_at, call.action)
        # Shortened at random: charge points that booted together must not always send their heartbeats together.
        interval = round(self._interval_s * (1 - self._spread * random.random()))  # noqa: S311 - no secret
        return v16.BootNotificationResponse(
            status=PENDING if self._waits(call) else self._registration,
            current_time=self._now(),
            interval=interval,
        )

    @passive(v16.Heartbeat)
    def heartbeat(self, _: Call[v16.Heartbeat]) -> v16.HeartbeatResponse:
        """Answer with the time."""
        return v16.HeartbeatResponse(current_time=self._now())

    @passive(v16.StatusNotification)
    def status(self, call: Call[v16.StatusNotification]) -> v16.StatusNotificationResponse:
        """Store the status; it may show that a transaction is over, or that it is going on."""
        received_at = self._note(call, "status").received_at
        charge_point_id, status, connector_id = (
            call.charge_point.id,
            call.request.status,
            call.request.connector_id,
        )
        if status is AVAILABLE and connector_id:
            self._store.transaction_over(
                charge_point_id, connector_id, received_at, f"{call.action} {status}"
            )
        elif charge_point_id in self._facts.by_charge_point and status in GOING_ON:
            for transaction in self._store.open_on_connector(charge_point_id, connector_id):
                if transaction.over:
                    self._store.transaction_alive(transaction.id, received_at)
        return NO_STATUS_MEMBERS

    @on(ChargePointOnline)
    def online(self, event: ChargePointOnline) -> None:
        """Store an event of the connection, unless the charge point has never booted: anybody can be one."""
        if self._store.registration(event.charge_point_id) is None:
            return
        data = {"peer": event.peer, "secure": event.secure}
        self._store.add_event(
            Event(charge_point_id=event.charge_point_id, kind="online", received_at=self._now(), data=data)
        )

    # -- Tags --------------------------------------------------------------------------------------

    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> v16.AuthorizeResponse:
        """Answer from the tags of the store."""
        return v16.AuthorizeResponse(id_tag_info=self._judge(call.request.id_tag))

    def _judge(self, id_tag: str) -> v16.IdTagInfo:
        tag = self._tag_of(id_tag)
        if tag is None:
            return UNKNOWN_ACCEPTED if self._accept_all_tags else UNKNOWN_INVALID
        verdict = STATUSES.get(tag.status, INVALID)
        if verdict is ACCEPTED and tag.expiry is not None and tag.expiry <= self._now():
            verdict = v16.AuthorizationStatus.EXPIRED
        return v16.IdTagInfo(status=verdict, expiry_date=tag.expiry, parent_id_tag=tag.parent or None)

    # -- Transactions ------------------------------------------------------------------------------

    @passive(v16.StartTransaction)
    def start_transaction(self, call: Call[v16.StartTransaction]) -> v16.StartTransactionResponse:
        """Store a new transaction; a start that is sent again gets the same number and verdict."""
        request = call.request
        number, received_at = call.transaction_id, call.received_at
        if number is None:
            raise OcppError(description="no transaction id was allotted")
        collections = self._store.collections
        transaction = self._store.open_transaction(number) or self._store.transaction(number)
        if transaction is None:
            # Up to the store's append nothing here switches greenlets: of two starts of one tag the second sees the
            # first. A transaction that was open on this connector is over, so it does not count as concurrent.
            self._store.transaction_over(
                call.charge_point.id, request.connector_id, received_at, call.action, number
            )
            info = self._judge_start(call, number)
            transaction = self._started(call, number, info.status, received_at)
        else:
            info = self._judge(request.id_tag)
        # A start that came before is handed to the store again, which does not change it: the answer needs a durable
        # record, and the first write may still be pending.
        receipts = [self._store.start_transaction(transaction)]
        if call.deviations and not say_all(call.deviations):
            receipts += self._keep_reading(call, request.connector_id, number, received_at=received_at)
        if transaction.open:
            receipts += reservations.use(collections, transaction)
            receipts += profiles.transaction_started(collections, transaction)
        if transaction.verdict != info.status:
            verdict = v16.AuthorizationStatus(transaction.verdict)
            info = v16.IdTagInfo(
                status=verdict, expiry_date=info.expiry_date, parent_id_tag=info.parent_id_tag
            )
        return call.once_stored(
            v16.StartTransactionResponse(id_tag_info=info, transaction_id=number), *receipts
        )

    def _started(
        self,
        call: Call[v16.StartTransaction],
        number: int,
        status: v16.AuthorizationStatus | str,
        received_at: dt.datetime,
    ) -> Transaction:
        request, flags, verdict = call.request, flags_of_call(call), str(status)
        if call.redelivered and status is not self._fallback_id_tag_status:
            # The charge point was answered with this verdict; a repetition must get the same one.
            verdict = str(self._fallback_id_tag_status)
            flags = (*flags, f"its id tag was {status}")
        transaction = Transaction(
            id=number,
            charge_point_id=call.charge_point.id,
            connector_id=request.connector_id,
            id_tag=request.id_tag,
            meter_start=request.meter_start,
            started_at=utc(request.timestamp),
            started_text=_unread_time(call),
            start_received_at=received_at,
            verdict=verdict,
            reservation_id=request.reservation_id,
            version=VERSION_NAME,
            flags=flags,
        )
        doubts = reservations.doubts(self._store.collections, transaction)
        return msgspec.structs.replace(transaction, flags=(*flags, *doubts)) if doubts else transaction

    def _judge_start(self, call: Call[v16.StartTransaction], number: int) -> v16.IdTagInfo:
        """Return the verdict on the tag of a start.

        A tag that is charging already may get ConcurrentTx; a master pass starts nothing, it is Invalid.
        """
        info = self._judge(call.request.id_tag)
        group = self._master_pass_group
        if group and info.status is ACCEPTED and (info.parent_id_tag or "").lower() == group.lower():
            return msgspec.structs.replace(info, status=INVALID)
        if self._concurrent_transactions or info.status is not ACCEPTED:
            return info
        if self._store.charging_with_tag(call.request.id_tag, besides=number) is not None:
            return msgspec.structs.replace(info, status=v16.AuthorizationStatus.CONCURRENT_TX)
        return info

    @passive(v16.StopTransaction)
    def stop_transaction(self, call: Call[v16.StopTransaction]) -> v16.StopTransactionResponse:
        """Close a transaction; a stop that belongs to none is acknowledged and becomes a dead letter."""
        number = call.request.transaction_id
        meter_stop, stopped_at, reason, id_tag = _stop_facts(call.request, call.deviations)
        stop = StopFigures(
            received_at=call.received_at,
            meter_stop=meter_stop,
            stopped_at=None if stopped_at is None else utc(stopped_at),
            reason=reason,
            id_tag=id_tag,
        )
        known = None
        if number > 0:
            known = self._store.open_transaction(number) or self._store.transaction(number)
        flags = flags_of_call(call)
        why = ""
        if known is not None and known.charge_point_id != call.charge_point.id:
            why = f"transaction {number} is one of {known.charge_point_id}"
            known = None
        elif known is None:
            known, why = stops.find(
                self._store,
                call.charge_point.id,
                stop,
                named=number,
                tolerance=self._stop_tolerance,
                same_time=lambda one: same_time(call, one, stop),
            )
            flags = (stops.matched(number), *flags)
        receipts = [self._set_aside(call, why)] if known is None else self._stopped(call, known, stop, flags)
        info = self._judge(stop.id_tag) if stop.id_tag else None
        return call.once_stored(v16.StopTransactionResponse(id_tag_info=info), *receipts)

    def _stopped(
        self, call: Call[v16.StopTransaction], known: Transaction, stop: StopFigures, flags: tuple[str, ...]
    ) -> list[Receipt]:
        data = call.request.transaction_data
        carries = bool(data) or self._has_more(call)
        receipts: list[Receipt] = []
        if known.open:
            flags = (*flags, *self._suspicions(known, stop))
            if carries:  # before its end, or it would be a correction
                receipts += self._keep_reading(
                    call, known.connector_id, known.id, received_at=stop.received_at, meter_values=data or ()
                )
        try:
            same = same_time(call, known, stop)
            receipts.append(take_stop(self._store, known, stop, flags, same_time=same))
        except TooManyStops as error:
            return [self._set_aside(call, str(error), known.id)]
        receipts += profiles.transaction_stopped(self._store.collections, known)
        if carries and not known.open:
            receipts += self._keep_reading(
                call, known.connector_id, known.id, received_at=stop.received_at, meter_values=data or ()
            )
        return receipts

    @staticmethod
    def _has_more(call: Call[v16.StopTransaction]) -> bool:
        """Return whether a stop without readings has to be kept whole: neither its figures nor its flags say all."""
        if call.payload.count(TRANSACTION_DATA) > 1:  # of members of one name the last is read
            return True
        deviations = call.deviations
        return bool(deviations) and (
            call.request.transaction_data is not None
            or not say_all(deviations)
            or any(one.path.startswith("transactionData") for one in deviations)
        )

    def _suspicions(self, known: Transaction, stop: StopFigures) -> list[str]:
        energy_wh = (stop.meter_stop or 0) - (known.meter_start or 0)
        suspicions = []
        if energy_wh < 0:
            suspicions.append("the meter ran backwards")
        if energy_wh > self._suspect_energy_wh:
            suspicions.append(f"{energy_wh} Wh are more than can be")
        if stop.stopped_at is not None and not known.started_text and stop.stopped_at < known.started_at:
            suspicions.append("it stopped before it started, by its own clock")
        suspicions += tokens.stopped_by_another(
            self._store.collections, known, stop.id_tag, master_pass_group=self._master_pass_group
        )
        return suspicions

    def _set_aside(self, call: Call[Any], why: str, transaction_id: int | None = None) -> Receipt:
        """Make a message a dead letter; `transaction_id` is the transaction that it belongs to."""
        return set_aside(self._store, VERSION_NAME, call, why, transaction_id)

    @passive(v16.MeterValues)
    def meter_values(self, call: Call[v16.MeterValues]) -> v16.MeterValuesResponse:
        """Store meter values as they were sent, whether their transaction is open, closed or unknown."""
        request, charge_point_id, received_at = call.request, call.charge_point.id, call.received_at
        number, known, unknown = request.transaction_id, False, False
        if number is not None and number > 0:
            owner = self._store.owner_of(number)
            known, unknown = owner is not None, owner is None
            if known and owner != charge_point_id:
                why = f"transaction {number} is one of {owner}"
                return call.once_stored(v16.MeterValuesResponse(), self._set_aside(call, why))
            if known and charge_point_id in self._facts.by_charge_point:
                self._store.transaction_alive(number, received_at)
        if not (unknown or call.deviations) and _seem_usable(request.meter_value):
            # The usual message, without what the others need.
            reading = MeterReading(
                charge_point_id=charge_point_id,
                connector_id=request.connector_id,
                transaction_id=number,
                received_at=received_at,
                values=call.payload,
                version=VERSION_NAME,
            )
            receipt = self._store.add_meter_reading(reading)
            if receipt.done and receipt.error is None:
                return NO_MEMBERS
            return call.once_stored(NO_MEMBERS, receipt)
        receipts = self._keep_reading(
            call,
            request.connector_id,
            number,
            received_at=received_at,
            meter_values=request.meter_value,
            known=known,
            unknown=unknown,
        )
        return call.once_stored(NO_MEMBERS, *receipts)

    def _keep_reading(
        self,
        call: Call[Any],
        connector_id: int,
        transaction_id: int | None,
        *,
        received_at: dt.datetime,
        meter_values: Sequence[v16.MeterValue | v16.TransactionData] = (),
        known: bool = True,
        unknown: bool = False,
    ) -> list[Receipt]:
        """Store a whole message with readings; if a part of it cannot be used, make a dead letter too."""
        payload, deviations = call.payload, call.deviations
        receipts: list[Receipt] = []
        flags: tuple[str, ...] = (UNKNOWN_TRANSACTION,) if unknown else ()
        if deviations or not _seem_usable(meter_values):
            flags = (*flags, *flags_of(deviations))
            unusable = v16.VERSION.samples(payload, self._naive_zone).unusable
            if unusable:
                why = reasons(unusable)
                receipts.append(self._set_aside(call, why, transaction_id if known else None))
                flags = (*flags, why)
        reading = MeterReading(
            charge_point_id=call.charge_point.id,
            connector_id=connector_id,
            transaction_id=transaction_id,
            received_at=received_at,
            values=payload,
            flags=flags,
            version=VERSION_NAME,
        )
        receipts.append(self._store.add_meter_reading(reading))
        return receipts

    # -- Everything else ---------------------------------------------------------------------------

    @passive(v16.SecurityEventNotification)
    def security(self, call: Call[v16.SecurityEventNotification]) -> v16.SecurityEventNotificationResponse:
        """Store a security event; a critical one raises an alert."""
        self._note(call, "security")
        raise_if_critical(self.system, call, v16.CRITICAL_SECURITY_EVENTS)
        return v16.SecurityEventNotificationResponse()

    @passive_each(KEPT)
    def keep(self, call: Call[Any]) -> Any:
        """Store a message as an event, and give the answer of the table: nothing else is done about it here."""
        kind, answer = KEPT[type(call.request)]
        self._note(call, kind)
        return answer

    def _waits(self, call: Call[Any]) -> bool:
        applicant = self._store.collections.applicants.get(call.charge_point.id) if self._approval else None
        return applicant is not None and applicant.state != "approved"

    def _note(self, call: Call[Any], kind: str) -> Event:
        event = Event(
            charge_point_id=call.charge_point.id,
            kind=kind,
            received_at=call.received_at,
            data=as_sent(call) if call.deviations else msgspec.to_builtins(call.request),
        )
        self._store.add_event(event)
        return event
