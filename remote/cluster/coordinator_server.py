"""Coordinator server: owners of charge points among the worker processes of one machine, on a Unix socket.

It runs in the parent of the worker processes. A worker process whose connection ends is lost at once: it has ended, or
it gave up its lease before it closed. Everything is in memory; after the server's own end the worker processes have no
lease, and tell a new server what they own.
"""

from __future__ import annotations

import errno
import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
import gevent.socket
from gevent.pool import Pool
from gevent.server import StreamServer

from ...actors.runtime.timers import SystemClock
from ...config.errors import ChargehandError
from ...store.unix_peer import refused_peer
from .coordinator import LEASE_S
from .lease import chunks
from .lease_registry import LeaseRegistry
from .unix_protocol import (
    Asked,
    ChargePointsPart,
    Checked,
    Enumerate,
    Fenced,
    Find,
    Gone,
    Hello,
    NodeFound,
    NoLease,
    Pipe,
    PipeError,
    Release,
    Renew,
    Renewed,
    Take,
    Taken,
    Tell,
    Verify,
)

if TYPE_CHECKING:
    from ...actors.runtime.timers import Clock

logger = logging.getLogger(__name__)

CONNECTION_LIMIT = 1024
BACKLOG = 128
HELLO_S = 5.0
"""Seconds that a worker process has to send its name."""


class CoordinatorServerError(ChargehandError):
    """The socket cannot be had."""


class CoordinatorServer:
    """Coordinator server of one machine. `path` is the socket's file, which only its owner may open."""

    def __init__(self, path: str, *, clock: Clock | None = None, lease_s: float = LEASE_S) -> None:
        self.path = path
        self._lease_s = lease_s
        self._clock = clock or SystemClock()
        self._exchange = LeaseRegistry(self._clock, self._fence, lease_s)
        self._pipes: dict[str, Pipe] = {}
        self._connections = Pool(CONNECTION_LIMIT)
        self._server: Any = None

    def start(self) -> None:
        """Listen. Raises `CoordinatorServerError` when the path is taken or cannot be used."""
        listener = gevent.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._remove_remains()
            listener.bind(self.path)
            Path(self.path).chmod(0o600)  # nobody can connect before it listens
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise CoordinatorServerError(f"the workers' socket {self.path}: {error}") from error
        self._exchange = LeaseRegistry(self._clock, self._fence, self._lease_s)
        self._server = StreamServer(listener, self._serve, spawn=self._connections)
        self._server.start()

    def stop(self) -> None:
        """Close everything and remove the socket's file."""
        server, self._server = self._server, None
        if server is not None:
            Path(self.path).unlink(missing_ok=True)
            server.stop(timeout=0)
            self._connections.kill()

    def _remove_remains(self) -> None:
        """Remove the socket file of a coordinator server that has ended. Raises OSError when one listens there."""
        path = Path(self.path)
        if not path.is_socket():
            return
        with gevent.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(self.path) != errno.ECONNREFUSED:
                raise OSError(errno.EADDRINUSE, "another coordinator server listens there")
        path.unlink()

    # -- One worker ------------------------------------------------------------------------------

    def _serve(self, sock: Any, _address: Any) -> None:
        pipe = Pipe(sock, Asked)
        node = ""
        try:
            node = self._greeted(pipe, refused_peer(sock))
            while True:
                frame = pipe.receive()
                if pipe.full:
                    pipe.drain()  # who does not read its answers is not listened to
                self._handle(node, pipe, frame)
        except (OSError, EOFError):
            self._lose(node, pipe)
        except PipeError as error:
            logger.warning("%s is cut off: %s", node or "a worker", error)
            pipe.close()
            if node:
                gevent.sleep(self._lease_s)  # it may not know yet that it has no lease
                self._lose(node, pipe)
        finally:
            pipe.close()

    def _greeted(self, pipe: Pipe, refused: str) -> str:
        if refused:
            raise PipeError(refused)
        with gevent.Timeout(HELLO_S, PipeError("no name was said in time")):
            hello = pipe.receive()
        if not isinstance(hello, Hello) or not hello.node:
            raise PipeError("the worker process did not send its name first")
        node = hello.node
        if (former := self._pipes.get(node)) is not None:
            self._lose(node, former)
            former.close()
        self._pipes[node] = pipe
        logger.debug("worker %s is connected", node)
        return node

    def _lose(self, node: str, pipe: Pipe) -> None:
        if self._pipes.get(node) is not pipe:
            return
        del self._pipes[node]
        self._exchange.end(node)
        logger.info("worker %s is lost", node)
        for other in self._pipes.values():
            if not other.full:  # else it learns of it with its next renewal
                other.send(Gone(node))

    def _fence(self, node: str, charge_point_id: str, epoch: int) -> None:
        pipe = self._pipes.get(node)
        if pipe is not None and not pipe.full:
            pipe.send(Fenced(charge_point_id, epoch))

    # -- Requests of the worker process ------------------------------------------------------------

    def _handle(self, node: str, pipe: Pipe, frame: Any) -> None:
        exchange = self._exchange
        match frame:
            case Renew(number, seen, acks):
                pipe.send(Renewed(number, **exchange.renew(node, seen, acks)._asdict()))
            case Take(number, charge_point_id, seen):
                claim = exchange.claim(node, charge_point_id, seen)
                pipe.send(NoLease(number) if claim is None else Taken(number, *claim))
            case Release(charge_point_id, epoch):
                exchange.release(node, charge_point_id, epoch)
            case Verify(number, claims):
                verified = exchange.verify(node, claims)
                pipe.send(NoLease(number) if verified is None else Checked(number, *verified))
            case Find(number, charge_point_id):
                pipe.send(NodeFound(number, exchange.find(charge_point_id)))
            case Tell(other, message):
                there = self._pipes.get(other)
                if there is not None and not there.full and exchange.alive(other):
                    there.send(Tell(node, message))
            case Enumerate(number):
                for part in chunks(exchange.charge_points()):
                    pipe.send(ChargePointsPart(number, dict(part), more=True))
                    pipe.drain()
                    gevent.sleep(0)
                pipe.send(ChargePointsPart(number, {}, more=False))
            case _:
                raise PipeError(f"{type(frame).__name__} is out of place")
