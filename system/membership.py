"""A central system as part of a cluster: what the others need of it, and it of them.

It is the part of `CentralSystem` that is there only when several processes share their charge points.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..actors.session.messages import SendCommand, TicketEnded, TimePassed
from ..actors.session.tickets import TicketState
from ..remote.cluster.cluster import Cluster
from ..remote.cluster.coordinator import CoordinatorUnavailable
from .ticket_store import TicketStore

if TYPE_CHECKING:
    from ..actors.session.cell import ChargePointCell
    from ..actors.session.context import SessionContext
    from ..actors.session.directory import Directory
    from ..actors.session.tickets import Ticket, TicketRegistry
    from ..remote.cluster.coordinator import Coordinator
    from ..store.store import Store
    from .commands import Calls

logger = logging.getLogger(__name__)

CLOSE_POLICY = 1008
ABSENT = "the charge point has left"


class Membership:
    """See the head of this file. `calls` is the system."""

    def __init__(
        self,
        coordinator: Coordinator,
        calls: Calls,
        *,
        context: SessionContext,
        directory: Directory,
        book: TicketRegistry,
        store: Store,
    ) -> None:
        self._calls = calls
        self._context = context
        self._directory = directory
        self._book = book
        self._store = store
        self.cluster = Cluster(coordinator, context.timers, store, self)
        context.may_send = self.cluster.claims.may_send
        context.redelivers_here = self._redelivers_here
        context.ticket_sent = self.cluster.near.changed

    # -- For the entrance ------------------------------------------------------------------------

    def admit(self, charge_point_id: str) -> None:
        """See `supervisor.entrance.PeerClaims`."""
        self.cluster.admit(charge_point_id)
        # What another process has spooled of it goes before what it says now.
        if self._store.durable and self._store.spooled(charge_point_id=charge_point_id, limit=1):
            self._context.spool_owners.add(charge_point_id)
            self._context.spool_grew(charge_point_id)

    def attached(self, charge_point_id: str) -> None:
        """See `supervisor.entrance.PeerClaims`: go on with what nodes that are no more had for it."""
        keeper = self._context.keeper
        if not isinstance(keeper, TicketStore):
            return
        living = {self.cluster.node, *self.cluster.coordinator.nodes()}
        for ticket in keeper.adopt(charge_point_id, living, self._context.clock.time()):
            if self._book.find(ticket.id) is None:
                self._calls.take_over(ticket)

    def _redelivers_here(self, charge_point_id: str) -> bool:
        """Whether what is spooled of a charge point is for us to replay: its node does, or the first if it has none."""
        if self._online(charge_point_id) is not None:
            return True
        try:
            node = self.cluster.find(charge_point_id)
        except CoordinatorUnavailable:
            return False
        return not node and self.cluster.node == self.cluster.nodes()[0]

    # -- For the cluster -------------------------------------------------------------------------

    def _online(self, charge_point_id: str) -> ChargePointCell | None:
        cell = self._directory.find(charge_point_id)
        return None if cell is None or cell.is_set() or cell.newest is None else cell

    def run(self, ticket: Ticket[Any]) -> bool:
        """See `remote.cluster.Here`."""
        cell = self._online(ticket.charge_point_id)
        if cell is None:
            return False
        self._book.add(ticket)
        if self._context.keeper is not None:
            self._context.keeper.keep(ticket)
        cell.tell(SendCommand(ticket))
        return True

    def find_ticket(self, ticket_id: str) -> Ticket[Any] | None:
        """See `remote.cluster.Here`."""
        return self._book.find(ticket_id)

    def cancel(self, ticket: Ticket[Any]) -> None:
        """See `remote.cluster.Here`."""
        self._calls.cancel_here(ticket)

    def wake(self, charge_point_id: str) -> None:
        """See `remote.cluster.Here`."""
        cell = self._online(charge_point_id)
        if cell is not None:
            cell.tell(TimePassed())

    def fence(self, charge_point_id: str) -> None:
        """See `remote.cluster.Here`."""
        cell = self._online(charge_point_id)
        if cell is not None and cell.newest is not None:
            self._context.observer.count("fenced", charge_point_id)
            cell.newest.close(CLOSE_POLICY, "the charge point is connected to another node")

    def hold(self, ticket: Ticket[Any]) -> None:
        """See `remote.cluster.Here`."""
        if self._context.keeper is not None:
            self._context.keeper.keep(ticket)

    def ended(self, ticket: Ticket[Any]) -> None:
        """See `remote.cluster.Here`."""
        if self._context.keeper is not None and ticket.kept is not None:
            self._context.keeper.forget(ticket)
        self._context.router.tell_outcome(ticket.action, TicketEnded(ticket))
        self._context.observer.count(f"ticket_{ticket.state}", ticket.charge_point_id)

    # -- For the system --------------------------------------------------------------------------

    def submit(self, ticket: Ticket[Any]) -> bool:
        """Have a ticket carried out by whoever holds its charge point; false if that is us."""
        if self._online(ticket.charge_point_id) is not None:
            return False
        self.cluster.far.submit(ticket)
        return True

    def went_offline(self, charge_point_id: str) -> None:
        """A charge point of ours is not connected any more: what waits for it moves with it."""
        cell = self._directory.find(charge_point_id)
        if cell is None or cell.newest is not None:
            return  # it has a newer connection here
        calls, moving = cell.session.calls, []
        for outgoing in list(calls.waiting) if calls is not None else ():
            if outgoing.owner.when_offline == "queue" and calls is not None:
                calls.remove(outgoing.owner)
                moving.append(outgoing.owner)
        self.cluster.went_offline(charge_point_id, moving)

    def give_back(self) -> None:
        """Before this system stops: what waits here for others is theirs again."""
        for cell in self._directory:
            calls = cell.session.calls
            for outgoing in list(calls.waiting) if calls is not None else ():
                if outgoing.owner.id in self.cluster.near and calls is not None:
                    calls.remove(outgoing.owner)
                    self.cluster.near.give_back(outgoing.owner, "its node stops")

    def leave(self, ticket: Ticket[Any], at: float, reason: str) -> bool:
        """End a ticket that is with another node when this system stops; false if it is not."""
        if not self.cluster.far.is_away(ticket):
            return False
        ticket.end(TicketState.OUTCOME_UNKNOWN, at, f"{reason}; another node has it")
        return True
