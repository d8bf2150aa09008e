"""Messages that fallbacks acknowledged for a plugin are redelivered to it in order, and dead letters too."""

import pytest

from chargehand import StoreError

from ..actors.messages_of_v16 import METER_VALUES, START, STOP
from ..hub import until
from .failing_plugins import SUPERVISION, quarantine

# The spool


def test_spooled_messages_are_redelivered_in_order_when_the_plugin_is_released(
    system_harness, plan, fleet, store
):
    quarantine(system_harness, plan, fleet)
    numbers = []
    for name in ("CP1", "CP2"):
        started = fleet[name].call("StartTransaction", START, f"{name}-start")[2]
        assert started["idTagInfo"]["status"] == "Accepted"
        numbers.append(started["transactionId"])
        assert fleet[name].call("MeterValues", METER_VALUES, f"{name}-meter")[2] == {}
        stop = {**STOP, "transactionId": numbers[-1]}
        assert fleet[name].call("StopTransaction", stop, f"{name}-stop")[2] == {}
    assert len(store.spooled()) == 6
    system_harness.advance(SUPERVISION["quarantine_s"])
    for name, number in zip(("CP1", "CP2"), numbers, strict=True):
        own = [call for call in plan.seen if call.charge_point.id == name]
        assert [call.unique_id for call in own] == [f"{name}-{what}" for what in ("start", "meter", "stop")]
        assert all(call.redelivered for call in own)
        assert own[0].transaction_id == number
    assert store.spooled() == []
    assert len(set(numbers)) == 2


def test_a_stop_after_the_release_waits_behind_the_start_still_being_redelivered(
    system_harness, plan, fleet, store
):
    quarantine(system_harness, plan, fleet)
    number = fleet["CP1"].call("StartTransaction", START, "start")[2]["transactionId"]
    plan.bad.add("CP1")
    system_harness.live(
        lambda: system_harness.system.release("FailingPlugin")
    )  # its redelivery fails, and waits
    assert [call.unique_id for call in plan.seen] == ["start"]
    assert fleet["CP1"].call("StopTransaction", {**STOP, "transactionId": number}, "stop")[2] == {}
    assert [call.unique_id for call in plan.seen] == ["start"]
    assert fleet["CP2"].call("StopTransaction", STOP, "other")[2] == {}  # nobody else's waits
    assert plan.seen[-1].unique_id == "other"
    plan.bad.clear()
    system_harness.advance(SUPERVISION["redelivery_delay_max_s"])
    assert [call.unique_id for call in plan.seen] == ["start", "other", "start", "stop"]
    assert store.spooled() == []
    assert fleet["CP1"].call("MeterValues", METER_VALUES, "direct")[2] == {}
    assert (plan.seen[-1].unique_id, plan.seen[-1].redelivered) == ("direct", False)


def test_a_record_that_cannot_be_stored_is_not_acknowledged(system_harness, plan, fleet, store):
    quarantine(system_harness, plan, fleet)
    store.fail()
    assert fleet["CP1"].call("MeterValues", METER_VALUES) is None
    assert system_harness.count("spool_failed") >= 1
    assert fleet["CP1"].closed_with is None


def test_a_message_of_an_open_breaker_is_redelivered_without_a_quarantine(system_harness, plan, fleet, store):
    plan.bad.add("CP1")
    for number in range(4):
        assert fleet["CP1"].call("MeterValues", METER_VALUES, f"m{number}")[2] == {}
    assert len(store.spooled()) == 4
    plan.bad.clear()
    plan.seen.clear()
    system_harness.advance(SUPERVISION["redelivery_delay_max_s"] * 2)
    assert [call.unique_id for call in plan.seen] == ["m0", "m1", "m2", "m3"]


# Dead letters, and their redelivery


def dead_letter(fleet, store, name="CP1"):
    """Make dead letters of a whole transaction; return its number."""
    number = fleet[name].call("StartTransaction", START, f"{name}-start")[2]["transactionId"]
    fleet[name].call("StopTransaction", {**STOP, "transactionId": number}, f"{name}-stop")
    for record in store.spooled(charge_point_id=name):
        store.dead_letter(record.number, "planted")
    return number


def test_a_dead_letter_comes_back_with_its_transaction_and_is_redelivered_in_order(
    system_harness, plan, fleet, store
):
    quarantine(system_harness, plan, fleet)
    number = dead_letter(fleet, store)
    dead_letter(fleet, store, "CP2")
    system_harness.system._parts.spool.dead.add(("CP1", number))
    system_harness.live(lambda: system_harness.system.release("FailingPlugin"))
    start, stop, *others = [record.number for record in store.dead_letters()]
    assert system_harness.live(lambda: system_harness.system.retry_spooled([stop])) == [start, stop]
    system_harness.advance(SUPERVISION["redelivery_delay_s"])
    assert [call.unique_id for call in plan.seen] == ["CP1-start", "CP1-stop"]
    assert system_harness.system._parts.spool.dead == set()
    assert system_harness.live(system_harness.system.retry_spooled) == others
    system_harness.advance(SUPERVISION["redelivery_delay_s"])
    assert [call.unique_id for call in plan.seen][2:] == ["CP2-start", "CP2-stop"]
    assert store.spooled() == store.dead_letters() == []
    assert system_harness.live(lambda: system_harness.system.retry_spooled([start])) == []


def test_while_the_store_is_down_dead_letters_stay(system_harness, plan, fleet, store):
    quarantine(system_harness, plan, fleet)
    number = dead_letter(fleet, store)
    system_harness.live(lambda: system_harness.system.release("FailingPlugin"))
    system_harness.advance(SUPERVISION["redelivery_delay_s"])
    system_harness.system._parts.spool.dead.add(("CP1", number))
    store.fail()
    with pytest.raises(StoreError):
        system_harness.live(system_harness.system.retry_spooled)
    store.work()
    system_harness.advance(SUPERVISION["redelivery_delay_max_s"])
    assert len(store.dead_letters()) == 2
    assert system_harness.system._parts.spool.dead == {("CP1", number)}
    assert system_harness.system._parts.spool.behind == set()


# The redelivery actor among the plugins


def test_the_redelivery_actor_is_restarted_however_often_it_fails(system_harness, plan, fleet, store):
    replayer = next(
        child.cell
        for child in system_harness.system._parts.operations._plugin_supervisor().children
        if child.spec.id == "redelivery"
    )
    for _ in range(10):
        replayer.kill()
        system_harness.advance(2.0)
    assert system_harness.described("redelivery")["state"] == "running"
    plan.bad.add("CP1")
    assert fleet["CP1"].call("MeterValues", METER_VALUES, "m")[2] == {}
    plan.bad.clear()
    system_harness.advance(5)
    assert until(lambda: store.spooled() == [])
