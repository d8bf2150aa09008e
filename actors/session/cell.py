"""The cell of a charge point: all that a crash of its session, or the loss of its socket, must not cost.

It holds the facts, the state of the conversation, the connection and the calls of ours. The actor that works on it
(`SessionActor`) keeps nothing of its own. Its tickets are in `ticket_cell.py`, the CALLs that it answers in
`call_cell.py`; here are the connection, crashes and the end.
"""

from __future__ import annotations

import logging
import traceback
from collections import deque
from typing import TYPE_CHECKING

from ..runtime.cell import NOTHING, Ending
from ..runtime.failure import Failure, attempt
from ..runtime.inbox import ENDED
from .call_cell import CallCell
from .messages import (
    Attached,
    CallSpooled,
    ChargePointOffline,
    ConnectionClosed,
    FrameReceived,
    RegistrationKept,
    SendCommand,
)
from .tickets import TicketState

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...protocol.session import Session
    from ..runtime.actor import Actor
    from ..runtime.cell import Cell, Exit
    from .charge_point import ChargePoint
    from .connection import Connection
    from .context import SessionContext

logger = logging.getLogger(__name__)

CLOSE_GOING_AWAY = 1001

REPORTED_ROWS = 10
"""How many of the last frames a crash report has in the log; `crash_reports` has them all."""


class ChargePointCell(CallCell):
    """See the head of this file."""

    __slots__ = ("newest", "waiting")

    def __init__(
        self,
        context: SessionContext,
        charge_point: ChargePoint,
        session: Session,
        make: Callable[[Cell], Actor],
        watch: Callable[[Cell, Exit], None] | None = None,
    ) -> None:
        super().__init__(context, charge_point, session, make, watch)
        self.newest: Connection | None = None  # the one that was attached last
        self.waiting = False  # for a restart that is not due yet

    @property
    def depth(self) -> int:
        """How many messages wait, in the inbox or held."""
        return super().depth + (len(self.held) if self.held is not None else 0)

    # -- For the connection ----------------------------------------------------------------------

    def deliver(self, connection: Connection, data: bytes) -> None:
        """Take a text message off a connection, and pause it if too much waits here already."""
        context = self.context
        if self.phase is ENDED:
            connection.close(CLOSE_GOING_AWAY, "the session has ended")
            return
        now = context.clock.monotonic()
        if self.recorder is not None:
            self.recorder.note(now, "in", data)
        self.tell(FrameReceived(connection, data, now))
        inbox, held = self.inbox, self.held
        if inbox is not None and len(inbox) + (0 if held is None else len(held)) >= context.inbox_limit:
            connection.pause()

    def hold(self, message: FrameReceived) -> None:
        """Keep a frame until a call in flight is answered."""
        if self.held is None:
            self.held = deque()
        self.held.append(message)

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
                self.context.observer.count("half_open", self.charge_point.id)
            self.tell(ConnectionClosed(connection, code, reason))

    def resume_reading(self) -> None:
        """Let a paused connection go on once there is room for what it has."""
        connection = self.connection
        if (
            connection is not None
            and connection.paused
            and not self.unstored
            and self.depth * 2 < self.context.inbox_limit
        ):
            connection.resume()

    def go_offline(self, code: int, reason: str) -> None:
        """Note that the last connection is gone, and tell those who want to know."""
        charge_point, context = self.charge_point, self.context
        self.connection = None
        charge_point.connected_at = None
        charge_point.disconnected_at = context.clock.time()
        logger.info("%s is offline (%d %s)", charge_point, code, reason)
        context.router.tell_offline(ChargePointOffline(charge_point, code, reason))
        self.notify(context.went_offline, charge_point, code, reason)

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
        elif type(message) is SendCommand:
            if self.session.calls is None or not self.session.calls.holds(message.ticket):
                self.unheard(message)
        elif type(message) in (Attached, ConnectionClosed, CallSpooled, RegistrationKept):
            if self.inbox is None:
                self.inbox = deque()
            self.inbox.appendleft(message)

    def _report(self, failure: Failure) -> None:
        """Keep what led to a crash, and log its last frames; the traceback is logged by the cell."""
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
        incoming = self.taken or self.session.salvage(message.data, message.received_at)
        self.taken = None
        if incoming is not None and incoming not in self.calls:  # else a plugin has it, and will answer
            self.fallback(incoming, "the session had to be restarted")

    def unheard(self, message: object) -> None:
        """A command that nobody will carry out ends its ticket."""
        if type(message) is SendCommand:
            self.end_unsent(message.ticket, TicketState.NEVER_SENT, "the session has ended")

    def end(self) -> None:
        """End for good, with all tickets."""
        if not self.is_set():
            self.lose_calls()
            self.end_all_tickets("the session has ended")
            if self.connection is not None:
                self.go_offline(CLOSE_GOING_AWAY, "the session has ended")
        super().end()
