"""Durable events: those of transactions, and what the stores need to keep and to make any of them.

The one rule: a store makes the events of its records itself, so that no plugin can forget it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ..protocol import events
from ..protocol.energy import METER
from ..protocol.events import (
    LIVE,
    Booted,
    ChargingLimitChanged,
    DataTransferReceived,
    DeviceEventReceived,
    DomainEvent,
    FirmwareStatusChanged,
    LogStatusChanged,
    SecurityEventReceived,
)
from .records import NOT_ASSESSED, Transaction

if TYPE_CHECKING:
    from .records import Event


class TransactionStarted(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A transaction was stored for the first time. Durable."""

    transaction: Transaction


class TransactionEnded(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A transaction has ended, for the first time: by its stop, or by hand.

    `transaction.energy_wh` is the energy as far as it is known then: what the charge point claims, else what the
    readings say. Durable.
    """

    transaction: Transaction


class TransactionCorrected(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """Something of a transaction has changed after its end: a further stop, a late reading, a flag.

    `transaction` is the record with its energy as it is when the event is delivered. Durable.
    """

    transaction: Transaction


DURABLE_EVENTS: tuple[type[DomainEvent], ...] = (
    TransactionStarted,
    TransactionEnded,
    TransactionCorrected,
    *events.DURABLE,
)
"""All kinds of durable events."""

EVENTS: Mapping[str, type[DomainEvent]] = {kind.__name__: kind for kind in (*DURABLE_EVENTS, *LIVE)}
"""All events by name."""

STARTED_KIND, ENDED_KIND = TransactionStarted.__name__, TransactionEnded.__name__
CORRECTED = TransactionCorrected.__name__

SECURITY, OWN_SECURITY = "security", "own_security"
"""Kinds of stored events: security events of charge points, and those of the central system itself."""
AUDIT = frozenset({"by_hand", "sign_certificate"})
"""Kinds that say what a person has changed, and what the authority has signed and revoked."""

_encode = msgspec.json.Encoder().encode
DECODERS: Mapping[str, Callable[[str], DomainEvent]] = {
    kind.__name__: msgspec.json.Decoder(kind).decode for kind in (*DURABLE_EVENTS, *LIVE)
}
"""Decoders of events by name."""


class Logged(NamedTuple):
    """Event as the log has it: `data` is its JSON, `number` counts within its origin.

    Those of starts and ends have the record of their `transaction` instead. A TransactionCorrected has neither: its
    transaction is read when it is needed.
    """

    number: int
    charge_point_id: str
    kind: str
    at: str
    transaction_id: int | None
    data: str
    transaction: Transaction | None = None

    @property
    def logged_at(self) -> dt.datetime:
        """Time when it was logged."""
        return dt.datetime.fromisoformat(self.at)

    def event(self, origin: str) -> DomainEvent:
        """Make the event again, of the origin with this name. Raises ValueError for data that is none."""
        id_ = f"{origin}:{self.number}"
        if self.kind == STARTED_KIND and self.transaction is not None:
            return started(self.transaction, id_)
        if self.kind == ENDED_KIND and self.transaction is not None:
            return ended(self.transaction, id_)
        return decoded(self.kind, self.data)


def decoded(kind: str, data: str) -> DomainEvent:
    """Decode the JSON of an event of a kind. Raises ValueError for data that is none."""
    decode = DECODERS.get(kind)
    if decode is None:
        raise ValueError(f"this chargehand knows no event {kind}")
    try:
        return decode(data)
    except (msgspec.DecodeError, UnicodeError):
        # Lone surrogates, which msgspec does not read.
        try:
            return msgspec.convert(json.loads(data), EVENTS[kind])
        except msgspec.ValidationError as error:
            raise ValueError(f"it is no {kind}: {error}") from error


def encoded(event: DomainEvent) -> str:
    """Encode an event as JSON; lone surrogates, which are no UTF-8, as their escapes."""
    try:
        return _encode(event).decode()
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(event))


def started(transaction: Transaction, id_: str) -> TransactionStarted:
    """Make the event of a start, whatever has come of its transaction since."""
    if not transaction.open or transaction.life_at is not None:
        transaction = msgspec.structs.replace(transaction, **NOT_ENDED, **NOT_ASSESSED)
    return TransactionStarted(
        at=transaction.start_received_at,
        charge_point_id=transaction.charge_point_id,
        id=id_,
        transaction=transaction,
    )


NOT_ENDED: Mapping[str, Any] = {
    "meter_stop": None,
    "stopped_at": None,
    "stop_received_at": None,
    "stop_reason": "",
    "stop_id_tag": "",
    "other_stops": (),
    "closed_by": "",
    "note": "",
    "life_at": None,
    "costs": (),
}
"""Fields of a transaction that has just started."""


def ended(transaction: Transaction, id_: str) -> TransactionEnded:
    """Make the event of an end, with the energy that is claimed."""
    return TransactionEnded(
        at=transaction.stop_received_at or transaction.start_received_at,
        charge_point_id=transaction.charge_point_id,
        id=id_,
        transaction=claimed(transaction),
    )


def corrected(transaction: Transaction, id_: str, at: dt.datetime | None = None) -> TransactionCorrected:
    """Make the event of a change after the end."""
    return TransactionCorrected(
        at=at or dt.datetime.now(dt.UTC),
        charge_point_id=transaction.charge_point_id,
        id=id_,
        transaction=transaction,
    )


def claimed(transaction: Transaction) -> Transaction:
    """Return a transaction with the energy that its charge point claims, if it gave both figures."""
    if transaction.meter_stop is None or transaction.meter_start is None or transaction.assessed:
        return transaction
    energy_wh = transaction.meter_stop - transaction.meter_start
    return msgspec.structs.replace(transaction, energy_wh=energy_wh, energy_source=METER)


# -- Of what a charge point tells -----------------------------------------------------------------


def event_of_record(record: Event, id_: str) -> DomainEvent | None:
    """Make the event of a record; None for a kind that has none."""
    make = _OF_RECORDS.get(record.kind)
    return None if make is None else make(record, id_)


def has_event(record: Event) -> bool:
    """Return whether a record has a durable event."""
    return record.kind in _OF_RECORDS


def is_history(record: Event) -> bool:
    """Return whether a record is history alone: no consumer gets it, and no audit needs it."""
    return record.kind not in _OF_RECORDS and record.kind not in AUDIT


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _number(value: Any) -> int | None:
    return value if type(value) is int else None


def _booted(record: Event, id_: str) -> DomainEvent:
    data = record.data
    # A station of 2.x tells of itself in an object.
    station = data.get("chargingStation")
    told: Mapping[str, Any] = station if isinstance(station, Mapping) else data
    return Booted(
        at=record.received_at,
        charge_point_id=record.charge_point_id,
        id=id_,
        vendor=_text(told.get("vendorName", told.get("chargePointVendor"))),
        model=_text(told.get("model", told.get("chargePointModel"))),
        firmware_version=_text(told.get("firmwareVersion")),
        data=data,
    )


def _progress(kind: type[FirmwareStatusChanged | LogStatusChanged]) -> Callable[[Event, str], DomainEvent]:
    def make(record: Event, id_: str) -> DomainEvent:
        return kind(
            at=record.received_at,
            charge_point_id=record.charge_point_id,
            id=id_,
            status=_text(record.data.get("status")),
            request_id=_number(record.data.get("requestId")),
            data=record.data,
        )

    return make


def _security(record: Event, id_: str) -> DomainEvent:
    return SecurityEventReceived(
        at=record.received_at,
        charge_point_id=record.charge_point_id,
        id=id_,
        type=_text(record.data.get("type")),
        info=_text(record.data.get("techInfo")),
        data=record.data,
    )


def _own_security(record: Event, id_: str) -> DomainEvent:
    return SecurityEventReceived(
        at=record.received_at,
        charge_point_id=record.charge_point_id,
        id=id_,
        type=_text(record.data.get("type")),
        info=_text(record.data.get("info")),
        source="central_system",
        data=record.data,
    )


def _member(data: Any, name: str) -> Any:
    """Return a member of what may be an object."""
    return data.get(name) if isinstance(data, Mapping) else None


def _named(data: Any) -> str:
    """Name a component or a variable; its instance is in brackets."""
    instance = _text(_member(data, "instance"))
    return _text(_member(data, "name")) + (f"[{instance}]" if instance else "")


def _device_event(record: Event, id_: str) -> DomainEvent:
    data = record.data
    component = data.get("component")
    evse = _member(component, "evse")
    return DeviceEventReceived(
        at=record.received_at,
        charge_point_id=record.charge_point_id,
        id=id_,
        component=_named(component),
        variable=_named(data.get("variable")),
        trigger=_text(data.get("trigger")),
        actual_value=_text(data.get("actualValue")),
        event_id=_number(data.get("eventId")),
        evse=_number(_member(evse, "id")),
        connector=_number(_member(evse, "connectorId")),
        cleared=data.get("cleared") is True,
        tech_code=_text(data.get("techCode")),
        tech_info=_text(data.get("techInfo")),
        monitor_id=_number(data.get("variableMonitoringId")),
        severity=_number(data.get("severity")),
        data=data,
    )


def _limit_of_others(record: Event, id_: str) -> DomainEvent:
    data = record.data
    limit = data.get("chargingLimit", data)  # the message that clears one has its members at the top
    critical = _member(limit, "isGridCritical")
    return ChargingLimitChanged(
        at=record.received_at,
        charge_point_id=record.charge_point_id,
        id=id_,
        source=_text(_member(limit, "chargingLimitSource")),
        evse=_number(data.get("evseId")),
        cleared="chargingLimit" not in data,
        grid_critical=critical if isinstance(critical, bool) else None,
        data=data,
    )


def _data_transfer(record: Event, id_: str) -> DomainEvent:
    return DataTransferReceived(
        at=record.received_at,
        charge_point_id=record.charge_point_id,
        id=id_,
        vendor_id=_text(record.data.get("vendorId")),
        message_id=_text(record.data.get("messageId")),
        data=record.data,
    )


_OF_RECORDS: Mapping[str, Callable[[Event, str], DomainEvent]] = {
    "boot": _booted,
    "firmware": _progress(FirmwareStatusChanged),
    "diagnostics": _progress(LogStatusChanged),
    "log": _progress(LogStatusChanged),
    SECURITY: _security,
    OWN_SECURITY: _own_security,
    "device_event": _device_event,
    "charging_limit": _limit_of_others,
    "charging_limit_cleared": _limit_of_others,
    "data_transfer": _data_transfer,
}
"""Functions that make the durable event of a record, by kind of the record."""
