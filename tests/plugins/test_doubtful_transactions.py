"""What is doubtful about a transaction is flagged and listed; nothing is refused, closed or guessed away for it."""

import json

import pytest

from chargehand import Transaction

from ..actors.messages_of_v16 import METER_VALUES, START, STOP

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


@pytest.fixture
def charge_point(make):
    return make().connect("CP1")


def answer(charge_point, action, payload):
    kind, _, payload = charge_point.call(action, payload)
    assert kind == 3
    return payload


def status(connector, status="Available"):
    return {"connectorId": connector, "errorCode": "NoError", "status": status}


# Orphans


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("BootNotification", BOOT),
        ("StatusNotification", status(1)),
        ("StartTransaction", {**START, "meterStart": 500}),
    ],
)
def test_what_cannot_be_going_on_is_flagged_once_and_stays_open(charge_point, store, action, payload):
    number = answer(charge_point, "StartTransaction", START)["transactionId"]
    for _ in range(2):
        answer(charge_point, action, payload)
    known = store.transaction(number)
    assert known.open
    assert known.flags == (
        f"{Transaction.ORPHAN}{'StatusNotification Available' if 'status' in payload else action} while it was open",
    )


@pytest.mark.parametrize("payload", [status(2), status(0), status(1, "Charging"), status(1, "Preparing")])
def test_a_status_that_says_nothing_of_it_flags_nothing(charge_point, store, payload):
    answer(charge_point, "StartTransaction", START)
    answer(charge_point, "StatusNotification", payload)
    assert store.transaction(1).flags == ()


def test_the_same_start_sent_again_is_no_orphan(charge_point, store):
    for _ in range(2):
        answer(charge_point, "StartTransaction", START)
    assert store.transaction(1).flags == ()


def test_a_stop_that_comes_after_all_closes_an_orphan(charge_point, store):
    answer(charge_point, "StartTransaction", START)
    answer(charge_point, "BootNotification", BOOT)
    answer(charge_point, "StopTransaction", STOP)
    assert not store.transaction(1).open
    assert store.transaction(1).flags == (f"{Transaction.ORPHAN}BootNotification while it was open",)


def test_a_boot_flags_nothing_of_another_charge_point(make, store):
    stage = make()
    answer(stage.connect("CP1"), "StartTransaction", START)
    answer(stage.connect("CP2"), "BootNotification", BOOT)
    assert store.transaction(1).flags == ()


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


def test_an_orphan_does_not_keep_its_tag_from_charging(make):
    stage = make(concurrent_transactions=False)
    first = stage.connect("CP1")
    answer(first, "StartTransaction", START)
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


# Meter values


def test_meter_values_are_kept_as_they_were_sent(charge_point, store):
    answer(charge_point, "MeterValues", {**METER_VALUES, "transactionId": 7})
    (reading,) = store.meter_readings(7)
    assert json.loads(reading.values) == METER_VALUES["meterValue"]


def test_meter_values_that_had_to_be_mended_are_kept_mended(charge_point, store):
    odd = [{"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": 12}]}]
    answer(charge_point, "MeterValues", {"connectorId": 1, "transactionId": 7, "meterValue": odd})
    (reading,) = store.meter_readings(7)
    assert json.loads(reading.values)[0]["sampledValue"][0]["value"] == "12"
