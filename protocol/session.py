"""Side of an OCPP-J conversation as pure state: no sockets, no clocks, no greenlets.

It reads frames into events and writes answers and calls into frames. Its rules: one outstanding CALL of ours at a
time, the rest wait in a bounded queue; every CALL of the peer's has a deadline; before registration
only some messages pass; an answer is never answered. Times are seconds on any scale that never goes back; they are
arguments. Nothing that a peer sends makes `receive` raise. OCPP-J 1.6, section 4; OCPP 1.6, section 4.2.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from . import frames
from .actions import EITHER, NEEDS_ACCEPTED, NEEDS_NOTHING, Sender
from .errors import Deviation, ErrorCode, Refused, read_code
from .outgoing import CommandQueue, Outgoing
from .payload import UNREADABLE, lenient, strict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .actions import Action, Version
    from .message import Message

INFINITY = float("inf")
NONE_OPEN: Mapping[Any, Any] = MappingProxyType({})
"""CALLs of a session that has none: most have none most of the time."""
UNUSABLE = (frames.Junk, frames.BrokenCall, frames.BrokenAnswer)
LATE_REMEMBERED = 16
"""Number of timed-out commands that are remembered, so that a late answer is recognised."""


class Registration(StrEnum):
    """Status that the last registering call was answered with."""

    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


# Module constant: compared for every call, and a lookup on the class costs a Python call before 3.12.
ACCEPTED = Registration.ACCEPTED


def _unix_time(now: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(now, dt.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """Settings of a deployment for one version."""

    version: Version
    receives: Sender = Sender.CHARGE_POINT
    """Sender whose CALLs this side accepts: the charge point, for a central system."""
    strict: bool = False
    default_deadline_s: float = 10.0
    deadlines_s: dict[str, float] = field(default_factory=dict)
    queue_limit: int = 100
    queue_reserve: int = 0  # for interactive commands
    accept_unbooted: bool = True
    answer_transactions_unregistered: bool = True
    date_of: Callable[[float], dt.datetime] = _unix_time
    """UTC time of a moment on the scale of `receive`: it stands in for a time that cannot be read."""
    naive_zone: dt.tzinfo | None = dt.UTC
    """Zone of times without one, under the lenient policy; with None such a time cannot be read."""

    def __post_init__(self) -> None:
        """Merge the deadlines of the rows with those of the deployment, which win."""
        declared = {
            name: row.deadline_s for name, row in self.version.actions.items() if row.deadline_s is not None
        }
        if declared:
            object.__setattr__(self, "deadlines_s", {**declared, **self.deadlines_s})


# -- Events --------------------------------------------------------------------------------------


class Incoming(msgspec.Struct, eq=False, gc=False):
    """CALL of the peer that waits for an answer.

    `request` is None when not even lenient reading could make one: a transaction message, which is kept raw and
    acknowledged all the same.
    """

    unique_id: str
    action: Action
    request: Message | None
    payload: bytes
    deviations: tuple[Deviation, ...]
    received_at: float
    due: float
    open: bool = True


class RefusedCall:
    """CALL that is answered at once with a CALLERROR: `frame` is to be sent.

    `violations` are those of its payload, and `lost` is the transaction message that this answer makes the peer throw
    away, if it is one.
    """

    __slots__ = ("action", "code", "description", "frame", "lost", "violations")

    def __init__(
        self,
        frame: bytes,
        code: ErrorCode,
        description: str,
        action: str = "",
        violations: tuple[Deviation, ...] = (),
        lost: Incoming | None = None,
    ) -> None:
        self.frame = frame
        self.code = code
        self.description = description
        self.action = action
        self.violations = violations
        self.lost = lost


class Answered:
    """Answer of the peer. `response` is None for one that cannot be used, as `refused` says; `payload` is as it came.

    Of an answer that is not even JSON `payload` is the whole frame.
    """

    __slots__ = ("deviations", "late", "outgoing", "payload", "refused", "response")

    def __init__(
        self,
        outgoing: Outgoing,
        response: Message | None,
        deviations: tuple[Deviation, ...] = (),
        refused: Refused | None = None,
        payload: bytes = b"",
        *,
        late: bool = False,
    ) -> None:
        self.outgoing = outgoing
        self.response = response
        self.deviations = deviations
        self.refused = refused
        self.payload = payload
        self.late = late


class Declined:
    """CALLERROR of the peer. `code` is the canonical code, or the peer's text if unknown."""

    __slots__ = ("code", "description", "details", "deviations", "late", "outgoing")

    def __init__(
        self,
        outgoing: Outgoing,
        code: str,
        description: str,
        details: dict[str, Any],
        deviations: tuple[Deviation, ...] = (),
        *,
        late: bool = False,
    ) -> None:
        self.outgoing = outgoing
        self.code = code
        self.description = description
        self.details = details
        self.deviations = deviations
        self.late = late


class Ignored:
    """Frame that is not answered; `reason` is a word to count by."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


Event = Incoming | RefusedCall | Answered | Declined | Ignored


class Session:
    """State of a conversation, which outlives the socket: `disconnected` ends the parts that belong to the socket.

    `rules` are set for each connection: the version belongs to the connection.
    """

    __slots__ = ("_last_id", "_late", "_prefix", "calls", "incoming", "registration", "rules", "triggered")

    def __init__(self, rules: SessionRules, id_prefix: str, registration: Registration | None = None) -> None:
        self.rules = rules
        self.registration = registration
        # CALLs that wait for an answer, in order of arrival, each with what the owner of the session has of it.
        self.incoming: Mapping[Incoming, Any] = NONE_OPEN
        self.calls: CommandQueue | None = (
            None  # ours; made with the first, for most charge points never get one
        )
        # Messages that a trigger command asked for: a registration, and while Pending all of them.
        self.triggered: set[str] | None = None
        self._late: deque[Outgoing] | None = None
        self._prefix = id_prefix
        self._last_id = 0

    # -- Incoming --------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> Event:
        """Take one frame, which must be valid UTF-8."""
        slips: tuple[Deviation, ...] = ()
        payload: Any
        try:
            _, unique_id, name, payload = frames.decode_call(data)
        except frames.UNREADABLE:
            frame, slips = self._read(data)
            if type(frame) is not frames.CallFrame:
                return self._receive_other(frame, slips, data, now)
            unique_id, name, payload = frame
        rules = self.rules
        action = rules.version.actions.get(name)
        if action is None:
            text = f"{name[:50]} is not an action"
            return self._reply(unique_id, ErrorCode.NOT_IMPLEMENTED, text, name[:50], slips)
        if action.sender is not rules.receives and action.sender is not EITHER:
            text = f"{name} is not for this side"
            return self._reply(unique_id, ErrorCode.NOT_SUPPORTED, text, name, slips)
        if self.registration is not ACCEPTED and not self._may_receive(action):
            text = "BootNotification was not accepted yet"
            return self._reply(unique_id, ErrorCode.SECURITY_ERROR, text, name, slips)
        deviations = slips
        request: Message | None
        try:
            request = action.request.__decoder__.decode(
                payload
            )  # an acceptance by the compiled decoder is final
        except UNREADABLE:
            try:
                request, found = self._judge(action, payload, now)
            except Refused as refused:
                if rules.strict or not action.transaction:
                    return self._refuse_payload(unique_id, action, payload, refused, now, slips)
                request, found = None, refused.violations
            deviations = tuple(dict.fromkeys(slips + found))
        due = now + rules.deadlines_s.get(name, rules.default_deadline_s)
        incoming = Incoming(unique_id, action, request, payload, deviations, now, due)
        self.note(incoming)
        return incoming

    def _judge(self, action: Action, payload: Any, now: float) -> tuple[Message, tuple[Deviation, ...]]:
        rules = self.rules
        if rules.strict:
            return strict(action.request, payload), ()
        return lenient(action.request, payload, received_at=rules.date_of(now), naive_zone=rules.naive_zone)

    def _refuse_payload(
        self,
        unique_id: str,
        action: Action,
        payload: Any,
        refused: Refused,
        now: float,
        slips: tuple[Deviation, ...],
    ) -> RefusedCall:
        violations = slips + refused.violations
        reply = self._reply(unique_id, refused.code, str(refused), action.name, violations)
        if action.transaction:
            reply.lost = Incoming(unique_id, action, None, bytes(payload), refused.violations, now, now)
        return reply

    def _lost_in(self, data: bytes, now: float) -> Incoming | None:
        """Find the transaction message in a broken CALL that the lenient policy would have mended."""
        frame, slips = frames.mend(data)
        action = self.rules.version.actions.get(frame.action) if type(frame) is frames.CallFrame else None
        if type(frame) is not frames.CallFrame or action is None:
            return None
        if not action.transaction or action.sender is not self.rules.receives:
            return None
        return Incoming(frame.unique_id, action, None, frame.payload, slips, now, now)

    def salvage(self, data: bytes, now: float) -> Incoming | None:
        """Register a CALL without reading its payload, so that it can be answered although reading it failed."""
        frame = self._read(data)[0]
        action = self.rules.version.actions.get(frame.action) if type(frame) is frames.CallFrame else None
        if type(frame) is not frames.CallFrame or action is None:
            return None
        due = now + self.rules.deadlines_s.get(action.name, self.rules.default_deadline_s)
        incoming = Incoming(frame.unique_id, action, None, frame.payload, (), now, due)
        self.note(incoming)
        return incoming

    def note(self, incoming: Incoming, what: Any = None) -> None:
        """Note what the owner of the session has of an open CALL."""
        if self.incoming is NONE_OPEN:
            self.incoming = {incoming: what}
        else:
            self.incoming[incoming] = what  # type: ignore[index]

    def _close(self, incoming: Incoming) -> None:
        incoming.open = False
        if len(self.incoming) == 1:
            self.incoming = NONE_OPEN  # a dict that was emptied costs 0.2 KiB
        else:
            del self.incoming[incoming]  # type: ignore[attr-defined]

    def _may_receive(self, action: Action) -> bool:
        if action.needs is NEEDS_NOTHING or self.rules.receives is Sender.CENTRAL_SYSTEM:
            return True
        if self.registration is None and self.rules.accept_unbooted:
            return True
        if action.transaction and self.rules.answer_transactions_unregistered:
            return True
        return self.triggered is not None and action.name in self.triggered

    def _read(self, data: bytes) -> tuple[frames.Frame, tuple[Deviation, ...]]:
        frame = frames.read(data)
        if not self.rules.strict and isinstance(frame, UNUSABLE):
            return frames.mend(data)
        return frame, ()

    def _receive_other(
        self, frame: frames.Frame, slips: tuple[Deviation, ...], data: bytes, now: float
    ) -> Event:
        if type(frame) is frames.ResultFrame:
            return self._receive_result(frame, slips, data, now)
        if type(frame) is frames.ErrorFrame:
            return self._receive_error(frame, slips)
        if type(frame) is frames.BrokenAnswer:
            return self._receive_broken_answer(frame, data)
        if type(frame) is frames.BrokenCall:
            reply = self._reply(frame.unique_id, frame.code, frame.text)
            if self.rules.strict:
                reply.lost = self._lost_in(data, now)
            return reply
        if type(frame) is not frames.Junk:
            return Ignored("not a frame")
        if self.rules.version.refuses_frames and frame.code is not None:
            return self._reply(
                frame.unique_id or frames.UNKNOWN_ID, frame.code, f"{frame.reason} in this frame"
            )
        return Ignored(frame.reason)

    def _receive_result(
        self, frame: frames.ResultFrame, slips: tuple[Deviation, ...], data: bytes, now: float
    ) -> Event:
        outgoing, late = self._match(frame.unique_id)
        if outgoing is None:
            return Ignored("answer to nothing")
        kind = outgoing.action.response
        response: Message | None = None
        deviations: tuple[Deviation, ...] = ()
        refused: Refused | None = None
        rules = self.rules
        payload = frame.payload
        if not payload and not rules.strict:
            payload, slips = b"{}", (*slips, frames.slip("has no payload"))
        try:
            if rules.strict:
                response = strict(kind, payload)
            else:
                response, deviations = lenient(
                    kind, payload, received_at=rules.date_of(now), naive_zone=rules.naive_zone
                )
        except Refused as error:
            refused, deviations = error, error.violations
        self._settle(outgoing, late=late)
        if outgoing.action.triggers is not None:
            self._note_trigger(outgoing, response)
        return Answered(outgoing, response, slips + deviations, refused, payload or data, late=late)

    def _receive_broken_answer(self, frame: frames.BrokenAnswer, data: bytes) -> Event:
        """Take an answer that cannot be read as that to the command with its id, or to the only open one."""
        outgoing, late = self._match(frame.unique_id) if frame.unique_id else (self._only_one(), False)
        if outgoing is None:
            return Ignored("broken answer")
        self._settle(outgoing, late=late)
        refused = Refused(ErrorCode.FORMATION_VIOLATION, "is not readable JSON", "frame")
        return Answered(outgoing, None, refused.violations, refused, data, late=late)

    def _only_one(self) -> Outgoing | None:
        return self.calls.on_wire if self.calls is not None and not self._late else None

    def _note_trigger(self, outgoing: Outgoing, response: Any) -> None:
        # Not for one message only: a StatusNotification asked for may come for every connector.
        if getattr(response, "status", None) != "Accepted":
            return
        names = _triggers(outgoing)
        if self.registration is not Registration.PENDING:
            names = tuple(name for name in names if self._registers(name))
        if names:
            self.triggered = {*(self.triggered or ()), *names}

    def _registers(self, name: str) -> bool:
        action = self.rules.version.actions.get(name)
        return action is not None and action.registers

    def asked_for(self, action: Action) -> bool:
        """Return whether a trigger command asked for a message of this action, over this connection.

        The message may come before the answer to the command, or after that was given up.
        """
        name = action.name
        if self.triggered is not None and name in self.triggered:
            return True
        on_wire = self.calls.on_wire if self.calls is not None else None
        return any(name in _triggers(one) for one in (on_wire, *(self._late or ())) if one is not None)

    def _receive_error(self, frame: frames.ErrorFrame, slips: tuple[Deviation, ...]) -> Event:
        outgoing, late = self._match(frame.unique_id)
        if outgoing is None:
            return Ignored("error for nothing")
        self._settle(outgoing, late=late)
        code = read_code(frame.code)
        return Declined(outgoing, code, frame.description, frame.details, slips, late=late)

    def _match(self, unique_id: str) -> tuple[Outgoing | None, bool]:
        calls = self.calls
        if calls is not None and calls.on_wire is not None and calls.on_wire.unique_id == unique_id:
            return calls.on_wire, False
        for outgoing in self._late or ():
            if outgoing.unique_id == unique_id:
                return outgoing, True
        return None, False

    def _settle(self, outgoing: Outgoing, *, late: bool) -> None:
        # Only when the answer has been read: should reading it fail, the call is still on the wire, and times out.
        if late and self._late is not None:
            self._late.remove(outgoing)
        elif self.calls is not None:
            self.calls.take_off_wire()

    # -- Outgoing --------------------------------------------------------------------------------

    def answer(self, incoming: Incoming, payload: bytes) -> bytes | None:
        """Write the CALLRESULT for a CALL, from a payload checked before; None for a CALL answered already."""
        if not incoming.open:
            return None
        self._close(incoming)
        return frames.result(incoming.unique_id, payload)

    def refuse(
        self,
        incoming: Incoming,
        code: ErrorCode,
        description: str = "",
        details: dict[str, Any] | None = None,
    ) -> bytes | None:
        """Write the CALLERROR for a CALL; None for a CALL answered already."""
        if not incoming.open:
            return None
        self._close(incoming)
        return frames.error(incoming.unique_id, self.rules.version.spell(code), description, details)

    def _reply(
        self,
        unique_id: str,
        code: ErrorCode,
        description: str,
        action: str = "",
        violations: tuple[Deviation, ...] = (),
    ) -> RefusedCall:
        frame = frames.error(unique_id, self.rules.version.spell(code), description)
        return RefusedCall(frame, code, description, action, violations)

    def submit(self, outgoing: Outgoing) -> bool:
        """Queue a command; false if `queue_limit` commands, and those in reserve, wait already."""
        if self.calls is None:
            self.calls = CommandQueue()
        reserve = self.rules.queue_reserve if outgoing.action.urgent else 0
        if len(self.calls) >= self.rules.queue_limit + reserve:
            return False
        self.calls.add(outgoing)
        return True

    def superseded_by(self, newer: Outgoing) -> list[Outgoing]:
        """Take out the waiting commands that a newer one supersedes. Called before `submit`, to make room."""
        return self.calls.supersede(newer) if self.calls is not None else []

    def may_send(self, action: Action) -> bool:
        """Tell if a command of this action may go out now; if not, the command is held. OCPP 1.6, 4.2.

        A row of another version than the connection's may not.
        """
        if self.rules.version.actions.get(action.name) is not action:
            return False
        if self.rules.receives is Sender.CENTRAL_SYSTEM or self.registration is Registration.ACCEPTED:
            return True
        if self.registration is None:
            return self.rules.accept_unbooted
        return self.registration is Registration.PENDING and action.needs is not NEEDS_ACCEPTED

    def first_call(self, now: float) -> Outgoing | None:
        """Return the command that `next_call` would put on the wire."""
        if self.calls is None or self.calls.on_wire is not None:
            return None
        return self.calls.first(self.may_send, now)

    def next_call(self, now: float) -> tuple[Outgoing, bytes] | None:
        """Put the next command on the wire, if none is there and one may go; return the command and its frame."""
        if self.calls is None or self.calls.on_wire is not None:
            return None
        outgoing = self.calls.next(self.may_send, now)
        if outgoing is None:
            return None
        self._last_id += 1
        outgoing.unique_id = f"{self._prefix}{self._last_id:x}"
        outgoing.due = now + outgoing.timeout_s
        return outgoing, frames.call(outgoing.unique_id, outgoing.action.name, outgoing.payload)

    def disconnected(self) -> tuple[list[Incoming], Outgoing | None]:
        """Take the end of the socket: return the unanswered CALLs and the command whose outcome is unknown."""
        unanswered = list(self.incoming)
        for incoming in unanswered:
            incoming.open = False
        self.incoming = NONE_OPEN
        self._late = None
        if self.triggered is not None:  # a restart comes over another connection
            self.triggered = {name for name in self.triggered if not self._registers(name)} or None
        return unanswered, self.calls.take_off_wire() if self.calls is not None else None

    # -- Time ----------------------------------------------------------------------------------

    def due(self) -> float:
        """Return the time at which `pass_time` has something to do; infinity if never."""
        due = min((incoming.due for incoming in self.incoming), default=INFINITY)
        return due if self.calls is None else min(due, self.calls.due())

    def pass_time(self, now: float) -> tuple[list[Incoming], Outgoing | None, list[Outgoing]]:
        """Return CALLs not answered in time (still open), the command that timed out, the commands that expired."""
        overdue = [incoming for incoming in self.incoming if incoming.due <= now]
        for incoming in overdue:
            incoming.due = INFINITY  # returned once; it stays open until it is answered
        calls = self.calls
        if calls is None:
            return overdue, None, []
        timed_out = calls.take_off_wire() if calls.on_wire is not None and calls.on_wire.due <= now else None
        if timed_out is not None:
            if self._late is None:
                self._late = deque(maxlen=LATE_REMEMBERED)
            self._late.append(timed_out)
        return overdue, timed_out, calls.expired(now)


def _triggers(outgoing: Outgoing) -> tuple[str, ...]:
    """Names of the actions that a command may bring."""
    triggers = outgoing.action.triggers
    return () if triggers is None else triggers(outgoing.request)
