"""TCP proxy on gevent's sockets between a node and a server: a network that can be cut."""

import contextlib
from typing import Any

import gevent
import gevent.socket
from gevent.event import Event
from gevent.pool import Group
from gevent.server import StreamServer

READ_BYTES = 65_536


class Proxy:
    """Forwards all bytes until a test changes that. `cut` closes connections, `black_hole` drops bytes silently."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._streams = Group()
        self._open: set[Any] = set()
        self._passing = Event()
        self._passing.set()
        self._refusing = False
        self._delay_s = 0.0

    def start(self) -> None:
        self._server.start()
        self.port = self._server.server_port
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def stop(self) -> None:
        self._server.stop(timeout=0)
        self.heal()
        self._refusing = True
        self._close()
        self._streams.kill()

    def cut(self) -> None:
        """Close all connections, and new ones at once."""
        self._refusing = True
        self._close()

    def black_hole(self) -> None:
        """Forward nothing; bytes sent meanwhile arrive late, if the connection still exists."""
        self._passing.clear()

    def delay(self, seconds: float) -> None:
        """Delay everything by some seconds."""
        self._delay_s = seconds

    def lead_to(self, port: int) -> None:
        """Connect new connections to another server."""
        self._to = ("127.0.0.1", port)

    def heal(self) -> None:
        self._refusing = False
        self._delay_s = 0.0
        self._passing.set()

    def _close(self) -> None:
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(gevent.socket.SHUT_RDWR)

    def _serve(self, client: Any, _address: Any) -> None:
        if self._refusing:
            client.close()
            return
        try:
            server = gevent.socket.create_connection(self._to)
        except OSError:
            client.close()
            return
        pair = {client, server}
        self._open |= pair
        there = self._streams.spawn(self._pass, client, server)
        back = self._streams.spawn(self._pass, server, client)
        try:
            gevent.joinall([there, back], count=1)
        finally:
            self._open -= pair
            there.kill()
            back.kill()
            client.close()
            server.close()

    def _pass(self, source: Any, sink: Any) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(READ_BYTES):
                gevent.sleep(self._delay_s)
                self._passing.wait()
                sink.sendall(data)
