"""Transaction messages: acknowledged when they are stored, whatever their handlers did, and never before."""

import pytest

from chargehand import v16
from chargehand.protocol.session import SessionRules
from chargehand.testing import Stage

from ...store.transactions import transaction
from ..messages_of_v16 import METER_VALUES, PASSIVE, STAND_INS, START, STOP, TRANSACTION_MESSAGES
from ..recording_plugin import RecordingPlugin
from .exchanges import meaning


def fails():
    """Fail: the usual handler of this module."""
    raise ValueError("a planted fault")


@pytest.mark.parametrize("action", TRANSACTION_MESSAGES)
def test_a_transaction_message_is_acknowledged_only_when_it_is_stored(
    charge_point, way, store, stage, action
):
    way[0] = fails
    store.hold()
    assert charge_point.call(action, PASSIVE[action]) is None
    assert len(store.pending) == 1
    store.settle()
    stage.settle()
    assert meaning(charge_point.take()[0]) == STAND_INS[action]


@pytest.mark.parametrize("action", TRANSACTION_MESSAGES)
def test_a_transaction_message_that_cannot_be_stored_is_not_answered(charge_point, way, store, stage, action):
    way[0] = fails
    store.fail()
    assert charge_point.call(action, PASSIVE[action]) is None
    stage.advance(1000)
    assert charge_point.take() == []
    assert stage.counts["spool_failed"] == 1


@pytest.mark.parametrize("action", TRANSACTION_MESSAGES)
def test_a_charge_point_is_held_back_until_the_store_works_and_then_answered(
    charge_point, way, store, stage, action
):
    way[0] = fails
    store.fail()
    charge_point.call(action, PASSIVE[action])
    assert charge_point.paused
    charge_point.send([2, "later", "Heartbeat", {}])
    stage.advance(100)
    assert charge_point.take() == []
    store.work()
    stage.advance(2)
    assert not charge_point.paused
    assert {frame[1] for frame in charge_point.take()} == {"1", "later"}


def test_a_store_that_fails_later_leaves_it_unanswered_too(charge_point, way, store, stage):
    way[0] = fails
    store.hold()
    charge_point.call("StopTransaction", STOP)
    store.settle(ValueError("the disk is full"))
    stage.advance(1000)
    assert charge_point.take() == []


def test_a_fallback_that_waits_for_the_store_is_not_asked_again_at_the_deadline(
    charge_point, way, store, stage
):
    way[0] = fails
    store.hold()
    charge_point.call("StopTransaction", STOP)
    stage.advance(30)
    assert len(store.spooled()) == 1
    assert stage.counts["fallback"] == 1
    store.settle()
    stage.settle()
    assert len(charge_point.take()) == 1


def test_a_store_that_raises_is_asked_again_like_one_that_fails(charge_point, way, store, stage, monkeypatch):
    def raises(**_):
        raise OSError("a store of somebody's own")

    way[0] = fails
    monkeypatch.setattr(store, "spool", raises)
    assert charge_point.call("MeterValues", METER_VALUES) is None
    assert stage.counts["spool_failed"] == 1
    monkeypatch.undo()
    stage.advance(5)
    assert [frame[0] for frame in charge_point.take()] == [3]


def test_what_a_fallback_acknowledged_is_in_the_spool_as_it_was_sent(charge_point, way, store, stage):
    way[0] = fails
    charge_point.call("StartTransaction", START, "id-1")
    (record,) = store.spooled()
    assert (record.charge_point_id, record.action, record.unique_id) == ("CP1", "StartTransaction", "id-1")
    assert record.transaction_id == 1
    assert record.why == "its handler failed"
    assert record.received_at.timestamp() == stage.clock.time()
    assert b'"meterStart":100' in record.payload


def test_the_number_of_a_transaction_is_allotted_before_its_handler_runs(charge_point, way, log):
    way[0] = lambda: {"idTagInfo": {"status": "Accepted"}, "transactionId": log[-1].transaction_id}
    assert meaning(charge_point.call("StartTransaction", START))["transactionId"] == 1
    other = {**START, "connectorId": 2}
    assert meaning(charge_point.call("StartTransaction", other))["transactionId"] == 2


def test_a_start_that_comes_again_has_the_number_it_had_whoever_answered_it_first(charge_point, way, log):
    way[0] = fails
    first = meaning(charge_point.call("StartTransaction", START))
    way[0] = lambda: {"idTagInfo": {"status": "Accepted"}, "transactionId": log[-1].transaction_id}
    assert (
        meaning(charge_point.call("StartTransaction", START, "another id"))["transactionId"]
        == (first["transactionId"])
    )


def test_other_actions_have_no_transaction_number(charge_point, way, log):
    charge_point.call("StopTransaction", STOP)
    assert log[0].transaction_id is None


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("StartTransaction", {"connectorId": 1}),
        ("StartTransaction", []),
        ("StopTransaction", {**STOP, "meterStop": {}}),
        ("StopTransaction", None),
        ("MeterValues", {"connectorId": 1}),
        ("MeterValues", "text"),
    ],
)
def test_a_transaction_message_that_cannot_be_read_is_stored_raw_and_acknowledged(
    charge_point, store, log, action, payload
):
    charge_point.send([2, "id-1", action, payload])
    ((kind, unique_id, answer),) = charge_point.take()
    assert (kind, unique_id) == (3, "id-1")
    assert answer == STAND_INS[action]
    assert log == []
    (record,) = store.dead_letters()  # nothing could redeliver it
    assert record.why.startswith("unreadable: ")
    assert store.spooled() == []


@pytest.mark.parametrize(
    ("owner", "number", "linked"), [("CP1", 7, 7), ("CP2", 7, None), ("CP1", 8, None), ("CP1", "7", None)]
)
def test_an_unreadable_message_belongs_to_the_open_transaction_that_it_names(
    charge_point, store, owner, number, linked
):
    store.start_transaction(transaction(7, charge_point_id=owner))
    charge_point.call("MeterValues", {"connectorId": 1, "transactionId": number})
    (record,) = store.dead_letters()
    assert record.transaction_id == linked
    assert record.why == "unreadable: meterValue is required"


def test_a_transaction_message_that_cannot_be_read_waits_for_the_store_too(charge_point, store, stage):
    store.hold()
    charge_point.send([2, "id-1", "StopTransaction", {}])
    assert charge_point.take() == []
    store.settle()
    stage.settle()
    assert charge_point.take() == [[3, "id-1", {}]]


def test_under_the_strict_policy_it_is_refused(way, log):
    with Stage(RecordingPlugin.spec(way, log), rules=SessionRules(version=v16.VERSION, strict=True)) as stage:
        charge_point = stage.connect("CP1")
        answer = charge_point.call("MeterValues", {"connectorId": 1})
        assert answer[2] == "OccurenceConstraintViolation"
