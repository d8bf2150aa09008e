"""Client on a connection in memory, as a stage makes it for tests: no socket, and what is sent is there at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from gevent.event import Event

from ..protocol.websocket import CloseCode
from .client import Client
from .errors import Disconnected, NotPossible

LOST = "the connection was lost"


class MemoryEnd(Protocol):
    """Charge point's end of a connection in memory; `testing.MemoryConnection` has this form."""

    subprotocol: str
    frames: list[bytes]
    """All text messages to the charge point."""
    closed_with: tuple[int, str] | None
    alive: bool

    def send(self, frame: bytes) -> None:
        """Send a text message to the central system."""

    def hang_up(self, code: int, reason: str) -> None:
        """End the connection."""

    def watch(self, changed: Callable[[], None]) -> None:
        """Call back when a message has come, and when it is closed."""


Dial = Callable[[str, Sequence[str]], MemoryEnd]
"""Function that connects a charge point, by its id and the subprotocols that it offers."""


class MemoryClient:
    """`Client` on a connection in memory. While it is `frozen`, nothing is read, and nothing gets out."""

    compressed = False

    def __init__(self, connection: MemoryEnd) -> None:
        self.subprotocol: str | None = connection.subprotocol or None
        self.code: int | None = None  # None while it is open
        self.reason = ""
        self.frozen = False
        self._connection = connection
        self._read = 0  # messages of the connection that were read
        self._held: list[bytes] = []  # messages sent while half-open
        self._news = Event()
        connection.watch(self._news.set)

    def receive(self) -> list[bytes] | None:
        """Wait for text messages, and return them. None: it is over, see `code`."""
        while self.code is None:
            self._news.clear()
            frames, closed_with = self._connection.frames, self._connection.closed_with
            if not self.frozen and self._read < len(frames):
                found, self._read = frames[self._read :], len(frames)
                return found
            if not self.frozen and closed_with is not None:
                self._end(*closed_with)
            else:
                self._news.wait()
        return None

    def send_text(self, payload: bytes) -> None:
        """Send one text message. Raises Disconnected."""
        if self.code is not None or self._connection.closed_with is not None:
            raise Disconnected(LOST)
        if self.frozen:
            self._held.append(payload)
        else:
            self._connection.send(payload)

    def send_raw(self, data: bytes) -> None:
        """Raise NotPossible: there are no bytes below a message here."""
        raise NotPossible(f"{len(data)} bytes cannot be sent: the connection is one in memory")

    def ping(self) -> None:
        """Do nothing: there is no network to ask."""

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close it; the central system always agrees."""
        self._connection.hang_up(code, reason)
        self._end(code, reason)

    def cut(self, *, reset: bool = True) -> None:  # noqa: ARG002 - there is no TCP to reset
        """End it at once and without a word."""
        self._connection.hang_up(CloseCode.ABNORMAL, "")
        self._end(CloseCode.ABNORMAL, "cut")

    def freeze(self) -> None:
        """Become half-open: read nothing, hold messages back, and answer no ping."""
        self.frozen = True
        self._connection.alive = False

    def thaw(self) -> None:
        """End being half-open: send what was held, and read what waits."""
        self.frozen = False
        self._connection.alive = True
        held, self._held = self._held, []
        for payload in held:
            self._connection.send(payload)
        self._news.set()

    def _end(self, code: int, reason: str) -> None:
        if self.code is None:
            self.code, self.reason = code, reason
        self._news.set()


AnyClient = Client | MemoryClient
"""End of a connection that a simulated charge point has, through a network or in memory."""
