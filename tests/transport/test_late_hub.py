"""A late hub does not mistake its own delay for silence of its peers."""

import gevent
import pytest

from chargehand import CentralSystem, ChargePointOffline, SessionSettings, Settings
from chargehand.protocol.websocket import Codec, Ping
from chargehand.simulator import Client
from chargehand.testing import ManualClock

from ..hub import until
from .connection_harness import SILENT, ConnectionHarness
from .fakes import FakeSocket

LATE_S = 0.001
INTERVAL_S = 60.0


@pytest.fixture
def line():
    line = ConnectionHarness(FakeSocket())
    yield line
    line.connection.finish()
    line.sock.release()


def test_a_ping_answered_a_moment_later_counts_however_late_the_next_look_is(line):
    for number in range(10):
        line.clock.advance(60.0 - LATE_S if number else 60.0)
        assert line.sock.events() == [Ping(b"")]
        line.clock._monotonic += LATE_S  # the answer takes a moment
        line.connection.feed(line.client.pong(b""))
        line.clock._monotonic += LATE_S  # and the hub is late
        assert line.connection.open
    assert line.receiver.ends == []


def test_what_nobody_has_read_yet_is_a_sign_of_life(line):
    line.clock.advance(60.0)
    line.sock.incoming.append(line.client.pong(b"") + line.client.text(b"hello"))
    line.clock.advance(60.0)  # the hub was busy all the time, and runs its timers first
    assert line.connection.open
    assert line.receiver.messages == [b"hello"]
    line.clock.advance(120.0)
    assert line.receiver.ends == [(1006, SILENT)]


def test_a_stream_that_has_ended_meanwhile_is_no_sign_of_life(line):
    line.clock.advance(60.0)
    line.sock.incoming.append(b"")
    line.clock.advance(60.0)
    assert line.receiver.ends == [(1006, SILENT)]


def test_a_close_that_nobody_has_read_yet_ends_it_as_it_should(line):
    line.clock.advance(60.0)
    line.sock.incoming.append(line.client.close(1000, "bye"))
    line.clock.advance(60.0)
    assert line.receiver.ends == [(1000, "bye")]


def test_a_peer_that_we_do_not_read_is_not_taken_for_dead(line):
    line.connection.pause()
    assert line.connection.ping_and_wait(0.001) is True
    assert line.sock.events() == [Ping(b"")]


@pytest.mark.parametrize("transport", ["greenlet", "reactor"])
def test_idle_charge_points_stay_over_many_intervals(transport, monkeypatch):
    settings = Settings(port=0, transport=transport, sessions=SessionSettings(ping_interval_s=INTERVAL_S))
    clock, gone, pings, sent = ManualClock(), [], [0] * 20, []
    ping = Codec.ping
    monkeypatch.setattr(Codec, "ping", lambda codec: sent.append(codec) or ping(codec))
    with CentralSystem(settings, clock=clock) as system:
        clock.drive(system._parts.timers)
        system.subscribe(ChargePointOffline, gone.append)
        clients = [
            Client.connect(f"ws://127.0.0.1:{system.port}/ocpp/CP{n}", subprotocols=("ocpp1.6",))
            for n in range(len(pings))
        ]

        def read(number):
            while clients[number].receive() is not None:
                pings[number] += 1

        readers = [gevent.spawn(read, number) for number in range(len(pings))]
        for _ in range(20):
            clock.advance(INTERVAL_S)
            until(lambda: sum(pings) == len(sent))
        assert (
            min(pings) >= 10
        )  # an answer that the server has not read counts when it looks: no ping is due then
        assert gone == []
        assert all(client.code is None for client in clients)
        for client in clients:
            client.cut(reset=False)
        gevent.joinall(readers)
