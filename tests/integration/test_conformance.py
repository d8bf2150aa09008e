"""RFC 6455 on the wire: one table of conversations, on both transports, plain and over TLS.

Each row says what a client sends, cut into packets, and what it must read: the answers to its CALLs, the pongs, the
code of the close frame. A conversation that the server does not end is ended by the client with 1000, so that each
one shows that the socket still works, that nothing came that was not asked for, and that the stream ends without a
reset; over TLS, with a close_notify.
"""

import json
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ..certificates import make_certificate
from .conftest import StartServer
from .rawsocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawSocket
from .rawsocket import encode as encode_slowly
from .server import Server

LIMIT = 1 << 20  # `max_message_bytes` as it is by default
TIMEOUT_S = 10.0
CHAR_BOUNDARIES = "\x20\x7f\x80\u07ff\u0800\ud7ff\ue000\ufffd\ufffe\uffff\U00010000\U0010fffd\U0010ffff"
NOT_UTF8 = {
    "a continuation alone": b"\x80",
    "two continuations": b"\x80\xbf",
    "a start without its continuation": b"\xc3",
    "the longest start without its end": b"\xf4\x8f\xbf",
    "a start before ASCII": b"\xc3x",
    "a slash in two bytes": b"\xc0\xaf",
    "a slash in three bytes": b"\xe0\x80\xaf",
    "a slash in four bytes": b"\xf0\x80\x80\xaf",
    "half of a pair": b"\xed\xa0\x80",
    "the other half": b"\xed\xbf\xbf",
    "above the last character": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "a byte that never occurs": b"\xfe",
    "the last byte": b"\xff",
}


def encode(payload: bytes, opcode: int = TEXT, *, final: bool = True, **wrong: Any) -> bytes:
    """A frame; a large one with a mask of zeros, which costs nothing."""
    if len(payload) < 100_000:
        return encode_slowly(payload, opcode, final=final, **wrong)
    first = (0x80 if final else 0) | opcode
    return struct.pack("!BBQI", first, 0xFF, len(payload), 0) + payload


def call(unique_id: str = "1", data: str = "") -> bytes:
    """A CALL that is answered whatever it carries."""
    payload = {"vendorId": "x", "data": data}
    message = [2, unique_id, "DataTransfer", payload]
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def call_of(size: int, unique_id: str = "1") -> bytes:
    """A CALL of just so many bytes."""
    text = call(unique_id, "x" * (size - len(call(unique_id))))
    assert len(text) == size
    return text


def fragments(*payloads: bytes, opcode: int = TEXT) -> list[bytes]:
    """One message as so many frames."""
    last = len(payloads) - 1
    return [
        encode(payload, CONTINUATION if at else opcode, final=at == last)
        for at, payload in enumerate(payloads)
    ]


def pieces(data: bytes, size: int) -> list[bytes]:
    """The same bytes in more packets."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def header(opcode: int, length: bytes) -> bytes:
    """The head of a frame whose length is written as it is given, and no more."""
    return bytes((0x80 | opcode,)) + length + b"mask"


def close_body(code: int, reason: bytes = b"") -> bytes:
    return code.to_bytes(2, "big") + reason


@dataclass(frozen=True)
class Case:
    """A row. `close` is the code that the server answers or begins with; 1000 is answered to the client's own."""

    name: str
    packets: Sequence[bytes]
    answers: Sequence[str] = ()
    pongs: Sequence[bytes] = ()
    close: int = 1000
    client_closes: bool = field(default=True)

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def served(name: str, *packets: bytes, answers: Sequence[str] = (), pongs: Sequence[bytes] = ()) -> Case:
    """A conversation after which the connection goes on."""
    return Case(name, packets, answers, pongs)


def ended(name: str, close: int, *packets: bytes, answers: Sequence[str] = ()) -> Case:
    """A conversation that ends with this code, the server's or an echo of the client's."""
    return Case(name, packets, answers, (), close, client_closes=False)


def framing() -> Iterator[Case]:
    for size in (50, 125, 126, 127, 128, 65_535, 65_536, 65_537, 300_000, LIMIT):
        yield served(f"a text of {size} bytes", encode(call_of(size)), answers=["1"])
    yield served("an empty text", encode(b"") + encode(call()), answers=["1"])
    yield served("a text of one byte a packet", *pieces(encode(call()), 1), answers=["1"])
    yield served("a long header of one byte a packet", *pieces(encode(call_of(200)), 1), answers=["1"])
    longest = encode(call_of(66_000))
    yield served(
        "the longest header of one byte a packet", *pieces(longest[:16], 1), longest[16:], answers=["1"]
    )
    yield served("a text in odd pieces", *pieces(encode(call_of(100_000)), 997), answers=["1"])
    many = [encode(call(str(number))) for number in range(20)]
    yield served("twenty texts in one packet", b"".join(many), answers=[str(number) for number in range(20)])
    yield served(
        "texts cut across packets", *pieces(b"".join(many), 71), answers=[str(number) for number in range(20)]
    )
    yield served("a mask of zeros", b"\x81" + bytes((0x80 | len(call()),)) + bytes(4) + call(), answers=["1"])
    yield ended("a short length in two bytes", 1002, header(TEXT, struct.pack("!BH", 0xFE, 125)))
    yield ended("a short length in eight bytes", 1002, header(TEXT, struct.pack("!BQ", 0xFF, 125)))
    yield ended("a medium length in eight bytes", 1002, header(TEXT, struct.pack("!BQ", 0xFF, 65_535)))
    yield ended("a length with its top bit set", 1002, header(TEXT, struct.pack("!BQ", 0xFF, 1 << 63)))
    yield ended("an unmasked text", 1002, encode(call(), masked=False))
    yield ended("an unmasked ping", 1002, encode(b"", PING, masked=False))
    yield ended("an unmasked close", 1002, encode(close_body(1000), CLOSE, masked=False))
    yield ended("a binary message", 1003, encode(b"x", BINARY))
    yield ended("an empty binary message", 1003, encode(b"", BINARY))
    yield ended("a binary message in fragments", 1003, *fragments(b"x", b"y", opcode=BINARY))


def fragmented() -> Iterator[Case]:
    text = call()
    half = len(text) // 2
    ping = encode(b"now", PING)
    yield served("two fragments", *fragments(text[:half], text[half:]), answers=["1"])
    yield served("two fragments in one packet", b"".join(fragments(text[:half], text[half:])), answers=["1"])
    yield served("a byte a fragment", b"".join(fragments(*pieces(text, 1))), answers=["1"])
    yield served("empty fragments around a text", b"".join(fragments(b"", b"", text, b"")), answers=["1"])
    yield served("a text of empty fragments", *fragments(b"", b"", b""), encode(text), answers=["1"])
    first, *more = fragments(text[:half], text[half:-1], text[-1:])
    yield served(
        "pings between fragments", first, ping, more[0], ping, more[1], answers=["1"], pongs=[b"now", b"now"]
    )
    yield served(
        "pings between fragments in one packet", first + ping + b"".join(more), answers=["1"], pongs=[b"now"]
    )
    yield served(
        "pings between fragments of one byte a packet",
        *pieces(first + ping + b"".join(more), 1),
        answers=["1"],
        pongs=[b"now"],
    )
    yield served("a pong between fragments", first, encode(b"", PONG), *more, answers=["1"])
    yield ended("a close between fragments", 1000, first, encode(close_body(1000), CLOSE))
    yield served(
        "two fragmented texts",
        *fragments(text[:half], text[half:]),
        *fragments(call("2")[:5], call("2")[5:]),
        answers=["1", "2"],
    )
    large = call_of(LIMIT)
    yield served("fragments as large as allowed", *fragments(*pieces(large, 100_000)), answers=["1"])
    yield ended("fragments one byte too large", 1009, *fragments(*pieces(large, 100_000), b" "))
    yield ended("a continuation of nothing", 1002, encode(text, CONTINUATION))
    yield ended("a continuation of nothing that goes on", 1002, encode(text, CONTINUATION, final=False))
    yield ended("a continuation of a whole text", 1002, encode(b""), encode(text, CONTINUATION))
    yield ended("a text inside a text", 1002, first, encode(text))
    yield ended("a text begun inside a text", 1002, first, encode(text, final=False))
    yield ended("a fragmented ping", 1002, encode(b"", PING, final=False))
    yield ended("a fragmented pong", 1002, encode(b"", PONG, final=False))
    yield ended("a fragmented close", 1002, encode(close_body(1000), CLOSE, final=False))


def control() -> Iterator[Case]:
    for payload in (b"", b"x", b"\x00\xff\xfe", b"x" * 125):
        yield served(f"a ping with {len(payload)} bytes", encode(payload, PING), pongs=[payload])
    yield served("a ping of one byte a packet", *pieces(encode(b"x" * 125, PING), 1), pongs=[b"x" * 125])
    numbers = [b"%d" % number for number in range(100)]
    yield served("a hundred pings", b"".join(encode(number, PING) for number in numbers), pongs=numbers)
    yield served("pongs that nobody asked for", encode(b"", PONG) + encode(b"x", PONG))
    yield ended("a ping of 126 bytes", 1002, encode(b"x" * 126, PING))
    yield ended("a pong of 126 bytes", 1002, encode(b"x" * 126, PONG))
    yield ended("a ping that announces a gibibyte", 1002, header(PING, struct.pack("!BQ", 0xFF, 1 << 30)))
    for bits in range(1, 8):
        yield ended(f"a text with the reserved bits {bits:03b}", 1002, encode(call(), reserved=bits))
    yield ended("a ping with a reserved bit", 1002, encode(b"", PING, reserved=4))
    yield ended("a close with a reserved bit", 1002, encode(close_body(1000), CLOSE, reserved=4))
    yield ended(
        "a continuation with a reserved bit",
        1002,
        encode(b"", final=False),
        encode(b"", CONTINUATION, reserved=4),
    )
    for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF):
        yield ended(f"opcode {opcode:#x}", 1002, encode(call(), opcode))
    yield ended("an empty frame of an unknown opcode", 1002, encode(b"", 3))
    yield ended(
        "a good text before a bad opcode in one packet", 1002, encode(b"") + encode(b"", 3) + encode(call())
    )


def characters() -> Iterator[Case]:
    for character in CHAR_BOUNDARIES:
        yield served(f"the character U+{ord(character):04X}", encode(call("1", character)), answers=["1"])
    text = call("1", CHAR_BOUNDARIES)
    yield served("characters cut between fragments", b"".join(fragments(*pieces(text, 1))), answers=["1"])
    yield served("characters cut between packets", *pieces(encode(text), 1), answers=["1"])
    for name, wrong in NOT_UTF8.items():
        yield ended(f"{name} is no text", 1007, encode(call("1", "@").replace(b"@", wrong)))
    broken = call("1", "@").replace(b"@", b"\xf4\x90\x80\x80")
    yield ended("what is no text in fragments", 1007, *fragments(*pieces(broken, 1)))
    yield ended("what is no text at the very end", 1007, encode(b"x\xc3"))
    yield ended("what is no text in a message that is no JSON", 1007, encode(b"\xff" * 200))
    yield ended("what is no text behind much ASCII", 1007, encode(call_of(100_000) + b"\xc3"))


def closing() -> Iterator[Case]:
    for code in (
        1000,
        1001,
        1002,
        1003,
        1007,
        1008,
        1009,
        1010,
        1011,
        1012,
        1013,
        1014,
        3000,
        3999,
        4000,
        4999,
    ):
        yield ended(f"the close code {code}", code, encode(close_body(code), CLOSE))
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535):
        yield ended(f"the invalid close code {code}", 1002, encode(close_body(code), CLOSE))
    yield ended("a close without a code", 1005, encode(b"", CLOSE))
    yield ended("a close of one byte", 1002, encode(b"\x03", CLOSE))
    yield ended("a reason", 1000, encode(close_body(1000, "Tschüß ⚡".encode()), CLOSE))
    yield ended("the longest reason", 1000, encode(close_body(1000, b"x" * 123), CLOSE))
    yield ended("a reason too long", 1002, encode(close_body(1000, b"x" * 124), CLOSE))
    yield ended("a reason that is no text", 1007, encode(close_body(1000, b"\xff"), CLOSE))
    yield ended("a reason with half a character at its end", 1007, encode(close_body(1000, b"x\xc3"), CLOSE))
    bye = encode(close_body(1000), CLOSE)
    yield ended("a close of one byte a packet", 1000, *pieces(bye, 1))
    yield ended("a ping behind a close", 1000, bye + encode(b"", PING))
    yield ended("a text behind a close", 1000, bye + encode(call()))
    yield ended("two closes", 1000, bye + encode(close_body(1001), CLOSE))
    yield ended("rubbish behind a close", 1000, bye + b"\xff" * 1000)


def limits() -> Iterator[Case]:
    yield ended("a text one byte too large", 1009, encode(call_of(LIMIT + 1)))
    yield ended("a frame of two mebibytes", 1009, encode(call_of(2 * LIMIT)))
    yield ended("a frame of two mebibytes in packets", 1009, *pieces(encode(call_of(2 * LIMIT)), 100_000))
    for length in (LIMIT + 1, 1 << 32, (1 << 63) - 1):
        yield ended(
            f"a frame that announces {length} bytes", 1009, header(TEXT, struct.pack("!BQ", 0xFF, length))
        )
    yield ended("fragments of three quarters each", 1009, *fragments(*[b"x" * (LIMIT * 3 // 4)] * 3))


CASES = [*framing(), *fragmented(), *control(), *characters(), *closing(), *limits()]


@dataclass(frozen=True)
class Link:
    """One of the four ways to connect."""

    name: str
    server: Server
    url: str
    trust: Path | None

    def open(self, identity: str) -> RawSocket:
        """A client that sends every packet at once, and takes a stream cut off within TLS for an error."""
        trust = None if self.trust is None else ssl.create_default_context(cafile=str(self.trust))
        raw = RawSocket.open(self.url + identity, trust=trust, timeout_s=TIMEOUT_S)
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if isinstance(raw.socket, ssl.SSLSocket):
            raw.socket.suppress_ragged_eofs = False
        return raw


@pytest.fixture(scope="module")
def links(start_module_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> list[Link]:
    """All four of them, on one server a transport."""
    chain, key = make_certificate(tmp_path_factory.mktemp("conformance"), "server")
    links = []
    for transport in ("greenlet", "reactor"):
        server = start_module_server(
            config=f"""
                transport = "{transport}"
                tls = {{certificate = "{chain}", key = "{key}", port = 0}}
                sessions = {{max_outbox_bytes = 16777216}}
            """
        )
        assert server.wss is not None
        links.append(Link(f"{transport} ws", server, server.ws, None))
        links.append(Link(f"{transport} wss", server, server.wss, chain))
    return links


@pytest.fixture(params=range(4), ids=["greenlet-ws", "greenlet-wss", "reactor-ws", "reactor-wss"])
def link(links: list[Link], request: pytest.FixtureRequest) -> Link:
    """Each of the four."""
    return links[request.param]


@dataclass
class Heard:
    """What a client reads, sorted."""

    answers: list[str] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    closes: list[bytes] = field(default_factory=list)
    data: bytes = b""

    @property
    def close_codes(self) -> list[int]:
        """The codes of the close frames; 1005 for one without."""
        return [int.from_bytes(body[:2], "big") if body else 1005 for body in self.closes]

    def read(self, raw: RawSocket) -> bool:
        """Take what comes next, to the last whole frame; false at the end of the stream."""
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
    """How long the frame is that begins here, or its head; more than is there as long as that cannot be known."""
    if len(data) < 2:
        return 2
    assert not data[1] & 0x80, "a server never masks"
    width = {126: 2, 127: 8}.get(data[1], 0)
    if head:
        return 2 + width
    if len(data) < 2 + width:
        return 2 + width
    return 2 + width + (int.from_bytes(data[2 : 2 + width], "big") if width else data[1])


def hear(raw: RawSocket, *, until: Callable[[Heard], Any] | None = None) -> Heard:
    """Read until something holds, or to the end of the stream, which must come without a reset."""
    heard = Heard()
    while not (until is not None and until(heard)):
        if not heard.read(raw):
            assert until is None, f"the stream ended: {heard}"
            break
    return heard


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_conversation_goes_by_the_rfc_on_every_link(links: list[Link], case: Case) -> None:
    for link in links:
        heard = converse(link, case)
        assert heard.data == b"", link.name
        assert heard.answers == list(case.answers), link.name
        assert heard.pongs == list(case.pongs), link.name
        assert heard.close_codes == [case.close], link.name


def converse(link: Link, case: Case) -> Heard:
    """All that the server says, to the end of the stream."""
    with link.open(f"C{CASES.index(case)}") as raw:
        for packet in case.packets:
            raw.send_bytes(packet)
        heard = Heard()
        if case.client_closes:
            heard = hear(raw, until=lambda heard: complete(heard, case))
            raw.send(close_body(1000), CLOSE)
        while heard.read(raw):
            pass
    return heard


def complete(heard: Heard, case: Case) -> bool:
    """Whether all that was asked for has come."""
    return len(heard.answers) >= len(case.answers) and len(heard.pongs) >= len(case.pongs)


def test_what_the_client_does_not_read_waits_and_arrives_whole_and_in_order(link: Link) -> None:
    """More pongs than the kernel takes: they wait in the outbox, while everything that comes is read."""
    pings = [b"%0125d" % number for number in range(50_000)]
    with link.open("OUTBOX") as raw:
        raw.send_bytes(b"".join(b"\x89\xfd\x00\x00\x00\x00" + ping for ping in pings))
        heard = hear(raw, until=lambda heard: len(heard.pongs) == len(pings))
        assert heard.pongs == pings
        raw.send(call())
        assert hear(raw, until=lambda heard: heard.answers).answers == ["1"]


def test_a_big_message_of_ours_arrives_whole(link: Link) -> None:
    """The command is a CALL of ours, of a size that no kernel takes at once."""
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
