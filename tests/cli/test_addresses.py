"""Addresses of a system as URLs."""

from types import SimpleNamespace

import pytest

from chargehand import HttpSettings, Settings, TlsSettings
from chargehand.cli.addresses import bound, configured, reachable

SYSTEM = SimpleNamespace(port=1, tls_port=2, http_port=3)
HTTP = HttpSettings(enabled=True)
TLS = TlsSettings(certificate="c.pem", key="c.key")


def test_ws_alone_is_what_there_is_by_default():
    assert bound(Settings(), SYSTEM) == {"ws": "ws://127.0.0.1:1/ocpp/{id}"}
    assert reachable(Settings(), SYSTEM) == {"ws": "ws://127.0.0.1:1/ocpp/", "wss": None, "http": None}


def test_every_endpoint_has_its_own_port():
    assert reachable(Settings(tls=TLS, http=HTTP), SYSTEM) == {
        "ws": "ws://127.0.0.1:1/ocpp/",
        "wss": "wss://127.0.0.1:2/ocpp/",
        "http": "http://127.0.0.1:3",
    }


def test_without_plain_there_is_no_ws():
    settings = Settings(tls=TlsSettings(certificate="c.pem", key="c.key", plain=False, host="192.0.2.1"))
    assert bound(settings, SYSTEM) == {"wss": "wss://192.0.2.1:2/ocpp/{id}"}
    assert reachable(settings, SYSTEM)["ws"] is None


@pytest.mark.parametrize(
    ("host", "shown", "there"),
    [
        ("0.0.0.0", "0.0.0.0", "127.0.0.1"),
        ("::", "[::]", "[::1]"),
        ("::1", "[::1]", "[::1]"),
        ("host.example", "host.example", "host.example"),
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
    ],
)
def test_an_address_that_stands_for_all_is_reached_by_loopback(host, shown, there):
    settings = Settings(host=host, path="/{name}/{id}")
    assert bound(settings, SYSTEM)["ws"] == f"ws://{shown}:1/{{name}}/{{id}}"
    assert reachable(settings, SYSTEM)["ws"] == f"ws://{there}:1/{{name}}/"


def test_the_settings_alone_say_where_a_server_should_be():
    settings = Settings(host="0.0.0.0", port=9100, path="/x/{id}", tls=TLS, http=HTTP)
    assert configured(settings) == {
        "ws": "ws://127.0.0.1:9100/x/",
        "wss": "wss://127.0.0.1:9443/x/",
        "http": "http://127.0.0.1:8080",
    }
    assert configured(Settings())["http"] is None
