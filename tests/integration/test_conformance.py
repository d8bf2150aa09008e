"""RFC 6455 on the wire: one table of conversations, on both transports, plain and over TLS.

Each row has the client's bytes, cut into packets, and the expected output: the answers to its CALLs, the pongs, and
the code of the close frame. A conversation that the server does not end is ended by the client with 1000, so that
each one shows that the socket still works, that no unexpected frame came, and that the stream ends without a reset;
over TLS, with a close_notify.
"""

import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ..certificates import make_certificate
from .conftest import StartServer
from .conversations import CASES, Conversation, call, close_body, encode
from .rawsocket import CLOSE, PONG, TEXT, RawSocket
from .server import Server

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Link:
    """Link of one of the four kinds."""

    name: str
    server: Server
    url: str
    trust: Path | None

    def open(self, identity: str) -> RawSocket:
        """Return a client that sends every packet at once, and treats a truncated TLS stream as an error."""
        trust = None if self.trust is None else ssl.create_default_context(cafile=str(self.trust))
        raw = RawSocket.open(self.url + identity, trust=trust, timeout_s=TIMEOUT_S)
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if isinstance(raw.socket, ssl.SSLSocket):
            raw.socket.suppress_ragged_eofs = False
        return raw


@pytest.fixture(scope="module")
def links(start_module_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> list[Link]:
    """Links of all four kinds, on one server for each transport."""
    chain, key = make_certificate(tmp_path_factory.mktemp("conformance"), "server")
    links = []
    for transport in ("greenlet", "reactor"):
        server = start_module_server(
            config=f"""
                transport = "{transport}"
                tls = {{certificate = "{chain}", key = "{key}", port = 0}}
                sessions = {{max_outbox_bytes = 16777216, messages_per_s = 0, bytes_per_s = 0}}
            """
        )
        assert server.wss is not None
        links.append(Link(f"{transport} ws", server, server.ws, None))
        links.append(Link(f"{transport} wss", server, server.wss, chain))
    return links


@pytest.fixture(params=range(4), ids=["greenlet-ws", "greenlet-wss", "reactor-ws", "reactor-wss"])
def link(links: list[Link], request: pytest.FixtureRequest) -> Link:
    """Each of the four links in turn."""
    return links[request.param]


@dataclass
class FrameReader:
    """Sorts the frames that a client reads."""

    answers: list[str] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    closes: list[bytes] = field(default_factory=list)
    data: bytes = b""

    @property
    def close_codes(self) -> list[int]:
        """Codes of the close frames; 1005 for one without."""
        return [int.from_bytes(body[:2], "big") if body else 1005 for body in self.closes]

    def read(self, raw: RawSocket) -> bool:
        """Read up to the last whole frame that has come; return false at the end of the stream."""
        got = raw.socket.recv(65536)
        self.data += got
        while (size := frame_size(self.data)) <= len(self.data):
            frame, self.data = self.data[:size], self.data[size:]
            opcode, payload = frame[0] & 0x0F, frame[frame_size(frame, head=True) :]
            assert not self.closes, f"{frame!r} behind the close frame"
            assert frame[0] & 0xF0 == 0x80, "the server sends whole messages without extensions"
            if opcode == TEXT:
                answer = json.loads(payload)
                assert answer[0] == 3, answer
                self.answers.append(answer[1])
            elif opcode == PONG:
                self.pongs.append(payload)
            else:
                assert opcode == CLOSE, frame
                assert payload[2:].decode() is not None  # a reason is text
                self.closes.append(payload)
        return bool(got)


def frame_size(data: bytes, *, head: bool = False) -> int:
    """Return the length of the first frame, or of its head; more than there is while it cannot be known."""
    if len(data) < 2:
        return 2
    assert not data[1] & 0x80, "a server never masks"
    width = {126: 2, 127: 8}.get(data[1], 0)
    if head:
        return 2 + width
    if len(data) < 2 + width:
        return 2 + width
    return 2 + width + (int.from_bytes(data[2 : 2 + width], "big") if width else data[1])


def hear(raw: RawSocket, *, until: Callable[[FrameReader], Any] | None = None) -> FrameReader:
    """Read until a condition holds, or to the end of the stream, which must come without a reset."""
    heard = FrameReader()
    while not (until is not None and until(heard)):
        if not heard.read(raw):
            assert until is None, f"the stream ended: {heard}"
            break
    return heard


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_conversation_goes_by_the_rfc_on_every_link(links: list[Link], case: Conversation) -> None:
    for link in links:
        heard = converse(link, case)
        assert heard.data == b"", link.name
        assert heard.answers == list(case.answers), link.name
        assert heard.pongs == list(case.pongs), link.name
        assert heard.close_codes == [case.close], link.name


def converse(link: Link, case: Conversation) -> FrameReader:
    """Speak a conversation; return the output of the server to the end of the stream."""
    with link.open(f"C{CASES.index(case)}") as raw:
        for packet in case.packets:
            raw.send_bytes(packet)
        heard = FrameReader()
        if case.client_closes:
            heard = hear(raw, until=lambda heard: complete(heard, case))
            raw.send(close_body(1000), CLOSE)
        while heard.read(raw):
            pass
    return heard


def complete(heard: FrameReader, case: Conversation) -> bool:
    """Tell if everything expected has come."""
    return len(heard.answers) >= len(case.answers) and len(heard.pongs) >= len(case.pongs)


def test_what_the_client_does_not_read_waits_and_arrives_whole_and_in_order(link: Link) -> None:
    """More pongs come than the kernel takes: they wait in the outbox, while everything is read."""
    pings = [b"%0125d" % number for number in range(50_000)]
    with link.open("OUTBOX") as raw:
        raw.send_bytes(b"".join(b"\x89\xfd\x00\x00\x00\x00" + ping for ping in pings))
        heard = hear(raw, until=lambda heard: len(heard.pongs) == len(pings))
        assert heard.pongs == pings
        raw.send(call())
        assert hear(raw, until=lambda heard: heard.answers).answers == ["1"]


def test_a_big_message_of_ours_arrives_whole(link: Link) -> None:
    """The command is a CALL that is larger than any kernel buffer."""
    data = "ü⚡" + "x" * 900_000
    with link.open("BIG") as raw:
        reply = link.server.command("BIG", "DataTransfer", {"vendorId": "x", "data": data}, wait=0)
        assert reply.status == 202, reply
        message = json.loads(raw.text())
        assert message[2:] == ["DataTransfer", {"vendorId": "x", "data": data}]
        raw.send(json.dumps([3, message[1], {"status": "Accepted"}]))
        raw.send(call())
        assert hear(raw, until=lambda heard: heard.answers).answers == ["1"]


def test_a_stream_that_the_client_ends_without_a_close_frame_is_ended(link: Link) -> None:
    with link.open("HALF") as raw:
        raw.send(call())
        raw.answer_to("1")
        raw.socket.shutdown(socket.SHUT_WR)
        while raw.socket.recv(65536):
            pass


def test_a_stream_that_ends_in_the_middle_of_a_frame_is_ended(link: Link) -> None:
    with link.open("HALF") as raw:
        raw.send_bytes(encode(call())[:10])
        raw.socket.shutdown(socket.SHUT_WR)
        while raw.socket.recv(65536):
            pass


def test_the_servers_outlive_it_all_without_a_traceback(link: Link) -> None:
    assert link.server.alive
    assert "Traceback" not in link.server.output
    with link.open("LAST") as raw:
        raw.send(call())
        raw.answer_to("1")
