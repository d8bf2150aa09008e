"""Proxies in front: the PROXY protocol and headers, from trusted addresses only, on both transports."""

import base64
from urllib.parse import quote

import pytest

from chargehand.config.settings import ProxySettings
from chargehand.protocol.x509 import pem_blocks
from chargehand.transport.proxies import Proxies

from ..certificates import Authority, tls_of
from ..hub import until
from ..protocol.test_proxy_header import TCP_4, header, tls
from .client import request

SUBPROTOCOL = "Sec-WebSocket-Protocol: ocpp1.6"
HERE, ELSEWHERE = ("127.0.0.1",), ("192.0.2.0/24",)
FACTS = tls(version=b"TLSv1.3", name=b"CP1", cipher=b"TLS_AES_128_GCM_SHA256")


def proxies(trusted=HERE, **settings):
    return Proxies(ProxySettings(trusted=trusted, **settings))


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("10.0.0.7", True),
        ("10.1.255.1", True),
        ("::ffff:10.1.0.1", True),
        ("2001:db8::9", True),
        ("10.0.0.8", False),
        ("2001:db9::9", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_addresses_and_networks_are_trusted(host, trusted):
    assert proxies(("10.0.0.7", "10.1.0.0/16", "2001:db8::/32")).trusts(host) is trusted


# The PROXY protocol


@pytest.fixture
def introduced(serve):
    return serve(proxies=proxies(protocol="v2"), handshake_timeout_s=0.5)


def test_the_client_is_the_one_that_the_proxy_names(introduced, no_traceback):
    client = introduced.client()
    client.sends(header(TCP_4 + FACTS) + request(SUBPROTOCOL))
    connection = introduced.only_connection()
    assert introduced.gate.requests[0].peer == connection.peer == "192.0.2.1:56324"
    assert connection.tls == introduced.gate.requests[0].tls
    assert (connection.tls.certificate.names, connection.tls.by_proxy) == (("CP1",), True)
    assert connection.secure is False  # the socket itself has no TLS


def test_a_header_may_come_byte_by_byte(introduced):
    client = introduced.client()
    for byte in header():
        client.sends(bytes([byte]))
    client.sends(request(SUBPROTOCOL))
    assert introduced.only_connection().peer == "192.0.2.1:56324"


@pytest.mark.parametrize("sent", [request(SUBPROTOCOL), header(family=0x12), b"\0" * 100], ids=range(3))
def test_a_trusted_proxy_without_a_right_header_is_refused_in_one_line(introduced, sent, no_traceback):
    client = introduced.client()
    client.sends(sent)
    until(lambda: introduced.gate.failures)
    (failure,) = introduced.gate.failures
    assert failure.startswith("PROXY: ")
    assert introduced.gate.requests == []


@pytest.mark.parametrize("sent", [b"", header()[:20]], ids=range(2))
def test_a_header_that_does_not_come_in_time_ends_the_connection(introduced, sent, no_traceback):
    client = introduced.client()
    client.sends(sent)
    assert client.rest() == b""
    until(lambda: introduced.gate.failures == ["PROXY: the header did not come in time"])


def test_a_header_of_another_address_is_not_believed(serve, no_traceback):
    served = serve(proxies=proxies(ELSEWHERE, protocol="v2"))
    client = served.client()
    client.sends(header() + request(SUBPROTOCOL))
    until(lambda: served.gate.failures)
    assert served.gate.requests == []
    assert served.client().asks(SUBPROTOCOL).status == 101


def test_tls_behind_the_header_is_that_of_the_client(serve, certificate, no_traceback):
    served = serve(tls=tls_of(certificate), proxies=proxies(protocol="v2"))
    client = served.client()
    client.sends(header())
    client.secures(certificate[0])
    assert client.asks(SUBPROTOCOL).status == 101
    connection = served.only_connection()
    assert connection.peer == "192.0.2.1:56324"
    assert (connection.tls.by_proxy, connection.secure) == (False, True)


# Headers


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """PEM of a client's certificate."""
    return (
        Authority(tmp_path_factory.mktemp("proxies"), "clients")
        .issue("CP1", names=["a.example"])[0]
        .read_bytes()
    )


@pytest.mark.parametrize("how", ["percent-encoded PEM", "base64"])
def test_headers_of_a_trusted_proxy_are_believed(serve, shown, how, no_traceback):
    served = serve(proxies=proxies(headers=True))
    text = quote(shown, safe="") if how != "base64" else base64.b64encode(pem_blocks(shown)[0]).decode()
    lines = (
        "X-Forwarded-For: 203.0.113.5, 198.51.100.7, 127.0.0.1",
        "X-Forwarded-Proto: https",
        "X-SSL-Client-Verify: SUCCESS",
        f"X-SSL-Client-Cert: {text}",
    )
    assert served.client().asks(SUBPROTOCOL, *lines).status == 101
    connection = served.only_connection()
    assert connection.peer == "198.51.100.7:0"  # what is before it may be of the client itself
    assert connection.tls.by_proxy
    assert connection.tls.certificate.names == ("CP1", "a.example")


@pytest.mark.parametrize("verify", ["", "NONE", "FAILED:expired", "SUCCESS, SUCCESS"])
def test_a_certificate_that_the_proxy_has_not_verified_is_none(serve, shown, verify):
    served = serve(proxies=proxies(headers=True))
    lines = (
        "X-Forwarded-Proto: wss",
        f"X-SSL-Client-Verify: {verify}",
        f"X-SSL-Client-Cert: {quote(shown, safe='')}",
    )
    assert served.client().asks(SUBPROTOCOL, *lines).status == 101
    assert served.only_connection().tls.certificate is None


@pytest.mark.parametrize(("trusted", "on"), [(ELSEWHERE, True), (HERE, False)])
def test_headers_of_others_are_not_believed(serve, shown, trusted, on):
    served = serve(proxies=proxies(trusted, headers=on))
    lines = ("X-Forwarded-For: 203.0.113.5", "X-Forwarded-Proto: https", "X-SSL-Client-Verify: SUCCESS")
    assert served.client().asks(SUBPROTOCOL, *lines).status == 101
    connection = served.only_connection()
    assert connection.peer.startswith("127.0.0.1:")
    assert connection.tls is None


@pytest.mark.parametrize(
    "lines",
    [
        ("X-Forwarded-Proto: gopher",),
        ("X-Forwarded-For: somebody",),
        ("X-Forwarded-Proto: https, https",),
        ("X-Forwarded-Proto: https", "X-SSL-Client-Verify: SUCCESS", "X-SSL-Client-Cert: !"),
        ("X-Forwarded-Proto: https", "X-SSL-Client-Verify: SUCCESS", "X-SSL-Client-Cert: AAAA"),
        ("X-Forwarded-Proto: https", "X-SSL-Client-Verify: SUCCESS", "X-SSL-Client-Cert: -----BEGIN"),
    ],
)
def test_headers_of_a_proxy_that_cannot_be_read_are_400(serve, lines, no_traceback):
    served = serve(proxies=proxies(headers=True))
    assert served.client().asks(SUBPROTOCOL, *lines).status == 400
    assert served.gate.requests == []


def test_without_headers_a_connection_of_a_trusted_address_is_its_own(serve, certificate):
    served = serve(tls=tls_of(certificate), proxies=proxies(headers=True))
    client = served.client(trust=certificate[0])
    assert client.asks(SUBPROTOCOL).status == 101
    assert served.only_connection().tls.by_proxy is False
