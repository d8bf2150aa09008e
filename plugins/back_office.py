"""The back office: with it alone, every passive action gets a sensible answer.

It answers what no other plugin claims, from the store: registration, tags, transactions, meter values, and a record of
everything else. Transaction messages are acknowledged when they are stored, and whatever is doubtful about them is
flagged, never refused: a refusal would make the charge point throw the record away. OCPP 1.6, section 4.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING, Any

import msgspec

from .. import Call, Event, MeterReading, OcppError, Plugin, Transaction, on_online, passive, v16
from . import charging_profiles as profiles
from . import reservations

if TYPE_CHECKING:
    from collections.abc import Callable

    from .. import ChargePoint, PluginSpec, Receipt, Settings, Store


class _MeterValues(msgspec.Struct):
    """MeterValues as far as its values are kept: as they were sent."""

    meter_value: msgspec.Raw = msgspec.field(name="meterValue")


_meter_values = msgspec.json.Decoder(_MeterValues).decode


def _goes_on(transaction: Transaction) -> bool:
    """Guess if a transaction takes energy: one whose tag was refused does not for long."""
    return transaction.verdict == v16.AuthorizationStatus.ACCEPTED and not transaction.orphaned


class BackOffice(Plugin):
    """Answers to charge points from the store.

    `now` gives the time; the heartbeat interval is shortened by up to `heartbeat_spread` of itself; with
    `accept_all_tags` a tag that the store does not know is Accepted, else Invalid; without `concurrent_transactions`
    one that charges already is ConcurrentTx; over `suspect_energy_wh` a transaction is flagged.
    `fallback_id_tag_status` is what a fallback answers to a StartTransaction, which is kept with one that is replayed.
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
        registration: str = "Accepted",
        fallback_id_tag_status: str = "Accepted",
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC).replace(microsecond=0),
    ) -> None:
        super().__init__()
        self._store = store
        self._interval_s = heartbeat_interval_s
        self._spread = heartbeat_spread
        self._accept_all_tags = accept_all_tags
        self._concurrent_transactions = concurrent_transactions
        self._suspect_energy_wh = suspect_energy_wh
        self._registration = v16.RegistrationStatus(registration)
        self._fallback_id_tag_status = v16.AuthorizationStatus(fallback_id_tag_status)
        self._now = now

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
            registration=office.registration,
            fallback_id_tag_status=settings.deadlines.fallback_id_tag_status,
            name="back-office",
        )

    # -- Registration and life -------------------------------------------------------------------

    @passive(v16.BootNotification)
    def boot(self, call: Call[v16.BootNotification]) -> v16.BootNotificationResponse:
        """Register it, and give it the time and its heartbeat interval."""
        self._note(call, "boot")
        self._orphan(call, "BootNotification")
        # Shortened by chance: charge points that booted together must not send their heartbeats together for ever.
        interval = round(self._interval_s * (1 - self._spread * random.random()))  # noqa: S311 - no secret
        return v16.BootNotificationResponse(
            status=self._registration, current_time=self._now(), interval=interval
        )

    @passive(v16.Heartbeat)
    def heartbeat(self, _: Call[v16.Heartbeat]) -> v16.HeartbeatResponse:
        """Give it the time."""
        return v16.HeartbeatResponse(current_time=self._now())

    @passive(v16.StatusNotification)
    def status(self, call: Call[v16.StatusNotification]) -> v16.StatusNotificationResponse:
        """Keep the status history."""
        self._note(call, "status")
        if call.request.status == v16.ChargePointStatus.AVAILABLE and call.request.connector_id:
            self._orphan(call, "StatusNotification Available", call.request.connector_id)
        return v16.StatusNotificationResponse()

    @on_online
    def online(self, charge_point: ChargePoint) -> None:
        """Keep a record of its coming."""
        data = {"peer": charge_point.peer, "secure": charge_point.secure}
        self._store.add_event(
            Event(charge_point_id=charge_point.id, kind="online", received_at=self._now(), data=data)
        )

    # -- Tags --------------------------------------------------------------------------------------

    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> v16.AuthorizeResponse:
        """Answer from the list of tags."""
        return v16.AuthorizeResponse(id_tag_info=self._judge(call.request.id_tag))

    def _judge(self, id_tag: str) -> v16.IdTagInfo:
        status = v16.AuthorizationStatus
        tag = self._store.collections.tags.get(id_tag.lower())
        if tag is None:
            return v16.IdTagInfo(status=status.ACCEPTED if self._accept_all_tags else status.INVALID)
        verdict = status(tag.status)
        if verdict is status.ACCEPTED and tag.expiry is not None and tag.expiry <= self._now():
            verdict = status.EXPIRED
        return v16.IdTagInfo(status=verdict, expiry_date=tag.expiry, parent_id_tag=tag.parent or None)

    # -- Transactions ------------------------------------------------------------------------------

    @passive(v16.StartTransaction)
    def start_transaction(self, call: Call[v16.StartTransaction]) -> v16.StartTransactionResponse:
        """Keep a new transaction; a start that was sent again gets the same number and the same verdict."""
        request = call.request
        number = call.transaction_id
        if number is None:
            raise OcppError(description="no transaction id was allotted")
        books = self._store.collections
        transaction = self._store.transaction(number)
        if transaction is None:
            # Up to the store's append nothing here switches greenlets: of two starts of one tag the second sees the
            # first. And what was open on this connector is over, so it makes nothing concurrent.
            self._orphan(call, "StartTransaction", request.connector_id, number)
            info = self._judge_start(call, number)
            transaction = self._started(call, number, info.status)
        else:
            info = self._judge(request.id_tag)
        # One that came before is handed to the store again, which leaves it as it is: what is answered must be durable,
        # and the first may still be on its way.
        receipts = [self._store.start_transaction(transaction)]
        if transaction.open:
            receipts += reservations.use(books, transaction)
            receipts += profiles.transaction_started(books, transaction)
        verdict = v16.AuthorizationStatus(transaction.verdict)
        if verdict is not info.status:
            info = v16.IdTagInfo(
                status=verdict, expiry_date=info.expiry_date, parent_id_tag=info.parent_id_tag
            )
        return call.once_stored(
            v16.StartTransactionResponse(id_tag_info=info, transaction_id=number), *receipts
        )

    def _started(
        self, call: Call[v16.StartTransaction], number: int, status: v16.AuthorizationStatus | str
    ) -> Transaction:
        request, flags, verdict = call.request, self._flags(call), str(status)
        if call.redelivered and status is not self._fallback_id_tag_status:
            # What the charge point was told; told again it must be the same.
            verdict = str(self._fallback_id_tag_status)
            flags = (*flags, f"its id tag was {status}")
        transaction = Transaction(
            id=number,
            charge_point_id=call.charge_point.id,
            connector_id=request.connector_id,
            id_tag=request.id_tag,
            meter_start=request.meter_start,
            started_at=request.timestamp,
            start_received_at=call.received_at,
            verdict=verdict,
            reservation_id=request.reservation_id,
        )
        flags = (*flags, *reservations.doubts(self._store.collections, transaction))
        return msgspec.structs.replace(transaction, flags=flags)

    def _judge_start(self, call: Call[v16.StartTransaction], number: int) -> v16.IdTagInfo:
        """The verdict on a tag that starts; one that charges elsewhere already may be ConcurrentTx."""
        info = self._judge(call.request.id_tag)
        if self._concurrent_transactions or info.status is not v16.AuthorizationStatus.ACCEPTED:
            return info
        others = self._store.open_transactions_of_tag(call.request.id_tag)
        if any(one.id != number and _goes_on(one) for one in others):
            return msgspec.structs.replace(info, status=v16.AuthorizationStatus.CONCURRENT_TX)
        return info

    def _orphan(self, call: Call[Any], why: str, connector_id: int = 0, number: int = 0) -> None:
        """Flag what is open and cannot be going on any more. It is never closed: its StopTransaction may still come."""
        for transaction in self._store.open_transactions(call.charge_point.id):
            if transaction.id != number and connector_id in (0, transaction.connector_id):
                self._store.flag_transaction(transaction.id, f"{Transaction.ORPHAN}{why} while it was open")

    @passive(v16.StopTransaction)
    def stop_transaction(self, call: Call[v16.StopTransaction]) -> v16.StopTransactionResponse:
        """Close a transaction; one that is not known is acknowledged all the same, and kept aside."""
        request = call.request
        known = self._store.transaction(request.transaction_id)
        if known is None or known.charge_point_id != call.charge_point.id:
            receipts = [
                self._keep_aside(
                    call, f"transaction {request.transaction_id} is not one of this charge point's"
                )
            ]
        else:
            flags = [*known.flags, *self._flags(call), *self._suspicions(known, request)]
            stopped = msgspec.structs.replace(
                known,
                meter_stop=request.meter_stop,
                stopped_at=request.timestamp,
                stop_received_at=call.received_at,
                stop_reason=str(request.reason or "Local"),
                stop_id_tag=request.id_tag or "",
                flags=tuple(flags),
            )
            receipts = [self._store.stop_transaction(stopped)]
            receipts += profiles.transaction_stopped(self._store.collections, known)
            if request.transaction_data:
                receipts.append(
                    self._keep_reading(
                        call, known.connector_id, known.id, msgspec.json.encode(request.transaction_data)
                    )
                )
        info = None if request.id_tag is None else self._judge(request.id_tag)
        return call.once_stored(v16.StopTransactionResponse(id_tag_info=info), *receipts)

    def _suspicions(self, known: Transaction, request: v16.StopTransaction) -> list[str]:
        energy_wh = request.meter_stop - known.meter_start
        suspicions = []
        if energy_wh < 0:
            suspicions.append("the meter ran backwards")
        if energy_wh > self._suspect_energy_wh:
            suspicions.append(f"{energy_wh} Wh are more than can be")
        if request.timestamp < known.started_at:
            suspicions.append("it stopped before it started, by its own clock")
        books, id_tag = self._store.collections, request.id_tag
        if id_tag is not None and not reservations.belong_together(books, id_tag, known.id_tag):
            suspicions.append(f"it was stopped with {id_tag}, whose parent is not the same")
        return suspicions

    def _keep_aside(self, call: Call[Any], why: str) -> Receipt:
        """Keep a message that belongs to nothing where people find it."""
        return self._store.spool(
            version=v16.VERSION.name,
            charge_point_id=call.charge_point.id,
            action=call.action,
            unique_id=call.unique_id,
            payload=call.payload,
            transaction_id=None,
            received_at=call.received_at,
            why=why,
            replay=False,
        )

    @staticmethod
    def _flags(call: Call[Any]) -> tuple[str, ...]:
        redelivered = (f"{call.action} was acknowledged by a fallback",) if call.redelivered else ()
        return (*redelivered, *map(str, call.deviations))

    @passive(v16.MeterValues)
    def meter_values(self, call: Call[v16.MeterValues]) -> v16.MeterValuesResponse:
        """Keep meter values, whether their transaction is open, closed or unknown."""
        request = call.request
        # As they were sent, if that was as it should be: writing them again is expensive.
        values = (
            msgspec.json.encode(request.meter_value)
            if call.deviations
            else bytes(_meter_values(call.payload).meter_value)
        )
        receipt = self._keep_reading(call, request.connector_id, request.transaction_id, values)
        return call.once_stored(v16.MeterValuesResponse(), receipt)

    def _keep_reading(
        self, call: Call[Any], connector_id: int, transaction_id: int | None, values: bytes
    ) -> Receipt:
        reading = MeterReading(
            charge_point_id=call.charge_point.id,
            connector_id=connector_id,
            transaction_id=transaction_id,
            received_at=call.received_at,
            values=values,
        )
        return self._store.add_meter_reading(reading)

    # -- Everything else ---------------------------------------------------------------------------

    @passive(v16.DataTransfer)
    def data_transfer(self, call: Call[v16.DataTransfer]) -> v16.DataTransferResponse:
        """Keep it, and say that no vendor is known here: what a vendor means is for a plugin of the user's."""
        self._note(call, "data_transfer")
        return v16.DataTransferResponse(status=v16.DataTransferStatus.UNKNOWN_VENDOR_ID)

    @passive(v16.DiagnosticsStatusNotification)
    def diagnostics(
        self, call: Call[v16.DiagnosticsStatusNotification]
    ) -> v16.DiagnosticsStatusNotificationResponse:
        """Keep it."""
        self._note(call, "diagnostics")
        return v16.DiagnosticsStatusNotificationResponse()

    @passive(v16.FirmwareStatusNotification)
    def firmware(self, call: Call[v16.FirmwareStatusNotification]) -> v16.FirmwareStatusNotificationResponse:
        """Keep it."""
        self._note(call, "firmware")
        return v16.FirmwareStatusNotificationResponse()

    @passive(v16.SignedFirmwareStatusNotification)
    def signed_firmware(
        self, call: Call[v16.SignedFirmwareStatusNotification]
    ) -> v16.SignedFirmwareStatusNotificationResponse:
        """Keep it."""
        self._note(call, "firmware")
        return v16.SignedFirmwareStatusNotificationResponse()

    @passive(v16.LogStatusNotification)
    def log_status(self, call: Call[v16.LogStatusNotification]) -> v16.LogStatusNotificationResponse:
        """Keep it."""
        self._note(call, "log")
        return v16.LogStatusNotificationResponse()

    @passive(v16.SecurityEventNotification)
    def security_event(
        self, call: Call[v16.SecurityEventNotification]
    ) -> v16.SecurityEventNotificationResponse:
        """Keep it."""
        self._note(call, "security")
        return v16.SecurityEventNotificationResponse()

    @passive(v16.SignCertificate)
    def sign_certificate(self, call: Call[v16.SignCertificate]) -> v16.SignCertificateResponse:
        """Keep the request, and decline it: there is no certificate authority here; one is a plugin of the user's."""
        self._note(call, "sign_certificate")
        return v16.SignCertificateResponse(status=v16.GenericStatus.REJECTED)

    def _note(self, call: Call[Any], kind: str) -> Any:
        event = Event(
            charge_point_id=call.charge_point.id,
            kind=kind,
            received_at=call.received_at,
            data=msgspec.to_builtins(call.request),
        )
        return self._store.add_event(event)
