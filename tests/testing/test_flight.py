"""A recorded conversation flies again without a difference, and a changed record shows one."""

import json

import pytest

from chargehand import CentralSystem, Settings, v16
from chargehand.simulator import ChargePoint
from chargehand.testing.flight import Flight, NotARecord


@pytest.fixture
def record() -> list[str]:
    with CentralSystem(Settings(port=0)) as system:
        url = f"ws://127.0.0.1:{system.port}/ocpp/"
        with ChargePoint(url, "CP1") as charge_point:
            charge_point.send(v16.Authorize(id_tag="T1"))
            charge_point.send(v16.Heartbeat())
            system.call("CP1", v16.GetConfiguration(key=("HeartbeatInterval",))).result(5)
        text = system.record("CP1")
    assert text is not None
    return text.splitlines()


def test_a_record_flies_again_without_a_difference(record: list[str]) -> None:
    assert len(record) > 8
    assert Flight(record).fly() == []


def test_an_answer_that_was_other_then_is_a_difference(record: list[str]) -> None:
    """The record is made to say that a CALL was refused, which this session does not do of its own accord."""
    lines = [json.loads(line) for line in record]
    lines.append({"at": lines[-1]["at"] + 1, "kind": "in", "data": '[2,"odd","NoSuchAction",{}]'})
    lines.append({"at": lines[-1]["at"], "kind": "out", "data": '[4,"odd","GenericError","",{}]'})
    (difference,) = Flight(map(json.dumps, lines)).fly()
    assert difference.recorded[2] == "GenericError"
    assert difference.sent[2] == "NotImplemented"


def test_something_that_is_sent_now_and_was_not_then_is_a_difference(record: list[str]) -> None:
    lines = [json.loads(line) for line in record]
    lines.append({"at": lines[-1]["at"] + 1, "kind": "in", "data": '[2,"odd","NoSuchAction",{}]'})
    (difference,) = Flight(map(json.dumps, lines)).fly()
    assert difference.recorded is None


def test_answers_whose_calls_the_recorder_has_forgotten_are_no_difference(record: list[str]) -> None:
    rows = [json.loads(line) for line in record]
    first = next(place for place, row in enumerate(rows) if row.get("kind") == "in")
    assert rows[first + 1]["kind"] == "out"
    assert Flight(record[:1] + record[first + 1 :]).fly() == []


def test_the_answer_to_a_call_that_cannot_be_read_is_compared(record: list[str]) -> None:
    lines = [json.loads(line) for line in record]
    at = lines[-1]["at"] + 1
    lines.append({"at": at, "kind": "in", "data": '[2,"odd","Heartbeat",{]'})
    lines.append({"at": at, "kind": "out", "data": '[4,"odd","GenericError","",{}]'})
    (difference,) = Flight(map(json.dumps, lines)).fly()
    assert difference.sent[2] == "FormationViolation"


def test_a_frame_that_nests_too_deep_flies_too(record: list[str]) -> None:
    at = json.loads(record[-1])["at"] + 1
    assert Flight([*record, json.dumps({"at": at, "kind": "in", "data": "[" * 100_000})]).fly() == []


def test_an_empty_record_has_no_differences(record: list[str]) -> None:
    assert Flight(record[:1]).fly() == []


@pytest.mark.parametrize("lines", [[], ["no json"], ["{}"], ['{"charge_point": "CP1"}'], ["[]"]])
def test_what_is_no_record_is_refused(lines: list[str]) -> None:
    with pytest.raises(NotARecord):
        Flight(lines)
