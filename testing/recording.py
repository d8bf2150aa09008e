"""A recording of a charge point: its conversation, as the flight recorder has written it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ..config.errors import ChargehandError
from ..protocol.frames import looks_like_answer, mend
from ..protocol.session import Registration
from ..protocol.versions import VERSIONS, version_named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .connection import MemoryConnection
    from .stage import Stage

CALL, RESULT, ERROR = 2, 3, 4
OUR_ID = re.compile(r"""^([^,]*,\s*"?)([^",\s\]]+)""")
KINDS = frozenset({"connected", "closed", "in", "out", "answer", "ticket", "fallback", "registration"})


class NotARecording(ChargehandError, ValueError):
    """The lines are not those of a flight recorder."""


class Recording:
    """Recording, read from its lines. `head` is the first of them, `rows` are the others.

    Raises `NotARecording`.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        try:
            self.head, *rows = (json.loads(line) for line in lines if line.strip())
            self.charge_point_id: str = self.head["charge_point"]
            self.time: float = self.head["time"] - self.head["monotonic"]
            registration = self.head.get("registration")
            self.registration = Registration(registration) if registration else None
            name = self.head.get("version") or next(iter(VERSIONS.values())).name
            version = version_named(VERSIONS, name)
            if version is None:
                raise NotARecording(f"the recording is of OCPP {name}, which is not spoken here")
            self.version = version
            self.rows = _whole([row for row in rows if row["kind"] in KINDS])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, NotARecording):
                raise
            raise NotARecording(f"this is not a flight record: {error!r}") from error

    def play(self, stage: Stage) -> MemoryConnection | None:
        """Let the charge point say on a stage what it said then, when it said it; return its last connection.

        What it is answered, and which commands it gets, is up to the plugins of the stage. A command of a kind that it
        was sent then is answered as it did then, at once; any other is not answered. The stage's time of day becomes
        that of the recording.
        """
        return _Played(self, stage).play()


class _Played:
    """Recording that is played on a stage."""

    def __init__(self, recording: Recording, stage: Stage) -> None:
        self._recording = recording
        self._stage = stage
        self._connection: MemoryConnection | None = None
        self._answered = 0  # frames of the connection that were looked at
        self._answers: dict[str, list[str]] = {}  # by action, oldest first
        asked: dict[str, str] = {}
        for row in recording.rows:
            kind, data = row["kind"], row["data"]
            frame = parsed(data) if kind == "out" else None
            if frame is not None and frame[0] == CALL:
                asked[str(frame[1])] = frame[2]
            elif kind == "in" and looks_like_answer(data.encode()):
                found = OUR_ID.search(data)
                action = asked.get(found[2]) if found is not None else None
                if action is not None:
                    self._answers.setdefault(action, []).append(data)

    def play(self) -> MemoryConnection | None:
        """Play all rows."""
        stage, rows = self._stage, self._recording.rows
        if rows:
            start = float(rows[0]["at"])
            stage.clock.set_time(self._recording.time + start)
            begun = stage.clock.monotonic() - start
            for row in rows:
                stage.advance(max(0.0, begun + float(row["at"]) - stage.clock.monotonic()))
                self._step(row["kind"], row["data"])
                stage.settle()
        return self._connection

    def _step(self, kind: str, data: str) -> None:
        if kind == "connected":
            self._connect()
        elif kind == "closed":
            if self._connection is not None:
                self._connection.hang_up()
        elif kind == "in" and not looks_like_answer(data.encode()):
            connection = self._connection
            if (
                connection is None or connection.closed_with is not None
            ):  # the recorder may have dropped its row
                connection = self._connect()
            connection.send(data)

    def _connect(self) -> MemoryConnection:
        recording = self._recording
        self._connection = self._stage.attach(
            recording.charge_point_id,
            registration=recording.registration,
            subprotocol=recording.version.subprotocol,
        )
        self._answered = 0
        self._connection.watch(self._answer)
        return self._connection

    def _answer(self) -> None:
        """Answer the commands that have come, each with the next of the answers to its kind, or the last one again."""
        connection = self._connection
        if connection is None:
            return
        frames, self._answered = connection.frames[self._answered :], len(connection.frames)
        for frame in map(json.loads, frames):
            answers = self._answers.get(frame[2]) if frame[0] == CALL else None
            if answers:
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                begin = OUR_ID.match(answer)
                if begin is not None:
                    connection.send(begin[1] + str(frame[1]) + answer[begin.end() :])


def _whole(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without the answers at the beginning whose CALL the recorder had no room for any more."""
    asked: set[str] = set()
    unread: list[str] = []  # it may have been a CALL, and was answered if its id could be read
    kept = []
    for row in rows:
        frame = parsed(row["data"])
        if row["kind"] == "in" and frame is None:
            unread.append(row["data"])
        elif row["kind"] == "in" and frame is not None:
            asked.add(frame[1])
        elif row["kind"] in ("out", "answer") and frame is not None and frame[0] in (RESULT, ERROR):
            quoted = json.dumps(frame[1])
            if frame[1] not in asked and not any(quoted in text for text in unread):
                continue
        kept.append(row)
    return kept


def id_in(data: str) -> str:
    """Return the message id of a frame of ours, as text also where it is a number."""
    frame, _ = mend(data.encode())
    return str(getattr(frame, "unique_id", ""))


def parsed(data: str) -> list[Any] | None:
    """Return a frame with a message id, parsed; None for anything else."""
    try:
        frame = json.loads(data)
    except (ValueError, RecursionError):
        return None
    named = isinstance(frame, list) and len(frame) > 1 and isinstance(frame[1], str | int | float)
    return frame if named else None
