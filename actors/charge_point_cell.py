"""The cell of a charge point: all that a crash of its session, or the loss of its socket, must not cost.

It holds the facts, the state of the conversation, the connection and the calls of ours. The actor that works on it
(`ChargePointActor`) keeps nothing of its own.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import logging
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any

from ..protocol.actions import SPOOL
from ..protocol.effects import Effect, Expectation
from ..protocol.errors import ErrorCode
from ..protocol.session import INFINITY, Incoming, Session
from ..protocol.stand_ins import stand_in
from .call import Call
from .cell import ENDED, NOTHING, Cell, Ending
from .failure import Failure, attempt
from .messages import (
    Attached,
    CallSpooled,
    ConnectionClosed,
    FrameReceived,
    OutcomeKnown,
    RegistrationKept,
    SendCall,
    TimePassed,
    WentOffline,
)
from .recorder import Recorder
from .tickets import TicketState

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocol.effects import Pair
    from ..protocol.outgoing import Outgoing
    from .actor import Actor
    from .cell import Exit
    from .charge_point import ChargePoint
    from .connection import Connection
    from .services import Services
    from .tickets import Ticket

logger = logging.getLogger(__name__)

CLOSE_GOING_AWAY = 1001

STORE_RETRY_S = 1.0
"""Seconds after which a store that could not keep a record is asked again."""

EVENT_CHARS = 200
"""How much of an event's text the flight recorder keeps."""

REPORTED_ROWS = 10
"""How many of the last frames a crash report has in the log; `crash_reports` has them all."""


class ChargePointCell(Cell):
    """See the head of this file."""

    __slots__ = (
        "calls",
        "charge_point",
        "connection",
        "expectations",
        "held",
        "newest",
        "recorder",
        "services",
        "session",
        "taken",
        "unstored",
        "waiting",
        "wake_at",
    )

    def __init__(
        self,
        services: Services,
        charge_point: ChargePoint,
        session: Session,
        make: Callable[[Cell], Actor],
        watch: Callable[[Cell, Exit], None] | None = None,
    ) -> None:
        super().__init__(services.scheduler, charge_point.id, make, watch)
        self.services = services
        self.charge_point = charge_point
        self.session = session
        self.connection: Connection | None = None  # whose messages count, as far as the session has heard
        self.newest: Connection | None = None  # the one that was attached last
        self.calls: dict[Incoming, Call[Any]] = {}  # with plugins, or at a stand-in
        self.taken: Incoming | None = None  # the CALL that is being handled right now
        self.expectations: list[Expectation] | None = None  # effects that are waited for
        self.recorder = (
            Recorder(services.recorder_bytes, session.registration) if services.recorder_bytes else None
        )
        self.held: deque[FrameReceived] | None = (
            None  # CALLs that nobody has begun with, for too many are in flight
        )
        self.unstored: set[Incoming] | None = None  # records that the store could not keep yet
        self.waiting = False  # for a restart that is not due yet
        self.wake_at = INFINITY

    @property
    def depth(self) -> int:
        """How many messages wait, in the inbox or held."""
        return super().depth + (len(self.held) if self.held is not None else 0)

    # -- For the connection ----------------------------------------------------------------------

    def deliver(self, connection: Connection, data: bytes) -> None:
        """Take a text message off a connection, and pause it if too much waits here already."""
        services = self.services
        if self.phase is ENDED:
            connection.close(CLOSE_GOING_AWAY, "the session has ended")
            return
        now = services.clock.monotonic()
        if self.recorder is not None:
            self.recorder.note(now, "in", data)
        self.tell(FrameReceived(connection, data, now))
        inbox, held = self.inbox, self.held
        if inbox is not None and len(inbox) + (0 if held is None else len(held)) >= services.inbox_limit:
            connection.pause()

    def hold(self, message: FrameReceived) -> None:
        """Keep a frame until a call in flight is answered."""
        if self.held is None:
            self.held = deque()
        self.held.append(message)

    def event(self, kind: str, text: str) -> None:
        """Note an event in the flight recorder; of a long text its beginning."""
        if self.recorder is not None:
            data = text[:EVENT_CHARS].encode("utf-8", "replace")
            self.recorder.note(self.services.clock.monotonic(), kind, data)

    def attach(self, connection: Connection) -> Connection | None:
        """Take a new connection: in the inbox, behind the messages of the one before. Returns that, to be closed."""
        old, self.newest = self.newest, connection
        self.event("connected", connection.peer)
        self.tell(Attached(connection))
        return old

    def closed(self, connection: Connection, code: int, reason: str) -> None:
        """Hear that a connection is gone: in the inbox, behind the messages that came over it."""
        if not self.is_set():
            if connection is self.newest:  # of one that was taken over from, all has been said
                self.event("closed", f"{code} {reason}".rstrip())
            if connection.half_open:
                self.services.observer.count("half_open", self.charge_point.id)
            self.tell(ConnectionClosed(connection, code, reason))

    def read_on(self) -> None:
        """Let a paused connection go on once there is room for what it has."""
        connection = self.connection
        if (
            connection is not None
            and connection.paused
            and not self.unstored
            and self.depth * 2 < self.services.inbox_limit
        ):
            connection.resume()

    def go_offline(self, code: int, reason: str) -> None:
        """Note that the last connection is gone, and tell those who want to know."""
        charge_point, services = self.charge_point, self.services
        self.connection = None
        charge_point.connected_at = None
        charge_point.disconnected_at = services.clock.time()
        logger.info("%s is offline (%d %s)", charge_point, code, reason)
        services.router.tell_offline(WentOffline(charge_point, code, reason))
        self.notify(services.went_offline, charge_point, code, reason)

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
            self.services.timers.call_at(due, self._timer)

    def _timer(self) -> None:
        if self.wake_at <= self.services.clock.monotonic() and not self.is_set():
            self.wake_at = INFINITY
            self.tell(TimePassed())

    # -- Answers -------------------------------------------------------------------------------

    def send(self, frame: bytes | None, kind: str = "out") -> None:
        """Send a frame over the connection, if there are both. `kind` is "answer" if it is a plugin's."""
        if frame is not None and self.connection is not None:
            if self.recorder is not None:
                self.recorder.note(self.services.clock.monotonic(), kind, frame)
            self.connection.send_text(frame)

    def refuse(
        self,
        incoming: Incoming,
        code: ErrorCode,
        text: str,
        details: dict[str, Any] | None = None,
        kind: str = "out",
    ) -> None:
        """Answer a CALL with a CALLERROR."""
        self.take_over(incoming, code.encode())
        self.send(self.session.refuse(incoming, code, text, details), kind)

    def take_over(self, incoming: Incoming, answer: bytes) -> None:
        """See to it that no handler begins with a CALL that is answered here."""
        call = self.calls.pop(incoming, None)
        if call is not None:
            call.stood_in = True
            self.tell_shadows(call, answer)

    @staticmethod
    def tell_shadows(call: Call[Any] | None, answer: bytes) -> None:
        """Let the plugins that are only compared know what was answered."""
        if call is not None and call.shadows is not None:
            for shadow in call.shadows:
                shadow.real(answer)

    def stand_in(self, incoming: Incoming, why: str, *, replay: bool = True) -> None:
        """Answer a CALL in its handler's place. A transaction message is acknowledged once it is stored, else never.

        With `replay`, its plugin is to have it later.
        """
        if not incoming.open:
            return
        services = self.services
        call = self.calls.get(incoming)
        services.observer.count("stand_in", self.charge_point.id)
        self.event("stand_in", json.dumps([incoming.unique_id, incoming.action.name, why]))
        if incoming.action.stand_in is SPOOL:
            if call is None:
                call = Call(self, incoming, self.allot(incoming))
                self.calls[incoming] = call
            call.stood_in = True
            self._spool(call, why, replay=replay)
            return
        payload = stand_in(incoming.action, services.time_text(), None, services.id_tag_status)
        if payload is None:
            self.refuse(incoming, ErrorCode.INTERNAL_ERROR, why)
        else:
            self.take_over(incoming, payload)
            self.send(self.session.answer(incoming, payload))

    def _spool(self, call: Call[Any], why: str, *, replay: bool, again: bool = False) -> None:
        services, incoming = self.services, call.incoming
        if self.is_set() or not incoming.open:
            return
        receipt = attempt(
            functools.partial(
                services.ledger.spool,
                charge_point_id=self.charge_point.id,
                action=incoming.action.name,
                unique_id=incoming.unique_id,
                payload=bytes(incoming.payload),
                transaction_id=call.transaction_id,
                received_at=services.date_of(incoming.received_at),
                why=why,
                replay=replay,
            )
        )
        if type(receipt) is Failure:  # a store of somebody's own: what it raises must not cost the answer
            self._spooled(call, receipt.error, why, replay=replay, again=again)
            return
        if replay:
            services.spool_owners.add(self.charge_point.id)
            services.spool_touched.add(self.charge_point.id)
        receipt.then(lambda error: self._spooled(call, error, why, replay=replay, again=again))

    def _spooled(
        self, call: Call[Any], error: Exception | None, why: str, *, replay: bool, again: bool
    ) -> None:
        services = self.services
        self._hold_back(call.incoming, error, lambda: self._spool(call, why, replay=replay, again=True))
        if replay:
            services.spool_grew(self.charge_point.id)
        if not self.is_set() and (error is None or not again):  # that it still fails is nothing new
            self.tell(CallSpooled(call, error))

    def _hold_back(self, incoming: Incoming, error: Exception | None, again: Callable[[], None]) -> None:
        """With an error, ask the store again in a while; and read no further: what came next could not be kept."""
        if error is not None:
            self.unstored = {*(self.unstored or ()), incoming}
            if self.connection is not None:
                self.connection.pause()
            self.services.timers.call_at(self.services.clock.monotonic() + STORE_RETRY_S, again)
        elif self.unstored is not None:
            self.unstored.discard(incoming)

    def keep_registration(self, call: Call[Any], answer: bytes, status: str) -> None:
        """Have the store keep what a BootNotification is answered, and tell the actor when it has."""
        incoming = call.incoming
        if self.is_set() or not incoming.open:
            return

        def known(error: Exception | None) -> None:
            self._hold_back(incoming, error, lambda: self.keep_registration(call, answer, status))
            if error is not None:
                logger.error("The registration of %s could not be stored: %s", self.charge_point, error)
                self.services.observer.count("registration_failed", self.charge_point.id)
            elif not self.is_set():
                self.tell(RegistrationKept(call, answer))

        self.services.ledger.register(self.charge_point.id, status).then(known)

    def acknowledge(self, call: Call[Any]) -> None:
        """Send a stand-in's answer to a transaction message that is stored now."""
        services, incoming = self.services, call.incoming
        payload = stand_in(incoming.action, services.time_text(), call.transaction_id, services.id_tag_status)
        answer = payload or b"{}"
        self.tell_shadows(self.calls.pop(incoming, None), answer)
        self.send(self.session.answer(incoming, answer))

    def lose_calls(self) -> None:
        """No call that is with a plugin can be answered any more; but what it told us is as true as it was.

        Its handler may begin and finish until its deadline, and not hold its lane beyond that. With calls that are
        held, as with frames in the inbox, nobody has begun: they are dropped, and a charge point sends again those that
        matter, for they were never answered.
        """
        self.held = None
        self.unstored = None
        timers = self.services.timers
        for call in self.calls.values():
            if call.plugin is not None and not call.stood_in:
                timers.call_at(call.incoming.due, call.expire)
        self.calls.clear()

    def allot(self, incoming: Incoming) -> int | None:
        """The number of a transaction that is about to start, before any handler runs; None for other actions."""
        if incoming.action.name != "StartTransaction":
            return None
        start: Any = incoming.request
        key = (
            None if start is None else (start.connector_id, start.id_tag, start.timestamp, start.meter_start)
        )
        return self.services.ledger.allot_transaction_id(self.charge_point.id, key)

    # -- Tickets -------------------------------------------------------------------------------

    def end_ticket(self, outgoing: Outgoing, state: TicketState, reason: str = "") -> None:
        """Give a call of ours its final state, and tell those who want to know."""
        self.end_unsent(outgoing.owner, state, reason)

    def end_unsent(self, ticket: Ticket[Any], state: TicketState, reason: str = "") -> None:
        """The same, for a ticket that the session has not taken."""
        pending = ticket.effect is Effect.PENDING
        if ticket.end(state, self.services.clock.time(), reason):
            if ticket.kept is not None and self.services.keeper is not None:
                self.services.keeper.forget(ticket)
            self.notify(self.services.ticket_ended, ticket)
            self.event("ticket", f"{ticket.id} {ticket.action} {state}")
            self.services.router.tell_outcome(ticket.action, OutcomeKnown(ticket))
            self.services.observer.count(f"ticket_{state}", self.charge_point.id)
            if pending and ticket.effect is not Effect.PENDING:
                self.services.observer.count(f"effect_{ticket.effect}", self.charge_point.id)
            if self.expectations is not None and state is not TicketState.ANSWERED:
                refused = state is TicketState.REFUSED
                self.hear(ticket, Expectation.refused if refused else Expectation.unanswered)

    def leave_tickets(self, reason: str) -> None:
        """End every open call of ours, but leave those in the store that the process after this one is to send."""
        keeper, calls = self.services.keeper, self.session.calls
        if calls is not None and keeper is not None:
            for outgoing in list(calls.waiting):
                if keeper.survives(outgoing.owner):
                    calls.remove(outgoing.owner)
                    outgoing.owner.leave(self.services.clock.time(), reason)
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
        not_before = max(0.0, self.services.clock.time() - self.services.clock_tolerance_s)
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
                    ticket.effect_due = self.services.clock.monotonic() + ticket.effect_timeout_s
                    self.wake(ticket.effect_due)
        self.settle_expectations()

    def settle_expectations(self) -> None:
        """Tell the tickets whose effect is known now, and whose time is over."""
        now = self.services.clock.monotonic()
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
            self.services.observer.count(f"effect_{effect}", self.charge_point.id)

    # -- Crashes and the end -------------------------------------------------------------------

    def _crash(self, actor: Actor, message: object, failure: Failure) -> None:
        """What the actor cannot do any more for the message in hand is done here."""
        self.event("crash", failure.text)
        for step in (lambda: self._make_good(message), lambda: self._report(failure)):
            problem = attempt(step)
            if type(problem) is Failure:
                self.log(problem)
        super()._crash(actor, message, failure)

    def _exit(self, exit_: Exit) -> None:
        """One that was killed while it had nothing to do, or did not start, has left no message in hand."""
        if exit_.ending is not Ending.NORMAL and exit_.message is None:
            self.event("crash", exit_.failure.text if exit_.failure is not None else str(exit_.ending))
        super()._exit(exit_)

    def abandon(self) -> None:
        """See `Cell`; the CALL in hand is answered all the same."""
        if self.actor is not None and self.in_hand is not NOTHING:
            self.event("crash", f"it did not end when it was killed, in {type(self.in_hand).__name__}")
            problem = attempt(self._make_good, self.in_hand)
            if type(problem) is Failure:
                self.log(problem)
        super().abandon()

    def _make_good(self, message: object) -> None:
        """A CALL is answered and a ticket ends; a lost connection, or what the store said, the next actor hears of."""
        if type(message) is FrameReceived:
            self._answer_for_crash(message)
        elif type(message) is SendCall:
            if self.session.calls is None or not self.session.calls.holds(message.ticket):
                self.unheard(message)
        elif type(message) in (Attached, ConnectionClosed, CallSpooled, RegistrationKept):
            if self.inbox is None:
                self.inbox = deque()
            self.inbox.appendleft(message)

    def _report(self, failure: Failure) -> None:
        """Keep what led to a crash, and log its last frames; the traceback is logged by the cell."""
        rows = self.recorder.rows() if self.recorder is not None else []
        services = self.services
        services.crash_reports.append(
            {
                "charge_point": self.charge_point.id,
                "time": services.clock.time(),
                "error": failure.text,
                "traceback": "".join(traceback.format_exception(failure.error)),
                "rows": rows,
            }
        )
        last = "\n".join(f"  {row['at']:.3f} {row['kind']} {row['data']}" for row in rows[-REPORTED_ROWS:])
        logger.error(
            "The session of %s crashed: %s. Its last frames:\n%s", self.charge_point, failure.text, last
        )

    def _answer_for_crash(self, message: FrameReceived) -> None:
        if message.connection is not self.connection:
            return
        incoming = self.taken or self.session.salvage(message.data, message.received_at)
        self.taken = None
        if incoming is not None and incoming not in self.calls:  # else a plugin has it, and will answer
            self.stand_in(incoming, "the session had to be restarted")

    def unheard(self, message: object) -> None:
        """A command that nobody will carry out ends its ticket."""
        if type(message) is SendCall:
            self.end_unsent(message.ticket, TicketState.NEVER_SENT, "the session has ended")

    def end(self) -> None:
        """End for good, with all tickets."""
        if not self.is_set():
            self.lose_calls()
            self.end_all_tickets("the session has ended")
            if self.connection is not None:
                self.go_offline(CLOSE_GOING_AWAY, "the session has ended")
        super().end()
