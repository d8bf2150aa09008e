"""Conversations of `test_conformance.py`: the client's bytes, cut into packets, and the bytes that it must read.

Rule: a row is data; the test speaks it.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .rawsocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from .rawsocket import encode as encode_slowly

LIMIT = 1 << 20  # `max_message_bytes` as it is by default
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
    """Encode a frame; a large one with a mask of zeros, which takes no time."""
    if len(payload) < 100_000:
        return encode_slowly(payload, opcode, final=final, **wrong)
    first = (0x80 if final else 0) | opcode
    return struct.pack("!BBQI", first, 0xFF, len(payload), 0) + payload


def call(unique_id: str = "1", data: str = "") -> bytes:
    """Return a CALL that is answered whatever it carries."""
    payload = {"vendorId": "x", "data": data}
    message = [2, unique_id, "DataTransfer", payload]
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def call_of(size: int, unique_id: str = "1") -> bytes:
    """Return a CALL of exactly `size` bytes."""
    text = call(unique_id, "x" * (size - len(call(unique_id))))
    assert len(text) == size
    return text


def fragments(*payloads: bytes, opcode: int = TEXT) -> list[bytes]:
    """Return a message as several frames."""
    last = len(payloads) - 1
    return [
        encode(payload, CONTINUATION if at else opcode, final=at == last)
        for at, payload in enumerate(payloads)
    ]


def pieces(data: bytes, size: int) -> list[bytes]:
    """Cut bytes into packets."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def header(opcode: int, length: bytes) -> bytes:
    """Return the head of a frame with the given bytes as its length, and no more."""
    return bytes((0x80 | opcode,)) + length + b"mask"


def close_body(code: int, reason: bytes = b"") -> bytes:
    return code.to_bytes(2, "big") + reason


@dataclass(frozen=True)
class Conversation:
    """Row of the table. `close` is the code that the server answers or begins with; 1000 answers the client's own."""

    name: str
    packets: Sequence[bytes]
    answers: Sequence[str] = ()
    pongs: Sequence[bytes] = ()
    close: int = 1000
    client_closes: bool = field(default=True)

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def served(
    name: str, *packets: bytes, answers: Sequence[str] = (), pongs: Sequence[bytes] = ()
) -> Conversation:
    """Return a conversation after which the connection goes on."""
    return Conversation(name, packets, answers, pongs)


def ended(name: str, close: int, *packets: bytes, answers: Sequence[str] = ()) -> Conversation:
    """Return a conversation that ends with a code, the server's or an echo of the client's."""
    return Conversation(name, packets, answers, (), close, client_closes=False)


def framing() -> Iterator[Conversation]:
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


def fragmented() -> Iterator[Conversation]:
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


def control() -> Iterator[Conversation]:
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


def characters() -> Iterator[Conversation]:
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


def closing() -> Iterator[Conversation]:
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


def limits() -> Iterator[Conversation]:
    yield ended("a text one byte too large", 1009, encode(call_of(LIMIT + 1)))
    yield ended("a frame of two mebibytes", 1009, encode(call_of(2 * LIMIT)))
    yield ended("a frame of two mebibytes in packets", 1009, *pieces(encode(call_of(2 * LIMIT)), 100_000))
    for length in (LIMIT + 1, 1 << 32, (1 << 63) - 1):
        yield ended(
            f"a frame that announces {length} bytes", 1009, header(TEXT, struct.pack("!BQ", 0xFF, length))
        )
    yield ended("fragments of three quarters each", 1009, *fragments(*[b"x" * (LIMIT * 3 // 4)] * 3))


CASES = [*framing(), *fragmented(), *control(), *characters(), *closing(), *limits()]
