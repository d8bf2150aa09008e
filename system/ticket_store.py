"""Active calls that outlive the process: those that have not ended are records in the store.

The process after this one sends what waited, for as long as it has not expired. What was on the wire, nobody knows the
outcome of: it is never sent again. So the store hears that a call goes on the wire before it does.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..actors.session.tickets import Ticket, TicketState
from ..admission.credentials import carries_key
from ..protocol.effects import Effect
from ..protocol.errors import InvalidPayload
from ..protocol.payload import typed
from ..protocol.versions import VERSIONS
from ..store.records import TicketRecord

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from ..protocol.actions import Version
    from ..store.collections import Collection
    from ..store.store import Receipt

logger = logging.getLogger(__name__)


class TicketStore:
    """The `DurableTickets` of a system whose store is durable."""

    def __init__(
        self, book: Collection[TicketRecord], node: str = "", versions: Mapping[str, Version] = VERSIONS
    ) -> None:
        self._versions = {version.name: version for version in versions.values()}
        self._book = book
        self._node = node

    def keep(self, ticket: Ticket[Any]) -> None:
        """Keep a ticket that waits to be sent."""
        if carries_key(ticket.request):
            return  # the store has no keys
        ticket.mark = None
        ticket.kept = self._book.put(_record(ticket, TicketState.QUEUED, self._node))

    def mark(self, ticket: Ticket[Any]) -> Receipt:
        """Record that a ticket goes on the wire now."""
        return self._book.put(_record(ticket, TicketState.SENT, self._node))

    def survives(self, ticket: Ticket[Any]) -> bool:
        """Return true if the next process will send the ticket."""
        waits = ticket.open and ticket.state is not TicketState.SENT
        return waits and ticket.when_offline == "queue" and ticket.kept is not None

    def forget(self, ticket: Ticket[Any]) -> None:
        """Forget a ticket that has ended."""
        self._book.remove(ticket.id)

    def restore(self, now: float) -> Iterator[Ticket[Any]]:
        """The tickets of the process before this one, open if they are to be sent; `now` is seconds since 1970.

        Those that have ended are forgotten by the store.
        """
        return self._restored(self._book, now)

    def adopt(self, charge_point_id: str, living: Container[str], now: float) -> Iterator[Ticket[Any]]:
        """Restore the tickets of one charge point that dead nodes left behind."""
        orphans = [record for record in self._book.of(charge_point_id) if record.node not in living]
        return self._restored(orphans, now)

    def _restored(self, records: Iterable[TicketRecord], now: float) -> Iterator[Ticket[Any]]:
        for record in records:
            ticket = _ticket(record, self._versions.get(record.version), now)
            if ticket is None or not ticket.open:
                self._book.remove(record.id)
            if ticket is not None:
                yield ticket


def _record(ticket: Ticket[Any], state: TicketState, node: str) -> TicketRecord:
    expires_in_s = ticket.expires_in_s
    return TicketRecord(
        id=ticket.id,
        charge_point_id=ticket.charge_point_id,
        version=ticket.request.__action__.version,
        action=ticket.action,
        payload=ticket.payload.decode(),
        state=state,
        created_at=ticket.created_at,
        expires_at=None if expires_in_s is None else ticket.created_at + expires_in_s,
        timeout_s=ticket.timeout_s,
        when_offline=ticket.when_offline,
        effect_timeout_s=ticket.effect_timeout_s,
        node=node,
    )


def _ticket(record: TicketRecord, version: Version | None, now: float) -> Ticket[Any] | None:
    """The ticket of a record; None if it is for no action that is known here."""
    row = version.actions.get(record.action) if version is not None else None
    try:
        request = None if row is None else typed(row.request, record.payload.encode())
    except InvalidPayload:
        request = None
    if request is None:
        logger.error("A call that was kept is not readable and is dropped: %r", record)
        return None
    expires_at = record.expires_at
    ticket: Ticket[Any] = Ticket(
        record.id,
        record.charge_point_id,
        record.action,
        request,
        record.payload.encode(),
        timeout_s=record.timeout_s,
        created_at=record.created_at,
        when_offline=record.when_offline,
        expires_in_s=None if expires_at is None else expires_at - record.created_at,
        effect_timeout_s=record.effect_timeout_s,
    )
    if record.state == TicketState.SENT:
        ticket.end(TicketState.OUTCOME_UNKNOWN, now, "the central system ended while it was on the wire")
        ticket.end_effect(Effect.NO_EFFECT)  # that nobody waited for meanwhile
    elif record.when_offline != "queue":
        ticket.end(TicketState.NEVER_SENT, now, "the central system ended before it was sent")
    elif expires_at is not None and expires_at <= now:
        ticket.end(TicketState.EXPIRED, now, "it waited too long")
    return ticket
