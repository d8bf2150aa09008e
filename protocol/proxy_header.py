"""Header of the PROXY protocol, version 2, read without I/O: who has connected to a proxy in front, and by which TLS.

The one rule: it is read strictly. What is not exactly as the specification has it is refused. HAProxy's
`proxy-protocol.txt`, 2.2.
"""

from __future__ import annotations

import struct
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from .x509 import Certificate, TlsFacts, read_certificate

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
HEAD_BYTES = 16
LONGEST_BYTES = 16_384
"""Bytes of the longest header behind its head: room for a certificate."""
LOCAL, PROXY = 0, 1
UNSPECIFIED, TCP_4, TCP_6 = 0x00, 0x11, 0x21
ADDRESS_BYTES = {UNSPECIFIED: 0, TCP_4: 12, TCP_6: 36}

CRC32C, FILLING, SSL = 0x03, 0x04, 0x20
TLS_USED, SHOWN_NOW, SHOWN_BEFORE = 0x01, 0x02, 0x04
SSL_HEAD = struct.Struct("!BI")
SSL_VERSION, SSL_COMMON_NAME, SSL_CIPHER, SSL_KEY, SSL_CERTIFICATE = 0x21, 0x22, 0x23, 0x25, 0x28


class _Extension(NamedTuple):
    """Extension of a header: the place of its value, and its value."""

    at: int
    value: bytes


class ProxyHeader(NamedTuple):
    """Client of a proxy: its address and port, None if the proxy speaks for itself; its TLS, None without."""

    address: tuple[str, int] | None
    tls: TlsFacts | None


def rest_bytes(head: bytes) -> int:
    """Return how many bytes follow the head of a header. Raises ValueError for anything else than a head."""
    if len(head) != HEAD_BYTES or not head.startswith(SIGNATURE):
        raise ValueError("no header of the PROXY protocol, version 2")
    if head[12] >> 4 != 2 or head[12] & 15 > PROXY:
        raise ValueError("neither LOCAL nor PROXY of version 2")
    size = int.from_bytes(head[14:16], "big")
    if size > LONGEST_BYTES:
        raise ValueError(f"a header of {size} bytes; at most {LONGEST_BYTES} are read")
    return size


def read_header(data: bytes) -> ProxyHeader:
    """Read a whole header. Raises ValueError for one that is not as it should be."""
    size = rest_bytes(data[:HEAD_BYTES])
    if len(data) != HEAD_BYTES + size:
        raise ValueError("the header is cut off, or there is more")
    local, family = data[12] & 15 == LOCAL, data[13]
    at = HEAD_BYTES + ADDRESS_BYTES.get(family, size if local else -1)
    if at < HEAD_BYTES:
        raise ValueError(f"addresses of the family {family:#04x}, which is not TCP over IP")
    if at > len(data):
        raise ValueError("the addresses are cut off")
    extensions = _extensions(data, at)
    if CRC32C in extensions:
        _check_sum(data, *extensions[CRC32C])
    if local:
        return ProxyHeader(None, None)
    tls = _tls(extensions[SSL].value) if SSL in extensions else None
    return ProxyHeader(_address(family, data), tls)


def _address(family: int, data: bytes) -> tuple[str, int] | None:
    if family == TCP_4:
        return str(IPv4Address(data[16:20])), int.from_bytes(data[24:26], "big")
    if family == TCP_6:
        host = IPv6Address(data[16:32])
        return str(host.ipv4_mapped or host), int.from_bytes(data[48:50], "big")
    return None


def _extensions(data: bytes, at: int) -> dict[int, _Extension]:
    """Read type, length and value until the end. Raises ValueError for one that is cut off, or there twice."""
    found: dict[int, _Extension] = {}
    while at < len(data):
        start = at + 3
        end = start + int.from_bytes(data[at + 1 : start], "big")
        if start > len(data) or end > len(data):
            raise ValueError("an extension is cut off")
        if data[at] in found and data[at] != FILLING:
            raise ValueError(f"the extension {data[at]:#04x} is there twice")
        found[data[at]] = _Extension(start, data[start:end])
        at = end
    return found


def _check_sum(data: bytes, at: int, told: bytes) -> None:
    """Compare the sum of the header, with zeros in the place of the sum itself. Raises ValueError for a wrong one."""
    if len(told) != 4:
        raise ValueError("a checksum has 4 bytes")
    table, sum_ = _crc_table(), 0xFFFFFFFF
    for byte in data[:at] + bytes(4) + data[at + 4 :]:
        sum_ = table[(sum_ ^ byte) & 0xFF] ^ sum_ >> 8
    if sum_ ^ 0xFFFFFFFF != int.from_bytes(told, "big"):
        raise ValueError("the checksum is wrong")


@cache
def _crc_table() -> tuple[int, ...]:
    """Make the table of CRC-32C (Castagnoli)."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # noqa: PLW2901 - eight steps of one value
        table.append(byte)
    return tuple(table)


def _tls(content: bytes) -> TlsFacts | None:
    """Read the TLS of a client; a certificate that the proxy has not verified is none."""
    if len(content) < SSL_HEAD.size:
        raise ValueError("the extension of TLS is cut off")
    client, verify = SSL_HEAD.unpack_from(content)
    told = {type_: one.value for type_, one in _extensions(content, SSL_HEAD.size).items()}
    if not client & TLS_USED:
        return None
    certificate = None
    if client & (SHOWN_NOW | SHOWN_BEFORE) and verify == 0:
        if SSL_CERTIFICATE in told:
            certificate = read_certificate(told[SSL_CERTIFICATE])
        elif SSL_COMMON_NAME in told:
            certificate = named(told[SSL_COMMON_NAME].decode(), key=_text(told.get(SSL_KEY, b"")))
    return TlsFacts(
        version=_text(told.get(SSL_VERSION, b"")),
        suite=_text(told.get(SSL_CIPHER, b"")),
        certificate=certificate,
        by_proxy=True,
    )


def named(common_name: str, key: str = "") -> Certificate:
    """Return the facts of a certificate of which only its common name is told."""
    return Certificate(
        subject=f"CN={common_name}",
        issuer="",
        serial_number="",
        not_before=None,
        not_after=None,
        key=key,
        fingerprint="",
        names=(common_name,),
    )


def _text(data: bytes) -> str:
    return data.decode("ascii", "replace")
