"""The cell of a charge point, as far as it makes calls: the tickets of ours, their ends and their effects.

What the other sides of the cell need too is here: the facts, the conversation, the flight recorder, its one timer.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from ...protocol.effects import Effect, Expectation
from ...protocol.outgoing import INFINITY
from ..runtime.cell import Cell
from ..runtime.failure import Failure, attempt
from .messages import TicketEnded, TimePassed
from .recorder import Recorder
from .tickets import TicketState

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...protocol.effects import Pair
    from ...protocol.outgoing import Outgoing
    from ...protocol.session import Session
    from ..runtime.actor import Actor
    from ..runtime.cell import Exit
    from .charge_point import ChargePoint
    from .context import SessionContext
    from .tickets import Ticket

EVENT_CHARS = 200
"""How much of an event's text the flight recorder keeps."""


class TicketCell(Cell):
    """See the head of this file."""

    __slots__ = ("charge_point", "context", "expectations", "recorder", "session", "wake_at")

    def __init__(
        self,
        context: SessionContext,
        charge_point: ChargePoint,
        session: Session,
        make: Callable[[Cell], Actor],
        watch: Callable[[Cell, Exit], None] | None = None,
    ) -> None:
        super().__init__(context.scheduler, charge_point.id, make, watch)
        self.context = context
        self.charge_point = charge_point
        self.session = session
        self.expectations: list[Expectation] | None = None  # effects that are waited for
        self.recorder = (
            Recorder(context.recorder_bytes, session.registration) if context.recorder_bytes else None
        )
        self.wake_at = INFINITY

    def event(self, kind: str, text: str) -> None:
        """Note an event in the flight recorder; of a long text its beginning."""
        if self.recorder is not None:
            data = text[:EVENT_CHARS].encode("utf-8", "replace")
            self.recorder.note(self.context.clock.monotonic(), kind, data)

    def notify(self, callback: Callable[..., None], *args: object) -> None:
        """Call back whoever embeds the system; what that raises is logged, and costs the session nothing."""
        failure = attempt(callback, *args)
        if type(failure) is Failure:
            self.log(failure)

    # -- Time ----------------------------------------------------------------------------------

    def wake(self, due: float) -> None:
        """See to it that the session is told when `due` has come. One timer a cell, however many deadlines."""
        if due < self.wake_at:
            self.wake_at = due
            self.context.timers.call_at(due, self._timer)

    def _timer(self) -> None:
        if self.wake_at <= self.context.clock.monotonic() and not self.is_set():
            self.wake_at = INFINITY
            self.tell(TimePassed())

    # -- Tickets -------------------------------------------------------------------------------

    def end_ticket(self, outgoing: Outgoing, state: TicketState, reason: str = "") -> None:
        """Give a call of ours its final state, and tell those who want to know."""
        self.end_unsent(outgoing.owner, state, reason)

    def end_unsent(self, ticket: Ticket[Any], state: TicketState, reason: str = "") -> None:
        """The same, for a ticket that the session has not taken."""
        pending = ticket.effect is Effect.PENDING
        if ticket.end(state, self.context.clock.time(), reason):
            if ticket.kept is not None and self.context.keeper is not None:
                self.context.keeper.forget(ticket)
            self.notify(self.context.ticket_ended, ticket)
            self.event("ticket", f"{ticket.id} {ticket.action} {state}")
            self.context.router.tell_outcome(ticket.action, TicketEnded(ticket))
            self.context.observer.count(f"ticket_{state}", self.charge_point.id)
            if pending and ticket.effect is not Effect.PENDING:
                self.context.observer.count(f"effect_{ticket.effect}", self.charge_point.id)
            if self.expectations is not None and state is not TicketState.ANSWERED:
                refused = state is TicketState.REFUSED
                self.hear(ticket, Expectation.refused if refused else Expectation.unanswered)

    def leave_tickets(self, reason: str) -> None:
        """End every open call of ours, but leave those in the store that the process after this one is to send."""
        keeper, calls = self.context.keeper, self.session.calls
        if calls is not None and keeper is not None:
            for outgoing in list(calls.waiting):
                if keeper.survives(outgoing.owner):
                    calls.remove(outgoing.owner)
                    outgoing.owner.leave(self.context.clock.time(), reason)
        self.end_all_tickets(reason)

    def end_all_tickets(self, reason: str) -> None:
        """End every open call of ours: nobody will send it or hear its answer any more."""
        calls = self.session.calls
        if calls is None:
            return
        on_wire = calls.take_off_wire()
        if on_wire is not None:
            self.end_ticket(on_wire, TicketState.OUTCOME_UNKNOWN, reason)
        for outgoing in calls.clear():
            self.end_ticket(outgoing, TicketState.NEVER_SENT, reason)
        self.drop_expectations()

    def expect(self, ticket: Ticket[Any], pair: Pair) -> None:
        """Wait for the effect of a call that is on the wire now."""
        if self.expectations is None:
            self.expectations = []
        ticket.effect_due = INFINITY
        not_before = max(0.0, self.context.clock.time() - self.context.clock_tolerance_s)
        since = dt.datetime.fromtimestamp(not_before, dt.UTC)
        self.expectations.append(Expectation(ticket, pair, ticket.request, since))

    def hear(self, ticket: Ticket[Any], note: Callable[[Expectation], object]) -> None:
        """Let what is expected of a call know how the call ended: its effect has so long from then on.

        What comes after that (a late answer) may say more, and wins no time.
        """
        for expectation in self.expectations or ():
            if expectation.owner is ticket:
                note(expectation)
                if ticket.effect_due == INFINITY and ticket.effect_timeout_s is not None:
                    ticket.effect_due = self.context.clock.monotonic() + ticket.effect_timeout_s
                    self.wake(ticket.effect_due)
        self.settle_expectations()

    def settle_expectations(self) -> None:
        """Tell the tickets whose effect is known now, and whose time is over."""
        now = self.context.clock.monotonic()
        waiting = []
        for expectation in self.expectations or ():
            ticket = expectation.owner
            if ticket.effect is not Effect.PENDING:
                continue  # it was refused
            if expectation.effect is Effect.PENDING and ticket.effect_due > now:
                waiting.append(expectation)
            else:
                over = expectation.effect is Effect.PENDING
                self._end_effect(ticket, Effect.NO_EFFECT if over else expectation.effect)
        self.expectations = waiting or None

    def drop_expectations(self) -> None:
        """Nobody will see the effects that are still waited for."""
        for expectation in self.expectations or ():
            self._end_effect(expectation.owner, Effect.NO_EFFECT)
        self.expectations = None

    def _end_effect(self, ticket: Ticket[Any], effect: Effect) -> None:
        if ticket.end_effect(effect):
            self.context.observer.count(f"effect_{effect}", self.charge_point.id)
