"""A session that hangs in the middle of a message: it is found, ended, and loses one message."""

import gevent
import pytest
from gevent.event import Event

from chargehand import TicketState
from chargehand.actors.session.actor import SessionActor

from ..hub import settle, until
from .sessions_harness import TIME_ANSWER

HANG_S = 10.0


@pytest.fixture
def hangs(monkeypatch):
    """Make a session wait for ever when it routes a call with the message id "hang"."""
    gate = Event()
    route = SessionActor._route

    def hanging(self, incoming):
        if incoming.unique_id == "hang":
            gate.wait()
        route(self, incoming)

    monkeypatch.setattr(SessionActor, "_route", hanging)
    return gate


def hang(charge_point, action="Authorize", payload='{"idTag":"T1"}'):
    charge_point.send(f'[2,"hang","{action}",{payload}]')
    settle()


@pytest.mark.usefixtures("hangs")
def test_a_session_that_hangs_is_started_again_and_its_call_is_answered(sessions_harness, charge_point):
    hang(charge_point)
    charge_point.send('[2,"next","Heartbeat",{}]')
    sessions_harness.advance(HANG_S * 0.9)
    assert charge_point.take() == []
    sessions_harness.advance(HANG_S * 0.6)
    assert [frame[:3] for frame in charge_point.take()] == [
        [4, "hang", "InternalError"],
        [3, "next", TIME_ANSWER],
    ]
    assert (sessions_harness.count("session_hung"), sessions_harness.count("session_restarted")) == (1, 1)


@pytest.mark.usefixtures("hangs")
def test_others_do_not_notice(sessions_harness, charge_point):
    other = sessions_harness.connect("CP2")
    hang(charge_point)
    assert other.call("Heartbeat")[2] == TIME_ANSWER
    sessions_harness.advance(HANG_S * 2)
    assert other.call("Heartbeat")[2] == TIME_ANSWER
    assert other.closed_with is None


@pytest.mark.usefixtures("hangs")
def test_a_call_of_ours_behind_it_is_sent_when_it_is_over(sessions_harness, charge_point):
    hang(charge_point)
    ticket = sessions_harness.call()
    sessions_harness.advance(HANG_S * 1.5)
    assert ticket.state is TicketState.SENT


def test_a_session_that_waits_for_less_is_left_alone(sessions_harness, charge_point, hangs):
    for _ in range(5):
        hang(charge_point)
        sessions_harness.advance(HANG_S * 0.7)
        hangs.set()
        until(charge_point.take)
        hangs.clear()
    assert sessions_harness.count("session_hung") == 0


def test_a_session_that_cannot_be_ended_is_abandoned_and_its_call_is_answered(
    sessions_harness, charge_point, monkeypatch
):
    route, swallowed, gate = SessionActor._route, [], Event()

    def stubborn(self, incoming):
        while incoming.unique_id == "hang" and not gate.is_set():
            try:
                gate.wait()
            except gevent.GreenletExit:
                swallowed.append(incoming)
        if not swallowed:
            route(self, incoming)

    monkeypatch.setattr(SessionActor, "_route", stubborn)
    hang(charge_point)
    sessions_harness.advance(HANG_S * 2)
    assert swallowed
    assert [frame[:3] for frame in charge_point.take()] == [[4, "hang", "InternalError"]]
    monkeypatch.setattr(SessionActor, "_route", route)
    assert charge_point.call("Heartbeat")[2] == TIME_ANSWER
    gate.set()
    settle()
    assert charge_point.take() == []
