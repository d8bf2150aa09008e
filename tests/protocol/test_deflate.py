"""Compression without frames: what is agreed on, and what comes of compressed data (RFC 7692, section 7)."""

import random
import tracemalloc
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chargehand.protocol.deflate import (
    OFFER,
    CorruptDeflate,
    Deflate,
    InflatesTooFar,
    Inflation,
    answer_offer,
    deflate,
    inflate,
    longest_deflated,
    make_deflater,
    make_inflater,
    read_answer,
)
from chargehand.protocol.handshake import HandshakeError

NOTHING_KEPT = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
LIMIT = 1 << 20
patient = settings(deadline=None)
SIZES = (1, 63, 1 << 14, (1 << 14) + 1, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 200_000)


def compressed(text, bits=15, level=6):
    writer = zlib.compressobj(level, wbits=-bits)
    return (writer.compress(text) + writer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflate_with(inflater, data, limit, step=1 << 20):
    """Inflate data that comes in parts."""
    inflation = Inflation(inflater, limit)
    for at in range(0, len(data), step):
        inflation.feed(data[at : at + step])
    return inflation.end()


def finished(text):
    """Return data whose last block says that it is the last."""
    writer = zlib.compressobj(wbits=-15)
    return writer.compress(text) + writer.flush()


def random_text(size, seed=1):
    return random.Random(seed).randbytes(size // 2 + 1).hex().encode()[:size]


# Agreement


@pytest.mark.parametrize(
    ("offered", "answer"),
    [
        ("permessage-deflate", NOTHING_KEPT),
        ("permessage-deflate; client_max_window_bits", NOTHING_KEPT + "; client_max_window_bits=12"),
        ("permessage-deflate; client_max_window_bits=15", NOTHING_KEPT + "; client_max_window_bits=12"),
        ("permessage-deflate; client_max_window_bits=10", NOTHING_KEPT + "; client_max_window_bits=10"),
        ("permessage-deflate; server_max_window_bits=10", NOTHING_KEPT + "; server_max_window_bits=10"),
        ("permessage-deflate; server_max_window_bits=15", NOTHING_KEPT + "; server_max_window_bits=12"),
        ("permessage-deflate; server_max_window_bits=8", NOTHING_KEPT + "; server_max_window_bits=8"),
        ('permessage-deflate; server_max_window_bits="9"', NOTHING_KEPT + "; server_max_window_bits=9"),
        ('permessage-deflate; server_max_window_bits="\\9"', NOTHING_KEPT + "; server_max_window_bits=9"),
        ("permessage-deflate;server_no_context_takeover;client_no_context_takeover", NOTHING_KEPT),
        (" \tpermessage-deflate ;\t client_no_context_takeover ", NOTHING_KEPT),
        ("x-webkit-deflate-frame, permessage-deflate", NOTHING_KEPT),
        ('other; text="a, permessage-deflate; x", permessage-deflate', NOTHING_KEPT),
        (", ,permessage-deflate,", NOTHING_KEPT),
        ("permessage-deflate; server_max_window_bits=7, permessage-deflate", NOTHING_KEPT),
        (
            "permessage-deflate; unheard_of, permessage-deflate; server_max_window_bits=9, permessage-deflate",
            NOTHING_KEPT + "; server_max_window_bits=9",
        ),
    ],
)
def test_the_first_acceptable_offer_is_accepted_with_small_windows(offered, answer):
    assert answer_offer(offered).header == answer


@pytest.mark.parametrize(
    "parameters",
    [
        "unheard_of",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "server_max_window_bits",
        "server_max_window_bits=",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=010",
        "server_max_window_bits=+9",
        "server_max_window_bits=9.0",
        "server_max_window_bits=\u0669",
        "client_max_window_bits=",
        "client_max_window_bits=7",
        "client_max_window_bits=99999999999999999999999999",
        "server_no_context_takeover; server_no_context_takeover",
        "client_max_window_bits; client_max_window_bits=9",
        "server_max_window_bits=9; server_max_window_bits=9",
        "",
        "; server_no_context_takeover",
        "Server_No_Context_Takeover",
        'server_max_window_bits="9;"',
    ],
)
def test_an_offer_with_unknown_wrong_or_repeated_parameters_is_declined(parameters):
    assert answer_offer(f"permessage-deflate; {parameters}") is None
    assert answer_offer(f"permessage-deflate; {parameters}, permessage-deflate").header == NOTHING_KEPT


@pytest.mark.parametrize(
    "offered",
    [
        "",
        ",",
        ";",
        "=",
        '"',
        '"\\',
        'permessage-deflate; client_max_window_bits="9',
        "permessage",
        "PERMESSAGE-DEFLATE",
        "\0",
    ],
)
def test_without_an_offer_of_compression_there_is_no_answer(offered):
    assert answer_offer(offered) is None


@patient
@given(st.text(st.sampled_from('permessage-deflate;,="\\ 1289_')) | st.text())
@example('permessage-deflate; "' + "\\" * 5000)
@example("permessage-deflate;" * 5000)
@example('"' * 9001)
def test_no_header_makes_the_negotiation_fail(offered):
    answer = answer_offer(offered)
    assert answer is None or answer.header.startswith(NOTHING_KEPT)


def test_context_takeover_is_agreed_on_where_the_setting_and_the_offer_allow_it():
    answer = answer_offer("permessage-deflate", takeover=True, window_bits=15)
    assert answer.header == "permessage-deflate"
    assert answer.deflate == Deflate(server_takeover=True, client_takeover=True)
    answer = answer_offer("permessage-deflate; server_no_context_takeover", takeover=True)
    assert answer.header == "permessage-deflate; server_no_context_takeover"
    assert (answer.deflate.server_takeover, answer.deflate.client_takeover) == (False, True)
    answer = answer_offer("permessage-deflate; client_no_context_takeover", takeover=True)
    assert answer.header == "permessage-deflate; client_no_context_takeover"
    assert (answer.deflate.server_takeover, answer.deflate.client_takeover) == (True, False)


def test_the_server_compresses_with_the_small_window_even_if_it_was_offered_none():
    assert answer_offer("permessage-deflate", window_bits=10).deflate.server_bits == 10
    assert answer_offer("permessage-deflate", window_bits=10).deflate.client_bits == 15


def test_connections_with_the_same_agreement_share_it():
    offer = "permessage-deflate; client_max_window_bits"
    assert answer_offer(offer).deflate is answer_offer(offer).deflate


def test_our_client_reads_the_answer_to_its_offer():
    agreed = read_answer(answer_offer(OFFER).header)
    assert (agreed.server_takeover, agreed.client_takeover, agreed.client_bits) == (False, False, 12)
    assert read_answer("") is None
    assert read_answer("permessage-deflate; server_no_context_takeover").client_bits == 12
    both = (
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits=10"
    )
    assert (read_answer(both).server_bits, read_answer(both).client_bits) == (9, 10)


@pytest.mark.parametrize(
    "answer",
    [
        "other",
        "permessage-deflate",
        "permessage-deflate; client_no_context_takeover",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover; unheard_of",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=7",
        f"{NOTHING_KEPT}, {NOTHING_KEPT}",
    ],
)
def test_an_answer_that_does_not_fit_the_offer_is_a_handshake_error(answer):
    with pytest.raises(HandshakeError, match="was not offered"):
        read_answer(answer)


# Data


@pytest.mark.parametrize(
    "data",
    [
        "f248cdc9c90700",  # 7.2.3.1, one block
        "000500faff48656c6c6f00",  # 7.2.3.3, a block without compression
        "f348cdc9c9070000",  # 7.2.3.4, a last block and an empty byte behind it
        "f348cdc9c90700",  # the same from one who forgot that byte
        "f24805000000ffffcac9c90700",  # 7.2.3.5, two blocks
        "f248cdc9c907000000ffff",  # from one who sends the tail too
    ],
)
def test_the_examples_of_the_rfc_are_read(data):
    assert inflate(bytes.fromhex(data), LIMIT) == b"Hello"
    assert inflate(bytes.fromhex(data), 5) == b"Hello"
    with pytest.raises(InflatesTooFar, match="over 4 bytes"):
        inflate(bytes.fromhex(data), 4)
    assert inflate_with(make_inflater(), bytes.fromhex(data), LIMIT) == b"Hello"


def test_the_example_with_takeover_is_read_by_what_has_read_the_one_before_it():
    inflater = make_inflater()
    assert inflate_with(inflater, bytes.fromhex("f248cdc9c90700"), LIMIT) == b"Hello"
    assert inflate_with(inflater, bytes.fromhex("f200110000"), LIMIT) == b"Hello"  # 7.2.3.2
    with pytest.raises(CorruptDeflate):
        inflate(bytes.fromhex("f200110000"), LIMIT)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x02\x00", b"\x03\x00", b"\x03\x00\x00"])
def test_an_empty_message_may_be_written_in_several_ways(data):
    assert inflate(data, LIMIT) == b""


@patient
@given(st.binary(min_size=1, max_size=3000), st.integers(8, 15), st.integers(1, 40))
def test_what_we_compress_is_read_with_the_window_agreed_on(text, bits, times):
    data = deflate(text * times, make_deflater(bits))
    reader = zlib.decompressobj(-bits)
    assert reader.decompress(data + b"\x00\x00\xff\xff") == text * times
    assert inflate(data, LIMIT) == text * times


@pytest.mark.parametrize("bits", range(8, 16))
def test_long_texts_of_every_window_are_read_with_it(bits):
    text = b"".join(b'{"value":"%d","at":%d},' % (at % 97, at * at) for at in range(6000))
    reader = zlib.decompressobj(-bits)
    assert reader.decompress(deflate(text, make_deflater(bits)) + b"\x00\x00\xff\xff") == text


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", [random_text, lambda size: b"a" * size])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_messages_of_any_size_are_read_up_to_their_limit_and_no_further(size, make, level):
    text = make(size)
    data = compressed(text, level=level)
    assert len(data) <= longest_deflated(size)
    assert inflate(data, size) == text
    for one in (finished(text), finished(text) + b"\x00"):
        assert inflate(one, size) == text
    with pytest.raises(InflatesTooFar):
        inflate(data, size - 1)


def test_several_flushes_within_a_message_are_one_message():
    writer = zlib.compressobj(wbits=-15)
    parts = [writer.compress(b"abc" * n) + writer.flush(zlib.Z_SYNC_FLUSH) for n in range(1, 400)]
    assert inflate(b"".join(parts)[:-4], LIMIT) == b"abc" * sum(range(1, 400))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x07", id="a block of no kind"),
        pytest.param(b"hello, world, this is no deflate", id="text"),
        pytest.param(compressed(b"abc" * 100)[:-2], id="its end is missing"),
        pytest.param(compressed(random_text(70_000))[:-9], id="the end of a long one is missing"),
        pytest.param(finished(b"abc" * 100)[:-2], id="the end of a last block is missing"),
        pytest.param(finished(b"abc") + b"\x00\x00", id="two bytes behind the last block"),
        pytest.param(finished(b"abc") + b"x", id="another byte behind the last block"),
        pytest.param(finished(b"abc") + compressed(b"abc"), id="blocks behind the last one"),
        pytest.param(b"\x00\x05\x00\xfa\xffHel", id="a block that is shorter than it says"),
        pytest.param(b"\x00\x05\x00\xfa\xfeHello\x00", id="a length with a wrong complement"),
        pytest.param(zlib.compress(b"Hello"), id="with the wrapper of zlib"),
    ],
)
def test_corrupt_data_is_refused(data):
    with pytest.raises(CorruptDeflate):
        inflate(data, LIMIT)
    with pytest.raises(CorruptDeflate):
        inflate_with(make_inflater(), data, LIMIT)


@patient
@given(st.binary(max_size=400), st.integers(1, 2000))
def test_no_data_raises_anything_else_and_none_is_longer_than_the_limit(data, limit):
    try:
        text = inflate(data, limit)
    except (CorruptDeflate, InflatesTooFar):
        return
    assert len(text) <= limit
    assert inflate_with(make_inflater(), data, limit) == text


@patient
@given(st.binary(min_size=1, max_size=5000), st.data())
def test_the_short_and_the_long_way_of_reading_agree(text, data):
    damaged = bytearray(compressed(text))
    for _ in range(data.draw(st.integers(0, 2))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    results = []
    for read in (
        lambda: inflate(bytes(damaged), 6000),
        lambda: inflate_with(make_inflater(), bytes(damaged), 6000),
    ):
        try:
            results.append(read())
        except (CorruptDeflate, InflatesTooFar) as error:
            results.append(type(error))
    assert results[0] == results[1]


@pytest.mark.parametrize("mebibytes", [10, 100])
def test_a_bomb_is_cut_while_it_inflates_and_costs_less_than_two_mebibytes(mebibytes):
    writer = zlib.compressobj(9, wbits=-15)
    data = b"".join(writer.compress(bytes(LIMIT)) for _ in range(mebibytes)) + writer.flush(zlib.Z_SYNC_FLUSH)
    assert mebibytes * LIMIT / len(data) > 1000
    tracemalloc.start()
    try:
        with pytest.raises(InflatesTooFar, match="over 1048576 bytes when inflated"):
            inflate(data, LIMIT)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * LIMIT
