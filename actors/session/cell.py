"""Cell of a charge point: state that survives a crash of its session and the loss of its connection.

It holds the facts, the state of the conversation with its calls, and the connection. The actor that works on it
(`SessionActor`) has no state of its own. Parts with rules of their own are objects, made when first needed:
`SessionCommands` (tickets and effects) and `Fallbacks` (answers in a handler's place).
"""

from __future__ import annotations

import logging
import re
import traceback
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from ...protocol.errors import Refused
from ...protocol.events import ChargePointOffline, EventFacts
from ...protocol.outgoing import INFINITY
from ...protocol.payload import lenient
from ...protocol.text import shortened
from ...protocol.websocket import CloseCode
from ..runtime.cell import ENDED, NOTHING, Cell, Ending
from ..runtime.failure import Failure, attempt
from .call import AnsweredCall
from .commands import SessionCommands
from .fallbacks import Fallbacks
from .messages import (
    AnswerSent,
    Attached,
    CallSpooled,
    ConnectionClosed,
    FrameReceived,
    RegistrationPersisted,
    SendCommand,
    TimePassed,
)
from .meter import QUICK_S
from .recorder import Recorder
from .tickets import TicketState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...protocol.errors import OcppError
    from ...protocol.events import MakeEvent
    from ...protocol.session import Incoming, Session
    from ..runtime.actor import Actor
    from ..runtime.cell import Exit
    from .call import Call
    from .charge_point import ChargePoint
    from .connection import Connection
    from .context import SessionContext, ToldMessage

logger = logging.getLogger(__name__)

CLOSE_GOING_AWAY = CloseCode.GOING_AWAY

EVENT_CHARS = 200
"""Characters of an event's text that the flight recorder keeps."""

REPORTED_ROWS = 10
"""Last frames that a crash report shows in the log; `crash_reports` has all recorded ones."""


ITEM = re.compile(r"\[\d+\]")

DEVIATION_CHARS = 200
"""Characters of a deviation's text that are kept."""
DEVIATIONS_REMEMBERED = 64
"""Different deviations that are counted for one charge point; the rest is counted together."""


class ChargePointCell(Cell):
    """State and inbox of the session of one charge point; it outlives its actors and its connections."""

    __slots__ = (
        "charge_point",
        "commands",
        "connection",
        "context",
        "current",
        "fallbacks",
        "held",
        "newest",
        "recorder",
        "session",
        "waiting",
        "wake_at",
    )

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
        self.recorder = (
            Recorder(context.recorder_bytes, session.registration) if context.recorder_bytes else None
        )
        self.wake_at = INFINITY
        # The connection whose messages count, at this point of the inbox.
        self.connection: Connection | None = None
        # The connection that was attached last.
        self.newest: Connection | None = None
        # The CALL that is being handled right now.
        self.current: Incoming | None = None
        # CALLs not started, because too many are in flight.
        self.held: deque[FrameReceived] | None = None
        self.commands: SessionCommands | None = None
        self.fallbacks: Fallbacks | None = None
        # Set by its supervisor while a restart is not due yet.
        self.waiting = False

    def call_of(self, incoming: Incoming) -> Call[Any] | None:
        """Return the call of an unanswered CALL that a plugin has, or whose fallback answer waits for the store."""
        call: Call[Any] | None = self.session.incoming.get(incoming)
        return call

    def command_state(self) -> SessionCommands:
        """Return the cell's commands, made at first use."""
        commands = self.commands
        if commands is None:
            self.commands = commands = SessionCommands(self)
        return commands

    def fallback_state(self) -> Fallbacks:
        """Return the cell's fallback answers, made at first use."""
        fallbacks = self.fallbacks
        if fallbacks is None:
            self.fallbacks = fallbacks = Fallbacks(self)
        return fallbacks

    @property
    def depth(self) -> int:
        """Number of messages that wait, in the inbox or held."""
        return super().depth + (len(self.held) if self.held is not None else 0)

    def event(self, kind: str, text: str) -> None:
        """Note an event in the flight recorder; a long text is cut."""
        if self.recorder is not None:
            data = text[:EVENT_CHARS].encode("utf-8", "replace")
            self.recorder.note(self.context.clock.monotonic(), kind, data)

    def log_line(self, level: int, reason: str, text: str, *args: object, exc_info: Any = None) -> bool:
        """Log a line that the charge point has caused, unless there were too many; return whether it was written.

        `reason` is one of few: `log.repeat_lines` lines of each are written in an interval.
        """
        limit = self.context.log_limit
        return limit.log(logger, level, self.charge_point.id, reason, text, *args, exc_info=exc_info)

    def notify(self, callback: Callable[..., None], *args: object) -> None:
        """Notify the host by a callback; an exception of it is logged, and costs the session nothing."""
        failure = attempt(callback, *args)
        if type(failure) is Failure:
            self.log(failure)

    def note_deviations(self, deviations: Sequence[object], where: str = "") -> None:
        """Count what the charge point does otherwise than the specification has it, by its text.

        `where` names an answer or a refused call; the items of a list are counted together then.
        """
        counts = self.charge_point.deviations
        if counts is None:
            counts = self.charge_point.deviations = Counter()
        for deviation in deviations:
            name = f"{where}{ITEM.sub('[]', str(deviation))}" if where else str(deviation)
            if len(name) > DEVIATION_CHARS:  # a charge point chooses the names of its members
                name = f"{name[:DEVIATION_CHARS]}..."
            counts[name if name in counts or len(counts) < DEVIATIONS_REMEMBERED else "other"] += 1
        self.context.observer.count("deviation", self.charge_point.id)
        self.context.meter.deviated(self.session.rules.version, deviations)

    # -- Time ----------------------------------------------------------------------------------

    def wake(self, due: float) -> None:
        """Have the session told at `due`. A cell has one timer for all its deadlines."""
        if due < self.wake_at:
            self.wake_at = due
            self.context.timers.call_at(due, self._timer)

    def _timer(self) -> None:
        if self.wake_at <= self.context.clock.monotonic() and not self.ended:
            self.wake_at = INFINITY
            self.tell(TimePassed())

    # -- For the connection ----------------------------------------------------------------------

    def deliver(self, connection: Connection, data: bytes) -> None:
        """Take a text message of a connection, and pause reading if `sessions.inbox_limit` is reached."""
        context = self.context
        if self.phase is ENDED:
            connection.close(CLOSE_GOING_AWAY, "the session has ended")
            return
        now = context.clock.monotonic()
        if self.recorder is not None:
            self.recorder.note(now, "in", data)
        self.tell(FrameReceived(connection, data, now))
        messages, held = self.messages, self.held
        if messages is not None and len(messages) + (0 if held is None else len(held)) >= context.inbox_limit:
            connection.pause()

    def throttled(self, connection: Connection, wait_s: float) -> None:
        """Count a pause of reading because the peer exceeds its rate limit."""
        self.context.observer.count("throttled", self.charge_point.id)
        text = (
            "%s at %s exceeds sessions.messages_per_s or sessions.bytes_per_s; reading is paused for %.3f s"
        )
        if self.log_line(logging.WARNING, "throttled", text, self.charge_point, connection.peer, wait_s):
            self.event("throttled", f"not read for {wait_s:.3f} s")

    def hold(self, message: FrameReceived) -> None:
        """Keep a frame until a call in flight is answered."""
        if self.held is None:
            self.held = deque()
        self.held.append(message)

    def attach(self, connection: Connection) -> Connection | None:
        """Attach a new connection, in the inbox behind the old one's messages; return the old one, to be closed."""
        old, self.newest = self.newest, connection
        self.event("connected", connection.peer)
        self.tell(Attached(connection))
        return old

    def closed(self, connection: Connection, code: int, reason: str) -> None:
        """Note that a connection has ended, in the inbox behind the messages that came over it.

        The end of one that was taken over changes nothing, and is not told: if the connection that took over was taken
        over too before its turn came, the charge point would go offline between the two.
        """
        if self.ended:
            return
        if connection.half_open:
            self.context.observer.count("half_open", self.charge_point.id)
        if connection is self.newest:
            self.event("closed", f"{code} {reason}".rstrip())
            self.tell(ConnectionClosed(connection, code, reason))

    def resume_reading(self) -> None:
        """Resume reading from a paused connection once the inbox has room."""
        connection = self.connection
        if (
            connection is not None
            and connection.paused
            and (self.fallbacks is None or not self.fallbacks.unstored)
            and self.depth * 2 < self.context.inbox_limit
        ):
            connection.resume()

    def go_offline(self, code: int, reason: str) -> None:
        """Note that the last connection has ended, and notify plugins and the host."""
        charge_point, context = self.charge_point, self.context
        self.connection = None
        charge_point.connected_at = None
        charge_point.disconnected_at = context.clock.time()
        logger.info("%s is offline (%d %s)", shortened(charge_point.id), code, reason)
        if ChargePointOffline in context.router.listeners:
            now = context.date_of(context.clock.monotonic())
            event = ChargePointOffline(at=now, charge_point_id=charge_point.id, code=code, reason=reason)
            context.router.publish(event)
        self.notify(context.host.went_offline, charge_point, code, reason)

    # -- Calls -----------------------------------------------------------------------------------

    def send(self, frame: bytes | None, kind: str = "out") -> None:
        """Send a frame, unless it is None or there is no connection. `kind` is "answer" for what a plugin wanted."""
        if frame is not None and self.connection is not None:
            if self.recorder is not None:
                self.recorder.note(self.context.clock.monotonic(), kind, frame)
            self.connection.send_text(frame)

    def send_answer(self, frame: bytes | None, call: Call[Any]) -> None:
        """Send the answer of a handler to its call, and count it, unless the call is not open any more."""
        connection = self.connection
        if frame is None or connection is None:
            return
        context, incoming = self.context, call.incoming
        # One look at the clock for the recorder and the meter.
        now = context.clock.monotonic()
        if self.recorder is not None:
            self.recorder.note(now, "answer", frame)
        connection.send_text(frame)
        meter, waited_s = context.calls[incoming.action], now - incoming.received_at
        if waited_s < QUICK_S:
            meter.quick += 1
            meter.answer_s += waited_s
            meter.handler_s += now - call.started_at
        else:
            meter.answer(waited_s, now - call.started_at)

    def tell_answer(
        self, incoming: Incoming, transaction_id: int | None, answer: bytes | OcppError, *, fallback: bool
    ) -> None:
        """Tell those who look at answers to this action what was sent; not for a call that was unreadable."""
        if self.connection is None or incoming.request is None:
            return
        router, row = self.context.router, incoming.action
        if row in router.after:
            call: AnsweredCall[Any] = AnsweredCall(self, incoming, transaction_id, fallback=fallback)
            router.tell_answer(AnswerSent(call, answer))
        if isinstance(answer, bytes):
            for kind, make in row.events.items():
                if kind in router.listeners:
                    self._publish(make, incoming, answer, transaction_id)

    def _publish(
        self, make: MakeEvent, incoming: Incoming, answer: bytes, transaction_id: int | None
    ) -> None:
        facts = EventFacts(
            self.charge_point.id,
            self.context.date_of(incoming.received_at),
            incoming.request,
            bytes(incoming.payload),
            incoming.action.response.__decoder__.decode(answer),
            transaction_id,
        )
        event = attempt(make, facts)
        if type(event) is Failure:
            self.log(event)
        elif event is not None:
            self.context.router.publish(event)

    def drop_calls(self) -> None:
        """Drop the calls of a lost connection: they cannot be answered any more.

        Handlers of calls that plugins have may still start and end, until the deadline. Held calls were not started and
        are dropped; the charge point sends transaction messages again, as they were not answered.
        """
        self.held = None
        if self.fallbacks is not None:
            self.fallbacks.unstored = None
        timers = self.context.timers
        for incoming, call in self.session.incoming.items():
            if call is not None and call.plugin is not None and not call.fallback_taken:
                timers.call_at(incoming.due, call.expire)
            self.session.note(incoming)

    def recall(self, told: Sequence[ToldMessage]) -> None:
        """Take what the charge point told an earlier process, as far as it has told nothing newer."""
        facts, versions = self.charge_point, [rules.version for rules in self.context.rules_of.values()]
        for one in told:
            actions = next((version.actions for version in versions if version.name == one.version), {})
            action = actions.get(one.action)
            if action is None:
                continue
            try:
                request: Any = lenient(
                    action.request,
                    one.payload,
                    naive_zone=self.context.rules.naive_zone,
                )[0]
            except Refused:
                continue
            if action.registers and facts.boot is None:
                facts.boot = request
            elif action.connector_status is not None:
                connector = action.connector_status(request)
                if connector not in facts.connectors:
                    facts.note_status(connector, request)

    def allot(self, incoming: Incoming) -> int | None:
        """Allot the number of a transaction that starts, before any handler runs; return None for other actions."""
        key = incoming.action.allots
        if key is None:
            return None
        return self.context.store.allot_transaction_id(
            self.charge_point.id, key(incoming.request, incoming.deviations)
        )

    # -- Crashes and the end -------------------------------------------------------------------

    def _crash(self, actor: Actor, message: object, failure: Failure) -> None:
        """Settle the message that the crashed actor was handling, and report the crash."""
        self.event("crash", failure.text)
        for step in (lambda: self._settle_crashed_message(message), lambda: self._report(failure)):
            problem = attempt(step)
            if type(problem) is Failure:
                self.log(problem)
        super()._crash(actor, message, failure)

    def _exit(self, exit_: Exit) -> None:
        """Record the end of an actor that was handling no message: killed while idle, or never started."""
        if exit_.ending is not Ending.NORMAL and exit_.message is None:
            self.event("crash", exit_.failure.text if exit_.failure is not None else str(exit_.ending))
        super()._exit(exit_)

    def abandon(self) -> None:
        """Give up on a runner that ignored its kill; the CALL that it was handling is answered."""
        if self.actor is not None and self.current_message is not NOTHING:
            self.event(
                "crash", f"runner ignored its kill while handling {type(self.current_message).__name__}"
            )
            problem = attempt(self._settle_crashed_message, self.current_message)
            if type(problem) is Failure:
                self.log(problem)
        super().abandon()

    def _settle_crashed_message(self, message: object) -> None:
        """Answer a CALL or end a ticket; leave news of the connection and the store to the next actor."""
        if type(message) is FrameReceived:
            self._answer_for_crash(message)
        elif type(message) is SendCommand:
            if self.session.calls is None or not self.session.calls.holds(message.ticket):
                self.undelivered(message)
        elif type(message) in (Attached, ConnectionClosed, CallSpooled, RegistrationPersisted):
            if self.messages is None:
                self.messages = deque()
            self.messages.appendleft(message)

    def _report(self, failure: Failure) -> None:
        """Store a crash report, and log the last frames; the traceback is logged by the cell."""
        rows = self.recorder.rows() if self.recorder is not None else []
        context = self.context
        context.crash_reports.append(
            {
                "charge_point": self.charge_point.id,
                "time": context.clock.time(),
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
        incoming = self.current or self.session.salvage(message.data, message.received_at)
        self.current = None
        if incoming is not None and self.call_of(incoming) is None:  # else its plugin answers
            self.fallback_state().answer(incoming, "the session was restarted")

    def undelivered(self, message: object) -> None:
        """End the ticket of a command that no session will send."""
        if type(message) is SendCommand:
            self.command_state().end(message.ticket, TicketState.NEVER_SENT, "the session has ended")

    def end(self) -> None:
        """End for good, with all tickets."""
        if not self.ended:
            self.drop_calls()
            if self.session.calls is not None or self.commands is not None:
                self.command_state().end_all("the session has ended")
            if self.connection is not None:
                self.go_offline(CLOSE_GOING_AWAY, "the session has ended")
        super().end()
