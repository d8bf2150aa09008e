"""Answers to commands that deviate or cannot be used: each ends its ticket at once and is shown as received."""

import json

import pytest

from chargehand import CommandRefused, InvalidResponse, TicketState, v16
from chargehand.protocol.session import SessionRules
from chargehand.testing import Stage

from ..recording_plugin import RecordingPlugin
from .exchanges import version


@pytest.fixture(params=[False, True], ids=["lenient", "strict"])
def either(request, way):
    """Connect a charge point under each policy."""
    rules = SessionRules(version=v16.VERSION, strict=request.param)
    with Stage(RecordingPlugin.spec(way, []), rules=rules) as stage:
        yield stage, stage.connect("CP1")


@pytest.mark.parametrize(
    "answer", ['[3,"{}",{{"listVersion":', '[4,"{}","Gen', '[3,"{}",{{]]', "[3", "[3,null,{{}}]", "[4,[],1]"]
)
def test_a_broken_answer_ends_its_ticket_at_once(either, answer):
    stage, charge_point = either
    ticket = version(stage)
    (call,) = charge_point.take()
    text = answer.format(call[1])
    charge_point.send(text)
    assert ticket.state is TicketState.REFUSED
    assert ticket.unreadable
    assert ticket.details == {"answer": text}
    with pytest.raises(InvalidResponse, match="frame is not readable JSON"):
        ticket.result()
    assert charge_point.take() == []
    assert stage.cells["CP1"].session.calls.on_wire is None


def test_a_broken_answer_with_another_id_ends_nothing(either):
    stage, charge_point = either
    ticket = version(stage)
    charge_point.send('[3,"another",{')
    assert ticket.state is TicketState.SENT


def test_a_broken_answer_without_an_id_may_be_a_late_one_and_then_ends_nothing(either):
    stage, charge_point = either
    late = version(stage, timeout_s=5)
    stage.advance(6)
    assert late.state is TicketState.TIMED_OUT
    ticket = version(stage)
    charge_point.send("[3,")
    assert ticket.state is TicketState.SENT
    charge_point.send(f'[3,"{charge_point.take()[0][1]}",')
    assert late.late_answer is not None
    assert ticket.state is TicketState.SENT


def test_what_is_shown_of_a_long_answer_is_bounded(stage, charge_point):
    ticket = version(stage)
    (call,) = charge_point.take()
    charge_point.send(f'[3,"{call[1]}",["' + "x" * 100_000)
    assert len(ticket.details["answer"]) == 2000


def test_an_effect_may_still_show_after_an_answer_that_cannot_be_used(stage, charge_point):
    request = v16.RemoteStartTransaction(id_tag="T1")
    ticket = stage.send("CP1", request, until_effect=True)
    stage.settle()
    (call,) = charge_point.take()
    charge_point.send(f'[3,"{call[1]}",{{"status":')
    assert ticket.state is TicketState.REFUSED
    assert ticket.effect == "pending"
    start = {"connectorId": 1, "idTag": "T1", "meterStart": 0, "timestamp": "1970-01-01T00:00:00Z"}
    charge_point.call("StartTransaction", start)
    assert ticket.effect == "done"


def test_control_characters_in_an_answer_are_kept_and_told(stage, charge_point):
    ticket = stage.send("CP1", v16.GetConfiguration())
    stage.settle()
    (call,) = charge_point.take()
    charge_point.send(f'[3,"{call[1]}",{{"configurationKey":[{{"key":"K","readonly":true,"value":"a\0"}}]}}]')
    assert ticket.result().configuration_key[0].value == "a\0"
    assert json.loads(ticket.answer)["configurationKey"][0]["value"] == "a\0"
    assert [str(one) for one in ticket.deviations] == ["frame has control characters in a string"]


def test_an_answer_that_quotes_our_id_as_a_number_is_taken(stage, charge_point, monkeypatch):
    cell = stage.cells["CP1"]
    monkeypatch.setattr(cell.session, "_prefix", "")
    ticket = version(stage)
    (call,) = charge_point.take()
    charge_point.send(f'[3,{call[1]},{{"listVersion":3}}]')
    assert ticket.result().list_version == 3
    assert [str(one) for one in ticket.deviations] == ["message id is a number"]


def test_an_answer_of_null_is_one_without_members(either):
    stage, charge_point = either
    ticket = stage.send("CP1", v16.UpdateFirmware(location="ftp://h/f", retrieve_date="2026-01-01T00:00:00Z"))
    stage.settle()
    (call,) = charge_point.take()
    charge_point.send(f'[3,"{call[1]}",null]')
    assert ticket.result() == v16.UpdateFirmwareResponse()
    assert ticket.answer == b""


def test_a_refusal_behind_a_byte_order_mark_is_one(stage, charge_point):
    ticket = version(stage)
    (call,) = charge_point.take()
    charge_point.send(f'\ufeff[4,"{call[1]}","NotSupported","",{{}}]')
    with pytest.raises(CommandRefused):
        ticket.result()
    assert stage.cells["CP1"].charge_point.deviations == {
        "answer to GetLocalListVersion: frame has a byte order mark": 1
    }


def test_deviations_of_answers_are_counted_with_their_charge_point(stage, charge_point):
    ticket = stage.send("CP1", v16.GetConfiguration())
    stage.settle()
    (call,) = charge_point.take()
    charge_point.answer(call, {"configurationKey": [{"key": "A"}, {"key": "B"}, {"key": "C", "readonly": 3}]})
    assert len(ticket.result().configuration_key) == 3
    assert stage.cells["CP1"].charge_point.deviations == {
        "answer to GetConfiguration: configurationKey[].readonly is required": 2,
        "answer to GetConfiguration: configurationKey[].readonly is not a boolean": 1,
    }
    assert stage.counts["deviation"] == 1


def test_refusals_of_the_strict_policy_are_counted_with_their_charge_point(way):
    with Stage(RecordingPlugin.spec(way, []), rules=SessionRules(version=v16.VERSION, strict=True)) as stage:
        charge_point = stage.connect("CP1")
        assert charge_point.call("Authorize", {"idTag": 5})[0] == 4
        assert stage.cells["CP1"].charge_point.deviations == {"refused Authorize: idTag is not a string": 1}


def test_a_stop_in_a_frame_that_the_strict_policy_does_not_mend_is_a_dead_letter(way):
    payload = b'{"transactionId":3,"meterStop":9,"timestamp":"2026-01-01T00:00:00Z","v":[1,],"w":"\x02"}'
    with Stage(RecordingPlugin.spec(way, []), rules=SessionRules(version=v16.VERSION, strict=True)) as stage:
        charge_point = stage.connect("CP1")
        charge_point.send(b'\0[2,"1","StopTransaction",%b]' % payload)
        charge_point.send(b'\0[2,"2","Heartbeat",{}]')
        charge_point.send(b'[2,"3","StopTransaction",{"transactionId":')
        assert [answer[2] for answer in charge_point.take()] == ["FormationViolation"] * 3
        (letter,) = stage.store.dead_letters()
        assert (letter.payload, letter.unique_id) == (payload, "1")


def test_a_transaction_message_that_the_strict_policy_refuses_is_a_dead_letter(way):
    with Stage(RecordingPlugin.spec(way, []), rules=SessionRules(version=v16.VERSION, strict=True)) as stage:
        charge_point = stage.connect("CP1")
        stop = {"transactionId": 3, "meterStop": "9", "timestamp": "2026-01-01T00:00:00Z"}
        assert charge_point.call("StopTransaction", stop)[2] == "TypeConstraintViolation"
        (letter,) = stage.store.dead_letters()
        assert json.loads(letter.payload) == stop
        assert letter.why == "refused by the strict policy: meterStop is not an integer"
        assert charge_point.call("Authorize", {"idTag": 5})[0] == 4
        assert len(stage.store.dead_letters()) == 1
