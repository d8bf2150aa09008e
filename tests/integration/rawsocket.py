"""WebSocket client on a bare socket, for frames that a well-behaved client would never send.

Rule: it does exactly what it is told, wrong or not, and reports the server's bytes. It shares no code with
chargehand.
"""

import contextlib
import itertools
import json
import os
import socket
import ssl
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
SUBPROTOCOL = "Sec-WebSocket-Protocol: ocpp1.6"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the example of RFC 6455, section 1.3,
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # and its one right answer


@dataclass(frozen=True, slots=True)
class Handshake:
    """Answer of the server to a request to upgrade. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Frame:
    """Frame from the server."""

    opcode: int
    payload: bytes

    @property
    def close_code(self) -> int:
        """Code of a CLOSE frame; 1005 without one (RFC 6455, 7.4.1)."""
        assert self.opcode == CLOSE, self
        return int.from_bytes(self.payload[:2], "big") if self.payload else 1005


class EndedError(Exception):
    """The connection has ended. Carries the code of the CLOSE frame if there was one."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"the connection ended with code {code}")
        self.code = code


def encode(
    payload: bytes, opcode: int = TEXT, *, final: bool = True, masked: bool = True, reserved: int = 0
) -> bytes:
    """Encode a frame as a client sends it; every part of it may be made wrong."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    bit, size = (0x80 if masked else 0), len(payload)
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[at & 3] for at, byte in enumerate(payload))


class RawSocket:
    """Connection to the server, and a context manager. At its end nothing is sent; the socket is closed."""

    def __init__(self, url: str, *, trust: ssl.SSLContext | None = None, timeout_s: float = 10.0) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.host, self.port, self.path = parts.hostname, parts.port, parts.path
        self.socket: socket.socket = socket.create_connection((self.host, self.port or 80), timeout_s)
        if trust is not None:
            self.socket = trust.wrap_socket(self.socket, server_hostname=self.host)
        self._buffer = b""
        self._ids = itertools.count(1)

    @classmethod
    def open(cls, url: str, *headers: str, **options: Any) -> Self:
        """Connect and complete the handshake with `ocpp1.6`; a refusal fails the test."""
        raw = cls(url, **options)
        answer = raw.handshake(raw.path, SUBPROTOCOL, *headers)
        assert answer.status == 101, answer
        return raw

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    # The handshake

    def request(self, path: str, *lines: str) -> Handshake:
        """Send a GET with just these header lines, `Host` before them, and read the answer."""
        head = "\r\n".join((f"GET {path} HTTP/1.1", f"Host: {self.host}:{self.port}", *lines))
        self.socket.sendall(head.encode() + b"\r\n\r\n")
        return self.response()

    def response(self) -> Handshake:
        """Read head and body of an answer."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        text, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        status, *rest = text.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in rest)}
        size = 0 if status.split()[1] == "101" else int(headers.get("content-length", 0))
        while len(self._buffer) < size:
            self._more()
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return Handshake(int(status.split()[1]), headers, body.decode())

    def handshake(self, path: str, *lines: str, without: str = "") -> Handshake:
        """Ask to upgrade with the usual headers, less the one that starts with `without`, plus `lines`."""
        usual = [
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {KEY}",
            "Sec-WebSocket-Version: 13",
        ]
        kept = [line for line in usual if not (without and line.startswith(without))]
        answer = self.request(path, *kept, *lines)
        if answer.status == 101:
            assert answer.headers["sec-websocket-accept"] == ACCEPT
        return answer

    # Frames

    def send(self, payload: bytes | str, opcode: int = TEXT, **options: Any) -> None:
        """Send a frame; the options of `encode` make parts of it wrong."""
        self.send_bytes(encode(payload.encode() if isinstance(payload, str) else payload, opcode, **options))

    def send_bytes(self, data: bytes) -> None:
        """Send any bytes."""
        self.socket.sendall(data)

    def frame(self) -> Frame:
        """Return the next frame of any kind; raises EndedError at the end of the stream."""
        first, second = self._take(2)
        assert not second & 0x80, "a server never masks"
        assert not first & 0x70, "nothing was negotiated that uses reserved bits"
        size = second & 127
        if size == 126:
            size = int.from_bytes(self._take(2), "big")
        elif size == 127:
            size = int.from_bytes(self._take(8), "big")
        assert first & 0x80, "the server sends whole messages"
        return Frame(first & 15, self._take(size))

    def text(self) -> str:
        """Return the next text; pings are answered meanwhile, a CLOSE raises EndedError with its code."""
        while True:
            frame = self.frame()
            if frame.opcode == TEXT:
                return frame.payload.decode()
            if frame.opcode == PING:
                self.send(frame.payload, PONG)
            elif frame.opcode == CLOSE:
                raise EndedError(frame.close_code)

    def rest(self) -> bytes:
        """Return all bytes until the server closes, frames or not."""
        with contextlib.suppress(EndedError):
            while True:
                self._more()
        return self._buffer

    def close_code(self) -> int | None:
        """Read on until the server closes; None if it did so without a CLOSE frame."""
        try:
            while True:
                self.text()
        except EndedError as end:
            return end.code

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _more(self) -> None:
        try:
            got = self.socket.recv(65536)
        except (ConnectionError, ssl.SSLEOFError):
            got = b""
        if not got:
            raise EndedError(None)
        self._buffer += got

    # OCPP

    def send_call(self, action: str, payload: Any, unique_id: str | None = None) -> str:
        """Send a valid CALL; return its id."""
        unique_id = unique_id or f"raw-{next(self._ids)}"
        self.send(json.dumps([2, unique_id, action, payload]))
        return unique_id

    def answer_to(self, unique_id: str) -> list[Any]:
        """Return the CALLRESULT or CALLERROR with that id; anything else before it fails the test."""
        answer: list[Any] = json.loads(self.text())
        assert answer[0] in (3, 4), answer
        assert answer[1] == unique_id, answer
        return answer

    def call(self, action: str, payload: Any) -> list[Any]:
        """Send a CALL; return its answer."""
        return self.answer_to(self.send_call(action, payload))

    def boot(self) -> Self:
        """Boot with a BootNotification that must be accepted."""
        answer = self.call("BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "Raw"})
        assert answer[2]["status"] == "Accepted", answer
        return self

    def hang_up(self) -> None:
        """End the connection with a reset, as a broken network does."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
