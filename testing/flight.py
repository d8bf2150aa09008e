"""Fly a recorded conversation again: what came in is fed to a fresh session, what it sends is compared.

The session is the real one, on a clock that is moved as the record has it. Plugins answer what the record says
was answered, calls of
ours are sent when they were sent; so a difference is a difference of the session: in what it reads, refuses,
checks and writes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..actors.plugin import Plugin, passive
from ..protocol import v16
from ..protocol.actions import Sender
from ..protocol.errors import ErrorCode, InvalidPayload, OcppError, read_code
from ..protocol.payload import typed
from ..protocol.session import Registration, Rules
from .clock import ManualClock
from .stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..actors.call import Call
    from .connection import MemoryConnection

CALL, RESULT, ERROR = 2, 3, 4


class NotARecord(ValueError):
    """The lines are not those of a flight recorder."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that was sent then and not now, or now and not then; None stands for nothing. Frames are parsed."""

    at: float
    recorded: Any
    sent: Any


class _Answers(Plugin):
    """Answers every call as the record has it; one whose answer is not in the record stays unanswered."""

    def __init__(self, answers: dict[str, list[Any]]) -> None:
        self._answers = answers

    def answer(self, call: Call[Any]) -> Any:
        """Find the answer by its message id; the same id may come more than once."""
        waiting = self._answers.get(call.unique_id)
        if not waiting:
            call.later()
            return None
        frame = waiting.pop(0)
        if frame[0] == RESULT:
            return frame[2]
        code = read_code(frame[2])
        if not isinstance(code, ErrorCode):
            code = ErrorCode.GENERIC_ERROR
        raise OcppError(code, frame[3], frame[4])


def _answering_class() -> type[Plugin]:
    handler: Any = _Answers.answer
    for row in v16.VERSION.sent_by(Sender.CHARGE_POINT):
        handler = passive(row.name)(handler)
    return type("RecordedAnswers", (_Answers,), {"answer": handler})


class Flight:
    """One record, read. `fly` returns the differences; none means that the session behaves as it did."""

    def __init__(self, lines: Iterable[str]) -> None:
        try:
            head, *rows = (json.loads(line) for line in lines if line.strip())
            self.charge_point_id: str = head["charge_point"]
            self._policy: str = head["policy"]
            self._time = head["time"] - head["monotonic"]
            self._registration: str | None = head.get("registration")
            self._rows = _whole([row for row in rows if row["kind"] in ("in", "out")])
        except (ValueError, KeyError, TypeError) as error:
            raise NotARecord(f"this is not a flight record: {error!r}") from error

    def fly(self) -> list[Difference]:
        """Feed it to a fresh session."""
        if not self._rows:
            return []
        start = float(self._rows[0]["at"])
        clock = ManualClock(self._time + start, start)
        rules = Rules(version=v16.VERSION, strict=self._policy == "strict")
        answers: dict[str, list[Any]] = {}
        for row in self._rows:
            frame = _parse(row["data"])
            if row["kind"] == "out" and frame is not None and frame[0] in (RESULT, ERROR):
                answers.setdefault(frame[1], []).append(frame)
        plugin = _answering_class().spec(answers)
        with Stage(plugin, rules=rules, clock=clock, inbox_limit=10**9, calls_in_flight_limit=10**9) as stage:
            registered = Registration(self._registration) if self._registration else None
            connection = stage.connect(self.charge_point_id, registration=registered)
            return self._play(stage, connection)

    def _play(self, stage: Stage, connection: MemoryConnection) -> list[Difference]:
        ours: dict[str, str] = {}  # ids of our calls: then and now
        differences: list[Difference] = []
        sent: list[Any] = []
        for row in self._rows:
            at, data = float(row["at"]), row["data"]
            stage.advance(max(0.0, at - stage.clock.monotonic()))
            frame = _parse(data)
            if row["kind"] == "in":
                if frame is not None and frame[0] in (RESULT, ERROR) and frame[1] in ours:
                    data = json.dumps([frame[0], ours[frame[1]], *frame[2:]])
                connection.send(data)
            elif frame is not None and frame[0] == CALL:
                self._call(stage, frame)
            sent += connection.take()
            if row["kind"] != "out":
                continue
            now = self._find(sent, frame, ours)
            if now != frame:
                differences.append(Difference(at, frame, now))
        differences += [Difference(stage.clock.monotonic(), None, frame) for frame in sent]
        return differences

    def _call(self, stage: Stage, frame: list[Any]) -> None:
        row = v16.VERSION.actions.get(frame[2])
        if row is not None:
            try:
                stage.call(self.charge_point_id, typed(row.request, frame[3]))
            except InvalidPayload:
                return  # it went out then and would be refused now: that shows as a difference
            stage.settle()

    @staticmethod
    def _find(sent: list[Any], recorded: Any, ours: dict[str, str]) -> Any:
        """Take the counterpart of a recorded frame out of what was sent, with our own ids as they were then."""
        for place, frame in enumerate(sent):
            if recorded is None or frame[0] != recorded[0]:
                continue
            if frame[0] == CALL:
                if frame[2:] == recorded[2:]:
                    del sent[place]
                    ours[recorded[1]] = frame[1]
                    return recorded
            elif frame[1] == recorded[1]:
                return sent.pop(place)
        return None


def _whole(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without the answers at the beginning whose CALL the recorder had no room for any more."""
    asked: set[str] = set()
    unread: list[str] = []  # it may have been a CALL, and was answered if its id could be read
    kept = []
    for row in rows:
        frame = _parse(row["data"])
        if row["kind"] == "in" and frame is None:
            unread.append(row["data"])
        elif row["kind"] == "in" and frame is not None:
            asked.add(frame[1])
        elif frame is not None and frame[0] in (RESULT, ERROR):
            quoted = json.dumps(frame[1])
            if frame[1] not in asked and not any(quoted in text for text in unread):
                continue
        kept.append(row)
    return kept


def _parse(data: str) -> list[Any] | None:
    try:
        frame = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return frame if isinstance(frame, list) and len(frame) > 1 and isinstance(frame[1], str) else None
