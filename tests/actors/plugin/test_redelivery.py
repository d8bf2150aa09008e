"""Redelivery: messages that fallbacks acknowledged reach their plugin, in order and one at a time."""

import datetime as dt

import gevent
import pytest
from gevent.event import Event

from chargehand import OcppError
from chargehand.actors.plugin.redelivery import HERE_S, LOOK_S

from ...faults import PlantedFault
from ...hub import settle
from ..messages_of_v16 import METER_VALUES, START, STOP
from ..spool_harness import DEADLINE_S, DELAY_MAX_S, DELAY_S, answer, fail, spool


def test_what_a_fallback_acknowledged_is_handed_to_its_plugin_after_a_while(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a")
    assert spool_harness.spooled == ["a"]
    spool_harness.advance(DELAY_S - 0.01)
    assert spool_harness.redelivered == []
    spool_harness.advance(0.01)
    assert spool_harness.redelivered == ["a"]
    assert spool_harness.spooled == []
    assert spool_harness.count("redelivered") == 1


def test_a_redelivered_call_equals_the_first_one(spool_harness, charge_point):
    spool_harness.handle = fail
    received_at = dt.datetime.fromtimestamp(spool_harness.stage.clock.time(), dt.UTC)
    answered = charge_point.call("StartTransaction", START, "a")[2]
    spool_harness.handle = answer
    spool_harness.advance(5)
    first, redelivered = spool_harness.seen
    assert (first.redelivered, redelivered.redelivered) == (False, True)
    assert redelivered.transaction_id == first.transaction_id == answered["transactionId"]
    assert redelivered.request == first.request
    assert redelivered.charge_point is first.charge_point
    assert redelivered.received_at == received_at
    assert (redelivered.unique_id, redelivered.action) == ("a", "StartTransaction")


def test_its_answer_goes_nowhere(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a")
    sent = len(charge_point.frames)
    spool_harness.advance(5)
    assert spool_harness.redelivered == ["a"]
    assert len(charge_point.frames) == sent


def test_the_records_of_a_charge_point_come_one_at_a_time_and_in_order(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a", "b", "c")
    running = Event()

    def hold(call):
        running.wait()
        return answer(call)

    spool_harness.handle = hold
    spool_harness.advance(DELAY_S)
    assert spool_harness.redelivered == ["a"]
    running.set()
    spool_harness.stage.settle()
    assert spool_harness.redelivered == ["a", "b", "c"]


def test_those_of_different_charge_points_do_not_wait_for_each_other(spool_harness):
    for name in ("CP1", "CP2"):
        spool(spool_harness, spool_harness.stage.connect(name), f"{name}-a")
    held = Event()
    spool_harness.handle = lambda call: held.wait() if call.unique_id == "CP1-a" else answer(call)
    spool_harness.advance(DELAY_S)
    assert sorted(spool_harness.redelivered) == ["CP1-a", "CP2-a"]
    assert spool_harness.spooled == ["CP1-a"]
    held.set()


def test_further_transaction_messages_of_that_charge_point_go_behind_them(spool_harness, charge_point):
    spool(spool_harness, charge_point, "start", action="StartTransaction", payload=START)
    assert charge_point.call("MeterValues", METER_VALUES, "meter")[2] == {}
    assert charge_point.call("StopTransaction", STOP, "stop")[2] == {}
    assert [call.unique_id for call in spool_harness.seen] == ["start"]  # the plugin has heard of no other
    assert spool_harness.spooled == ["start", "meter", "stop"]
    spool_harness.advance(DELAY_S)
    assert spool_harness.redelivered == ["start", "meter", "stop"]
    assert charge_point.call("MeterValues", METER_VALUES, "direct")[2] == {}
    assert not spool_harness.seen[-1].redelivered


def test_its_other_messages_and_other_charge_points_do_not_wait(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a")
    assert charge_point.call("DataTransfer", {"vendorId": "V"}, "data")[0] != 2
    other = spool_harness.stage.connect("CP2")
    other.call("MeterValues", METER_VALUES, "b")
    assert [call.unique_id for call in spool_harness.seen] == ["a", "data", "b"]


@pytest.mark.parametrize(
    "error", [PlantedFault, gevent.Timeout, gevent.GreenletExit, SystemExit], ids=lambda error: error.__name__
)
def test_one_that_fails_again_is_tried_again_later_and_later(spool_harness, charge_point, error):
    def leave(_):
        raise error

    spool(spool_harness, charge_point, "a", "b")
    spool_harness.handle = leave
    for wait_s in (DELAY_S, 2.0, 4.0):
        before = len(spool_harness.redelivered)
        spool_harness.advance(wait_s - 0.01)
        assert len(spool_harness.redelivered) == before
        spool_harness.advance(0.01)
        assert spool_harness.redelivered == ["a"] * (before + 1)
    spool_harness.handle = answer
    spool_harness.advance(DELAY_MAX_S)
    assert spool_harness.redelivered[-2:] == ["a", "b"]
    assert spool_harness.spooled == []
    assert spool_harness.count("redelivery_failed") == 3


def test_what_is_spooled_while_the_store_is_asked_is_not_overtaken(spool_harness, charge_point, monkeypatch):
    spool(spool_harness, charge_point, "a")
    look, asked, answered = spool_harness.store.spooled, Event(), Event()

    def slow(**given):
        found = look(**given)
        if not found and not asked.is_set():
            asked.set()
            answered.wait()
        return found

    monkeypatch.setattr(spool_harness.store, "spooled", slow)
    spool_harness.advance(DELAY_S)
    assert asked.is_set()
    spool_harness.store.hold()
    assert (
        charge_point.call("MeterValues", METER_VALUES, "b") is None
    )  # the store has it, and has not said so yet
    answered.set()
    spool_harness.stage.settle()
    assert charge_point.call("MeterValues", METER_VALUES, "c") is None
    spool_harness.store.work()
    spool_harness.advance(DELAY_MAX_S)
    assert spool_harness.redelivered == ["a", "b", "c"]
    assert [call.unique_id for call in spool_harness.seen if not call.redelivered] == ["a"]
    assert not spool_harness.stage.spool.is_behind("CP1", None)


def test_an_error_that_the_plugin_means_is_an_end_too(spool_harness, charge_point):
    def refuse(_):
        raise OcppError(description="I know it already")

    spool(spool_harness, charge_point, "a")
    spool_harness.handle = refuse
    spool_harness.advance(5)
    assert spool_harness.redelivered == ["a"]
    assert spool_harness.spooled == []


def test_a_handler_that_hangs_is_interrupted_at_the_deadline_and_counts_as_failed(
    spool_harness, charge_point
):
    ended = []

    def hang(_):
        try:
            Event().wait()
        finally:
            ended.append(spool_harness.stage.clock.monotonic())

    spool(spool_harness, charge_point, "a")
    spool_harness.handle = hang
    begun_at = spool_harness.stage.clock.monotonic()
    spool_harness.advance(DELAY_S + DEADLINE_S)
    spool_harness.handle = answer
    assert ended == [begun_at + DELAY_S + DEADLINE_S]
    assert spool_harness.count("redelivery_failed") == 1
    spool_harness.advance(2.0)
    assert spool_harness.spooled == []


def test_it_can_be_answered_later(spool_harness, charge_point):
    laters = []
    spool(spool_harness, charge_point, "a", "b")
    spool_harness.handle = lambda call: laters.append(call.later())
    spool_harness.advance(DELAY_S)
    assert spool_harness.redelivered == ["a"]
    laters[0].answer({})
    laters[0].answer({})  # the first one counts
    spool_harness.stage.settle()
    assert spool_harness.redelivered == ["a", "b"]
    laters[1].fail(PlantedFault())
    spool_harness.stage.settle()
    assert spool_harness.spooled == ["b"]


def test_while_its_plugin_is_quarantined_it_waits_and_costs_no_attempt(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a")
    (plugin,) = spool_harness.stage.plugins
    plugin.quarantined = True
    spool_harness.advance(10 * DELAY_MAX_S)
    assert spool_harness.redelivered == []
    assert spool_harness.count("redelivery_failed") == 0
    plugin.quarantined = False
    spool_harness.stage.spool.redeliver_now()
    spool_harness.stage.settle()
    assert spool_harness.redelivered == ["a"]


def test_times_that_were_set_before_a_release_bring_no_further_tries(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a")
    (plugin,) = spool_harness.stage.plugins
    spool_harness.handle = fail
    for _ in range(3):
        plugin.quarantined = True
        spool_harness.advance(DELAY_MAX_S)
        plugin.quarantined = False
        spool_harness.stage.spool.redeliver_now()
        spool_harness.stage.settle()
    tries = len(spool_harness.redelivered)
    spool_harness.advance(DELAY_MAX_S - 0.01)
    assert len(spool_harness.redelivered) == tries
    spool_harness.advance(0.01)
    assert len(spool_harness.redelivered) == tries + 1


def test_the_charge_point_need_not_be_there_any_more(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a")
    charge_point.hang_up()
    spool_harness.known = False
    spool_harness.advance(DELAY_S)
    assert spool_harness.redelivered == ["a"]
    assert spool_harness.seen[-1].charge_point.id == "CP1"
    assert not spool_harness.seen[-1].charge_point.online


# Among several processes


def test_messages_of_a_charge_point_elsewhere_wait_until_it_connects_here(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a")
    spool_harness.elsewhere = {"CP1"}  # as while its handshake is under way
    spool_harness.advance(DELAY_S)
    assert spool_harness.redelivered == []
    assert spool_harness.stage.spool.is_behind("CP1", None)
    spool_harness.elsewhere = set()
    spool_harness.stage.spool.connected("CP1")
    spool_harness.advance(DELAY_S)
    assert spool_harness.redelivered == ["a"]
    assert not spool_harness.stage.spool.is_behind("CP1", None)


def test_messages_of_a_charge_point_that_is_elsewhere_wait_for_its_next_message(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a")
    spool_harness.elsewhere = {"CP1"}
    spool_harness.advance(DELAY_S)
    spool_harness.elsewhere = set()
    assert charge_point.call("MeterValues", METER_VALUES, "b")[2] == {}
    spool_harness.advance(DELAY_S)
    assert spool_harness.redelivered == ["a", "b"]


def test_what_another_process_has_taken_out_meanwhile_is_not_redelivered(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a", "b", "c")
    running = Event()
    spool_harness.handle = lambda call: running.wait() and answer(call)
    spool_harness.advance(DELAY_S)
    assert spool_harness.redelivered == ["a"]
    spool_harness.store.unspool([record.number for record in spool_harness.store.spooled()[:2]])
    spool_harness.advance(HERE_S)
    running.set()
    spool_harness.stage.settle()
    assert spool_harness.redelivered == ["a", "c"]


def test_messages_that_no_process_redelivers_any_more_are_found_soon(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a")
    spool_harness.elsewhere = {"CP1"}
    spool_harness.advance(10 * DELAY_MAX_S)
    assert spool_harness.redelivered == []
    spool_harness.elsewhere = set()
    spool_harness.advance(LOOK_S + DELAY_S)
    assert spool_harness.redelivered == ["a"]


def test_a_charge_point_that_connects_without_messages_is_not_behind_the_spool(spool_harness, charge_point):
    spool_harness.stage.spool.connected("CP1")
    spool_harness.advance(DELAY_S)
    assert not spool_harness.stage.spool.is_behind("CP1", None)


# The redelivery actor itself


def test_a_redelivery_actor_that_is_restarted_goes_on_with_unfinished_messages(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a", "b")
    held = Event()
    spool_harness.handle = lambda call: held.wait() and answer(call)
    spool_harness.advance(DELAY_S)
    assert spool_harness.redelivered == ["a"]
    spool_harness.cell.kill()
    settle()
    spool_harness.cell.start()
    held.set()
    spool_harness.stage.settle()  # the answer to the previous redelivery actor is dropped
    assert spool_harness.spooled == ["a", "b"]
    spool_harness.handle = answer
    spool_harness.advance(DELAY_S)
    assert spool_harness.redelivered == ["a", "a", "b"]
    assert spool_harness.spooled == []


def test_a_message_of_nobodys_is_left_to_pykka(spool_harness):
    assert spool_harness.cell.ref.ask("nonsense", timeout=60) is None
    assert spool_harness.exits == []
