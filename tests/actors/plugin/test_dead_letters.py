"""What fails again and again while others like it are taken is set aside, with the rest of its transaction."""

from ..messages_of_v16 import METER_VALUES, START, STOP
from ..spool_harness import ATTEMPTS, DELAY_MAX_S, DELAY_S, answer, fail, only, spool


def test_one_that_fails_while_others_like_it_are_taken_is_set_aside(desk, charge_point):
    spool(desk, charge_point, "a", "b")
    desk.handle = only("a")
    desk.advance(100)
    assert desk.redelivered == ["a"] * ATTEMPTS + ["b", "a"]
    assert desk.spooled == []
    (dead_letters,) = desk.store.dead_letters()
    assert (dead_letters.unique_id, dead_letters.why) == ("a", "Planted()")
    assert desk.count("redelivery_dead_letter") == 1
    desk.advance(100)
    assert len(desk.redelivered) == ATTEMPTS + 2


def test_while_its_plugin_takes_none_it_is_tried_for_as_long_as_it_takes(desk, charge_point):
    spool(desk, charge_point, "a", "b")
    desk.handle = fail
    desk.advance(10_000)
    assert desk.spooled == ["a", "b"]
    assert desk.store.dead_letters() == []
    desk.handle = answer
    desk.advance(DELAY_MAX_S)
    assert desk.spooled == []


def test_its_wait_does_not_grow_over_the_longest_however_often_it_has_failed(desk, charge_point):
    spool(desk, charge_point, "a")
    desk.handle = fail
    desk.advance(200 * DELAY_MAX_S)
    before = len(desk.redelivered)
    desk.advance(DELAY_MAX_S)
    assert len(desk.redelivered) == before + 1


def test_what_its_plugin_takes_of_other_actions_says_nothing_of_it(desk, charge_point):
    spool(desk, charge_point, "a")
    desk.handle = lambda call: fail(call) if call.action == "MeterValues" else answer(call)
    other = desk.stage.connect("CP2")
    for _ in range(3 * ATTEMPTS):
        assert other.call("StopTransaction", STOP)[2] == {}
        desk.advance(DELAY_MAX_S)
    assert desk.store.dead_letters() == []


def test_a_live_message_that_is_taken_is_as_good_as_a_spooled_one(desk, charge_point):
    spool(desk, charge_point, "a")
    desk.handle = only("a")
    desk.advance(DELAY_S)
    desk.stage.connect("CP2").call("MeterValues", METER_VALUES, "live")
    desk.advance(100)
    assert [record.unique_id for record in desk.store.dead_letters()] == ["a"]


def test_what_was_taken_before_its_first_failure_says_nothing_of_it(desk, charge_point):
    spool(desk, charge_point, "a")
    desk.stage.connect("CP2").call("MeterValues", METER_VALUES, "live")
    desk.handle = fail
    desk.advance(1000)
    assert desk.store.dead_letters() == []


# Transactions


def begin(desk, charge_point, unique_id):
    """A StartTransaction that a fallback acknowledges; the number that it got."""
    handle, desk.handle = desk.handle, fail
    start = {**START, "meterStart": len(desk.seen)}
    number = charge_point.call("StartTransaction", start, unique_id)[2]["transactionId"]
    desk.handle = handle
    return number


def test_the_rest_of_its_transaction_stays_behind_a_start_that_fails_and_other_ones_go_on(desk, charge_point):
    first = begin(desk, charge_point, "start 1")
    charge_point.call("StopTransaction", {**STOP, "transactionId": first}, "stop 1")
    second = begin(desk, charge_point, "start 2")
    desk.handle = lambda call: fail(call) if call.action == "StartTransaction" else answer(call)
    desk.advance(100)
    assert "stop 1" not in desk.redelivered
    assert "start 2" in desk.redelivered
    charge_point.call("StopTransaction", {**STOP, "transactionId": second}, "stop 2")
    desk.advance(100)
    assert not {"stop 1", "stop 2"} & set(desk.redelivered)
    assert desk.store.dead_letters() == []
    desk.handle = answer
    desk.advance(DELAY_MAX_S)
    order = desk.redelivered[-4:]
    assert sorted(order) == ["start 1", "start 2", "stop 1", "stop 2"]
    assert order.index("start 1") < order.index("stop 1")
    assert order.index("start 2") < order.index("stop 2")
    assert desk.spooled == []


def test_with_a_start_that_is_set_aside_the_rest_of_its_transaction_goes_aside_whenever_it_comes(
    desk, charge_point
):
    bad = begin(desk, charge_point, "bad")
    charge_point.call("MeterValues", {**METER_VALUES, "transactionId": bad}, "meter")
    begin(desk, charge_point, "good")
    desk.handle = only("bad")
    desk.advance(100)
    assert [record.unique_id for record in desk.store.dead_letters()] == ["bad", "meter"]
    assert desk.spooled == []
    assert charge_point.call("StopTransaction", {**STOP, "transactionId": bad}, "stop")[2] == {}
    desk.advance(100)
    assert {"meter", "stop"} & {call.unique_id for call in desk.seen} == set()
    bad, meter, stop_ = desk.store.dead_letters()
    assert stop_.unique_id == "stop"
    assert meter.why == stop_.why == "the StartTransaction of its transaction is set aside"
    assert charge_point.call("StopTransaction", {**STOP, "transactionId": 77}, "other")[2] == {}
    assert desk.seen[-1].unique_id == "other"


def test_a_stop_that_is_set_aside_takes_nothing_along(desk, charge_point):
    handle, desk.handle = desk.handle, fail
    charge_point.call("StopTransaction", {**STOP, "transactionId": 5}, "stop 5")
    charge_point.call("StopTransaction", {**STOP, "transactionId": 6}, "stop 6")
    desk.handle = only("stop 5")
    desk.advance(100)
    assert [record.unique_id for record in desk.store.dead_letters()] == ["stop 5"]
    late = {**METER_VALUES, "transactionId": 5}
    assert charge_point.call("MeterValues", late, "meter 5")[2] == {}
    assert desk.seen[-1].unique_id == "meter 5"
    desk.handle = handle


def test_a_start_that_an_earlier_run_set_aside_is_known(desk, charge_point):
    bad = begin(desk, charge_point, "bad")
    desk.store.dead_letter(desk.store.spooled()[0].number, "planted")
    desk.stage.spool._dead.clear()
    desk.cell.kill()
    desk.cell.start()
    assert desk.stage.spool._dead == {("CP1", bad)}
    desk.advance(DELAY_S)
    charge_point.call("StopTransaction", {**STOP, "transactionId": bad}, "stop")
    desk.advance(100)
    assert [record.unique_id for record in desk.store.dead_letters()] == ["bad", "stop"]


def test_a_start_that_cannot_be_read_takes_nothing_along(desk, charge_point):
    answered = charge_point.call("StartTransaction", {"connectorId": []}, "bad")
    bad = answered[2]["transactionId"]
    desk.cell.kill()
    desk.cell.start()
    assert desk.stage.spool._dead == set()
    charge_point.call("StopTransaction", {**STOP, "transactionId": bad}, "stop")
    assert desk.seen[-1].unique_id == "stop"
