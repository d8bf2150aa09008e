"""Handshake on gevent-websocket's handler: a refusal is HTTP with a reason, an admission becomes a connection.

gevent-websocket computes the answer to the client's key and writes the 101; its frames are not used.
"""

from __future__ import annotations

import _socket
import contextlib
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import gevent
from geventwebsocket.handler import WebSocketHandler

from ..protocol.handshake import check_key, choose_subprotocol, wants_upgrade
from ..protocol.http_requests import FramingError, HeaderLines, checked_request_line
from ..protocol.websocket import CloseCode
from .connection import SocketConnection
from .gate import Admission, HandshakeRequest, Refusal
from .tls import facts_of
from .tls_socket import TlsSocket

if TYPE_CHECKING:
    from ..protocol.x509 import TlsFacts
    from .server import WebSocketServer


WEBSOCKET_VERSION = "13"
NOT_HTTP = b"HTTP/1.1 400 Bad HandshakeRequest\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
CLOSE_PROTOCOL_ERROR = CloseCode.PROTOCOL_ERROR


class Handshake(WebSocketHandler):  # type: ignore[misc]
    """HTTP request that is to become a WebSocket. The base class reads it and calls the methods of this class."""

    server: WebSocketServer
    socket: Any
    client_address: Any
    websocket: Any
    detached = False  # the socket was handed to the transport
    offered = ""
    tls: TlsFacts | None = None
    told: TlsFacts | None = None  # by a proxy, before the request
    counted = ""  # peer as which the intake counts it
    failed = False  # noted once only
    lost = False  # the client had gone when something was sent to it
    ignored_socket_errors = ()  # the base class ignores some; here every failure is noted

    def handle(self) -> None:
        """Read the request, within the time limit of a handshake."""
        limit = gevent.Timeout.start_new(self.server.limits.handshake_timeout_s)
        self.limit = limit
        try:
            super().handle()
        except gevent.Timeout as expired:
            if expired is not limit:
                raise
            self._note_failure("the request was not finished in time")
        except OSError as error:
            self._note_failure(f"the client did not wait for the answer: {error}")
        finally:
            limit.close()

    def _note_failure(self, reason: str) -> None:
        if not self.failed:
            self.failed = True
            self.server.gate.handshake_failed(self.peer, reason)

    def read_request(self, raw_requestline: str) -> Any:
        """Read a request whose framing is beyond doubt."""
        return super().read_request(checked_request_line(raw_requestline))

    def MessageClass(self, stream: Any, *options: Any) -> Any:  # noqa: N802 - a name of the base class
        """Read the headers to their end: half a request must not take over a session."""
        lines = HeaderLines(stream)
        message = super().MessageClass(lines, *options)
        lines.check_length(self.request_version)
        if lines.values("transfer-encoding"):
            raise FramingError("a request that opens a WebSocket has no body")
        return message

    def _handle_client_error(self, ex: Exception) -> tuple[str, bytes]:
        """Log a request that is not HTTP in one line; the base class would print tracebacks."""
        self._note_failure(f"the request is not HTTP: {str(ex)[:200]}")
        return "400", NOT_HTTP

    def handle_error(self, kind: Any, error: Any, trace: Any) -> None:
        """Re-raise the time limit and errors of a client that has gone; report others as the base class does."""
        if error is self.limit or (self.lost and isinstance(error, OSError)):
            raise error
        super().handle_error(kind, error, trace)

    def _sendall(self, data: bytes) -> None:
        try:
            super()._sendall(data)
        except OSError:
            self.lost = True
            raise

    def upgrade_websocket(self) -> Any:
        """Refuse with a reason, or let the base class accept."""
        self.limit.cancel()  # the time in the line and that of the admission do not count against the client
        self.server.handshakes.wait()
        decision = self._decide()
        if isinstance(decision, Refusal):
            self.limit.start()  # the rest of the request is read, so that the client gets the answer
            return self._refuse(decision)
        self.admission = decision
        return self.upgrade_connection()

    def _decide(self) -> Admission | Refusal:
        headers = self._read_headers()
        if self.command != "GET":
            return Refusal(405, "only GET opens a WebSocket", (("Allow", "GET"),))
        if self.request_version != "HTTP/1.1":
            return Refusal(400, "a WebSocket needs HTTP/1.1")
        wrong = wants_upgrade(headers)
        if wrong is not None:
            return Refusal(426, wrong, (("Upgrade", "websocket"), ("Connection", "Upgrade, close")))
        if headers.get("sec-websocket-version", "").strip() != WEBSOCKET_VERSION:
            text = f"only WebSocket version {WEBSOCKET_VERSION} is spoken here"
            return Refusal(426, text, (("Sec-WebSocket-Version", WEBSOCKET_VERSION),))
        if not check_key(headers.get("sec-websocket-key", "")):
            return Refusal(400, "Sec-WebSocket-Key is not 16 bytes in base64")
        if self.content_length:
            return Refusal(400, "a request that opens a WebSocket has no body")
        self.offered = headers.get("sec-websocket-protocol", "")
        try:
            self.tls = self._tls_facts(headers)
        except ValueError as error:
            return Refusal(400, f"the headers of a proxy cannot be read: {error}")
        refusal = self._enter()
        if refusal is not None:
            return refusal
        path = self.path.partition("?")[0]
        if not path.startswith("/"):
            # A proxy may send a whole URL. RFC 9112, section 3.2.2.
            path = "/" + path.partition("://")[2].partition("/")[2]
        return self.server.gate.admit(HandshakeRequest(path, headers, self.peer, self.tls))

    def _enter(self) -> Refusal | None:
        """Let the intake count the client that the headers name, in place of one that was counted before."""
        intake, peer = self.server.intake, self.peer
        if intake is None or self.counted == peer:
            return None
        if self.counted:
            intake.leave(self.counted)
            self.counted = ""
        refusal = intake.enter(peer)
        if refusal is None:
            self.counted = peer
        return refusal

    def _tls_facts(self, headers: dict[str, str]) -> TlsFacts | None:
        """Return the facts of TLS: what a proxy has told, else those of the socket. Raises ValueError."""
        proxies = self.server.proxies
        if self.told is None and proxies is not None and proxies.headers and proxies.trusts(self._host()):
            forwarded = proxies.forwarded(headers)
            if forwarded is not None:
                if forwarded.host:
                    self.client_address = (forwarded.host, 0)
                return forwarded.tls
        if self.told is not None:
            return self.told
        return facts_of(self.socket) if hasattr(self.socket, "getpeercert") else None

    def _host(self) -> str:
        address = self.client_address
        return str(address[0]) if isinstance(address, tuple) else ""

    def _read_headers(self) -> dict[str, str]:
        """Return the headers by name in lower case; repeated ones are joined (RFC 9110, section 5.3)."""
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
        return headers

    @property
    def peer(self) -> str:
        """Address and port of the client, as far as it is known."""
        address = self.client_address
        return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)

    def _refuse(self, refusal: Refusal) -> list[bytes]:
        body = refusal.reason.encode() + b"\n"
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            *refusal.headers,
        ]
        if not any(name == "Connection" for name, _ in headers):
            headers.append(("Connection", "close"))
        self.server.gate.handshake_refused(self.peer, refusal)
        self.start_response(f"{refusal.status} {HTTPStatus(refusal.status).phrase}", headers)
        self.close_connection = True
        return [body]

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """Add subprotocol and extension to the 101. The base class would match a substring of the client's list.

        The subprotocol is left out for a client that did not offer it, but is known to speak it. RFC 6455, section 4.1.
        """
        if status.startswith("101"):
            subprotocol = self.admission.subprotocol
            if subprotocol is not None and choose_subprotocol(self.offered, [subprotocol]):
                headers = [*headers, ("Sec-WebSocket-Protocol", subprotocol)]
            compression = self.admission.compression
            if compression is not None:
                headers = [*headers, ("Sec-WebSocket-Extensions", compression.header)]
        return super().start_response(status, headers, exc_info)

    def run_websocket(self) -> None:
        """Take the socket away from the HTTP server and hand it to the transport, until it is closed."""
        self.limit.close()
        self.websocket.closed = True  # so that gevent-websocket writes no frame
        self.websocket = None
        self.environ["wsgi.websocket"] = None
        early = self._take_early_bytes()
        peer, secure = self.peer, hasattr(self.socket, "getpeercert")
        sock = self._take_socket(secure=secure)
        server = self.server
        admission = self.admission
        connection = SocketConnection(
            sock,
            peer=peer,
            secure=secure,
            tls=self.tls,
            limits=server.limits,
            timers=server.timers,
            turn=server.turn,
            subprotocol=admission.subprotocol or "",
            deflate=None if admission.compression is None else admission.compression.deflate,
        )
        with contextlib.ExitStack() as undo:
            undo.callback(sock.close)
            if self.counted and server.intake is not None:
                undo.callback(server.intake.leave, peer)
            undo.callback(connection.finish)
            if admission.subprotocol is None:
                connection.close(CLOSE_PROTOCOL_ERROR, "no subprotocol in common")
            else:
                connection.start(server.gate.attach(admission, connection))
            undo.pop_all()
        server.transport.run(connection, early)

    def _take_early_bytes(self) -> bytes:
        """Take the bytes that the client sent behind its request out of the HTTP server's buffer."""
        self.socket.settimeout(0.0)
        with contextlib.suppress(OSError, ValueError):
            early: bytes = self.rfile.peek(1)  # the whole buffer; reads the socket only if it is empty
            return early
        return b""

    def _take_socket(self, *, secure: bool) -> Any:
        sock: Any
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if secure:
            sock = TlsSocket(self.socket)
        else:
            # The plain C socket: gevent's would add Python code to every call, and unwanted waits.
            sock = _socket.socket(fileno=self.socket.detach())
            sock.settimeout(0.0)
        self.socket = None  # the HTTP server must not close or drain it
        self.detached = True
        return sock

    def log_request(self) -> None:
        """Log nothing: refusals are logged where they are made, admissions by the session."""
