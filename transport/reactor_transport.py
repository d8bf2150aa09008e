"""Transport without greenlets: the hub's watchers feed the connections.

After the handshake nothing of the HTTP server remains. One turn of a connection is one read, so that no connection
starves the others.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gevent import get_hub

from .lots import ENDS_AT_A_TURN, Lots
from .traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

    from .connection import SocketConnection
    from .gate import Intake

READ_READY = 1  # the value of libev and libuv


class ReactorTransport:
    """Transport on the hub of the thread that makes it.

    `running` holds the connections, for the shutdown; `intake` is told of their ends. Many that are lost at once end
    slowly while the actors are `behind`.
    """

    def __init__(
        self,
        running: set[SocketConnection] | None = None,
        intake: Intake | None = None,
        behind: Callable[[], bool] | None = None,
    ) -> None:
        self._loop = get_hub().loop
        self._read = self._readable  # one object for all watchers
        self._running = set() if running is None else running
        self._ends = Lots(ENDS_AT_A_TURN, behind)
        self.traffic = Traffic()
        self._intake = intake

    def run(self, connection: SocketConnection, early: bytes) -> None:
        """Run a connection and return at once; `early` are bytes received before."""
        connection.reader = self
        if not connection.open:  # lost before it was started
            self.ended(connection)
            return
        self._running.add(connection)
        connection.watcher = self._loop.io(connection.sock.fileno(), READ_READY)
        if early:
            connection.feed(early)
        if connection.watcher is not None and not connection.paused:  # else the early bytes ended it
            connection.watcher.start(self._read, connection)
            data = (
                connection.read() if connection.secure else None
            )  # TLS may have bytes in its own buffer already
            if data:
                connection.feed(data)
                self._drain(connection)

    def _readable(self, connection: SocketConnection) -> None:
        # Runs in the hub, as the work at the end of a part of a turn must.
        data = connection.read()
        if data:
            connection.feed(data)
            if connection.secure:
                self._drain(connection)
            connection.turn.has_read()
        elif data is not None and not self._ends.do(connection.finish):
            connection.watcher.stop()  # it would report the end again and again

    def _drain(self, connection: SocketConnection) -> None:
        # The watcher sees the socket only; bytes in the buffer of TLS would wait for the next packet.
        while connection.open and not connection.paused and connection.sock.pending():
            data = connection.read()
            if not data:
                break
            connection.feed(data)

    def paused(self, connection: SocketConnection) -> None:
        """Stop watching the connection's socket."""
        if connection.watcher is not None:
            connection.watcher.stop()

    def resumed(self, connection: SocketConnection) -> None:
        """Watch the connection's socket again."""
        if connection.watcher is not None and connection.open:
            connection.watcher.start(self._read, connection)
            if connection.secure:
                self._loop.run_callback(self._drain, connection)

    def ended(self, connection: SocketConnection) -> None:
        """Close the connection's socket."""
        self._running.discard(connection)
        self.traffic.add(connection)
        if self._intake is not None:
            self._intake.leave(connection.peer)
        watcher, connection.watcher = connection.watcher, None
        if watcher is not None:
            watcher.stop()
            watcher.close()
        with contextlib.suppress(OSError, ValueError):
            connection.sock.close()
