"""Calls with slips in their frames or without a readable time: handled, answered, and reported as deviations."""

import json

import pytest

from chargehand import v16
from chargehand.protocol.session import SessionRules
from chargehand.testing import Stage

from ..messages_of_v16 import START
from ..recording_plugin import RecordingPlugin

BEAT = {"currentTime": "2026-01-01T00:00:00Z"}


@pytest.fixture
def deviations(stage):
    return lambda: dict(stage.cells["CP1"].charge_point.deviations or {})


@pytest.mark.parametrize(
    ("frame", "answer", "told"),
    [
        ('[2,17,"Heartbeat",{}]', "[3,17,", "message id is a number"),
        ('[2,1.50,"Heartbeat",{}]', "[3,1.50,", "message id is a number"),
        ('\ufeff[2,"a","Heartbeat",{}]', '[3,"a",', "frame has a byte order mark"),
        ('[2,"a","Heartbeat",{}]\0', '[3,"a",', "frame has NUL bytes around it"),
    ],
)
def test_a_slip_of_the_frame_is_told_and_the_call_answered(
    charge_point, way, deviations, frame, answer, told
):
    way[0] = lambda: BEAT
    charge_point.send(frame)
    assert charge_point.frames[-1].startswith(answer.encode())
    assert deviations() == {told: 1}


def test_the_strict_policy_takes_no_slips(way):
    with Stage(RecordingPlugin.spec(way, []), rules=SessionRules(version=v16.VERSION, strict=True)) as stage:
        charge_point = stage.connect("CP1")
        charge_point.send('[2,17,"Heartbeat",{}]')
        charge_point.send('\ufeff[2,"a","Heartbeat",{}]')
        charge_point.send('[2,"b","Heartbeat",{},]')
        assert [frame[:3] for frame in charge_point.take()] == [
            [4, "a", "FormationViolation"],
            [4, "b", "FormationViolation"],
        ]


def test_a_call_with_a_numeric_id_that_is_refused_has_its_id_again(charge_point, deviations):
    charge_point.send('[2,17,"NoSuchAction",{}]')
    charge_point.send('[2,18,"Heartbeat",{')
    assert [frame[:3] for frame in charge_point.take()] == [
        [4, 17, "NotImplemented"],
        [4, 18, "FormationViolation"],
    ]
    assert deviations() == {"refused NoSuchAction: message id is a number": 1}


def test_a_payload_of_null_is_handled_as_one_without_members(charge_point, way, deviations):
    way[0] = lambda: BEAT
    charge_point.send('[2,"a","Heartbeat",null]')
    assert charge_point.take()[0][0] == 3
    assert deviations() == {}


@pytest.mark.parametrize("time", [None, "", 5, "nonsense", {}], ids=repr)
def test_a_start_without_a_readable_time_reaches_its_plugin_with_ours(charge_point, way, stage, time, store):
    seen = []
    way[0] = lambda call=None: seen.append(call) or {"transactionId": 1, "idTagInfo": {"status": "Accepted"}}
    start = START | {"timestamp": time}
    charge_point.call("StartTransaction", start)
    charge_point.call("StartTransaction", start)
    assert stage.cells["CP1"].charge_point.deviations.total() == 2
    assert store.dead_letters() == []


def test_starts_with_the_same_unreadable_time_are_the_same_transaction(way):
    numbers = []
    with Stage(RecordingPlugin.spec(way, numbers)) as stage:
        charge_point = stage.connect("CP1")
        for time in ("", "", "soon"):
            stage.advance(5)
            charge_point.send(json.dumps([2, "1", "StartTransaction", START | {"timestamp": time}]))
        first, again, other = (stage.store.allot_transaction_id("CP1", key) for key in keys_of(stage))
        assert first == again != other


def keys_of(stage):
    start = v16.StartTransaction.__action__
    for time in ("", "", "soon"):
        incoming = stage.cells["CP1"].session.receive(
            json.dumps([2, "9", "StartTransaction", START | {"timestamp": time}]).encode(),
            stage.clock.monotonic(),
        )
        yield start.allots(incoming.request, incoming.deviations)
        stage.advance(1)
