"""A connection without a socket: the system holds one end of it, a test plays the charge point at the other."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from ..protocol.websocket import CloseCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocol.x509 import TlsFacts

CLOSE_ABNORMAL = CloseCode.ABNORMAL
CALL = 2


class MessageReceiver(Protocol):
    """Receiver of the charge point's messages; the cell of a charge point has this form."""

    def deliver(self, connection: MemoryConnection, data: bytes) -> None:
        """Take a text message."""

    def closed(self, connection: MemoryConnection, code: int, reason: str) -> None:
        """Handle the end of the connection; called once."""


def nothing() -> None:
    """Do nothing."""


class MemoryConnection:
    """Connection in memory, in the form of `actors.session.connection.Connection`; nothing in it blocks.

    `closed_with` is how it was closed, by either side: (code, reason), or None while it is open. `alive` is what it
    says when it is pinged, `half_open` whether it is given up for that. After whatever the charge point does `settle`
    is called, to let the system work.
    """

    def __init__(
        self,
        receiver: MessageReceiver | None = None,
        *,
        peer: str = "memory",
        tls: TlsFacts | None = None,
        subprotocol: str = "",
        settle: Callable[[], None] = nothing,
    ) -> None:
        self.receiver = receiver
        self.peer = peer
        self.tls = tls
        self.subprotocol = subprotocol
        self.paused = False
        self.alive = True
        self.half_open = False
        self.closed_with: tuple[int, str] | None = None
        self.frames: list[bytes] = []  # all that was sent to the charge point
        self._untaken: list[bytes] = []
        self._held: deque[bytes] = deque()  # messages of the charge point while reading was paused
        self._last_id = 0
        self._settle = settle
        self._changed = nothing

    # -- The system's end --------------------------------------------------------------------------

    def send_text(self, data: bytes) -> None:
        """Keep a message for the test to see; one for a closed connection is lost."""
        if self.closed_with is None:
            self.frames.append(data)
            self._untaken.append(data)
            self._changed()

    def close(self, code: int, reason: str = "") -> None:
        """Close it at once: the charge point here always agrees."""
        if self.closed_with is None:
            self.closed_with = (code, reason)
            self.paused = False
            self._changed()
            if self.receiver is not None:
                self.receiver.closed(self, code, reason)

    def ping_and_wait(self, timeout_s: float) -> bool:  # noqa: ARG002 - it knows at once
        """Return whether the connection is open and `alive`."""
        return self.alive and self.closed_with is None

    def pause(self) -> None:
        """Pause reading: hold the messages of the charge point."""
        self.paused = self.closed_with is None

    def resume(self) -> None:
        """Read the held messages, and resume reading."""
        self.paused = False
        while self._held and not self.paused and self.receiver is not None:
            self.receiver.deliver(self, self._held.popleft())

    # -- The charge point's end --------------------------------------------------------------------

    def send(self, frame: bytes | str | list[Any] | tuple[Any, ...]) -> None:
        """Send a frame: as bytes, as text, or as a list that becomes JSON. Raises ConnectionError if it is closed."""
        if self.closed_with is not None:
            raise ConnectionError(f"the connection was closed: {self.closed_with}")
        if isinstance(frame, str):
            frame = frame.encode()
        elif not isinstance(frame, bytes):
            frame = json.dumps(frame, separators=(",", ":")).encode()
        if self.paused or self.receiver is None:
            self._held.append(frame)
        else:
            self.receiver.deliver(self, frame)
        self._settle()

    def call(self, action: str, payload: Any = None, unique_id: str = "") -> Any:
        """Send a CALL and return its answer, parsed; None if there is none yet. Ids count up from "1"."""
        if not unique_id:
            self._last_id += 1
            unique_id = str(self._last_id)
        before = len(self._untaken)
        self.send([2, unique_id, action, {} if payload is None else payload])
        for place in range(before, len(self._untaken)):
            frame = json.loads(self._untaken[place])
            if frame[0] != CALL and frame[1] == unique_id:
                del self._untaken[place]
                return frame
        return None

    def answer(self, call: list[Any], payload: Any = None) -> None:
        """Answer a CALL of the system's with a CALLRESULT."""
        self.send([3, call[1], {} if payload is None else payload])

    def refuse(self, call: list[Any], code: str = "GenericError", description: str = "") -> None:
        """Answer a CALL of the system's with a CALLERROR."""
        self.send([4, call[1], code, description, {}])

    def watch(self, changed: Callable[[], None]) -> None:
        """Call back when a frame has come from the system, and when it has closed the connection."""
        self._changed = changed

    def hang_up(self, code: int = CLOSE_ABNORMAL, reason: str = "") -> None:
        """Be gone: by default without a word, as when a cable is cut."""
        if self.closed_with is None:
            self.closed_with = (code, reason)
            self._held.clear()
            if self.receiver is not None:
                self.receiver.closed(self, code, reason)
        self._settle()

    def sent(self) -> list[Any]:
        """Return all frames to the charge point, parsed."""
        return [json.loads(frame) for frame in self.frames]

    def take(self) -> list[Any]:
        """Return the frames that neither `call` nor an earlier `take` has returned, parsed."""
        untaken, self._untaken = self._untaken, []
        return [json.loads(frame) for frame in untaken]
