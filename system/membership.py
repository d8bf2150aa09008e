"""Membership of a central system in a cluster.

It exists only when several processes share their charge points.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any

from ..actors.session.commands import command_ended
from ..actors.session.messages import SendCommand, TicketEnded, TimePassed
from ..actors.session.tickets import TicketState
from ..protocol.events import NodeJoined, NodeLeft
from ..protocol.websocket import CloseCode
from ..remote.cluster.cluster import REFRESH_S, Cluster
from ..remote.cluster.coordinator import CoordinatorUnavailable
from .ticket_store import TicketStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from ..actors.plugin.routing import Router
    from ..actors.runtime.timers import Timers
    from ..actors.session.cell import ChargePointCell
    from ..actors.session.context import DurableTickets, Observer
    from ..actors.session.directory import Directory
    from ..actors.session.meter import SessionMeter
    from ..actors.session.tickets import Ticket, TicketRegistry
    from ..protocol.actions import Version
    from ..protocol.events import DomainEvent
    from ..remote.cluster.coordinator import Coordinator
    from ..store.store import Store

logger = logging.getLogger(__name__)

CLOSE_POLICY = CloseCode.POLICY_VIOLATION
ABSENT = "the charge point has left"


class Membership:
    """Interface between a central system and its cluster.

    `adopt` continues a command of a dead node, `cancel` cancels one that waits here, and `spooled_elsewhere` is called
    for charge points whose messages another node has spooled. `moved` is called for each that connects
    here, with `here`, and that leaves; `refused` if this node may not join those that live.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        *,
        timers: Timers,
        directory: Directory,
        registry: TicketRegistry,
        store: Store,
        router: Router,
        durable_tickets: DurableTickets | None,
        observer: Observer,
        meter: SessionMeter,
        adopt: Callable[[Ticket[Any]], None],
        cancel: Callable[[Ticket[Any]], None],
        spooled_elsewhere: Callable[[str], None],
        moved: Callable[..., None],
        refused: Callable[[str], None],
        versions: Mapping[str, Version],
    ) -> None:
        self._clock = timers.clock
        self._directory = directory
        self._registry = registry
        self._store = store
        self._router = router
        self._durable_tickets = durable_tickets
        self._observer = observer
        self._meter = meter
        self._adopt = adopt
        self._cancel = cancel
        self._spooled_elsewhere = spooled_elsewhere
        self._moved = moved
        self._refused = refused
        self.cluster = Cluster(coordinator, timers, store, self, versions)

    # -- For the gatekeeper ------------------------------------------------------------------------

    def admit(self, charge_point_id: str) -> None:
        """Claim a charge point for this node before its handshake is answered."""
        self.cluster.admit(charge_point_id)
        # Messages that another process has spooled go before new ones.
        if self._store.durable and self._store.spooled(charge_point_id=charge_point_id, limit=1):
            self._spooled_elsewhere(charge_point_id)

    def refresh(self, charge_point_id: str) -> None:
        """Read what other processes have stored of a charge point. Switches greenlets.

        Raises `StoreError` or TimeoutError if it cannot be read.
        """
        self._store.refresh(charge_point_id).wait(REFRESH_S)

    def attached(self, charge_point_id: str) -> None:
        """Adopt the commands of dead nodes for a charge point that has connected here."""
        self._moved(charge_point_id, here=True)
        durable_tickets = self._durable_tickets
        if not isinstance(durable_tickets, TicketStore):
            return
        living = {self.cluster.node, *self.cluster.coordinator.nodes()}
        for ticket in durable_tickets.adopt(charge_point_id, living, self._clock.time()):
            if self._registry.find(ticket.id) is None:
                self._adopt(ticket)

    def living(self) -> set[str]:
        """Return the names of the nodes that have a lease, this one only if it has one."""
        nodes = set(self.cluster.coordinator.nodes())
        return nodes if self.cluster.coordinator.held else nodes - {self.cluster.node}

    def redelivered_here(self, charge_point_ids: Collection[str]) -> Collection[str]:
        """Return those of some charge points whose spool this node redelivers. Switches greenlets.

        These are its own; and, on the first node, those that no node has.
        """
        own = {one for one in charge_point_ids if self._online(one) is not None}
        if len(own) == len(charge_point_ids) or self.cluster.node != self.cluster.nodes()[0]:
            return own
        try:
            if len(charge_point_ids) == 1:
                held = {one for one in charge_point_ids if self.cluster.find(one)}
            else:
                held = set(self.cluster.charge_points())
        except CoordinatorUnavailable:
            return own
        return own.union(charge_point_ids) - (held - own)

    # -- For the cluster -------------------------------------------------------------------------

    def _online(self, charge_point_id: str) -> ChargePointCell | None:
        cell = self._directory.find(charge_point_id)
        return None if cell is None or cell.ended or cell.newest is None else cell

    def run(self, ticket: Ticket[Any]) -> bool:
        """Run a forwarded command; return false if its charge point is not connected here."""
        cell = self._online(ticket.charge_point_id)
        if cell is None:
            return False
        self._registry.add(ticket)
        if self._durable_tickets is not None:
            self._durable_tickets.persist(ticket)
        cell.tell(SendCommand(ticket))
        return True

    def find_ticket(self, ticket_id: str) -> Ticket[Any] | None:
        """Find a ticket of this node; None if it is unknown."""
        return self._registry.find(ticket_id)

    def cancel(self, ticket: Ticket[Any]) -> None:
        """Cancel a command that waits here."""
        self._cancel(ticket)

    def wake(self, charge_point_id: str) -> None:
        """Have a session check again whether it may send commands."""
        cell = self._online(charge_point_id)
        if cell is not None:
            cell.tell(TimePassed())

    def fence(self, charge_point_id: str) -> None:
        """Close the connection of a charge point that another node holds now."""
        cell = self._online(charge_point_id)
        if cell is not None and cell.newest is not None:
            self._observer.count("fenced", charge_point_id)
            cell.newest.close(CLOSE_POLICY, "the charge point is connected to another node")

    def hold(self, ticket: Ticket[Any]) -> None:
        """Persist a forwarded command for the next process."""
        if self._durable_tickets is not None:
            self._durable_tickets.persist(ticket)

    def ended(self, ticket: Ticket[Any], *, elsewhere: bool) -> None:
        """Count a forwarded command that has ended, and tell the plugins its outcome.

        If it ended `elsewhere`, the plugins of that node have heard of it.
        """
        event = None
        if not elsewhere:  # else that node has stored its event
            event = command_ended(ticket, self._now())
        if self._durable_tickets is not None and ticket.persisted is not None:
            self._durable_tickets.forget(ticket, event)
        elif event is not None:
            self._store.publish(event)
        self._router.tell_outcome(ticket.action, TicketEnded(ticket), elsewhere=elsewhere)
        self._observer.count(f"ticket_{ticket.state}", ticket.charge_point_id)
        if not elsewhere:  # else that node has counted it
            self._meter.command_ended(ticket)

    def nodes_changed(self, joined: Iterable[str], left: Iterable[str]) -> None:
        """Publish which other nodes have come and gone."""
        at = self._now()
        for node in joined:
            self._router.publish(NodeJoined(at=at, node=node))
        for node in left:
            self._router.publish(NodeLeft(at=at, node=node))

    def refused(self, why: str) -> None:
        """Stop the system: another node lives that this one cannot speak with."""
        self._refused(why)

    def listen(self, kind: type[DomainEvent], listener: Callable[[DomainEvent], None]) -> None:
        """Tell a listener of live events of a kind from now on."""
        self._router.listen(kind, listener)

    def unlisten(self, kind: type[DomainEvent], listener: Callable[[DomainEvent], None]) -> None:
        """Tell a listener no more."""
        self._router.unlisten(kind, listener)

    def event_lost(self, charge_point_id: str) -> None:
        """Count an event that could not be sent to another node."""
        self._observer.count("event_dropped", charge_point_id)

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._clock.time(), dt.UTC)

    # -- For the system --------------------------------------------------------------------------

    def submit(self, ticket: Ticket[Any]) -> bool:
        """Forward a command to the owner of its charge point; return false if that is this node."""
        if self._online(ticket.charge_point_id) is not None:
            return False
        self.cluster.forwarded.submit(ticket)
        return True

    def went_offline(self, charge_point_id: str) -> None:
        """Forward the commands that wait for a charge point that has disconnected."""
        cell = self._directory.find(charge_point_id)
        if cell is None or cell.newest is not None:
            return  # a newer connection is here
        self._moved(charge_point_id, here=False)
        calls, moving = cell.session.calls, []
        for outgoing in list(calls.waiting) if calls is not None else ():
            if outgoing.owner.when_offline == "queue" and calls is not None:
                calls.remove(outgoing.owner)
                moving.append(outgoing.owner)
        self.cluster.went_offline(charge_point_id, moving)

    def give_back(self) -> None:
        """Return hosted commands that still wait to their nodes, before this system stops."""
        for cell in self._directory:
            calls = cell.session.calls
            for outgoing in list(calls.waiting) if calls is not None else ():
                if outgoing.owner.id in self.cluster.hosted and calls is not None:
                    calls.remove(outgoing.owner)
                    self.cluster.hosted.give_back(outgoing.owner, "its node stops")

    def abandon_remote(self, ticket: Ticket[Any], at: float, reason: str) -> bool:
        """End a ticket that another node has, when this system stops; return false if none has it."""
        if not self.cluster.forwarded.is_away(ticket):
            return False
        ticket.end(TicketState.OUTCOME_UNKNOWN, at, f"{reason}; another node has it")
        return True
