"""Server on a free port of this machine, with a gate that a test can inspect."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from gevent.pool import Pool

from chargehand.actors.runtime.timers import HubTimers, SystemClock
from chargehand.config.sessions import SessionSettings
from chargehand.transport.connection import SocketConnection
from chargehand.transport.gate import Admission, HandshakeRequest, Refusal
from chargehand.transport.greenlet_transport import GreenletTransport
from chargehand.transport.proxies import Proxies
from chargehand.transport.reactor_transport import ReactorTransport
from chargehand.transport.server import WebSocketServer
from chargehand.transport.tls import ServerTls

from ..certificates import make_certificate
from ..hub import settle, until
from .client import Client
from .connection_harness import LIMITS, ConnectionHarness
from .fakes import FakeReceiver, FakeSocket, FakeTlsSocket

ADMISSION = Admission("CP1", "", "ocpp1.6")
TRANSPORTS = {"greenlet": GreenletTransport, "reactor": ReactorTransport}


@dataclass
class FakeGate:
    """Admits all, and keeps everything that it is told."""

    decision: Admission | Refusal | Callable[[HandshakeRequest], Any] = ADMISSION
    requests: list[HandshakeRequest] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    connections: list[SocketConnection] = field(default_factory=list)
    receivers: list[FakeReceiver] = field(default_factory=list)
    attach_fails: bool = False

    def admit(self, request: HandshakeRequest) -> Admission | Refusal:
        self.requests.append(request)
        return self.decision(request) if callable(self.decision) else self.decision

    def attach(self, _admission: Admission, connection: SocketConnection) -> FakeReceiver:
        if self.attach_fails:
            raise RuntimeError("attach failed")
        self.connections.append(connection)
        self.receivers.append(FakeReceiver(on_deliver=lambda one: one.send_text(b"got it")))
        return self.receivers[-1]

    def handshake_refused(self, peer: str, refusal: Refusal) -> None:
        assert peer.startswith("127.0.0.1:")
        self.refused.append(refusal.status)

    def handshake_failed(self, peer: str, reason: str) -> None:
        assert peer.startswith("127.0.0.1:")
        self.failures.append(reason)


class ServerHarness:
    """Server, its gate and its clients."""

    def __init__(
        self,
        transport: str,
        tls: ServerTls | None = None,
        proxies: Proxies | None = None,
        intake: Any = None,
        **limits: Any,
    ) -> None:
        self.gate = FakeGate()
        self.timers = HubTimers(SystemClock())
        self.pool = Pool()  # what serves requests; empty when nothing is under way
        self.clients: list[Client] = []
        self.server = WebSocketServer(
            ("127.0.0.1", 0),
            gate=self.gate,
            transport=TRANSPORTS[transport](intake=intake),
            limits=SessionSettings(**{"close_timeout_s": 0.2, "handshake_timeout_s": 5.0, **limits}),
            timers=self.timers,
            tls=tls,
            pool=self.pool,
            proxies=proxies,
            intake=intake,
        )
        self.server.start()

    @property
    def port(self) -> int:
        return self.server.address[1]

    def client(self, trust: Path | None = None) -> Client:
        """Return a client, over TLS if it is given a certificate to trust."""
        client = Client(self.port)
        self.clients.append(client)
        if trust is not None:
            client.secures(trust)
        return client

    def only_connection(self) -> SocketConnection:
        """Return the only connection, once it is attached."""
        until(lambda: self.gate.connections)
        (connection,) = self.gate.connections
        return connection

    def close(self) -> None:
        self.server.close()
        for client in self.clients:
            client.close()
        until(lambda: len(self.pool) == 0)
        for connection in self.gate.connections:
            until(lambda connection=connection: not connection.open)
        settle()
        self.timers.clear()


@pytest.fixture(params=list(TRANSPORTS))
def serve(request: pytest.FixtureRequest) -> Iterator[Callable[..., ServerHarness]]:
    """Make servers on each transport; they must have freed everything once their clients have disconnected."""
    all_served: list[ServerHarness] = []

    def serve(**options: Any) -> ServerHarness:
        served = ServerHarness(request.param, **options)
        all_served.append(served)
        return served

    yield serve
    for served in all_served:
        served.close()


@pytest.fixture
def served(serve: Callable[..., ServerHarness]) -> ServerHarness:
    """Server of ws."""
    return serve()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate for 127.0.0.1 and its key."""
    return make_certificate(tmp_path_factory.mktemp("certificates"), "server")


@pytest.fixture
def open_line():
    """Make connections on a fake socket; end those that are left."""
    lines = []

    def make(kind=FakeSocket, turn=None, **limits):
        fields = {name: getattr(LIMITS, name) for name in SessionSettings.__dataclass_fields__}
        line = ConnectionHarness(kind(), SessionSettings(**{**fields, **limits}), turn)
        lines.append(line)
        return line

    yield make
    for line in lines:
        line.connection.finish()
        line.sock.release()


@pytest.fixture
def line(open_line):
    return open_line()


@pytest.fixture(params=[FakeSocket, FakeTlsSocket], ids=["plain", "tls"])
def either(open_line, request):
    """Connection without TLS, then one with it."""
    return open_line(request.param)


@pytest.fixture
def no_traceback(capfd, caplog):
    """Check that a client causes no traceback."""
    yield
    assert "Traceback" not in capfd.readouterr().err
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
