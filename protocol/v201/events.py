"""Live events in the messages of OCPP 2.0.1, that need nothing but the message and its answer.

The one rule: an event in which a number of ours is needed, as in that of a transaction, is made only if the handler
has told the number.
"""

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
from .transactions import TransactionEventType


def _status(facts: EventFacts) -> DomainEvent:
    request = facts.request
    return StatusChanged(
        at=facts.at,
        charge_point_id=facts.charge_point_id,
        evse=request.evse_id,
        connector=request.connector_id,
        status=str(request.connector_status),
    )


def _authorization(facts: EventFacts) -> DomainEvent:
    return AuthorizationRequested(
        at=facts.at,
        charge_point_id=facts.charge_point_id,
        id_tag=facts.request.id_token.id_token,
        verdict=str(facts.response.id_token_info.status),
    )


def _meter_values(facts: EventFacts) -> DomainEvent:
    return MeterValuesReceived(
        at=facts.at,
        charge_point_id=facts.charge_point_id,
        evse=facts.request.evse_id,
        transaction_id=None,
        meter_values=msgspec.json.decode(meter_values_of(facts.payload)),
    )


def _event_values(facts: EventFacts) -> DomainEvent | None:
    if facts.transaction_id is None or not facts.request.meter_value:
        return None
    evse = facts.request.evse
    return MeterValuesReceived(
        at=facts.at,
        charge_point_id=facts.charge_point_id,
        evse=evse.id if evse is not None else 0,
        transaction_id=facts.transaction_id,
        meter_values=msgspec.json.decode(meter_values_of(facts.payload)),
    )


def _progress(facts: EventFacts) -> DomainEvent | None:
    request = facts.request
    if facts.transaction_id is None or request.event_type != TransactionEventType.UPDATED or request.offline:
        return None
    latest: dict[Quantity, float] = {}
    for sample in sorted(samples_of(facts.payload).samples, key=lambda one: one.at):
        if not sample.phase:
            latest[sample.quantity] = float(sample.value)
    return TransactionUpdated(
        at=facts.at,
        charge_point_id=facts.charge_point_id,
        transaction_id=facts.transaction_id,
        evse=request.evse.id if request.evse is not None else 0,
        register_wh=latest.get(Quantity.REGISTER),
        power_w=latest.get(Quantity.POWER),
        charging_state=str(request.transaction_info.charging_state or ""),
    )


EVENTS: Mapping[str, Mapping[type[DomainEvent], MakeEvent]] = {
    "StatusNotification": {StatusChanged: _status},
    "Authorize": {AuthorizationRequested: _authorization},
    "TransactionEvent": {MeterValuesReceived: _event_values, TransactionUpdated: _progress},
    "MeterValues": {MeterValuesReceived: _meter_values},
}
"""Functions that make live events of an answered call, by action."""
