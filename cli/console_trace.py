"""Trace of a simulated charge point on the console: one line for each CALL and its answer, in both directions.

One rule: it reads the charge point's own log and nothing else, so that it shows the frames on the wire.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..protocol.frames import CallFrame, ErrorFrame, ResultFrame
from ..protocol.text import escaped
from ..simulator import Kind
from ..simulator.sentences import SENTENCES
from .escape import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..simulator import Entry
    from ..simulator.message_log import MessageLog

    Payload = Mapping[str, Any]
    Sentences = Mapping[str, Callable[[Payload, Payload], str]]

WAIT_S = 3600.0
WIDTH = 24
LONGEST = 160
"""Characters of a payload that are shown."""


class ConsoleTrace:
    """Prints the record of a charge point through `say`, one line at a time; `sentences` are those of its version."""

    def __init__(
        self, record: MessageLog, say: Callable[[str], object], sentences: Sentences = SENTENCES
    ) -> None:
        self._sentences = sentences
        self._record = record
        self._say = say
        self._read = 0  # the number of the last entry that was read
        self._open: dict[tuple[Kind, str], CallFrame] = {}  # by who sent them, and their id

    def follow(self) -> None:
        """Print new entries forever; run it in a greenlet."""
        while True:
            try:
                self._record.wait(lambda _: True, after=self._read, timeout_s=WAIT_S)
            except TimeoutError:
                continue
            self.catch_up()

    def catch_up(self) -> None:
        """Print the entries that were not printed yet."""
        for entry in self._record:
            if entry.number > self._read:
                self._read = entry.number
                self._tell(entry)

    def _tell(self, entry: Entry) -> None:
        if entry.kind not in (Kind.SENT, Kind.RECEIVED):
            self.line(entry.kind, entry.data.decode())
            return
        frame = entry.frame
        if isinstance(frame, CallFrame):
            self._open[entry.kind, frame.unique_id] = frame
        elif isinstance(frame, ResultFrame | ErrorFrame):
            sender = Kind.RECEIVED if entry.kind is Kind.SENT else Kind.SENT
            call = self._open.pop((sender, frame.unique_id), None)
            if call is not None:
                self._answered(call, frame, asked_for=sender is Kind.RECEIVED)
        elif entry.kind is Kind.SENT:
            self.line("no frame", entry.data[:LONGEST].decode(errors="replace"))

    def _answered(self, call: CallFrame, answer: ResultFrame | ErrorFrame, *, asked_for: bool) -> None:
        request = json.loads(call.payload)
        if isinstance(answer, ErrorFrame):
            text = f"refused with {answer.code}: {answer.description}"
        elif asked_for:
            text = f"answered with {_short(json.loads(answer.payload))}"
        else:
            text = self._sentence(call.action, request, json.loads(answer.payload))
        self.line(call.action, f"asked for with {_short(request)}, {text}" if asked_for else text)

    def _sentence(self, action: str, request: Payload, response: Payload) -> str:
        with suppress(LookupError, TypeError):  # it has no sentence, or the answer breaks its contract
            return self._sentences[action](request, response)
        return f"{_short(request)} was answered with {_short(response)}"

    def line(self, what: str, text: str) -> None:
        """Print one line."""
        self._say(f"{what:<{WIDTH}}{escaped(text)}".rstrip())


def _short(payload: Payload) -> str:
    text = as_json(payload)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
