"""The certificates of a charge point: roots installed by the central system, and its own.

The one rule: a certificate is looked into only as far as its name needs, the hashes of issuer and key and the serial
number; nothing is verified. "Improved security for OCPP 1.6-J", sections 5.3, 5.7, 5.11 and 6.1.
"""

from __future__ import annotations

import hashlib
import ssl
from typing import Any, NamedTuple

from ..protocol import v16

BEGIN = "-----BEGIN CERTIFICATE-----"
END = "-----END CERTIFICATE-----"
SEQUENCE, INTEGER, BIT_STRING, VERSION = 0x30, 0x02, 0x03, 0xA0

SIGNING_REQUEST = """\
-----BEGIN CERTIFICATE REQUEST-----
MIHmMIGNAgEAMCsxEjAQBgNVBAoMCVNpbXVsYXRvcjEVMBMGA1UEAwwMY2hhcmdl
LXBvaW50MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEBYW6ATzrXWcp+Wu+tLNm
ZNzBvQu83pw64mT6F7sxLeu+Yqz0e3IvyKdTE5STuHetDS9Pw71O4sac4V1S87VY
hKAAMAoGCCqGSM49BAMCA0gAMEUCIHbk5sufDGjKSgDraaz/mGEwlTYI5iR3wJ3b
nB4ua/4iAiEAjMR+M+K+7fiS0+84AULvJH05se+DFDiY0qSCPOXE7Lw=
-----END CERTIFICATE REQUEST-----
"""
"""Default signing request of a charge point: a valid one, whose key was discarded."""


class _Element(NamedTuple):
    """Element of DER: tag, whole encoding, contents."""

    tag: int
    whole: bytes
    content: bytes


def _elements(data: bytes) -> list[_Element]:
    """Read the elements that follow one another. Raises ValueError for invalid DER."""
    found = []
    at = 0
    while at < len(data):
        try:
            tag, length, start = data[at], data[at + 1], at + 2
            if length & 0x80:
                size = length & 0x7F
                length = int.from_bytes(data[start : start + size], "big")
                start += size
        except IndexError:
            raise ValueError("cut off") from None
        end = start + length
        if end > len(data):
            raise ValueError("cut off")
        found.append(_Element(tag, data[at:end], data[start:end]))
        at = end
    return found


def read(pem: str) -> v16.CertificateHashData:
    """Name a certificate by the hashes of its issuer's name and of its own key, which is right for a root.

    Raises ValueError for anything but a certificate.
    """
    begin, end = pem.find(BEGIN), pem.find(END)
    if begin < 0 or end < begin:
        raise ValueError("no certificate in PEM")
    der = ssl.PEM_cert_to_DER_cert(pem[begin : end + len(END)] + "\n")
    try:
        certificate = _elements(der)[0]
        to_be_signed = _elements(certificate.content)[0]
        parts = _elements(to_be_signed.content)
        if parts[0].tag == VERSION:
            del parts[0]
        serial, issuer, key_info = parts[0], parts[2], parts[5]
        bits = _elements(key_info.content)[1]
    except IndexError:
        raise ValueError("not a certificate") from None
    if (serial.tag, issuer.tag, bits.tag) != (INTEGER, SEQUENCE, BIT_STRING):
        raise ValueError("not a certificate")
    return v16.CertificateHashData(
        hash_algorithm=v16.HashAlgorithm.SHA256,
        issuer_name_hash=hashlib.sha256(issuer.whole).hexdigest(),
        issuer_key_hash=hashlib.sha256(bits.content[1:]).hexdigest(),  # behind the count of unused bits
        serial_number=f"{int.from_bytes(serial.content, 'big'):x}",
    )


def is_certificate(pem: str) -> bool:
    """Return true if a text begins with a readable certificate."""
    try:
        read(pem)
    except ValueError:
        return False
    return True


class Certificates:
    """The table: by use, in the order of installation. Names of certificates may be those of any version of OCPP.

    `own` is the charge point's chain, once it has one.
    """

    def __init__(self, limit: int) -> None:
        self.own: str | None = None
        self._limit = limit
        self._roots: list[tuple[str, v16.CertificateHashData]] = []

    def install(self, use: str, pem: str) -> v16.InstallCertificateStatus:
        """Install a root certificate; Rejected: it is no certificate, or one too many."""
        status = v16.InstallCertificateStatus
        try:
            entry = (use, read(pem))
        except ValueError:
            return status.REJECTED
        if entry not in self._roots:
            if len(self._roots) >= self._limit:
                return status.REJECTED
            self._roots.append(entry)
        return status.ACCEPTED

    def delete(self, wanted: Any) -> v16.DeleteCertificateStatus:
        """Delete a root certificate; hashes are compared without case."""
        kept = [(use, data) for use, data in self._roots if _name(data) != _name(wanted)]
        found = len(kept) < len(self._roots)
        self._roots = kept
        return v16.DeleteCertificateStatus.ACCEPTED if found else v16.DeleteCertificateStatus.NOT_FOUND

    def installed(self, use: str) -> tuple[v16.CertificateHashData, ...]:
        """Return the root certificates for one use."""
        return tuple(data for kept_for, data in self._roots if kept_for == use)

    def take_own(self, chain: str) -> v16.CertificateSignedStatus:
        """Take the charge point's own, signed certificate."""
        if not is_certificate(chain):
            return v16.CertificateSignedStatus.REJECTED
        self.own = chain
        return v16.CertificateSignedStatus.ACCEPTED


def _name(data: Any) -> tuple[str, ...]:
    hashes = (data.hash_algorithm, data.issuer_name_hash, data.issuer_key_hash, data.serial_number)
    return tuple(part.lower() for part in hashes)
