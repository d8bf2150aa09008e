"""The client's end of a WebSocket on a gevent socket, with switches that make it behave badly.

The one rule: one greenlet reads (`receive`), any may write. It patches nothing, and answers by itself only what the
WebSocket protocol itself answers: pings and close frames.
"""

from __future__ import annotations

import contextlib
import socket as native
import struct
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import gevent
from gevent import socket, ssl
from gevent.event import Event
from gevent.lock import Semaphore

from ..protocol.deflate import HEADER, OFFER, read_answer
from ..protocol.deflate_codec import DeflateCodec
from ..protocol.handshake import ResponseReader, confirm, handshake_request
from ..protocol.websocket import MAX_MESSAGE_BYTES, CloseCode, Closed, Codec, Failed, Ping, Role
from .errors import Disconnected, HandshakeRefused

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..protocol.handshake import HandshakeResponse

READ_BYTES = 65_536
BODY_BYTES = 4_096
"""So much of a refusal's text is read."""

SWITCHING_PROTOCOLS = 101
PORTS = {"ws": 80, "wss": 443}
LOST = "the connection was lost"


def client_context(cafile: str | None = None) -> ssl.SSLContext:
    """Make a context that trusts the certificates in this PEM file, or those of the system."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cafile is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile)
    return context


class Client:
    """Open WebSocket, made with `connect`; `code` and `reason` say how it ended, once it has."""

    def __init__(self, sock: Any, codec: Codec, early: bytes, subprotocol: str | None) -> None:
        self.subprotocol = subprotocol
        self.compressed = isinstance(codec, DeflateCodec)
        self.code: int | None = None  # None while it is open
        self.reason = ""
        self._sock = sock
        self._codec = codec
        self._early = early  # bytes behind the answer of the handshake
        self._writing = Semaphore()
        self._thawed: Event | None = None  # set when a half-open connection is whole again, or at its end
        self._held = bytearray()  # bytes written while half-open

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        subprotocols: Collection[str] = (),
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = 10.0,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        compression: bool = False,
    ) -> Self:
        """Connect and shake hands. Blocks; `tls`, for wss only, must be a context of `gevent.ssl`.

        With `compression` it is offered, without context takeover; `compressed` tells if the server has agreed.
        Raises HandshakeRefused, another OSError (TimeoutError after `timeout_s`), HandshakeError for an answer that
        is no WebSocket's, ValueError for a URL that is none.
        """
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError(f"{url!r} is not a ws:// or wss:// URL")
        port = parts.port or PORTS[parts.scheme]
        host = parts.netloc.rpartition("@")[2]
        lines = dict(headers or {})
        if compression:
            lines["Sec-WebSocket-Extensions"] = OFFER
        request, key = handshake_request(host, parts.path or "/", subprotocols, lines)
        with gevent.Timeout(timeout_s, TimeoutError(f"no WebSocket within {timeout_s:g} s")):
            sock = _dial(parts.hostname, port)
            done = False
            try:
                sock.setsockopt(native.IPPROTO_TCP, native.TCP_NODELAY, 1)
                if parts.scheme == "wss":
                    context = client_context() if tls is None else tls
                    sock = context.wrap_socket(sock, server_hostname=parts.hostname)
                sock.sendall(request)
                response = _read_response(sock)
                subprotocol = confirm(response, key, subprotocols, extensions=compression)
                agreed = read_answer(response.headers.get(HEADER, ""))
                done = True
            finally:
                if not done:
                    sock.close()
        if agreed is None:
            codec = Codec(Role.CLIENT, max_message_bytes=max_message_bytes)
        else:
            codec = DeflateCodec(Role.CLIENT, agreed, max_message_bytes=max_message_bytes)
        return cls(sock, codec, response.leftover, subprotocol)

    # -- In --------------------------------------------------------------------------------------

    def receive(self) -> list[bytes] | None:
        """Wait for bytes; return the text messages that they complete. None: it is over, see `code`."""
        if self.code is not None:
            return None
        data, self._early = self._early or self._read(), b""
        if not data:
            self._end(CloseCode.ABNORMAL, LOST)
            return None
        texts = []
        for event in self._codec.receive(data):
            if type(event) is bytes:
                texts.append(event)
            elif type(event) is Ping:
                self._write_quietly(self._codec.pong(event.payload))
            elif type(event) is Closed or type(event) is Failed:
                if event.reply is not None:
                    self._write_quietly(event.reply)
                self._end(event.code, event.reason)
        return texts

    def _read(self) -> bytes:
        try:
            data: bytes = self._sock.recv(READ_BYTES)
        except (OSError, ValueError):  # ValueError: closed under an SSL socket
            data = b""
        while self._thawed is not None and self.code is None:
            self._thawed.wait()  # half-open: nothing is read, not even the end
        return data

    # -- Out -------------------------------------------------------------------------------------

    def send_text(self, payload: bytes) -> None:
        """Send one text message, which must be UTF-8. Blocks while the peer does not read. Raises Disconnected."""
        self.send_raw(self._codec.text(payload))

    def send_raw(self, data: bytes) -> None:
        """Send these very bytes, frame or not. Raises Disconnected."""
        with self._writing:
            if self.code is not None:
                raise Disconnected(LOST)
            if self._thawed is not None:
                self._held += data
                return
            try:
                self._sock.sendall(data)
            except (OSError, ValueError) as error:
                self._end(CloseCode.ABNORMAL, LOST)
                raise Disconnected(LOST) from error

    def ping(self) -> None:
        """Send a ping; the pong is taken without a word. Raises Disconnected."""
        self.send_raw(self._codec.ping())

    def _write_quietly(self, data: bytes) -> None:
        with contextlib.suppress(Disconnected):
            self.send_raw(data)

    # -- The end ---------------------------------------------------------------------------------

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Send a close frame. It is over when the peer has answered, which `receive` hears."""
        frame = self._codec.close(code, reason)
        if frame:
            self._write_quietly(frame)

    def cut(self, *, reset: bool = True) -> None:
        """End it at once and without a word: with a TCP reset, as a router does that has forgotten, or a plain FIN."""
        if self.code is None and reset:
            with contextlib.suppress(OSError, ValueError):
                linger = struct.pack("ii", 1, 0)
                self._sock.setsockopt(native.SOL_SOCKET, native.SO_LINGER, linger)
        self._end(CloseCode.ABNORMAL, "cut")

    def freeze(self) -> None:
        """Become half-open: read nothing and hold writes back."""
        if self._thawed is None and self.code is None:
            self._thawed = Event()

    def thaw(self) -> None:
        """End being half-open: send the held writes, read the waiting bytes."""
        thawed, self._thawed = self._thawed, None
        if thawed is not None:
            thawed.set()
            held, self._held = bytes(self._held), bytearray()
            if held:
                self._write_quietly(held)

    @property
    def frozen(self) -> bool:
        """True while the connection is half-open."""
        return self._thawed is not None

    def _end(self, code: int, reason: str) -> None:
        if self.code is not None:
            return
        self.code, self.reason = code, reason
        self._held.clear()
        self._sock.close()
        if self._thawed is not None:
            self._thawed.set()


def _dial(host: str, port: int) -> Any:
    """Connect. An address that is a number is not looked up: that would start a native thread for nothing."""
    for family in (native.AF_INET, native.AF_INET6):
        try:
            native.inet_pton(family, host)
        except OSError:
            continue
        sock = socket.socket(family, native.SOCK_STREAM)
        with contextlib.ExitStack() as undo:
            undo.callback(sock.close)
            sock.connect((host, port))
            undo.pop_all()
        return sock
    return socket.create_connection((host, port))


def _read_response(sock: Any) -> HandshakeResponse:
    reader = ResponseReader()
    while True:
        data = sock.recv(READ_BYTES)
        if not data:
            raise ConnectionResetError("the connection was closed during the handshake")
        response = reader.receive(data)
        if response is not None and response.status != SWITCHING_PROTOCOLS:
            raise HandshakeRefused(response.status, response.reason, _read_body(sock, response))
        if response is not None:
            return response


def _read_body(sock: Any, response: HandshakeResponse) -> str:
    """Read the text of a refusal: as much as it says it has, and not more than is worth reading."""
    length = response.headers.get("content-length", "")
    wanted = min(int(length), BODY_BYTES) if length.isdecimal() else 0
    body = response.leftover
    while len(body) < wanted:
        data = sock.recv(READ_BYTES)
        if not data:
            break
        body += data
    return body[:wanted].decode(errors="replace").strip()


def connect_websocket(
    url: str,
    *,
    subprotocols: Collection[str] = (),
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    timeout_s: float = 10.0,
) -> Client:
    """Connect to a WebSocket server, for plugins: `receive` in one greenlet, `send_text` in any, `close` at the end.

    Raises as `Client.connect` does: OSError, and ValueError.
    """
    return Client.connect(url, subprotocols=subprotocols, headers=headers, tls=tls, timeout_s=timeout_s)
