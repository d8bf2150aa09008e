"""Listening socket of the HTTP API: gevent's WSGI server with time limits and a clean stop."""

from __future__ import annotations

import errno
import logging
from contextlib import suppress
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from ..config.checks import is_loopback
from ..config.errors import ConfigError
from ..transport.shared_port import listen
from .app import make_app
from .requests import Stop, Stopping
from .storage import remove_leftover
from .token import choose_token, publish_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..system.central_system import CentralSystem

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 1000
IDLE_TIMEOUT_S = 75.0
"""Seconds that a connection may stay open between two requests."""
HEADERS_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 30.0
"""Seconds that a client has to take an answer, or the next piece of a long one, and to send the rest of its body."""
STOP_TIMEOUT_S = 0.5


def serve_http(system: CentralSystem, address: tuple[str, int], *, share_port: bool = False) -> HttpListener:
    """Make the API's listener; it is not bound yet. Raises `ConfigError` for an open API beyond loopback.

    With `share_port` other processes listen there too, and their parent has published the token.
    """
    if system.settings.http.open and not is_loopback(address[0]):
        raise ConfigError(
            [f"http.open: HTTP without a token is served on loopback only, not on {address[0]}"]
        )
    token = choose_token(system.settings)
    stop = Stop()
    remove_leftover(system.settings)
    server = Server(address, make_app(system, token, stop), stop, share_port=share_port)
    return HttpListener(server, lambda: None if share_port else publish_token(system.settings, token))


class HttpListener:
    """Listener that `supervisor.endpoint` starts and closes. `bound` is called once the port is bound."""

    def __init__(self, server: Server, bound: Callable[[], None]) -> None:
        self._server = server
        self._bound = bound
        self.address: Any = server.address

    def start(self) -> None:
        """Bind and accept. Raises OSError, after closing everything that it opened."""
        self._server.start()
        try:
            self._bound()
        except OSError:
            self.close()
            raise
        self.address = self._server.address

    def close(self) -> None:
        """Stop accepting, answer requests that wait, and end the rest within a second. Blocks."""
        server, pool = self._server, self._server.connections
        server.close()
        server.stop_signal.begin()
        pool.join(timeout=STOP_TIMEOUT_S)
        # One that reads or writes ends with its socket; killed, it would read on to the end of the request.
        for handler in list(server.handlers):
            handler.hang_up()
        pool.join(timeout=STOP_TIMEOUT_S)
        pool.kill(block=False)


class Handler(WSGIHandler):
    """Handler of one connection, and of its requests one after the other."""

    server: Server
    answer_limit: Any = None

    def handle(self) -> None:
        """Serve the connection to its end."""
        self.server.handlers.add(self)
        try:
            super().handle()
        finally:
            self.server.handlers.discard(self)

    def hang_up(self) -> None:
        """Close the connection to the client."""
        with suppress(OSError):
            self.socket.shutdown(SHUT_RDWR)

    def read_requestline(self) -> str:
        """Wait for the next request, within the time limit and until the endpoint stops."""
        try:
            limit = gevent.Timeout(IDLE_TIMEOUT_S, Stopping("nothing came"))
            with self.server.stop_signal.interrupts(), limit:
                return super().read_requestline()
        except Stopping:
            return ""  # the base class closes the connection

    def read_request(self, raw_requestline: str) -> Any:
        """Read the headers. A ValueError becomes a 400."""
        with gevent.Timeout(HEADERS_TIMEOUT_S, ValueError("the headers were not there in time")):
            return super().read_request(raw_requestline)

    def get_environ(self) -> dict[str, Any]:
        """Add the path as sent, `RAW_URI`, to the environ."""
        environ: dict[str, Any] = super().get_environ()
        return environ | {"RAW_URI": self.path}

    def start_response(self, *args: Any, **kwargs: Any) -> Any:
        """Begin to answer; a client that is too slow from here on counts as gone."""
        self._limit_answer()
        return super().start_response(*args, **kwargs)

    def write(self, data: bytes) -> None:
        """Send a piece of an answer; most have one."""
        self._limit_answer()
        super().write(data)

    def _limit_answer(self) -> None:
        if self.answer_limit is not None:
            self.answer_limit.close()
        gone = BrokenPipeError(errno.EPIPE, "the client is too slow")
        self.answer_limit = gevent.Timeout.start_new(ANSWER_TIMEOUT_S, gone)

    def handle_one_response(self) -> None:
        """Answer one request."""
        try:
            super().handle_one_response()
        finally:
            if self.answer_limit is not None:
                self.answer_limit.close()
                self.answer_limit = None

    def log_request(self) -> None:
        """Log one line for each request, at debug level."""
        logger.debug("%s", self.format_request())

    def log_error(self, msg: str, *args: Any) -> None:
        """Log a client that does not speak HTTP, without a traceback."""
        logger.info("HTTP: %s", msg % args if args else msg)


class Server(WSGIServer):
    """Server of one application."""

    def __init__(
        self, address: tuple[str, int], application: Any, stop_signal: Stop, *, share_port: bool = False
    ) -> None:
        self.connections = Pool(MAX_CONNECTIONS)
        super().__init__(
            address,
            application,
            spawn=self.connections,
            handler_class=Handler,
            log=None,
            error_log=logger,
            environ={"SERVER_NAME": address[0]},  # or it would ask the DNS for it
        )
        self._share_port = share_port
        self.stop_signal = stop_signal
        self.handlers: set[Handler] = set()

    def init_socket(self) -> None:
        """Bind unless bound already; gevent's own method cannot share the port."""
        if self._share_port and not hasattr(self, "socket"):
            self.socket = listen(self.address, self.backlog)
            self.address = self.socket.getsockname()
        super().init_socket()
