"""Requests on real sockets: refusals, admissions, and the end of the socket."""

import gc
import socket

import gevent
import pytest

from chargehand.protocol.websocket import Closed, Codec, Role
from chargehand.transport.gate import Admission, Refusal
from chargehand.transport.handshake import Handshake
from chargehand.transport.reactor_transport import ReactorTransport

from ..hub import settle, until
from .client import ACCEPT, KEY, request, text_frame

SUBPROTOCOL = "Sec-WebSocket-Protocol: ocpp1.6"

pytestmark = pytest.mark.usefixtures("no_traceback")


def answered(served, client):
    """Tell if a connection is served: a text is delivered and answered."""
    before = len(served.gate.receivers[-1].messages)
    client.sends(text_frame(b"hello"))
    until(lambda: len(served.gate.receivers[-1].messages) > before)
    return client.socket.recv(100) == b"\x81\x06got it"


def outlast_a_silent_client(served):
    """Let the time of a silent client pass."""
    assert served.client().rest() == b""


# Admission


def test_the_answer_to_an_admission_is_that_of_the_rfc(served):
    client = served.client()
    answer = client.asks(SUBPROTOCOL)
    assert answer.status == 101
    assert answer.headers == {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-accept": ACCEPT,
        "sec-websocket-protocol": "ocpp1.6",
    }
    assert answer.rest == b""
    assert answered(served, client)


def test_the_gate_is_told_what_was_asked(served):
    client = served.client()
    client.asks("X-Twice: one", SUBPROTOCOL, "x-twice:  two ", path="/ocpp/CP%201?key=/value")
    (asked,) = served.gate.requests
    assert asked.path == "/ocpp/CP%201"
    assert asked.headers["sec-websocket-protocol"] == "ocpp1.6"
    assert asked.headers["x-twice"] == "one, two"
    assert asked.headers["host"] == "x"
    address = client.socket.getsockname()
    assert asked.peer == f"127.0.0.1:{address[1]}"
    assert asked.secure is False
    assert asked.tls is None


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://example.org/ocpp/CP1", "/ocpp/CP1"),
        ("http://example.org:9000/ocpp/CP1?x=y", "/ocpp/CP1"),
        ("ws://example.org/ocpp/CP1/", "/ocpp/CP1/"),
        ("http://[/ocpp/CP1", "/ocpp/CP1"),
        ("http://example.org", "/"),
        ("*", "/"),
        ("/ocpp//CP1", "/ocpp//CP1"),
        ("//CP1", "//CP1"),
    ],
)
def test_a_whole_url_is_taken_for_its_path(served, target, path):
    served.client().asks(SUBPROTOCOL, path=target)
    assert served.gate.requests[0].path == path


@pytest.mark.parametrize("name", ["Zürich⚡", "àà", "Å…", "naïve café"[:5]])
def test_a_path_may_have_any_character_as_it_is(served, name):
    assert served.client().asks(SUBPROTOCOL, path=f"/ocpp/{name}").status == 101
    encoded = "".join(f"%{byte:02X}" if byte > 127 else chr(byte) for byte in name.encode())
    assert served.gate.requests[0].path == f"/ocpp/{encoded}"


@pytest.mark.parametrize(
    "lines",
    [
        ["upgrade: WebSocket", "connection: upgrade"],
        ["Upgrade: h2c, websocket", "Connection: keep-alive, Upgrade"],
        ["Upgrade: h2c", "Upgrade: websocket", "Connection: keep-alive", "Connection: Upgrade"],
        ["Upgrade: websocket,websocket", "Connection: Upgrade,Upgrade"],
    ],
)
def test_an_upgrade_may_be_asked_for_in_every_form_there_is(served, lines):
    client = served.client()
    head = [f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13", *lines, SUBPROTOCOL]
    client.sends("\r\n".join(("GET /ocpp/CP1 HTTP/1.1", *head, "", "")).encode())
    assert client.answer().status == 101
    assert answered(served, client)


def test_a_subprotocol_that_is_assumed_is_not_named_in_the_answer(served):
    """A client must fail a connection whose subprotocol it has not offered. RFC 6455, section 4.1."""
    client = served.client()
    answer = client.asks()
    assert answer.status == 101
    assert "sec-websocket-protocol" not in answer.headers
    assert answered(served, client)


def test_without_a_common_subprotocol_the_handshake_may_be_completed_and_then_closed(served):
    served.gate.decision = Admission("CP1", "", None)
    client = served.client()
    answer = client.asks("Sec-WebSocket-Protocol: soap")
    assert answer.status == 101
    assert "sec-websocket-protocol" not in answer.headers
    (closed,) = Codec(Role.CLIENT).receive(answer.rest + client.rest())
    assert (type(closed), closed.code) == (Closed, 1002)
    assert served.gate.connections == []


# Refusals


@pytest.mark.parametrize(
    ("options", "status", "header"),
    [
        ({"method": "POST"}, 405, ("allow", "GET")),
        ({"method": "HEAD"}, 405, ("allow", "GET")),
        ({"method": "get"}, 405, ("allow", "GET")),
        ({"version": "HTTP/1.0"}, 400, None),
        ({"without": "Upgrade"}, 426, ("upgrade", "websocket")),
        ({"without": "Connection"}, 426, ("connection", "Upgrade, close")),
        ({"without": "Sec-WebSocket-Version"}, 426, ("sec-websocket-version", "13")),
        ({"without": "Sec-WebSocket-Key"}, 400, None),
    ],
)
def test_what_is_no_request_for_a_websocket_is_refused_with_what_is_wrong(served, options, status, header):
    client = served.client()
    answer = client.asks(SUBPROTOCOL, **options)
    assert answer.status == status
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    body = answer.rest + client.rest()
    assert int(answer.headers["content-length"]) == len(body) > 1
    assert "close" in answer.headers["connection"]
    if header is not None:
        assert answer.headers[header[0]] == header[1]
    assert served.gate.requests == []


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("Upgrade: h2c", 426),
        ("Upgrade: websockets", 426),
        ("Connection: close", 426),
        ("Sec-WebSocket-Version: 8", 426),
        ("Sec-WebSocket-Version: 14", 426),
        ("Sec-WebSocket-Version: ", 426),
        ("Sec-WebSocket-Version: 13, 8", 426),
        ("Sec-WebSocket-Key: ", 400),
        ("Sec-WebSocket-Key: c2hvcnQ=", 400),
        ("Sec-WebSocket-Key: ****", 400),
        (f"Sec-WebSocket-Key: {KEY}, {KEY}", 400),
        (f"Sec-WebSocket-Key : {KEY}", 400),
    ],
)
def test_a_header_that_says_something_else_is_refused(served, line, status):
    assert served.client().asks(SUBPROTOCOL, line, without=line.split(":")[0].strip()).status == status
    assert served.gate.requests == []


@pytest.mark.parametrize("line", [f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13"])
def test_a_header_of_which_there_may_be_one_is_refused_when_it_comes_twice(served, line):
    assert served.client().asks(SUBPROTOCOL, line).status in {400, 426}


@pytest.mark.parametrize("line", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_a_request_with_a_body_is_refused(served, line):
    client = served.client()
    client.sends(request(SUBPROTOCOL, line) + b"5\r\nhello\r\n0\r\n\r\n")
    assert client.answer().status == 400
    client.rest()


def test_a_request_that_says_it_has_no_body_is_admitted(served):
    client = served.client()
    assert client.asks(SUBPROTOCOL, "Content-Length: 0").status == 101
    assert answered(served, client)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500, 503])
def test_the_gate_refuses_with_its_status_its_reason_and_its_headers(served, status):
    served.gate.decision = Refusal(status, "so it is", (("Retry-After", "17"),))
    client = served.client()
    answer = client.asks(SUBPROTOCOL)
    assert answer.status == status
    assert answer.headers["retry-after"] == "17"
    assert answer.headers["connection"] == "close"
    assert answer.rest + client.rest() == b"so it is\n"
    assert served.gate.connections == []
    assert served.gate.failures == []


def test_a_connection_serves_one_request_whatever_the_client_asks_for(served):
    served.gate.decision = Refusal(404, "no")
    client = served.client()
    client.sends(request("Connection: keep-alive, Upgrade", without="Connection") * 3)
    assert client.rest().count(b"HTTP/1.1 404") == 1
    assert len(served.gate.requests) == 1


# Time


@pytest.mark.parametrize("begun", [b"", b"GET /oc", b"GET /ocpp/CP1 HTTP/1.1\r\nHost: x\r\n"])
def test_a_request_that_is_not_finished_in_time_ends_with_its_connection(serve, begun):
    served = serve(handshake_timeout_s=0.05)
    client = served.client()
    client.sends(begun) if begun else None
    assert client.rest() == b""
    assert served.gate.failures == ["the request was not finished in time"]


def test_a_client_that_is_refused_and_never_sends_its_body_ends_with_its_connection(serve):
    served = serve(handshake_timeout_s=0.05)
    client = served.client()
    answer = client.asks("Content-Length: 1000", method="POST")
    assert answer.status == 405
    client.rest()
    until(lambda: served.gate.failures == ["the request was not finished in time"])


def test_the_time_that_the_gate_takes_is_not_the_clients(serve):
    served = serve(handshake_timeout_s=0.05)

    def think(_):
        outlast_a_silent_client(served)
        return Admission("CP1", "", "ocpp1.6")

    served.gate.decision = think
    client = served.client()
    assert client.asks(SUBPROTOCOL).status == 101
    assert answered(served, client)
    assert len(served.gate.failures) == 1  # the silent one


def test_a_connection_lives_on_when_the_time_for_its_handshake_is_over(serve):
    served = serve(handshake_timeout_s=0.05)
    client = served.client()
    assert client.asks(SUBPROTOCOL).status == 101
    outlast_a_silent_client(served)
    assert answered(served, client)
    assert len(served.gate.failures) == 1  # the silent one


def test_a_request_may_come_byte_by_byte(served):
    client = served.client()
    for byte in request(SUBPROTOCOL):
        client.sends(bytes((byte,)))
        gevent.sleep(0)
    assert client.answer().status == 101
    assert answered(served, client)


# The socket and what stays


@pytest.mark.parametrize("texts", [1, 2, 500, 5000])
def test_what_is_sent_behind_the_request_in_the_same_packet_is_not_lost(served, texts):
    client = served.client()
    sent = [b"text %d" % number for number in range(texts)]
    gevent.spawn(client.sends, request(SUBPROTOCOL) + b"".join(map(text_frame, sent)))
    until(lambda: served.gate.receivers and len(served.gate.receivers[0].messages) == texts)
    assert served.gate.receivers[0].messages == sent


def test_a_frame_of_which_half_came_with_the_request_is_completed(served):
    client = served.client()
    frame = text_frame(b"x" * 300)
    client.sends(request(SUBPROTOCOL) + frame[:100])
    connection = served.only_connection()
    settle()
    assert served.gate.receivers[0].messages == []
    client.sends(frame[100:])
    until(lambda: served.gate.receivers[0].messages == [b"x" * 300])
    assert connection.open


def test_a_close_behind_the_request_ends_the_connection(served):
    client = served.client()
    client.sends(request(SUBPROTOCOL) + Codec(Role.CLIENT).close(1000))
    assert client.rest().endswith(b"\r\n\r\n\x88\x02\x03\xe8")
    assert served.gate.receivers[0].ends == [(1000, "")]


def test_a_client_that_goes_with_its_request_ends_the_connection(served):
    client = served.client()
    client.sends(request(SUBPROTOCOL))
    client.socket.shutdown(socket.SHUT_WR)
    until(lambda: served.gate.receivers and served.gate.receivers[0].ends)
    assert served.gate.receivers[0].ends == [(1006, "the connection was lost")]


def test_nothing_of_the_http_server_stays_on_the_reactor_and_the_socket_stays_open(served):
    client = served.client()
    assert client.asks(SUBPROTOCOL).status == 101
    connection = served.only_connection()
    settle()
    if isinstance(served.server.transport, ReactorTransport):
        assert len(served.pool) == 0
        assert not [
            one for one in gc.get_objects() if isinstance(one, Handshake)
        ]  # without the collector's help
    gc.collect()
    assert connection.open
    assert answered(served, client)


def test_the_socket_is_closed_when_the_connection_ends(served):
    client = served.client()
    client.asks(SUBPROTOCOL)
    connection = served.only_connection()
    client.close()
    until(lambda: not connection.open)
    until(lambda: connection.sock.fileno() == -1)


def test_a_client_that_goes_while_it_is_not_read_answers_no_more(served):
    client = served.client()
    client.asks(SUBPROTOCOL)
    connection = served.only_connection()
    connection.pause()
    assert connection.ping_and_wait(0.01) is True
    client.sends(text_frame(b"unread") * 100)
    client.close()
    until(lambda: connection.ping_and_wait(0.1) is False)
    connection.finish()
