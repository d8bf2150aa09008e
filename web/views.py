"""Views: the JSON shapes of HTTP answers.

One rule: names of ours are in snake case, an OCPP payload stays as it was on the wire. Times are UTC, ISO 8601.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import msgspec

from ..protocol import payload as payloads
from ..protocol.message import Message
from ..protocol.versions import VERSIONS
from ..store.events import TransactionCorrected, TransactionEnded, TransactionStarted, decoded
from ..store.records import flag_code
from ..system.assessment import limits_of
from ..system.charge_point_list import connectors_of, read_again

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..actors.session.charge_point import ChargePoint
    from ..actors.session.tickets import Ticket
    from ..config.settings import Settings
    from ..protocol.actions import Version
    from ..protocol.energy import Energy, Limits
    from ..protocol.errors import Deviation, ErrorCode
    from ..protocol.events import DomainEvent
    from ..store.event_log import EventDeadLetter
    from ..store.records import (
        Event,
        MeterReading,
        Spooled,
        StopFigures,
        StoredRegistration,
        Told,
        Transaction,
    )
    from ..system.bulk import Bulk, BulkResult

JSON = "application/json"
LINES_OF_JSON = "application/x-ndjson"
NEVER = dt.datetime.fromtimestamp(0, dt.UTC)

# Numbers of a payload with a fraction are Decimals, and stay numbers.
_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(view: Any) -> bytes:
    """Encode a view as JSON."""
    return _encoder.encode(view)


def moment(seconds: float | None) -> dt.datetime | None:
    """Convert seconds since 1970 to a time, to the millisecond."""
    return None if seconds is None else dt.datetime.fromtimestamp(round(seconds, 3), dt.UTC)


def utc(at: dt.datetime | None) -> dt.datetime | None:
    """Return a charge point's time in UTC; the first and the last hours that there are keep their zone."""
    with contextlib.suppress(OverflowError):
        return None if at is None else at.astimezone(dt.UTC)
    return at


def wire(message: Message | None) -> msgspec.Raw | None:
    """Show a message as its payload."""
    return None if message is None else msgspec.Raw(payloads.encode(message))


def summary(charge_point: ChargePoint) -> dict[str, Any]:
    """Show a charge point in a list."""
    registration = charge_point.registration
    return {
        "id": charge_point.id,
        "name": charge_point.name,
        "connected": charge_point.connected,
        "peer": charge_point.peer,
        "secure": charge_point.secure,
        "connected_at": moment(charge_point.connected_at),
        "disconnected_at": moment(charge_point.disconnected_at),
        "registration": None if registration is None else str(registration),
    }


def stored_summary(charge_point_id: str, registration: StoredRegistration | None) -> dict[str, Any]:
    """Show the summary of a charge point that only the store knows."""
    return {
        "id": charge_point_id,
        "name": "",
        "connected": False,
        "peer": "",
        "secure": False,
        "connected_at": None,
        "disconnected_at": None,
        "registration": None if registration is None else registration.status,
    }


def stored_facts(
    charge_point_id: str,
    registration: StoredRegistration | None,
    told: Sequence[Told],
    versions: Mapping[str, Version] = VERSIONS,
) -> dict[str, Any]:
    """Show a charge point that only the store knows, with the facts that it told an earlier process."""
    version = registration.version or None if registration is not None else None
    sent = {one.item: as_sent(one.payload) for one in told}
    return stored_summary(charge_point_id, registration) | {
        "version": version,
        "tls": None,
        "boot": sent.pop("boot", None),
        "connectors": [
            sent[item] for item in sorted(sent, key=lambda item: _in_order(item.removeprefix("status/")))
        ],
        "statuses": statuses(read_again(told, versions)),
        "deviations": {},
        "ignored": {},
        "open_tickets": [],
    }


def statuses(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Show the last status of each connector in the same members for all versions; EVSE 0 is the whole station.

    The words are those of the version: Occupied in OCPP 2.0.1 is Preparing, Charging, SuspendedEV, SuspendedEVSE or
    Finishing in 1.6, which the `charging_state` of a transaction tells there.
    """
    return [
        {
            "evse": one.evse,
            "connector": one.connector,
            "status": one.status,
            "at": one.since,
            "error_code": one.error,
            "info": one.info,
        }
        for one in connectors_of(messages)
    ]


def _in_order(key: int | str) -> tuple[int, ...]:
    """Order the keys of connectors, numbers or "EVSE/connector", by their numbers."""
    if isinstance(key, int):
        return (key,)
    return tuple(int(part) for part in key.split("/") if part.lstrip("-").isdecimal())


def facts(charge_point: ChargePoint, open_tickets: Iterable[Ticket[Any]]) -> dict[str, Any]:
    """Show all facts of a charge point.

    `connectors` has the last StatusNotification of each as it was sent, `statuses` the same in words of ours.
    """
    connectors = charge_point.connectors
    return summary(charge_point) | {
        "version": charge_point.version,
        "tls": charge_point.tls,
        "boot": wire(charge_point.boot),
        "connectors": [wire(connectors[key]) for key in sorted(connectors, key=_in_order)],
        "statuses": statuses(connectors.values()),
        "deviations": dict(charge_point.deviations or {}),
        "ignored": dict(charge_point.ignored or {}),
        "open_tickets": [
            {"ticket": ticket.id, "action": ticket.action, "state": ticket.state} for ticket in open_tickets
        ],
    }


def transaction(record: Transaction, limits: Limits) -> dict[str, Any]:
    """Show a transaction: `started_at` and `stopped_at` by the charge point's clock, the receipts by ours.

    `doubtful_times` names those of the charge point's that cannot be true, or could not be read. `flags` has the
    findings of its assessment, too, and why it is orphaned.
    """
    return {
        "transaction_id": record.id,
        "charge_point": record.charge_point_id,
        "connector_id": record.connector_id,
        "id_tag": record.id_tag,
        "open": record.open,
        "orphaned": record.orphaned,
        "verdict": record.verdict,
        "reservation_id": record.reservation_id,
        "meter_start": record.meter_start,
        "started_at": utc(record.started_at),
        "start_received_at": record.start_received_at,
        "started_text": record.started_text,
        "meter_stop": record.meter_stop,
        "stopped_at": utc(record.stopped_at),
        "stop_received_at": record.stop_received_at,
        "doubtful_times": doubtful_times(record, limits),
        "stop_reason": record.stop_reason,
        "stop_id_tag": record.stop_id_tag,
        "energy_wh": record.energy_wh,
        "energy_source": record.energy_source,
        "supported_energy_wh": record.supported_energy_wh,
        "closed_by": record.closed_by,
        "note": record.note,
        "other_stops": [stop_figures(one) for one in record.other_stops],
        "version": record.version,
        "remote_id": record.remote_id,
        "evse_id": record.evse_id,
        "charging_state": record.charging_state,
        "id_type": record.id_type,
        "flags": list(flags(record)),
    }


def doubtful_times(record: Transaction, limits: Limits) -> list[str]:
    """Name the times of a transaction by the charge point's clock that cannot be true, or could not be read."""
    found = []
    if record.started_text or not limits.allow_time(record.started_at, record.start_received_at):
        found.append("started_at")
    if record.stopped_at is not None and record.stop_received_at is not None and not record.closed_by:
        found += [] if limits.allow_time(record.stopped_at, record.stop_received_at) else ["stopped_at"]
    return found


def flags(record: Transaction) -> Iterator[dict[str, str]]:
    """Yield the flags of a transaction: stable code and text."""
    for flag in record.flags:
        yield {"code": flag_code(flag), "text": flag}
    if record.orphaned:
        yield {"code": "orphaned", "text": f"{record.over} came after its last sign of life"}
    for finding in record.findings:
        code, _, text = finding.partition(": ")
        yield {"code": code, "text": text}


def stop_figures(record: StopFigures) -> dict[str, Any]:
    """Show a stop that does not count."""
    return {
        "meter_stop": record.meter_stop,
        "stopped_at": utc(record.stopped_at),
        "stop_received_at": record.received_at,
        "stop_reason": record.reason,
        "stop_id_tag": record.id_tag,
    }


def energy(derived: Energy) -> dict[str, Any]:
    """Show the derived figures of a transaction: first and last reading, power peak, duration."""
    return {
        "first_reading": None if derived.first is None else derived.first._asdict(),
        "last_reading": None if derived.last is None else derived.last._asdict(),
        "peak_w": derived.peak_w,
        "duration_s": derived.duration_s,
    }


def meter_reading(record: MeterReading, versions: Mapping[str, Version]) -> dict[str, Any]:
    """Show a MeterValues message, or a StopTransaction with transaction data.

    `payload` is as it was sent, `values` its list of meter values; `flags` has deviations and unusable parts.
    """
    version = _named(record.version, versions)
    values = b"[]" if version is None else version.meter_values(record.values)
    return {
        "charge_point": record.charge_point_id,
        "connector_id": record.connector_id,
        "transaction_id": record.transaction_id,
        "received_at": record.received_at,
        "values": msgspec.Raw(values),
        "payload": as_sent(record.values),
        "flags": list(record.flags),
    }


def as_sent(payload: bytes) -> msgspec.Raw | str:
    """Show a payload as it was sent; as text if it is no JSON."""
    try:
        payload.decode()
        return msgspec.json.decode(payload, type=msgspec.Raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return payload.decode(errors="backslashreplace")


def event(record: Event) -> dict[str, Any]:
    """Show a stored event of a charge point, as it was sent but for the case of its names."""
    return {"kind": record.kind, "received_at": record.received_at, "data": record.data}


def spooled(record: Spooled) -> dict[str, Any]:
    """Show a spooled message; `why` says why its plugin has not handled it."""
    return {
        "number": record.number,
        "charge_point": record.charge_point_id,
        "action": record.action,
        "unique_id": record.unique_id,
        "payload": as_sent(record.payload),
        "transaction_id": record.transaction_id,
        "received_at": record.received_at,
        "why": record.why,
    }


def domain_event(event: DomainEvent, limits: Limits) -> dict[str, Any]:
    """Show an event of the domain; its charge point and its transaction are as everywhere in HTTP."""
    names = {"charge_point_id": "charge_point", "ticket_id": "ticket"}
    shown = {names.get(name, name): value for name, value in msgspec.to_builtins(event).items()}
    if isinstance(event, TransactionStarted | TransactionEnded | TransactionCorrected):
        shown["transaction"] = transaction(event.transaction, limits)
    return shown


def event_view(event: DomainEvent, settings: Settings) -> dict[str, Any]:
    """Show an event as the stream of events over HTTP does: a dict for JSON."""
    return domain_event(event, limits_of(settings.back_office))


def dead_event(letter: EventDeadLetter, limits: Limits) -> dict[str, Any]:
    """Show an event that a consumer could not take; `why` says why."""
    try:
        event: Any = domain_event(decoded(letter.kind, letter.data), limits)
    except ValueError:
        event = json.loads(letter.data)
    return {
        "number": letter.number,
        "consumer": letter.consumer,
        "id": letter.event,
        "charge_point": letter.charge_point_id,
        "kind": letter.kind,
        "failed_at": letter.failed_at,
        "why": letter.why,
        "event": event,
    }


def plugin(row: Mapping[str, Any]) -> dict[str, Any]:
    """Show the state of a plugin; `broken` are the pairs whose circuit breaker is open."""
    rest = {key: value for key, value in row.items() if key not in {"id", "open_breakers"}}
    pairs = [
        {"charge_point": charge_point, "action": action} for charge_point, action in row["open_breakers"]
    ]
    return {"name": row["id"], **rest, "open_breakers": pairs}


def crash(report: Mapping[str, Any], *, rows: bool) -> dict[str, Any]:
    """Show a crash report, with or without the rows of its flight recorder."""
    view = {**report, "time": moment(report["time"])}
    if not rows:
        del view["rows"]
    return view


def _spell(version: Version | None, code: ErrorCode | str) -> str:
    """Write an error code as a version spells it."""
    return str(code) if version is None else version.spell(code)


def _version_of(ticket: Ticket[Any], versions: Mapping[str, Version]) -> Version | None:
    return _named(ticket.version, versions)


def _named(name: str, versions: Mapping[str, Version]) -> Version | None:
    return next((version for version in versions.values() if version.name == name), None)


def violations(found: Iterable[Deviation], version: Version | None) -> list[dict[str, str]]:
    """Violations and deviations, with their codes as the version spells them."""
    return [
        {
            "path": deviation.path,
            "code": _spell(version, deviation.code),
            "text": deviation.text,
            "value": deviation.value,
        }
        for deviation in found
    ]


def outcome(ticket: Ticket[Any], versions: Mapping[str, Version]) -> dict[str, Any]:
    """Show the state of a ticket, as short as it allows. `effect` is that of `until_effect`."""
    view: dict[str, Any] = {"ticket": ticket.id, "state": ticket.state}
    if ticket.response is not None:
        view["response"] = msgspec.Raw(ticket.answer) if ticket.answer else wire(ticket.response)
    if ticket.code is not None:
        code = _spell(_version_of(ticket, versions), ticket.code)
        view["error"] = {"code": code, "description": ticket.reason, "details": ticket.details}
    if ticket.effect is not None:
        view["effect"] = ticket.effect
    if ticket.deviations:
        view["deviations"] = violations(ticket.deviations, _version_of(ticket, versions))
    return view


def request_of(ticket: Ticket[Any]) -> msgspec.Raw | None:
    """Show the request of a ticket; a secret in it is not shown."""
    shown = ticket.request.__action__.shown(ticket.request)
    return msgspec.Raw(ticket.payload) if shown is ticket.request else wire(shown)


def ticket_facts(ticket: Ticket[Any], versions: Mapping[str, Version]) -> dict[str, Any]:
    """Show all facts of a ticket. `late_answer` came after its time-out: a payload, or an error code."""
    late = ticket.late_answer
    return outcome(ticket, versions) | {
        "open": ticket.open,
        "charge_point": ticket.charge_point_id,
        "action": ticket.action,
        "request": request_of(ticket),
        "reason": ticket.reason,
        "timeout_s": ticket.timeout_s,
        "created_at": moment(ticket.created_at),
        "sent_at": moment(ticket.sent_at),
        "ended_at": moment(ticket.ended_at),
        "late_answer": wire(late) if isinstance(late, Message) else late,
    }


def bulk_facts(bulk: Bulk) -> dict[str, Any]:
    """Show a bulk command and its counts. `total` is null until all charge points are chosen."""
    return {
        "bulk": bulk.id,
        "command": bulk.name,
        "created_at": moment(bulk.created_at),
        "at_most_at_once": bulk.at_once,
        **bulk.progress._asdict(),
    }


def bulk_result(result: BulkResult, versions: Mapping[str, Version]) -> dict[str, Any]:
    """Show the result of a bulk command at one charge point, as short as it allows."""
    view: dict[str, Any] = {
        "number": result.number,
        "charge_point": result.charge_point_id,
        "ok": result.ok,
        "state": result.state,
        "ticket": result.ticket_id or None,
    }
    if result.response is not None:
        view["response"] = wire(result.response)
    if result.code is not None:
        view["code"] = _spell(_named(result.version, versions), result.code)
    if result.effect is not None:
        view["effect"] = result.effect
    if result.reason:
        view["reason"] = result.reason
    return view
