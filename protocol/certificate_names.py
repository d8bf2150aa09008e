"""Names of certificates: the hashes of issuer and key, and the serial number, by which OCPP names an installed one.

The one rule: a certificate is looked into only as far as its name needs; nothing is verified. "Improved security for
OCPP 1.6-J", 6.1; OCPP 2.0.1, CertificateHashDataType.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import NamedTuple

import msgspec

BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
SEQUENCE, INTEGER, BIT_STRING, VERSION = 0x30, 0x02, 0x03, 0xA0
LENGTH_BYTES = 4
"""Bytes of the longest length of an element that is read."""
DIGESTS = {"SHA256": hashlib.sha256, "SHA384": hashlib.sha384, "SHA512": hashlib.sha512}


class CertificateName(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Name of a certificate: hashes in hexadecimal digits, and its serial number, hexadecimal without leading zeros.

    `issuer_key_hash` is empty where the key is not to be had: that of another certificate, which is not beside it.
    """

    serial_number: str
    issuer_name_hash: str
    issuer_key_hash: str = ""
    hash_algorithm: str = "SHA256"


class Element(NamedTuple):
    """Element of DER: tag, whole encoding, contents."""

    tag: int
    whole: bytes
    content: bytes


def elements(data: bytes) -> list[Element]:
    """Read the elements that follow one another. Raises ValueError for invalid DER."""
    found = []
    at = 0
    while at < len(data):
        try:
            tag, length, start = data[at], data[at + 1], at + 2
        except IndexError:
            raise ValueError("cut off") from None
        if length & 0x80:
            size = length & 0x7F
            if not 0 < size <= LENGTH_BYTES:
                raise ValueError("a length that is not read")
            length = int.from_bytes(data[start : start + size], "big")
            start += size
        end = start + length
        if end > len(data):
            raise ValueError("cut off")
        found.append(Element(tag, data[at:end], data[start:end]))
        at = end
    return found


def der_of(pem: str, kind: str = "CERTIFICATE") -> bytes:
    """Return the first block of this kind in a text. Raises ValueError if there is none."""
    begin, end = f"-----BEGIN {kind}-----", f"-----END {kind}-----"
    start = pem.find(begin)
    stop = pem.find(end, start)
    if start < 0 or stop < 0:
        raise ValueError(f"no {kind.lower()} in PEM")
    text = "".join(pem[start + len(begin) : stop].split())
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(f"no {kind.lower()} in PEM: {error}") from error


def certificate_name(pem: str, hash_algorithm: str = "SHA256") -> CertificateName:
    """Name the first certificate of a text in PEM; the second one, where there is one, may be its issuer.

    Raises ValueError if there is none, or for an unknown algorithm.
    """
    digest = DIGESTS.get(hash_algorithm)
    if digest is None:
        raise ValueError(f"{hash_algorithm!r} is none of {', '.join(DIGESTS)}")
    serial, issuer, subject, key_info = _parts(pem)
    key_hash = digest(_key_bits(key_info)).hexdigest() if issuer.whole == subject.whole else ""
    above = pem[pem.find(END) + len(END) :]
    if not key_hash and BEGIN in above:
        _, _, above_subject, above_key = _parts(above)
        if above_subject.whole == issuer.whole:
            key_hash = digest(_key_bits(above_key)).hexdigest()
    return CertificateName(
        serial_number=f"{int.from_bytes(serial.content, 'big'):x}",
        issuer_name_hash=digest(issuer.whole).hexdigest(),
        issuer_key_hash=key_hash,
        hash_algorithm=hash_algorithm,
    )


def certified_key(pem: str) -> bytes:
    """Return the public key of the first certificate of a text, as DER. Raises ValueError if there is none."""
    return _parts(pem)[3].whole


def _key_bits(key_info: Element) -> bytes:
    # Of the bit string the first byte is a count of unused bits.
    return elements(key_info.content)[1].content[1:]


def _parts(pem: str) -> tuple[Element, Element, Element, Element]:
    """Return serial number, issuer, subject and key of a certificate."""
    try:
        certificate = elements(der_of(pem))[0]
        parts = elements(elements(certificate.content)[0].content)
        if parts[0].tag == VERSION:
            del parts[0]
        serial, issuer, subject, key_info = parts[0], parts[2], parts[4], parts[5]
        bits = elements(key_info.content)[1]
    except IndexError:
        raise ValueError("not a certificate") from None
    if (serial.tag, issuer.tag, bits.tag) != (INTEGER, SEQUENCE, BIT_STRING):
        raise ValueError("not a certificate")
    return serial, issuer, subject, key_info
