"""Turn of a hub: one send for each connection, in order with control frames, closes and ends; parts of a long turn."""

import logging

import gevent
import pytest

from chargehand.actors.runtime.timers import Timers
from chargehand.protocol.websocket import Closed, Pong
from chargehand.testing import ManualClock
from chargehand.transport.greenlet_transport import GreenletTransport
from chargehand.transport.hub_turn import PARTS_S, READS, HubTurn
from chargehand.transport.reactor_transport import ReactorTransport

from ..hub import settle, until
from .connection_harness import DEAF, LOST
from .fakes import FakeSocket, FakeTlsSocket


@pytest.fixture
def turn():
    return HubTurn(Timers(ManualClock()))


@pytest.fixture(params=[FakeSocket, FakeTlsSocket], ids=["plain", "tls"])
def either(open_line, turn, request):
    """Connection without TLS, then one with it, that shares the sends of a hub."""
    return open_line(request.param, turn)


def ends_the_turn(*lines):
    until(lambda: not any(line.waiting for line in lines))


def test_texts_of_one_turn_go_out_together_at_its_end(either):
    either.connection.send_text(b"first")
    either.connection.send_text(b"second")
    assert either.sock.sends == []
    assert either.connection.outbox_bytes == 7 + 8
    ends_the_turn(either)
    assert either.sock.sends == [7 + 8]
    assert either.sock.events() == [b"first", b"second"]


def test_connections_of_one_turn_are_sent_in_the_order_of_their_first_texts(open_line, turn):
    lines = [open_line(FakeSocket, turn) for _ in range(3)]
    order = []
    for place, line in enumerate(lines):
        take = line.sock._take
        line.sock._take = lambda data, place=place, take=take: order.append(place) or take(data)
    for place in (2, 0, 1, 2):
        lines[place].connection.send_text(b"[3]")
    ends_the_turn(*lines)
    assert order == [2, 0, 1]


def test_a_pong_stays_behind_the_answer_of_the_message_before_its_ping(either):
    either.connection.send_text(b"[3]")
    either.pings(b"x")
    ends_the_turn(either)
    assert either.sock.sends == [5 + 3]
    assert either.sock.events() == [b"[3]", Pong(b"x")]


def test_a_ping_without_waiting_texts_is_answered_at_once(either):
    either.pings(b"x")
    assert either.sock.events() == [Pong(b"x")]


def test_our_close_goes_out_behind_the_texts_of_its_turn(either):
    either.connection.send_text(b"[3]")
    either.connection.close(1001, "going away")
    either.connection.send_text(b"too late")
    ends_the_turn(either)
    first, second = either.sock.events()
    assert first == b"[3]"
    assert type(second) is Closed
    assert (second.code, second.reason) == (1001, "going away")


def test_the_peers_close_is_answered_behind_the_texts_of_its_turn(either):
    either.connection.send_text(b"[3]")
    either.closes(1000)
    first, second = either.sock.events()
    assert first == b"[3]"
    assert type(second) is Closed
    assert not either.connection.open
    assert either.receiver.ends == [(1000, "")]


def test_an_end_in_the_same_turn_takes_the_texts_along(either):
    either.connection.send_text(b"[3]")
    either.connection.finish()
    assert either.sock.events() == [b"[3]"]
    assert either.receiver.ends == [(1006, LOST)]


@pytest.mark.parametrize("error", [ConnectionResetError(), BrokenPipeError(), ValueError()])
def test_an_error_at_the_end_of_the_turn_ends_the_connection_once(either, error):
    either.sock.errors = [error]
    either.connection.send_text(b"[3]")
    assert either.connection.open
    until(lambda: not either.connection.open)
    assert either.receiver.ends == [(1006, LOST)]
    assert either.reader.calls == ["ended"]


def test_an_end_whose_last_send_fails_is_one_end(either):
    either.sock.errors = [BrokenPipeError()]
    either.connection.send_text(b"[3]")
    either.connection.finish()
    assert either.receiver.ends == [(1006, LOST)]
    assert either.reader.calls == ["ended"]


def test_what_the_kernel_does_not_take_at_the_end_of_the_turn_waits_for_it(either):
    either.sock.room = 0
    either.connection.send_text(b"first")
    either.connection.send_text(b"second")
    until(lambda: either.sock.attempts)
    assert either.waiting == 7 + 8
    either.takes(100)
    ends_the_turn(either)
    assert either.sock.events() == [b"first", b"second"]


def test_texts_of_one_turn_over_the_bound_are_offered_before_a_peer_is_cut_off(either):
    for _ in range(9):
        either.connection.send_text(b"x" * 496)  # 500 with its header; the bound is 2,000
    assert either.connection.open
    ends_the_turn(either)
    assert either.sock.events() == [b"x" * 496] * 9


def test_a_peer_that_takes_nothing_of_one_turn_is_cut_off_over_the_bound(either):
    either.sock.room = 0
    for _ in range(9):
        either.connection.send_text(b"x" * 496)
    assert either.receiver.ends == [(1006, DEAF)]


def test_texts_that_wait_for_the_end_of_a_turn_are_not_stuck(either):
    either.sock.room = 0
    either.connection.send_text(b"first")
    until(lambda: either.sock.attempts)
    either.takes(100)
    ends_the_turn(either)
    either.clock.advance(29.0)
    either.connection.send_text(b"second")
    either.clock.advance(2.0)  # the timer of the first comes now
    assert either.connection.open
    ends_the_turn(either)
    assert either.sock.events() == [b"first", b"second"]


def test_a_fault_in_sending_one_connection_costs_the_others_nothing(open_line, turn, caplog):
    lines = [open_line(FakeSocket, turn) for _ in range(3)]
    lines[1].sock.errors = [RuntimeError("a bug")]
    for line in lines:
        line.connection.send_text(b"[3]")
    with caplog.at_level(logging.ERROR):
        ends_the_turn(*lines)
    assert [line.sock.events() for line in lines] == [[b"[3]"], [], [b"[3]"]]
    assert [line.connection.open for line in lines] == [True, False, True]
    assert "a bug" in caplog.text


@pytest.fixture
def clock():
    return ManualClock()


def reads(turn, count):
    for _ in range(count):
        turn.has_read()


def test_a_turn_of_many_reads_is_worked_on_and_sent_in_parts(open_line, clock):
    line, worked = open_line(FakeSocket), []

    def work():
        worked.append(len(worked))
        line.connection.send_text(b"[3]")

    line.connection.turn = turn = HubTurn(Timers(clock), work)
    reads(turn, READS - 1)
    assert not worked
    reads(turn, 1)
    assert worked == [0]
    assert line.sock.events() == [b"[3]"]
    reads(turn, 2 * READS)
    assert worked == [0, 1, 2]
    assert line.sock.events() == [b"[3]", b"[3]"]


def test_a_turn_that_takes_too_long_is_not_divided_any_more_and_the_next_one_is(clock):
    worked = []
    turn = HubTurn(Timers(clock), lambda: worked.append(clock.advance(PARTS_S)))
    reads(turn, 3 * READS)
    assert len(worked) == 1
    settle()  # a new turn
    reads(turn, 3 * READS)
    assert len(worked) == 2


def test_a_turn_without_work_of_its_own_only_sends_at_its_end(either, turn):
    either.connection.send_text(b"[3]")
    reads(turn, 2 * READS)
    assert either.sock.sends == []
    ends_the_turn(either)
    assert either.sock.events() == [b"[3]"]


@pytest.mark.parametrize("transport", [ReactorTransport, GreenletTransport], ids=["reactor", "greenlet"])
def test_work_is_done_in_the_hub_alone_though_tls_has_bytes_when_a_connection_starts(
    open_line, clock, transport
):
    line, worked = open_line(FakeTlsSocket), []
    turn = HubTurn(Timers(clock), lambda: worked.append(gevent.getcurrent()))
    line.connection.turn = turn
    line.sock.incoming = [line.client.text(b"one")]
    reads(turn, READS - 1)
    gevent.spawn(transport().run, line.connection, b"").join(60)
    line.sock._far.send(b"readable")  # what is read is in `incoming`
    until(lambda: line.receiver.messages == [b"one"])
    line.sock.incoming = [line.client.text(b"two")]
    until(lambda: line.receiver.messages == [b"one", b"two"])
    line.connection.finish()
    until(lambda: worked)
    assert worked == [gevent.get_hub()]
