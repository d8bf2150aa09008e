"""Log of the messages of a charge point, to be searched or waited on.

The one rule: it is bounded; the oldest entries go. It decodes no frame until it is asked to.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gevent.event import AsyncResult

from ..protocol import frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Kind(StrEnum):
    """Kind of an entry."""

    SENT = "sent"
    RECEIVED = "received"
    CONNECTED = "connected"
    REFUSED = "refused"  # a connection could not be made; the data says why
    CLOSED = "closed"  # the data is the close code and its reason


@dataclass(frozen=True, slots=True)
class Entry:
    """Entry of the log. `number` counts from 1, `at` is in seconds since 1970, `data` is the frame."""

    number: int
    at: float
    kind: Kind
    data: bytes

    @property
    def frame(self) -> frames.Frame | None:
        """The frame, read; None for an entry that is no frame."""
        return frames.read(self.data) if self.kind in (Kind.SENT, Kind.RECEIVED) else None

    @property
    def action(self) -> str:
        """The action of a CALL; empty for everything else."""
        frame = self.frame
        return frame.action if isinstance(frame, frames.CallFrame) else ""

    @property
    def unique_id(self) -> str:
        """Return the message id of a CALL or of its answer; empty if there is none."""
        return getattr(self.frame, "unique_id", "")

    @property
    def payload(self) -> Any:
        """The payload of a CALL or CALLRESULT with its wire names; None for everything else."""
        frame = self.frame
        return json.loads(frame.payload) if isinstance(frame, frames.CallFrame | frames.ResultFrame) else None

    def is_call(self, action: str, kind: Kind = Kind.SENT, **members: Any) -> bool:
        """Return true if this is a CALL of `action` that went this way, with these members (wire names)."""
        if self.kind is not kind or self.action != action:
            return False
        payload = self.payload
        return isinstance(payload, dict) and all(payload.get(key) == value for key, value in members.items())


class MessageLog:
    """The last `limit` entries, oldest first; with a limit of 0 it only counts.

    `tap`, if it is set, is called with the kind and the data of whatever is added, before anybody else hears of it. It
    must not block.
    """

    def __init__(self, limit: int, time: Callable[[], float]) -> None:
        self.count = 0
        self.tap: Callable[[Kind, bytes], None] | None = None
        self._entries: deque[Entry] = deque(maxlen=limit)
        self._limit = limit
        self._time = time
        self._waiting: list[tuple[Callable[[Entry], bool], AsyncResult[Entry]]] = []

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, kind: Kind, data: bytes) -> None:
        """Add an entry, and wake those who wait for one like it."""
        self.count += 1
        if self.tap is not None:
            self.tap(kind, data)
        if not self._limit and not self._waiting:
            return
        entry = Entry(self.count, self._time(), kind, bytes(data))
        self._entries.append(entry)
        for waiting in self._waiting[:]:
            wanted, result = waiting
            if not result.ready() and wanted(entry):
                result.set(entry)

    def calls(self, action: str, kind: Kind = Kind.SENT) -> list[Entry]:
        """Return the CALLs of `action` in the log, oldest first."""
        return [entry for entry in self._entries if entry.is_call(action, kind)]

    def wait(self, wanted: Callable[[Entry], bool], *, after: int = 0, timeout_s: float = 10.0) -> Entry:
        """Return the first entry with a number over `after` that is wanted; wait for it if it is not there yet.

        Raises TimeoutError.
        """
        for entry in self._entries:
            if entry.number > after and wanted(entry):
                return entry
        result: AsyncResult[Entry] = AsyncResult()
        waiting = (wanted, result)
        self._waiting.append(waiting)
        try:
            found = result.wait(timeout_s)
        finally:
            self._waiting.remove(waiting)
        if found is None:
            raise TimeoutError(f"nothing like it within {timeout_s:g} s")
        return found

    def wait_for_answer(self, unique_id: str, *, after: int = 0, timeout_s: float = 10.0) -> Entry:
        """Wait for a frame with this message id that came in; see `wait`."""
        return self.wait(
            lambda entry: entry.kind is Kind.RECEIVED and entry.unique_id == unique_id,
            after=after,
            timeout_s=timeout_s,
        )

    def wait_for_call(
        self, action: str, *, kind: Kind = Kind.SENT, after: int = 0, timeout_s: float = 10.0, **members: Any
    ) -> Entry:
        """Wait for a CALL of `action` with these members; see `wait` and `Entry.is_call`."""
        return self.wait(
            lambda entry: entry.is_call(action, kind, **members), after=after, timeout_s=timeout_s
        )
