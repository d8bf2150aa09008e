"""Answers to calls: whatever its handler does, the charge point gets an answer, and never a false one."""

import gevent
import pytest
from gevent.event import Event

from chargehand import OcppError, v16
from chargehand.actors.runtime.failure import HandlerKilled
from chargehand.protocol.actions import Sender
from chargehand.protocol.session import SessionRules
from chargehand.testing import Stage

from ..messages_of_v16 import METER_VALUES, PASSIVE, STAND_INS, START
from ..recording_plugin import RecordingPlugin
from .exchanges import meaning


class RaisingMapping(dict):
    """Mapping that raises when it is read."""

    def __iter__(self):
        raise RuntimeError("a planted fault")

    items = keys = __iter__


class IncomparableValue:
    """Object that cannot be compared."""

    __hash__ = None

    def __eq__(self, other):
        raise RuntimeError("a planted fault")


def raising(error):
    raise error


WAYS = {
    "it raises": lambda: raising(ValueError("a planted fault")),
    "it lets a timeout escape": lambda: raising(gevent.Timeout(1)),
    "it exits": lambda: raising(SystemExit(3)),
    "it kills itself": lambda: raising(gevent.GreenletExit()),
    "it returns nothing": lambda: None,
    "it returns a number": lambda: 42,
    "it returns text": lambda: "Accepted",
    "it returns another message": lambda: v16.ClearCacheResponse(status="Accepted"),
    "it returns an unknown member": lambda: {"no such member": 1},
    "it returns what JSON has no form for": lambda: {"status": object()},
    "it returns a mapping that fails": lambda: RaisingMapping(a=1),
    "it returns what cannot be compared": IncomparableValue,
}


def test_every_passive_action_of_the_version_is_covered_here():
    assert set(PASSIVE) == {action.name for action in v16.VERSION.sent_by(Sender.CHARGE_POINT)}


# Fallbacks


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("action", ["Heartbeat", "StatusNotification", "StartTransaction", "Authorize"])
def test_however_a_handler_fails_a_fallback_answers(charge_point, way, action, how):
    way[0] = WAYS[how]
    assert meaning(charge_point.call(action, PASSIVE[action])) == STAND_INS[action]


@pytest.mark.parametrize("action", PASSIVE)
def test_every_action_has_its_fallback(charge_point, way, stage, action):
    way[0] = WAYS["it raises"]
    assert meaning(charge_point.call(action, PASSIVE[action])) == STAND_INS[action]
    assert stage.counts["handler_failed"] == 1
    assert stage.counts["fallback"] == 1


@pytest.mark.parametrize("action", PASSIVE)
def test_a_handler_that_hangs_is_stood_in_for_at_the_deadline(charge_point, way, stage, action):
    way[0] = Event().wait
    assert charge_point.call(action, PASSIVE[action]) is None
    stage.advance(9.9)
    assert charge_point.take() == []
    stage.advance(0.1)
    ((_, unique_id, answer, *_rest),) = charge_point.take()
    assert unique_id == "1"
    if action == "Heartbeat":
        assert answer == {"currentTime": "2026-01-01T00:00:10Z"}
    else:
        assert answer == STAND_INS[action]


def test_the_failure_of_a_handler_is_not_told_to_the_charge_point(charge_point, way):
    way[0] = WAYS["it raises"]
    charge_point.call("Authorize", PASSIVE["Authorize"])
    assert not any(b"planted" in frame for frame in charge_point.frames)


def test_an_invalid_answer_is_counted_as_the_handlers_fault(charge_point, way, stage):
    way[0] = WAYS["it returns a number"]
    charge_point.call("Authorize", PASSIVE["Authorize"])
    assert stage.counts["answer_invalid"] == 1


def test_an_error_that_the_handler_means_is_sent_even_for_a_transaction(charge_point, way):
    way[0] = lambda: raising(OcppError("SecurityError", "not you"))
    assert charge_point.call("StartTransaction", START)[2:4] == ["SecurityError", "not you"]


@pytest.mark.parametrize("details", [{"a": Ellipsis}, {"a": float("nan")}, {("a",): 1}], ids=repr)
def test_an_error_with_details_that_cannot_be_written_is_sent_without_them(charge_point, way, details):
    way[0] = lambda: raising(OcppError("SecurityError", "not you", details))
    answer = charge_point.call("Authorize", PASSIVE["Authorize"])
    assert answer[:4] == [4, "1", "SecurityError", "not you"]
    assert answer[4] in ({}, {"a": None})


def test_an_error_with_a_text_that_cannot_be_written_is_sent_all_the_same(charge_point, way):
    way[0] = lambda: raising(OcppError("SecurityError", "a lone surrogate: \ud800"))
    assert charge_point.call("Authorize", PASSIVE["Authorize"])[:3] == [4, "1", "SecurityError"]


# Deadlines


def test_an_action_can_have_a_deadline_of_its_own(way, log):
    rules = SessionRules(version=v16.VERSION, default_deadline_s=10.0, deadlines_s={"Authorize": 2.0})
    with Stage(RecordingPlugin.spec(way, log), rules=rules) as stage:
        charge_point = stage.connect("CP1")
        way[0] = Event().wait
        charge_point.call("Heartbeat")
        charge_point.call("Authorize", {"idTag": "T1"})
        stage.advance(2)
        assert [frame[1] for frame in charge_point.take()] == ["2"]
        stage.advance(8)
        assert [frame[1] for frame in charge_point.take()] == ["1"]


def test_a_handler_over_its_deadline_is_killed_and_the_next_call_goes_on(charge_point, way, stage, log):
    ended = []

    def hang():
        try:
            Event().wait()
        except HandlerKilled:
            ended.append("killed")
            raise

    way[0] = hang
    charge_point.call("Authorize", {"idTag": "T1"})
    stage.advance(10)
    assert ended == ["killed"]
    way[0] = lambda: {"idTagInfo": {"status": "Invalid"}}
    assert meaning(charge_point.call("Authorize", {"idTag": "T2"})) == {"idTagInfo": {"status": "Invalid"}}


def test_a_call_that_waits_behind_a_hanging_one_is_answered_at_its_own_deadline(
    charge_point, way, stage, log
):
    way[0] = Event().wait
    charge_point.call("Heartbeat")
    stage.advance(4)
    charge_point.call("StatusNotification", PASSIVE["StatusNotification"])
    stage.advance(6)
    assert [frame[1] for frame in charge_point.take()] == ["1"]
    stage.advance(4)
    assert [frame[1] for frame in charge_point.take()] == ["2"]


def test_a_call_that_was_answered_while_it_waited_never_reaches_its_handler(charge_point, way, stage, log):
    way[0] = Event().wait
    charge_point.call("Heartbeat")
    charge_point.call("Heartbeat")
    stage.advance(10)
    assert len(charge_point.take()) == 2
    assert len(log) == 1


def test_an_answer_that_comes_after_the_fallback_is_counted_and_not_sent(charge_point, way, stage, log):
    laters = []
    way[0] = lambda: laters.append(log[-1].later())
    charge_point.call("Authorize", {"idTag": "T1"})
    stage.advance(10)
    assert meaning(charge_point.take()[0]) == "InternalError"
    assert not log[0].open
    laters[0].answer({"idTagInfo": {"status": "Accepted"}})
    stage.settle()
    assert charge_point.take() == []
    assert stage.counts["late_answer"] == 1


def test_each_of_many_deadlines_is_met(charge_point, way, stage):
    way[0] = Event().wait
    for _ in range(10):
        charge_point.call("Heartbeat")
        stage.advance(0.5)
    for number in range(1, 11):
        stage.advance(5.0 if number == 1 else 0.5)
        assert [frame[1] for frame in charge_point.take()] == [str(number)]


# Who answers


def test_an_action_that_nobody_handles_is_not_supported():
    with Stage() as stage:
        answer = stage.connect("CP1").call("Heartbeat")
        assert answer[:3] == [4, "1", "NotSupported"]


def test_an_unknown_action_is_not_implemented_and_one_of_ours_not_supported(charge_point):
    assert meaning(charge_point.call("NoSuchAction", {})) == "NotImplemented"
    assert meaning(charge_point.call("ClearCache", {})) == "NotSupported"


@pytest.mark.parametrize("action", ["Heartbeat", "MeterValues", "Authorize"])
def test_a_plugin_in_quarantine_is_stood_in_for(charge_point, stage, log, action):
    stage.plugins[0].quarantined = True
    assert meaning(charge_point.call(action, PASSIVE[action])) == STAND_INS[action]
    assert log == []


def test_a_plugin_that_was_stopped_for_good_is_stood_in_for(charge_point, stage, log):
    stage.plugins[0].kill()
    stage.plugins[0].end()
    assert meaning(charge_point.call("Authorize", {"idTag": "T1"})) == "InternalError"


def test_calls_for_a_plugin_that_is_started_again_wait_for_it(charge_point, stage, way, log):
    cell = stage.plugins[0]
    cell.watch = lambda *_: None
    cell.kill()
    assert charge_point.call("Heartbeat") is None
    way[0] = lambda: {"currentTime": "2026-01-01T00:00:00Z"}
    cell.start()
    stage.settle()
    assert meaning(charge_point.take()[0]) == STAND_INS["Heartbeat"]


def test_one_charge_point_whose_handler_hangs_costs_the_others_nothing(stage, way):
    bad, good = stage.connect("BAD"), stage.connect("GOOD")
    way[0] = Event().wait
    bad.call("Heartbeat")
    way[0] = lambda: {"currentTime": "2026-01-01T00:00:00Z"}
    for _ in range(5):
        assert good.call("Heartbeat")[0] == 3


# Deviations and junk


def test_deviations_are_counted_for_the_charge_point_and_told_to_the_handler(charge_point, stage, log):
    for _ in range(2):
        charge_point.call("Heartbeat", {"unknown": 1})
    facts = stage.cells["CP1"].charge_point
    assert facts.deviations == {"unknown is not a member of this object": 2}
    assert [deviation.path for deviation in log[0].deviations] == ["unknown"]


def test_no_more_than_so_many_different_deviations_are_remembered(charge_point, stage):
    for number in range(200):
        charge_point.call("Heartbeat", {f"unknown{number}": 1})
    counts = stage.cells["CP1"].charge_point.deviations
    assert len(counts) == 65
    assert sum(counts.values()) == 200


@pytest.mark.parametrize(
    "junk", ["pong", "", "{}", "[]", "[9]", "[3]", '[3,"x"', "[4", "null", '[2,"a', "\x00"]
)
def test_junk_is_counted_and_not_answered(charge_point, stage, junk):
    charge_point.send(junk)
    assert charge_point.take() == []
    assert sum(stage.cells["CP1"].charge_point.ignored.values()) == 1
    assert charge_point.call("Heartbeat") is not None


def test_a_broken_call_whose_id_can_be_found_is_answered(charge_point):
    charge_point.send('[2,"id-1","Heartbeat",{"a":]')
    assert charge_point.take()[0][:3] == [4, "id-1", "FormationViolation"]


def test_meter_values_are_handed_on_as_they_are(charge_point, log):
    charge_point.call("MeterValues", METER_VALUES)
    assert log[0].request.meter_value[0].sampled_value[0].value == "1"
