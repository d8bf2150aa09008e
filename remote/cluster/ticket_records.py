"""Tickets as records: one form for the store and for the nodes of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...actors.session.commands import translated
from ...actors.session.tickets import Ticket
from ...protocol.errors import InvalidPayload
from ...protocol.payload import typed
from ...protocol.verbs import VerbRefused, verb_of, verb_text
from ...protocol.versions import version_named
from ...store.records import TicketRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...protocol.actions import Version


def record_of(ticket: Ticket[Any], state: str, node: str = "") -> TicketRecord:
    """Make the record of a ticket; `state` is "queued", or "sent" from just before it goes on the wire."""
    expires_in_s = ticket.expires_in_s
    return TicketRecord(
        id=ticket.id,
        charge_point_id=ticket.charge_point_id,
        version=ticket.version,
        action=ticket.action,
        payload=ticket.payload.decode(),
        state=state,
        created_at=ticket.created_at,
        expires_at=None if expires_in_s is None else ticket.created_at + expires_in_s,
        timeout_s=ticket.timeout_s,
        when_offline=ticket.when_offline,
        effect_timeout_s=ticket.effect_timeout_s,
        node=node,
        verb="" if ticket.verb is None else verb_text(ticket.verb),
    )


def ticket_of(
    record: TicketRecord,
    versions: Mapping[str, Version],
    cancel: Callable[[Ticket[Any]], None] | None = None,
) -> Ticket[Any] | None:
    """Make the ticket of a record, open; None for a version, an action or a payload that is unknown here."""
    version = version_named(versions, record.version)
    row = None if version is None else version.actions.get(record.action)
    payload = record.payload.encode()
    try:
        verb = verb_of(record.verb) if record.verb else None
        if row is not None:
            request = typed(row.request, payload)
        elif verb is not None:
            command = translated(verb, next(iter(versions.values())), record.created_at)
            request, payload = command.request, command.payload
        else:
            return None
    except (InvalidPayload, VerbRefused):
        return None
    return Ticket(
        record.id,
        record.charge_point_id,
        request.__action__.name,
        request,
        payload,
        timeout_s=record.timeout_s,
        created_at=record.created_at,
        when_offline=record.when_offline,
        expires_in_s=None if record.expires_at is None else record.expires_at - record.created_at,
        cancel=cancel,
        effect_timeout_s=record.effect_timeout_s,
        verb=verb,
    )
