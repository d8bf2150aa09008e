"""Input that is no request, and clients that disconnect before their answer: one line in the log, no more."""

import socket
import ssl
import struct

import gevent
import pytest

from chargehand.transport.gate import Refusal

from ..certificates import tls_of
from ..hub import settle, until
from .client import request
from .test_handshake import SUBPROTOCOL

pytestmark = pytest.mark.usefixtures("no_traceback")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n",
        b"hello\r\n\r\n",
        b"\r\n\r\n",
        b"GET / x y\r\n\r\n",
        b"GET / HTTP/1\r\n\r\n",
        b"GET / HTTP/x.y\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"\xff\xfe\x00" * 100 + b"\r\n\r\n",
    ],
    ids=range(12),
)
def test_what_is_no_request_is_answered_with_400_and_noted_in_one_line(served, data):
    client = served.client()
    client.sends(data)
    assert client.answer().status == 400
    client.rest()
    (failure,) = served.gate.failures
    assert failure.startswith("the request is not HTTP: ")
    assert failure.isprintable()
    assert len(failure) < 300


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("missing", [1, 2, 3, 20])
def test_half_a_request_is_refused_and_attaches_nothing(serve, certificate, missing, secure):
    served = serve(tls=tls_of(certificate) if secure else None)
    client = served.client(trust=certificate[0] if secure else None)
    client.sends(request(SUBPROTOCOL)[:-missing])
    if secure:
        client.says_that_it_ends()
    else:
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer().status == 400
    until(lambda: len(served.pool) == 0)
    assert served.gate.failures == ["the request is not HTTP: the request ends within its headers"]
    assert served.gate.requests == []
    assert served.gate.connections == []


def test_a_header_without_an_end_is_noted_in_one_line(served):
    client = served.client()
    client.sends(b"GET / HTTP/1.1\r\nx: " + b"y" * 100_000)
    until(lambda: len(served.gate.failures) == 1)
    client.close()


def test_a_request_line_without_an_end_is_refused(served):
    client = served.client()
    client.sends(b"GET /" + b"x" * 20_000)
    assert client.answer().status == 414
    client.close()


def test_a_client_that_goes_before_it_has_asked_is_nothing_to_speak_of(served):
    served.client().close()
    until(lambda: len(served.pool) == 0)
    assert served.gate.failures == []


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /oc",
        b"GET /ocpp/CP1 HTTP/1.1\r\nHost",
        b"GET / HTTP/1\r\n\r\n",
        request(),
        request(method="PUT"),
    ],
    ids=range(5),
)
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "no close_notify"])
@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_a_client_that_is_gone_at_any_moment_costs_one_line_at_most(serve, certificate, begun, reset, secure):
    tls = tls_of(certificate) if secure else None
    served = serve(tls=tls)
    trust = certificate[0] if secure else None
    client = served.client(trust=trust)
    client.sends(begun)
    if reset:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    settle()
    until(lambda: len(served.pool) == 0)
    assert len(served.gate.failures) <= 1
    assert served.client(trust=trust).asks(SUBPROTOCOL).status == 101


@pytest.mark.parametrize(
    "error", [ssl.SSLEOFError(8, "EOF"), BrokenPipeError(32, "pipe"), ConnectionResetError(104, "reset")]
)
def test_a_client_that_is_gone_before_its_answer_is_noted_in_one_line(served, monkeypatch, error):
    def lose(*_):
        raise type(error)(*error.args)  # a new one: a traceback keeps what is in its frames

    def admit(_):
        monkeypatch.setattr(gevent.socket.socket, "sendall", lose)
        return Refusal(404, "nobody")

    served.gate.decision = admit
    client = served.client()
    client.sends(request(SUBPROTOCOL))
    until(lambda: served.gate.failures)
    monkeypatch.undo()
    assert served.gate.failures == [f"the client did not wait for the answer: {error}"]


def test_a_fault_of_the_gate_is_not_taken_for_the_clients(served, caplog, capfd):
    def admit(_):
        raise OSError("a file of ours")

    served.gate.decision = admit
    assert served.client().asks(SUBPROTOCOL).status == 500
    assert served.gate.failures == []
    assert "a file of ours" in capfd.readouterr().err + caplog.text
    caplog.clear()
