"""Transport with a greenlet for each connection: it waits for bytes and feeds them to the connection.

One turn of a connection is one read, so that no connection starves the others. The hub reads, and wakes the greenlet
with the bytes; connections that have only their end left are finished a few at a time. The greenlet is a new one: the
stack of the handshake would cost each connection 14 KiB.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from gevent import get_hub, spawn
from gevent.event import Event
from gevent.hub import Waiter

from .lots import ENDS_AT_A_TURN, Lots
from .traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

    from .connection import SocketConnection
    from .gate import Intake

READ_READY = 1  # the value of libev and libuv


class ConnectionWait:
    """Watcher of a connection, and its greenlet's wait for bytes or for reading to resume."""

    __slots__ = ("resumed", "waiter", "watcher")

    def __init__(self, watcher: Any) -> None:
        self.watcher = watcher
        self.waiter: Any = Waiter()
        self.resumed: Event | None = None


class GreenletTransport:
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
        self._running = set() if running is None else running
        self._ends = Lots(ENDS_AT_A_TURN, behind)
        self.traffic = Traffic()
        self._intake = intake

    def run(self, connection: SocketConnection, early: bytes) -> None:
        """Run a connection and return at once; `early` are bytes received before."""
        connection.reader = self
        connection.watcher = place = ConnectionWait(self._loop.io(connection.sock.fileno(), READ_READY))
        self._running.add(connection)
        if connection.open:
            spawn(self._serve, connection, place, early)
        else:  # lost before it was started
            self.ended(connection)

    def _serve(self, connection: SocketConnection, place: ConnectionWait, early: bytes) -> None:
        data: bytes | None = early
        try:
            while connection.open:
                if data:
                    connection.feed(data)
                    data = None
                elif connection.paused:
                    self._wait_for_resume(connection, place)
                elif connection.secure and connection.sock.pending():
                    data = connection.read()  # the hub does not see bytes in the buffer of TLS
                else:
                    place.watcher.start(self._readable, connection, place)
                    data = place.waiter.get()
                    place.waiter.clear()
        finally:
            connection.finish()

    def _readable(self, connection: SocketConnection, place: ConnectionWait) -> None:
        # Runs in the hub. Nothing is read for a connection that was paused since it began to wait.
        data = None if connection.paused else connection.read()
        if data is None and not connection.paused:
            return
        place.watcher.stop()
        if data or connection.paused:
            place.waiter.switch(data)
            connection.turn.has_read()
        else:
            self._ends.do(connection.finish)

    @staticmethod
    def _wait_for_resume(connection: SocketConnection, place: ConnectionWait) -> None:
        place.resumed = resumed = Event()
        while connection.paused and connection.open:
            resumed.wait()
            resumed.clear()
        place.resumed = None

    def paused(self, connection: SocketConnection) -> None:
        """No-op: the greenlet sees the pause after the feed in which it happened."""

    def resumed(self, connection: SocketConnection) -> None:
        """Wake the greenlet, if it waits for reading to resume."""
        if connection.watcher.resumed is not None:
            connection.watcher.resumed.set()

    def ended(self, connection: SocketConnection) -> None:
        """Close the connection's socket, and wake its greenlet, which ends."""
        self._running.discard(connection)
        self.traffic.add(connection)
        if self._intake is not None:
            self._intake.leave(connection.peer)
        place: ConnectionWait = connection.watcher
        place.watcher.stop()
        place.watcher.close()
        with contextlib.suppress(OSError, ValueError):
            connection.sock.close()
        if place.resumed is not None:
            place.resumed.set()
        else:
            self._loop.run_callback(place.waiter.switch, None)
