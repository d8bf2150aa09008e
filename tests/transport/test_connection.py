"""A connection on fake sockets, with time moved by hand: received bytes, pauses, and the end."""

import logging
import ssl

import pytest

from chargehand.protocol.websocket import Closed, Pong
from chargehand.transport.connection import SocketConnection

from ..hub import settle
from .connection_harness import LIMITS, LOST
from .fakes import AtOnce

# In


def test_messages_are_delivered_in_order_and_as_they_are_completed(line):
    data = line.client.text(b"one") + line.client.text("zwei ü".encode()) + line.client.text(b"")
    line.connection.feed(data[:5])
    assert line.receiver.messages == []
    line.connection.feed(data[5:20])
    assert line.receiver.messages == [b"one"]
    line.connection.feed(data[20:])
    assert line.receiver.messages == [b"one", "zwei ü".encode(), b""]


def test_a_ping_is_answered_with_what_it_carries(line):
    line.pings(b"payload")
    assert line.sock.events() == [Pong(b"payload")]


def test_the_pings_of_one_read_are_answered_in_order_and_in_one_piece(either):
    pings = b"".join(either.client.ping(b"%d" % number) for number in range(30))
    either.connection.feed(pings + either.client.text(b"text"))
    assert either.sock.events() == [Pong(b"%d" % number) for number in range(30)]
    assert len(either.sock.sends) == 1
    assert either.receiver.messages == [b"text"]


def test_a_ping_is_answered_before_the_message_behind_it(either):
    deliver = either.receiver.deliver

    def echo(connection, data):
        deliver(connection, data)
        connection.send_text(data)

    either.receiver.deliver = echo
    whole = either.client.text(b"onetwo")
    either.connection.feed(either.client.ping(b"1") + whole + either.client.ping(b"2"))
    assert either.sock.events() == [Pong(b"1"), b"onetwo", Pong(b"2")]


def test_pings_before_the_end_are_answered_before_it(line):
    line.connection.feed(line.client.ping(b"1") + line.client.ping(b"2") + line.client.close(1000))
    first, second, closed = line.sock.events()
    assert (first, second) == (Pong(b"1"), Pong(b"2"))
    assert closed.code == 1000


def test_a_pong_is_taken_without_a_word(line):
    line.connection.feed(line.client.pong(b"unasked"))
    assert line.sock.sent == b""
    assert line.connection.open


@pytest.mark.parametrize("error", [BlockingIOError(), ssl.SSLWantReadError(), ssl.SSLWantWriteError()])
def test_to_read_what_is_not_there_yet_gives_none(line, error):
    line.sock.incoming = [b"data", error]
    assert line.connection.read() == b"data"
    assert line.connection.read() is None


@pytest.mark.parametrize("error", [b"", ConnectionResetError(), ssl.SSLError(1, "bad"), ValueError()])
def test_to_read_where_nothing_will_come_any_more_gives_no_bytes(line, error):
    line.sock.incoming = [error]
    assert line.connection.read() == b""


def test_a_fault_of_the_receiver_closes_the_connection_with_1011(line, caplog):
    line.receiver.on_deliver = lambda _: 1 / 0
    with caplog.at_level(logging.ERROR):
        line.says(b"one", b"two")
    assert line.receiver.messages == [b"one"]
    assert line.close_frame() == (1011, "")
    assert [record.exc_info is not None for record in caplog.records] == [True]
    assert "192.0.2.1:7" in caplog.text
    line.clock.advance(1.0)
    assert line.receiver.ends == [(1011, "")]


# Pause and resume


def test_pause_and_resume_are_told_to_the_reader_once_each(line):
    line.connection.pause()
    line.connection.pause()
    assert line.connection.paused
    line.connection.resume()
    line.connection.resume()
    assert not line.connection.paused
    assert line.reader.calls == ["paused", "resumed"]


def test_what_was_read_already_waits_too_when_it_pauses(line):
    line.receiver.on_deliver = lambda connection: connection.pause()
    line.says(b"one", b"two", b"three")
    assert line.receiver.messages == [b"one"]
    assert line.reader.calls == ["paused"]
    line.connection.resume()
    assert line.receiver.messages == [b"one", b"two"]
    assert line.connection.paused
    line.receiver.on_deliver = None
    line.connection.resume()
    assert line.receiver.messages == [b"one", b"two", b"three"]
    assert not line.connection.paused
    assert line.reader.calls[-1] == "resumed"
    line.says(b"four")
    assert line.receiver.messages[3:] == [b"four"]


def test_a_ping_that_waits_behind_a_pause_is_answered_after_it(line):
    line.receiver.on_deliver = lambda connection: connection.pause()
    line.connection.feed(line.client.text(b"one") + line.client.ping(b"x"))
    assert line.sock.events() == []
    line.connection.resume()
    assert line.sock.events() == [Pong(b"x")]


@pytest.mark.parametrize("theirs", ["close", "fault"])
def test_an_end_that_waits_behind_a_pause_lets_answers_go_out_before_it(line, theirs):
    line.receiver.on_deliver = lambda connection: connection.pause()
    end = line.client.close(1000) if theirs == "close" else b"\x81\x02hi"
    line.connection.feed(line.client.text(b"one") + end)
    line.connection.send_text(b"answer")
    assert line.sock.events() == [b"answer"]
    line.connection.resume()
    (closed,) = line.sock.events()
    assert closed.code == (1000 if theirs == "close" else 1002)
    line.clock.advance(1.0)
    assert line.receiver.ends == [(closed.code, closed.reason)]


@pytest.mark.parametrize("theirs", ["close", "fault"])
def test_an_end_that_waits_behind_a_pause_when_we_close_gets_one_close_frame(line, theirs):
    line.receiver.on_deliver = lambda connection: connection.pause()
    end = line.client.close(1000) if theirs == "close" else b"\x81\x02hi"
    line.connection.feed(line.client.text(b"one") + line.client.text(b"two") + end)
    line.connection.close(1001, "going")
    (closed,) = line.sock.events()
    assert isinstance(closed, Closed)
    line.clock.advance(1.0)
    assert line.receiver.messages == [b"one"]
    assert line.receiver.ends == [(1001, "going")]


def test_what_waits_behind_a_pause_is_dropped_with_the_connection(line):
    line.receiver.on_deliver = lambda connection: connection.pause()
    line.says(b"one", b"two")
    line.connection.finish()
    line.connection.resume()
    assert line.receiver.messages == [b"one"]


def test_a_connection_that_closes_or_has_ended_is_not_paused(line):
    line.connection.close(1001)
    line.connection.pause()
    assert not line.connection.paused
    line.connection.finish()
    line.connection.pause()
    assert not line.connection.paused
    assert line.reader.calls == ["ended"]


def test_a_paused_connection_that_is_closed_is_read_again(line):
    line.connection.pause()
    line.connection.close(1001)
    assert not line.connection.paused
    line.closes(1001)
    assert line.reader.calls == ["paused", "resumed", "ended"]


def test_a_connection_paused_by_what_came_before_a_fault_is_read_on(line):
    """Otherwise its unread bytes would reset it at the close, and the peer would never see the close frame."""
    line.receiver.on_deliver = lambda connection: connection.pause()
    line.connection.feed(line.client.text(b"one") + b"\x81\x02hi")
    line.receiver.on_deliver = None
    line.connection.resume()
    assert line.reader.calls == ["paused", "resumed"]


# Nothing after the end


def test_the_end_is_told_once_and_nothing_is_done_after_it(either):
    connection = either.connection
    connection.finish()
    connection.finish()
    calls = list(either.sock.calls)
    connection.send_text(b"late")
    connection.close(1000)
    connection.resume()
    either.says(b"late")
    either.pings()
    either.closes()
    either.clock.advance(1000.0)
    settle()
    assert either.receiver.ends == [(1006, LOST)]
    assert either.receiver.messages == []
    assert either.reader.calls == ["ended"]
    assert either.sock.sent == b""
    assert either.sock.calls == calls == ["shutdown"]


def test_what_waits_at_the_end_is_thrown_away(line):
    line.sock.room = 0
    line.connection.send_text(b"text")
    line.connection.finish()
    assert line.waiting == 0
    assert line.connection._writer is None  # nor does the hub look for room any more


def test_a_message_may_end_the_connection(line):
    line.receiver.on_deliver = lambda connection: connection.finish()
    line.connection.feed(line.client.text(b"one") + line.client.text(b"two") + line.client.ping())
    assert line.receiver.messages == [b"one"]
    assert line.receiver.ends == [(1006, LOST)]
    assert line.sock.sent == b""


def test_a_connection_without_a_receiver_can_be_closed(open_line):
    line = open_line()
    bare = SocketConnection(
        line.sock, peer="192.0.2.1:8", secure=False, limits=LIMITS, timers=line.timers, turn=AtOnce()
    )
    bare.close(1002, "no subprotocol in common")
    bare.feed(line.client.text(b"x") + line.client.close(1002))
    assert not bare.open
