"""The transport without a greenlet: the hub's watchers feed the connections.

After the handshake nothing of the HTTP server stays. One turn of a connection is one read, so that none keeps
the hub from the others.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gevent import get_hub

from .graceful_close import GracefulClose

if TYPE_CHECKING:
    from .connection import SocketConnection

READ_READY = 1  # libev's and libuv's number for it


class ReactorTransport:
    """Runs connections on the hub of the thread that makes it. `running` has them, for whoever must end them all."""

    def __init__(self, running: set[SocketConnection] | None = None) -> None:
        self._loop = get_hub().loop
        self._running = set() if running is None else running
        self._departures = GracefulClose()

    def run(self, connection: SocketConnection, early: bytes) -> None:
        """Take a connection over and return at once."""
        connection.reader = self
        if not connection.open:  # it was lost before it began
            self.ended(connection)
            return
        self._running.add(connection)
        connection.watcher = self._loop.io(connection.sock.fileno(), READ_READY)
        if early:
            connection.feed(early)
        if connection.watcher is not None and not connection.paused:  # else that was its end
            connection.watcher.start(self._readable, connection)
            if connection.secure:
                self._readable(connection)  # TLS may have bytes in its own buffer already

    def _readable(self, connection: SocketConnection) -> None:
        data = connection.read()
        if data:
            connection.feed(data)
            if connection.secure:
                self._drain(connection)
        elif data is not None and not self._departures.let_go(connection):
            connection.watcher.stop()  # it would tell of the end again and again

    def _drain(self, connection: SocketConnection) -> None:
        # The watcher sees the socket; what TLS has read ahead of us would wait for the next packet.
        while connection.open and not connection.paused and connection.sock.pending():
            data = connection.read()
            if not data:
                break
            connection.feed(data)

    def paused(self, connection: SocketConnection) -> None:
        """Watch its socket no more."""
        if connection.watcher is not None:
            connection.watcher.stop()

    def resumed(self, connection: SocketConnection) -> None:
        """Watch its socket again."""
        if connection.watcher is not None and connection.open:
            connection.watcher.start(self._readable, connection)
            if connection.secure:
                self._loop.run_callback(self._drain, connection)

    def ended(self, connection: SocketConnection) -> None:
        """Close its socket."""
        self._running.discard(connection)
        watcher, connection.watcher = connection.watcher, None
        if watcher is not None:
            watcher.stop()
            watcher.close()
        with contextlib.suppress(OSError, ValueError):
            connection.sock.close()
