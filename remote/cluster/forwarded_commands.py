"""Forwarded commands: to charge points of other nodes; their tickets are here, their sessions are there.

A command is at one node at a time, or it waits here until its charge point is found. If its node dies, a command that
was on the wire, or may have been, ends `outcome_unknown`; one that was only queued goes to the next node. A node is
handed only commands of versions of OCPP that it has said it speaks; all nodes speak the oldest.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, Protocol

import gevent

from ...actors.session.tickets import Ticket, TicketState
from ...protocol.effects import Effect
from ...protocol.errors import ErrorCode, InvalidPayload, Refused
from ...protocol.payload import lenient, typed
from ...protocol.versions import VERSIONS, version_named
from .coordinator import CoordinatorUnavailable
from .messages import (
    AskVersions,
    CancelForwarded,
    CommandEnded,
    CommandReturned,
    CommandSent,
    EffectKnown,
    ForwardCommand,
    NodeMessage,
    VersionsSpoken,
)
from .ticket_records import record_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...actors.runtime.timers import Clock

logger = logging.getLogger(__name__)

LOOK_S = 0.5
"""Seconds between searches for the charge points that commands wait for."""
LOST_CONTACT_S = 10.0
"""Seconds beyond a command's own limits after which no message of its node is expected any more."""
FINDS = 20
"""Searches for a charge point that has just moved, `MOVING_S` apart, before a command that may not wait ends."""
MOVING_S = 0.1
EVERYWHERE = next(iter(VERSIONS.values())).name
"""Version of OCPP that every node speaks."""
ASK_AGAIN_S = 30.0
"""Seconds after which a node that has not said which versions it speaks is asked again."""


class ForwardingHost(Protocol):
    """Node, as its forwarded commands see it."""

    def find(self, charge_point_id: str) -> str:
        """Find the node of a charge point, "" if it has none. Switches greenlets. Raises `CoordinatorUnavailable`."""

    def tell(self, node: str, message: NodeMessage) -> None:
        """Send a message to another node. Raises `CoordinatorUnavailable`."""

    def here(self, ticket: Ticket[Any]) -> bool:
        """Hand a ticket to the session of its charge point on this node; return false if there is none."""

    def hold(self, ticket: Ticket[Any]) -> None:
        """Persist a ticket that waits here for its charge point."""

    def was_sent(self, ticket: Ticket[Any]) -> bool | None:
        """Return whether a dead node had sent the command; None if unknown. Switches greenlets."""

    def ended(self, ticket: Ticket[Any], *, elsewhere: bool) -> None:
        """Handle the end of a ticket of ours; with `elsewhere` the node that carried it out reported it."""


class ForwardedCommands:
    """Commands that this node has sent on to their owners. `node` is this one."""

    def __init__(self, node: str, host: ForwardingHost, clock: Clock) -> None:
        self._node = node
        self._host = host
        self._clock = clock
        self._tickets: dict[str, Ticket[Any]] = {}
        self._at: dict[str, str] = {}  # node that has the command, by ticket id
        self._waiting: dict[str, Ticket[Any]] = {}  # for a charge point without a node
        self._spoken: dict[str, frozenset[str]] = {}  # versions of OCPP, by node
        self._asked: dict[str, float] = {}  # when a node was asked for them
        self._greenlets: set[Any] = set()
        self._looking: Any = None

    def start(self) -> None:
        """Start searching for charge points that commands wait for."""
        self._looking = gevent.spawn(self._look)

    def stop(self) -> None:
        """Stop; the tickets are ended by their owner."""
        if self._looking is not None:
            self._looking.kill()
        gevent.killall(list(self._greenlets))
        self._tickets.clear()
        self._at.clear()
        self._waiting.clear()

    def __contains__(self, ticket_id: str) -> bool:
        return ticket_id in self._tickets

    def __len__(self) -> int:
        return len(self._tickets)

    def submit(self, ticket: Ticket[Any]) -> None:
        """Forward a command to the node of its charge point. Never blocks."""
        self._tickets[ticket.id] = ticket
        self._go(self._place, ticket)

    def is_away(self, ticket: Ticket[Any]) -> bool:
        """Return whether another node has the command."""
        return ticket.id in self._at

    def cancel(self, ticket: Ticket[Any]) -> None:
        """Cancel a command, if it is not sent yet."""
        if ticket.id in self._waiting:
            self._end(ticket, TicketState.CANCELLED)
        elif ticket.id in self._at:
            try:
                self._host.tell(self._at[ticket.id], CancelForwarded(ticket.id, ticket.charge_point_id))
            except CoordinatorUnavailable as error:
                logger.warning("%r could not be cancelled: %s", ticket, error)

    # -- Placing ---------------------------------------------------------------------------------

    def _go(self, function: Callable[..., None], *args: Any) -> None:
        greenlet = gevent.spawn(function, *args)
        self._greenlets.add(greenlet)
        greenlet.rawlink(self._greenlets.discard)

    def _place(self, ticket: Ticket[Any], tries: int = FINDS) -> None:
        """Give a command to the node of its charge point; without one it waits, if it may."""
        why, spoken = "the charge point is not connected to any node", True
        for _ in range(tries):
            if not ticket.open or ticket.id not in self._tickets:
                return
            try:
                node = self._host.find(ticket.charge_point_id)
                spoken = not node or self._speaks(node, ticket.version)
                if not spoken:
                    why = f"its charge point is at node {node}, which does not speak OCPP {ticket.version}"
                elif self._given(ticket, node):
                    return
            except CoordinatorUnavailable as error:
                why = str(error)
                break
            if not node:
                break
            gevent.sleep(MOVING_S)  # its node has just lost it
        if not spoken:
            logger.warning("%r is not handed over: %s", ticket, why)
        if ticket.when_offline == "queue":
            ticket.waits(held=False)
            self._waiting[ticket.id] = ticket
            self._host.hold(ticket)
        else:
            self._end(ticket, TicketState.NEVER_SENT, why)

    def _speaks(self, node: str, version: str) -> bool:
        """Return whether a node has said that it speaks a version of OCPP; ask it if it has said nothing."""
        if version == EVERYWHERE or node == self._node or version in self._spoken.get(node, ()):
            return True
        now = self._clock.time()
        if node not in self._spoken and now >= self._asked.get(node, 0.0) + ASK_AGAIN_S:
            self._host.tell(node, AskVersions())
            self._asked[node] = now
        return False

    def _given(self, ticket: Ticket[Any], node: str) -> bool:
        if node == self._node:
            if not self._host.here(ticket):
                return False
            self._forget(ticket)
            return True
        if not node:
            return False
        self._at[ticket.id] = node
        try:
            self._host.tell(node, ForwardCommand(record_of(ticket, ticket.state)))
        except CoordinatorUnavailable:
            self._at.pop(ticket.id, None)
            raise
        return True

    def _look(self) -> None:
        while True:
            gevent.sleep(LOOK_S)
            now = self._clock.time()
            for ticket in list(self._waiting.values()):
                if _expired(ticket, now):
                    self._end(ticket, TicketState.EXPIRED, "it was not sent in time")
                    continue
                try:
                    node = self._host.find(ticket.charge_point_id)
                    found = bool(node) and self._speaks(node, ticket.version)
                except CoordinatorUnavailable:
                    break
                if found and self._waiting.pop(ticket.id, None) is not None:
                    self._place(ticket, 1)
            for id_ in list(self._at):
                self._give_up(self._tickets[id_], now)

    def _give_up(self, ticket: Ticket[Any], now: float) -> None:
        """End a command that its node should have ended long ago: the message must have been lost."""
        if ticket.state is TicketState.SENT:
            over = now > (ticket.sent_at or now) + ticket.timeout_s + LOST_CONTACT_S
        else:
            over = _expired(ticket, now - ticket.timeout_s - LOST_CONTACT_S)
        if over and ticket.open:
            self._end(ticket, TicketState.OUTCOME_UNKNOWN, "its node did not report an outcome")
        elif (
            not ticket.open
            and now > (ticket.ended_at or now) + (ticket.effect_timeout_s or 0) + LOST_CONTACT_S
        ):
            self._effect(ticket, Effect.NO_EFFECT)

    # -- Messages of their nodes -------------------------------------------------------------------

    def received(self, sender: str, message: NodeMessage) -> None:
        """Handle a message about a ticket from the node that has it; others are ignored. Nodes say what they speak."""
        if isinstance(message, VersionsSpoken):
            self._spoken[sender] = frozenset(message.versions)
            return
        id_ = getattr(message, "id", "")
        ticket = self._tickets.get(id_)
        if ticket is None or self._at.get(id_) != sender:
            return
        if isinstance(message, CommandSent):
            ticket.sent(message.at)
            _put_into(ticket, message)
        elif isinstance(message, CommandReturned):
            del self._at[id_]
            self._go(self._place, ticket)
        elif isinstance(message, CommandEnded):
            self._ended(ticket, message)
        elif isinstance(message, EffectKnown):
            self._effect(ticket, Effect(message.effect))

    def _ended(self, ticket: Ticket[Any], message: CommandEnded) -> None:
        if message.response is not None:
            try:
                row: Any = type(ticket.request)
                kind = row.__action__.response
                ticket.response, ticket.deviations = lenient(kind, message.response)
            except Refused as error:
                ticket.deviations = error.violations
            if ticket.deviations:
                ticket.answer = message.response
        if message.code is not None:
            ticket.code = ErrorCode(message.code) if message.code in set(ErrorCode) else message.code
            ticket.details = message.details
        self._end(ticket, TicketState(message.state), message.reason, message.at, elsewhere=True)
        if message.effect is not None and message.effect != Effect.PENDING:
            self._effect(ticket, Effect(message.effect))

    def lost(self, node: str) -> None:
        """Handle the loss of a node with the commands that it had."""
        self._spoken.pop(node, None)
        self._asked.pop(node, None)
        for id_ in [id_ for id_, at in self._at.items() if at == node]:
            del self._at[id_]
            self._go(self._survive, self._tickets[id_], node)

    def _survive(self, ticket: Ticket[Any], node: str) -> None:
        if not ticket.open:
            self._effect(ticket, Effect.NO_EFFECT)
            return
        sent = True if ticket.state is TicketState.SENT else self._host.was_sent(ticket)
        if sent is False:
            self._place(ticket)
        elif ticket.id in self._tickets:
            known = "it was on the wire" if sent else "whether it was on the wire is not known"
            self._end(ticket, TicketState.OUTCOME_UNKNOWN, f"its node {node} has ended; {known}")
            self._effect(ticket, Effect.NO_EFFECT)  # no node watches for it any more

    # -- Ends -------------------------------------------------------------------------------

    def _end(
        self,
        ticket: Ticket[Any],
        state: TicketState,
        reason: str = "",
        at: float | None = None,
        *,
        elsewhere: bool = False,
    ) -> None:
        self._waiting.pop(ticket.id, None)
        if ticket.end(state, self._clock.time() if at is None else at, reason):
            self._host.ended(ticket, elsewhere=elsewhere)
        if ticket.settled:
            self._forget(ticket)

    def _effect(self, ticket: Ticket[Any], effect: Effect) -> None:
        ticket.end_effect(effect)
        self._forget(ticket)

    def _forget(self, ticket: Ticket[Any]) -> None:
        self._tickets.pop(ticket.id, None)
        self._at.pop(ticket.id, None)


def _expired(ticket: Ticket[Any], now: float) -> bool:
    return ticket.expires_in_s is not None and ticket.created_at + ticket.expires_in_s <= now


def _put_into(ticket: Ticket[Any], message: CommandSent) -> None:
    """Give a ticket the message that its verb was put into by the session of its charge point."""
    version = version_named(VERSIONS, message.version)
    row = version.actions.get(message.action) if version is not None else None
    if row is not None:
        with contextlib.suppress(InvalidPayload):
            ticket.put_into(typed(row.request, message.payload), message.payload)
