"""Keys and certificates of the authority: a root, and an issuing one below it that signs what charge points ask for.

The one rule: a private key leaves memory encrypted only. The root's key is needed to make the authority, and never
after that: it may be kept elsewhere.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from .. import ChargehandError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .signing_requests import SigningRequest

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

ROOT, ISSUING = "root", "issuing"
CLIENT_CA, CRL = "client-ca.pem", "crl.pem"
"""Files for the settings `tls.client_ca` and `tls.client_crl`."""
ROOT_CRL = "root-crl.pem"
ROOT_DAYS, ISSUING_DAYS = 20 * 365, 10 * 365
BACKDATED = dt.timedelta(hours=1)
"""Age of a certificate when it is made: the clock of a charge point may be slow."""
LONGEST_CHAIN = 10_000
"""Characters of a chain in PEM that OCPP carries."""
LARGEST_CERTIFICATE = 4_000
"""Characters of the certificate of a charge point, with an RSA key and a long subject."""
HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
"""Form of a common name that is put in as an alternative name, too."""
PEM = serialization.Encoding.PEM

REASONS = {
    "unspecified": x509.ReasonFlags.unspecified,
    "key_compromise": x509.ReasonFlags.key_compromise,
    "affiliation_changed": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessation_of_operation": x509.ReasonFlags.cessation_of_operation,
    "privilege_withdrawn": x509.ReasonFlags.privilege_withdrawn,
}
"""Reasons of a revocation as records have them."""


class AuthorityError(ChargehandError):
    """Error: the files of the authority cannot be used, or there are some already."""


class Signed(NamedTuple):
    """Certificate that was signed, and its chain in PEM: itself first, the root left out."""

    chain: str
    certificate: x509.Certificate

    @property
    def serial_number(self) -> str:
        """Serial number in hexadecimal digits."""
        return f"{self.certificate.serial_number:x}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hexadecimal digits."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()


class Revoked(NamedTuple):
    """Entry of a revocation list."""

    serial_number: str
    at: dt.datetime
    reason: str


class Authority:
    """The issuing key with its certificate and the root's, of one folder."""

    def __init__(
        self, folder: Path, key: PrivateKey, issuing: x509.Certificate, root: x509.Certificate
    ) -> None:
        self.folder = folder
        self.certificate = issuing
        self.root = root
        self._key = key
        self.issuer = f"{issuing.serial_number:x}"
        self._above = issuing.public_bytes(PEM).decode()
        if len(self._above) > LONGEST_CHAIN - LARGEST_CERTIFICATE:
            raise AuthorityError(
                f"{folder / ISSUING}.pem has {len(self._above)} characters: with the certificate of a charge point a "
                f"chain would be longer than the {LONGEST_CHAIN} that OCPP carries"
            )

    @property
    def slow(self) -> bool:
        """True if a signature takes so long that it belongs into a native thread."""
        return isinstance(self._key, rsa.RSAPrivateKey)

    # -- Files -------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls, folder: Path, passphrase: bytes, *, name: str, now: dt.datetime, rsa_bits: int = 0
    ) -> Authority:
        """Make keys and certificates in a folder, with ECDSA (P-256), or with `rsa_bits` of RSA.

        Raises `AuthorityError` if there are some or there is no passphrase, OSError if they cannot be written.
        """
        if not passphrase:
            raise AuthorityError("the keys of an authority need a passphrase")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for kept in (ROOT, ISSUING):
            if (folder / f"{kept}.pem").exists() or (folder / f"{kept}.key").exists():
                raise AuthorityError(f"{folder} has an authority already")
        keys = [_make_key(rsa_bits), _make_key(rsa_bits)]
        root = _certify(_name(f"{name} root"), keys[0], None, keys[0], now, ROOT_DAYS)
        issuing = _certify(_name(f"{name} issuing"), keys[1], root, keys[0], now, ISSUING_DAYS)
        for kept, key, certificate in zip((ROOT, ISSUING), keys, (root, issuing), strict=True):
            write_private(folder / f"{kept}.key", _encrypted(key, passphrase))
            write_private(folder / f"{kept}.pem", certificate.public_bytes(PEM))
        write_private(folder / CLIENT_CA, root.public_bytes(PEM) + issuing.public_bytes(PEM))
        # A TLS server that checks revocation wants a list of every authority of a chain.
        empty = _revocations(root, keys[0], (), now, root.not_valid_after_utc)
        write_private(folder / ROOT_CRL, empty)
        made = cls(folder, keys[1], issuing, root)
        made.write_revocations((), now, now + dt.timedelta(days=30))
        return made

    @classmethod
    def load(cls, folder: Path, passphrase: bytes) -> Authority:
        """Read the issuing key. Raises `AuthorityError`."""
        try:
            issuing, root = (
                x509.load_pem_x509_certificate((folder / f"{kept}.pem").read_bytes())
                for kept in (ISSUING, ROOT)
            )
            text = (folder / f"{ISSUING}.key").read_bytes()
        except (OSError, ValueError) as error:
            raise AuthorityError(
                f"{folder} has no authority that can be read: {error}; chargehand ca init makes one"
            ) from error
        try:
            key = serialization.load_pem_private_key(text, passphrase or None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise AuthorityError(
                f"{folder / ISSUING}.key cannot be read with this passphrase: {error}"
            ) from error
        if not isinstance(key, PrivateKey):
            raise AuthorityError(f"{folder / ISSUING}.key is neither RSA nor ECDSA")
        if key.public_key() != issuing.public_key():
            raise AuthorityError(f"{folder / ISSUING}.key is not the key of {ISSUING}.pem")
        return cls(folder, key, issuing, root)

    # -- Signing -----------------------------------------------------------------------------------

    def sign(self, request: SigningRequest, now: dt.datetime, lifetime: dt.timedelta) -> Signed:
        """Sign a request that was checked. The certificate never outlives the issuing one.

        Raises `AuthorityError` if that has run out.
        """
        ends = min(now + lifetime, self.certificate.not_valid_after_utc)
        if ends <= now:
            raise AuthorityError(f"the issuing certificate in {self.folder} has run out")
        key = request.key
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False, rsa_key=isinstance(key, rsa.RSAPublicKey)), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(_issued_by(self.certificate), critical=False)
        )
        if HOST_NAME.fullmatch(request.common_name):
            names = x509.SubjectAlternativeName([x509.DNSName(request.common_name)])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Signed(certificate.public_bytes(PEM).decode() + self._above, certificate)

    def write_revocations(self, revoked: Iterable[Revoked], now: dt.datetime, until: dt.datetime) -> None:
        """Write the revocation list, valid until a time, behind that of the root. Raises OSError."""
        text = _revocations(self.certificate, self._key, revoked, now, until)
        above = self.folder / ROOT_CRL
        write_private(self.folder / CRL, text + (above.read_bytes() if above.exists() else b""))


def _make_key(rsa_bits: int) -> PrivateKey:
    if rsa_bits:
        return rsa.generate_private_key(65537, rsa_bits)
    return ec.generate_private_key(ec.SECP256R1())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _usage(*, ca: bool, rsa_key: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=rsa_key and not ca,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _issued_by(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    known = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)


def _certify(
    subject: x509.Name,
    key: PrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: PrivateKey,
    now: dt.datetime,
    days: int,
) -> x509.Certificate:
    """Make the certificate of an authority; without an issuer it is a root."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(
            x509.BasicConstraints(ca=True, path_length=None if issuer is None else 0), critical=True
        )
        .add_extension(_usage(ca=True, rsa_key=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer is not None:
        builder = builder.add_extension(_issued_by(issuer), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _revocations(
    issuer: x509.Certificate,
    key: PrivateKey,
    revoked: Iterable[Revoked],
    now: dt.datetime,
    until: dt.datetime,
) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(now - BACKDATED)
        .next_update(until)
        .add_extension(_issued_by(issuer), critical=False)
        .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder(int(one.serial_number, 16), one.at)
        reason = REASONS.get(one.reason, x509.ReasonFlags.unspecified)
        if reason is not x509.ReasonFlags.unspecified:  # which is to be left out: RFC 5280, 5.3.1
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key, hashes.SHA256()).public_bytes(PEM)


def _encrypted(key: PrivateKey, passphrase: bytes) -> bytes:
    return key.private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(passphrase)
    )


def write_private(path: Path, content: bytes) -> None:
    """Write a file with mode 0600 in one step: a reader sees the old one or the new one. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
