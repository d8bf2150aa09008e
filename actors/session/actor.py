"""The actor of one charge point: every message about it passes here, one at a time, and none of them waits.

It works on its cell and keeps nothing of its own, so that a crash loses nothing but the message in hand. The CALLs that
it answers are in `session_answers.py`, those that it makes in `session_calls.py`; here are the connection and the time.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ...protocol.outgoing import INFINITY
from .messages import Attached, ChargePointOnline, ConnectionClosed, TimePassed
from .session_answers import SessionAnswers
from .tickets import TicketState

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar

logger = logging.getLogger(__name__)


class SessionActor(SessionAnswers):
    """See the head of this file."""

    def receive(self, message: Any) -> Any:
        """Handle one of the messages of `messages.py`; what pykka sends (stop, proxies) is left to pykka."""
        handler = self.handlers.get(type(message))
        return handler(self, message) if handler is not None else super().receive(message)

    def on_start(self) -> None:
        """Go on where the actor before this one ended: what was due while there was none, and what was not finished."""
        cell = self._cell
        now = cell.context.clock.monotonic()
        for incoming in cell.session.incoming:
            call = cell.calls.get(incoming)
            if incoming.due == INFINITY and not (call is not None and call.fallback_taken):
                incoming.due = now  # it was being stood in for
        self._send_next()
        self._wake()
        if cell.held is not None:
            cell.tell(TimePassed())  # not here: what fails in a held CALL must not be a failed start

    # -- The connection ----------------------------------------------------------------------------

    def _attached(self, message: Attached) -> None:
        cell = self._cell
        if message.connection is not cell.newest:
            return  # a newer one has come meanwhile, and has closed this one
        was_online = cell.connection is not None
        if was_online:
            cell.event("takeover", f"from {cell.charge_point.peer} by {message.connection.peer}")
            cell.context.observer.count("takeover", cell.charge_point.id)
            self._lose_connection("a newer connection took over", final=False)
        cell.connection = connection = message.connection
        charge_point = cell.charge_point
        charge_point.connected_at = cell.context.clock.time()
        charge_point.peer = connection.peer
        charge_point.secure = connection.secure
        logger.info(
            "%s is online from %s%s", charge_point, connection.peer, " (took over)" if was_online else ""
        )
        cell.context.router.tell_online(ChargePointOnline(charge_point))
        cell.notify(cell.context.went_online, charge_point)
        self._send_next()

    def _closed(self, message: ConnectionClosed) -> None:
        cell = self._cell
        if message.connection is not cell.connection:
            return  # a newer one stands: what becomes of the old one changes nothing
        if cell.newest is message.connection:
            cell.newest = None
        self._lose_connection(f"the connection was closed ({message.code})", final=True)
        cell.go_offline(message.code, message.reason)

    def _lose_connection(self, reason: str, *, final: bool) -> None:
        """End what only the socket carried; with `final` also the calls that must not wait for the next one."""
        cell = self._cell
        _, on_wire = cell.session.disconnected()
        cell.lose_calls()
        if on_wire is not None:
            cell.end_ticket(on_wire, TicketState.OUTCOME_UNKNOWN, reason)
        calls = cell.session.calls
        if final and calls is not None:
            for outgoing in list(calls.waiting):
                if outgoing.owner.when_offline == "fail":
                    calls.remove(outgoing.owner)
                    cell.end_ticket(outgoing, TicketState.NEVER_SENT, reason)
                elif outgoing.owner.mark is not None and cell.context.keeper is not None:
                    cell.context.keeper.keep(outgoing.owner)  # it did not go on the wire after all

    # -- Time --------------------------------------------------------------------------------------

    def _time_passed(self, _: TimePassed) -> None:
        cell = self._cell
        session = cell.session
        overdue, timed_out, expired = session.pass_time(cell.context.clock.monotonic())
        if timed_out is not None:
            reason = f"no answer within {timed_out.timeout_s:g} s"
            cell.end_ticket(timed_out, TicketState.TIMED_OUT, reason)
        for outgoing in expired:
            cell.end_ticket(outgoing, TicketState.EXPIRED, "it waited too long")
        self._send_next()
        if cell.expectations is not None:
            cell.settle_expectations()
        for incoming in overdue:
            self._overdue(incoming)
        self._wake()
        self._resume_reading()

    def _wake(self) -> None:
        """See to it that the next thing that is due is done."""
        cell = self._cell
        due = cell.session.due()
        for expectation in cell.expectations or ():
            due = min(due, expectation.owner.effect_due)
        cell.wake(due)

    handlers: ClassVar[dict[type, Callable[..., None]]] = {
        **SessionAnswers.handlers,
        TimePassed: _time_passed,
        Attached: _attached,
        ConnectionClosed: _closed,
    }
