"""Active calls: from `system.send` to the session of a charge point, and what the system keeps of them.

It is the part of `CentralSystem` that hands out tickets.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from ..actors.runtime.threads import native_thread
from ..actors.session.commands import make_ticket
from ..actors.session.messages import CancelCommand, SendCommand, TicketEnded
from ..actors.session.tickets import Ticket, TicketState
from ..admission.credentials import PasswordChecksBusy, carries_key
from .ticket_store import TicketStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from gevent.pool import Pool

    from ..actors.plugin.routing import Router
    from ..actors.runtime.cell import Cell
    from ..actors.runtime.threads import Inlet
    from ..actors.runtime.timers import Clock
    from ..actors.session.commands import CommandDefaults
    from ..actors.session.context import SessionContext
    from ..actors.session.directory import Directory
    from ..actors.session.tickets import TicketRegistry
    from ..admission.credentials import Credentials
    from ..config.settings import Settings
    from ..protocol.actions import Request
    from ..protocol.message import Message
    from ..supervisor.sessions import Sessions
    from .membership import Membership

logger = logging.getLogger(__name__)

R = TypeVar("R", bound="Message")

KEY_SENT = frozenset({TicketState.ANSWERED, TicketState.TIMED_OUT, TicketState.OUTCOME_UNKNOWN})
"""How a call may end whose charge point has, or may have, a new key."""
KEY_TAKEN = frozenset({"Accepted", "RebootRequired"})


class Calls:
    """See the head of this file; `CentralSystem` fills the attributes."""

    settings: Settings
    credentials: Credentials
    _book: TicketRegistry
    _clock: Clock
    _directory: Directory
    _inlet: Inlet
    _limits: CommandDefaults
    _membership: Membership | None
    _pool: Pool
    _root: Cell | None
    _router: Router
    _context: SessionContext
    _sessions: Sessions
    _thread: int

    def send(
        self,
        charge_point: str,
        request: Request[R],
        *,
        timeout_s: float | None = None,
        when_offline: str = "fail",
        expires_in_s: float | None = None,
        until_effect: bool = False,
        effect_timeout_s: float | None = None,
    ) -> Ticket[R]:
        """Send a request to a charge point. Never blocks; safe from any greenlet and any native thread.

        `timeout_s` is for the answer once it is sent (default: `sessions.command_timeout_s`); what has not been sent
        `expires_in_s` from now (default: `sessions.command_expires_s`) never is. With `when_offline="queue"` it waits for
        a charge point that is away. With `until_effect` the ticket is waited for until what was asked for has shown
        itself (`ticket.effect`), a RemoteStartTransaction with its StartTransaction for example, or `effect_timeout_s`
        after its final state. Raises `InvalidPayload` for a request that breaks its contract, ValueError for one that a
        central system does not send and for a time that is not above 0, LookupError for what is no request of OCPP
        1.6 at all. OCPP 1.6, section 5.
        """
        if self._root is None:
            raise RuntimeError("the central system is not running")
        ticket = make_ticket(
            self._book.new_id,
            charge_point,
            request,
            limits=self._limits,
            created_at=self._clock.time(),
            cancel=self._cancel,
            thread=self._thread,
            timeout_s=timeout_s,
            when_offline=when_offline,
            expires_in_s=expires_in_s,
            until_effect=until_effect,
            effect_timeout_s=effect_timeout_s,
        )
        self._in_hub(self._submit, ticket)
        return ticket

    def _in_hub(self, function: Callable[[Any], None], argument: Any) -> None:
        if native_thread() == self._thread:
            function(argument)
        else:
            self._inlet.put(function, argument)

    def _submit(self, ticket: Ticket[Any]) -> None:
        self._book.add(ticket)
        if self._membership is not None and self._root is not None and self._membership.submit(ticket):
            return
        cell = self._directory.find(ticket.charge_point_id)
        if cell is None and ticket.when_offline == "queue" and self._root is not None:
            cell = self._sessions.expect(ticket.charge_point_id)
        if cell is None or cell.is_set() or self._root is None:
            ticket.end(TicketState.NEVER_SENT, self._clock.time(), "the charge point is not connected")
            self._router.tell_outcome(ticket.action, TicketEnded(ticket))
            self._context.observer.count("ticket_never_sent", ticket.charge_point_id)
            if ticket.effect is not None:
                self._context.observer.count("effect_no_effect", ticket.charge_point_id)
        else:
            if self._context.keeper is not None:
                self._context.keeper.keep(ticket)
            cell.tell(SendCommand(ticket))

    def _restore_tickets(self) -> None:
        """Go on with the calls that the process before this one had not ended.

        Among several processes, whoever a charge point connects to does that: see `Membership.attached`.
        """
        keeper = self._context.keeper
        if isinstance(keeper, TicketStore) and self._membership is None:
            for ticket in keeper.restore(self._clock.time()):
                self.take_over(ticket)

    def take_over(self, ticket: Ticket[Any]) -> None:
        """Go on with a call of a process that is no more."""
        ticket.bind(self._cancel, self._thread)
        if ticket.open:
            self._submit(ticket)
        else:
            self._book.add(ticket)
            self._router.tell_outcome(ticket.action, TicketEnded(ticket))

    def _cancel(self, ticket: Ticket[Any]) -> None:
        self._in_hub(self.cancel_here, ticket)

    def cancel_here(self, ticket: Ticket[Any]) -> None:
        """Take a call out that is not on the wire yet. Belongs to the hub's thread."""
        if self._membership is not None and ticket.id in self._membership.cluster.far:
            self._membership.cluster.far.cancel(ticket)
            return
        cell = self._directory.find(ticket.charge_point_id)
        if cell is not None and not cell.is_set():
            cell.tell(CancelCommand(ticket))

    def ticket(self, ticket_id: str) -> Ticket[Any] | None:
        """Find a ticket; None if it is unknown, or ended long ago."""
        return self._book.find(ticket_id)

    def open_tickets(self, charge_point_id: str = "") -> list[Ticket[Any]]:
        """The tickets that have not ended: of one charge point, or of all."""
        return [
            ticket
            for ticket in self._book.open_tickets()
            if not charge_point_id or ticket.charge_point_id == charge_point_id
        ]

    # -- Inside -------------------------------------------------------------------------------------

    def _ticket_ended(self, ticket: Ticket[Any]) -> None:
        """See to it that a charge point whose key was changed can come back, and that other nodes know."""
        if self._membership is not None:
            self._membership.cluster.near.changed(ticket)
        request: Any = ticket.request
        if not carries_key(request) or ticket.state not in KEY_SENT:
            return
        certain = ticket.state is TicketState.ANSWERED and ticket.response is not None
        response: Any = ticket.response
        if certain and response.status not in KEY_TAKEN:
            return
        self._pool.spawn(self._keep_key, ticket.charge_point_id, request.value, certain=certain)

    def _keep_key(self, charge_point_id: str, value: str, *, certain: bool) -> None:
        try:
            self.credentials.key_sent(charge_point_id, value, certain=certain)
        except (PasswordChecksBusy, ValueError) as error:
            logger.error("The new key of %s is not kept: %s", charge_point_id, error)  # noqa: TRY400
