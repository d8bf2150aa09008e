"""Replay of a recording: its incoming frames are fed to a fresh session, and the outgoing ones are compared.

The session is the real one, on a clock that is moved as the record has it. Connections come and go, plugins answer,
commands are sent and time out, and fallbacks answer when and as the record says; what the session answers of its
own accord is not fed to it. So a difference is a difference of the session: in what it reads, refuses, checks, composes
and writes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..actors.plugin.plugin import Plugin, passive
from ..actors.session.messages import TimePassed
from ..actors.session.tickets import TicketState
from ..protocol.actions import Sender
from ..protocol.errors import ErrorCode, InvalidPayload, OcppError, read_code
from ..protocol.frames import looks_like_answer
from ..protocol.payload import typed
from ..protocol.session import Registration, SessionRules
from .clock import ManualClock
from .recording import CALL, OUR_ID, RESULT, NotARecording, Recording, id_in, parsed
from .stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import ClassVar

    from ..actors.session.call import Call, Later
    from ..actors.session.cell import ChargePointCell
    from ..protocol.actions import Version
    from .connection import MemoryConnection

NEVER_S = 1e12
"""Time-out that never passes: deadlines come from the recording."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that was sent then and not now, or now and not then; None stands for nothing. Frames are parsed."""

    at: float
    recorded: Any
    sent: Any


class _Answers(Plugin):
    """Takes every call, and gives the answers that the record has for them when their time has come."""

    def __init__(self, waiting: dict[str, list[Later[Any]]]) -> None:
        self._waiting = waiting

    def take(self, call: Call[Any]) -> None:
        """Keep it by its message id; the same id may come more than once."""
        self._waiting.setdefault(call.unique_id, []).append(call.later())


def _answering_class(version: Version) -> type[Plugin]:
    handler: Any = _Answers.take
    for row in version.sent_by(Sender.CHARGE_POINT):
        handler = passive(row.name)(handler)
    return type("RecordedAnswers", (_Answers,), {"take": handler})


class Replay:
    """Replay of a recording. `fly` returns the differences; none means that the session behaves as it did."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._recording = recording = Recording(lines)
        head = recording.head
        try:
            self._rules = SessionRules(
                version=recording.version,
                strict=head["policy"] == "strict",
                accept_unbooted=head.get("accept_unbooted", True),
                answer_transactions_unregistered=head.get("answer_transactions_unregistered", True),
                default_deadline_s=NEVER_S,
            )
        except KeyError as error:
            raise NotARecording(f"this is not a flight record: {error!r}") from error
        self._id_tag_status: str = head.get("fallback_id_tag_status", "Accepted")

    def fly(self) -> list[Difference]:
        """Feed it to a fresh session."""
        recording = self._recording
        if not recording.rows:
            return []
        start = float(recording.rows[0]["at"])
        waiting: dict[str, list[Later[Any]]] = {}
        stage = Stage(
            _answering_class(self._rules.version).spec(waiting),
            rules=self._rules,
            clock=ManualClock(recording.time + start, start),
            command_timeout_s=NEVER_S,
            id_tag_status=self._id_tag_status,
            inbox_limit=10**9,
            calls_in_flight_limit=10**9,
        )
        with stage:
            return _Play(stage, recording.charge_point_id, recording.registration, waiting).play(
                recording.rows
            )


class _Play:
    """A record on a stage: every row is a step."""

    def __init__(
        self,
        stage: Stage,
        charge_point_id: str,
        registration: Registration | None,
        waiting: dict[str, list[Later[Any]]],
    ) -> None:
        self._stage = stage
        self._id = charge_point_id
        self._registration = registration
        self._waiting = waiting  # calls that a plugin has not answered yet, by message id
        self._connection: MemoryConnection | None = None
        self._ours: dict[str, str] = {}  # ids of our calls: then and now
        self._sent: list[Any] = []
        self._differences: list[Difference] = []

    def play(self, rows: list[dict[str, Any]]) -> list[Difference]:
        """Play all rows, and return the differences."""
        for row in rows:
            self._stage.advance(max(0.0, float(row["at"]) - self._stage.clock.monotonic()))
            self.steps[row["kind"]](self, row["data"])
        self._collect()
        self._differences += [self._difference(None, frame) for frame in self._sent]
        return self._differences

    def _difference(self, recorded: Any, sent: Any) -> Difference:
        return Difference(self._stage.clock.monotonic(), recorded, sent)

    @property
    def _cell(self) -> ChargePointCell:
        if self._connection is None:
            self._connect("")
        return self._stage.cells[self._id]

    def _connected(self) -> MemoryConnection:
        """Return the connection; the recorder may have dropped its row."""
        connection = self._connection
        if connection is None or connection.closed_with is not None:
            connection = self._connect("")
        return connection

    def _collect(self) -> None:
        if self._connection is not None:
            self._sent += self._connection.take()

    # -- Steps -------------------------------------------------------------------------------------

    def _connect(self, _peer: str) -> MemoryConnection:
        self._collect()
        self._connection = self._stage.connect(self._id, registration=self._registration)
        self._waiting.clear()  # calls of the connection before, if any, cannot be answered any more
        return self._connection

    def _close(self, _why: str) -> None:
        if self._connection is not None:
            self._connection.hang_up()

    def _in(self, data: str) -> None:
        connection = self._connected()
        if looks_like_answer(data.encode()):
            # As text: a frame of the charge point may be no JSON.
            data = OUR_ID.sub(lambda found: found[1] + self._ours.get(found[2], found[2]), data, count=1)
        connection.send(data)

    def _out(self, data: str) -> None:
        frame = parsed(data)
        if frame is not None and frame[0] == CALL:
            self._call(frame)
        self._compare(frame)

    def _answer(self, data: str) -> None:
        frame = parsed(data)
        calls = self._waiting.get(id_in(data)) if frame is not None else None
        if calls and frame is not None:
            call = calls.pop(0)
            if frame[0] == RESULT:
                call.answer(frame[2])
            else:
                code = read_code(frame[2])
                known = code if isinstance(code, ErrorCode) else ErrorCode.GENERIC_ERROR
                call.fail(OcppError(known, frame[3], frame[4]))
            self._stage.settle()
        self._compare(frame)

    def _ticket(self, data: str) -> None:
        """Advance the clock to the end of a command that ended by time."""
        calls = self._cell.session.calls
        if (
            data.rpartition(" ")[2] == TicketState.TIMED_OUT
            and calls is not None
            and calls.on_wire is not None
        ):
            calls.on_wire.due = self._stage.clock.monotonic()
            self._cell.tell(TimePassed())
            self._stage.settle()

    def _fallback(self, data: str) -> None:
        """Replay a fallback answer, unless the session has given it by itself."""
        unique_id, _, why = parsed(data) or ("", "", "")
        for incoming in list(self._cell.session.incoming):
            if incoming.unique_id == unique_id:
                calls = self._waiting.get(unique_id, [])
                calls[:] = [one for one in calls if one.call.incoming is not incoming]
                self._cell.fallback_state().answer(incoming, why)
                self._stage.settle()
                return

    def _registered(self, data: str) -> None:
        """Skip a boot: its answer comes next and registers, unless the recorder has forgotten its call."""
        waiting = itertools.chain(*self._waiting.values())
        if not any(one.call.incoming.action.registers for one in waiting):
            self._cell.session.registration = Registration(data)

    steps: ClassVar[dict[str, Callable[..., object]]] = {
        "connected": _connect,
        "closed": _close,
        "in": _in,
        "out": _out,
        "answer": _answer,
        "ticket": _ticket,
        "fallback": _fallback,
        "registration": _registered,
    }

    # -- Comparing ---------------------------------------------------------------------------------

    def _compare(self, frame: Any) -> None:
        self._collect()
        now = self._find(frame)
        if now != frame:
            self._differences.append(self._difference(frame, now))

    def _call(self, frame: list[Any]) -> None:
        row = self._stage.context.rules.version.actions.get(frame[2])
        if row is not None:
            self._connected()
            try:
                self._stage.send(self._id, typed(row.request, frame[3]))
            except InvalidPayload:
                return  # it went out then and would be refused now: that shows as a difference
            self._stage.settle()

    def _find(self, recorded: Any) -> Any:
        """Take the counterpart of a recorded frame out of what was sent, with our own ids as they were then."""
        for place, frame in enumerate(self._sent):
            if recorded is None or frame[0] != recorded[0]:
                continue
            if frame[0] == CALL:
                if frame[2:] == recorded[2:]:
                    del self._sent[place]
                    self._ours[recorded[1]] = frame[1]
                    return recorded
            elif frame[1] == recorded[1]:
                return self._sent.pop(place)
        return None
