"""A session that crashes goes on on the same connection, and loses only the message that it was handling."""

import pytest
from gevent.event import Event

from chargehand import NeverSent, OutcomeUnknown, TicketState
from chargehand.actors.runtime.cell import CellPhase
from chargehand.actors.session.actor import SessionActor
from chargehand.actors.session.messages import FrameReceived
from chargehand.protocol.session import Session

from ..actors.messages_of_v16 import METER_VALUES, PASSIVE, STAND_INS
from ..faults import PlantedFault
from ..hub import settle
from .sessions_harness import TIME_ANSWER, crash

# A crash and its restart


@pytest.mark.usefixtures("faulty_reading")
def test_a_session_that_crashed_goes_on_at_once_on_the_same_connection(sessions_harness, charge_point):
    crash(charge_point)
    assert charge_point.closed_with is None
    assert charge_point.call("Heartbeat")[2] == TIME_ANSWER
    assert (sessions_harness.count("session_crashed"), sessions_harness.count("session_restarted")) == (1, 1)


@pytest.mark.usefixtures("faulty_reading")
@pytest.mark.parametrize("action", PASSIVE)
def test_the_call_that_was_being_handled_in_a_crash_is_answered_by_a_fallback(charge_point, log, action):
    answer = crash(charge_point, action)
    assert answer[1:3] == ["crash", STAND_INS[action]]
    assert log == []


@pytest.mark.usefixtures("faulty_reading")
def test_the_transaction_message_of_a_crash_is_answered_when_it_is_stored(sessions_harness, charge_point):
    sessions_harness.store.hold()
    assert crash(charge_point, "MeterValues") is None
    assert len(sessions_harness.store.pending) == 1
    sessions_harness.store.settle()
    settle()
    assert charge_point.take() == [[3, "crash", {}]]


@pytest.mark.parametrize("action", ["StartTransaction", "Authorize", "StatusNotification"])
def test_a_crash_after_the_frame_was_read_is_answered_too(
    sessions_harness, charge_point, monkeypatch, action
):
    def planted(*_):
        raise PlantedFault

    monkeypatch.setattr(SessionActor, "_route", planted)
    assert crash(charge_point, action)[1:3] == ["crash", STAND_INS[action]]


def test_a_crash_in_a_broken_frame_is_no_reason_for_an_answer(charge_point, monkeypatch):
    def planted(*_):
        raise PlantedFault

    monkeypatch.setattr(Session, "receive", planted)
    for frame in ("[3", '[3,"a",{}]', "junk", '[2,"a"'):
        charge_point.send(frame)
    assert charge_point.take() == []


def crash_over_frames(monkeypatch):
    """Have every frame crash the session from now on before it is read."""
    receive = SessionActor.receive

    def planted(self, message):
        if type(message) is FrameReceived:
            raise PlantedFault
        return receive(self, message)

    monkeypatch.setattr(SessionActor, "receive", planted)


def test_a_crash_before_the_frame_was_looked_at_is_answered_too(sessions_harness, charge_point, monkeypatch):
    charge_point.call("Heartbeat")
    with monkeypatch.context() as patch:
        patch.setattr(SessionActor, "_route", lambda *_: {}["a planted fault"])
        assert charge_point.call("Authorize", PASSIVE["Authorize"], "a")[1:3] == ["a", "InternalError"]
    sessions_harness.advance(100)
    with monkeypatch.context() as patch:
        crash_over_frames(patch)
        assert charge_point.call("Authorize", PASSIVE["Authorize"], "b")[1:3] == ["b", "InternalError"]
        assert charge_point.call("Authorize", PASSIVE["Authorize"], "c")[1:3] == ["c", "InternalError"]


def test_a_crash_over_a_frame_of_an_old_connection_is_not_answered_over_the_new_one(
    sessions_harness, monkeypatch
):
    first, second = sessions_harness.connect(), sessions_harness.connect()
    crash_over_frames(monkeypatch)
    sessions_harness.cell().deliver(first, b'[2,"1","Heartbeat",{}]')
    settle()
    assert sessions_harness.count("session_crashed") == 1
    assert second.take() == []


@pytest.mark.usefixtures("faulty_reading")
def test_a_call_that_is_with_its_plugin_when_the_session_crashes_gets_its_own_answer(charge_point, way, log):
    later = []
    way[0] = lambda: later.append(log[-1].later())
    charge_point.call("Authorize", PASSIVE["Authorize"], "a")
    crash(charge_point)
    charge_point.take()
    later[0].answer({"idTagInfo": {"status": "Blocked"}})
    settle()
    assert charge_point.take() == [[3, "a", {"idTagInfo": {"status": "Blocked"}}]]


@pytest.mark.usefixtures("faulty_reading")
def test_its_deadline_goes_on_running_too(sessions_harness, charge_point, way):
    way[0] = Event().wait
    charge_point.call("Authorize", PASSIVE["Authorize"], "a")
    sessions_harness.advance(5)
    crash(charge_point)
    charge_point.take()
    sessions_harness.advance(5)
    assert [frame[:3] for frame in charge_point.take()] == [[4, "a", "InternalError"]]


@pytest.mark.usefixtures("faulty_reading")
def test_the_rest_of_the_inbox_waits_in_order(sessions_harness, charge_point, log):
    cell = sessions_harness.cell()
    for unique_id in ("1", "2", "crash", "3", "4"):
        cell.deliver(charge_point, b'[2,"%b","Heartbeat",{}]' % unique_id.encode())
    settle()
    assert [call.unique_id for call in log] == ["1", "2", "3", "4"]


@pytest.mark.usefixtures("faulty_reading")
def test_from_the_second_crash_on_it_waits_and_so_does_what_comes(sessions_harness, charge_point, log):
    crash(charge_point)
    crash(charge_point)
    assert sessions_harness.cell().phase is CellPhase.VACANT
    assert charge_point.call("Heartbeat") is None
    sessions_harness.advance(0.999)
    assert log == []
    sessions_harness.advance(0.001)
    assert [frame[1] for frame in charge_point.take()] == ["1"]


@pytest.mark.usefixtures("faulty_reading")
def test_after_a_quiet_time_the_first_restart_is_at_once_again(sessions_harness, charge_point):
    crash(charge_point)
    crash(charge_point)
    sessions_harness.advance(100)
    crash(charge_point)
    assert charge_point.call("Heartbeat")[2] == TIME_ANSWER


@pytest.mark.usefixtures("faulty_reading")
def test_a_session_over_its_intensity_is_closed_and_the_charge_point_may_return(
    sessions_harness, charge_point, log
):
    for _ in range(4):
        sessions_harness.cell().deliver(charge_point, b'[2,"crash","Heartbeat",{}]')
    settle()
    sessions_harness.advance(1)
    sessions_harness.advance(2)
    assert charge_point.closed_with == (1011, "the session failed")
    assert sessions_harness.cell() is None
    assert sessions_harness.count("session_given_up") == 1
    again = sessions_harness.connect()
    assert again.call("Heartbeat")[2] == TIME_ANSWER
    crash(again)  # with a budget of its own
    assert again.call("Heartbeat")[2] == TIME_ANSWER


@pytest.mark.usefixtures("faulty_reading")
def test_one_bad_charge_point_does_not_touch_the_others(sessions_harness, charge_point):
    others = [sessions_harness.connect(f"GOOD{number}") for number in range(5)]
    for _ in range(4):
        sessions_harness.cell().deliver(charge_point, b'[2,"crash","Heartbeat",{}]')
    settle()
    sessions_harness.advance(3)
    assert charge_point.closed_with[0] == 1011
    assert [other.call("Heartbeat")[0] for other in others] == [3] * 5
    assert sessions_harness.exits == []
    assert [other.closed_with for other in others] == [None] * 5


@pytest.mark.usefixtures("faulty_reading")
def test_a_handler_that_hangs_when_its_session_ends_does_not_hold_the_next_one(
    sessions_harness, charge_point, way
):
    way[0] = Event().wait
    charge_point.call("Heartbeat")
    for _ in range(4):
        sessions_harness.cell().deliver(charge_point, b'[2,"crash","Heartbeat",{}]')
    settle()
    sessions_harness.advance(3)
    assert charge_point.closed_with[0] == 1011
    again = sessions_harness.connect()
    way[0] = lambda: TIME_ANSWER
    assert again.call("Heartbeat") is None
    sessions_harness.advance(7)
    assert again.take() == [[3, "1", TIME_ANSWER]]


# Tickets


@pytest.mark.usefixtures("faulty_reading")
def test_a_ticket_that_was_sent_stays_sent_over_a_crash_and_is_answered(sessions_harness, charge_point):
    ticket = sessions_harness.call()
    (call,) = charge_point.take()
    crash(charge_point)
    assert ticket.state is TicketState.SENT
    charge_point.answer(call, {"listVersion": 1})
    assert ticket.result().list_version == 1


@pytest.mark.usefixtures("faulty_reading")
def test_it_times_out_over_a_crash_too_and_the_next_one_goes(sessions_harness, charge_point):
    first, second = sessions_harness.call(timeout_s=5.0), sessions_harness.call()
    crash(charge_point)
    sessions_harness.advance(5)
    assert (first.state, second.state) == ("timed_out", "sent")


def test_a_crash_while_an_answer_is_read_leaves_its_ticket_to_its_timeout(
    sessions_harness, charge_point, monkeypatch
):
    ticket = sessions_harness.call(timeout_s=5.0)
    (call,) = charge_point.take()

    def planted(*_):
        raise PlantedFault

    with monkeypatch.context() as patch:
        patch.setattr("chargehand.protocol.session.lenient", planted)
        charge_point.answer(call, {"listVersion": 1})
    assert ticket.state is TicketState.SENT
    sessions_harness.advance(5)
    assert ticket.state is TicketState.TIMED_OUT


def test_a_crash_over_a_call_of_ours_ends_its_ticket(sessions_harness, charge_point, monkeypatch):
    def planted(*_):
        raise PlantedFault

    with monkeypatch.context() as patch:
        patch.setattr(Session, "submit", planted)
        ticket = sessions_harness.call()
    assert ticket.state is TicketState.NEVER_SENT
    assert charge_point.call("Heartbeat")[2] == TIME_ANSWER


@pytest.mark.usefixtures("faulty_reading")
def test_over_its_budget_all_its_tickets_end(sessions_harness, charge_point):
    on_wire, waits = sessions_harness.call(), sessions_harness.call(when_offline="queue")
    for _ in range(4):
        sessions_harness.cell().deliver(charge_point, b'[2,"crash","Heartbeat",{}]')
    settle()
    cell = sessions_harness.cell()
    in_the_inbox = sessions_harness.call()
    sessions_harness.advance(3)
    assert cell.phase is CellPhase.ENDED
    with pytest.raises(OutcomeUnknown):
        on_wire.result()
    with pytest.raises(NeverSent):
        waits.result()
    assert in_the_inbox.state is TicketState.NEVER_SENT


# What has happened is heard by the next actor


def test_a_crash_over_a_new_connection_does_not_lose_it(sessions_harness, charge_point, monkeypatch):
    lose = SessionActor._lose_connection
    faults = [PlantedFault()]

    def planted(self, *arguments, **options):
        if faults:
            raise faults.pop()
        lose(self, *arguments, **options)

    monkeypatch.setattr(SessionActor, "_lose_connection", planted)
    second = sessions_harness.connect()
    assert second.call("Heartbeat")[2] == TIME_ANSWER
    assert sessions_harness.count("session_crashed") == 1


def test_a_crash_over_a_lost_connection_does_not_leave_it_online(sessions_harness, charge_point, monkeypatch):
    faults = [PlantedFault()]
    disconnected = Session.disconnected

    def planted(self):
        if faults:
            raise faults.pop()
        return disconnected(self)

    monkeypatch.setattr(Session, "disconnected", planted)
    charge_point.hang_up()
    assert not sessions_harness.cell().charge_point.online
    assert sessions_harness.directory.connected == 0


def test_a_crash_when_a_record_was_stored_does_not_lose_its_answer(
    sessions_harness, charge_point, way, monkeypatch
):
    way[0] = lambda: None
    sessions_harness.store.hold()
    charge_point.call("MeterValues", METER_VALUES, "a")
    faults = [PlantedFault()]
    answer = Session.answer

    def planted(self, *arguments):
        if faults:
            raise faults.pop()
        return answer(self, *arguments)

    monkeypatch.setattr(Session, "answer", planted)
    sessions_harness.store.settle()
    settle()
    assert charge_point.take() == [[3, "a", {}]]


def test_a_crash_at_a_deadline_leaves_no_other_call_without_an_answer(
    sessions_harness, charge_point, way, monkeypatch
):
    way[0] = Event().wait
    for unique_id in ("a", "b", "c"):
        charge_point.call("Authorize", PASSIVE["Authorize"], unique_id)
    faults = [PlantedFault()]
    overdue = SessionActor._overdue

    def planted(self, incoming):
        if faults:
            raise faults.pop()
        overdue(self, incoming)

    monkeypatch.setattr(SessionActor, "_overdue", planted)
    sessions_harness.advance(10)
    sessions_harness.advance(10)
    assert sorted(frame[1] for frame in charge_point.take()) == ["a", "b", "c"]


def test_a_crash_that_comes_again_and_again_gives_the_session_up(sessions_harness, charge_point, monkeypatch):
    def planted(*_, **__):
        raise PlantedFault

    with monkeypatch.context() as patch:
        patch.setattr(SessionActor, "_lose_connection", planted)
        second = sessions_harness.connect()
        sessions_harness.advance(1)
        sessions_harness.advance(2)
        assert second.closed_with == (1011, "the session failed")
    assert sessions_harness.connect().call("Heartbeat")[2] == TIME_ANSWER
