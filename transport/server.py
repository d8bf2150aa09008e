"""Listening socket: gevent's HTTP server, each request of which is a handshake."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from http import HTTPStatus
from socket import SHUT_WR
from typing import TYPE_CHECKING, Any, Protocol

import gevent
from gevent.pywsgi import WSGIServer
from gevent.socket import wait_read

from .descriptors import accepted
from .handshake import Handshake
from .hub_turn import HubTurn
from .lots import HANDSHAKES_AT_A_TURN, Lots
from .shared_port import listen

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocol.x509 import TlsFacts
    from .connection import SocketConnection
    from .gate import Gate, Intake, Refusal
    from .outbox_socket import SharedTimers
    from .proxies import Proxies
    from .tls import ServerTls

logger = logging.getLogger(__name__)

DROPPED_BYTES = 65_536
"""Bytes of a request that are thrown away before its socket is closed: unread, they would make that a reset."""


class Transport(Protocol):
    """Transport: reads the sockets of connections."""

    def run(self, connection: SocketConnection, early: bytes) -> None:
        """Serve a connection; `early` are bytes received before. May return at once, or when it is closed."""


class SilentTooLong(OSError):
    """A client has sent nothing, and others need its place."""


@dataclass(slots=True)
class Client:
    """Client of a socket: its address, what a proxy told of its TLS, and as which peer the intake counts it."""

    address: Any
    told: TlsFacts | None = None
    counted: str = ""

    @property
    def peer(self) -> str:
        """Address and port as one text."""
        return _peer(self.address)


class WebSocketServer(WSGIServer):
    """Listening socket whose requests become WebSockets. `start` binds and serves, `close` stops accepting.

    With `share_port` other processes may listen on the same port. Without an `intake` every socket is taken.
    `work` is that of `HubTurn`.
    """

    max_accept = 1  # per turn of the hub, so that a storm of new connections does not starve the others

    def __init__(
        self,
        address: tuple[str, int],
        *,
        gate: Gate,
        transport: Transport,
        limits: Any,
        timers: SharedTimers,
        tls: ServerTls | None = None,
        pool: Any = "default",
        share_port: bool = False,
        proxies: Proxies | None = None,
        intake: Intake | None = None,
        work: Callable[[], None] | None = None,
    ) -> None:
        options: dict[str, Any] = {} if tls is None else {"ssl_context": tls.loaded.context}
        super().__init__(
            address,
            self._never_called,
            backlog=4096,
            spawn=pool,
            handler_class=Handshake,
            log=None,
            environ={"SERVER_NAME": address[0]},  # else gevent looks the name up, which may take long
            error_log=logger,
            **options,
        )
        self._share_port = share_port
        self._tls = tls
        self.proxies = proxies
        self.intake = intake
        self._silent: dict[
            Any, None
        ] = {}  # greenlets of clients that have sent nothing yet, the oldest first
        self.gate = gate
        self.transport = transport
        self.limits: Any = limits
        self.timers = timers
        self.turn = HubTurn(timers, work)
        self.handshakes = Lots(HANDSHAKES_AT_A_TURN)
        self.logger = logger  # gevent-websocket would make its own

    def init_socket(self) -> None:
        """Bind unless bound already; gevent's own method cannot share the port."""
        if self._share_port and not hasattr(self, "socket"):
            self.socket = listen(self.address, self.backlog)
            self.address = self.socket.getsockname()
        super().init_socket()

    @staticmethod
    def _never_called(_environ: Any, _start_response: Any) -> list[bytes]:
        raise RuntimeError("every request is answered by the handshake")

    def do_read(self) -> Any:
        """Accept a socket; without a descriptor for it, wait."""
        if self.intake is None:
            return super().do_read()
        return accepted(self, super().do_read, self.intake.used_up)

    def do_handle(self, *args: Any) -> None:
        """Turn a socket away that there is no room for, or serve it in a greenlet."""
        intake = self.intake
        if intake is None:
            super().do_handle(*args)
            return
        sock, address = args
        peer, counted = _peer(address), not self._is_proxied(address)
        refusal = intake.accept(sock.fileno(), peer) or (intake.enter(peer) if counted else None)
        if refusal is not None:
            self._turn_away(sock, peer, refusal, secure=self._tls is not None)
            return
        served = False
        try:
            super().do_handle(*args)
            served = True
        finally:
            if counted and not served:
                intake.leave(peer)

    def _is_proxied(self, address: Any) -> bool:
        """Return whether a socket comes from a proxy that tells who is behind it."""
        proxies = self.proxies
        tells = proxies is not None and (proxies.protocol != "none" or proxies.headers)
        return tells and proxies is not None and proxies.trusts(address[0])

    def _turn_away(self, sock: Any, peer: str, refusal: Refusal, *, secure: bool) -> None:
        """Close a socket, without TLS with the answer in advance of a request that is not read."""
        self.gate.handshake_refused(peer, refusal)
        sock.settimeout(0.0)
        with contextlib.suppress(OSError):
            if not secure:
                sock.recv(DROPPED_BYTES)
        with contextlib.suppress(OSError):
            if not secure:
                sock.send(_answer(refusal))
                sock.shutdown(SHUT_WR)
        sock.close()

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> Any:
        """Do the TLS handshake within its time limit; log a failure in one line, without a traceback."""
        tls: Any = self._tls
        client = self._client(address)
        wrapped = None
        try:
            with gevent.Timeout(self.limits.handshake_timeout_s):
                self._wait_for_first_byte(client_socket)
            self.handshakes.wait()  # the time in the line does not count against the client
            with gevent.Timeout(self.limits.handshake_timeout_s):
                if not self._has_introduction(client) or self._introduced(client_socket, client):
                    wrapped = tls.loaded.context.wrap_socket(client_socket, server_side=True)
        except (OSError, ValueError) as error:
            self.gate.handshake_failed(client.peer, f"TLS: {error}")
        except gevent.Timeout:
            self.gate.handshake_failed(client.peer, "TLS: the handshake was not finished in time")
        if wrapped is None:
            client_socket.close()
            self._left(client)
            return None
        taken = False
        try:
            taken = self._serve(wrapped, client)
        finally:
            if not taken:
                wrapped.close()
        return taken

    def _wait_for_first_byte(self, sock: Any) -> None:
        """Wait until a client sends something. Raises `SilentTooLong` if too many wait, and this was the first.

        A silent client costs no state of TLS, which is several times as much as its greenlet.
        """
        silent, limit, waiting = self._silent, self.limits.silent_handshakes, gevent.getcurrent()
        if 0 < limit <= len(silent):
            oldest = next(iter(silent))
            del silent[oldest]
            oldest.kill(
                SilentTooLong("too many clients are silent (sessions.silent_handshakes)"), block=False
            )
        silent[waiting] = None
        try:
            wait_read(sock.fileno())
        finally:
            silent.pop(waiting, None)

    def handle(self, sock: Any, address: Any) -> Any:
        """Serve one HTTP request without TLS; return whether its socket belongs to a connection now."""
        client = self._client(address)
        introduced = not self._has_introduction(client)
        try:
            if not introduced:
                with gevent.Timeout(self.limits.handshake_timeout_s):
                    introduced = self._introduced(sock, client)
        except (OSError, ValueError) as error:
            self.gate.handshake_failed(client.peer, f"PROXY: {error}")
        except gevent.Timeout:
            self.gate.handshake_failed(client.peer, "PROXY: the header did not come in time")
        if not introduced:
            self._left(client)
            return False
        return self._serve(sock, client)

    def _client(self, address: Any) -> Client:
        """Return the client of a socket that was taken."""
        is_counted = self.intake is not None and not self._is_proxied(address)
        return Client(address, counted=_peer(address) if is_counted else "")

    def _has_introduction(self, client: Client) -> bool:
        """Return whether a connection begins with a header of the PROXY protocol."""
        proxies = self.proxies
        return proxies is not None and proxies.protocol == "v2" and proxies.trusts(client.address[0])

    def _introduced(self, sock: Any, client: Client) -> bool:
        """Read that header; return whether the client that it names is taken."""
        proxies: Any = self.proxies
        told = proxies.introduction(sock)
        client.address, client.told = told.address or client.address, told.tls
        if self.intake is None:
            return True
        refusal = self.intake.enter(client.peer)
        if refusal is None:
            client.counted = client.peer
        else:
            self._turn_away(sock, client.peer, refusal, secure=self._tls is not None)
        return refusal is None

    def _left(self, client: Client) -> None:
        """Note the end of a client that got no connection."""
        if client.counted and self.intake is not None:
            self.intake.leave(client.counted)

    def _serve(self, sock: Any, client: Client) -> Any:
        handshake = Handshake(sock, client.address, self)
        handshake.told, handshake.counted = client.told, client.counted
        try:
            handshake.handle()
        finally:
            if not handshake.detached and handshake.counted and self.intake is not None:
                self.intake.leave(handshake.counted)
        return handshake.detached


def _peer(address: Any) -> str:
    return f"{address[0]}:{address[1]}"


def _answer(refusal: Refusal) -> bytes:
    lines = [
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(refusal.reason) + 1}",
        *(f"{name}: {value}" for name, value in refusal.headers),
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", f"{refusal.reason}\n"]).encode()
