"""Server side of TLS. OCPP 1.6 security whitepaper, section 2.2: TLS 1.2 and up, no compression.

The one rule: certificates are read again without a connection being lost. A connection keeps the context that it was
made with; files that cannot be used leave everything as it was.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import re
import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gevent.ssl import SSLContext

from ..config.errors import ChargehandError
from ..protocol.x509 import CRL, Certificate, TlsFacts, pem_blocks, read_certificate, read_revocation_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..config.settings import CertificateSettings, TlsSettings
    from ..protocol.x509 import RevocationList

logger = logging.getLogger(__name__)

# The whitepaper's suites first, then others of the same strength.
SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20:AES128-GCM-SHA256:AES256-GCM-SHA384"
TLS_1_3 = re.compile(r"TLS_(AES|CHACHA20)_\w+")

PARTIAL_CHAIN = ssl.VERIFY_X509_PARTIAL_CHAIN

CRL_LIFE_PART = 0.2
"""Part of the life of a revocation list at whose end that is warned of, where `tls.expiry_warn_days` is longer."""


class TlsError(ChargehandError, ValueError):
    """A file or a setting of TLS cannot be used."""


@dataclass(frozen=True, slots=True)
class ExpiringFile:
    """Certificate or revocation list that runs out: its file, its name, and when."""

    file: str
    name: str
    expires_at: dt.datetime


@dataclass(frozen=True, slots=True)
class LoadedTls:
    """Context for new connections, and what it was made of: own certificates, CAs of clients, revocation lists."""

    context: ssl.SSLContext
    certificates: tuple[tuple[str, tuple[Certificate, ...]], ...]
    client_cas: tuple[tuple[str, tuple[Certificate, ...]], ...] = ()
    revocation_lists: tuple[tuple[str, tuple[RevocationList, ...]], ...] = ()

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Fingerprints of the server's own certificates."""
        return tuple(chain[0].fingerprint for _, chain in self.certificates)


class ServerTls:
    """TLS of the listeners of one process, made from the settings. Raises `TlsError` with one clear sentence.

    `loaded.context` is for connections that come from now on.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._stamps = _stamps(_files(settings))
        self.loaded = load(settings)

    def changed(self) -> bool:
        """Return whether files have changed since they were read, or could not be used."""
        return _stamps(_files(self._settings)) != self._stamps

    def reload(self) -> bool:
        """Read all files again; return whether anything is new. Raises `TlsError`, and leaves everything as it was."""
        self._stamps = _stamps(_files(self._settings))
        before, self.loaded = self.loaded, load(self._settings)
        return (before.certificates, before.client_cas, before.revocation_lists) != (
            self.loaded.certificates,
            self.loaded.client_cas,
            self.loaded.revocation_lists,
        )

    def expiring(self, now: dt.datetime) -> Iterator[ExpiringFile]:
        """Yield what runs out within `tls.expiry_warn_days`, or has run out."""
        warn = dt.timedelta(days=self._settings.expiry_warn_days)
        if not warn:
            return
        for file, certificates in (*self.loaded.certificates, *self.loaded.client_cas):
            for one in certificates:
                if one.not_after is not None and one.not_after - now <= warn:
                    yield ExpiringFile(file, f"certificate {one.subject}", one.not_after)
        for file, lists in self.loaded.revocation_lists:
            for each in lists:
                if each.next_update is None:
                    continue
                life = each.next_update - each.this_update
                if each.next_update - now <= min(warn, life * CRL_LIFE_PART):
                    yield ExpiringFile(file, f"revocation list of {each.issuer}", each.next_update)


def load(settings: TlsSettings) -> LoadedTls:
    """Make a context from the files that the settings name. Raises `TlsError`."""
    # gevent's: the standard library's would block the hub during handshakes.
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    _set_suites(context, settings.suites)
    pairs = settings.pairs
    certificates = tuple((pair.certificate, _load_pair(context, pair)) for pair in pairs)
    kinds: dict[str, str] = {}
    for file, chain in certificates:
        other = kinds.setdefault(chain[0].key, file)
        if other != file:
            raise TlsError(
                f"tls.certificates: {other} and {file} both have a key of the kind {chain[0].key}; one of each is used"
            )
    if not settings.client_ca:
        return LoadedTls(context, certificates)
    # Who shows none is still served, by password; the gatekeeper decides who needs one.
    context.verify_mode = ssl.CERT_OPTIONAL
    client_cas = _load_client_cas(context, settings.client_ca)
    return LoadedTls(
        context, certificates, client_cas, _load_revocation_lists(context, settings.client_crl, client_cas)
    )


def facts_of(sock: Any) -> TlsFacts:
    """Return the facts of a TLS socket, whose handshake is done; its client's certificate was verified by that."""
    version, suite = sock.version() or "", (sock.cipher() or ("",))[0]
    der = sock.getpeercert(binary_form=True)
    if not der:
        return _without_certificate(version, suite)
    try:
        return TlsFacts(version=version, suite=suite, certificate=read_certificate(der))
    except ValueError as error:  # one that OpenSSL can read, and this cannot: as if there were none
        logger.warning("a client certificate is not used: %s", error)
        return _without_certificate(version, suite)


@cache
def _without_certificate(version: str, suite: str) -> TlsFacts:
    """Return the facts that all connections without a certificate share."""
    return TlsFacts(version=version, suite=suite)


def _load_pair(context: ssl.SSLContext, pair: CertificateSettings) -> tuple[Certificate, ...]:
    """Load a chain and its key into a context; return the certificates of the chain."""

    def passphrase() -> str:
        # Without this OpenSSL asks at the terminal, and the server waits for ever.
        raise TlsError(f"tls.key {pair.key} is encrypted; a key without a passphrase is needed")

    try:
        context.load_cert_chain(pair.certificate, pair.key, passphrase)
        chain = tuple(map(read_certificate, pem_blocks(Path(pair.certificate).read_bytes())))
    except TlsError:
        raise
    except (OSError, ValueError) as error:
        raise TlsError(f"tls.certificate {pair.certificate} with tls.key {pair.key}: {error}") from None
    if not chain:
        raise TlsError(f"tls.certificate {pair.certificate} has no block CERTIFICATE")
    return chain


def _load_client_cas(context: ssl.SSLContext, path: str) -> tuple[tuple[str, tuple[Certificate, ...]], ...]:
    """Trust the CAs of clients in a PEM file, or in those of a folder; return them by file."""
    found = []
    try:
        for file in _files_at(path):
            certificates = tuple(map(read_certificate, pem_blocks(file.read_bytes())))
            if certificates:
                context.load_verify_locations(file)
                found.append((str(file), certificates))
    except (OSError, ValueError) as error:
        raise TlsError(f"tls.client_ca {path}: {error}") from None
    if not found:
        raise TlsError(f"tls.client_ca {path} has no block CERTIFICATE")
    known = {one.subject for _, certificates in found for one in certificates}
    if any(one.issuer not in known for _, certificates in found for one in certificates):
        context.verify_flags |= PARTIAL_CHAIN  # else OpenSSL wants the root of an intermediate authority, too
    return tuple(found)


def _load_revocation_lists(
    context: ssl.SSLContext, path: str, client_cas: tuple[tuple[str, tuple[Certificate, ...]], ...]
) -> tuple[tuple[str, tuple[RevocationList, ...]], ...]:
    """Check clients against the revocation lists in a PEM file, or in those of a folder; return them by file.

    A client's certificate needs a list of its issuer. With lists of all CAs the whole chain is checked.
    """
    if not path:
        return ()
    found = []
    try:
        for file in _files_at(path):
            lists = tuple(map(read_revocation_list, pem_blocks(file.read_bytes(), CRL)))
            if lists:
                context.load_verify_locations(file)
                found.append((str(file), lists))
    except (OSError, ValueError) as error:
        raise TlsError(f"tls.client_crl {path}: {error}") from None
    if not found:
        raise TlsError(f"tls.client_crl {path} has no block X509 CRL")
    issuers = {each.issuer for _, lists in found for each in lists}
    whole_chain = not context.verify_flags & PARTIAL_CHAIN and all(
        one.subject in issuers for _, certificates in client_cas for one in certificates
    )
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN if whole_chain else ssl.VERIFY_CRL_CHECK_LEAF
    return tuple(found)


def _set_suites(context: ssl.SSLContext, names: Sequence[str]) -> None:
    """Set the suites of TLS 1.2. Raises `TlsError` for one that OpenSSL does not have, and for one of TLS 1.3."""
    if not names:
        context.set_ciphers(SUITES)
        return
    wanted = [openssl_name(name) for name in names]
    for name in names:
        if TLS_1_3.fullmatch(name):
            raise TlsError(f"tls.suites: {name} is one of TLS 1.3, which are always there")
    try:
        context.set_ciphers(":".join(wanted))
    except ssl.SSLError as error:
        raise TlsError(f"tls.suites: {', '.join(names)}: {error}") from None
    known = {suite["name"] for suite in context.get_ciphers()}
    for name, openssl in zip(names, wanted, strict=True):
        if openssl not in known:
            raise TlsError(f"tls.suites: {name} is not known to {ssl.OPENSSL_VERSION}")


def openssl_name(suite: str) -> str:
    """Return OpenSSL's name of a suite that is named as by IANA: `TLS_RSA_WITH_AES_128_GCM_SHA256`; others as given."""
    exchange, found, cipher = suite.partition("_WITH_")
    if not found or not exchange.startswith("TLS_"):
        return suite
    exchange = exchange.removeprefix("TLS_")
    cipher = re.sub(r"AES_(\d+)", r"AES\1", cipher).replace("_CBC", "").replace("POLY1305_SHA256", "POLY1305")
    return "-".join([*(exchange.split("_") if exchange != "RSA" else ()), *cipher.split("_")])


def _files(settings: TlsSettings) -> list[str]:
    """List all files that the settings name."""
    files = [file for pair in settings.pairs for file in (pair.certificate, pair.key)]
    for path in filter(None, (settings.client_ca, settings.client_crl)):
        with contextlib.suppress(OSError):
            files += map(str, _files_at(path))
    return files


def _files_at(path: str) -> list[Path]:
    """Return a file, or the files of a folder in order of their names."""
    place = Path(path)
    return sorted(one for one in place.iterdir() if one.is_file()) if place.is_dir() else [place]


def _stamps(files: Sequence[str]) -> list[tuple[str, int, int, int]]:
    """Return by file what tells that it has changed; zeros for one that is not there."""
    stamps = []
    for file in files:
        try:
            about = Path(file).stat()
            stamps.append((file, about.st_mtime_ns, about.st_size, about.st_ino))
        except OSError:
            stamps.append((file, 0, 0, 0))
    return stamps
