"""Listening socket: gevent's HTTP server, each request of which is a handshake."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

import gevent
from gevent.pywsgi import WSGIServer
from gevent.socket import wait_read

from .handshake import Handshake
from .shared_port import listen

if TYPE_CHECKING:
    from ..protocol.x509 import TlsFacts
    from .connection import SocketConnection
    from .gate import Gate
    from .outbox_socket import SharedTimers
    from .proxies import Proxies
    from .tls import ServerTls

logger = logging.getLogger(__name__)


class Transport(Protocol):
    """Transport: reads the sockets of connections."""

    def run(self, connection: SocketConnection, early: bytes) -> None:
        """Serve a connection; `early` are bytes received before. May return at once, or when it is closed."""


class SilentTooLong(OSError):
    """A client has sent nothing, and others need its place."""


class WebSocketServer(WSGIServer):
    """Listening socket whose requests become WebSockets. `start` binds and serves, `close` stops accepting.

    With `share_port` other processes may listen on the same port.
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
        self._silent: dict[
            Any, None
        ] = {}  # greenlets of clients that have sent nothing yet, the oldest first
        self.gate = gate
        self.transport = transport
        self.limits: Any = limits
        self.timers = timers
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

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> Any:
        """Do the TLS handshake within its time limit; log a failure in one line, without a traceback."""
        tls: Any = self._tls
        told = None
        try:
            with gevent.Timeout(self.limits.handshake_timeout_s):
                self._wait_for_first_byte(client_socket)
                if self._has_introduction(address):
                    address, told = self._introduction(client_socket, address)
                wrapped = tls.loaded.context.wrap_socket(client_socket, server_side=True)
        except (OSError, ValueError) as error:
            self.gate.handshake_failed(_peer(address), f"TLS: {error}")
            client_socket.close()
            return None
        except gevent.Timeout:
            self.gate.handshake_failed(_peer(address), "TLS: the handshake was not finished in time")
            client_socket.close()
            return None
        taken = False
        try:
            taken = self._serve(wrapped, address, told)
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
        told = None
        if self._has_introduction(address):
            try:
                with gevent.Timeout(self.limits.handshake_timeout_s):
                    address, told = self._introduction(sock, address)
            except (OSError, ValueError) as error:
                self.gate.handshake_failed(_peer(address), f"PROXY: {error}")
                return False
            except gevent.Timeout:
                self.gate.handshake_failed(_peer(address), "PROXY: the header did not come in time")
                return False
        return self._serve(sock, address, told)

    def _has_introduction(self, address: Any) -> bool:
        """Return whether a connection begins with a header of the PROXY protocol."""
        proxies = self.proxies
        return proxies is not None and proxies.protocol == "v2" and proxies.trusts(address[0])

    def _introduction(self, sock: Any, address: Any) -> tuple[Any, TlsFacts | None]:
        """Read that header; return the address of the client, and its TLS that the proxy has ended."""
        proxies: Any = self.proxies
        told = proxies.introduction(sock)
        return told.address or address, told.tls

    def _serve(self, sock: Any, address: Any, told: TlsFacts | None) -> Any:
        handshake = Handshake(sock, address, self)
        handshake.told = told
        handshake.handle()
        return handshake.detached


def _peer(address: Any) -> str:
    return f"{address[0]}:{address[1]}"
