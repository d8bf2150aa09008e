"""Doubtful transactions are flagged and listed; none is refused, closed or changed by a guess."""

import pytest

from chargehand import Plugin, TransactionFilter, passive, v16
from chargehand.plugins.back_office import BackOffice
from chargehand.testing import Stage

from ..actors.messages_of_v16 import METER_VALUES, START, STOP
from .answers import answer

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


@pytest.fixture
def charge_point(make):
    return make().connect("CP1")


def status(connector, status="Available"):
    return {"connectorId": connector, "errorCode": "NoError", "status": status}


# Orphans


@pytest.fixture
def send(charge_point, clock):
    """Send a message a second after the previous one: facts count in the order of their arrival."""

    def send(action, payload):
        clock.advance(1)
        return answer(charge_point, action, payload)

    return send


OVER = [
    ("BootNotification", BOOT),
    ("StatusNotification", status(1)),
    ("StartTransaction", {**START, "meterStart": 500}),
]


@pytest.mark.parametrize(("action", "payload"), OVER)
def test_what_cannot_be_going_on_is_orphaned_and_stays_open(send, store, action, payload):
    number = send("StartTransaction", START)["transactionId"]
    for _ in range(2):
        send(action, payload)
    known = store.transaction(number)
    assert (known.open, known.orphaned, known.flags) == (True, True, ())
    assert known.over == action + (" Available" if "status" in payload else "")


@pytest.mark.parametrize(
    "payload", [status(2), status(0), *(status(1, one) for one in ("Charging", "Preparing", "Finishing"))]
)
def test_a_status_that_says_nothing_of_a_transaction_orphans_nothing(send, store, payload):
    send("StartTransaction", START)
    send("StatusNotification", payload)
    assert not store.transaction(1).orphaned


def test_the_same_start_sent_again_is_no_orphan(send, store):
    for _ in range(2):
        send("StartTransaction", START)
    assert not store.transaction(1).orphaned


def test_the_start_that_shows_that_another_is_over_is_no_orphan_itself(send, store):
    send("StartTransaction", START)
    send("StartTransaction", {**START, "meterStart": 500})
    assert [store.transaction(number).orphaned for number in (1, 2)] == [True, False]


@pytest.mark.parametrize(("action", "payload"), OVER)
def test_a_stop_that_comes_after_all_leaves_no_doubt(send, store, action, payload):
    send("StartTransaction", START)
    send(action, payload)
    send("StopTransaction", STOP)
    known = store.transaction(1)
    assert (known.open, known.orphaned, known.flags) == (False, False, ())
    assert store.transactions(TransactionFilter(orphans_only=True)) == []


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("MeterValues", {**METER_VALUES, "transactionId": 1}),
        ("StatusNotification", status(1, "Charging")),
        ("StatusNotification", status(1, "SuspendedEV")),
        ("StatusNotification", status(1, "SuspendedEVSE")),
    ],
)
def test_a_later_sign_of_life_takes_it_back_until_the_next_reason(send, store, action, payload):
    send("StartTransaction", START)
    send("BootNotification", BOOT)
    send(action, payload)
    assert not store.transaction(1).orphaned
    send("StatusNotification", status(1))
    assert store.transaction(1).orphaned


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("MeterValues", METER_VALUES),
        ("MeterValues", {**METER_VALUES, "transactionId": 2}),
        ("StatusNotification", status(2, "Charging")),
        ("StatusNotification", status(0, "Charging")),
        ("Heartbeat", {}),
    ],
)
def test_a_sign_of_life_of_something_else_takes_nothing_back(send, store, action, payload):
    send("StartTransaction", START)
    send("BootNotification", BOOT)
    send(action, payload)
    assert store.transaction(1).orphaned


def test_charging_is_a_sign_of_the_transaction_that_started_last_on_its_connector(send, store):
    send("StartTransaction", START)
    send("StartTransaction", {**START, "meterStart": 500})
    send("BootNotification", BOOT)
    send("StatusNotification", status(1, "Charging"))
    assert [store.transaction(number).orphaned for number in (1, 2)] == [True, False]


def test_signs_count_by_arrival_whatever_the_clock_of_the_charge_point_says(send, store):
    send("StartTransaction", {**START, "timestamp": "2089-01-01T00:00:00Z"})
    send("StatusNotification", {**status(1), "timestamp": "1970-01-01T00:00:00Z"})
    assert store.transaction(1).orphaned
    send("StatusNotification", {**status(1, "Charging"), "timestamp": "1969-01-01T00:00:00Z"})
    assert not store.transaction(1).orphaned


def test_a_boot_orphans_nothing_of_another_charge_point(make, store, clock):
    stage = make()
    answer(stage.connect("CP1"), "StartTransaction", START)
    clock.advance(1)
    answer(stage.connect("CP2"), "BootNotification", BOOT)
    assert not store.transaction(1).orphaned


@pytest.mark.parametrize(
    ("request_", "orphaned"),
    [
        (v16.TriggerMessage(requested_message="BootNotification"), False),
        (v16.ExtendedTriggerMessage(requested_message="BootNotification"), False),
        (v16.TriggerMessage(requested_message="Heartbeat"), True),
        (v16.Reset(type="Soft"), True),
    ],
)
def test_a_boot_that_was_asked_for_by_a_trigger_is_no_restart(make, store, clock, request_, orphaned):
    stage = make()
    charge_point = stage.connect("CP1")
    answer(charge_point, "StartTransaction", START)
    stage.send("CP1", request_)
    stage.settle()
    charge_point.answer(charge_point.take()[-1], {"status": "Accepted"})
    clock.advance(1)
    answer(charge_point, "BootNotification", BOOT)
    assert store.transaction(1).orphaned is orphaned
    answer(charge_point, "BootNotification", BOOT)  # which nobody asked for
    assert store.transaction(1).orphaned


def test_a_boot_that_was_asked_for_is_none_behind_a_plugin_that_passes_it_on(store, clock, now):
    class Between(Plugin):
        @passive(v16.BootNotification)
        def boot(self, call):
            return call.pass_on()

    with Stage(Between, BackOffice.spec(store, now=now), store=store, clock=clock) as stage:
        charge_point = stage.connect("CP1")
        answer(charge_point, "StartTransaction", START)
        stage.send("CP1", v16.TriggerMessage(requested_message="BootNotification"))
        stage.settle()
        charge_point.answer(charge_point.take()[-1], {"status": "Accepted"})
        for orphaned in (False, True):
            clock.advance(1)
            answer(charge_point, "BootNotification", BOOT)
            assert store.transaction(1).orphaned is orphaned


# Concurrent transactions


def test_a_tag_may_have_several_transactions_unless_it_is_set_otherwise(make):
    stage = make()
    answer(stage.connect("CP1"), "StartTransaction", START)
    assert answer(stage.connect("CP2"), "StartTransaction", START)["idTagInfo"]["status"] == "Accepted"


def test_without_that_the_second_one_is_concurrent_and_kept_all_the_same(make, store):
    stage = make(concurrent_transactions=False)
    first, second = stage.connect("CP1"), stage.connect("CP2")
    answer(first, "StartTransaction", START)
    given = answer(second, "StartTransaction", {**START, "idTag": "t1"})
    assert given["idTagInfo"]["status"] == "ConcurrentTx"
    assert store.transaction(given["transactionId"]).verdict == "ConcurrentTx"
    answer(first, "StopTransaction", STOP)
    assert answer(stage.connect("CP3"), "StartTransaction", {**START, "idTag": "T2"})["idTagInfo"] == {
        "status": "Accepted"
    }


def test_a_start_sent_again_is_never_concurrent(make):
    charge_point = make(concurrent_transactions=False).connect("CP1")
    first = answer(charge_point, "StartTransaction", START)
    assert answer(charge_point, "StartTransaction", START) == first
    assert first["idTagInfo"]["status"] == "Accepted"


def test_an_orphan_does_not_keep_its_tag_from_charging(make, clock):
    stage = make(concurrent_transactions=False)
    first = stage.connect("CP1")
    answer(first, "StartTransaction", START)
    clock.advance(1)
    answer(first, "BootNotification", BOOT)
    assert answer(stage.connect("CP2"), "StartTransaction", START)["idTagInfo"]["status"] == "Accepted"


# Suspect readings


def test_more_energy_than_can_be_is_flagged(make, store):
    charge_point = make(suspect_energy_wh=5000).connect("CP1")
    answer(charge_point, "StartTransaction", START)
    answer(charge_point, "StopTransaction", {**STOP, "meterStop": START["meterStart"] + 5001})
    assert store.transaction(1).flags == ("5001 Wh are more than can be",)


def test_a_stop_before_its_start_is_flagged(charge_point, store):
    answer(charge_point, "StartTransaction", START)
    answer(charge_point, "StopTransaction", {**STOP, "timestamp": "1970-01-01T00:00:00Z"})
    assert store.transaction(1).flags == ("it stopped before it started, by its own clock",)
    assert not store.transaction(1).open
