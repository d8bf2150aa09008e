"""Fakes for unit tests of a connection: a scripted socket, and a receiver that keeps what it is told."""

import socket
import ssl
import struct
from dataclasses import dataclass, field
from typing import Any

from chargehand.protocol.websocket import Codec, Event, Role

ENOUGH = 1 << 30


class AtOnce:
    """Turn of a hub with one connection."""

    def add(self, connection: Any) -> None:
        connection.send_waiting()

    def has_read(self) -> None:
        pass


class FakeSocket:
    """A socket that never blocks. Its descriptor is a real one, always writable, so that the hub can watch it.

    `room` is how many bytes it still takes; one byte more would block. `errors` are raised by the next calls of
    `send`. What it was sent is in `sent`; what it is to be read is put in `incoming`, an exception is raised.
    """

    would_block: type[Exception] = BlockingIOError

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self.room = ENOUGH
        self.errors: list[Exception] = []
        self.sends: list[int] = []  # how much each call of `send` took
        self.attempts = 0
        self.sent = b""
        self.incoming: list[bytes | Exception] = []
        self.calls: list[str] = []  # what else was done to it, in order
        self.quiet_ms: tuple[int, int] | None = (
            None  # what the kernel knows of the peer: since data, since an ACK
        )
        self._codec = Codec(Role.CLIENT)
        self._seen = 0

    def fileno(self) -> int:
        return self._near.fileno()

    def recv(self, size: int) -> bytes:
        if not self.incoming:
            raise self.would_block
        data = self.incoming.pop(0)
        if isinstance(data, Exception):
            raise data
        assert len(data) <= size
        return data

    def send(self, data: bytes | bytearray) -> int:
        assert len(data) > 0
        assert not self.calls, f"written to after {self.calls}"
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)
        took = self._take(bytes(data))
        self.room -= took
        self.sends.append(took)
        self.sent += data[:took]
        return took

    def _take(self, data: bytes) -> int:
        if not self.room:
            raise self.would_block
        return min(len(data), self.room)

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        if self.quiet_ms is None:
            raise OSError
        return (bytes(52) + struct.pack("=2I", *self.quiet_ms))[:size]

    def shutdown(self, how: int) -> None:
        self.calls.append({socket.SHUT_WR: "shutdown writing", socket.SHUT_RDWR: "shutdown"}[how])

    def close(self) -> None:
        self.calls.append("close")

    def events(self) -> list[Event]:
        """Return the events that a client reads in the bytes sent since the last call."""
        new, self._seen = self.sent[self._seen :], len(self.sent)
        return self._codec.receive(new)

    def release(self) -> None:
        """Close the descriptor."""
        self._near.close()
        self._far.close()


class FakeTlsSocket(FakeSocket):
    """Fake socket with the behaviour of TLS: a write is taken whole, or must be repeated unchanged."""

    would_block = ssl.SSLWantWriteError

    def __init__(self) -> None:
        super().__init__()
        self._refused = b""
        self.silent = False  # gevent's says 0 where the standard library's raises

    def _take(self, data: bytes) -> int:
        if not data.startswith(self._refused):
            raise ssl.SSLError("bad write retry")
        if len(data) > self.room:
            self._refused = data
            if self.silent:
                return 0
            raise self.would_block
        self._refused = b""
        return len(data)

    def unwrap(self) -> None:
        self.calls.append("unwrap")
        raise ssl.SSLWantReadError  # the peer has not said it yet

    def pending(self) -> int:
        return 0


@dataclass
class FakeReceiver:
    """Keeps what it is told. `on_deliver` is called with the connection at every message."""

    messages: list[bytes] = field(default_factory=list)
    ends: list[tuple[int, str]] = field(default_factory=list)
    on_deliver: Any = None
    waits: list[float] = field(default_factory=list)

    def deliver(self, connection: Any, data: bytes) -> None:
        assert not self.ends, f"{data!r} after {self.ends}"
        self.messages.append(data)
        if self.on_deliver is not None:
            self.on_deliver(connection)

    def throttled(self, connection: Any, wait_s: float) -> None:
        self.waits.append(wait_s)

    def closed(self, connection: Any, code: int, reason: str) -> None:
        self.ends.append((code, reason))


@dataclass
class FakeReader:
    """Transport that only keeps what it is told."""

    calls: list[str] = field(default_factory=list)

    def paused(self, connection: Any) -> None:
        self.calls.append("paused")

    def resumed(self, connection: Any) -> None:
        self.calls.append("resumed")

    def ended(self, connection: Any) -> None:
        self.calls.append("ended")
