"""Connections while memory is short: not read, though they may end, and known by what they hold."""

import pytest

from chargehand.protocol.websocket import Codec, Role

from ..certificates import tls_of
from ..hub import settle, until
from .client import text_frame

SUBPROTOCOL = "Sec-WebSocket-Protocol: ocpp1.6"


@pytest.fixture(params=["plain", "tls"])
def connected(request, serve, certificate):
    """Server, a client of it, and the connection."""
    secure = request.param == "tls"
    served = serve(tls=tls_of(certificate) if secure else None)
    client = served.client(trust=certificate[0] if secure else None)
    assert client.asks(SUBPROTOCOL).status == 101
    return served, client, served.only_connection()


def test_a_connection_that_is_held_is_read_when_it_is_released(connected):
    served, client, connection = connected
    (receiver,) = served.gate.receivers
    connection.hold()
    connection.hold()
    client.sends(text_frame(b"one"))
    settle()
    assert receiver.messages == []
    connection.release()
    until(lambda: receiver.messages == [b"one"])


def test_its_receiver_does_not_end_the_hold(connected):
    served, client, connection = connected
    (receiver,) = served.gate.receivers
    connection.hold()
    connection.pause()
    connection.resume()
    client.sends(text_frame(b"one"))
    settle()
    assert receiver.messages == []
    connection.pause()
    connection.release()
    settle()
    assert receiver.messages == []
    connection.resume()
    until(lambda: receiver.messages == [b"one"])


def test_a_peer_that_goes_while_it_is_held_is_noticed(connected):
    _, client, connection = connected
    connection.hold()
    client.sends(text_frame(b"one"))
    settle()
    assert connection.has_been_left() is False
    client.close()
    until(connection.has_been_left)
    connection.give_up("the connection was lost")
    until(lambda: connection.sock.fileno() == -1)
    assert connection.has_been_left() is False


def test_what_a_connection_holds_are_unfinished_messages_and_unsent_answers(line):
    assert line.connection.held_bytes == 0
    frame = Codec(Role.CLIENT).text(b"x" * 500)
    line.connection.feed(frame[:300])
    assert line.connection.held_bytes == 300
    line.connection.feed(frame[300:])
    assert line.connection.held_bytes == 0
    line.sock.room = 0
    line.connection.send_text(b"y" * 100)
    assert line.connection.held_bytes == 102


def test_a_fragmented_message_is_held_too(line):
    line.connection.feed(b"\x01\x80abcd" + b"\x00\x85\0\0\0\0hello")
    assert line.connection.held_bytes == 5


def test_one_that_closes_is_not_held(line):
    line.connection.close(1000)
    line.connection.hold()
    assert line.connection.paused == 0


def test_one_that_is_given_up_ends_with_the_reason(line):
    line.connection.give_up("memory is short")
    assert line.receiver.ends == [(1006, "memory is short")]
