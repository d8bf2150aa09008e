"""Certificates for tests: self-signed ones, and those of authorities with revocation lists."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chargehand.config.settings import CertificateSettings, TlsSettings
from chargehand.transport.tls import ServerTls

Pair = tuple[Path, Path]
HOUR = timedelta(hours=1)
USAGES = {"client": ExtendedKeyUsageOID.CLIENT_AUTH, "server": ExtendedKeyUsageOID.SERVER_AUTH}


def make_certificate(
    folder: Path, name: str, passphrase: str = "", *, with_rsa: bool = False, days: float = 1 / 24
) -> Pair:
    """Make a self-signed certificate for 127.0.0.1 and its key, as PEM files; a passphrase encrypts the key."""
    key = _key(with_rsa=with_rsa)
    subject = _name(name)
    certificate = (
        _builder(subject, subject, key.public_key(), timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(_pem(certificate))
    encryption = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption()
    )
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    return chain, private


class Authority:
    """Certificate authority; with a parent an intermediate one, whose certificate is put behind those it issues."""

    def __init__(self, folder: Path, name: str = "root", parent: "Authority | None" = None) -> None:
        self.folder, self.parent = folder, parent
        self._key, self._name = _key(), _name(name)
        self._certificate = (
            _builder(self._name, parent._name if parent else self._name, self._key.public_key(), HOUR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(parent._key if parent else self._key, hashes.SHA256())
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(_pem(self._certificate))
        self._revoked: list[int] = []
        self._crl_number = 0

    def issue(
        self,
        name: str,
        *,
        names: Sequence[str] = (),
        usage: str = "client",
        with_rsa: bool = False,
        lifetime: timedelta = HOUR,
        since: timedelta = -HOUR,
        serial: str = "",
        file: str = "",
    ) -> Pair:
        """Issue a certificate; `names` are its alternative ones; without `usage` it has no extended key usage."""
        key = _key(with_rsa=with_rsa)
        builder = _builder(_name(name, serial), self._name, key.public_key(), lifetime, since)
        if names:
            found = [
                x509.IPAddress(ip_address(one)) if one[0].isdigit() else x509.DNSName(one) for one in names
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(found), critical=False)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([USAGES[usage]]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        chain, private = self.folder / f"{file or name}.pem", self.folder / f"{file or name}.key"
        chain.write_bytes(_pem(certificate) + (self.file.read_bytes() if self.parent else b""))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return chain, private

    def revoke(self, chain: Path) -> None:
        """Put a certificate on the next list."""
        self._revoked.append(x509.load_pem_x509_certificate(chain.read_bytes()).serial_number)

    def write_list(self, lifetime: timedelta = HOUR, since: timedelta = -HOUR) -> Path:
        """Write the revocation list."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(now + since).next_update(now + lifetime)
        self._crl_number += 1
        builder = builder.add_extension(x509.CRLNumber(self._crl_number), critical=False)
        for number in self._revoked:
            revoked = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now + since)
            builder = builder.add_revoked_certificate(revoked.build())
        path = self.folder / f"{self.file.stem}.crl"
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path


def tls_of(*pairs: Pair, **settings: Any) -> ServerTls:
    """Make the TLS of a server that has these certificates and keys."""
    certificates = tuple(CertificateSettings(certificate=str(chain), key=str(key)) for chain, key in pairs)
    return ServerTls(TlsSettings(certificates=certificates, **settings))


def _key(*, with_rsa: bool = False) -> Any:
    return rsa.generate_private_key(65537, 2048) if with_rsa else ec.generate_private_key(ec.SECP256R1())


def _name(name: str, serial: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []
    attributes += [x509.NameAttribute(NameOID.SERIAL_NUMBER, serial)] if serial else []
    return x509.Name(attributes)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Any, lifetime: timedelta, since: timedelta = -HOUR
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + since)
        .not_valid_after(now + lifetime)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
