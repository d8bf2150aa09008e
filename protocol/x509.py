"""Facts of X.509 certificates and revocation lists, read from their DER without I/O.

The one rule: nothing is verified here. Signatures, validity and revocation are for TLS; this reads whom a certificate
names and when it runs out. RFC 5280.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from .certificate_names import elements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .certificate_names import Element

PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s([A-Za-z0-9+/=\s]*?)-----END \1-----")
CERTIFICATE, CRL = b"CERTIFICATE", b"X509 CRL"

INTEGER, BIT_STRING, OCTET_STRING, OID, SEQUENCE, SET = 0x02, 0x03, 0x04, 0x06, 0x30, 0x31
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
VERSION, EXTENSIONS = 0xA0, 0xA3

COMMON_NAME, SERIAL_NUMBER = b"\x55\x04\x03", b"\x55\x04\x05"
ALTERNATIVE_NAMES, EXTENDED_KEY_USAGE = b"\x55\x1d\x11", b"\x55\x1d\x25"
ATTRIBUTES = {
    COMMON_NAME: "CN",
    SERIAL_NUMBER: "serialNumber",
    b"\x55\x04\x06": "C",
    b"\x55\x04\x07": "L",
    b"\x55\x04\x08": "ST",
    b"\x55\x04\x0a": "O",
    b"\x55\x04\x0b": "OU",
    b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19": "DC",
}
"""Short names of the attributes of a name, by their object identifiers (RFC 4514)."""
KEYS = {
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01": "RSA",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a": "RSA-PSS",
    b"\x2a\x86\x48\xce\x3d\x02\x01": "ECDSA",
    b"\x2b\x65\x70": "Ed25519",
    b"\x2b\x65\x71": "Ed448",
}
"""Kinds of keys by their object identifiers: a server has one certificate of each kind."""
ENCODINGS = {
    0x0C: "utf-8",
    0x13: "ascii",
    0x16: "ascii",
    0x14: "latin-1",
    0x1E: "utf-16-be",
    0x1C: "utf-32-be",
}
TEXT_NAMES = {0x81, 0x82, 0x86}
"""Alternative names that are text: mail, DNS and URI."""
IP_NAME = 0x87

NO_ALTERNATIVE_NAME = "certificate without subjectAltName"
NO_EXTENDED_KEY_USAGE = "certificate without extendedKeyUsage"


class Certificate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Facts of a certificate. `names` are its common names and its alternative names, of which one names its owner.

    `subject_serial` is the attribute serialNumber of its subject, `serial_number` its own number in hexadecimal digits;
    `flags` are departures from what RFC 5280 asks of a certificate for TLS. Times are None, and texts empty, where a
    proxy tells only the name.
    """

    subject: str
    issuer: str
    serial_number: str
    not_before: dt.datetime | None
    not_after: dt.datetime | None
    key: str
    fingerprint: str
    names: tuple[str, ...] = ()
    subject_serial: str = ""
    flags: tuple[str, ...] = ()


class RevocationList(NamedTuple):
    """Facts of a certificate revocation list; without `next_update` it never runs out."""

    issuer: str
    this_update: dt.datetime
    next_update: dt.datetime | None


class TlsFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """TLS of a connection: its version and suite, and the client's certificate, if it has shown one that is valid.

    `by_proxy` is true if a proxy in front has ended it.
    """

    version: str = ""
    suite: str = ""
    certificate: Certificate | None = None
    by_proxy: bool = False


def read_certificate(der: bytes) -> Certificate:
    """Read a certificate. Raises ValueError for anything else."""
    try:
        (certificate,) = elements(der)
        parts = _signed_parts(certificate, VERSION)
        serial, issuer, validity, subject, key = parts[0], parts[2], parts[3], parts[4], parts[5]
        not_before, not_after = map(_time, elements(validity.content))
        attributes, extensions = list(_attributes(subject)), dict(_extensions(parts[6:]))
        alternative = extensions.get(ALTERNATIVE_NAMES)
        common = [value for oid, value in attributes if oid == COMMON_NAME]
        names = [*common, *(() if alternative is None else _alternative_names(alternative))]
        algorithm = elements(elements(key.content)[0].content)[0].content
    except (IndexError, ValueError) as error:
        raise ValueError(f"not a certificate: {error}") from error
    flags = []
    if alternative is None:
        flags.append(NO_ALTERNATIVE_NAME)
    if EXTENDED_KEY_USAGE not in extensions:
        flags.append(NO_EXTENDED_KEY_USAGE)
    return Certificate(
        subject=_text(attributes),
        issuer=_text(_attributes(issuer)),
        serial_number=f"{int.from_bytes(serial.content, 'big'):x}",
        not_before=not_before,
        not_after=not_after,
        key=KEYS.get(algorithm, algorithm.hex()),
        fingerprint=hashlib.sha256(der).hexdigest(),
        names=tuple(dict.fromkeys(names)),
        subject_serial=next((value for oid, value in attributes if oid == SERIAL_NUMBER), ""),
        flags=tuple(flags),
    )


def read_revocation_list(der: bytes) -> RevocationList:
    """Read a certificate revocation list. Raises ValueError for anything else."""
    try:
        (whole,) = elements(der)
        parts = _signed_parts(whole, INTEGER)
        issuer, this_update = _text(_attributes(parts[1])), _time(parts[2])
        has_next = len(parts) > 3 and parts[3].tag in (UTC_TIME, GENERALIZED_TIME)
        return RevocationList(issuer, this_update, _time(parts[3]) if has_next else None)
    except (IndexError, ValueError) as error:
        raise ValueError(f"not a revocation list: {error}") from error


def pem_blocks(data: bytes, kind: bytes = CERTIFICATE) -> list[bytes]:
    """Return the DER of all blocks of one kind in a PEM file. Raises ValueError for one that is not base64."""
    try:
        return [
            base64.b64decode(b"".join(found[2].split()), validate=True)
            for found in PEM_BLOCK.finditer(data)
            if found[1] == kind
        ]
    except binascii.Error as error:
        raise ValueError(f"not PEM: {error}") from error


def _signed_parts(whole: Element, version: int) -> list[Element]:
    """Return the parts of what is signed, without the version at its beginning, which may be missing."""
    if whole.tag != SEQUENCE:
        raise ValueError("DER of something else")
    signed, _algorithm, signature = elements(whole.content)[:3]
    if signed.tag != SEQUENCE or signature.tag != BIT_STRING:
        raise ValueError("DER of something else")
    parts = elements(signed.content)
    return parts[1:] if parts and parts[0].tag == version else parts


def _time(element: Element) -> dt.datetime:
    """Read a time. Raises ValueError for one in another form than RFC 5280 has."""
    text = element.content.decode("ascii")
    if element.tag == UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif element.tag != GENERALIZED_TIME:
        raise ValueError("not a time")
    return dt.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=dt.UTC)


def _attributes(name: Element) -> Iterator[tuple[bytes, str]]:
    """Yield the attributes of a name, in order: object identifier and value."""
    if name.tag != SEQUENCE:
        raise ValueError("not a name")
    for relative in elements(name.content):
        for attribute in elements(relative.content):
            oid, value = elements(attribute.content)
            yield oid.content, value.content.decode(ENCODINGS.get(value.tag, "latin-1"), "replace")


def _text(attributes: Iterator[tuple[bytes, str]] | list[tuple[bytes, str]]) -> str:
    """Return a name for people: `CN=CP1, O=Acme`."""
    return ", ".join(f"{ATTRIBUTES.get(oid, oid.hex())}={value}" for oid, value in attributes)


def _extensions(parts: list[Element]) -> Iterator[tuple[bytes, bytes]]:
    for part in parts:
        if part.tag == EXTENSIONS:
            (extensions,) = elements(part.content)
            for extension in elements(extensions.content):
                inner = elements(extension.content)
                yield inner[0].content, inner[-1].content


def _alternative_names(content: bytes) -> Iterator[str]:
    (names,) = elements(content)
    for name in elements(names.content):
        if name.tag in TEXT_NAMES:
            yield name.content.decode("ascii", "replace")
        elif name.tag == IP_NAME:
            yield str(ip_address(name.content))
