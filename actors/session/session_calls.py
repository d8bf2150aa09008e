"""The active side of a session: the calls of ours, from the queue onto the wire and to their results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...protocol.effects import Expectation, pair_of
from ...protocol.outgoing import INFINITY, Outgoing
from ...protocol.session import Answered, Declined
from ..runtime.actor import Actor
from .messages import CancelCommand, SendCommand, TimePassed
from .tickets import TicketState

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar

    from .cell import ChargePointCell
    from .context import DurableTickets
    from .tickets import Ticket

MARK_S = 1.0
"""Seconds that a call of ours waits for the store to know that it goes on the wire."""


class SessionCalls(Actor):
    """See the head of this file. `handlers` are by the type of a message, `events` by that of what a frame was."""

    _cell: ChargePointCell

    def _send_call(self, message: SendCommand) -> None:
        cell, ticket = self._cell, message.ticket
        if not ticket.open:
            return
        if cell.connection is None and ticket.when_offline == "fail":
            cell.end_unsent(ticket, TicketState.NEVER_SENT, "the charge point is not connected")
            return
        session = cell.session
        action = session.rules.version.actions[ticket.action]
        clock = cell.context.clock
        expires_at = INFINITY
        if (
            ticket.expires_in_s is not None
        ):  # it counts from when the call was made, perhaps by another process
            expires_at = clock.monotonic() + ticket.expires_in_s - (clock.time() - ticket.created_at)
        outgoing = Outgoing(ticket, action, ticket.request, ticket.payload, ticket.timeout_s, expires_at)
        if expires_at <= clock.monotonic():
            cell.end_unsent(ticket, TicketState.EXPIRED, "it waited too long")
            return
        for older in session.superseded_by(outgoing):
            cell.end_ticket(older, TicketState.SUPERSEDED, f"by {ticket.id}")
        if not session.submit(outgoing):
            cell.end_unsent(ticket, TicketState.NEVER_SENT, f"{session.rules.queue_limit} calls wait already")
            return
        ticket.waits(held=not session.may_send(action))
        if expires_at is not INFINITY:
            cell.wake(expires_at)
        self._send_next()

    def _send_next(self) -> None:
        cell = self._cell
        if cell.connection is None or cell.session.calls is None:
            return
        if cell.context.may_send is not None and not cell.context.may_send(cell.urn):
            return  # it is looked at again when it may be
        if cell.context.keeper is not None:
            first = cell.session.first_call(cell.context.clock.monotonic())
            if first is None or not self._is_marked(first.owner, cell.context.keeper):
                return
        following = cell.session.next_call(cell.context.clock.monotonic())
        if following is not None:
            outgoing, frame = following
            ticket = outgoing.owner
            ticket.sent(cell.context.clock.time())
            if cell.context.ticket_sent is not None:
                cell.context.ticket_sent(ticket)
            if ticket.effect is not None:
                pair = pair_of(ticket.action, ticket.request)
                if pair is not None:
                    cell.expect(ticket, pair)
            cell.wake(outgoing.due)
            cell.send(frame)

    def _is_marked(self, ticket: Ticket[Any], keeper: DurableTickets) -> bool:
        """Whether a call may go on the wire, as far as the store is concerned; if not, this is asked again.

        What the store does not know to be on the wire, the process after this one would send again. But a car is not
        to wait for a store that is down.
        """
        cell = self._cell
        now = cell.context.clock.monotonic()
        if ticket.kept is None:
            return True
        if ticket.mark is None:
            ticket.mark_due = now + MARK_S
            ticket.mark = keeper.mark(ticket)
            cell.wake(ticket.mark_due)
            ticket.mark.then(lambda _: None if cell.is_set() else cell.tell(TimePassed()))
        return ticket.mark.done or ticket.mark_due <= now

    def _cancel(self, message: CancelCommand) -> None:
        calls = self._cell.session.calls
        outgoing = calls.remove(message.ticket) if calls is not None else None
        if outgoing is not None:
            self._cell.end_ticket(outgoing, TicketState.CANCELLED)

    def _result(self, event: Answered) -> None:
        ticket = event.outgoing.owner
        if event.late:
            ticket.late_answer = event.response
            self._cell.context.observer.count("late_result", self._cell.charge_point.id)
            self._cell.hear(ticket, lambda one: one.answered(event.response))
            return
        ticket.deviations = event.deviations
        ticket.response = event.response
        reason = "" if event.refused is None else f"its answer breaks the contract: {event.refused}"
        self._cell.end_ticket(event.outgoing, TicketState.ANSWERED, reason)
        if self._cell.expectations is not None:
            self._cell.hear(ticket, lambda one: one.answered(event.response))
        self._send_next()

    def _declined(self, event: Declined) -> None:
        ticket = event.outgoing.owner
        if event.late:
            ticket.late_answer = event.code
            self._cell.context.observer.count("late_result", self._cell.charge_point.id)
            self._cell.hear(ticket, Expectation.refused)
            return
        ticket.code = event.code
        ticket.details = event.details
        self._cell.end_ticket(event.outgoing, TicketState.REFUSED, event.description)
        self._send_next()

    handlers: ClassVar[dict[type, Callable[..., None]]] = {
        SendCommand: _send_call,
        CancelCommand: _cancel,
    }
    events: ClassVar[dict[type, Callable[..., None]]] = {
        Answered: _result,
        Declined: _declined,
    }
