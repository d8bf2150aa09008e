"""The header of the PROXY protocol, version 2: what is exactly right is read, anything else is refused."""

import contextlib
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chargehand.protocol.proxy_header import (
    HEAD_BYTES,
    LONGEST_BYTES,
    SIGNATURE,
    ProxyHeader,
    _crc_table,
    read_header,
    rest_bytes,
)
from chargehand.protocol.x509 import TlsFacts

TCP_4 = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + struct.pack("!HH", 56_324, 443)
TCP_6 = bytes.fromhex("20010db8" + "00" * 11 + "01") * 2 + struct.pack("!HH", 1, 2)


def header(content=TCP_4, *, first=0x21, family=0x11, size=None):
    return (
        SIGNATURE
        + bytes([first, family])
        + struct.pack("!H", len(content) if size is None else size)
        + content
    )


def extension(type_, value):
    return bytes([type_]) + struct.pack("!H", len(value)) + value


def tls(client=0x07, verify=0, **told):
    types = {"version": 0x21, "name": 0x22, "cipher": 0x23, "key": 0x25, "certificate": 0x28}
    inner = b"".join(extension(types[name], value) for name, value in told.items())
    return extension(0x20, struct.pack("!BI", client, verify) + inner)


def with_sum(content):
    whole = bytearray(header(content + extension(0x03, bytes(4))))
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in whole:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    whole[-4:] = struct.pack("!I", crc ^ 0xFFFFFFFF)
    return bytes(whole)


def test_the_checksum_is_crc_32c():
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in b"123456789":
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    assert crc ^ 0xFFFFFFFF == 0xE3069283  # the check value of the catalogue


@pytest.mark.parametrize(
    ("data", "address"),
    [
        (header(), ("192.0.2.1", 56_324)),
        (header(TCP_6, family=0x21), ("2001:db8::1", 1)),
        (
            header(bytes.fromhex("00" * 10 + "ffff" + "c0000201") * 2 + bytes(4), family=0x21),
            ("192.0.2.1", 0),
        ),
        (header(b"", family=0x00), None),
        (header(b"", first=0x20, family=0x00), None),
        (header(first=0x20), None),
        (header(b"any addresses", first=0x20, family=0x31), None),
        (header(TCP_4 + extension(0x04, b"fill") * 2 + extension(0xE0, b"own")), ("192.0.2.1", 56_324)),
        (with_sum(TCP_4), ("192.0.2.1", 56_324)),
    ],
)
def test_who_has_connected_is_read(data, address):
    assert rest_bytes(data[:HEAD_BYTES]) == len(data) - HEAD_BYTES
    assert read_header(data) == ProxyHeader(address, None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
        b"\x16\x03\x01" + bytes(30),
        SIGNATURE,
        header()[:-1],
        header() + b"\0",
        header(first=0x11),
        header(first=0x22),
        header(first=0x31),
        header(family=0x12),
        header(family=0x31),
        header(family=0xFF),
        header(TCP_4[:-1]),
        header(TCP_4, family=0x21),
        header(TCP_4 + b"\x04"),
        header(TCP_4 + b"\x04\x00\x05fill"),
        header(TCP_4 + extension(0xE0, b"1") * 2),
        header(TCP_4 + tls() + tls()),
        header(TCP_4 + extension(0x20, b"\x01\0\0\0")),
        header(TCP_4 + extension(0x20, b"\x01\0\0\0\0\x22\0\x05CP1")),
        header(TCP_4 + tls(name=b"\xff")),
        header(TCP_4 + tls(certificate=b"no certificate")),
        header(TCP_4 + extension(0x03, b"1234")),
        header(TCP_4 + extension(0x03, b"123")),
        with_sum(TCP_4)[:-1] + b"\0",
        header(bytes(LONGEST_BYTES + 1)),
        header(size=0xFFFF),
    ],
)
def test_what_is_not_exactly_right_is_refused(data):
    with pytest.raises(ValueError):  # noqa: PT011 - each has a text of its own
        read_header(data)


def test_the_tls_of_the_client_is_read_with_the_name_in_its_certificate():
    told = tls(version=b"TLSv1.3", name=b"CP1", cipher=b"TLS_AES_128_GCM_SHA256", key=b"RSA2048")
    found = read_header(header(TCP_4 + told)).tls
    assert (found.version, found.suite, found.by_proxy) == ("TLSv1.3", "TLS_AES_128_GCM_SHA256", True)
    assert (found.certificate.names, found.certificate.key) == (("CP1",), "RSA2048")


@pytest.mark.parametrize(
    ("told", "facts"),
    [
        (tls(client=0x00, name=b"CP1"), None),
        (tls(client=0x06, name=b"CP1"), None),
        (tls(client=0x01, name=b"CP1"), TlsFacts(by_proxy=True)),
        (tls(client=0x07, verify=1, name=b"CP1"), TlsFacts(by_proxy=True)),
        (tls(client=0x07), TlsFacts(by_proxy=True)),
    ],
)
def test_a_certificate_that_was_not_shown_or_not_verified_is_none(told, facts):
    assert read_header(header(TCP_4 + told)).tls == facts


@given(st.binary(max_size=300), st.integers(0, 255), st.integers(0, 255))
@example(TCP_4 + tls(name=b"CP1"), 0x21, 0x11)
def test_any_bytes_are_read_or_refused_and_nothing_else(content, first, family):
    for data in (content, header(content, first=first, family=family)):
        with contextlib.suppress(ValueError):
            assert isinstance(read_header(data), ProxyHeader)


@given(
    st.text(max_size=60).filter(lambda text: "\0" not in text), st.integers(0, 255), st.binary(max_size=40)
)
def test_any_name_is_read_as_it_was_sent(name, type_, value):
    extra = b"" if type_ in (0x03, 0x04, 0x20) else extension(type_, value)
    found = read_header(header(TCP_4 + extra + tls(name=name.encode()))).tls
    assert found.certificate.names == (name,)
