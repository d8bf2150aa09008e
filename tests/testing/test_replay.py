"""A recorded conversation is replayed without a difference, and a changed recording shows one."""

import json
from typing import Any, ClassVar

import pytest

from chargehand import Call, CentralSystem, Plugin, Settings, passive, v16
from chargehand.actors.session.call import Later
from chargehand.protocol.session import Session, SessionRules
from chargehand.simulator import ChargePoint
from chargehand.testing import MemoryConnection, Stage
from chargehand.testing.recording import NotARecording
from chargehand.testing.replay import Replay

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
TIME_ANSWER = {"currentTime": "2026-01-01T00:00:00Z"}
METER_VALUES = {
    "connectorId": 1,
    "meterValue": [{"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": "1"}]}],
}


@pytest.fixture
def record() -> list[str]:
    with CentralSystem(Settings(port=0)) as system:
        url = f"ws://127.0.0.1:{system.port}/ocpp/"
        with ChargePoint(url, "CP1") as charge_point:
            charge_point.send(v16.Authorize(id_tag="T1"))
            charge_point.send(v16.Heartbeat())
            system.send("CP1", v16.GetConfiguration(key=("HeartbeatInterval",))).result(60)
        text = system.recording("CP1")
    assert text is not None
    return text.splitlines()


def test_a_recording_is_replayed_without_a_difference(record: list[str]) -> None:
    assert len(record) > 8
    assert Replay(record).fly() == []


def test_an_answer_that_was_other_then_is_a_difference(record: list[str]) -> None:
    """The recording is changed to say that a CALL was refused, which this session does not do by itself."""
    lines = [json.loads(line) for line in record]
    lines.append({"at": lines[-1]["at"] + 1, "kind": "in", "data": '[2,"odd","NoSuchAction",{}]'})
    lines.append({"at": lines[-1]["at"], "kind": "out", "data": '[4,"odd","GenericError","",{}]'})
    (difference,) = Replay(map(json.dumps, lines)).fly()
    assert difference.recorded[2] == "GenericError"
    assert difference.sent[2] == "NotImplemented"


def test_something_that_is_sent_now_and_was_not_then_is_a_difference(record: list[str]) -> None:
    lines = [json.loads(line) for line in record]
    lines.append({"at": lines[-1]["at"] + 1, "kind": "in", "data": '[2,"odd","NoSuchAction",{}]'})
    (difference,) = Replay(map(json.dumps, lines)).fly()
    assert difference.recorded is None


def test_answers_whose_calls_the_recorder_has_forgotten_are_no_difference(record: list[str]) -> None:
    rows = [json.loads(line) for line in record]
    first = next(place for place, row in enumerate(rows) if row.get("kind") == "in")
    assert [row["kind"] for row in rows[first + 1 : first + 3]] == ["registration", "answer"]
    assert Replay(record[:1] + record[first + 1 :]).fly() == []


def test_the_answer_to_a_call_that_cannot_be_read_is_compared(record: list[str]) -> None:
    lines = [json.loads(line) for line in record]
    at = lines[-1]["at"] + 1
    lines.append({"at": at, "kind": "in", "data": '[2,"odd","Heartbeat",{]'})
    lines.append({"at": at, "kind": "out", "data": '[4,"odd","GenericError","",{}]'})
    (difference,) = Replay(map(json.dumps, lines)).fly()
    assert difference.sent[2] == "FormationViolation"


# Events


class WaitingPlugin(Plugin):
    """Answers a BootNotification when the test says so; the rest at once, except DataTransfer, which fails."""

    boots: ClassVar[list[Later[v16.BootNotification]]] = []

    @passive(v16.BootNotification)
    def boot(self, call: Call[v16.BootNotification]) -> None:
        self.boots.append(call.later())

    @passive(v16.Heartbeat)
    def heartbeat(self, _call: Call[v16.Heartbeat]) -> dict[str, str]:
        return TIME_ANSWER

    @passive(v16.DataTransfer)
    def data_transfer(self, _call: Call[v16.DataTransfer]) -> None:
        raise LookupError

    @passive(v16.MeterValues)
    def meter_values(self, call: Call[v16.MeterValues]) -> None:
        call.later()


UNBOOTED = SessionRules(version=v16.VERSION, accept_unbooted=False)


def scene(rules: SessionRules = UNBOOTED, **limits: Any) -> Stage:
    WaitingPlugin.boots.clear()
    return Stage(WaitingPlugin, rules=rules, **limits)


def recorded(stage: Stage, **changes: Any) -> list[str]:
    """Return the result of `system.record`."""
    accept_unbooted = stage.context.rules.accept_unbooted
    head = {"charge_point": "CP1", "policy": "lenient", "accept_unbooted": accept_unbooted, **changes}
    times = {"time": stage.clock.time(), "monotonic": stage.clock.monotonic()}
    recorder = stage.cells["CP1"].recorder
    assert recorder is not None
    return recorder.dump(head | times).splitlines()


def boot(stage: Stage, charge_point: MemoryConnection, unique_id: str = "b") -> None:
    charge_point.send([2, unique_id, "BootNotification", BOOT])
    WaitingPlugin.boots.pop().answer({**TIME_ANSWER, "status": "Accepted", "interval": 300})
    stage.settle()


def test_what_was_refused_before_the_boot_was_answered_is_refused_again() -> None:
    """At the end of the recording the charge point is accepted; the plugin took its time over the boot."""
    with scene() as stage:
        charge_point = stage.connect("CP1")
        assert charge_point.call("Heartbeat")[2] == "SecurityError"
        charge_point.send([2, "b", "BootNotification", BOOT])
        stage.advance(3)
        assert charge_point.call("Heartbeat")[2] == "SecurityError"
        WaitingPlugin.boots.pop().answer({**TIME_ANSWER, "status": "Accepted", "interval": 300})
        stage.settle()
        assert charge_point.call("Heartbeat")[2] == TIME_ANSWER
        assert Replay(recorded(stage)).fly() == []
        differences = Replay(recorded(stage, accept_unbooted=True)).fly()
    assert [(one.recorded[2], one.sent) for one in differences] == [("SecurityError", None)] * 2


def test_a_session_that_no_longer_refuses_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    with scene() as stage:
        charge_point = stage.connect("CP1")
        charge_point.call("Heartbeat")
        lines = recorded(stage)
    assert Replay(lines).fly() == []
    monkeypatch.setattr(Session, "_may_receive", lambda *_: True)
    (difference,) = Replay(lines).fly()
    assert (difference.recorded[2], difference.sent) == ("SecurityError", None)


def test_the_registration_is_that_before_the_first_row_that_is_left() -> None:
    with scene(recorder_bytes=1200) as stage:
        charge_point = stage.connect("CP1")
        boot(stage, charge_point)
        for _ in range(20):
            assert charge_point.call("Heartbeat")[2] == TIME_ANSWER
        lines = recorded(stage)
        assert not any("BootNotification" in line for line in lines)
        assert Replay(lines).fly() == []


@pytest.mark.parametrize("left", [1, 2, 3, 4])
def test_a_boot_of_which_only_a_part_is_left_registers_all_the_same(left: int) -> None:
    with scene() as stage:
        charge_point = stage.connect("CP1")
        boot(stage, charge_point)
        charge_point.call("Heartbeat")
        head, *rows = recorded(stage)
    assert [json.loads(row)["kind"] for row in rows[:4]] == ["connected", "in", "registration", "answer"]
    if left > 3:  # the registration is forgotten too, and the head has it
        head = json.dumps(json.loads(head) | {"registration": "Accepted"})
    assert Replay([head, *rows[left - 1 :]]).fly() == []


def test_a_call_that_timed_out_leaves_the_wire_to_the_next() -> None:
    with scene(SessionRules(version=v16.VERSION)) as stage:
        charge_point = stage.connect("CP1")
        stage.send("CP1", v16.ClearCache(), timeout_s=5)
        stage.settle()
        (late,) = charge_point.take()
        stage.advance(5)
        stage.send("CP1", v16.GetLocalListVersion())
        stage.settle()
        (frame,) = charge_point.take()
        charge_point.answer(late, {"status": "Accepted"})
        charge_point.answer(frame, {"listVersion": 1})
        assert Replay(recorded(stage)).fly() == []


def test_a_record_may_begin_with_a_command() -> None:
    with scene(SessionRules(version=v16.VERSION)) as stage:
        charge_point = stage.connect("CP1")
        stage.send("CP1", v16.ClearCache())
        stage.settle()
        charge_point.answer(charge_point.take()[0], {"status": "Accepted"})
        head, *rows = recorded(stage)
        first = next(place for place, row in enumerate(rows) if json.loads(row)["kind"] == "out")
        assert Replay([head, *rows[first:]]).fly() == []


@pytest.mark.parametrize("taken_over", [False, True], ids=["reconnect", "takeover"])
def test_a_new_connection_ends_the_call_on_the_wire(taken_over: bool) -> None:  # noqa: FBT001
    with scene(SessionRules(version=v16.VERSION)) as stage:
        charge_point = stage.connect("CP1")
        stage.send("CP1", v16.ClearCache())
        charge_point.send([2, "m", "MeterValues", METER_VALUES])
        if not taken_over:
            charge_point.hang_up()
        charge_point = stage.connect("CP1")
        stage.send("CP1", v16.GetLocalListVersion())
        stage.settle()
        charge_point.answer(charge_point.take()[0], {"listVersion": 1})
        charge_point.call("Heartbeat")
        assert Replay(recorded(stage)).fly() == []


def test_a_fallback_answers_again_whatever_the_reason() -> None:
    with scene(SessionRules(version=v16.VERSION)) as stage:
        charge_point = stage.connect("CP1")
        assert charge_point.call("DataTransfer", {"vendorId": "v"})[2] == "InternalError"
        charge_point.send([2, "m", "MeterValues", METER_VALUES])
        stage.advance(10)
        assert charge_point.call("MeterValues", {"connectorId": "nonsense"})[2] == {}
        assert [frame[1] for frame in charge_point.sent()] == ["1", "m", "2"]
        lines = recorded(stage)
    assert Replay(lines).fly() == []
    other = [line.replace("its handler failed", "its handler was tired") for line in lines]
    (difference,) = Replay(
        [line if '"fallback"' in line else old for line, old in zip(other, lines, strict=True)]
    ).fly()
    assert difference.recorded[3] != difference.sent[3], "the session composes it"


def test_odd_frames_fly_again_without_a_difference() -> None:
    with scene(rules=SessionRules(version=v16.VERSION)) as stage:
        charge_point = stage.connect("CP1")
        charge_point.send('[2,1.50,"Heartbeat",{}]')
        charge_point.send('\ufeff[2,"b","Heartbeat",null]\0')
        charge_point.send('[2,18,"NoSuchAction",{}]')
        for answer in ('\ufeff[3,"{}",{{"status":"Accepted\0"}}]', '[3,"{}",{{"status":', "[3,{},"):
            stage.send("CP1", v16.ClearCache())
            stage.settle()
            charge_point.send(answer.format(charge_point.take()[-1][1]))
        lines = recorded(stage)
    assert Replay(lines).fly() == []


def test_a_frame_that_nests_too_deep_is_replayed_too(record: list[str]) -> None:
    at = json.loads(record[-1])["at"] + 1
    assert Replay([*record, json.dumps({"at": at, "kind": "in", "data": "[" * 100_000})]).fly() == []


def test_an_empty_record_has_no_differences(record: list[str]) -> None:
    assert Replay(record[:1]).fly() == []


@pytest.mark.parametrize("lines", [[], ["no json"], ["{}"], ['{"charge_point": "CP1"}'], ["[]"]])
def test_what_is_no_record_is_refused(lines: list[str]) -> None:
    with pytest.raises(NotARecording):
        Replay(lines)
