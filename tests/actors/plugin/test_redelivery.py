"""What fallbacks acknowledged reaches its plugin after all: in order, one at a time, until it has it."""

import datetime as dt

import gevent
import pytest
from gevent.event import Event

from chargehand import OcppError

from ...hub import settle
from ..messages_of_v16 import METER_VALUES, START, STOP
from ..spool_harness import DEADLINE_S, DELAY_MAX_S, DELAY_S, Planted, answer, fail, spool


def test_what_a_fallback_acknowledged_is_handed_to_its_plugin_after_a_while(desk, charge_point):
    spool(desk, charge_point, "a")
    assert desk.spooled == ["a"]
    desk.advance(DELAY_S - 0.01)
    assert desk.redelivered == []
    desk.advance(0.01)
    assert desk.redelivered == ["a"]
    assert desk.spooled == []
    assert desk.count("redelivered") == 1


def test_a_replayed_call_says_what_the_first_one_said(desk, charge_point):
    desk.handle = fail
    received_at = dt.datetime.fromtimestamp(desk.stage.clock.time(), dt.UTC)
    answered = charge_point.call("StartTransaction", START, "a")[2]
    desk.handle = answer
    desk.advance(5)
    first, redelivered = desk.seen
    assert (first.redelivered, redelivered.redelivered) == (False, True)
    assert redelivered.transaction_id == first.transaction_id == answered["transactionId"]
    assert redelivered.request == first.request
    assert redelivered.charge_point is first.charge_point
    assert redelivered.received_at == received_at
    assert (redelivered.unique_id, redelivered.action) == ("a", "StartTransaction")


def test_its_answer_goes_nowhere(desk, charge_point):
    spool(desk, charge_point, "a")
    sent = len(charge_point.frames)
    desk.advance(5)
    assert desk.redelivered == ["a"]
    assert len(charge_point.frames) == sent


def test_the_records_of_a_charge_point_come_one_at_a_time_and_in_order(desk, charge_point):
    spool(desk, charge_point, "a", "b", "c")
    running = Event()

    def hold(call):
        running.wait()
        return answer(call)

    desk.handle = hold
    desk.advance(DELAY_S)
    assert desk.redelivered == ["a"]
    running.set()
    desk.stage.settle()
    assert desk.redelivered == ["a", "b", "c"]


def test_those_of_different_charge_points_do_not_wait_for_each_other(desk):
    for name in ("CP1", "CP2"):
        spool(desk, desk.stage.connect(name), f"{name}-a")
    held = Event()
    desk.handle = lambda call: held.wait() if call.unique_id == "CP1-a" else answer(call)
    desk.advance(DELAY_S)
    assert sorted(desk.redelivered) == ["CP1-a", "CP2-a"]
    assert desk.spooled == ["CP1-a"]
    held.set()


def test_further_transaction_messages_of_that_charge_point_go_behind_them(desk, charge_point):
    spool(desk, charge_point, "start", action="StartTransaction", payload=START)
    assert charge_point.call("MeterValues", METER_VALUES, "meter")[2] == {}
    assert charge_point.call("StopTransaction", STOP, "stop")[2] == {}
    assert [call.unique_id for call in desk.seen] == ["start"]  # the plugin has heard of no other
    assert desk.spooled == ["start", "meter", "stop"]
    desk.advance(DELAY_S)
    assert desk.redelivered == ["start", "meter", "stop"]
    assert charge_point.call("MeterValues", METER_VALUES, "direct")[2] == {}
    assert not desk.seen[-1].redelivered


def test_its_other_messages_and_other_charge_points_do_not_wait(desk, charge_point):
    spool(desk, charge_point, "a")
    assert charge_point.call("DataTransfer", {"vendorId": "V"}, "data")[0] != 2
    other = desk.stage.connect("CP2")
    other.call("MeterValues", METER_VALUES, "b")
    assert [call.unique_id for call in desk.seen] == ["a", "data", "b"]


@pytest.mark.parametrize(
    "error", [Planted, gevent.Timeout, gevent.GreenletExit, SystemExit], ids=lambda error: error.__name__
)
def test_one_that_fails_again_is_tried_again_later_and_later(desk, charge_point, error):
    def leave(_):
        raise error

    spool(desk, charge_point, "a", "b")
    desk.handle = leave
    for wait_s in (DELAY_S, 2.0, 4.0):
        before = len(desk.redelivered)
        desk.advance(wait_s - 0.01)
        assert len(desk.redelivered) == before
        desk.advance(0.01)
        assert desk.redelivered == ["a"] * (before + 1)
    desk.handle = answer
    desk.advance(DELAY_MAX_S)
    assert desk.redelivered[-2:] == ["a", "b"]
    assert desk.spooled == []
    assert desk.count("redelivery_failed") == 3


def test_what_is_spooled_while_the_store_is_asked_is_not_overtaken(desk, charge_point, monkeypatch):
    spool(desk, charge_point, "a")
    look, asked, answered = desk.store.spooled, Event(), Event()

    def slow(**given):
        found = look(**given)
        if not found and not asked.is_set():
            asked.set()
            answered.wait()
        return found

    monkeypatch.setattr(desk.store, "spooled", slow)
    desk.advance(DELAY_S)
    assert asked.is_set()
    desk.store.hold()
    assert (
        charge_point.call("MeterValues", METER_VALUES, "b") is None
    )  # the store has it, and has not said so yet
    answered.set()
    desk.stage.settle()
    assert charge_point.call("MeterValues", METER_VALUES, "c") is None
    desk.store.work()
    desk.advance(DELAY_MAX_S)
    assert desk.redelivered == ["a", "b", "c"]
    assert [call.unique_id for call in desk.seen if not call.redelivered] == ["a"]
    assert not desk.stage.spool.is_behind("CP1", None)


def test_an_error_that_the_plugin_means_is_an_end_too(desk, charge_point):
    def refuse(_):
        raise OcppError(description="I know it already")

    spool(desk, charge_point, "a")
    desk.handle = refuse
    desk.advance(5)
    assert desk.redelivered == ["a"]
    assert desk.spooled == []


def test_a_handler_that_hangs_is_interrupted_at_the_deadline_and_counts_as_failed(desk, charge_point):
    ended = []

    def hang(_):
        try:
            Event().wait()
        finally:
            ended.append(desk.stage.clock.monotonic())

    spool(desk, charge_point, "a")
    desk.handle = hang
    begun_at = desk.stage.clock.monotonic()
    desk.advance(DELAY_S + DEADLINE_S)
    desk.handle = answer
    assert ended == [begun_at + DELAY_S + DEADLINE_S]
    assert desk.count("redelivery_failed") == 1
    desk.advance(2.0)
    assert desk.spooled == []


def test_it_can_be_answered_later(desk, charge_point):
    laters = []
    spool(desk, charge_point, "a", "b")
    desk.handle = lambda call: laters.append(call.later())
    desk.advance(DELAY_S)
    assert desk.redelivered == ["a"]
    laters[0].answer({})
    laters[0].answer({})  # the first one counts
    desk.stage.settle()
    assert desk.redelivered == ["a", "b"]
    laters[1].fail(Planted())
    desk.stage.settle()
    assert desk.spooled == ["b"]


def test_while_its_plugin_is_quarantined_it_waits_and_costs_no_attempt(desk, charge_point):
    spool(desk, charge_point, "a")
    (plugin,) = desk.stage.plugins
    plugin.quarantined = True
    desk.advance(10 * DELAY_MAX_S)
    assert desk.redelivered == []
    assert desk.count("redelivery_failed") == 0
    plugin.quarantined = False
    desk.stage.spool.redeliver_now()
    desk.stage.settle()
    assert desk.redelivered == ["a"]


def test_times_that_were_set_before_a_release_bring_no_further_tries(desk, charge_point):
    spool(desk, charge_point, "a")
    (plugin,) = desk.stage.plugins
    desk.handle = fail
    for _ in range(3):
        plugin.quarantined = True
        desk.advance(DELAY_MAX_S)
        plugin.quarantined = False
        desk.stage.spool.redeliver_now()
        desk.stage.settle()
    tries = len(desk.redelivered)
    desk.advance(DELAY_MAX_S - 0.01)
    assert len(desk.redelivered) == tries
    desk.advance(0.01)
    assert len(desk.redelivered) == tries + 1


def test_the_charge_point_need_not_be_there_any_more(desk, charge_point):
    spool(desk, charge_point, "a")
    charge_point.hang_up()
    desk.known = False
    desk.advance(DELAY_S)
    assert desk.redelivered == ["a"]
    assert desk.seen[-1].charge_point.id == "CP1"
    assert not desk.seen[-1].charge_point.online


# The replayer itself


def test_a_replayer_that_is_started_again_goes_on_with_what_was_not_finished(desk, charge_point):
    spool(desk, charge_point, "a", "b")
    held = Event()
    desk.handle = lambda call: held.wait() and answer(call)
    desk.advance(DELAY_S)
    assert desk.redelivered == ["a"]
    desk.cell.kill()
    settle()
    desk.cell.start()
    held.set()
    desk.stage.settle()  # the answer to the replayer before is nobody's
    assert desk.spooled == ["a", "b"]
    desk.handle = answer
    desk.advance(DELAY_S)
    assert desk.redelivered == ["a", "a", "b"]
    assert desk.spooled == []


def test_a_message_of_nobodys_is_left_to_pykka(desk):
    assert desk.cell.ref.ask("nonsense", timeout=5) is None
    assert desk.exits == []
