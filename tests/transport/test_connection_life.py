"""Life signs of a connection's peer: its frames, and the acknowledgements that the kernel counts."""

import socket
import weakref

import gevent
import pytest

from chargehand.actors.runtime.timers import Timers
from chargehand.protocol.websocket import Ping
from chargehand.testing import ManualClock
from chargehand.transport.connection import SocketConnection

from ..hub import settle, until
from .connection_harness import LIMITS, SILENT
from .fakes import AtOnce, FakeReceiver, FakeSocket

# Signs of life


def test_a_quiet_peer_is_pinged_after_an_interval_and_given_up_after_another(line):
    line.clock.advance(59.9)
    assert line.sock.events() == []
    line.clock.advance(0.1)
    assert line.sock.events() == [Ping(b"")]
    line.clock.advance(59.9)
    assert line.connection.open
    line.clock.advance(0.1)
    assert line.receiver.ends == [(1006, SILENT)]
    assert line.reader.calls == ["ended"]
    assert line.sock.events() == []


@pytest.mark.parametrize("quiet_after_s", [0.0, 1.0, 30.0, 59.9, 60.0, 61.0, 119.9, 120.5, 1000.0])
def test_a_dead_peer_is_found_within_twice_the_interval_of_its_last_byte(line, quiet_after_s):
    while line.clock.monotonic() < 1000.0 + quiet_after_s:
        line.clock.advance(min(50.0, 1000.0 + quiet_after_s - line.clock.monotonic()))
        line.says(b"x")
    died_at = line.clock.monotonic()
    line.clock.advance(120.0)
    assert line.receiver.ends == [(1006, SILENT)]
    assert line.clock.monotonic() - died_at <= 120.0


@pytest.mark.parametrize("sign", [b"\x8a\x80abcd", b"\x89\x80abcd", b"\x81", b"\x81\x80abcd"])
def test_any_byte_is_a_sign_of_life(line, sign):
    line.clock.advance(61.0)
    line.connection.feed(sign)
    line.clock.advance(59.5)
    assert line.connection.open
    line.clock.advance(60.5)
    assert line.receiver.ends == [(1006, SILENT)]


def test_a_peer_that_answers_every_ping_stays_and_is_pinged_once_an_interval(line):
    pings = 0
    for _ in range(100):
        line.clock.advance(60.0)
        pings += len(line.sock.events())
        line.connection.feed(line.client.pong(b""))
    assert line.connection.open
    assert pings == 100


def test_a_busy_peer_is_not_pinged(line):
    for _ in range(100):
        line.clock.advance(30.0)
        line.says(b"x")
    assert line.sock.sent == b""


def test_without_an_interval_nobody_is_pinged(open_line):
    line = open_line(ping_interval_s=0)
    line.clock.advance(1e6)
    assert line.sock.sent == b""
    assert line.connection.open


def test_a_peer_that_we_do_not_read_stays_where_the_kernel_does_not_tell(line):
    line.connection.pause()
    line.clock.advance(1000.0)
    assert line.connection.open
    assert line.sock.events() == []
    line.connection.resume()
    line.clock.advance(59.0)
    assert line.connection.open


def test_a_peer_that_we_do_not_read_is_known_to_live_by_what_its_machine_sends(line):
    line.connection.pause()
    acknowledged_at, pings = line.clock.monotonic(), 0
    for _ in range(600):  # nothing comes but the acknowledgements of our pings
        line.sock.quiet_ms = (1_000_000, round((line.clock.monotonic() + 1 - acknowledged_at) * 1000))
        line.clock.advance(1.0)
        if line.sock.events():
            acknowledged_at, pings = line.clock.monotonic(), pings + 1
    assert line.connection.open
    assert 9 <= pings <= 10


def test_the_clock_of_the_kernel_may_be_a_tick_behind(line):
    line.connection.pause()
    line.clock.advance(60.0)
    line.sock.quiet_ms = (120_000, 60_010)  # the ping was acknowledged before it was sent
    line.clock.advance(60.0)
    assert line.connection.open


@pytest.mark.parametrize("since", ["before the pause", "after it"])
def test_a_half_open_socket_is_found_while_it_is_paused(line, since):
    """The limit is twice the interval after the peer's last sign, as without a pause."""
    line.connection.pause()
    died_at = line.clock.monotonic()
    if since == "after it":
        line.sock.quiet_ms = (1000, 1000)
        line.clock.advance(60.0)
        died_at = line.clock.monotonic() - 1.0
    while line.connection.open and line.clock.monotonic() < 1400.0:
        quiet = round((line.clock.monotonic() + 1 - died_at) * 1000)
        line.sock.quiet_ms = (quiet, quiet)
        line.clock.advance(1.0)
    assert line.receiver.ends == [(1006, SILENT)]
    assert line.connection.half_open
    assert line.clock.monotonic() - died_at <= 122.0


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="the kernel does not tell")
def test_the_kernel_tells_when_it_heard_of_the_peer_last():
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    with near, far:
        clock = ManualClock()
        connection = SocketConnection(
            near, peer="", secure=False, limits=LIMITS, timers=Timers(clock), turn=AtOnce()
        )

        def quiet_s():
            return clock.monotonic() - connection._kernel_heard_at(clock.monotonic())

        for wake in (far.send, near.send):  # data, and an acknowledgement
            until(lambda: quiet_s() > 0.3)
            wake(b"x")
            until(lambda: quiet_s() < 0.2)


def test_a_peer_that_was_pinged_and_then_held_back_gets_its_time_again(line):
    line.clock.advance(60.0)
    line.connection.pause()
    line.clock.advance(600.0)
    line.connection.resume()
    resumed_at = line.clock.monotonic()
    line.clock.advance(59.0)
    assert line.connection.open
    line.clock.advance(121.0)
    assert line.receiver.ends == [(1006, SILENT)]
    assert line.clock.monotonic() - resumed_at <= 180.0


def test_a_closing_connection_sends_no_pings(open_line):
    line = open_line(ping_interval_s=1.0, close_timeout_s=10.0)
    line.connection.close(1001)
    line.sock.events()
    line.clock.advance(9.0)
    assert line.sock.events() == []
    line.clock.advance(1.0)
    assert line.receiver.ends == [(1001, "")]


def test_the_timer_of_an_ended_connection_is_gone_in_an_interval_and_keeps_it_not(line):
    sock = FakeSocket()
    other = SocketConnection(sock, peer="p", secure=False, limits=LIMITS, timers=line.timers, turn=AtOnce())
    other.start(FakeReceiver())
    line.connection.finish()
    other.finish()
    sock.release()
    gone = weakref.ref(sock)
    del sock, other
    assert len(line.timers) == 2
    assert gone() is None  # without the collector's help
    line.clock.advance(60.0)
    assert len(line.timers) == 0


# Does it answer?


def test_a_peer_that_says_anything_answers(line):
    asker = gevent.spawn(line.connection.ping_and_wait, 5.0)
    settle()
    assert line.sock.events() == [Ping(b"")]
    line.says(b"x")
    assert asker.get(timeout=1.0) is True


@pytest.mark.parametrize(("quiet_ms", "answers"), [((9000, 0), True), ((9000, 9000), False), (None, True)])
def test_a_peer_that_we_do_not_read_answers_if_its_machine_acknowledges_the_ping(line, quiet_ms, answers):
    line.connection.pause()
    line.sock.quiet_ms = quiet_ms
    assert line.connection.ping_and_wait(0.001) is answers
    assert line.sock.events() == [Ping(b"")]


def test_a_peer_that_is_read_again_while_it_is_asked_answers_by_what_it_says(line):
    line.connection.pause()
    asker = gevent.spawn(line.connection.ping_and_wait, 5.0)
    settle()
    line.connection.resume()
    line.says(b"x")
    assert asker.get(timeout=1.0) is True


def test_what_the_peer_said_before_it_was_asked_does_not_count(line):
    line.says(b"x")
    assert line.connection.ping_and_wait(0.001) is False
    assert line.sock.events() == [Ping(b"")]


def test_a_peer_is_asked_again_after_it_did_not_answer(line):
    assert line.connection.ping_and_wait(0.001) is False
    asker = gevent.spawn(line.connection.ping_and_wait, 5.0)
    settle()
    assert line.sock.events() == [Ping(b""), Ping(b"")]
    line.says(b"x")
    assert asker.get(timeout=1.0) is True
    assert line.connection.ping_and_wait(0.001) is False


def test_several_may_ask_and_one_that_gives_up_does_not_spoil_it_for_the_others(line):
    patient = gevent.spawn(line.connection.ping_and_wait, 5.0)
    hasty = gevent.spawn(line.connection.ping_and_wait, 0.001)
    assert hasty.get(timeout=1.0) is False
    line.says(b"x")
    assert patient.get(timeout=1.0) is True


def test_a_connection_that_ends_meanwhile_does_not_answer_and_keeps_nobody_waiting(line):
    asker = gevent.spawn(line.connection.ping_and_wait, 60.0)
    settle()
    line.connection.finish()
    assert asker.get(timeout=1.0) is False


def test_a_connection_that_closes_or_has_ended_does_not_answer(line):
    line.connection.close(1001)
    assert line.connection.ping_and_wait(60.0) is False
    line.connection.finish()
    assert line.connection.ping_and_wait(60.0) is False
