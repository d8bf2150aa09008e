"""Actor of one charge point: handles all messages about it, one at a time; no message waits for another.

The actor works on its cell and has no state of its own, so a crash loses only the message being handled. `handlers`
are by the type of a message, `events` by the type of what the protocol session made of a frame.
"""

from __future__ import annotations

import functools
import json
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from ...protocol.effects import Expectation, pair_of, show
from ...protocol.errors import ErrorCode, OcppError
from ...protocol.events import ChargePointOnline
from ...protocol.frames import looks_like_answer
from ...protocol.outgoing import INFINITY, Outgoing
from ...protocol.payload import EMPTY, build
from ...protocol.session import Answered, Declined, Ignored, Incoming, RefusedCall, Registration
from ...protocol.text import shortened
from ..runtime.actor import Actor
from ..runtime.failure import Failure, attempt
from .call import Call
from .charge_point import differ
from .messages import (
    Attached,
    CallAnswered,
    CallReturned,
    CallSpooled,
    CancelCommand,
    ConnectionClosed,
    FrameReceived,
    HandlerFailed,
    RegistrationPersisted,
    SendCommand,
    TimePassed,
)
from .tickets import TicketState

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar

    from ...protocol.actions import Action
    from ...protocol.session import Session, SessionRules
    from .cell import ChargePointCell
    from .charge_point import ChargePoint
    from .context import DurableTickets
    from .tickets import Ticket

MARK_S = 1.0
"""Seconds that a command waits for its mark, that it goes on the wire, to be durable."""

ANSWER_BYTES = 2000
"""Bytes of an answer that could not be used, that its ticket shows."""


REASONS = 5
"""Violations that the dead letter of an unreadable message names."""


logger = logging.getLogger(__name__)


TOLD_BYTES = 4096
"""Bytes of a BootNotification or a StatusNotification up to which it is stored for the next process."""


class SessionActor(Actor):
    """Behaviour of the session of one charge point: its connection, its calls, and the commands to it."""

    _cell: ChargePointCell

    def receive(self, message: Any) -> Any:
        """Handle a message of `messages.py`; pykka handles its own (stop, proxies)."""
        handler = self.handlers.get(type(message))
        return handler(self, message) if handler is not None else super().receive(message)

    def on_start(self) -> None:
        """Resume after a restart: process overdue deadlines, and give interrupted fallback answers again."""
        cell = self._cell
        now = cell.context.clock.monotonic()
        for incoming in cell.session.incoming:
            call = cell.call_of(incoming)
            if incoming.due == INFINITY and not (call is not None and call.fallback_taken):
                incoming.due = now  # its fallback answer was interrupted
        self._send_next()
        self._wake()
        if cell.held is not None:
            cell.tell(TimePassed())  # later: a failure in a held CALL must not fail the start

    # -- The connection ----------------------------------------------------------------------------

    def _attached(self, message: Attached) -> None:
        cell = self._cell
        if message.connection is not cell.newest:
            return  # a newer one was attached meanwhile, and has closed this one
        was_online = cell.connection is not None
        if was_online:
            cell.event("takeover", f"from {cell.charge_point.peer} by {message.connection.peer}")
            cell.context.observer.count("takeover", cell.charge_point.id)
            self._lose_connection("a newer connection took over", final=False)
        cell.connection = connection = message.connection
        rules = cell.context.rules_of.get(connection.subprotocol, cell.context.rules)
        if rules is not cell.session.rules:
            self._change_version(rules)
        charge_point = cell.charge_point
        cell.context.meter.connections[rules.version.name] += 1
        charge_point.connected_at = cell.context.clock.time()
        charge_point.peer = connection.peer
        charge_point.tls = connection.tls
        how = " (took over)" if was_online else ""
        logger.info("%s is online from %s%s", shortened(charge_point.id), connection.peer, how)
        if ChargePointOnline in cell.context.router.listeners:
            self._publish_online(charge_point)
        self._send_next()

    def _publish_online(self, charge_point: ChargePoint) -> None:
        context = self._cell.context
        event = ChargePointOnline(
            at=context.date_of(context.clock.monotonic()),
            charge_point_id=charge_point.id,
            peer=charge_point.peer,
            secure=charge_point.secure,
            version=charge_point.version,
        )
        context.router.publish(event)

    def _change_version(self, rules: SessionRules) -> None:
        """Set the rules of the connection's version; waiting commands of another version are held from now on."""
        cell = self._cell
        session = cell.session
        cell.log_line(logging.INFO, "version", "%s now speaks OCPP %s", cell.charge_point, rules.version.name)
        session.rules = rules
        cell.charge_point.version = rules.version.name
        for outgoing in list(session.calls.waiting) if session.calls is not None else ():
            if outgoing.owner.verb is not None:
                if not self._translated(outgoing.owner):
                    session.calls.remove(outgoing.owner)  # type: ignore[union-attr]
                    continue
                outgoing.put_into(outgoing.owner.request, outgoing.owner.payload)
            outgoing.owner.waits(held=not session.may_send(outgoing.action))

    def _translated(self, ticket: Ticket[Any], *, to_send: bool = False) -> bool:
        """Put a ticket's verb into a message of the charge point's version; one that has none ends the ticket."""
        refused = attempt(functools.partial(self._cell.command_state().translate, ticket, to_send=to_send))
        if type(refused) is Failure:
            ticket.verb_refused = True
            self._cell.command_state().end(ticket, TicketState.NEVER_SENT, str(refused.error))
        return ticket.open

    def _booted_on_another_version(self, action: Action) -> bool:
        """Return whether the charge point was accepted on a version that the command's action does not belong to."""
        charge_point = self._cell.charge_point
        boot: Any = charge_point.boot
        version = self._cell.session.rules.version.name
        return (
            boot is not None
            and charge_point.registration is Registration.ACCEPTED
            and boot.__action__.version == version
            and action.version != version
        )

    def _other_version(self) -> str:
        return f"the charge point has booted with OCPP {self._cell.session.rules.version.name}"

    def _closed(self, message: ConnectionClosed) -> None:
        cell = self._cell
        if message.connection is not cell.connection:
            return  # of one that was taken over before it could be used, after its end
        if cell.newest is message.connection:
            cell.newest = None
        self._lose_connection(f"the connection was closed ({message.code})", final=True)
        cell.go_offline(message.code, message.reason)

    def _lose_connection(self, reason: str, *, final: bool) -> None:
        """End the calls of a lost connection; with `final` also commands that must not wait for the next one."""
        cell = self._cell
        cell.drop_calls()
        unanswered, on_wire = cell.session.disconnected()
        for incoming in unanswered:
            cell.context.calls[incoming.action].unanswered += 1
        if on_wire is not None:
            cell.command_state().end(on_wire.owner, TicketState.OUTCOME_UNKNOWN, reason)
        calls = cell.session.calls
        if final and calls is not None:
            for outgoing in list(calls.waiting):
                if outgoing.owner.when_offline == "fail":
                    calls.remove(outgoing.owner)
                    cell.command_state().end(outgoing.owner, TicketState.NEVER_SENT, reason)
                elif outgoing.owner.mark is not None and cell.context.durable_tickets is not None:
                    cell.context.durable_tickets.persist(outgoing.owner)  # it was marked, but not sent

    # -- Calls of the charge point -----------------------------------------------------------------

    def _frame(self, message: FrameReceived, *, held: bool = False) -> None:
        cell = self._cell
        if message.connection is not cell.connection:
            return
        if (
            (len(cell.session.incoming) >= cell.context.calls_in_flight_limit or cell.held is not None)
            and not held
            and not looks_like_answer(message.data)  # a handler may wait for this answer
        ):
            cell.hold(message)
            return
        event = cell.session.receive(message.data, message.received_at)
        if type(event) is Incoming:
            cell.current = event
            self._route(event)
            if cell.commands is not None and cell.commands.expectations is not None:
                self._note_effect(event)
        else:
            self.events[type(event)](self, event)
        if message.connection.paused:
            cell.resume_reading()
        cell.current = None

    def _resume_reading(self) -> None:
        """Handle held CALLs up to the limit in flight, and resume reading if the connection was paused."""
        cell = self._cell
        limit = cell.context.calls_in_flight_limit
        if cell.held is not None:
            current_message = cell.current_message
            while cell.held and len(cell.session.incoming) < limit:
                cell.current_message = message = (
                    cell.held.popleft()
                )  # so that a crash is settled for this message
                self._frame(message, held=True)
            cell.current_message = current_message
            if not cell.held:
                cell.held = None
        cell.resume_reading()

    def _route(self, incoming: Incoming) -> None:
        cell = self._cell
        context = cell.context
        if incoming.deviations:
            cell.note_deviations(incoming.deviations)
        action = incoming.action
        plugin = context.router.passive.get(action)
        if plugin is None:
            cell.fallback_state().refuse(
                incoming, ErrorCode.NOT_SUPPORTED, f"no plugin handles {action.name}"
            )
            return
        if incoming.request is None:  # a transaction message with an unreadable payload
            cell.fallback_state().answer(incoming, _why_unreadable(incoming), redeliver=False)
            return
        if action.connector_status is not None:
            self._note_status(incoming)
        if incoming.due < cell.wake_at:
            cell.wake(incoming.due)
        transaction_id = None
        if action.allots is not None:
            transaction_id = cell.allot(incoming)
        call: Call[Any] = Call(cell, incoming, transaction_id, plugin)
        cell.session.note(incoming, call)
        if context.router.has_shadows:
            call.shadows = context.router.tell_shadows(call, cell)
        spool = context.spool
        if (
            action.transaction
            and (spool.behind or spool.dead)
            and self._goes_behind(incoming, transaction_id)
        ):
            cell.fallback_state().answer(incoming, "earlier messages wait in the spool")
        elif not (plugin.is_healthy or plugin.try_admit(cell.urn, action.name)):
            cell.fallback_state().answer(incoming, "its plugin is quarantined or was stopped")
        else:
            plugin.tell(call)

    def _goes_behind(self, incoming: Incoming, transaction_id: int | None) -> bool:
        """Return whether earlier messages of the charge point, or of the transaction, are still in the spool."""
        context, charge_point_id = self._cell.context, self._cell.urn
        transaction: int | str | None = transaction_id
        if transaction is None and incoming.action.transaction_of is not None:
            transaction = incoming.action.transaction_of(incoming.request)
        return context.spool.is_behind(charge_point_id, transaction)

    def _note_effect(self, incoming: Incoming) -> None:
        commands = self._cell.command_state()
        show(commands.expectations or (), incoming.action.name, incoming.request, incoming.received_at)
        commands.settle()

    def _note_status(self, incoming: Incoming) -> None:
        request: Any = incoming.request
        connector = incoming.action.connector_status(request)  # type: ignore[misc]  # asked for by its caller
        before = self._cell.charge_point.note_status(connector, request)
        if self._cell.context.durable_tickets is None:
            return  # nothing that a charge point told outlives this process
        if before is None or differ(before, request):
            self._note_told(f"status/{connector}", incoming)

    def _note_told(self, item: str, incoming: Incoming) -> None:
        """Have the store keep what the charge point told last: the session after a restart recalls it."""
        cell, payload = self._cell, bytes(incoming.payload)
        if len(payload) > TOLD_BYTES:
            return
        cell.context.store.note_told(
            cell.urn,
            item=item,
            version=incoming.action.version,
            action=incoming.action.name,
            payload=payload,
            received_at=cell.context.date_of(incoming.received_at),
        )

    def _reply(self, event: RefusedCall) -> None:
        self._cell.context.observer.count("call_refused", self._cell.charge_point.id)
        self._cell.context.meter.rejected(self._cell.session.rules.version, event.action)
        if event.violations:
            self._cell.note_deviations(event.violations, f"refused {event.action}: ")
        if event.lost is not None:
            self._cell.fallback_state().keep_refused(event.lost, event.description)
        self._cell.log_line(
            logging.INFO,
            event.code,
            "%s: %s %s: %s",
            self,
            event.action or "a frame",
            event.code,
            event.description,
        )
        self._cell.send(event.frame)

    def _ignored(self, event: Ignored) -> None:
        charge_point = self._cell.charge_point
        if charge_point.ignored is None:
            charge_point.ignored = Counter()
        charge_point.ignored[event.reason] += 1
        self._cell.context.observer.count("frame_ignored", charge_point.id)

    def _answered(self, message: CallAnswered) -> None:
        cell, call = self._cell, message.call
        incoming = call.incoming
        if not incoming.open or call.fallback_taken:
            cell.context.observer.count("late_answer", cell.charge_point.id)
            return
        kind, response = incoming.action.response, message.response
        # An answer without members has one way to be written. A mapping made by the plugin may raise anything.
        data = EMPTY if type(response) is kind and not kind.__members__ else attempt(build, kind, response)
        if type(data) is Failure:
            text = "The answer of the handler to %r is invalid: %s"
            cell.log_line(logging.ERROR, "invalid answer", text, call, data.error)
            cell.context.observer.count("answer_invalid", cell.charge_point.id)
            self._blame(call, data.error)
            cell.fallback_state().answer(incoming, "the answer of its handler was invalid")
            self._resume_reading()
            return
        plugin = call.plugin
        if plugin is not None and (
            plugin.breakers.failing or plugin.quarantined or incoming.action.transaction
        ):
            plugin.note_success(call.ordering_key, incoming.action.name)
        if call.shadows is not None:
            call.tell_shadows(data)
        if incoming.action.registers:
            # The answer is sent once the registration is durable: the charge point boots only once.
            call.fallback_taken = True
            self._persist_registration(call, data, _status_in(incoming, data))
            return
        cell.send_answer(cell.session.answer(incoming, data), call)
        if cell.context.router.watched:
            cell.tell_answer(incoming, call.transaction_id, data, fallback=False)
        connection = cell.connection
        if cell.held is not None or (connection is not None and connection.paused):
            self._resume_reading()

    def _persist_registration(self, call: Call[Any], answer: bytes, status: str) -> None:
        """Have the store persist the answer to a BootNotification; then `RegistrationPersisted` is told."""
        cell, incoming = self._cell, call.incoming
        if cell.ended or not incoming.open:
            return

        def known(error: Exception | None) -> None:
            if error is not None or cell.fallbacks is not None:
                again = functools.partial(self._persist_registration, call, answer, status)
                cell.fallback_state().hold_back(incoming, error, again)
            if error is not None:
                text = "%s: registration %s could not be stored: %s"
                cell.log_line(logging.ERROR, "registration", text, cell.charge_point, status, error)
                cell.context.observer.count("registration_failed", cell.charge_point.id)
            elif not cell.ended:
                cell.tell(RegistrationPersisted(call, answer))

        version = cell.session.rules.version.name
        self._note_told("boot", incoming)
        cell.context.store.register(cell.charge_point.id, status, version).then(known)

    def _registration_persisted(self, message: RegistrationPersisted) -> None:
        cell, incoming = self._cell, message.call.incoming
        if not incoming.open:
            return
        status = _status_in(incoming, message.answer)
        cell.event("registration", status)
        cell.send_answer(cell.session.answer(incoming, message.answer), message.call)
        if cell.context.router.watched:
            cell.tell_answer(incoming, None, message.answer, fallback=False)
        charge_point = cell.charge_point
        booted_before, charge_point.boot = charge_point.boot is not None, incoming.request
        charge_point.registration = cell.session.registration = Registration(status)
        cell.session.triggered = None
        calls = cell.session.calls
        for outgoing in list(calls.waiting) if calls is not None else ():
            if calls is not None and self._booted_on_another_version(outgoing.action):
                calls.remove(outgoing.owner)
                cell.command_state().end(outgoing.owner, TicketState.NEVER_SENT, self._other_version())
            else:
                outgoing.owner.waits(held=not cell.session.may_send(outgoing.action))
        if booted_before:  # the first boots of ten thousand are told one by one, and cost no memory
            cell.log_line(logging.INFO, "booted", "%s booted: %s", charge_point, status)
        else:
            logger.info("%s booted: %s", shortened(charge_point.id), status)
        self._send_next()
        self._resume_reading()

    def _failed(self, message: HandlerFailed) -> None:
        cell, call, failure = self._cell, message.call, message.failure
        incoming = call.incoming
        if not incoming.open or call.fallback_taken:
            return
        error = failure.error
        if isinstance(error, OcppError):
            cell.fallback_state().refuse(incoming, error.code, error.description, error.details, "answer")
            if (
                call.plugin is not None and call.plugin.on_trial
            ):  # an intended refusal is a success of the handler
                call.plugin.note_success(call.ordering_key, call.action)
        else:
            if getattr(error, "blameless", False):
                cell.log_line(logging.WARNING, "not handled", "%r was not handled: %s", call, error)
            else:
                text = "The handler of %r failed:"
                cell.log_line(logging.ERROR, "handler failed", text, call, exc_info=failure.exc_info)
            cell.context.observer.count("handler_failed", cell.charge_point.id)
            self._blame(call, error)
            cell.fallback_state().answer(incoming, "its handler failed")
        self._resume_reading()

    def _call_returned(self, message: CallReturned) -> None:
        call = message.call
        if not call.fallback_taken and self._cell.call_of(call.incoming) is call:
            self._cell.fallback_state().answer(call.incoming, message.why)
            self._cell.resume_reading()

    def _blame(self, call: Call[Any], error: Exception) -> None:
        if call.plugin is not None and not getattr(error, "blameless", False):
            call.plugin.note_failure(call.ordering_key, call.action, error)

    def _spooled(self, message: CallSpooled) -> None:
        cell = self._cell
        if message.error is None:
            cell.fallback_state().acknowledge(message.call)
            self._resume_reading()
        else:
            # No answer, so that the charge point keeps the message. Storing is tried again.
            text = "%r could not be stored, so it is not answered: %s"
            cell.log_line(logging.ERROR, "not stored", text, message.call, message.error)
            cell.context.observer.count("spool_failed", cell.charge_point.id)

    def _overdue(self, incoming: Incoming) -> None:
        cell = self._cell
        context = cell.context
        context.observer.count("deadline_passed", cell.charge_point.id)
        call = cell.call_of(incoming)
        if call is not None and call.fallback_taken:
            return  # the fallback answer waits for the store
        cell.event("deadline", json.dumps([incoming.unique_id, incoming.action.name]))
        text = "%s: handler of %s exceeded its deadline; sending the fallback answer"
        cell.log_line(logging.WARNING, "deadline", text, self, incoming.action.name)
        cell.fallback_state().answer(incoming, "its handler did not answer in time")
        if call is not None and call.plugin is not None:
            with_the_next = call.passed is not None and call.passed.waits
            call.plugin.interrupt(call)
            if not with_the_next:  # else the plugin that it was passed on to is to blame
                self._blame(call, TimeoutError(f"no answer to {call.action} in time"))

    # -- Commands ----------------------------------------------------------------------------------

    def _send_command(self, message: SendCommand) -> None:
        cell, ticket = self._cell, message.ticket
        if not ticket.open:
            return
        if cell.connection is None and ticket.when_offline == "fail":
            cell.command_state().end(ticket, TicketState.NEVER_SENT, "the charge point is not connected")
            return
        session = cell.session
        if ticket.verb is not None and not self._translated(ticket):
            return
        action = ticket.request.__action__
        if self._booted_on_another_version(action):
            cell.command_state().end(ticket, TicketState.NEVER_SENT, self._other_version())
            return
        clock = cell.context.clock
        expires_at = INFINITY
        if (
            ticket.expires_in_s is not None
        ):  # counted from when the command was made, perhaps by another process
            expires_at = clock.monotonic() + ticket.expires_in_s - (clock.time() - ticket.created_at)
        outgoing = Outgoing(ticket, action, ticket.request, ticket.payload, ticket.timeout_s, expires_at)
        if expires_at <= clock.monotonic():
            cell.command_state().end(ticket, TicketState.EXPIRED, "it was not sent in time")
            return
        for older in session.superseded_by(outgoing):
            cell.command_state().end(older.owner, TicketState.SUPERSEDED, f"by {ticket.id}")
        if not session.submit(outgoing):
            cell.command_state().end(
                ticket,
                TicketState.NEVER_SENT,
                f"{session.rules.queue_limit} commands wait already (sessions.queue_limit)",
            )
            return
        ticket.waits(held=not session.may_send(action))
        if expires_at is not INFINITY:
            cell.wake(expires_at)
        self._send_next()

    def _send_next(self) -> None:
        cell = self._cell
        if cell.connection is None or cell.session.calls is None:
            return
        if not cell.context.host.may_send(cell.urn):
            return  # the host wakes the session when it may
        if cell.context.durable_tickets is not None:
            first = cell.session.first_call(cell.context.clock.monotonic())
            if first is None or not self._is_marked(first.owner, cell.context.durable_tickets):
                return
        if cell.session.calls.waiting:
            self._translate_first(cell.session)
        following = cell.session.next_call(cell.context.clock.monotonic())
        if following is not None:
            outgoing, frame = following
            ticket = outgoing.owner
            ticket.sent(cell.context.clock.time())
            cell.context.host.ticket_sent(ticket)
            if ticket.effect is not None:
                pair = pair_of(ticket.request)
                if pair is not None:
                    cell.command_state().expect(ticket, pair)
            cell.wake(outgoing.due)
            cell.send(frame)

    def _translate_first(self, session: Session) -> None:
        """Put the verb that is sent next into its message, by what is known now and not when it began to wait."""
        now = self._cell.context.clock.monotonic()
        while (first := session.first_call(now)) is not None and first.owner.verb is not None:
            if self._translated(first.owner, to_send=True):
                first.put_into(first.owner.request, first.owner.payload)
                return
            session.calls.remove(first.owner)  # type: ignore[union-attr]

    def _is_marked(self, ticket: Ticket[Any], durable_tickets: DurableTickets) -> bool:
        """Mark a persisted command as sent in the store; return whether it may go on the wire, else try again later.

        Without the mark the next process would send it again. A command does not wait longer than `MARK_S` for it.
        """
        cell = self._cell
        now = cell.context.clock.monotonic()
        if ticket.persisted is None:
            return True
        if ticket.mark is None:
            ticket.mark_due = now + MARK_S
            ticket.mark = durable_tickets.mark(ticket)
            cell.wake(ticket.mark_due)
            ticket.mark.then(lambda _: None if cell.ended else cell.tell(TimePassed()))
        return ticket.mark.done or ticket.mark_due <= now

    def _cancel(self, message: CancelCommand) -> None:
        calls = self._cell.session.calls
        outgoing = calls.remove(message.ticket) if calls is not None else None
        if outgoing is not None:
            self._cell.command_state().end(outgoing.owner, TicketState.CANCELLED)

    def _result(self, event: Answered) -> None:
        ticket = event.outgoing.owner
        if event.deviations:
            self._cell.note_deviations(event.deviations, f"answer to {event.outgoing.action.name}: ")
        if event.late:
            ticket.late_answer = event.response if event.refused is None else _excerpt(event.payload)
            self._cell.context.observer.count("late_result", self._cell.charge_point.id)
            if event.refused is None:
                self._cell.command_state().note_ending(ticket, lambda one: one.answered(event.response))
            return
        ticket.deviations = event.deviations
        ticket.response = event.response
        if event.deviations and not (event.response is not None and event.payload == b"null"):
            ticket.answer = event.payload
        if event.refused is not None:
            ticket.code = event.refused.code
            ticket.details = {"answer": _excerpt(event.payload)}
            reason = f"the answer is invalid: {event.refused}"
            self._cell.command_state().end(ticket, TicketState.REFUSED, reason)
            self._send_next()
            return
        told = event.outgoing.action.configuration
        if told is not None:
            self._cell.command_state().note_configuration(told(event.outgoing.request, event.response))
        self._cell.command_state().end(ticket, TicketState.ANSWERED)
        if self._cell.commands is not None:
            self._cell.command_state().note_ending(ticket, lambda one: one.answered(event.response))
        self._send_next()

    def _declined(self, event: Declined) -> None:
        ticket = event.outgoing.owner
        if event.deviations:
            self._cell.note_deviations(event.deviations, f"answer to {event.outgoing.action.name}: ")
        if event.late:
            ticket.late_answer = event.code
            self._cell.context.observer.count("late_result", self._cell.charge_point.id)
            self._cell.command_state().note_ending(ticket, Expectation.refused)
            return
        ticket.code = event.code
        ticket.details = event.details
        self._cell.command_state().end(ticket, TicketState.REFUSED, event.description)
        self._send_next()

    # -- Time --------------------------------------------------------------------------------------

    def _time_passed(self, _: TimePassed) -> None:
        cell = self._cell
        session = cell.session
        overdue, timed_out, expired = session.pass_time(cell.context.clock.monotonic())
        if timed_out is not None:
            reason = f"no answer within {timed_out.timeout_s:g} s"
            cell.command_state().end(timed_out.owner, TicketState.TIMED_OUT, reason)
        for outgoing in expired:
            cell.command_state().end(outgoing.owner, TicketState.EXPIRED, "it was not sent in time")
        self._send_next()
        if cell.commands is not None and cell.commands.expectations is not None:
            cell.commands.settle()
        for incoming in overdue:
            self._overdue(incoming)
        self._wake()
        self._resume_reading()

    def _wake(self) -> None:
        """Set the cell's timer for the next deadline."""
        cell = self._cell
        due = cell.session.due()
        for expectation in (cell.commands.expectations if cell.commands is not None else None) or ():
            due = min(due, expectation.owner.effect_due)
        cell.wake(due)

    handlers: ClassVar[dict[type, Callable[..., None]]] = {
        FrameReceived: _frame,
        CallAnswered: _answered,
        HandlerFailed: _failed,
        CallReturned: _call_returned,
        CallSpooled: _spooled,
        RegistrationPersisted: _registration_persisted,
        SendCommand: _send_command,
        CancelCommand: _cancel,
        TimePassed: _time_passed,
        Attached: _attached,
        ConnectionClosed: _closed,
    }
    events: ClassVar[dict[type, Callable[..., None]]] = {
        RefusedCall: _reply,
        Ignored: _ignored,
        Answered: _result,
        Declined: _declined,
    }


def _excerpt(payload: bytes) -> str:
    return payload[:ANSWER_BYTES].decode("utf-8", "replace")


def _status_in(incoming: Incoming, answer: bytes) -> str:
    """Read the status from the answer to a BootNotification."""
    return str(incoming.action.response.__decoder__.decode(answer).status)


def _why_unreadable(incoming: Incoming) -> str:
    """Say what was wrong with a message that could not be read."""
    reasons = "; ".join(map(str, incoming.deviations[:REASONS]))
    return f"unreadable: {reasons}" if reasons else "unreadable"
