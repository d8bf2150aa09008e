"""The listening socket: TLS before the handshake, internal faults, and connections that outlive it."""

import ssl

import gevent
import gevent.socket
import pytest

from chargehand.protocol.websocket import Codec, Role

from ..certificates import make_certificate, tls_of
from ..hub import settle, until
from .client import request, text_frame
from .conftest import ADMISSION

SUBPROTOCOL = "Sec-WebSocket-Protocol: ocpp1.6"
GOT_IT = b"\x81\x06got it"


@pytest.fixture
def serve_tls(serve, certificate):
    """Make servers of wss."""
    return lambda **limits: serve(tls=tls_of(certificate), **limits)


def received(client, size):
    data = b""
    while len(data) < size:
        more = client.socket.recv(65536)
        assert more, data
        data += more
    return data


# TLS


def test_a_connection_over_tls_is_served_like_any_other(serve_tls, certificate, no_traceback):
    served = serve_tls()
    client = served.client(trust=certificate[0])
    assert client.asks(SUBPROTOCOL).status == 101
    assert served.gate.requests[0].secure is True
    connection = served.only_connection()
    assert connection.secure is True
    client.sends(text_frame(b"hello"))
    assert received(client, len(GOT_IT)) == GOT_IT
    client.sends(Codec(Role.CLIENT).close(1000))
    assert client.rest() == b"\x88\x02\x03\xe8"
    until(lambda: connection.sock.fileno() == -1)


def test_the_end_of_a_connection_is_said_in_tls(serve_tls, certificate, no_traceback):
    """A client that checks for truncation must see the close_notify."""
    served = serve_tls()
    client = served.client(trust=certificate[0])
    client.socket.suppress_ragged_eofs = False
    client.asks(SUBPROTOCOL)
    client.sends(Codec(Role.CLIENT).close(1000))
    assert client.rest() == b"\x88\x02\x03\xe8"


@pytest.mark.parametrize("texts", [1, 3000])
def test_what_is_sent_behind_the_request_in_the_same_record_is_not_lost(
    serve_tls, certificate, texts, no_traceback
):
    served = serve_tls()
    client = served.client(trust=certificate[0])
    sent = [b"text %d" % number for number in range(texts)]
    gevent.spawn(client.sends, request(SUBPROTOCOL) + b"".join(map(text_frame, sent)))
    until(lambda: served.gate.receivers and len(served.gate.receivers[0].messages) == texts)
    assert served.gate.receivers[0].messages == sent


def test_a_message_of_many_records_arrives_whole_and_one_of_many_leaves_whole(
    serve_tls, certificate, no_traceback
):
    served = serve_tls()
    client = served.client(trust=certificate[0])
    client.asks(SUBPROTOCOL)
    connection = served.only_connection()
    gevent.spawn(client.sends, text_frame(b"x" * 900_000))
    until(lambda: served.gate.receivers[0].messages)
    assert served.gate.receivers[0].messages == [b"x" * 900_000]
    connection.send_text(b"y" * 900_000)
    assert received(client, len(GOT_IT) + 10 + 900_000).endswith(b"y" * 900_000)


def test_a_paused_connection_over_tls_loses_nothing(serve_tls, certificate, no_traceback):
    served = serve_tls()
    client = served.client(trust=certificate[0])
    client.asks(SUBPROTOCOL)
    connection = served.only_connection()
    receiver = served.gate.receivers[0]
    receiver.on_deliver = lambda one: one.pause()
    client.sends(text_frame(b"one"))
    until(lambda: connection.paused)
    client.sends(text_frame(b"two") + text_frame(b"three"))
    settle()
    assert receiver.messages == [b"one"]
    receiver.on_deliver = None
    connection.resume()
    until(lambda: receiver.messages == [b"one", b"two", b"three"])


def test_a_peer_that_sends_on_after_a_fault_reads_the_close_frame_over_tls_too(
    serve_tls, certificate, no_traceback
):
    served = serve_tls()
    client = served.client(trust=certificate[0])
    client.asks(SUBPROTOCOL)
    client.sends(b"\x82\x80abcd")
    for _ in range(20):
        client.sends(b"x" * 1000)
    assert client.rest()[2:4] == (1003).to_bytes(2, "big")


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\x04junk", b"\x00" * 500], ids=range(3)
)
def test_what_is_no_tls_is_one_line_and_no_traceback(serve_tls, sent, no_traceback):
    served = serve_tls()
    client = served.client()
    client.sends(sent)
    until(lambda: served.gate.failures)
    (failure,) = served.gate.failures
    assert failure.startswith("TLS: ")
    until(lambda: len(served.pool) == 0)


def test_a_client_that_does_not_trust_us_is_one_line_and_no_traceback(serve_tls, tmp_path, no_traceback):
    served = serve_tls()
    stranger, _ = make_certificate(tmp_path, "stranger")
    with pytest.raises(ssl.SSLCertVerificationError):
        served.client(trust=stranger)
    until(lambda: len(served.gate.failures) == 1)
    assert served.gate.failures[0].startswith("TLS: ")


def test_an_old_tls_is_one_line_and_no_traceback(serve_tls, no_traceback):
    served = serve_tls()
    client = served.client()
    # A ClientHello of TLS 1.0 that offers one suite of its time.
    hello = b"\x03\x01" + b"r" * 32 + b"\x00" + b"\x00\x02\x00\x2f" + b"\x01\x00"
    handshake = b"\x01" + len(hello).to_bytes(3, "big") + hello
    client.sends(b"\x16\x03\x01" + len(handshake).to_bytes(2, "big") + handshake)
    until(lambda: len(served.gate.failures) == 1)
    assert "UNSUPPORTED_PROTOCOL" in served.gate.failures[0]


def test_of_too_many_silent_clients_the_oldest_is_closed_and_others_are_served(
    serve_tls, certificate, no_traceback
):
    served = serve_tls(silent_handshakes=2)
    silent = [served.client() for _ in range(4)]
    until(lambda: len(served.gate.failures) == 2)
    assert [one.rest() for one in silent[:2]] == [b"", b""]
    assert served.gate.failures[0].startswith("TLS: too many clients are silent (sessions.silent_handshakes)")
    assert served.client(trust=certificate[0]).asks(SUBPROTOCOL).status == 101
    silent[3].secures(certificate[0])
    assert silent[3].asks(SUBPROTOCOL).status == 101


def test_a_tls_handshake_that_is_not_finished_in_time_ends_with_its_socket(serve_tls, no_traceback):
    served = serve_tls(handshake_timeout_s=0.05)
    silent, slow = served.client(), served.client()
    slow.sends(b"\x16\x03\x01")
    assert silent.rest() == b""
    assert slow.rest() == b""
    assert served.gate.failures == ["TLS: the handshake was not finished in time"] * 2


def test_a_client_that_goes_in_the_middle_of_tls_is_one_line(serve_tls, no_traceback):
    served = serve_tls()
    client = served.client()
    client.sends(b"\x16\x03\x01")
    client.close()
    until(lambda: len(served.gate.failures) == 1)


def test_a_request_over_tls_that_is_not_finished_in_time_ends_with_its_connection(
    serve_tls, certificate, no_traceback
):
    served = serve_tls(handshake_timeout_s=0.1)
    client = served.client(trust=certificate[0])
    client.sends(b"GET /oc")
    assert client.rest() == b""
    assert served.gate.failures == ["the request was not finished in time"]


def test_a_client_that_is_slow_in_tls_keeps_nobody_waiting(serve_tls, certificate, no_traceback):
    """The library patches nothing: with the standard library's TLS the hub would block."""
    served = serve_tls(handshake_timeout_s=60.0)
    slow = served.client()
    slow.sends(b"\x16\x03\x01")
    settle()
    assert served.client(trust=certificate[0]).asks(SUBPROTOCOL).status == 101
    assert served.gate.failures == []


def test_a_refusal_over_tls_is_read_to_its_end(serve_tls, certificate, no_traceback):
    served = serve_tls()
    client = served.client(trust=certificate[0])
    answer = client.asks(method="POST")
    assert answer.status == 405
    assert int(answer.headers["content-length"]) == len(answer.rest + client.rest())


# Faults of ours


def test_a_gate_that_fails_is_a_500_and_the_server_goes_on(served, capfd):
    def fail(_):
        raise ZeroDivisionError

    served.gate.decision = fail
    client = served.client()
    assert client.asks(SUBPROTOCOL).status == 500
    client.rest()
    assert "ZeroDivisionError" in capfd.readouterr().err
    served.gate.decision = ADMISSION
    assert served.client().asks(SUBPROTOCOL).status == 101


def test_an_attach_that_fails_ends_the_connection_and_the_server_goes_on(served, capfd):
    served.gate.attach_fails = True
    client = served.client()
    assert client.asks(SUBPROTOCOL).status == 101
    assert client.rest() == b""
    assert "attach failed" in capfd.readouterr().err
    served.gate.attach_fails = False
    assert served.client().asks(SUBPROTOCOL).status == 101


# Closing


def test_a_closed_server_takes_nobody_and_leaves_its_connections_alone(served):
    client = served.client()
    client.asks(SUBPROTOCOL)
    served.only_connection()
    served.server.close()
    with pytest.raises(ConnectionRefusedError):
        gevent.socket.create_connection(("127.0.0.1", served.port), 1.0)
    client.sends(text_frame(b"hello"))
    assert received(client, len(GOT_IT)) == GOT_IT


def test_to_start_takes_no_look_at_the_names_of_the_machine(served, monkeypatch):
    """If the machine's name service does not answer, gevent would wait for the machine's own name."""
    assert served.server.environ["SERVER_NAME"] == "127.0.0.1"
