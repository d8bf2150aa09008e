"""Server side of TLS. OCPP 1.6 security whitepaper, section 2.2: TLS 1.2 and up, no compression."""

from __future__ import annotations

import ssl

from gevent.ssl import SSLContext

from ..config.errors import ChargehandError


class TlsError(ChargehandError, ValueError):
    """The certificate or the key cannot be used."""


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """Make the context for a certificate chain and key in PEM files. Raises `TlsError` with one clear sentence."""

    def passphrase() -> str:
        # Without this OpenSSL asks at the terminal, and the server waits for ever.
        raise TlsError(f"tls.key {key} is encrypted; a key without a passphrase is needed")

    # gevent's: the standard library's would block the hub during handshakes.
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # The whitepaper's suites first, then others of the same strength.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20:AES128-GCM-SHA256:AES256-GCM-SHA384")
    try:
        context.load_cert_chain(certificate, key, passphrase)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"tls.certificate {certificate} with tls.key {key}: {error}") from None
    return context
