"""Calls of other nodes to charge points that we hold: their sessions are here, the tickets that count are there.

Each has a ticket of its own here, with the same id; what becomes of that is told to the node it came from. One that
was not sent when its charge point moves goes back, and its node finds out where to.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from ...actors.session.tickets import Ticket, TicketState
from ...protocol.effects import Effect
from ...protocol.payload import build
from .coordinator import CoordinatorUnavailable
from .messages import (
    CancelForwarded,
    CommandEnded,
    CommandReturned,
    CommandSent,
    EffectKnown,
    ForwardCommand,
    Message,
)
from .ticket_records import ticket_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...protocol.actions import Version

logger = logging.getLogger(__name__)

UNSAID_LIMIT = 10_000
"""Messages that are kept for nodes while the coordinator is away; the oldest go first."""


class HostedCommands:
    """Commands that this node carries out for others.

    `tell` tells a node; `run` hands a ticket to a session of ours, or is false.

    `cancel` is given a ticket that is not to be sent.
    """

    def __init__(
        self,
        tell: Callable[[str, Message], None],
        run: Callable[[Ticket[Any]], bool],
        cancel: Callable[[Ticket[Any]], None],
        versions: Mapping[str, Version],
    ) -> None:
        self._tell = tell
        self._run = run
        self._cancel = cancel
        self._versions = versions
        self._tickets: dict[str, Ticket[Any]] = {}
        self._from: dict[str, str] = {}
        self._unsaid: deque[tuple[str, Message]] = deque(maxlen=UNSAID_LIMIT)

    def __contains__(self, ticket_id: str) -> bool:
        return ticket_id in self._tickets

    def __len__(self) -> int:
        return len(self._tickets)

    def make(self, sender: str, message: ForwardCommand) -> None:
        """Carry out a call, or send it back."""
        if message.ticket.id in self._tickets:
            return  # it came twice
        ticket = ticket_of(message.ticket, self._versions, self._cancel)
        if ticket is None:
            self._say(
                sender,
                CommandEnded(
                    message.ticket.id, TicketState.NEVER_SENT, message.ticket.created_at, "unknown here"
                ),
            )
            return
        self._tickets[ticket.id] = ticket
        self._from[ticket.id] = sender
        if not self._run(ticket):
            self.give_back(ticket, "the charge point is not connected here")

    def link(self, sender: str, ticket: Ticket[Any]) -> None:
        """Tell a node of a ticket that we have already: its charge point's queue was taken over before."""
        self._tickets[ticket.id] = ticket
        self._from[ticket.id] = sender
        self.changed(ticket)

    def stop(self, sender: str, message: CancelForwarded) -> None:
        """Cancel one, if it is that node's."""
        ticket = self._tickets.get(message.id)
        if ticket is not None and self._from[message.id] == sender:
            ticket.cancel()

    def give_back(self, ticket: Ticket[Any], reason: str) -> None:
        """Return a command that this node will not send."""
        del self._tickets[ticket.id]
        self._say(self._from.pop(ticket.id), CommandReturned(ticket.id, reason))

    def changed(self, ticket: Ticket[Any]) -> None:
        """Tell what has become of one."""
        origin = self._from.get(ticket.id)
        if origin is None or self._tickets.get(ticket.id) is not ticket:
            return
        if ticket.state is TicketState.SENT:
            self._say(origin, CommandSent(ticket.id, ticket.sent_at or 0.0))
            return
        if ticket.open:
            return
        self._say(origin, _ended(ticket))
        if ticket.settled:
            del self._tickets[ticket.id], self._from[ticket.id]
        else:
            ticket.when_settled(lambda: self._effect_known(ticket))

    def _effect_known(self, ticket: Ticket[Any]) -> None:
        origin = self._from.pop(ticket.id, None)
        if origin is not None:
            del self._tickets[ticket.id]
            self._say(origin, EffectKnown(ticket.id, str(ticket.effect)))

    def lost(self, node: str) -> None:
        """Nobody is left to be told: its calls go on, for they were meant."""
        for id_ in [id_ for id_, origin in self._from.items() if origin == node]:
            del self._from[id_], self._tickets[id_]

    def _say(self, node: str, message: Message) -> None:
        if self._unsaid:  # in order
            self._unsaid.append((node, message))
            return
        try:
            self._tell(node, message)
        except CoordinatorUnavailable:
            self._unsaid.append((node, message))

    def say_again(self) -> None:
        """Tell what could not be told, now that the coordinator is back; a node that has ended needs it no more."""
        unsaid, self._unsaid = self._unsaid, deque(maxlen=UNSAID_LIMIT)
        for node, message in unsaid:
            try:
                self._tell(node, message)
            except CoordinatorUnavailable as error:
                logger.warning("%s was not told of %r: %s", node, message, error)


def _ended(ticket: Ticket[Any]) -> CommandEnded:
    response = ticket.response
    return CommandEnded(
        id=ticket.id,
        state=str(ticket.state),
        at=ticket.ended_at or 0.0,
        reason=ticket.reason,
        response=None if response is None else build(type(response), response),
        code=None if ticket.code is None else str(ticket.code),
        details=ticket.details,
        effect=None if ticket.effect in (None, Effect.PENDING) else str(ticket.effect),
    )
