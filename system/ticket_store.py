"""Commands that outlive the process: open tickets are records in the store.

The next process sends those that waited, unless they have expired. The outcome of a command that was on the wire is
unknown, and it is never sent again: so it is marked in the store before it is sent.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any

from ..actors.session.commands import command_ended
from ..actors.session.tickets import Ticket, TicketState
from ..protocol.effects import Effect
from ..protocol.versions import VERSIONS
from ..remote.cluster.ticket_records import record_of, ticket_of
from ..store.store import Receipt

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from ..protocol.actions import Version
    from ..protocol.events import DomainEvent
    from ..store.collections import Collection
    from ..store.records import TicketRecord

logger = logging.getLogger(__name__)

PERSISTED = Receipt(done=True)
"""Receipt of all tickets that were durable when they ended."""


class TicketStore:
    """`DurableTickets` of a system with a durable store."""

    def __init__(
        self, collection: Collection[TicketRecord], node: str = "", versions: Mapping[str, Version] = VERSIONS
    ) -> None:
        self._versions = versions
        self._collection = collection
        self._node = node

    def persist(self, ticket: Ticket[Any]) -> None:
        """Persist a ticket that waits to be sent."""
        if ticket.request.__action__.has_secret(ticket.request):
            return  # secrets are never stored
        ticket.mark = None
        ticket.persisted = self._collection.put(record_of(ticket, TicketState.QUEUED, self._node))

    def mark(self, ticket: Ticket[Any]) -> Receipt:
        """Record that a ticket goes on the wire now."""
        return self._collection.put(record_of(ticket, TicketState.SENT, self._node))

    def survives(self, ticket: Ticket[Any]) -> bool:
        """Return whether the next process will send the ticket."""
        waits = ticket.open and ticket.state is not TicketState.SENT
        return waits and ticket.when_offline == "queue" and ticket.persisted is not None

    def forget(self, ticket: Ticket[Any], event: DomainEvent | None = None) -> None:
        """Forget a ticket that has ended, and store the event of its end in the same commit."""
        self._collection.remove(ticket.id, event=event)
        ticket.mark = None
        # The ticket is kept for those who look; its receipt would keep the whole record in memory.
        if ticket.persisted is not None and ticket.persisted.done and ticket.persisted.error is None:
            ticket.persisted = PERSISTED

    def restore(self, now: float) -> Iterator[Ticket[Any]]:
        """Restore the tickets of the previous process, open if they are to be sent; `now` is seconds since 1970.

        Ended ones are removed from the store.
        """
        return self._restored(self._collection, now)

    def adopt(self, charge_point_id: str, living: Container[str], now: float) -> Iterator[Ticket[Any]]:
        """Restore the tickets of one charge point that dead nodes left behind."""
        orphans = [record for record in self._collection.of(charge_point_id) if record.node not in living]
        return self._restored(orphans, now)

    def _restored(self, records: Iterable[TicketRecord], now: float) -> Iterator[Ticket[Any]]:
        for record in records:
            ticket = _restored(record, self._versions, now)
            if ticket is None:
                self._collection.remove(record.id)
            elif not ticket.open:
                at = dt.datetime.fromtimestamp(now, dt.UTC)
                self._collection.remove(record.id, event=command_ended(ticket, at))
            if ticket is not None:
                yield ticket


def _restored(record: TicketRecord, versions: Mapping[str, Version], now: float) -> Ticket[Any] | None:
    """Make the ticket of a record, ended if it must not be sent; None if its action is unknown."""
    ticket = ticket_of(record, versions)
    if ticket is None:
        logger.error("A persisted command is unreadable and was dropped: %r", record)
        return None
    expires_at = record.expires_at
    if record.state == TicketState.SENT:
        ticket.end(TicketState.OUTCOME_UNKNOWN, now, "the central system ended while it was on the wire")
        ticket.end_effect(Effect.NO_EFFECT)  # nothing has watched for it meanwhile
    elif record.when_offline != "queue":
        ticket.end(TicketState.NEVER_SENT, now, "the central system ended before it was sent")
    elif expires_at is not None and expires_at <= now:
        ticket.end(TicketState.EXPIRED, now, "it was not sent in time")
    return ticket
