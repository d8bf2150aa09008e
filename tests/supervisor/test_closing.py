"""The stop closes all connections, but in turns: charge points that are disconnected together come back together."""

from types import SimpleNamespace

import pytest

from chargehand import TicketState
from chargehand.supervisor import sessions as module
from chargehand.testing import MemoryConnection

SPREAD_S = 3.0
EACH_S = module.CLOSE_EACH_S


class UnclosingConnection(MemoryConnection):
    """Connection whose charge point never answers a close frame."""

    def close(self, code, reason=""):
        if self.closed_with is None:
            self.closed_with = (code, reason)


@pytest.fixture
def closes(sessions_harness, monkeypatch):
    """Times at which each connection was closed, in seconds from the first; a sleep moves the clock."""
    monkeypatch.setattr(module, "gevent", SimpleNamespace(sleep=sessions_harness.clock.advance))
    sessions_harness.sessions._close_spread_s = SPREAD_S
    times = []
    close = MemoryConnection.close

    def noted(self, code, reason=""):
        times.append(sessions_harness.clock.monotonic())
        close(self, code, reason)

    monkeypatch.setattr(MemoryConnection, "close", noted)
    return times


def attach(sessions_harness, count, kind=MemoryConnection):
    connections = []
    for number in range(count):
        connection = kind()
        connection.receiver = sessions_harness.sessions.attach(f"CP{number}", "", connection)
        connections.append(connection)
    sessions_harness.advance(0)
    return connections


@pytest.mark.parametrize(
    ("count", "spread_s"), [(1, 0.0), (2, 0.003), (100, 0.3), (1000, SPREAD_S), (2000, SPREAD_S)]
)
def test_closes_are_spread_evenly_over_a_time_that_grows_with_their_number(
    sessions_harness, closes, count, spread_s
):
    connections = attach(sessions_harness, count)
    sessions_harness.sessions.close_all()
    assert len(closes) == count
    assert all(connection.closed_with[0] == 1001 for connection in connections)
    begun_at = closes[0]
    for number, at in enumerate(closes):
        due = spread_s * number / count
        assert due - module.POLL_S <= at - begun_at <= due + module.POLL_S
    assert len(sessions_harness.directory) == 0


def test_without_a_spread_they_are_closed_at_once(sessions_harness, closes):
    attach(sessions_harness, 100)
    sessions_harness.sessions._close_spread_s = 0.0
    sessions_harness.sessions.close_all()
    assert closes == [closes[0]] * 100


def test_all_tickets_have_ended_before_the_first_close(sessions_harness, closes):
    attach(sessions_harness, 50)
    tickets = [sessions_harness.call(f"CP{number}") for number in range(50)]
    states = []
    close = MemoryConnection.close

    def look(self, code, reason=""):
        states.append({ticket.state for ticket in tickets})
        close(self, code, reason)

    MemoryConnection.close, before = look, MemoryConnection.close
    try:
        sessions_harness.sessions.close_all()
    finally:
        MemoryConnection.close = before
    assert states == [{TicketState.OUTCOME_UNKNOWN}] * 50


def test_those_that_go_by_themselves_meanwhile_are_not_closed(sessions_harness, closes):
    connections = attach(sessions_harness, 200)
    advance = sessions_harness.clock.advance

    def hang_up_and_advance(seconds):
        connections[-1].hang_up()
        advance(seconds)
        sessions_harness.stage.settle()

    module.gevent.sleep = hang_up_and_advance
    sessions_harness.sessions.close_all()
    assert len(closes) == 199
    assert connections[-1].closed_with[0] == 1006


def test_peers_that_never_close_are_waited_for_once_and_not_one_after_the_other(sessions_harness, closes):
    attach(sessions_harness, 100, UnclosingConnection)
    begun_at = sessions_harness.clock.monotonic()
    sessions_harness.sessions.close_all()
    took_s = sessions_harness.clock.monotonic() - begun_at
    spread_s, timeout_s = 100 * EACH_S, 0.05
    assert spread_s + timeout_s - 0.02 <= took_s <= spread_s + 10 * timeout_s
    assert len(sessions_harness.directory) == 0
