"""Hosted commands: of other nodes to charge points of this node; their sessions are here, their owners there.

Each has a ticket here with the same id, and its outcome is reported to the node it came from. A command that was not
sent when its charge point moves is returned, and its node forwards it again.
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
    NodeMessage,
)
from .ticket_records import ticket_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...protocol.actions import Version

logger = logging.getLogger(__name__)

UNSENT_LIMIT = 10_000
"""Messages to nodes that are kept while the coordinator is away; the oldest are dropped first."""


class HostedCommands:
    """Commands that this node carries out for others.

    `tell` sends a message to a node; `run` hands a ticket to its session, or returns false; `cancel` takes a ticket
    that must not be sent.
    """

    def __init__(
        self,
        tell: Callable[[str, NodeMessage], None],
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
        self._unsent: deque[tuple[str, NodeMessage]] = deque(maxlen=UNSENT_LIMIT)

    def __contains__(self, ticket_id: str) -> bool:
        return ticket_id in self._tickets

    def __len__(self) -> int:
        return len(self._tickets)

    def make(self, sender: str, message: ForwardCommand) -> None:
        """Run a command, or return it."""
        if message.ticket.id in self._tickets:
            return  # received twice
        ticket = ticket_of(message.ticket, self._versions, self._cancel)
        if ticket is None:
            self._report(
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
        """Report to a node on a ticket that is here already, as it was adopted with the queue of its charge point."""
        self._tickets[ticket.id] = ticket
        self._from[ticket.id] = sender
        self.changed(ticket)

    def stop(self, sender: str, message: CancelForwarded) -> None:
        """Cancel a command, if it came from that node."""
        ticket = self._tickets.get(message.id)
        if ticket is not None and self._from[message.id] == sender:
            ticket.cancel()

    def give_back(self, ticket: Ticket[Any], reason: str) -> None:
        """Return a command that this node will not send."""
        del self._tickets[ticket.id]
        self._report(self._from.pop(ticket.id), CommandReturned(ticket.id, reason))

    def changed(self, ticket: Ticket[Any]) -> None:
        """Report the state of a ticket to the node it came from."""
        origin = self._from.get(ticket.id)
        if origin is None or self._tickets.get(ticket.id) is not ticket:
            return
        if ticket.state is TicketState.SENT:
            made = () if ticket.verb is None else (ticket.version, ticket.action, ticket.payload)
            self._report(origin, CommandSent(ticket.id, ticket.sent_at or 0.0, *made))
            return
        if ticket.open:
            return
        self._report(origin, _ended(ticket))
        if ticket.settled:
            del self._tickets[ticket.id], self._from[ticket.id]
        else:
            ticket.when_settled(lambda: self._effect_known(ticket))

    def _effect_known(self, ticket: Ticket[Any]) -> None:
        origin = self._from.pop(ticket.id, None)
        if origin is not None:
            del self._tickets[ticket.id]
            self._report(origin, EffectKnown(ticket.id, str(ticket.effect)))

    def lost(self, node: str) -> None:
        """Forget the origin of a dead node's commands; the commands continue."""
        for id_ in [id_ for id_, origin in self._from.items() if origin == node]:
            del self._from[id_], self._tickets[id_]

    def _report(self, node: str, message: NodeMessage) -> None:
        if self._unsent:  # in order
            self._unsent.append((node, message))
            return
        try:
            self._tell(node, message)
        except CoordinatorUnavailable:
            self._unsent.append((node, message))

    def send_again(self) -> None:
        """Send the messages that could not be sent before, now that the coordinator is back."""
        unsaid, self._unsent = self._unsent, deque(maxlen=UNSENT_LIMIT)
        for node, message in unsaid:
            try:
                self._tell(node, message)
            except CoordinatorUnavailable as error:
                logger.warning("node %s was not sent %r: %s", node, message, error)


def _ended(ticket: Ticket[Any]) -> CommandEnded:
    response = ticket.response
    return CommandEnded(
        id=ticket.id,
        state=str(ticket.state),
        at=ticket.ended_at or 0.0,
        reason=ticket.reason,
        # As it came, if it deviates: written again it might break the contract.
        response=ticket.answer or (None if response is None else build(type(response), response)),
        code=None if ticket.code is None else str(ticket.code),
        details=ticket.details,
        effect=None if ticket.effect in (None, Effect.PENDING) else str(ticket.effect),
    )
