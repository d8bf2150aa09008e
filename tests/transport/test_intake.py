"""Sockets that the intake turns away, and the ends of those that it has counted."""

import errno
import os

import pytest

from chargehand.config.settings import ProxySettings
from chargehand.transport import descriptors
from chargehand.transport.descriptors import accepted
from chargehand.transport.gate import Refusal
from chargehand.transport.proxies import Proxies

from ..certificates import tls_of
from ..hub import until
from ..protocol.test_proxy_header import header

SUBPROTOCOL = "Sec-WebSocket-Protocol: ocpp1.6"
TOO_MANY = Refusal(429, "too many", (("Retry-After", "7"),), detail="sessions.connections_per_address")


class FakeIntake:
    """Intake that keeps who is there; `refusals` are given to those who come next."""

    def __init__(self):
        self.open = []
        self.seen = []
        self.refusals = {"accept": [], "enter": []}
        self.failed = []

    def accept(self, descriptor, peer):
        assert descriptor > 2
        return self.refusals["accept"].pop() if self.refusals["accept"] else None

    def enter(self, peer):
        if self.refusals["enter"]:
            return self.refusals["enter"].pop()
        self.seen.append(peer.rpartition(":")[0])
        self.open.append(peer)
        return None

    def leave(self, peer):
        self.open.remove(peer)

    def used_up(self, error):
        self.failed.append(error.errno)


@pytest.fixture
def intake():
    return FakeIntake()


@pytest.mark.parametrize("by", ["accept", "enter"])
def test_who_is_turned_away_gets_the_answer_before_anything_is_read(serve, intake, by, no_traceback):
    served = serve(intake=intake)
    intake.refusals[by].append(TOO_MANY)
    answer = served.client().rest()
    assert answer.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"\r\nRetry-After: 7\r\n" in answer
    assert answer.endswith(b"\r\n\r\ntoo many\n")
    assert served.gate.refused == [429]
    assert served.gate.requests == []
    assert served.client().asks(SUBPROTOCOL).status == 101


def test_over_tls_who_is_turned_away_is_closed(serve, intake, certificate, no_traceback):
    served = serve(intake=intake, tls=tls_of(certificate))
    intake.refusals["enter"].append(TOO_MANY)
    assert served.client().rest() == b""
    assert served.client(trust=certificate[0]).asks(SUBPROTOCOL).status == 101
    assert len(intake.open) == 1


def test_a_connection_counts_until_its_end(serve, intake):
    served = serve(intake=intake)
    client = served.client()
    assert client.asks(SUBPROTOCOL).status == 101
    assert len(intake.open) == 1
    client.close()
    until(lambda: not intake.open)


@pytest.mark.parametrize("sent", [b"", b"nonsense\r\n\r\n", b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_handshake_that_fails_counts_until_its_end(serve, intake, sent):
    served = serve(intake=intake)
    client = served.client()
    client.sends(sent)
    until(lambda: intake.seen)
    client.close()
    until(lambda: not intake.open)


def test_a_tls_handshake_that_fails_counts_until_its_end(serve, intake, certificate):
    served = serve(intake=intake, tls=tls_of(certificate))
    served.client().sends(b"GET / HTTP/1.1\r\n\r\n")
    until(lambda: served.gate.failures)
    until(lambda: not intake.open)
    assert intake.seen == ["127.0.0.1"]


def test_a_session_that_cannot_be_attached_counts_no_more(serve, intake):
    served = serve(intake=intake)
    served.gate.attach_fails = True
    served.client().asks(SUBPROTOCOL)
    until(lambda: not intake.open)
    assert intake.seen == ["127.0.0.1"]


# Behind proxies


def test_behind_a_proxy_the_client_of_its_headers_counts(serve, intake):
    proxies = Proxies(ProxySettings(trusted=("127.0.0.1",), headers=True))
    served = serve(intake=intake, proxies=proxies)
    served.gate.handshake_refused = lambda peer, refusal: served.gate.refused.append(refusal.status)
    client = served.client()
    assert client.asks(SUBPROTOCOL, "X-Forwarded-For: 192.0.2.7").status == 101
    assert intake.seen == ["192.0.2.7"]
    client.close()
    until(lambda: not intake.open)
    intake.refusals["enter"].append(TOO_MANY)
    assert served.client().asks(SUBPROTOCOL, "X-Forwarded-For: 192.0.2.7").status == 429


def test_a_client_cannot_count_as_somebody_else(serve, intake):
    proxies = Proxies(ProxySettings(trusted=("192.0.2.0/24",), headers=True))
    served = serve(intake=intake, proxies=proxies)
    assert served.client().asks(SUBPROTOCOL, "X-Forwarded-For: 198.51.100.1").status == 101
    assert intake.seen == ["127.0.0.1"]


def test_behind_a_proxy_the_client_of_its_header_of_the_proxy_protocol_counts(serve, intake):
    proxies = Proxies(ProxySettings(trusted=("127.0.0.1",), protocol="v2"))
    served = serve(intake=intake, proxies=proxies)
    served.gate.handshake_refused = lambda peer, refusal: served.gate.refused.append(refusal.status)
    client = served.client()
    client.sends(header())
    assert client.asks(SUBPROTOCOL).status == 101
    assert intake.seen == ["192.0.2.1"]
    client.close()
    until(lambda: not intake.open)
    intake.refusals["enter"].append(TOO_MANY)
    other = served.client()
    other.sends(header())
    assert other.rest().startswith(b"HTTP/1.1 429 ")


def test_the_health_check_of_a_proxy_counts_until_its_end(serve, intake):
    proxies = Proxies(ProxySettings(trusted=("127.0.0.1",), headers=True))
    served = serve(intake=intake, proxies=proxies)
    assert served.client().asks(SUBPROTOCOL).status == 101
    assert intake.seen == ["127.0.0.1"]


# Without descriptors


class FakeTimer:
    def __init__(self, after_s):
        self.after_s = after_s
        self.callback = None

    def start(self, callback):
        self.callback = callback


class FakeServer:
    def __init__(self):
        self.loop = self
        self.accepts = True

    timer = FakeTimer

    def stop_accepting(self):
        self.accepts = False

    def _start_accepting_if_started(self):
        self.accepts = True


@pytest.mark.parametrize("number", sorted(descriptors.USED_UP), ids=os.strerror)
def test_without_a_descriptor_a_listener_waits_and_accepts_again(intake, number):
    server = FakeServer()

    def accept():
        raise OSError(number, os.strerror(number))

    assert accepted(server, accept, intake.used_up) is None
    assert server.accepts is False
    assert intake.failed == [number]
    assert server._timer.after_s == descriptors.ACCEPT_AGAIN_S
    server._timer.callback()
    assert server.accepts is True


def test_other_errors_of_an_accept_are_raised(intake):
    def accept():
        raise OSError(errno.EBADF, "closed")

    with pytest.raises(OSError, match="closed"):
        accepted(FakeServer(), accept, intake.used_up)


def test_a_process_has_a_limit_of_descriptors():
    assert descriptors.descriptor_limit() > 0
