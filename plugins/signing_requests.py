"""Requests for certificates of charge points (PKCS #10): what must be true of one before it is signed.

The one rule: nothing is taken from a request but its subject and its key; wished extensions are never granted.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from .. import ChargehandError

if TYPE_CHECKING:
    from collections.abc import Collection

LEAST_RSA_BITS, MOST_RSA_BITS = 2048, 4096
"""Sizes of RSA keys: the white paper's least, and one with which a handshake is still cheap."""
MOST_EXPONENT = 2**32
"""Largest public exponent: a large one makes every check of a signature expensive."""
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
WEAK = frozenset({"md5", "sha1"})
"""Hashes that no signature may use."""
MOST_NAMES = 10
"""Names in a subject."""
LONGEST_NAME = 128
BLOCK = re.compile(
    r"-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----(.*?)-----END (?:NEW )?CERTIFICATE REQUEST-----", re.DOTALL
)
UNREADABLE = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm)
"""Errors that the library raises for what it cannot read."""


class RequestRefused(ChargehandError, ValueError):
    """Error: a request for a certificate is not signed."""


class SigningRequest:
    """Request that may be signed: it has proved its key, and its common name is one of its charge point."""

    def __init__(self, pem: str, names: Collection[str]) -> None:
        """Read a request and check it. Raises `RequestRefused`."""
        self.csr = _read(pem)
        self.key = _checked_key(self.csr)
        _check_signature(self.csr)
        self.subject = _checked_subject(self.csr)
        self.common_name = _common_name(self.subject)
        if self.common_name not in names:
            wanted = " or ".join(sorted(names))
            raise RequestRefused(f"the common name is {self.common_name!r}, not {wanted}")


def _read(pem: str) -> x509.CertificateSigningRequest:
    found = BLOCK.search(pem)
    if found is None:
        raise RequestRefused("it is no certificate request in PEM")
    # Some charge points leave the ends of lines out, or send them as a backslash and an n.
    body = "".join(found[1].replace("\\r", "").replace("\\n", "").split())
    try:
        return x509.load_der_x509_csr(base64.b64decode(body, validate=True))
    except (*UNREADABLE, binascii.Error) as error:
        raise RequestRefused(f"it is no readable certificate request: {error}") from error


def _checked_key(csr: x509.CertificateSigningRequest) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    # Before the signature is checked: with a huge key or exponent that takes long.
    try:
        key = csr.public_key()
    except UNREADABLE as error:
        raise RequestRefused(f"its key cannot be read: {error}") from error
    if isinstance(key, rsa.RSAPublicKey):
        if not LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS:
            raise RequestRefused(
                f"an RSA key has from {LEAST_RSA_BITS} to {MOST_RSA_BITS} bits, not {key.key_size}"
            )
        if key.public_numbers().e > MOST_EXPONENT:
            raise RequestRefused("its RSA key has too large an exponent")
        return key
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, CURVES):
            known = ", ".join(curve.name for curve in CURVES)
            raise RequestRefused(f"its curve is {key.curve.name}, none of {known}")
        return key
    raise RequestRefused("its key is neither RSA nor ECDSA")


def _check_signature(csr: x509.CertificateSigningRequest) -> None:
    try:
        algorithm = csr.signature_hash_algorithm
        valid = csr.is_signature_valid
    except (*UNREADABLE, InvalidSignature) as error:
        raise RequestRefused(f"its signature cannot be checked: {error}") from error
    if algorithm is None or algorithm.name in WEAK:
        raise RequestRefused(f"its signature uses {'no hash' if algorithm is None else algorithm.name}")
    if not valid:
        raise RequestRefused("its signature is not by its key")


def _checked_subject(csr: x509.CertificateSigningRequest) -> x509.Name:
    try:
        subject = csr.subject
        names = list(subject)
    except UNREADABLE as error:
        raise RequestRefused(f"its subject cannot be read: {error}") from error
    if len(names) > MOST_NAMES:
        raise RequestRefused(f"its subject has {len(names)} names, more than {MOST_NAMES}")
    for name in names:
        text = name.value
        if not isinstance(text, str) or not 0 < len(text) <= LONGEST_NAME or not text.isprintable():
            raise RequestRefused(f"its subject has a name that cannot be used: {str(text)[:40]!r}")
    return subject


def _common_name(subject: x509.Name) -> str:
    found = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    if len(found) != 1:
        raise RequestRefused(f"its subject has {len(found)} common names, not one")
    return str(found[0].value)
