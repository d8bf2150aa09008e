"""A message that fails while others of its action are taken becomes a dead letter, with the rest of its transaction."""

from ..messages_of_v16 import METER_VALUES, START, STOP
from ..spool_harness import ATTEMPTS, DELAY_MAX_S, DELAY_S, answer, fail, only, spool


def test_a_message_that_fails_while_others_like_it_are_taken_is_a_dead_letter(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a", "b")
    spool_harness.handle = only("a")
    spool_harness.advance(100)
    assert spool_harness.redelivered == ["a"] * ATTEMPTS + ["b", "a"]
    assert spool_harness.spooled == []
    (dead_letters,) = spool_harness.store.dead_letters()
    assert (dead_letters.unique_id, dead_letters.why) == ("a", "PlantedFault()")
    assert spool_harness.count("redelivery_dead_letter") == 1
    spool_harness.advance(100)
    assert len(spool_harness.redelivered) == ATTEMPTS + 2


def test_while_its_plugin_takes_none_it_is_tried_for_as_long_as_it_takes(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a", "b")
    spool_harness.handle = fail
    spool_harness.advance(10_000)
    assert spool_harness.spooled == ["a", "b"]
    assert spool_harness.store.dead_letters() == []
    spool_harness.handle = answer
    spool_harness.advance(DELAY_MAX_S)
    assert spool_harness.spooled == []


def test_its_wait_does_not_grow_over_the_longest_however_often_it_has_failed(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a")
    spool_harness.handle = fail
    spool_harness.advance(200 * DELAY_MAX_S)
    before = len(spool_harness.redelivered)
    spool_harness.advance(DELAY_MAX_S)
    assert len(spool_harness.redelivered) == before + 1


def test_what_its_plugin_takes_of_other_actions_says_nothing_of_it(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a")
    spool_harness.handle = lambda call: fail(call) if call.action == "MeterValues" else answer(call)
    other = spool_harness.stage.connect("CP2")
    for _ in range(3 * ATTEMPTS):
        assert other.call("StopTransaction", STOP)[2] == {}
        spool_harness.advance(DELAY_MAX_S)
    assert spool_harness.store.dead_letters() == []


def test_a_live_message_that_is_taken_is_as_good_as_a_spooled_one(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a")
    spool_harness.handle = only("a")
    spool_harness.advance(DELAY_S)
    spool_harness.stage.connect("CP2").call("MeterValues", METER_VALUES, "live")
    spool_harness.advance(100)
    assert [record.unique_id for record in spool_harness.store.dead_letters()] == ["a"]


def test_what_was_taken_before_its_first_failure_says_nothing_of_it(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a")
    spool_harness.stage.connect("CP2").call("MeterValues", METER_VALUES, "live")
    spool_harness.handle = fail
    spool_harness.advance(1000)
    assert spool_harness.store.dead_letters() == []


# Transactions


def begin(spool_harness, charge_point, unique_id):
    """Send a StartTransaction that a fallback acknowledges; return the transaction id."""
    handle, spool_harness.handle = spool_harness.handle, fail
    start = {**START, "meterStart": len(spool_harness.seen)}
    number = charge_point.call("StartTransaction", start, unique_id)[2]["transactionId"]
    spool_harness.handle = handle
    return number


def test_messages_of_a_transaction_wait_behind_its_failing_start_and_others_go_on(
    spool_harness, charge_point
):
    first = begin(spool_harness, charge_point, "start 1")
    charge_point.call("StopTransaction", {**STOP, "transactionId": first}, "stop 1")
    second = begin(spool_harness, charge_point, "start 2")
    spool_harness.handle = lambda call: fail(call) if call.action == "StartTransaction" else answer(call)
    spool_harness.advance(100)
    assert "stop 1" not in spool_harness.redelivered
    assert "start 2" in spool_harness.redelivered
    charge_point.call("StopTransaction", {**STOP, "transactionId": second}, "stop 2")
    spool_harness.advance(100)
    assert not {"stop 1", "stop 2"} & set(spool_harness.redelivered)
    assert spool_harness.store.dead_letters() == []
    spool_harness.handle = answer
    spool_harness.advance(DELAY_MAX_S)
    order = spool_harness.redelivered[-4:]
    assert sorted(order) == ["start 1", "start 2", "stop 1", "stop 2"]
    assert order.index("start 1") < order.index("stop 1")
    assert order.index("start 2") < order.index("stop 2")
    assert spool_harness.spooled == []


def test_the_rest_of_a_transaction_follows_its_start_into_the_dead_letters(spool_harness, charge_point):
    bad = begin(spool_harness, charge_point, "bad")
    charge_point.call("MeterValues", {**METER_VALUES, "transactionId": bad}, "meter")
    begin(spool_harness, charge_point, "good")
    spool_harness.handle = only("bad")
    spool_harness.advance(100)
    assert [record.unique_id for record in spool_harness.store.dead_letters()] == ["bad", "meter"]
    assert spool_harness.spooled == []
    assert charge_point.call("StopTransaction", {**STOP, "transactionId": bad}, "stop")[2] == {}
    spool_harness.advance(100)
    assert {"meter", "stop"} & {call.unique_id for call in spool_harness.seen} == set()
    bad, meter, stop_ = spool_harness.store.dead_letters()
    assert stop_.unique_id == "stop"
    assert meter.why == stop_.why == "the StartTransaction of its transaction is a dead letter"
    assert charge_point.call("StopTransaction", {**STOP, "transactionId": 77}, "other")[2] == {}
    assert spool_harness.seen[-1].unique_id == "other"


def test_a_stop_that_becomes_a_dead_letter_takes_no_other_message_along(spool_harness, charge_point):
    handle, spool_harness.handle = spool_harness.handle, fail
    charge_point.call("StopTransaction", {**STOP, "transactionId": 5}, "stop 5")
    charge_point.call("StopTransaction", {**STOP, "transactionId": 6}, "stop 6")
    spool_harness.handle = only("stop 5")
    spool_harness.advance(100)
    assert [record.unique_id for record in spool_harness.store.dead_letters()] == ["stop 5"]
    late = {**METER_VALUES, "transactionId": 5}
    assert charge_point.call("MeterValues", late, "meter 5")[2] == {}
    assert spool_harness.seen[-1].unique_id == "meter 5"
    spool_harness.handle = handle


def test_a_start_that_is_a_dead_letter_of_an_earlier_run_is_known(spool_harness, charge_point):
    bad = begin(spool_harness, charge_point, "bad")
    spool_harness.store.dead_letter(spool_harness.store.spooled()[0].number, "planted")
    spool_harness.stage.spool.dead.clear()
    spool_harness.cell.kill()
    spool_harness.cell.start()
    assert spool_harness.stage.spool.dead == {("CP1", bad)}
    spool_harness.advance(DELAY_S)
    charge_point.call("StopTransaction", {**STOP, "transactionId": bad}, "stop")
    spool_harness.advance(100)
    assert [record.unique_id for record in spool_harness.store.dead_letters()] == ["bad", "stop"]


def test_a_start_that_cannot_be_read_takes_nothing_along(spool_harness, charge_point):
    answered = charge_point.call("StartTransaction", {"connectorId": []}, "bad")
    bad = answered[2]["transactionId"]
    spool_harness.cell.kill()
    spool_harness.cell.start()
    assert spool_harness.stage.spool.dead == set()
    charge_point.call("StopTransaction", {**STOP, "transactionId": bad}, "stop")
    assert spool_harness.seen[-1].unique_id == "stop"
