"""Views of events: stored messages of a charge point, events of the domain, events that no consumer took."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import msgspec

from ..store.events import TransactionCorrected, TransactionEnded, TransactionStarted, decoded
from ..system.assessment import limits_of
from .transaction_views import transaction
from .views import Payload, View

if TYPE_CHECKING:
    from ..config.settings import Settings
    from ..protocol.energy import Limits
    from ..protocol.events import DomainEvent
    from ..store.event_log import EventDeadLetter
    from ..store.records import Event


class StoredEvent(View):
    """Stored event of a charge point; `data` is as it was sent, but for the case of its names."""

    kind: str
    received_at: dt.datetime
    data: Payload


class DeadEvent(View):
    """Event that a consumer could not take; `why` says why."""

    number: int
    consumer: str
    id: str
    charge_point: str
    kind: str
    failed_at: dt.datetime
    why: str
    event: dict[str, Any]


def event(record: Event) -> StoredEvent:
    """Show a stored event of a charge point."""
    return StoredEvent(kind=record.kind, received_at=record.received_at, data=record.data)


def domain_event(event: DomainEvent, limits: Limits) -> dict[str, Any]:
    """Show an event of the domain; its charge point and its transaction are as everywhere in HTTP."""
    names = {"charge_point_id": "charge_point", "ticket_id": "ticket"}
    shown = {names.get(name, name): value for name, value in msgspec.to_builtins(event).items()}
    if isinstance(event, TransactionStarted | TransactionEnded | TransactionCorrected):
        shown["transaction"] = msgspec.to_builtins(transaction(event.transaction, limits))
    return shown


def event_view(event: DomainEvent, settings: Settings) -> dict[str, Any]:
    """Show an event as the stream of events over HTTP does: a dict for JSON."""
    return domain_event(event, limits_of(settings.back_office))


def dead_event(letter: EventDeadLetter, limits: Limits) -> DeadEvent:
    """Show an event that a consumer could not take."""
    try:
        shown: Any = domain_event(decoded(letter.kind, letter.data), limits)
    except ValueError:
        shown = json.loads(letter.data)
    return DeadEvent(
        number=letter.number,
        consumer=letter.consumer,
        id=letter.event,
        charge_point=letter.charge_point_id,
        kind=letter.kind,
        failed_at=letter.failed_at,
        why=letter.why,
        event=shown,
    )
