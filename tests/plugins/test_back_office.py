"""With the back office alone, every passive action has a sensible answer, and no record of money is lost."""

import datetime as dt
import json

import pytest

from chargehand import Plugin, Tag, passive, v16
from chargehand.plugins.back_office import BackOffice
from chargehand.protocol.payload import strict
from chargehand.testing import Stage

from ..actors.messages_of_v16 import METER_VALUES, PASSIVE, START, STOP, TIME
from .answers import answer

ACCEPTED = {"idTagInfo": {"status": "Accepted"}}


@pytest.fixture
def charge_point(make):
    return make().connect("CP1")


# Every action


@pytest.mark.parametrize("action", PASSIVE)
def test_every_passive_action_has_a_valid_answer_that_is_no_fallback(make, action):
    stage = make()
    payload = answer(stage.connect("CP1"), action, PASSIVE[action])
    strict(v16.VERSION.actions[action].response, json.dumps(payload).encode())
    assert stage.counts["fallback"] == 0


def test_it_claims_exactly_the_passive_actions():
    assert set(BackOffice.actions_of("passive")) == set(PASSIVE)


def test_it_answers_what_no_other_plugin_claims(store):
    class Mine(Plugin):
        @passive("Heartbeat")
        def beat(self, call):
            return {"currentTime": "2030-01-01T00:00:00Z"}

    with Stage(Mine, BackOffice.spec(store), store=store) as stage:
        charge_point = stage.connect("CP1")
        assert answer(charge_point, "Heartbeat", {}) == {"currentTime": "2030-01-01T00:00:00Z"}
        assert answer(charge_point, "Authorize", {"idTag": "T1"}) == ACCEPTED


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("BootNotification", "boot"),
        ("StatusNotification", "status"),
        ("DataTransfer", "data_transfer"),
        ("DiagnosticsStatusNotification", "diagnostics"),
        ("FirmwareStatusNotification", "firmware"),
        ("SignedFirmwareStatusNotification", "firmware"),
        ("LogStatusNotification", "log"),
        ("SecurityEventNotification", "security"),
        ("SignCertificate", "sign_certificate"),
    ],
)
def test_what_it_only_keeps_is_in_the_store(charge_point, store, clock, action, kind):
    answer(charge_point, action, PASSIVE[action])
    (event,) = store.events(kind=kind)
    assert event.charge_point_id == "CP1"
    assert event.received_at.timestamp() == clock.time()
    assert event.data.items() >= PASSIVE[action].items()


def test_the_coming_of_a_charge_point_is_in_the_store_too(stage, store):
    store.register("CP1", "Accepted")
    stage.connect("CP1")
    (event,) = store.events(kind="online")
    assert event.data == {"peer": "memory", "secure": False}


@pytest.mark.usefixtures("charge_point")
def test_the_coming_of_one_that_has_never_booted_is_not(store):
    assert store.events(kind="online") == []


# Boot and time


def test_a_boot_is_accepted_with_the_time_and_the_interval(make):
    charge_point = make(heartbeat_interval_s=600, heartbeat_spread=0.0).connect("CP1")
    boot = answer(charge_point, "BootNotification", PASSIVE["BootNotification"])
    assert boot == {"status": "Accepted", "currentTime": TIME, "interval": 600}


def test_the_intervals_of_many_are_spread_and_none_is_longer(make):
    stage = make(heartbeat_interval_s=1000, heartbeat_spread=0.1)
    intervals = {
        answer(stage.connect(f"CP{number}"), "BootNotification", PASSIVE["BootNotification"])["interval"]
        for number in range(50)
    }
    assert len(intervals) > 10
    assert all(900 <= interval <= 1000 for interval in intervals)


@pytest.mark.parametrize("status", ["Accepted", "Pending", "Rejected"])
def test_by_a_setting_a_boot_is_answered_otherwise(make, store, status):
    charge_point = make(registration=status).connect("CP1")
    assert answer(charge_point, "BootNotification", PASSIVE["BootNotification"])["status"] == status
    assert store.registration("CP1").status == status


def test_a_heartbeat_gives_the_time_in_whole_seconds_of_utc(make, clock):
    charge_point = make().connect("CP1")
    clock.advance(3.7)
    assert answer(charge_point, "Heartbeat", {}) == {"currentTime": "2026-01-01T00:00:03Z"}


# Tags


def authorize(charge_point, id_tag):
    return answer(charge_point, "Authorize", {"idTag": id_tag})["idTagInfo"]


@pytest.mark.parametrize(("accept_all", "status"), [(True, "Accepted"), (False, "Invalid")])
def test_a_tag_that_is_not_known_is_accepted_or_not_as_the_setting_says(make, accept_all, status):
    charge_point = make(accept_all_tags=accept_all).connect("CP1")
    assert authorize(charge_point, "unknown") == {"status": status}


@pytest.mark.parametrize("status", ["Accepted", "Blocked", "Expired", "Invalid"])
def test_a_tag_that_is_known_has_its_own_status(charge_point, store, status):
    store.collections.tags.put(Tag(id_tag="T1", status=status))
    assert authorize(charge_point, "T1") == {"status": status}


def test_tags_are_compared_without_case(charge_point, store):
    store.collections.tags.put(Tag(id_tag="AbC", status="Blocked"))
    assert authorize(charge_point, "aBc") == {"status": "Blocked"}


def test_a_tag_is_accepted_until_it_expires(charge_point, store, clock):
    expiry = dt.datetime.fromtimestamp(clock.time() + 10, dt.UTC)
    store.collections.tags.put(Tag(id_tag="T1", expiry=expiry, parent="FLEET"))
    assert authorize(charge_point, "T1") == {
        "status": "Accepted",
        "expiryDate": "2026-01-01T00:00:10Z",
        "parentIdTag": "FLEET",
    }
    clock.advance(10)
    assert authorize(charge_point, "T1")["status"] == "Expired"


def test_a_blocked_tag_stays_blocked_when_it_expires(charge_point, store, clock):
    store.collections.tags.put(
        Tag(id_tag="T1", status="Blocked", expiry=dt.datetime.fromtimestamp(0, dt.UTC))
    )
    assert authorize(charge_point, "T1")["status"] == "Blocked"


# Starting


def test_a_start_is_stored_before_it_is_answered(make, store, clock):
    stage = make()
    charge_point = stage.connect("CP1")
    store.hold()
    assert charge_point.call("StartTransaction", {**START, "reservationId": 5}, "a") is None
    store.settle()
    stage.settle()
    assert charge_point.take() == [[3, "a", {**ACCEPTED, "transactionId": 1}]]
    kept = store.transaction(1)
    assert (kept.charge_point_id, kept.connector_id, kept.id_tag, kept.meter_start) == ("CP1", 1, "T1", 100)
    assert (kept.reservation_id, kept.verdict, kept.open) == (5, "Accepted", True)
    assert kept.flags == ("reservation 5 is not known",)
    assert kept.start_received_at.timestamp() == clock.time()
    assert kept.started_at == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_a_start_with_a_tag_that_may_not_charge_has_a_number_and_is_stored(make, store):
    charge_point = make(accept_all_tags=False).connect("CP1")
    started = answer(charge_point, "StartTransaction", START)
    assert started == {"idTagInfo": {"status": "Invalid"}, "transactionId": 1}
    assert store.transaction(1).verdict == "Invalid"


@pytest.mark.parametrize("unique_id", ["the same", "another"])
def test_a_start_that_comes_again_has_the_same_number_and_the_same_verdict(charge_point, store, unique_id):
    first = answer(charge_point, "StartTransaction", START, "the same")
    store.collections.tags.put(Tag(id_tag="T1", status="Blocked"))  # since then
    assert answer(charge_point, "StartTransaction", START, unique_id) == first
    assert len(store.transactions()) == 1


def test_a_new_start_of_the_same_tag_is_another_transaction(charge_point):
    first = answer(charge_point, "StartTransaction", START)
    second = answer(charge_point, "StartTransaction", {**START, "meterStart": 500})
    assert first["transactionId"] != second["transactionId"]


def test_a_master_pass_is_accepted_starts_nothing_and_stops_everything(make, store):
    store.collections.tags.put(Tag(id_tag="M1", parent="PASS"))
    charge_point = make(master_pass_group="pass").connect("CP1")
    assert answer(charge_point, "Authorize", {"idTag": "M1"})["idTagInfo"]["status"] == "Accepted"
    started = answer(charge_point, "StartTransaction", {**START, "idTag": "M1"})
    assert started["idTagInfo"]["status"] == "Invalid"
    number = answer(charge_point, "StartTransaction", {**START, "idTag": "T1", "connectorId": 2})[
        "transactionId"
    ]
    answer(charge_point, "StopTransaction", {**STOP, "transactionId": number, "idTag": "M1"})
    assert not any("parent" in flag for flag in store.transaction(number).flags)


def test_a_tag_of_some_type_is_that_of_a_charge_point_which_knows_no_types(make, store):
    store.collections.tags.put(Tag(id_tag="T1", id_type="ISO14443", status="Blocked"))
    charge_point = make(accept_all_tags=False).connect("CP1")
    assert answer(charge_point, "Authorize", {"idTag": "t1"})["idTagInfo"]["status"] == "Blocked"
    store.collections.tags.put(Tag(id_tag="T1"))
    assert answer(charge_point, "Authorize", {"idTag": "t1"})["idTagInfo"]["status"] == "Accepted"


def test_two_charge_points_may_start_at_the_same_moment(make):
    stage = make()
    numbers = {
        answer(stage.connect(f"CP{number}"), "StartTransaction", START)["transactionId"]
        for number in range(5)
    }
    assert len(numbers) == 5


def test_what_is_doubtful_about_a_start_is_flagged_and_not_refused(charge_point, store):
    answer(charge_point, "StartTransaction", {**START, "idTag": "x" * 30, "unknown": 1})
    assert len(store.transaction(1).flags) == 2


def test_a_start_that_the_store_cannot_keep_is_not_answered(charge_point, store):
    store.fail()
    assert charge_point.call("StartTransaction", START) is None


# Stopping


@pytest.fixture
def charging(charge_point):
    """Charge point with transaction 1 going on."""
    assert answer(charge_point, "StartTransaction", START)["transactionId"] == 1
    return charge_point


def test_a_stop_closes_its_transaction(charging, store, clock):
    clock.advance(60)
    assert answer(charging, "StopTransaction", {**STOP, "reason": "Remote"}) == {}
    kept = store.transaction(1)
    assert not kept.open
    assert (kept.meter_stop, kept.stop_reason, kept.flags) == (200, "Remote", ())
    assert kept.stop_received_at.timestamp() == clock.time()


def test_a_stop_without_a_reason_was_local(charging, store):
    answer(charging, "StopTransaction", STOP)
    assert store.transaction(1).stop_reason == "Local"


def test_a_stop_with_a_tag_hears_of_that_tag(charging, store):
    store.collections.tags.put(Tag(id_tag="T2", status="Blocked"))
    assert answer(charging, "StopTransaction", {**STOP, "idTag": "T2"}) == {
        "idTagInfo": {"status": "Blocked"}
    }
    assert store.transaction(1).stop_id_tag == "T2"


def test_a_stop_is_stored_before_it_is_answered(make, store):
    stage = make()
    charge_point = stage.connect("CP1")
    answer(charge_point, "StartTransaction", START)
    store.hold()
    values = METER_VALUES["meterValue"]
    assert charge_point.call("StopTransaction", {**STOP, "transactionData": values}, "a") is None
    stopped, data = store.pending
    stopped.settle()
    stage.settle()
    assert charge_point.take() == []  # its meter values are not durable yet
    data.settle()
    stage.settle()
    assert charge_point.take() == [[3, "a", {}]]


def test_the_values_of_a_stop_are_kept_with_its_transaction(charging, store):
    answer(charging, "StopTransaction", {**STOP, "transactionData": METER_VALUES["meterValue"]})
    (reading,) = store.meter_readings(1)
    assert json.loads(reading.values)["transactionData"] == METER_VALUES["meterValue"]


def test_a_stop_that_comes_again_is_acknowledged_and_changes_nothing(charging, store, clock):
    answer(charging, "StopTransaction", STOP)
    before = store.transaction(1)
    clock.advance(60)
    assert answer(charging, "StopTransaction", STOP, "another id") == {}
    assert store.transaction(1) == before


def test_a_stop_whose_meter_ran_backwards_is_flagged(charging, store):
    answer(charging, "StopTransaction", {**STOP, "meterStop": 5})
    assert store.transaction(1).flags == ("the meter ran backwards",)


@pytest.mark.parametrize("number", [-1, 0, 999])
def test_a_stop_of_an_unknown_transaction_is_acknowledged_and_a_dead_letter(charge_point, store, number):
    assert answer(charge_point, "StopTransaction", {**STOP, "transactionId": number}) == {}
    (message,) = store.dead_letters()
    assert json.loads(message.payload)["transactionId"] == number
    assert str(number) in message.why
    assert store.spooled() == []


def test_a_stop_of_another_charge_points_transaction_does_not_close_it(make, store):
    stage = make()
    answer(stage.connect("CP1"), "StartTransaction", START)
    assert answer(stage.connect("CP2"), "StopTransaction", STOP) == {}
    assert store.transaction(1).open
    assert len(store.dead_letters()) == 1


def test_after_its_stop_the_same_start_is_a_new_transaction(charging):
    answer(charging, "StopTransaction", STOP)
    assert answer(charging, "StartTransaction", START)["transactionId"] == 2


# Meter values


@pytest.mark.parametrize("transaction", [{}, {"transactionId": 1}, {"transactionId": 999}])
def test_meter_values_are_kept_whatever_their_transaction(charge_point, store, transaction):
    assert answer(charge_point, "MeterValues", {**METER_VALUES, **transaction}) == {}
    assert len(store.readings_of("CP1")) == 1


def test_late_meter_values_do_not_reopen_a_transaction(charging, store):
    answer(charging, "StopTransaction", STOP)
    answer(charging, "MeterValues", {**METER_VALUES, "transactionId": 1})
    assert not store.transaction(1).open
    assert len(store.meter_readings(1)) == 1


def test_times_with_an_offset_are_stored_in_utc(charge_point, store):
    answer(charge_point, "StartTransaction", {**START, "timestamp": "2026-01-01T14:00:00+02:00"})
    answer(charge_point, "StopTransaction", {**STOP, "timestamp": "20260101T0900-0500"})
    known = store.transaction(1)
    assert (known.started_at.isoformat(), known.stopped_at.isoformat()) == (
        "2026-01-01T12:00:00+00:00",
        "2026-01-01T14:00:00+00:00",
    )


def test_meter_values_that_come_again_are_kept_once(charge_point, store):
    for _ in range(3):
        answer(charge_point, "MeterValues", METER_VALUES)
    assert len(store.readings_of("CP1")) == 1


def test_meter_values_are_acknowledged_when_they_are_stored(make, store):
    stage = make()
    charge_point = stage.connect("CP1")
    store.hold()
    assert charge_point.call("MeterValues", METER_VALUES, "a") is None
    store.settle()
    stage.settle()
    assert charge_point.take() == [[3, "a", {}]]


# What it cannot do


def test_a_vendor_it_does_not_know_is_told_so(charge_point):
    assert answer(charge_point, "DataTransfer", {"vendorId": "V"}) == {"status": "UnknownVendorId"}


def test_it_signs_no_certificates(charge_point):
    assert answer(charge_point, "SignCertificate", {"csr": "C"}) == {"status": "Rejected"}
