"""The transport with a greenlet for each connection: it waits for bytes and feeds them to the connection.

One turn of a connection is one read, so that none keeps the hub from the others. The hub reads, and wakes the greenlet
for what there is: those that have nothing left but to end are let go of a few at a time. The greenlet is a new one: the
stack that was needed for the handshake would cost each connection 14 KiB for as long as it lives.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from gevent import get_hub, spawn
from gevent.event import Event
from gevent.hub import Waiter

from .departures import Departures

if TYPE_CHECKING:
    from .connection import SocketConnection

READ_READY = 1  # libev's and libuv's number for it


class GreenletTransport:
    """Runs connections on the hub of the thread that makes it. `running` has them, for whoever must end them all."""

    def __init__(self, running: set[SocketConnection] | None = None) -> None:
        self._loop = get_hub().loop
        self._running = set() if running is None else running
        self._departures = Departures()

    def run(self, connection: SocketConnection, early: bytes) -> None:
        """Take a connection over and return at once; `early` are bytes that came before."""
        connection.reader = self
        self._running.add(connection)
        spawn(self._serve, connection, early)

    def _serve(self, connection: SocketConnection, early: bytes) -> None:
        sock = connection.sock
        watcher = self._loop.io(sock.fileno(), READ_READY)
        waiter: Any = Waiter()
        data: bytes | None = early
        try:
            while connection.open:
                if data:
                    connection.feed(data)
                    data = None
                elif connection.paused:
                    self._wait_for_resume(connection)
                elif connection.secure and sock.pending():
                    data = connection.read()  # the hub does not see what TLS has read ahead of us
                else:
                    connection.watcher = waiter
                    watcher.start(self._readable, connection, watcher, waiter)
                    data = waiter.get()
                    watcher.stop()
                    waiter.clear()
        finally:
            connection.finish()
            self._running.discard(connection)
            watcher.close()
            with contextlib.suppress(OSError, ValueError):
                sock.close()

    def _readable(self, connection: SocketConnection, watcher: Any, waiter: Any) -> None:
        # In the hub. Nothing is read for one that was paused or has ended since it began to wait.
        data = connection.read() if connection.open and not connection.paused else b""
        if data is None:
            return
        watcher.stop()
        if data or connection.paused or not connection.open:
            waiter.switch(data)
        else:
            self._departures.let_go(connection)

    @staticmethod
    def _wait_for_resume(connection: SocketConnection) -> None:
        connection.watcher = resumed = Event()
        while connection.paused and connection.open:
            resumed.wait()
            resumed.clear()
        connection.watcher = None

    def paused(self, connection: SocketConnection) -> None:
        """The greenlet sees it by itself, after the feed in which it happened."""

    def resumed(self, connection: SocketConnection) -> None:
        """Wake the greenlet, if it waits for just this."""
        if type(connection.watcher) is Event:
            connection.watcher.set()

    def ended(self, connection: SocketConnection) -> None:
        """Wake the greenlet, which closes the socket."""
        if type(connection.watcher) is Waiter:
            self._loop.run_callback(connection.watcher.switch, None)
        else:
            self.resumed(connection)
