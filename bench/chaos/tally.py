"""Tally of a charge point's messages, seen from its end: the calls that were answered, and how.

Rule: it only counts and remembers; it sends nothing and does not know the system.
"""

import time
from dataclasses import dataclass, field

from chargehand.protocol import frames
from chargehand.simulator import Kind

TRANSACTION_MESSAGES = ("StartTransaction", "MeterValues", "StopTransaction", "TransactionEvent")
NO_MESSAGE = "-1"
"""Message id of the answer to a frame of 2.x that has none."""


@dataclass(slots=True)
class Tally:
    """Receives every entry of a charge point's message log. While `deaf`, the socket is half-open: no answer comes."""

    identity: str
    calls: int = 0
    answered: int = 0
    refused: int = 0  # answered with a CALLERROR
    excused: int = 0  # unanswered because the socket was down
    commands: int = 0  # received from the system
    connections: int = 0
    losses: int = 0
    deaf: bool = False
    leaving: bool = False  # closes its own connection for good
    latencies: list[float] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)  # of the rule that every call is answered once
    lies: list[str] = field(default_factory=list)  # transaction messages that were refused
    _pending: dict[str, tuple[float, str]] = field(default_factory=dict)

    def note(self, kind: Kind, data: bytes) -> None:
        """Count one entry."""
        if kind is Kind.CONNECTED:
            self.connections += 1
            self.deaf = False
        elif kind is Kind.CLOSED:
            self.losses += not self.leaving
            self.excused += len(self._pending)
            self._pending.clear()
        elif kind is Kind.SENT:
            self._sent(frames.read(data))
        elif kind is Kind.RECEIVED:
            self._received(frames.read(data))

    def _sent(self, frame: frames.Frame) -> None:
        if isinstance(frame, frames.CallFrame | frames.BrokenCall):  # a broken CALL is answered too
            self.calls += 1
            self._pending[frame.unique_id] = (time.monotonic(), getattr(frame, "action", "broken"))

    def _received(self, frame: frames.Frame) -> None:
        if isinstance(frame, frames.CallFrame):
            self.commands += 1
            return
        unique_id = getattr(frame, "unique_id", "")
        if unique_id == NO_MESSAGE and isinstance(frame, frames.ErrorFrame):
            return  # 2.x answers garbage, too
        found = self._pending.pop(unique_id, None)
        if found is None:
            self.breaches.append(f"{self.identity}: an answer to nothing: {frame}")
            return
        sent_at, action = found
        self.answered += 1
        self.latencies.append(time.monotonic() - sent_at)
        if isinstance(frame, frames.ErrorFrame):
            self.refused += 1
            if action in TRANSACTION_MESSAGES:
                self.lies.append(f"{self.identity}: {action} was refused: {frame.code} {frame.description}")

    def hears_again(self) -> None:
        """End the half-open time: outstanding calls count from now on."""
        self.deaf = False
        now = time.monotonic()
        self._pending = {unique_id: (now, action) for unique_id, (_, action) in self._pending.items()}

    def look(self, limit_s: float) -> None:
        """Find the calls that have been outstanding for longer than `limit_s` on a socket that is up."""
        if self.deaf:
            return
        now = time.monotonic()
        for unique_id, (sent_at, action) in list(self._pending.items()):
            if now - sent_at > limit_s:
                del self._pending[unique_id]
                self.breaches.append(f"{self.identity}: no answer to {action} {unique_id} in {limit_s:g} s")

    @property
    def waiting(self) -> int:
        """Number of outstanding calls."""
        return len(self._pending)
