"""The codec against raw bytes: sections 5.2 to 7.4 of RFC 6455, one case a row."""

import itertools
import sys
from collections.abc import Callable
from typing import Any

import pytest

from chargehand.protocol.websocket import CloseCode, Closed, Codec, Event, Failed, Ping, Pong, Role

KEY = bytes.fromhex("37fa213d")  # the key of the examples in section 5.7
SIZES = (0, 1, 125, 126, 127, 65_535, 65_536)
BOTH = pytest.mark.parametrize("role", Role)

FIN, TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 0x80, 0x1, 0x2, 0x8, 0x9, 0xA, 0x0


def xor(payload: bytes) -> bytes:
    return bytes(byte ^ key for byte, key in zip(payload, itertools.cycle(KEY), strict=False))


def frame(role: Role, head: int, payload: bytes = b"", *, form: int = 0, wrong_mask: bool = False) -> bytes:
    """Return a frame as the peer of `role` sends it; `form` (2 or 8) forces that many bytes of length."""
    size = len(payload)
    form = form or (0 if size < 126 else 2 if size < 65_536 else 8)
    masked = (role is Role.SERVER) is not wrong_mask
    seven_bits = {0: size, 2: 126, 8: 127}[form] | (0x80 if masked else 0)
    header = bytes((head, seven_bits)) + (size.to_bytes(form, "big") if form else b"")
    return header + (KEY + xor(payload) if masked else payload)


def told(role: Role, events: list[Event]) -> list[object]:
    """Return events in a form to compare: a reply, which a client masks at random, as its reader sees it."""
    facts: list[object] = []
    for event in events:
        if isinstance(event, Closed | Failed):
            peer = Role.CLIENT if role is Role.SERVER else Role.SERVER
            reply = None if event.reply is None else Codec(peer).receive(event.reply)[0]
            assert reply is None or isinstance(reply, Closed)
            facts.append((type(event), event.code, event.reason, reply and (reply.code, reply.reason)))
        else:
            facts.append(event)
    return facts


def failure(events: list[Event]) -> Failed:
    assert isinstance(events[-1], Failed), events
    return events[-1]


@pytest.mark.parametrize(
    ("role", "raw", "event"),
    [
        (Role.CLIENT, "810548656c6c6f", b"Hello"),
        (Role.SERVER, "818537fa213d7f9f4d5158", b"Hello"),
        (Role.CLIENT, "010348656c80026c6f", b"Hello"),
        (Role.CLIENT, "890548656c6c6f", Ping(b"Hello")),
        (Role.SERVER, "8a8537fa213d7f9f4d5158", Pong(b"Hello")),
    ],
)
def test_the_examples_of_section_5_7_are_read(role: Role, raw: str, event: Event) -> None:
    assert Codec(role).receive(bytes.fromhex(raw)) == [event]


@BOTH
@pytest.mark.parametrize("size", SIZES)
def test_a_text_of_any_size_is_read(role: Role, size: int) -> None:
    text = (b"0123456789" * (size // 10 + 1))[:size]
    events = Codec(role).receive(frame(role, FIN | TEXT, text))
    assert events == [text]
    assert type(events[0]) is bytes


@pytest.mark.parametrize("size", SIZES)
def test_a_server_writes_texts_unmasked_and_a_client_masked(size: int) -> None:
    text = (b"0123456789" * (size // 10 + 1))[:size]
    assert Codec(Role.SERVER).text(text) == frame(Role.CLIENT, FIN | TEXT, text)
    written = Codec(Role.CLIENT).text(text)
    header = frame(Role.SERVER, FIN | TEXT, text)[: len(written) - size - 4]
    key, body = written[len(header) : len(header) + 4], written[len(header) + 4 :]
    assert written.startswith(header)
    assert bytes(byte ^ mask for byte, mask in zip(body, itertools.cycle(key), strict=False)) == text


def test_a_client_masks_every_frame_with_another_key() -> None:
    codec = Codec(Role.CLIENT)
    assert len({codec.text(b"x")[2:6] for _ in range(1000)}) > 990


@BOTH
def test_pings_and_pongs_are_read_with_their_payload(role: Role) -> None:
    full = bytes(range(125))
    stream = frame(role, FIN | PING) + frame(role, FIN | PING, full) + frame(role, FIN | PONG, b"\xff")
    assert Codec(role).receive(stream) == [Ping(b""), Ping(full), Pong(b"\xff")]


def test_pings_and_pongs_are_written() -> None:
    codec = Codec(Role.SERVER)
    assert codec.ping() == bytes.fromhex("8900")
    assert codec.ping(b"Hello") == bytes.fromhex("890548656c6c6f")
    assert codec.pong(bytes(125)) == bytes.fromhex("8a7d") + bytes(125)


@pytest.mark.parametrize("write", [Codec.ping, Codec.pong])
def test_a_control_frame_over_125_bytes_is_the_callers_fault(write: Callable[[Codec, bytes], bytes]) -> None:
    with pytest.raises(ValueError, match="125"):
        write(Codec(Role.SERVER), bytes(126))


# ---------------------------------------------------------------- what breaks the protocol

# Each is the frames of a stream, of which the last is the offence.
PROTOCOL_ERRORS: dict[str, list[tuple[int, bytes, dict[str, Any]]]] = {
    "the wrong masking of a text": [(FIN | TEXT, b"Hello", {"wrong_mask": True})],
    "the wrong masking of an empty text": [(FIN | TEXT, b"", {"wrong_mask": True})],
    "the wrong masking of a long text": [(FIN | TEXT, bytes(126), {"wrong_mask": True})],
    "the wrong masking of a huge text": [(FIN | TEXT, bytes(65_536), {"wrong_mask": True})],
    "the wrong masking of a ping": [(FIN | PING, b"", {"wrong_mask": True})],
    "a continuation of nothing": [(CONTINUATION, b"Hello", {})],
    "a last continuation of nothing": [(FIN | CONTINUATION, b"Hello", {})],
    "a continuation after a whole text": [(FIN | TEXT, b"a", {}), (FIN | CONTINUATION, b"b", {})],
    "a whole text inside a fragmented one": [(TEXT, b"a", {}), (FIN | TEXT, b"b", {})],
    "a fragment inside a fragmented text": [(TEXT, b"a", {}), (TEXT, b"b", {})],
    "a binary inside a fragmented text": [(TEXT, b"a", {}), (FIN | BINARY, b"b", {})],
    "5 bytes announced in 2": [(FIN | TEXT, b"Hello", {"form": 2})],
    "125 bytes announced in 2": [(FIN | TEXT, bytes(125), {"form": 2})],
    "5 bytes announced in 8": [(FIN | TEXT, b"Hello", {"form": 8})],
    "65535 bytes announced in 8": [(FIN | TEXT, bytes(65_535), {"form": 8})],
    "a short ping announced in 2": [(FIN | PING, b"Hello", {"form": 2})],
    "a close of one byte": [(FIN | CLOSE, b"\x03", {})],
}
for bits in range(0x10, 0x80, 0x10):
    PROTOCOL_ERRORS[f"a text with reserved bits {bits:#x}"] = [(FIN | bits | TEXT, b"a", {})]
    PROTOCOL_ERRORS[f"a ping with reserved bits {bits:#x}"] = [(FIN | bits | PING, b"a", {})]
    PROTOCOL_ERRORS[f"a fragment with reserved bits {bits:#x}"] = [
        (TEXT, b"a", {}),
        (FIN | bits | CONTINUATION, b"b", {}),
    ]
for opcode in (*range(0x3, 0x8), *range(0xB, 0x10)):
    PROTOCOL_ERRORS[f"opcode {opcode:#x}"] = [(FIN | opcode, b"a", {})]
    PROTOCOL_ERRORS[f"opcode {opcode:#x} without FIN"] = [(opcode, b"", {})]
for opcode in (CLOSE, PING, PONG):
    PROTOCOL_ERRORS[f"a fragmented control frame {opcode:#x}"] = [(opcode, b"", {})]
    PROTOCOL_ERRORS[f"a control frame {opcode:#x} of 126 bytes"] = [(FIN | opcode, bytes(126), {})]
    PROTOCOL_ERRORS[f"a control frame {opcode:#x} of 65536 bytes"] = [(FIN | opcode, bytes(65_536), {})]
BINARIES: dict[str, list[tuple[int, bytes, dict[str, Any]]]] = {
    "a binary message": [(FIN | BINARY, b"\0", {})],
    "an empty binary message": [(FIN | BINARY, b"", {})],
    "a fragmented binary message": [(BINARY, b"\0", {})],
}
VIOLATIONS = PROTOCOL_ERRORS | BINARIES


@BOTH
@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_ends_the_stream_with_its_code(role: Role, name: str) -> None:
    *harmless, offence = (frame(role, head, text, **options) for head, text, options in VIOLATIONS[name])
    after = frame(role, FIN | TEXT, b"after")
    codec = Codec(role)
    before = codec.receive(frame(role, FIN | TEXT, b"before") + b"".join(harmless))
    assert before[0] == b"before"
    events = codec.receive(frame(role, FIN | PING) + offence + after)
    code = CloseCode.UNSUPPORTED_DATA if name in BINARIES else CloseCode.PROTOCOL_ERROR
    reason = failure(events).reason
    assert told(role, events) == [Ping(b""), (Failed, code, reason, (code, reason))]
    assert codec.receive(after) == []


@BOTH
@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_in_single_bytes_is_the_same_violation(role: Role, name: str) -> None:
    stream = b"".join(frame(role, head, text, **options) for head, text, options in VIOLATIONS[name])
    codec = Codec(role)
    piecewise = [event for byte in stream for event in codec.receive(bytes((byte,)))]
    assert told(role, piecewise) == told(role, Codec(role).receive(stream))


@BOTH
def test_a_length_with_its_top_bit_set_is_a_violation(role: Role) -> None:
    masked = 0x80 if role is Role.SERVER else 0
    huge = bytes((FIN | TEXT, masked | 127)) + (1 << 63).to_bytes(8, "big")
    assert failure(Codec(role).receive(huge)).code == CloseCode.PROTOCOL_ERROR


# ---------------------------------------------------------------- sizes


@BOTH
@pytest.mark.parametrize(
    ("limit", "announced"),
    [(10, 11), (125, 126), (200, 201), (65_535, 65_536), (1_048_576, 1_048_577), (1_048_576, (1 << 63) - 1)],
)
def test_a_size_over_the_limit_fails_when_it_is_announced(role: Role, limit: int, announced: int) -> None:
    masked = 0x80 if role is Role.SERVER else 0
    form = 0 if announced < 126 else 2 if announced < 65_536 else 8
    header = bytes((FIN | TEXT, masked | {0: announced, 2: 126, 8: 127}[form]))
    header += announced.to_bytes(form, "big") if form else b""
    codec = Codec(role, max_message_bytes=limit)
    events = [codec.receive(bytes((byte,))) for byte in header]
    assert events[:-1] == [[]] * (len(header) - 1)
    assert failure(events[-1]).code == CloseCode.MESSAGE_TOO_BIG


@BOTH
@pytest.mark.parametrize("limit", [0, 10, 125, 126, 65_536])
def test_a_message_as_long_as_the_limit_is_read(role: Role, limit: int) -> None:
    text = b"x" * limit
    whole = frame(role, FIN | TEXT, text)
    halves = frame(role, TEXT, text[: limit // 2]) + frame(role, FIN | CONTINUATION, text[limit // 2 :])
    assert Codec(role, max_message_bytes=limit).receive(whole + halves + whole) == [text, text, text]


@BOTH
def test_fragments_over_the_limit_fail_at_the_header_that_passes_it(role: Role) -> None:
    codec = Codec(role, max_message_bytes=1000)
    assert codec.receive(frame(role, TEXT, bytes(600)) + frame(role, CONTINUATION, bytes(400))) == []
    assert failure(codec.receive(frame(role, FIN | CONTINUATION, b"x")[:2])).code == CloseCode.MESSAGE_TOO_BIG


@BOTH
def test_a_control_frame_is_not_bound_by_the_limit_of_messages(role: Role) -> None:
    codec = Codec(role, max_message_bytes=4)
    stream = frame(role, TEXT, b"abcd") + frame(role, FIN | PING, b"12345") + frame(role, FIN | CONTINUATION)
    assert codec.receive(stream) == [Ping(b"12345"), b"abcd"]


def test_the_limit_is_one_mebibyte_unless_said() -> None:
    whole = frame(Role.SERVER, FIN | TEXT, b"x" * 1_048_576)
    assert Codec(Role.SERVER).receive(whole) == [b"x" * 1_048_576]


# ---------------------------------------------------------------- pieces, fragments, memory


@BOTH
def test_frames_are_read_wherever_the_reads_are_cut(role: Role) -> None:
    stream = b"".join(
        (
            frame(role, FIN | TEXT, b""),
            frame(role, FIN | TEXT, "§5".encode()),
            frame(role, TEXT, b"a" * 125),
            frame(role, FIN | PING, b"?"),
            frame(role, CONTINUATION, b"b" * 126),
            frame(role, FIN | CONTINUATION, b""),
            frame(role, FIN | CLOSE, b"\x03\xe8bye"),
        )
    )
    expected = [b"", "§5".encode(), Ping(b"?"), b"a" * 125 + b"b" * 126]
    for cut in range(len(stream) + 1):
        codec = Codec(role)
        events = codec.receive(stream[:cut]) + codec.receive(stream[cut:])
        assert events[:-1] == expected
        assert told(role, events)[-1] == (Closed, 1000, "bye", (1000, ""))


@BOTH
@pytest.mark.parametrize("size", SIZES)
def test_a_header_is_read_wherever_it_is_cut(role: Role, size: int) -> None:
    stream = frame(role, FIN | TEXT, b"x" * size)
    header = stream[: min(14, len(stream) - 1)]
    codec = Codec(role)
    assert [codec.receive(bytes((byte,))) for byte in header] == [[]] * len(header)
    assert codec.receive(stream[len(header) :]) == [b"x" * size]
    for cut in range(len(header)):
        assert codec.receive(stream[:cut]) == []
        assert codec.receive(stream[cut:]) == [b"x" * size]


@BOTH
def test_control_frames_between_fragments_are_told_at_once(role: Role) -> None:
    codec = Codec(role)
    assert codec.receive(frame(role, TEXT, b"one ") + frame(role, FIN | PING, b"p")) == [Ping(b"p")]
    assert codec.receive(frame(role, CONTINUATION, b"two ") + frame(role, FIN | PONG, b"q")) == [Pong(b"q")]
    assert codec.receive(frame(role, CONTINUATION)) == []
    assert codec.receive(frame(role, FIN | CONTINUATION, b"three")) == [b"one two three"]
    assert codec.receive(frame(role, FIN | TEXT, b"next")) == [b"next"]


@BOTH
def test_a_message_of_empty_fragments_is_empty(role: Role) -> None:
    stream = frame(role, TEXT) + frame(role, CONTINUATION) * 3 + frame(role, FIN | CONTINUATION)
    assert Codec(role).receive(stream) == [b""]


@BOTH
def test_an_unfinished_frame_grows_in_place(role: Role) -> None:
    stream = frame(role, FIN | TEXT, b"x" * 100_000)
    codec = Codec(role)
    codec.receive(stream[:1000])
    held = codec._pending
    for at in range(1000, len(stream) - 1):
        assert codec.receive(stream[at : at + 1]) == []
    assert codec._pending is held
    events = codec.receive(stream[-1:])
    assert events == [b"x" * 100_000]
    assert type(events[0]) is bytes


@BOTH
@pytest.mark.parametrize("ending", ["text", "close", "failure"])
def test_a_codec_with_nothing_unfinished_holds_no_buffer(role: Role, ending: str) -> None:
    codec = Codec(role)
    codec.receive(frame(role, TEXT, b"a" * 50_000))
    rest = {
        "text": frame(role, FIN | CONTINUATION, b"b" * 50_000),
        "close": frame(role, FIN | CLOSE) + b"\x81",
        "failure": frame(role, FIN | BINARY) + b"\x81",
    }[ending]
    for at in range(0, len(rest), 100):
        codec.receive(rest[at : at + 100])
    assert sys.getsizeof(codec) < 200
    assert all(getattr(codec, slot) is None for slot in ("_pending", "_message"))
    assert all(isinstance(getattr(codec, slot), int | None) for slot in Codec.__slots__)


# ---------------------------------------------------------------- UTF-8

# Boundaries of each length of a sequence, and the characters beside the surrogates.
VALID = ["", "κόσμε", *"$\0\x7f\x80£\u07ff\u0800\ud7ff\ue000\ufffe\uffff\U00010000😀\U0010ffff"]
INVALID = [
    *("80", "bf", "6180", "c2", "c328", "e282", "e228a1", "f09f98", "f0288cbc"),  # alone or cut short
    *("c080", "c0af", "c1bf", "e080af", "e09fbf", "f08080af", "f08fbfbf"),  # longer than need be
    *("eda080", "edadbf", "edb080", "edbfbf", "eda080edb080"),  # surrogates
    *("f4908080", "f5808080", "f7bfbfbf", "f887bfbfbf", "fc83bfbfbfbf", "fe", "ff"),  # beyond U+10FFFF
    "cebae1bdb9cf83cebcceb5eda080656469746564",
]


@BOTH
@pytest.mark.parametrize("text", VALID)
def test_valid_utf_8_is_told_as_it_came_however_it_is_fragmented(role: Role, text: str) -> None:
    raw = text.encode()
    assert Codec(role).receive(frame(role, FIN | TEXT, raw)) == [raw]
    for cut in range(len(raw) + 1):
        stream = frame(role, TEXT, raw[:cut]) + frame(role, FIN | CONTINUATION, raw[cut:])
        assert Codec(role).receive(stream) == [raw]


@BOTH
@pytest.mark.parametrize("raw", INVALID)
def test_invalid_utf_8_fails_with_1007_however_it_is_fragmented(role: Role, raw: str) -> None:
    bad = bytes.fromhex(raw)
    cuts = range(len(bad) + 1)
    fragmented = [frame(role, TEXT, bad[:cut]) + frame(role, FIN | CONTINUATION, bad[cut:]) for cut in cuts]
    for stream in (frame(role, FIN | TEXT, b"ok " + bad), *fragmented):
        events = Codec(role).receive(stream)
        assert [failure(events).code, len(events)] == [CloseCode.INVALID_DATA, 1]
