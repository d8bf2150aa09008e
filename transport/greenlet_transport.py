"""The transport with a greenlet for each connection: it waits for bytes and feeds them to the connection.

One turn of a connection is one read, so that none keeps the hub from the others.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gevent import get_hub
from gevent.event import Event

if TYPE_CHECKING:
    from .connection import SocketConnection

READ_READY = 1  # libev's and libuv's number for it


class GreenletTransport:
    """Runs connections, each in the greenlet that it came in."""

    def run(self, connection: SocketConnection, early: bytes) -> None:
        """Serve a connection until it is closed; `early` are bytes that came before."""
        hub = get_hub()
        sock = connection.sock
        connection.reader = self
        watcher = hub.loop.io(sock.fileno(), READ_READY)
        try:
            if early:
                connection.feed(early)
            while connection.open:
                if connection.paused:
                    self._wait_for_resume(connection)
                    continue
                data = connection.read()
                if data:
                    connection.feed(data)
                elif data is not None:
                    connection.finish()
                if self._must_wait(connection):
                    hub.wait(watcher)
        finally:
            connection.finish()
            watcher.close()
            with contextlib.suppress(OSError, ValueError):
                sock.close()

    @staticmethod
    def _must_wait(connection: SocketConnection) -> bool:
        """Whether only the socket has more: the hub does not see what TLS has read ahead of us."""
        return connection.open and not (connection.secure and connection.sock.pending())

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
        if connection.watcher is not None:
            connection.watcher.set()

    def ended(self, connection: SocketConnection) -> None:
        """Wake the greenlet: it closes the socket, which was shut down and so wakes it also if it waits for bytes."""
        self.resumed(connection)
