"""Tickets: the handle of one command, which ends in exactly one final state.

A ticket is made by `system.send`, may be waited for from any greenlet or native thread, and always ends.
"""

from __future__ import annotations

import itertools
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ...config.errors import ChargehandError
from ...protocol.effects import Effect
from ..runtime.future import wait_until, wake_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...protocol.actions import Request
    from ...protocol.errors import Deviation, ErrorCode
    from ...protocol.verbs import Verb
    from ..runtime.threads import Inlet

R = TypeVar("R")


class TicketState(StrEnum):
    """State of a ticket. The first three are open, the others final."""

    HELD = "held"  # until the charge point's BootNotification is accepted
    QUEUED = "queued"  # behind other commands, or until the charge point connects
    SENT = "sent"
    ANSWERED = "answered"
    REFUSED = "refused"  # with a CALLERROR, or the answer is invalid
    TIMED_OUT = "timed_out"  # sent, but not answered in time
    EXPIRED = "expired"  # not sent in time
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    NEVER_SENT = "never_sent"  # the charge point is not connected, or its queue is full
    OUTCOME_UNKNOWN = "outcome_unknown"  # the connection was lost after it was written


OPEN = frozenset({TicketState.HELD, TicketState.QUEUED, TicketState.SENT})

MAY_SHOW = frozenset({TicketState.ANSWERED, TicketState.TIMED_OUT, TicketState.OUTCOME_UNKNOWN})
"""Final states of a command that the charge point has carried out, or may have: its effect may still come."""


class TicketError(ChargehandError):
    """The command did not end with a usable answer; `ticket` has the details."""

    def __init__(self, ticket: Ticket[Any]) -> None:
        self.ticket = ticket
        super().__init__(ticket)

    def __str__(self) -> str:
        ticket = self.ticket
        text = f"{ticket.action} to {ticket.charge_point_id}: {ticket.state.replace('_', ' ')}"
        return f"{text} ({ticket.reason})" if ticket.reason else text


class CommandRefused(TicketError):
    """Error: the charge point answered with a CALLERROR: `ticket.code`, `ticket.reason`, `ticket.details`."""


class CommandTimedOut(TicketError):
    """Error: the command was sent, and not answered in time. The charge point may have done it."""


class CommandExpired(TicketError):
    """Error: the command was not sent in time, and never will be."""


class CommandSuperseded(TicketError):
    """Error: a newer command superseded it before it was sent."""


class CommandCancelled(TicketError):
    """Error: the command was cancelled before it was sent."""


class NeverSent(TicketError):
    """Error: the command was not sent, so the charge point has not done it."""


class OutcomeUnknown(TicketError):
    """Error: the socket died after the command was written. The charge point may have done it."""


class InvalidResponse(TicketError):
    """Error: the command was answered, but the answer cannot be used.

    `ticket.deviations` says why, `ticket.answer` is what came. The charge point may have done it.
    """


_ERRORS = {
    TicketState.REFUSED: CommandRefused,
    TicketState.TIMED_OUT: CommandTimedOut,
    TicketState.EXPIRED: CommandExpired,
    TicketState.SUPERSEDED: CommandSuperseded,
    TicketState.CANCELLED: CommandCancelled,
    TicketState.NEVER_SENT: NeverSent,
    TicketState.OUTCOME_UNKNOWN: OutcomeUnknown,
    TicketState.ANSWERED: InvalidResponse,
}


class Ticket(Generic[R]):
    """Handle of one command: its state, and its outcome once it has ended.

    Times are seconds since 1970; `reason` is a sentence for people. `late_answer` is an answer after the time-out: a
    response, an error code, or the text of an invalid answer; it changes no state. `answer` is the payload of an
    answer as it was sent, if it deviates; if it is invalid `response` is None, and the ticket is refused. `verb` is
    what the command was made from, if it was not a request: its session puts it into a message of the version that the
    charge point speaks, and `verb_refused` says that this version has none for it. `effect` is None unless the command
    was made with `until_effect`. `persisted` is the store's receipt for it, None if it does not outlive the process.
    """

    any_thread: ClassVar[bool] = True  # may be used as it is in a native thread

    __slots__ = (
        "_cancel",
        "_home",
        "_waiters",
        "action",
        "answer",
        "charge_point_id",
        "code",
        "created_at",
        "details",
        "deviations",
        "effect",
        "effect_due",
        "effect_timeout_s",
        "ended_at",
        "expires_in_s",
        "id",
        "late_answer",
        "mark",
        "mark_due",
        "payload",
        "persisted",
        "reason",
        "request",
        "response",
        "sent_at",
        "state",
        "timeout_s",
        "verb",
        "verb_refused",
        "when_offline",
    )

    def __init__(
        self,
        id_: str,
        charge_point_id: str,
        action: str,
        request: Request[Any],
        payload: bytes,
        *,
        timeout_s: float,
        created_at: float,
        when_offline: str = "fail",
        expires_in_s: float | None = None,
        cancel: Callable[[Ticket[Any]], None] | None = None,
        home: Inlet | None = None,
        effect_timeout_s: float | None = None,
        verb: Verb | None = None,
    ) -> None:
        self.id = id_
        self.charge_point_id = charge_point_id
        self.action = action
        self.request = request
        self.payload = payload
        self.verb = verb
        self.verb_refused = False
        self.timeout_s = timeout_s
        self.when_offline = when_offline
        self.expires_in_s = expires_in_s
        self.state = TicketState.QUEUED
        self.response: R | None = None
        self.answer = b""
        self.code: ErrorCode | str | None = None
        self.reason = ""
        self.details: dict[str, Any] = {}
        self.deviations: tuple[Deviation, ...] = ()
        self.late_answer: Any = None
        self.created_at = created_at
        self.sent_at: float | None = None
        self.ended_at: float | None = None
        self.effect: Effect | None = None if effect_timeout_s is None else Effect.PENDING
        self.effect_timeout_s = effect_timeout_s
        self.effect_due = 0.0
        self.persisted: Any = None
        self.mark: Any = None  # the receipt of its mark as sent, and until when it is waited for
        self.mark_due = 0.0
        self._waiters: list[Callable[[], None]] | None = []  # None once it is settled
        self._home = home
        self._cancel = cancel

    @property
    def version(self) -> str:
        """Name of its request's version of OCPP."""
        return self.request.__action__.version

    @property
    def open(self) -> bool:
        """True until the ticket has ended."""
        return self.state in OPEN

    @property
    def unreadable(self) -> bool:
        """True if the answer is invalid: the charge point may have carried the command out."""
        return self.response is None and self.answer != b""

    @property
    def settled(self) -> bool:
        """True when the ticket has ended, and its effect is known if one is expected."""
        return self.state not in OPEN and self.effect is not Effect.PENDING

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end (with `until_effect`: for the effect); return false if `timeout_s` passed before.

        Any greenlet or native thread may wait. Raises `HubBlocked`, a `TimeoutError`, in another thread than the hub's
        if the hub hangs.
        """
        waiters = self._waiters
        if waiters is None or self.settled:
            return True
        return wait_until(lambda: self.settled, waiters, timeout_s, self._home)

    def result(self, timeout_s: float | None = None) -> R:
        """Wait for the end and return the response; there is always an end, as every command has a time limit.

        Raises a `TicketError` for every other end, and `TimeoutError` if `timeout_s` passed before any: `HubBlocked` if
        the hub was blocked then.
        """
        if not self.wait(timeout_s):
            if self._home is not None and self._home.block is not None:
                raise self._home.block.error()
            raise TimeoutError(f"{self.action} to {self.charge_point_id} is {self.state}")
        if self.state is TicketState.ANSWERED and self.response is not None:
            return self.response
        raise InvalidResponse(self) if self.unreadable else _ERRORS[self.state](self)

    def cancel(self) -> None:
        """Cancel the command, unless it is on the wire already."""
        cancel = self._cancel
        if cancel is not None and self.state in OPEN:
            cancel(self)

    # -- For the session and the system ------------------------------------------------------------

    def when_settled(self, callback: Callable[[], None]) -> None:
        """Call back in the hub when the ticket is settled; at once if it is."""
        if self._waiters is None or self.settled:
            callback()
        else:
            self._waiters.append(callback)

    def bind(self, cancel: Callable[[Ticket[Any]], None], home: Inlet) -> None:
        """Set how the ticket is cancelled, and the inlet of its hub."""
        self._cancel = cancel
        self._home = home

    def put_into(self, request: Request[Any], payload: bytes) -> None:
        """Take the message that its verb is in the version of its charge point."""
        self.action = request.__action__.name
        self.request = request
        self.payload = payload

    def waits(self, *, held: bool) -> None:
        """Note that the command waits: held, or in the queue."""
        if self.state in OPEN:
            self.state = TicketState.HELD if held else TicketState.QUEUED

    def sent(self, at: float) -> None:
        """Note that the command is on the wire."""
        if self.state in OPEN:
            self.state = TicketState.SENT
            self.sent_at = at

    def end(self, state: TicketState, at: float, reason: str = "") -> bool:
        """Set the final state; return false if there is one already."""
        if self.state not in OPEN:
            return False
        self.state = state
        self.reason = reason
        self.ended_at = at
        if self.effect is Effect.PENDING:
            if state in MAY_SHOW or self.unreadable:
                return True
            self.effect = Effect.DECLINED if state is TicketState.REFUSED else Effect.NO_EFFECT
        self._wake()
        return True

    def detach(self, at: float, reason: str) -> None:
        """End the ticket in this process; its command is persisted, and the next process sends it."""
        self.end(
            TicketState.OUTCOME_UNKNOWN,
            at,
            f"{reason}; the command is persisted and will be sent after the next start",
        )
        self.end_effect(Effect.NO_EFFECT)  # the command was not sent by this process

    def end_effect(self, effect: Effect) -> bool:
        """Set the effect; return false if it is known already, or was not asked for."""
        if self.effect is not Effect.PENDING:
            return False
        self.effect = effect
        if self.state not in OPEN:
            self._wake()
        return True

    def _wake(self) -> None:
        waiters = self._waiters or ()
        # It is kept, with thousands of others, for those who look: what a settled one needs no more is given up.
        self._waiters, self._cancel, self.mark_due = None, None, 0.0
        wake_all(waiters)

    def __repr__(self) -> str:
        return f"<Ticket {self.id} {self.action} to {self.charge_point_id}: {self.state}>"


class TicketRegistry:
    """Registry of tickets by id: all open ones, and the last `keep` that were made (`sessions.tickets_kept`)."""

    def __init__(self, prefix: str, keep: int) -> None:
        self._prefix = prefix
        self._keep = keep
        self._numbers = itertools.count(1)
        self._tickets: dict[str, Ticket[Any]] = {}

    def new_id(self) -> str:
        """Make an id that no other ticket of this or another run has."""
        return f"{self._prefix}-{next(self._numbers)}"

    def add(self, ticket: Ticket[Any]) -> None:
        """Add a ticket, and forget the oldest ended ones over the bound."""
        tickets = self._tickets
        tickets[ticket.id] = ticket
        for _ in range(
            min(2, len(tickets) - self._keep)
        ):  # two for one, to catch up with open tickets that were skipped
            oldest = next(iter(tickets))
            old = tickets.pop(oldest)
            if not old.settled:
                tickets[oldest] = old  # to the end, to be checked again after the others

    def find(self, id_: str) -> Ticket[Any] | None:
        """Find a ticket by its id; None if it is unknown or forgotten."""
        return self._tickets.get(id_)

    def tickets(self, charge_point_id: str = "", *, open_only: bool = False) -> list[Ticket[Any]]:
        """List all tickets, or those of one charge point, newest first."""
        found = [
            ticket
            for ticket in self._tickets.values()
            if (not charge_point_id or ticket.charge_point_id == charge_point_id)
            and (not open_only or ticket.open)
        ]
        found.reverse()
        found.sort(
            key=lambda ticket: ticket.created_at, reverse=True
        )  # an open one may have been moved behind younger ones
        return found

    def open_tickets(self) -> list[Ticket[Any]]:
        """List the tickets that have not ended."""
        return [ticket for ticket in list(self._tickets.values()) if ticket.open]
