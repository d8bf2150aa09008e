"""Listening socket of the HTTP API: gevent's WSGI server with time limits and a clean stop."""

from __future__ import annotations

import errno
import logging
import time
from contextlib import suppress
from functools import partial
from socket import SHUT_RDWR, SHUT_WR
from typing import TYPE_CHECKING, Any, cast

import gevent
from gevent.pool import Pool
from gevent.pywsgi import Input, WSGIHandler, WSGIServer
from gevent.socket import wait_read

from ..config.checks import is_loopback
from ..config.errors import ConfigError
from ..protocol.http_requests import ChunkedBody, FramingError, HeaderLines, checked_request_line
from ..transport.descriptors import accepted, descriptor_limit
from ..transport.shared_port import listen
from .app import make_app
from .requests import Stop, Stopping, problem
from .resources import WHO
from .storage import remove_leftover
from .token import choose_token, publish_token
from .views import PROBLEM, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..actors.runtime.log_limit import LogLimit
    from ..system.central_system import CentralSystem
    from ..transport.tls import ServerTls

logger = logging.getLogger(__name__)
ACCESS = logging.getLogger("chargehand.access")
PATH_CHARS = 500
"""Characters of a path that the access log has."""

MAX_CONNECTIONS = 1000
IDLE_TIMEOUT_S = 75.0
"""Seconds that a connection may stay open between two requests."""
HEADERS_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 30.0
"""Seconds that a client has to take an answer, or the next piece of a long one, and to send the rest of its body."""
LINGER_S = 2.0
"""Seconds for which what still comes behind a request that is not HTTP is thrown away."""
READ_BYTES = 65_536
STOP_TIMEOUT_S = 0.5
FREE_PLACES = 8
"""Connections for which there is always room: with fewer left, the one that has waited for longest is closed."""
RESERVED_DESCRIPTORS = 8
"""File descriptors that HTTP leaves to the store and the logs."""
SAY_AGAIN_S = 60.0
"""Seconds between two lines of the log about descriptors that are used up."""
NOT_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: "
    + PROBLEM.encode()
    + b"\r\nContent-Length: %d\r\n\r\n"
)


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
    remove_leftover(system)
    tls = system.http_tls if system.settings.http.tls else None
    server = Server(
        address,
        make_app(system, token, stop),
        stop,
        share_port=share_port,
        tls=tls,
        access_log=system.settings.http.access_log,
        log_limit=system.log_limit,
    )
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


def hang_up(sock: Any) -> None:
    """End a connection; whoever reads it sees the end."""
    with suppress(OSError):
        sock.shutdown(SHUT_RDWR)


class ChunkedInput(Input):
    """Body in chunks, as the base class of the handler reads it."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: ChunkedBody, given: Input) -> None:
        super().__init__(given.rfile, None, given.socket, chunked_input=True)
        self._chunks = chunks

    def _chunked_read(self, length: int | None = None, use_readline: bool = False) -> bytes:  # noqa: FBT001, FBT002
        base: Any = self  # the stubs leave out what is not public
        base._send_100_continue()  # noqa: SLF001
        return self._chunks.read(length, line=use_readline)


class Handler(WSGIHandler):
    """Handler of one connection, and of its requests one after the other."""

    server: Server
    answer_limit: Any = None
    chunks: ChunkedBody | None = None
    who: Sequence[str] = ()
    """Name of the token of the request, once it is known."""

    def handle(self) -> None:
        """Serve the connection to its end."""
        self.server.handlers.add(self)
        try:
            super().handle()
        finally:
            self.server.handlers.discard(self)
            self.server.waiting.pop(self, None)

    def hang_up(self) -> None:
        """Close the connection to the client."""
        hang_up(self.socket)

    def read_requestline(self) -> str:
        """Wait for the next request, within the time limit and until the endpoint stops."""
        self.server.waiting[self] = self.hang_up
        try:
            limit = gevent.Timeout(IDLE_TIMEOUT_S, Stopping("nothing came"))
            with self.server.stop_signal.interrupts(), limit:
                return super().read_requestline()
        except Stopping:
            return ""  # the base class closes the connection

    def read_request(self, raw_requestline: str) -> Any:
        """Read the headers, and the beginning of a body in chunks. A `FramingError` becomes a 400."""
        late = FramingError("the headers were not there in time")
        with gevent.Timeout(HEADERS_TIMEOUT_S, late):
            read = super().read_request(checked_request_line(raw_requestline))
            self.chunks = ChunkedBody(self.rfile) if "transfer-encoding" in self.headers else None
            if self.chunks is not None and "expect" not in self.headers:
                self.chunks.begin()
        self.server.waiting.pop(self, None)
        return read

    def run_application(self) -> None:
        """Answer; from then on a client that does not send the rest of its body only waits."""
        super().run_application()
        self.server.waiting[self] = self.hang_up

    def MessageClass(self, stream: Any, *options: Any) -> Any:  # noqa: N802 - a name of the base class
        """Read the headers, and refuse those that two servers could read in two ways."""
        lines, version = HeaderLines(stream), str(self.request_version)
        message = super().MessageClass(cast("Any", lines), *options)
        lines.check_length(version)
        lines.check_host(version)
        return message

    def _handle_client_error(self, ex: Exception) -> tuple[str, bytes]:
        """Answer a request that is not HTTP; the base class prints tracebacks for some."""
        self.log_error("%s sent what is not HTTP: %s", self.client_address, ex)
        reason = ex if isinstance(ex, FramingError) else "it cannot be read"
        body = encode(problem(400, "Not HTTP", f"the request was not taken: {reason}"))
        return "400", NOT_HTTP % len(body) + body

    def handle_one_request(self) -> Any:
        """Serve a request; one that is not HTTP is answered, and what else comes is thrown away for a while.

        Closed at once, the client would see a reset in place of the answer.
        """
        result = super().handle_one_request()
        if not isinstance(result, tuple):
            return result
        with suppress(OSError), gevent.Timeout(LINGER_S, TimeoutError()):
            self.socket.sendall(result[1])
            self.socket.shutdown(SHUT_WR)
            while self.socket.recv(READ_BYTES):
                pass
        return None

    def get_environ(self) -> dict[str, Any]:
        """Add the path as sent, `RAW_URI`, to the environ."""
        environ: dict[str, Any] = super().get_environ()
        if self.chunks is not None:
            environ["wsgi.input"] = self.wsgi_input = ChunkedInput(self.chunks, environ["wsgi.input"])
        self.who = []
        return environ | {"RAW_URI": self.path, WHO: self.who}

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
            if self.chunks is not None and not self.chunks.ended_well:
                self.close_connection = True  # where the next request begins is not known
        finally:
            if self.answer_limit is not None:
                self.answer_limit.close()
                self.answer_limit = None

    def log_request(self) -> None:
        """Log one line for each request, if `http.access_log` wants that; queries and headers are left out."""
        if not self.server.access_log or not ACCESS.isEnabledFor(logging.INFO):
            return
        status = str(getattr(self, "_orig_status", None) or self.status or "0").split()[0]
        fields = {
            "token": self.who[0] if self.who else "",
            "address": str(self.client_address[0]),
            "method": self.command or "",
            "path": str(self.path or "").partition("?")[0][:PATH_CHARS],
            "status": int(status) if status.isdecimal() else 0,
            "bytes": int(self.response_length or 0),
            "duration_ms": round(max(0.0, self.time_finish - self.time_start) * 1000, 3),
        }
        ACCESS.info(
            "%s %s by %s from %s: %d, %d bytes, %.1f ms",
            fields["method"],
            fields["path"],
            fields["token"] or "nobody",
            fields["address"],
            fields["status"],
            fields["bytes"],
            fields["duration_ms"],
            extra={"fields": fields},
        )

    def log_error(self, msg: str, *args: Any) -> None:
        """Log a client that does not speak HTTP, without a traceback."""
        self.server.note(self.client_address, msg % args if args else msg)


class Server(WSGIServer):
    """Server of one application. Clients that only wait lose their places to others when few are left."""

    max_accept = 1  # per turn of the hub, so that many new connections do not starve the others

    def __init__(
        self,
        address: tuple[str, int],
        application: Any,
        stop_signal: Stop,
        *,
        share_port: bool = False,
        tls: ServerTls | None = None,
        access_log: bool = False,
        log_limit: LogLimit,
    ) -> None:
        self.access_log = access_log
        self.connections = Pool(MAX_CONNECTIONS)
        options: dict[str, Any] = {} if tls is None else {"ssl_context": tls.loaded.context}
        super().__init__(
            address,
            application,
            spawn=self.connections,
            handler_class=Handler,
            log=None,
            error_log=logger,
            environ={"SERVER_NAME": address[0]},  # or it would ask the DNS for it
            **options,
        )
        self._share_port = share_port
        self._tls = tls
        self.stop_signal = stop_signal
        self.handlers: set[Handler] = set()
        # Clients that have not asked yet, with what closes their connections; those that wait for longest are first.
        self.waiting: dict[Any, Callable[[], None]] = {}
        self._log_limit = log_limit
        self._last_descriptor = descriptor_limit() - RESERVED_DESCRIPTORS
        self._said_at = -SAY_AGAIN_S

    def init_socket(self) -> None:
        """Bind unless bound already; gevent's own method cannot share the port."""
        if self._share_port and not hasattr(self, "socket"):
            self.socket = listen(self.address, self.backlog)
            self.address = self.socket.getsockname()
        super().init_socket()

    def do_read(self) -> Any:
        """Accept a connection; without a descriptor for it, wait."""
        found = accepted(self, super().do_read, self._used_up)
        if found is not None and found[0].fileno() >= self._last_descriptor:
            found[0].close()
            self._used_up(None)
            return None
        if found is not None and self.connections.free_count() <= FREE_PLACES and self.waiting:
            self.waiting.pop(next(iter(self.waiting)))()
        return found

    def note(self, address: Any, text: str) -> None:
        """Log what a client did wrong, unless it does so too often."""
        peer = str(address[0]) if isinstance(address, tuple) else str(address)
        self._log_limit.log(logger, logging.INFO, peer, "HTTP", "HTTP: %s", text)

    def _used_up(self, _: object) -> None:
        now = time.monotonic()
        if now - self._said_at >= SAY_AGAIN_S:
            self._said_at = now
            logger.warning("HTTP: no file descriptor is left for a connection; raise `ulimit -n`")

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> Any:
        """Do the TLS handshake within the time limit of headers; log a failure in one line."""
        tls: Any = self._tls
        self.waiting[client_socket] = partial(hang_up, client_socket)
        try:
            with gevent.Timeout(HEADERS_TIMEOUT_S, TimeoutError("it was not finished in time")):
                wait_read(client_socket.fileno())
                wrapped = tls.loaded.context.wrap_socket(client_socket, server_side=True)
        except OSError as error:
            self.note(address, f"TLS handshake of {address[0]}: {error}")
            client_socket.close()
            return None
        finally:
            self.waiting.pop(client_socket, None)
        try:
            return self.handle(wrapped, address)
        finally:
            wrapped.close()
