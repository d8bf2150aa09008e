"""Proxies in front: who has connected to them, by the PROXY protocol or by headers, from trusted addresses only."""

from __future__ import annotations

import base64
import binascii
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes

from ..protocol.proxy_header import HEAD_BYTES, read_header, rest_bytes
from ..protocol.x509 import TlsFacts, pem_blocks, read_certificate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.settings import ProxySettings
    from ..protocol.proxy_header import ProxyHeader
    from ..protocol.x509 import Certificate

FOR, PROTO = "x-forwarded-for", "x-forwarded-proto"
VERIFY, CERTIFICATE = "x-ssl-client-verify", "x-ssl-client-cert"
SECURE = {"https": True, "wss": True, "http": False, "ws": False}


class Forwarded(NamedTuple):
    """Client of a proxy by the headers of its request: its address, "" if it is not told; its TLS, None without."""

    host: str
    tls: TlsFacts | None


class Proxies:
    """Trusted proxies of the settings, and what they tell."""

    def __init__(self, settings: ProxySettings) -> None:
        self._networks = [ip_network(one) for one in settings.trusted]
        self.protocol = settings.protocol
        self.headers = settings.headers

    def trusts(self, host: str) -> bool:
        """Return whether an address is that of a trusted proxy."""
        try:
            address = ip_address(host)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def introduction(self, sock: Any) -> ProxyHeader:
        """Read the header that a connection begins with. Switches greenlets. Raises ValueError, and OSError."""
        head = _exactly(sock, HEAD_BYTES)
        return read_header(head + _exactly(sock, rest_bytes(head)))

    def forwarded(self, headers: Mapping[str, str]) -> Forwarded | None:
        """Read the headers of a trusted proxy; None without any. Raises ValueError for those that cannot be read."""
        if FOR not in headers and PROTO not in headers:
            return None
        hosts = [one.strip() for one in headers.get(FOR, "").split(",") if one.strip()]
        # The client may have sent some of them itself: the last one that is no proxy of ours was seen by one of ours.
        host = next((one for one in reversed(hosts) if not self.trusts(one)), hosts[0] if hosts else "")
        if host:
            host = str(ip_address(host))
        scheme = headers.get(PROTO, "http").strip().lower()
        if scheme not in SECURE:
            raise ValueError(f"X-Forwarded-Proto is {scheme!r}, not https, wss, http or ws")
        if not SECURE[scheme]:
            return Forwarded(host, None)
        shown = headers.get(VERIFY, "") == "SUCCESS" and headers.get(CERTIFICATE, "")
        return Forwarded(host, TlsFacts(certificate=_certificate(shown) if shown else None, by_proxy=True))


def _exactly(sock: Any, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise ValueError("the header of the PROXY protocol is cut off")
        data += more
    return data


def _certificate(text: str) -> Certificate:
    """Read a certificate in a header: PEM, percent-encoded as by nginx, or base64 of its DER as by HAProxy."""
    try:
        blocks = (
            pem_blocks(unquote_to_bytes(text)) if "BEGIN" in text else [base64.b64decode(text, validate=True)]
        )
    except binascii.Error as error:
        raise ValueError(f"X-SSL-Client-Cert cannot be read: {error}") from error
    if not blocks:
        raise ValueError("X-SSL-Client-Cert has no certificate")
    return read_certificate(blocks[0])
