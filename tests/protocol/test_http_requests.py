"""Framing of HTTP requests: what is refused, and that what is read is what was sent."""

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand.protocol.http_requests import (
    CHUNK_OVERHEAD_BYTES,
    HEAD_BYTES,
    HEADER_FIELDS,
    ChunkedBody,
    FramingError,
    HeaderLines,
    checked_request_line,
)


def read_head(head):
    lines = HeaderLines(io.BytesIO(head))
    while lines.readline() not in (b"\r\n", b"\n"):
        pass
    return lines


@pytest.mark.parametrize(
    "line",
    [
        "GET /a\r\n",
        "GET /a HTTP/2.0\r\n",
        "GET /a HTTP/1.2\r\n",
        "GET  /a HTTP/1.1\r\n",
        "GET\t/a HTTP/1.1\r\n",
        "GET /a HTTP/1.1 \r\n",
        " GET /a HTTP/1.1\r\n",
        "GET /a b HTTP/1.1\r\n",
        "GET /a\x00 HTTP/1.1\r\n",
        "GET /a\r HTTP/1.1\r\n",
        "G(T /a HTTP/1.1\r\n",
        "GET /a http/1.1\r\n",
        "GET /a HTTP/1.1",
        "\r\n",
        "",
    ],
)
def test_a_first_line_that_is_not_exactly_a_request_is_refused(line):
    with pytest.raises(FramingError):
        checked_request_line(line)


def test_bytes_of_a_target_that_are_not_ascii_are_percent_encoded():
    sent = "GET /à HTTP/1.1\r\n".encode().decode("latin-1")
    assert checked_request_line(sent) == "GET /%C3%A0 HTTP/1.1\r\n"


@pytest.mark.parametrize(
    "field",
    [
        b"A : b",
        b" A: b",
        b"\tA: b",
        b": b",
        b"A",
        b"A(: b",
        b"\xc3\xa0: b",
        b"A: b\x00c",
        b"A: b\rc",
        b"A: b\r\n c",
        b"A: b\r\n\tc",
        b"A\x00: b",
    ],
)
def test_a_header_line_that_could_be_read_in_two_ways_is_refused(field):
    with pytest.raises(FramingError):
        read_head(b"Host: a\r\n" + field + b"\r\n\r\n")


def test_a_request_that_ends_within_its_headers_is_refused():
    for end in (b"", b"Host", b"Host: a\r\n"):
        with pytest.raises(FramingError, match="ends within"):
            read_head(end)


def test_headers_are_limited_in_number_and_in_bytes():
    with pytest.raises(FramingError, match=f"more than {HEADER_FIELDS}"):
        read_head(b"A: b\r\n" * (HEADER_FIELDS + 1) + b"\r\n")
    with pytest.raises(FramingError, match=f"more than {HEAD_BYTES}"):
        read_head(b"A: " + b"b" * HEAD_BYTES + b"\r\n\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        b"Content-Length: 2\r\nContent-Length: 2\r\n",
        b"Content-Length: 2\r\ncontent-length: 3\r\n",
        *(
            b"Content-Length: " + length + b"\r\n"
            for length in (b"", b"+2", b"-2", b"0x2", b"2, 2", b"1_0", b"2 2", b"\xd9\xa2", b"9" * 19, b"2;")
        ),
        *(
            b"Transfer-Encoding: " + coding + b"\r\n"
            for coding in (b"", b"gzip", b"identity", b"gzip, chunked", b"chunked, gzip", b"\x0bchunked")
        ),
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    ],
)
def test_headers_that_leave_the_length_of_the_body_open_are_refused(head):
    with pytest.raises(FramingError):
        read_head(head + b"\r\n").check_length("HTTP/1.1")


def test_chunks_are_only_for_http_1_1():
    lines = read_head(b"Transfer-Encoding: Chunked\r\n\r\n")
    lines.check_length("HTTP/1.1")
    with pytest.raises(FramingError):
        lines.check_length("HTTP/1.0")


def test_a_request_has_one_host_and_only_one_of_http_1_0_may_have_none():
    read_head(b"\r\n").check_host("HTTP/1.0")
    read_head(b"host: a\r\n\r\n").check_host("HTTP/1.1")
    with pytest.raises(FramingError):
        read_head(b"\r\n").check_host("HTTP/1.1")
    with pytest.raises(FramingError):
        read_head(b"Host: a\r\nHost: a\r\n\r\n").check_host("HTTP/1.1")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"2\n{}\r\n0\r\n\r\n",
        b" 2\r\n{}\r\n0\r\n\r\n",
        b"0x2\r\n{}\r\n0\r\n\r\n",
        b"+2\r\n{}\r\n0\r\n\r\n",
        b"2_0\r\n{}\r\n0\r\n\r\n",
        b"F" * 16 + b"\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}",
        b"2\r\n{",
        b"2\r\n{}x\r\n0\r\n\r\n",
        b"2\r\n{}\r\n",
        b"2\r\n{}\r\n0\r\n",
        b"2\r\n{}\r\n0\r\nno name\r\n\r\n",
        b"2\r\n{}\r\n0\r\nA : b\r\n\r\n",
        b"2;a\nb\r\n{}\r\n0\r\n\r\n",
        b"2;a\rb\r\n{}\r\n0\r\n\r\n",
        b"2;" + b"a" * 100_000 + b"\r\n{}\r\n0\r\n\r\n",
        (b"1;" + b"a" * 1000 + b"\r\n \r\n") * (CHUNK_OVERHEAD_BYTES // 1000 + 1) + b"0\r\n\r\n",
        b"0\r\n" + (b"A: " + b"a" * 1000 + b"\r\n") * (CHUNK_OVERHEAD_BYTES // 1000 + 1) + b"\r\n",
    ],
)
def test_chunks_whose_end_is_not_beyond_doubt_are_refused(body):
    chunks = ChunkedBody(io.BytesIO(body))
    with pytest.raises(FramingError):
        chunks.read()
    assert not chunks.ended_well


@st.composite
def chunked(draw):
    """Draw the parts of a body, and the body in chunks with extensions and trailers."""
    parts = draw(st.lists(st.binary(min_size=1, max_size=50), max_size=8))
    written = b""
    for part in parts:
        size = draw(st.sampled_from([b"%x", b"%X", b"00%x"])) % len(part)
        written += size + draw(st.sampled_from([b"", b";a", b' ; a="b"'])) + b"\r\n" + part + b"\r\n"
    end = draw(st.sampled_from([b"0\r\n\r\n", b"000\r\n\r\n", b"0;z\r\nA: b\r\nC:\r\n\r\n"]))
    return b"".join(parts), written + end


@given(chunked(), st.lists(st.integers(1, 40), min_size=1), st.booleans())
def test_a_body_in_chunks_is_read_as_sent_and_not_a_byte_further(body, sizes, line):
    sent, written = body
    stream = io.BytesIO(written + b"GET /next HTTP/1.1\r\n")
    chunks = ChunkedBody(stream)
    found = b""
    for size in sizes:
        found += chunks.read(size, line=line)
    found += chunks.read()
    assert found == sent
    assert chunks.ended_well
    assert chunks.read() == b""
    assert stream.read() == b"GET /next HTTP/1.1\r\n"


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused_as_a_head_and_as_chunks(data):
    with contextlib.suppress(FramingError):
        read_head(data).check_length("HTTP/1.1")
    with contextlib.suppress(FramingError):
        ChunkedBody(io.BytesIO(data)).read()
