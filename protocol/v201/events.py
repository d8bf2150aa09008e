"""Live events in the messages of OCPP 2.0.1, that need nothing but the message and its answer.

The one rule: an event in which a number of ours is needed, as in that of a transaction, is made where
the number is known.
"""

from collections.abc import Mapping

import msgspec

from ..events import (
    AuthorizationRequested,
    DomainEvent,
    EventFacts,
    MakeEvent,
    MeterValuesReceived,
    StatusChanged,
)
from ..samples import meter_values_of


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


EVENTS: Mapping[str, Mapping[type[DomainEvent], MakeEvent]] = {
    "StatusNotification": {StatusChanged: _status},
    "Authorize": {AuthorizationRequested: _authorization},
    "MeterValues": {MeterValuesReceived: _meter_values},
}
"""Functions that make live events of an answered call, by action."""
