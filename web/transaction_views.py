"""Views of transactions, of meter readings, and of spooled messages."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec

from ..store.records import flag_code
from .views import Payload, View, as_sent, named, utc

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..protocol.actions import Version
    from ..protocol.energy import Energy, Limits, Reading
    from ..store.records import Cost, MeterReading, Spooled, StopFigures, Transaction


class Flag(View):
    """Doubt about a transaction: a stable code, and a text."""

    code: str
    text: str


class StopFiguresView(View):
    """Stop of a transaction that does not count."""

    meter_stop: int | None
    stopped_at: dt.datetime | None
    stop_received_at: dt.datetime
    stop_reason: str
    stop_id_tag: str


class CostPartView(View):
    """Part of a cost: so many of a unit, at a price each; decimal numbers are texts."""

    unit: str
    quantity: str
    price: str
    amount: str


class CostView(View):
    """Cost of a transaction; `by` is who asked for it again."""

    amount: str
    currency: str
    tariff: str
    at: dt.datetime | None
    by: str
    parts: list[CostPartView]


class TransactionView(View):
    """Transaction: `started_at` and `stopped_at` by the charge point's clock, the receipts by ours; meters are in Wh.

    `doubtful_times` names those of the charge point's that cannot be true, or could not be read. `flags` has the
    findings of its assessment, too, and why it is orphaned. `cost`, `currency` and `tariff` are those of the last of
    its `costs`.
    """

    transaction_id: int
    charge_point: str
    connector_id: int
    id_tag: str
    open: bool
    orphaned: bool
    verdict: str
    """Answer to its start."""
    reservation_id: int | None
    meter_start: int | None
    started_at: dt.datetime | None
    start_received_at: dt.datetime
    started_text: str
    """Time of its start as it was sent, if it could not be read."""
    meter_stop: int | None
    stopped_at: dt.datetime | None
    stop_received_at: dt.datetime | None
    doubtful_times: list[str]
    stop_reason: str
    stop_id_tag: str
    energy_wh: float | None
    energy_source: str
    supported_energy_wh: float | None
    """Energy by the readings."""
    cost: str | None
    currency: str | None
    tariff: str | None
    closed_by: str
    """Name of who closed it by hand; empty for its charge point."""
    note: str
    costs: list[CostView]
    other_stops: list[StopFiguresView]
    version: str
    remote_id: str
    """Id that a station of OCPP 2.0.1 gave it."""
    evse_id: int | None
    charging_state: str
    id_type: str
    readings_deleted: bool
    """True if its energy stays as it is, for its readings are gone or may go (`retention`)."""
    flags: list[Flag]


class ReadingView(View):
    """Register at a time."""

    at: dt.datetime
    wh: float


class MeterReadingView(View):
    """MeterValues message, or a StopTransaction with transaction data.

    `payload` is as it was sent, `values` its list of meter values; `flags` has deviations and unusable parts.
    """

    charge_point: str
    connector_id: int
    transaction_id: int | None
    received_at: dt.datetime
    values: Payload
    payload: Payload
    flags: list[str]


class SpooledView(View):
    """Message that a fallback acknowledged; `why` says why its plugin has not handled it."""

    number: int
    charge_point: str
    action: str
    unique_id: str
    payload: Payload
    transaction_id: int | None
    received_at: dt.datetime
    why: str


class WholeTransaction(TransactionView):
    """Transaction with its derived figures, its first meter readings by receipt, and its dead letters.

    `connector_readings` came from its connector while it was open, and name no transaction. `more_readings`,
    `more_connector_readings`, `more_dead_letters`: there are others.
    """

    first_reading: ReadingView | None
    last_reading: ReadingView | None
    peak_w: float | None
    duration_s: float | None
    meter_readings: list[MeterReadingView]
    more_readings: bool
    connector_readings: list[MeterReadingView]
    more_connector_readings: bool
    dead_letters: list[SpooledView]
    more_dead_letters: bool


def transaction(record: Transaction, limits: Limits) -> TransactionView:
    """Show a transaction."""
    return TransactionView(
        transaction_id=record.id,
        charge_point=record.charge_point_id,
        connector_id=record.connector_id,
        id_tag=record.id_tag,
        open=record.open,
        orphaned=record.orphaned,
        verdict=record.verdict,
        reservation_id=record.reservation_id,
        meter_start=record.meter_start,
        started_at=utc(record.started_at),
        start_received_at=record.start_received_at,
        started_text=record.started_text,
        meter_stop=record.meter_stop,
        stopped_at=utc(record.stopped_at),
        stop_received_at=record.stop_received_at,
        doubtful_times=doubtful_times(record, limits),
        stop_reason=record.stop_reason,
        stop_id_tag=record.stop_id_tag,
        energy_wh=record.energy_wh,
        energy_source=record.energy_source,
        supported_energy_wh=record.supported_energy_wh,
        cost=None if record.cost is None else str(record.cost.amount),
        currency=None if record.cost is None else record.cost.currency,
        tariff=None if record.cost is None else record.cost.tariff,
        closed_by=record.closed_by,
        note=record.note,
        costs=[cost(one) for one in record.costs],
        other_stops=[stop_figures(one) for one in record.other_stops],
        version=record.version,
        remote_id=record.remote_id,
        evse_id=record.evse_id,
        charging_state=record.charging_state,
        id_type=record.id_type,
        readings_deleted=record.readings_deleted,
        flags=list(flags(record)),
    )


def cost(record: Cost) -> CostView:
    """Show a cost."""
    return CostView(
        amount=str(record.amount),
        currency=record.currency,
        tariff=record.tariff,
        at=utc(record.at),
        by=record.by,
        parts=[
            CostPartView(
                unit=part.unit,
                quantity=str(part.quantity),
                price=str(part.price),
                amount=str(part.amount),
            )
            for part in record.parts
        ],
    )


def doubtful_times(record: Transaction, limits: Limits) -> list[str]:
    """Name the times of a transaction by the charge point's clock that cannot be true, or could not be read."""
    found = []
    if record.started_text or not limits.allow_time(record.started_at, record.start_received_at):
        found.append("started_at")
    if record.stopped_at is not None and record.stop_received_at is not None and not record.closed_by:
        found += [] if limits.allow_time(record.stopped_at, record.stop_received_at) else ["stopped_at"]
    return found


def flags(record: Transaction) -> Iterator[Flag]:
    """Yield the flags of a transaction: stable code and text."""
    for flag in record.flags:
        yield Flag(code=flag_code(flag), text=flag)
    if record.orphaned:
        yield Flag(code="orphaned", text=f"{record.over} came after its last sign of life")
    for finding in record.findings:
        code, _, text = finding.partition(": ")
        yield Flag(code=code, text=text)


def stop_figures(record: StopFigures) -> StopFiguresView:
    """Show a stop that does not count."""
    return StopFiguresView(
        meter_stop=record.meter_stop,
        stopped_at=utc(record.stopped_at),
        stop_received_at=record.received_at,
        stop_reason=record.reason,
        stop_id_tag=record.id_tag,
    )


def reading(derived: Reading | None) -> ReadingView | None:
    """Show a register at a time."""
    return None if derived is None else ReadingView(at=derived.at, wh=derived.wh)


def whole_transaction(
    view: TransactionView,
    derived: Energy,
    *,
    readings: tuple[list[MeterReadingView], bool],
    connector_readings: tuple[list[MeterReadingView], bool],
    dead_letters: tuple[list[SpooledView], bool],
) -> WholeTransaction:
    """Show a transaction with its derived figures and with lists, of each of which there may be more."""
    return WholeTransaction(
        **msgspec.structs.asdict(view),
        first_reading=reading(derived.first),
        last_reading=reading(derived.last),
        peak_w=derived.peak_w,
        duration_s=derived.duration_s,
        meter_readings=readings[0],
        more_readings=readings[1],
        connector_readings=connector_readings[0],
        more_connector_readings=connector_readings[1],
        dead_letters=dead_letters[0],
        more_dead_letters=dead_letters[1],
    )


def meter_reading(record: MeterReading, versions: Mapping[str, Version]) -> MeterReadingView:
    """Show a message with meter values."""
    version = named(record.version, versions)
    values = b"[]" if version is None else version.meter_values(record.values)
    return MeterReadingView(
        charge_point=record.charge_point_id,
        connector_id=record.connector_id,
        transaction_id=record.transaction_id,
        received_at=record.received_at,
        values=msgspec.Raw(values),
        payload=as_sent(record.values),
        flags=list(record.flags),
    )


def spooled(record: Spooled) -> SpooledView:
    """Show a spooled message."""
    return SpooledView(
        number=record.number,
        charge_point=record.charge_point_id,
        action=record.action,
        unique_id=record.unique_id,
        payload=as_sent(record.payload),
        transaction_id=record.transaction_id,
        received_at=record.received_at,
        why=record.why,
    )
