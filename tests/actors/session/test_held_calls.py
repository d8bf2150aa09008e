"""CALLs over the limit of those being handled: they are held, in order, and handled when another one is answered."""

import pytest
from gevent.event import Event

from chargehand import v16
from chargehand.testing import MemoryConnection, Stage

from ..messages_of_v16 import METER_VALUES, PASSIVE, STOP
from ..recording_plugin import RecordingPlugin
from .exchanges import ids

TIME_ANSWER = {"currentTime": "2026-01-01T00:00:00Z"}


@pytest.fixture
def later():
    return []


@pytest.fixture
def way(later, log):
    return [lambda: later.append(log[-1].later())]


@pytest.fixture
def make(way, log):
    """Make stages whose handlers answer later, when the test says so."""
    stages = []

    def make(**limits):
        stages.append(Stage(RecordingPlugin.spec(way, log), **{"calls_in_flight_limit": 2, **limits}))
        stages[-1].start()
        return stages[-1]

    yield make
    for stage in stages:
        stage.stop()


def test_no_more_calls_are_with_plugins_than_may_be_and_the_rest_follow_in_order(make, log, later):
    stage = make()
    charge_point = stage.connect("CP1")
    cell = stage.cells["CP1"]
    for number in range(5):
        cell.deliver(charge_point, b'[2,"%d","Heartbeat",{}]' % number)
    stage.settle()
    assert not charge_point.paused
    assert cell.depth == 3
    for answered in range(5):
        assert len(cell.session.incoming) == min(2, 5 - answered)
        later.pop(0).answer(TIME_ANSWER)
        stage.settle()
    assert [call.unique_id for call in log] == list("01234")
    assert ids(charge_point.take()) == list("01234")
    assert (cell.depth, cell.held) == (0, None)


def test_the_answer_to_a_call_of_ours_does_not_wait_behind_calls_that_are_held(make):
    stage = make()
    charge_point = stage.connect("CP1")
    for _ in range(5):
        charge_point.call("Heartbeat")
    ticket = stage.send("CP1", v16.GetLocalListVersion())
    stage.settle()
    (call,) = charge_point.take()
    charge_point.answer(call, {"listVersion": 7})
    assert ticket.result(timeout_s=0).list_version == 7


def test_a_handler_that_commands_its_own_charge_point_is_answered_past_held_calls(make, way, log):
    stage = make(calls_in_flight_limit=1)
    charge_point = stage.connect("CP1")
    versions = []

    def ask():
        versions.append(stage.send("CP1", v16.GetLocalListVersion()).result(timeout_s=60).list_version)
        return TIME_ANSWER

    way[0] = ask
    for _ in range(4):
        charge_point.call("Heartbeat")
    answered = []
    while len(answered) < 4:
        for frame in charge_point.take():
            if frame[0] == 2:
                charge_point.answer(frame, {"listVersion": 7})
            else:
                answered.append(frame[1])
    assert answered == ["1", "2", "3", "4"]
    assert versions == [7, 7, 7, 7]


@pytest.mark.parametrize(
    "frame",
    [b'[2,"x"', b"", b"pong", b'{"a":1}', b'[5,"x",{}]', b' [ 2 ,"x","Heartbeat",{}]', b'[2,"x","No",{}]'],
)
def test_whatever_is_no_answer_waits_behind_them(make, later, frame):
    stage = make(calls_in_flight_limit=1)
    charge_point = stage.connect("CP1")
    charge_point.call("Heartbeat")
    charge_point.send(frame)
    assert stage.cells["CP1"].depth == 1
    later.pop(0).answer(TIME_ANSWER)
    stage.settle()
    assert stage.cells["CP1"].depth == 0


def test_frames_that_are_refused_at_once_do_not_end_the_taking(make, later):
    stage = make(calls_in_flight_limit=1)
    charge_point = stage.connect("CP1")
    for action in ("Heartbeat", "NoAction", "NoAction", "Heartbeat", "Heartbeat"):
        charge_point.call(action)
    later.pop(0).answer(TIME_ANSWER)
    stage.settle()
    assert ids(charge_point.take()) == ["1", "2", "3"]
    assert stage.cells["CP1"].depth == 1


def test_reading_pauses_when_inbox_and_held_calls_are_full_and_resumes_at_half(make, later):
    stage = make(calls_in_flight_limit=1, inbox_limit=8)
    charge_point = stage.connect("CP1")
    for _ in range(8):
        charge_point.call("Heartbeat")
    assert not charge_point.paused  # seven are held
    charge_point.call("Heartbeat")
    assert charge_point.paused
    for _ in range(4):
        later.pop(0).answer(TIME_ANSWER)
        stage.settle()
        assert charge_point.paused
    later.pop(0).answer(TIME_ANSWER)
    stage.settle()
    assert not charge_point.paused


@pytest.mark.parametrize("end", ["an error", "a fallback", "the deadline"])
def test_the_next_one_is_begun_however_the_call_ended(make, way, end):
    block = Event()
    ends = {"an error": ValueError, "a fallback": lambda: None, "the deadline": Event().wait}

    def wait_and_end():
        block.wait()
        outcome = ends[end]()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    stage = make(calls_in_flight_limit=1)
    charge_point = stage.connect("CP1")
    way[0] = wait_and_end
    charge_point.call("Heartbeat")
    charge_point.call("Heartbeat")
    assert stage.cells["CP1"].depth == 1
    block.set()
    stage.advance(30)
    assert stage.cells["CP1"].depth == 0
    assert ids(charge_point.take()) == ["1", "2"]


def test_the_deadline_of_one_that_is_held_counts_from_its_receipt(make):
    stage = make(calls_in_flight_limit=1)
    charge_point = stage.connect("CP1")
    for _ in range(3):
        charge_point.call("Heartbeat")
    stage.advance(9.9)
    assert charge_point.take() == []
    stage.advance(0.2)
    assert ids(charge_point.take()) == ["1", "2", "3"]
    assert stage.counts["deadline_passed"] == 3


@pytest.mark.parametrize("how", ["lost", "taken over", "ended"])
def test_those_of_a_lost_connection_are_dropped_and_never_answered(make, log, later, how):
    stage = make(calls_in_flight_limit=1)
    charge_point = stage.connect("CP1")
    charge_point.call("Heartbeat")
    charge_point.call("StopTransaction", STOP)
    charge_point.call("MeterValues", METER_VALUES)
    cell = stage.cells["CP1"]
    if how == "lost":
        charge_point.hang_up()
    elif how == "taken over":
        stage.connect("CP1")
    else:
        cell.kill()
        cell.end()
    assert (cell.depth, cell.held) == (0, None)
    later.pop(0).answer(TIME_ANSWER)
    stage.advance(30)
    assert [call.action for call in log] == ["Heartbeat"]
    assert charge_point.take() == []
    assert stage.store.spooled() == []


def test_what_the_new_connection_sends_does_not_wait_for_calls_of_the_old_one(make, later):
    stage = make(calls_in_flight_limit=1)
    for _ in range(2):
        stage.connect("CP1").call("Heartbeat")
    charge_point = stage.connect("CP1")
    charge_point.call("Heartbeat", unique_id="new")
    later[-1].answer(TIME_ANSWER)
    stage.settle()
    assert ids(charge_point.take()) == ["new"]


def test_a_registration_that_is_kept_lets_the_next_one_begin(make, way, log):
    stage = make(calls_in_flight_limit=1)
    charge_point = stage.connect("CP1")
    way[0] = lambda: (
        {"currentTime": "2026-01-01T00:00:00Z", "interval": 9, "status": "Accepted"}
        if log[-1].action == "BootNotification"
        else TIME_ANSWER
    )
    cell = stage.cells["CP1"]
    cell.deliver(charge_point, b'[2,"b","BootNotification",{"chargePointModel":"m","chargePointVendor":"v"}]')
    cell.deliver(charge_point, b'[2,"h","Heartbeat",{}]')
    stage.settle()
    assert ids(charge_point.take()) == ["b", "h"]


def test_the_recorder_has_a_frame_when_it_came_and_not_when_it_was_begun(make):
    stage = make(calls_in_flight_limit=1, recorder_bytes=10_000)
    charge_point = stage.connect("CP1")
    charge_point.call("Heartbeat")
    charge_point.call("StatusNotification", PASSIVE["StatusNotification"])
    rows = stage.cells["CP1"].recorder.rows()
    assert [row["kind"] for row in rows] == ["connected", "in", "in"]


def test_one_without_a_connection_holds_nothing(make):
    stage = make(calls_in_flight_limit=1)
    stage.connect("CP1")
    cell = stage.cells["CP1"]
    cell.deliver(MemoryConnection(), b'[2,"1","Heartbeat",{}]')
    cell.deliver(MemoryConnection(), b'[2,"2","Heartbeat",{}]')
    stage.settle()
    assert (cell.depth, cell.held) == (0, None)
