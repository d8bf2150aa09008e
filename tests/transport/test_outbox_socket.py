"""Bytes to send: at once, when the kernel has room for them, or never."""

import ssl

import pytest

from chargehand.protocol.websocket import Pong

from .connection_harness import DEAF, LIMITS, LOST
from .fakes import FakeTlsSocket


def test_a_text_goes_out_at_once_in_one_piece(either):
    either.connection.send_text(b"[3]")
    assert either.sock.sends == [5]
    assert either.sock.events() == [b"[3]"]
    assert either.waiting == 0


def test_what_the_kernel_does_not_take_waits_until_it_does(line):
    line.sock.room = 3
    line.connection.send_text(b"first")
    line.connection.send_text(b"second")
    assert line.sock.sends == [3]
    assert line.waiting == 4 + 8
    line.takes(6)
    assert line.waiting == 4 + 8 - 6
    line.takes(100)
    assert line.sock.events() == [b"first", b"second"]
    assert line.waiting == 0


@pytest.mark.parametrize("error", [BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError])
def test_a_text_that_would_block_waits_whole(line, error):
    line.sock.errors = [error()]
    line.connection.send_text(b"text")
    assert line.sock.sent == b""
    line.is_tried()
    assert line.sock.events() == [b"text"]


@pytest.mark.parametrize("silent", [False, True], ids=["raises", "says 0"])
def test_tls_that_would_block_is_offered_the_same_again_or_more_of_it(open_line, silent):
    line = open_line(FakeTlsSocket)
    line.sock.silent = silent
    line.sock.room = 0
    line.connection.send_text(b"first")
    line.connection.send_text(b"second")
    line.is_tried()
    assert line.sock.sent == b""
    line.takes(100)
    assert line.sock.events() == [b"first", b"second"]
    assert line.connection.open


@pytest.mark.parametrize("silent", [False, True], ids=["raises", "says 0"])
def test_a_long_text_goes_into_tls_in_pieces_so_that_a_slow_peer_is_seen_to_read(open_line, silent):
    line = open_line(FakeTlsSocket, max_outbox_bytes=200_000)
    line.sock.silent = silent
    line.sock.room = 0
    line.connection.send_text(b"x" * 100_000)
    for _ in range(6):
        assert line.waiting > 0
        line.clock.advance(20.0)
        line.takes(20_000)
        line.connection.feed(line.client.pong(b""))
    assert line.waiting == 0
    assert max(line.sock.sends) == 16_384
    assert line.sock.events() == [b"x" * 100_000]
    assert line.connection.open


def test_a_long_text_goes_out_at_once_if_tls_takes_it(open_line):
    line = open_line(FakeTlsSocket)
    line.connection.send_text(b"x" * 100_000)
    assert line.sock.events() == [b"x" * 100_000]
    assert line.waiting == 0


def test_bytes_that_come_let_tls_write_on(open_line):
    line = open_line(FakeTlsSocket)
    line.sock.room = 0
    line.connection.send_text(b"text")
    line.sock.room = 100
    line.pings()  # no pass of the hub
    assert line.sock.events() == [b"text", Pong(b"")]


def test_an_outbox_at_its_bound_is_kept_and_one_over_it_ends_the_connection(line):
    line.sock.room = 0
    for _ in range(4):
        line.connection.send_text(b"x" * 496)  # 500 with its header
    assert line.waiting == LIMITS.max_outbox_bytes
    assert line.connection.open
    line.connection.send_text(b"")
    assert not line.connection.open
    assert line.receiver.ends == [(1006, DEAF)]
    assert line.reader.calls == ["ended"]
    assert line.waiting == 0


def test_one_message_over_the_bound_of_the_outbox_may_wait_alone(line):
    line.sock.room = 10
    line.connection.send_text(b"x" * 3000)
    assert line.connection.open
    line.takes(10_000)
    assert line.sock.events() == [b"x" * 3000]


def test_pongs_that_nobody_reads_end_the_connection_too(line):
    line.sock.room = 0
    for _ in range(17):
        line.pings(b"x" * 125)
    assert line.receiver.ends == [(1006, DEAF)]


def test_a_peer_that_takes_nothing_for_the_send_timeout_is_cut_off(either):
    either.sock.room = 0
    either.connection.send_text(b"text")
    either.clock.advance(29.9)
    assert either.connection.open
    either.clock.advance(0.1)
    assert either.receiver.ends == [(1006, DEAF)]


@pytest.mark.parametrize("silent", [False, True], ids=["raises", "says 0"])
def test_a_peer_that_goes_on_talking_but_reads_nothing_is_cut_off_in_the_same_time(open_line, silent):
    line = open_line(FakeTlsSocket)
    line.sock.silent = silent
    line.sock.room = 0
    line.connection.send_text(b"text")
    for _ in range(30):
        assert line.connection.open
        line.says(b"[2]")
        line.is_tried()
        line.clock.advance(1.0)
    assert line.receiver.ends == [(1006, DEAF)]


def test_every_byte_that_is_taken_gives_the_peer_its_time_again(line):
    line.sock.room = 1
    line.connection.send_text(b"12345678")
    for _ in range(8):
        line.clock.advance(29.0)
        line.takes(1)
        line.pings()
    assert line.connection.open
    line.clock.advance(30.0)
    assert line.receiver.ends == [(1006, DEAF)]


def test_a_peer_that_is_slow_again_and_again_costs_one_timer(line):
    before = len(line.timers)
    for _ in range(100):
        line.sock.room = 1
        line.connection.send_text(b"x")
        line.takes(100)
    assert len(line.sock.events()) == 100
    assert len(line.timers) == before + 1
    line.clock.advance(31.0)
    assert len(line.timers) == before
    assert line.connection.open


@pytest.mark.parametrize(
    "error", [ConnectionResetError(), BrokenPipeError(), ssl.SSLError(1, "bad"), ValueError()]
)
def test_an_error_in_sending_ends_the_connection(either, error):
    either.sock.errors = [error]
    either.connection.send_text(b"text")
    assert either.receiver.ends == [(1006, LOST)]
    assert either.reader.calls == ["ended"]


def test_an_error_in_sending_what_waited_ends_the_connection(either):
    either.sock.room = 0
    either.connection.send_text(b"text")
    either.sock.errors = [ConnectionResetError()]
    either.is_tried()
    assert either.receiver.ends == [(1006, LOST)]
