"""Keys of a simulated charge point, requests to have them certified, and the use of what was certified.

The one rule: a real key needs the library `cryptography` (the extra `ca`); without it a fixed request is sent, whose
key is gone, so that its certificate can be installed and not used.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..protocol.certificate_names import der_of, elements

if TYPE_CHECKING:
    from gevent import ssl

ORGANIZATION = "Simulator"
REQUEST = "CERTIFICATE REQUEST"

SIGNING_REQUEST = """\
-----BEGIN CERTIFICATE REQUEST-----
MIHmMIGNAgEAMCsxEjAQBgNVBAoMCVNpbXVsYXRvcjEVMBMGA1UEAwwMY2hhcmdl
LXBvaW50MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEBYW6ATzrXWcp+Wu+tLNm
ZNzBvQu83pw64mT6F7sxLeu+Yqz0e3IvyKdTE5STuHetDS9Pw71O4sac4V1S87VY
hKAAMAoGCCqGSM49BAMCA0gAMEUCIHbk5sufDGjKSgDraaz/mGEwlTYI5iR3wJ3b
nB4ua/4iAiEAjMR+M+K+7fiS0+84AULvJH05se+DFDiY0qSCPOXE7Lw=
-----END CERTIFICATE REQUEST-----
"""
"""Signing request that is sent without the library: a valid one, whose key was discarded."""


class SigningRequest(NamedTuple):
    """Request to have a key certified, and the key in PEM; an empty key is not to be had."""

    csr: str
    key: str = ""


def make_request(name: str, *, rsa_bits: int = 0) -> SigningRequest:
    """Make a key, of the curve P-256 or with `rsa_bits` of RSA, and the request (PKCS #10) of this common name."""
    try:
        from cryptography import x509  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415
    except ImportError:
        return SigningRequest(SIGNING_REQUEST)
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    key = rsa.generate_private_key(65537, rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())
    oid = x509.NameOID
    subject = x509.Name(
        [
            x509.NameAttribute(oid.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(oid.COMMON_NAME, name),
        ]
    )
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return SigningRequest(
        request.public_bytes(pem).decode(),
        key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode(),
    )


def requested_key(csr: str) -> bytes:
    """Return the public key that a request is for, as DER. Raises ValueError for what is no request."""
    try:
        info = elements(elements(der_of(csr, REQUEST))[0].content)[0]
        return elements(info.content)[2].whole  # behind version and subject
    except IndexError:
        raise ValueError("not a certificate request") from None


def load_certificate(context: ssl.SSLContext, chain: str, key: str) -> None:
    """Have a context show this certificate from its next handshake on."""
    # OpenSSL reads them from files only.
    descriptor, path = tempfile.mkstemp(suffix=".pem")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key + chain)
        context.load_cert_chain(path)
    finally:
        Path(path).unlink()
