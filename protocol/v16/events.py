"""Live events in the messages of OCPP 1.6. Connector n is connector 1 of EVSE n; connector 0 is the charge point."""

from collections.abc import Mapping

import msgspec

from ..energy import Quantity
from ..events import (
    AuthorizationRequested,
    DomainEvent,
    EventFacts,
    MakeEvent,
    MeterValuesReceived,
    StatusChanged,
    TransactionUpdated,
)
from ..samples import meter_values_of
from .samples import samples_of


def _status(facts: EventFacts) -> DomainEvent:
    request = facts.request
    connector = request.connector_id
    return StatusChanged(
        at=facts.at,
        charge_point_id=facts.charge_point_id,
        evse=connector,
        connector=1 if connector else 0,
        status=str(request.status),
        error_code=str(request.error_code or ""),
        info=request.info or "",
    )


def _authorization(facts: EventFacts) -> DomainEvent:
    return AuthorizationRequested(
        at=facts.at,
        charge_point_id=facts.charge_point_id,
        id_tag=facts.request.id_tag,
        verdict=str(facts.response.id_tag_info.status),
    )


def _meter_values(facts: EventFacts) -> DomainEvent:
    return MeterValuesReceived(
        at=facts.at,
        charge_point_id=facts.charge_point_id,
        evse=facts.request.connector_id,
        transaction_id=facts.request.transaction_id,
        meter_values=msgspec.json.decode(meter_values_of(facts.payload)),
    )


def _progress(facts: EventFacts) -> DomainEvent | None:
    request = facts.request
    if not request.transaction_id:
        return None
    latest: dict[Quantity, float] = {}
    for sample in sorted(samples_of(facts.payload).samples, key=lambda one: one.at):
        if not sample.phase:
            latest[sample.quantity] = float(sample.value)
    return TransactionUpdated(
        at=facts.at,
        charge_point_id=facts.charge_point_id,
        transaction_id=request.transaction_id,
        evse=request.connector_id,
        register_wh=latest.get(Quantity.REGISTER),
        power_w=latest.get(Quantity.POWER),
    )


EVENTS: Mapping[str, Mapping[type[DomainEvent], MakeEvent]] = {
    "StatusNotification": {StatusChanged: _status},
    "Authorize": {AuthorizationRequested: _authorization},
    "MeterValues": {MeterValuesReceived: _meter_values, TransactionUpdated: _progress},
}
"""Functions that make live events of an answered call, by action."""
