"""The codec of connections with compression, judged by the one of `websockets` (RFC 7692, sections 6 and 7)."""

import sys
import tracemalloc
import zlib
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Frame, Opcode
from websockets.headers import build_extension, parse_extension
from websockets.streams import StreamReader

from chargehand.protocol.deflate import OFFER, Deflate, answer_offer, deflate, make_deflater, read_answer
from chargehand.protocol.deflate_codec import TURN_BYTES, DeflateCodec
from chargehand.protocol.websocket import CloseCode, Closed, Codec, Failed, Ping, Pong, Role

from .test_websocket import BOTH, CONTINUATION, FIN, PING, TEXT, failure, frame

RSV1 = 0x40
LIMIT = 1 << 20
OTHER = {Role.SERVER: Role.CLIENT, Role.CLIENT: Role.SERVER}
AGREED = Deflate(min_bytes=1)
KEPT = Deflate(server_takeover=True, client_takeover=True, min_bytes=1)
HELLO = bytes.fromhex("f248cdc9c90700")
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.one_of(
    st.text(max_size=200),
    st.builds(lambda part, times: part * times, st.text(min_size=1, max_size=30), st.integers(1, 400)),
).map(str.encode)
offers = st.builds(
    ClientPerMessageDeflateFactory,
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    server_max_window_bits=st.none() | st.integers(8, 15),
    client_max_window_bits=st.sampled_from((None, True, *range(9, 16))),
)


def packed(text: bytes) -> bytes:
    return deflate(text, make_deflater(15))


def theirs(offer: ClientPerMessageDeflateFactory, answer: str) -> PerMessageDeflate:
    """Return the extension of a client of `websockets` that has read our answer."""
    ((name, parameters),) = parse_extension(answer)
    assert name == "permessage-deflate"
    return offer.process_response_params(parameters, [])


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = (0, *sorted(min(at, len(stream)) for at in cuts), len(stream))
    return [stream[a:b] for a, b in pairwise(edges)]


def written_by(extension: PerMessageDeflate, text: bytes, cuts: list[int], *, masked: bool) -> bytes:
    """Return a message in fragments, a ping before each, as `websockets` writes it."""
    stream, parts = b"", cut(text, cuts)
    for number, part in enumerate(parts):
        opcode = Opcode.CONT if number else Opcode.TEXT
        stream += Frame(Opcode.PING, b"p").serialize(mask=masked)
        whole = Frame(opcode, part, fin=number == len(parts) - 1)
        stream += whole.serialize(mask=masked, extensions=[extension])
    return stream


def read_by(extension: PerMessageDeflate, stream: bytes, *, masked: bool) -> list[bytes]:
    """Return the texts of a stream of whole frames as `websockets` reads it."""
    reader = StreamReader()
    reader.feed_data(stream)
    found: list[bytes] = []
    while reader.buffer:
        parsing = Frame.parse(reader.read_exact, mask=masked, max_size=LIMIT, extensions=[extension])
        try:
            next(parsing)
        except StopIteration as parsed:
            found.append(bytes(parsed.value.data))
    return found


@patient
@given(
    offers,
    st.booleans(),
    st.integers(9, 15),
    st.lists(texts, max_size=4),
    st.lists(st.integers(0, 300), max_size=4),
    st.lists(st.integers(0, 3000), max_size=10),
)
def test_a_client_of_websockets_and_our_server_understand_each_other(
    offer, takeover, bits, said, fragments, chunks
):
    header = build_extension([("permessage-deflate", offer.get_request_params())])
    answer = answer_offer(header, takeover=takeover, window_bits=bits, min_bytes=1)
    extension, codec = theirs(offer, answer.header), DeflateCodec(Role.SERVER, answer.deflate)
    stream = b"".join(written_by(extension, text, fragments, masked=True) for text in said)
    events = [event for piece in cut(stream, chunks) for event in codec.receive(piece)]
    assert [event for event in events if type(event) is bytes] == said
    assert events.count(Ping(b"p")) == len(said) * (len(fragments) + 1)
    assert read_by(extension, b"".join(map(codec.text, said)), masked=False) == said


@patient
@given(
    st.builds(ServerPerMessageDeflateFactory, client_no_context_takeover=st.booleans()),
    st.lists(texts, max_size=4),
    st.lists(st.integers(0, 300), max_size=4),
)
def test_our_client_and_a_server_of_websockets_understand_each_other(factory, said, fragments):
    ((_, parameters),) = parse_extension(OFFER)
    answer, extension = factory.process_request_params(parameters, [])
    codec = DeflateCodec(Role.CLIENT, read_answer(build_extension([("permessage-deflate", answer)])))
    stream = b"".join(written_by(extension, text, fragments, masked=False) for text in said)
    assert [event for event in codec.receive(stream) if type(event) is bytes] == said
    assert read_by(extension, b"".join(map(codec.text, said)), masked=True) == said


@patient
@given(st.sampled_from([AGREED, KEPT]), st.sampled_from(Role), st.lists(texts, max_size=6))
@example(KEPT, Role.SERVER, [b"", b"", b"a", b""])
def test_what_one_role_writes_with_compression_the_other_reads(agreed, role, said):
    writer, reader = DeflateCodec(role, agreed), DeflateCodec(OTHER[role], agreed)
    stream = b"".join(map(writer.text, said)) + writer.ping(b"p") + writer.close(1001, "bye")
    *events, closed = reader.receive(stream)
    assert events == [*said, Ping(b"p")]
    assert isinstance(closed, Closed)
    assert writer.receive(closed.reply) == [Closed(1001, "", None)]


@patient
@given(
    st.lists(texts, max_size=4),
    st.lists(st.integers(0, 300), max_size=3),
    st.integers(0, 40),
    st.data(),
)
def test_damaged_frames_cut_anywhere_yield_what_they_yield_as_a_whole(said, fragments, most, data):
    extension = PerMessageDeflate(True, True, 15, 15)  # noqa: FBT003 - their order
    stream = bytearray(b"".join(written_by(extension, text, fragments, masked=True) for text in said))
    for _ in range(data.draw(st.integers(0, 3)) if stream else 0):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    chunks = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    whole, pieces = [DeflateCodec(Role.SERVER, AGREED, max_message_bytes=3000) for _ in range(2)]
    expected, got = whole.receive(bytes(stream)), []
    for piece in cut(bytes(stream), chunks):
        got += pieces.receive(piece, most + 1)
        assert pieces.frames <= most + 1
        while pieces.unfinished:
            got += pieces.receive(b"", most + 1)
    assert got == expected
    assert all(len(event) <= 3000 for event in got if type(event) is bytes)
    assert not any(isinstance(event, Failed | Closed) for event in got[:-1])


@BOTH
def test_plain_and_compressed_messages_may_be_mixed(role):
    stream = (
        frame(role, FIN | TEXT, b"plain")
        + frame(role, FIN | RSV1 | TEXT, HELLO)
        + frame(role, RSV1 | TEXT, HELLO[:3])
        + frame(role, FIN | PING, b"x")
        + frame(role, FIN | CONTINUATION, HELLO[3:])
        + frame(role, TEXT, b"pl")
        + frame(role, FIN | CONTINUATION, b"ain")
    )
    events = [b"plain", b"Hello", Ping(b"x"), b"Hello", b"plain"]
    assert DeflateCodec(role, AGREED).receive(stream) == events
    codec = DeflateCodec(role, AGREED)
    assert [event for byte in stream for event in codec.receive(bytes((byte,)))] == events


@BOTH
@pytest.mark.parametrize(
    ("head", "before"),
    [
        (FIN | RSV1 | PING, None),
        (FIN | RSV1 | 0xA, None),
        (FIN | RSV1 | 0x8, None),
        (FIN | RSV1 | CONTINUATION, RSV1 | TEXT),
        (FIN | RSV1 | CONTINUATION, TEXT),
        (FIN | RSV1 | CONTINUATION, None),
        (FIN | RSV1 | TEXT, RSV1 | TEXT),
        (FIN | TEXT, RSV1 | TEXT),
        (FIN | RSV1 | 0x3, None),
        (FIN | 0x20 | TEXT, None),
        (FIN | 0x10 | RSV1 | TEXT, None),
        (FIN | 0x60 | TEXT, None),
        (FIN | CONTINUATION, None),
    ],
)
def test_the_bit_of_compression_anywhere_else_is_a_protocol_error(role, head, before):
    codec = DeflateCodec(role, AGREED)
    start = b"" if before is None else frame(role, before, b"he")
    assert failure(codec.receive(start + frame(role, head, b"\x03\xe8"))).code == CloseCode.PROTOCOL_ERROR


@BOTH
def test_a_compressed_message_without_agreement_is_a_protocol_error(role):
    assert (
        failure(Codec(role).receive(frame(role, FIN | RSV1 | TEXT, HELLO))).code == CloseCode.PROTOCOL_ERROR
    )


@BOTH
def test_a_compressed_binary_message_is_refused_as_binary(role):
    failed = failure(DeflateCodec(role, AGREED).receive(frame(role, FIN | RSV1 | 0x2, HELLO)))
    assert failed.code == CloseCode.UNSUPPORTED_DATA


@BOTH
@pytest.mark.parametrize("agreed", [AGREED, KEPT])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x07", "compressed data is corrupt"),
        (b"\x00\x20\x00\xdf\xffHel", "compressed data does not end with a whole block"),
        (packed(b"\xff\xfe"), "text is not UTF-8"),
        (packed(b"fine, but \xc3"), "text is not UTF-8"),
        (packed("\ud800".encode("utf-8", "surrogatepass")), "text is not UTF-8"),
    ],
)
def test_corrupt_data_and_what_is_no_utf_8_when_inflated_is_invalid_data(role, agreed, data, reason):
    failed = failure(DeflateCodec(role, agreed).receive(frame(role, FIN | RSV1 | TEXT, data)))
    assert (failed.code, failed.reason) == (CloseCode.INVALID_DATA, reason)
    codec = DeflateCodec(role, agreed)
    parts = frame(role, RSV1 | TEXT, data[:1]) + frame(role, FIN | CONTINUATION, data[1:])
    failed = failure(codec.receive(parts))
    assert (failed.code, failed.reason) == (CloseCode.INVALID_DATA, reason)


@BOTH
def test_utf_8_is_judged_when_inflated_not_as_it_comes(role):
    text = "Zürich ⚡ 充电".encode()
    assert DeflateCodec(role, AGREED).receive(frame(role, FIN | RSV1 | TEXT, packed(text))) == [text]
    with pytest.raises(UnicodeDecodeError):
        packed(text).decode()


@BOTH
@pytest.mark.parametrize("agreed", [AGREED, KEPT])
def test_the_limit_is_that_of_the_inflated_message_and_the_reason_names_it(role, agreed):
    codec = DeflateCodec(role, agreed, max_message_bytes=1000)
    assert codec.receive(frame(role, FIN | RSV1 | TEXT, packed(b"x" * 1000))) == [b"x" * 1000]
    failed = failure(codec.receive(frame(role, FIN | RSV1 | TEXT, packed(b"x" * 1001))))
    assert failed.code == CloseCode.MESSAGE_TOO_BIG
    assert failed.reason == "message over 1000 bytes when inflated (max_message_bytes)"


@BOTH
def test_compressed_bytes_are_bounded_too_by_the_header_that_announces_them(role):
    codec = DeflateCodec(role, AGREED, max_message_bytes=1000)
    head = frame(role, FIN | RSV1 | TEXT, bytes(1200))[:8]
    assert failure(codec.receive(head)).code == CloseCode.MESSAGE_TOO_BIG
    codec = DeflateCodec(role, AGREED, max_message_bytes=1000)
    assert codec.receive(frame(role, RSV1 | TEXT, HELLO[:3])) == []
    head = frame(role, CONTINUATION, bytes(1200))[:8]
    assert failure(codec.receive(head)).code == CloseCode.MESSAGE_TOO_BIG


@BOTH
def test_a_message_of_the_largest_size_that_does_not_get_shorter_is_taken(role):
    text = b"".join(b"%d" % (at * at * 7919) for at in range(120_000))[:LIMIT]
    writer = zlib.compressobj(0, wbits=-9, memLevel=1)
    data = (writer.compress(text) + writer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    assert len(data) > len(text) == LIMIT
    assert DeflateCodec(role, AGREED).receive(frame(role, FIN | RSV1 | TEXT, data)) == [text]


@pytest.mark.parametrize("agreed", [AGREED, KEPT])
@pytest.mark.parametrize("pieces", [1, 7])
def test_a_bomb_of_1000_to_1_costs_less_than_two_mebibytes_whatever_its_frames(agreed, pieces):
    writer = zlib.compressobj(9, wbits=-15)
    data = b"".join(writer.compress(bytes(LIMIT)) for _ in range(64)) + writer.flush(zlib.Z_SYNC_FLUSH)
    step = len(data) // pieces + 1
    parts = [data[at : at + step] for at in range(0, len(data), step)]
    heads = [RSV1 | TEXT, *[CONTINUATION] * (len(parts) - 1)]
    heads[-1] |= FIN
    stream = b"".join(map(Codec(Role.CLIENT)._frame, heads, parts))
    codec = DeflateCodec(Role.SERVER, agreed)
    events = []
    tracemalloc.start()
    try:
        for at in range(0, len(stream), 16_384):
            events += codec.receive(stream[at : at + 16_384], 32)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert failure(events).code == CloseCode.MESSAGE_TOO_BIG
    assert peak < 2 * LIMIT


@BOTH
@pytest.mark.parametrize("agreed", [AGREED, KEPT])
def test_a_long_message_is_inflated_as_it_comes_and_cut_before_its_end(role, agreed):
    writer = zlib.compressobj(9, wbits=-15)
    data = b"".join(writer.compress(bytes(LIMIT)) for _ in range(64)) + writer.flush(zlib.Z_SYNC_FLUSH)
    stream = frame(role, FIN | RSV1 | TEXT, data)
    codec = DeflateCodec(role, agreed)
    sent, events = 0, []
    while not events:
        events = codec.receive(stream[sent : sent + 500])
        sent += 500
    assert failure(events).code == CloseCode.MESSAGE_TOO_BIG
    assert sent < len(stream) / 20


@pytest.mark.parametrize("agreed", [AGREED, KEPT])
@pytest.mark.parametrize("step", [1, 13, 14, 15, 1000, 16_384, 70_000])
def test_long_messages_in_reads_of_any_size_are_read(agreed, step):
    said = [b"".join(b"%d," % (at * at) for at in range(count)) for count in (5, 2000, 9000)]
    writer, reader = DeflateCodec(Role.CLIENT, agreed), DeflateCodec(Role.SERVER, agreed)
    stream = b"".join(map(writer.text, said))
    got = [event for at in range(0, len(stream), step) for event in reader.receive(stream[at : at + step])]
    assert got == said


@pytest.mark.parametrize("part", [b"", b"\x00\x00\x00\xff\xff"])
def test_endless_fragments_that_hold_nothing_cost_nothing(part):
    codec, fragment = DeflateCodec(Role.SERVER, AGREED), frame(Role.SERVER, CONTINUATION, part)
    codec.receive(frame(Role.SERVER, RSV1 | TEXT, b"\x00\x00\x00\xff\xff") + fragment)
    tracemalloc.start()
    try:
        for _ in range(5000):
            assert codec.receive(fragment, 32) == []
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 3000


def test_fragments_of_two_bytes_cost_no_more_than_their_text():
    text = b"0123456789abcdef" * 4000
    writer = zlib.compressobj(0, wbits=-15)
    data = (writer.compress(text) + writer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    frames = [frame(Role.SERVER, CONTINUATION, data[at : at + 2]) for at in range(2, len(data), 2)]
    codec = DeflateCodec(Role.SERVER, AGREED)
    codec.receive(frame(Role.SERVER, RSV1 | TEXT, data[:2]))
    tracemalloc.start()
    try:
        for one in frames:
            codec.receive(one, 32)
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 2 * len(text)
    assert codec.receive(frame(Role.SERVER, FIN | CONTINUATION)) == [text]


def test_short_messages_and_what_would_get_longer_are_sent_plain():
    codec = DeflateCodec(Role.SERVER, Deflate(min_bytes=10))
    assert codec.text(b"a" * 9) == Codec(Role.SERVER).text(b"a" * 9)
    assert codec.text(b"0123456789") == Codec(Role.SERVER).text(b"0123456789")
    assert codec.text(b"a" * 100)[0] == FIN | RSV1 | TEXT
    assert len(codec.text(b"a" * 100)) < 20


def test_without_context_takeover_nothing_of_a_message_is_kept_for_the_next():
    codec = DeflateCodec(Role.SERVER, AGREED)
    assert codec.text(b"abcdefgh" * 50) == codec.text(b"abcdefgh" * 50)
    codec.receive(frame(Role.SERVER, FIN | RSV1 | TEXT, packed(b"abcdefgh" * 50)))
    assert codec._deflater is codec._inflater is None
    assert sys.getsizeof(codec) <= sys.getsizeof(Codec(Role.SERVER)) + 40


def test_with_context_takeover_the_same_message_is_shorter_the_second_time():
    codec, reader = DeflateCodec(Role.SERVER, KEPT), DeflateCodec(Role.CLIENT, KEPT)
    first, second = codec.text(b"0123456789 abcdefgh"), codec.text(b"0123456789 abcdefgh")
    assert len(second) < len(first) - 10
    assert reader.receive(first + second) == [b"0123456789 abcdefgh"] * 2


def test_a_stream_that_is_ended_in_a_message_begins_again_with_the_next():
    writer = zlib.compressobj(wbits=-15)
    data = writer.compress(b"one") + writer.flush()
    stream = frame(Role.SERVER, FIN | RSV1 | TEXT, data + b"\x00") + frame(
        Role.SERVER, FIN | RSV1 | TEXT, HELLO
    )
    assert DeflateCodec(Role.SERVER, KEPT).receive(stream) == [b"one", b"Hello"]


def test_a_turn_ends_by_what_is_inflated_and_the_rest_waits():
    bomb = frame(Role.SERVER, FIN | RSV1 | TEXT, packed(bytes(600_000)))
    pong = frame(Role.SERVER, FIN | 0xA, b"x")
    codec = DeflateCodec(Role.SERVER, AGREED)
    assert codec.receive(pong + bomb * 3 + pong, 32) == [Pong(b"x"), bytes(600_000)]
    assert (codec.frames, codec.unfinished) == (2, True)
    assert TURN_BYTES < codec.grown == 600_000 - len(packed(bytes(600_000)))
    assert codec.receive(b"", 32) == codec.receive(b"", 32) == [bytes(600_000)]
    assert codec.receive(b"", 32) == [Pong(b"x")]
    assert (codec.frames, codec.unfinished, codec.grown) == (1, False, 0)


def test_the_end_frees_what_context_takeover_keeps():
    codec = DeflateCodec(Role.SERVER, KEPT)
    codec.text(b"hello hello hello")
    codec.receive(frame(Role.SERVER, FIN | RSV1 | TEXT, HELLO))
    assert codec._deflater is not None
    assert codec._inflater is not None
    codec.receive(frame(Role.SERVER, FIN | RSV1 | TEXT, b"\x07"))
    assert codec._deflater is codec._inflater is None
