"""A central system as part of a cluster: what the others need of it, and it of them.

It is the part of `CentralSystem` that is there only when several processes share their charge points.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .actors.messages import OutcomeKnown, SendCall, TimePassed
from .actors.tickets import TicketState
from .kept_tickets import KeptTickets
from .remote.cluster import Cluster
from .remote.switchboard import SwitchboardAway

if TYPE_CHECKING:
    from .actors.charge_point_cell import ChargePointCell
    from .actors.directory import Directory
    from .actors.services import Services
    from .actors.tickets import Ticket, TicketBook
    from .calls import Calls
    from .remote.switchboard import Switchboard
    from .store.store import Store

logger = logging.getLogger(__name__)

CLOSE_POLICY = 1008
ABSENT = "the charge point has left"


class Membership:
    """See the head of this file. `calls` is the system."""

    def __init__(
        self,
        switchboard: Switchboard,
        calls: Calls,
        *,
        services: Services,
        directory: Directory,
        book: TicketBook,
        store: Store,
    ) -> None:
        self._calls = calls
        self._services = services
        self._directory = directory
        self._book = book
        self._store = store
        self.cluster = Cluster(switchboard, services.timers, store, self)
        services.may_send = self.cluster.claims.may_send
        services.replays_here = self._replays_here
        services.ticket_sent = self.cluster.near.changed

    # -- For the entrance ------------------------------------------------------------------------

    def admit(self, charge_point_id: str) -> None:
        """See `supervisor.entrance.Others`."""
        self.cluster.admit(charge_point_id)
        # What another process has spooled of it goes before what it says now.
        if self._store.durable and self._store.spooled(charge_point_id=charge_point_id, limit=1):
            self._services.spool_owners.add(charge_point_id)
            self._services.spool_grew(charge_point_id)

    def attached(self, charge_point_id: str) -> None:
        """See `supervisor.entrance.Others`: go on with what nodes that are no more had for it."""
        keeper = self._services.keeper
        if not isinstance(keeper, KeptTickets):
            return
        living = {self.cluster.node, *self.cluster.switchboard.nodes()}
        for ticket in keeper.adopt(charge_point_id, living, self._services.clock.time()):
            if self._book.find(ticket.id) is None:
                self._calls.take_over(ticket)

    def _replays_here(self, charge_point_id: str) -> bool:
        """Whether what is spooled of a charge point is for us to replay: its node does, or the first if it has none."""
        if self._online(charge_point_id) is not None:
            return True
        try:
            node = self.cluster.find(charge_point_id)
        except SwitchboardAway:
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
        if self._services.keeper is not None:
            self._services.keeper.keep(ticket)
        cell.tell(SendCall(ticket))
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
            self._services.observer.count("fenced", charge_point_id)
            cell.newest.close(CLOSE_POLICY, "the charge point is connected to another node")

    def hold(self, ticket: Ticket[Any]) -> None:
        """See `remote.cluster.Here`."""
        if self._services.keeper is not None:
            self._services.keeper.keep(ticket)

    def ended(self, ticket: Ticket[Any]) -> None:
        """See `remote.cluster.Here`."""
        if self._services.keeper is not None and ticket.kept is not None:
            self._services.keeper.forget(ticket)
        self._services.router.tell_outcome(ticket.action, OutcomeKnown(ticket))
        self._services.observer.count(f"ticket_{ticket.state}", ticket.charge_point_id)

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
