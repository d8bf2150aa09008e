"""The WebSocket client against a server of a few lines that is scripted by the test."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult, Event
from gevent.server import StreamServer

from chargehand.protocol.handshake import HandshakeError, accept_key
from chargehand.protocol.websocket import Closed, Codec, Ping, Pong, Role
from chargehand.simulator import Client, Disconnected, HandshakeRefused

DEADLINE_S = 60.0


class Peer:
    """Server's end of one connection."""

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        self.codec = Codec(Role.SERVER)
        self.head = b""
        self.events: list[Any] = []

    def read_head(self) -> str:
        while b"\r\n\r\n" not in self.head:
            self.head += self.sock.recv(4096)
        return self.head.decode()

    def accept(self, *headers: str) -> None:
        key = next(line.split(": ")[1] for line in self.read_head().split("\r\n") if "WebSocket-Key" in line)
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Accept: {accept_key(key)}", *headers]
        self.sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")

    def event(self) -> Any:
        """Return the next event; None at the end of the stream."""
        while not self.events:
            data = self.sock.recv(4096)
            if not data:
                return None
            self.events += self.codec.receive(data)
        return self.events.pop(0)


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    with gevent.Timeout(DEADLINE_S):
        yield


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start a server whose one connection runs the given function; return its URL."""
    servers = []
    over = Event()

    def serve(run: Callable[[Peer], object]) -> str:
        def handle(sock: Any, _: Any) -> None:
            with contextlib.suppress(OSError):
                run(Peer(sock))
                over.wait()  # the test may have the socket now

        server = StreamServer(("127.0.0.1", 0), handle)
        server.start()
        servers.append(server)
        return f"ws://127.0.0.1:{server.server_port}/ocpp/CP1"

    yield serve
    over.set()
    for server in servers:
        server.stop()


@pytest.fixture
def pair(serve: Callable[..., str]) -> Iterator[tuple[Client, Peer]]:
    """Client and its peer, with an open connection."""
    found: AsyncResult[Peer] = AsyncResult()

    def run(peer: Peer) -> None:
        peer.accept()
        found.set(peer)

    client = Client.connect(serve(run))
    yield client, found.get()
    client.cut()


# -- The handshake -------------------------------------------------------------------------------


def test_a_handshake_carries_what_it_was_given(serve):
    heads = []

    def run(peer):
        heads.append(peer.read_head())
        peer.accept("Sec-WebSocket-Protocol: ocpp1.6")

    url = serve(run)
    client = Client.connect(
        url, subprotocols=["ocpp1.6", "ocpp2.0.1"], headers={"Authorization": "Basic QQ=="}
    )
    assert client.subprotocol == "ocpp1.6"
    client.cut()
    assert heads[0].startswith("GET /ocpp/CP1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert "Sec-WebSocket-Protocol: ocpp1.6, ocpp2.0.1\r\n" in heads[0]
    assert "Authorization: Basic QQ==\r\n" in heads[0]


def test_a_refusal_has_its_status_and_its_text(serve):
    def run(peer):
        peer.read_head()
        peer.sock.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\nwrong ")
        peer.sock.sendall(b"key")

    with pytest.raises(HandshakeRefused, match="401 Unauthorized: wrong key") as refused:
        Client.connect(serve(run))
    assert (refused.value.status, refused.value.text) == (401, "wrong key")


def test_a_refusal_that_breaks_off_is_still_one(serve):
    def run(peer):
        peer.read_head()
        peer.sock.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 100\r\n\r\nlater")
        peer.sock.close()

    with pytest.raises(HandshakeRefused) as refused:
        Client.connect(serve(run))
    assert refused.value.text == "later"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", HandshakeError),
        (b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", HandshakeError),
        (b"", ConnectionError),
    ],
)
def test_what_is_no_websocket_is_an_error(serve, answer, error):
    def run(peer):
        peer.read_head()
        peer.sock.sendall(answer)
        peer.sock.close()

    with pytest.raises(error):
        Client.connect(serve(run))


def test_a_server_that_says_nothing_is_not_waited_for(serve):
    with pytest.raises(TimeoutError):
        Client.connect(serve(lambda _: None), timeout_s=0.01)


def test_nobody_there_is_an_error():
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            Client.connect(f"ws://127.0.0.1:{bound.getsockname()[1]}/ocpp/CP1")


@pytest.mark.parametrize("url", ["http://127.0.0.1/ocpp", "ws:///ocpp", "CP1"])
def test_what_is_no_url_of_a_websocket_is_refused(url):
    with pytest.raises(ValueError, match="URL"):
        Client.connect(url)


# -- Messages ------------------------------------------------------------------------------------


def test_a_message_that_came_with_the_handshake_is_read(serve):
    def run(peer):
        peer.sock = CoalescingSocket(peer.sock, peer.codec.text(b"early"))
        peer.accept()

    client = Client.connect(serve(run))
    assert client.receive() == [b"early"]
    client.cut()


class CoalescingSocket:
    """Socket that appends bytes to everything it sends."""

    def __init__(self, sock: Any, more: bytes) -> None:
        self._sock, self._more = sock, more

    def recv(self, size: int) -> bytes:
        return self._sock.recv(size)

    def sendall(self, data: bytes) -> None:
        self._sock.sendall(data + self._more)


def test_texts_go_both_ways(pair):
    client, peer = pair
    client.send_text(b"hello")
    assert peer.event() == b"hello"
    peer.sock.sendall(peer.codec.text(b"a") + peer.codec.text(b"b"))
    assert client.receive() == [b"a", b"b"]


def test_a_ping_is_answered(pair):
    client, peer = pair
    peer.sock.sendall(peer.codec.ping(b"there?"))
    assert client.receive() == []
    assert peer.event() == Pong(b"there?")


def test_a_ping_of_its_own_is_sent(pair):
    client, peer = pair
    client.ping()
    assert peer.event() == Ping(b"")


# -- The end -------------------------------------------------------------------------------------


def test_a_close_is_answered_and_ends_it(pair):
    client, peer = pair
    peer.sock.sendall(peer.codec.text(b"last") + peer.codec.close(1001, "going"))
    assert client.receive() == [b"last"]
    assert client.receive() is None
    assert (client.code, client.reason) == (1001, "going")
    assert peer.event().code == 1001
    assert peer.event() is None
    with pytest.raises(Disconnected):
        client.send_text(b"too late")


def test_its_own_close_ends_with_the_answer_of_the_peer(pair):
    client, peer = pair
    client.close(1000, "done")
    client.close(1000, "done")
    closed = peer.event()
    assert isinstance(closed, Closed)
    peer.sock.sendall(closed.reply)
    client.receive()
    assert client.receive() is None
    assert (client.code, peer.event()) == (1000, None)


def test_a_peer_that_breaks_the_rules_is_closed(pair):
    client, peer = pair
    peer.sock.sendall(b"\x82\x01a")
    client.receive()
    assert client.code == 1003
    assert peer.event().code == 1003


def test_a_lost_connection_is_1006(pair):
    client, peer = pair
    peer.sock.close()
    assert client.receive() is None
    assert client.code == 1006


@pytest.mark.parametrize(("reset", "error"), [(True, ConnectionResetError), (False, None)])
def test_a_cut_is_a_reset_or_a_plain_end(pair, reset, error):
    client, peer = pair
    reading = gevent.spawn(client.receive)
    gevent.idle()
    client.cut(reset=reset)
    assert reading.get() is None
    with pytest.raises(error) if error else contextlib.nullcontext():
        assert peer.sock.recv(10) == b""


# -- Half-open -----------------------------------------------------------------------------------


def test_a_half_open_connection_neither_reads_nor_writes_until_it_is_whole(pair):
    client, peer = pair
    client.freeze()
    client.send_text(b"held")
    peer.sock.sendall(peer.codec.text(b"waiting"))
    reading, hearing = gevent.spawn(client.receive), gevent.spawn(peer.event)
    assert not gevent.wait([reading, hearing], timeout=0.01)
    client.thaw()
    assert reading.get() == [b"waiting"]
    assert hearing.get() == b"held"


def test_a_half_open_connection_does_not_hear_that_the_peer_has_gone(pair):
    client, peer = pair
    client.freeze()
    reading = gevent.spawn(client.receive)
    peer.sock.close()
    assert not gevent.wait([reading], timeout=0.01)
    assert client.code is None
    client.thaw()
    assert reading.get() is None
    assert client.code == 1006


def test_a_half_open_connection_can_be_ended(pair):
    client, _ = pair
    client.freeze()
    reading = gevent.spawn(client.receive)
    gevent.idle()
    client.cut()
    assert reading.get() is None
