"""Stops that name no known transaction, come twice, or come too late: each is answered, and none is lost or guessed."""

import datetime as dt
import json

import pytest
from msgspec.structs import replace

from chargehand.store.records import flag_code
from chargehand.store.stops import AFTER_CLOSING, DIFFERS, OTHER_STOPS

from ..actors.messages_of_v16 import METER_VALUES, START, STOP, TIME
from .answers import answer


@pytest.fixture
def charge_point(make):
    return make().connect("CP1")


@pytest.fixture
def start(charge_point):
    def start(**more):
        return answer(charge_point, "StartTransaction", {**START, **more})["transactionId"]

    return start


@pytest.fixture
def stop(charge_point, clock):
    """Stop a transaction a minute later; some numbers are none that were allotted."""

    def stop(number=-1, **more):
        clock.advance(60)
        payload = {**STOP, "transactionId": number, "idTag": "T1", **more}
        return answer(charge_point, "StopTransaction", {k: v for k, v in payload.items() if v is not None})

    return stop


def why(store):
    (message,) = store.dead_letters()
    return message.why


# A stop that names none which is known


@pytest.mark.parametrize("number", [-1, 0, -17, 999, 2**31 - 1, 2**40])
@pytest.mark.parametrize("id_tag", ["T1", "t1", " T1 "])
def test_a_stop_without_a_known_number_closes_the_one_that_fits(start, stop, store, number, id_tag):
    assert stop(start() and number, idTag=id_tag)["idTagInfo"]["status"] == "Accepted"
    known = store.transaction(1)
    assert (known.open, known.meter_stop, known.stop_reason) == (False, 200, "Local")
    assert [flag_code(flag) for flag in known.flags] == ["stop_matched"]
    assert str(number) in known.flags[0]
    assert store.dead_letters() == []


@pytest.mark.parametrize("number", [None, "none yet", {}, 1.5e30])
def test_a_stop_whose_number_cannot_be_read_closes_the_one_that_fits(start, charge_point, store, number):
    start()
    payload = {**STOP, "transactionId": number, "idTag": "T1"}
    assert answer(charge_point, "StopTransaction", payload)["idTagInfo"]["status"] == "Accepted"
    known = store.transaction(1)
    assert (known.open, flag_code(known.flags[0])) == (False, "stop_matched")
    assert known.flags[1].startswith("transactionId ")


@pytest.mark.parametrize(
    ("facts", "stopped"),
    [
        ({"idTag": "T2"}, {}),
        ({"meterStart": 201}, {}),
        ({"timestamp": "2026-01-01T01:00:00Z"}, {}),
        ({}, {"idTag": None}),
        ({}, {"idTag": ""}),
        ({}, {"idTag": "  "}),
    ],
)
def test_a_stop_that_fits_none_is_a_dead_letter_that_names_what_is_open(start, stop, store, facts, stopped):
    number = start(**facts)
    stop(**stopped)
    assert store.transaction(number).open
    assert ("open: 1" in why(store)) is (facts.get("idTag") is None)


def test_a_stop_by_a_clock_that_went_back_a_little_fits(start, stop, store):
    start(timestamp="2026-01-01T00:09:00Z")
    stop(timestamp=TIME)
    assert not store.transaction(1).open


def test_a_stop_that_fits_two_closes_neither_and_names_both(start, stop, store):
    start()
    start(connectorId=2)
    stop()
    assert store.transaction(1).open
    assert store.transaction(2).open
    assert "open: 2 (meter 100 at its start), 1 (meter 100 at its start)" in why(store)


def test_a_stop_that_fits_one_of_two_closes_that_one(start, stop, store):
    start(connectorId=1, meterStart=100)
    start(connectorId=2, meterStart=5000)
    stop(meterStop=4000)
    assert not store.transaction(1).open
    assert store.transaction(2).open


def test_a_stop_that_was_matched_is_known_when_it_is_sent_again(start, stop, store):
    start()
    first = stop()
    start(meterStart=200)
    before = store.transaction(1)
    assert stop() == first
    assert store.transaction(1) == before
    assert store.transaction(2).open
    assert store.dead_letters() == []


def test_two_stops_of_one_tag_without_numbers_close_one_transaction_after_the_other(start, stop, store):
    for meter in (100, 200):
        start(meterStart=meter)
        stop(meterStop=meter + 100, timestamp=f"2026-01-01T0{meter // 100}:00:00Z")
    assert [store.transaction(number).meter_stop for number in (1, 2)] == [200, 300]


def test_a_stop_that_fits_one_of_another_charge_point_closes_nothing(make, store, stop):
    answer(make().connect("CP2"), "StartTransaction", START)
    stop()
    assert store.transaction(1).open
    assert "none is open" in why(store)


def test_a_stop_of_a_start_that_could_not_be_read_closes_no_other_transaction(
    start, stop, store, charge_point
):
    start()
    unread = answer(charge_point, "StartTransaction", {"connectorId": 2, "idTag": "T1"})["transactionId"]
    stop(unread)
    assert store.transaction(1).open
    first, second = store.dead_letters()
    assert (
        second.why == f"the start of transaction {unread} could not be read: it is dead letter {first.number}"
    )


def test_a_reason_names_only_so_many_candidates(start, stop, store):
    for number in range(30):
        start(connectorId=number + 1)
    stop()
    assert "and more" in why(store)


# A second stop


def test_a_second_stop_with_other_figures_stands_beside_the_first(start, stop, store, clock):
    stop(start(), meterStop=150, reason="Reboot")
    stop(1, meterStop=8500, reason="PowerLoss", timestamp="2026-01-01T02:00:00Z")
    known = store.transaction(1)
    assert (known.meter_stop, known.stop_reason, known.flags) == (150, "Reboot", (DIFFERS,))
    (other,) = known.other_stops
    assert (other.meter_stop, other.reason, other.id_tag) == (8500, "PowerLoss", "T1")
    assert other.stopped_at == dt.datetime(2026, 1, 1, 2, tzinfo=dt.UTC)
    assert other.received_at.timestamp() == clock.time()
    assert flag_code(DIFFERS) == "stop_differs"


@pytest.mark.parametrize(
    "facts",
    [{"meterStop": 201}, {"timestamp": "2026-01-01T00:00:01Z"}, {"reason": "Remote"}, {"idTag": "T2"}],
)
def test_each_figure_makes_a_stop_another_one_and_it_is_kept_once(start, stop, store, facts):
    stop(start())
    for _ in range(3):
        stop(1, **facts)
    assert len(store.transaction(1).other_stops) == 1


def test_the_readings_of_a_second_stop_are_kept_too(start, stop, store):
    stop(start())
    for _ in range(2):
        stop(1, meterStop=201, transactionData=METER_VALUES["meterValue"])
    (reading,) = store.meter_readings(1)
    assert json.loads(reading.values)["meterStop"] == 201


def test_so_many_other_stops_are_kept_and_further_ones_are_dead_letters(start, stop, store):
    stop(start())
    for meter in range(300, 300 + OTHER_STOPS + 2):
        stop(1, meterStop=meter)
    assert len(store.transaction(1).other_stops) == OTHER_STOPS
    letters = store.transaction_dead_letters(1)
    assert [json.loads(one.payload)["meterStop"] for one in letters] == [310, 311]


def test_an_unreadable_time_sent_again_is_the_same_stop(start, stop, store, clock):
    stop(start(), timestamp="yesterday")
    before = store.transaction(1)
    assert before.stopped_at.timestamp() == clock.time()
    stop(1, timestamp="yesterday")
    assert store.transaction(1) == before
    assert before.flags == (
        'timestamp is not an ISO 8601 date and time; the time of receipt stands in: "yesterday"',
    )
    stop(1, timestamp="today")
    (other,) = store.transaction(1).other_stops
    assert (other.stopped_at, other.received_at.timestamp()) == (None, clock.time())


@pytest.mark.parametrize("time", ["yesterday", "", None, 12])
def test_a_start_with_an_unreadable_time_sent_again_is_the_same(start, stop, store, clock, time):
    first = start(timestamp=time)
    clock.advance(60)
    assert start(timestamp=time) == first
    assert store.transaction(first).started_at == store.transaction(first).start_received_at
    stop(first)
    assert start(timestamp=time) != first


# A stop after a transaction was closed by hand


def test_a_stop_after_a_closing_by_hand_stands_beside_and_is_answered_as_valid(start, stop, store, now):
    number = start()
    known = store.transaction(number)
    store.stop_transaction(
        replace(known, meter_stop=900, stopped_at=now(), stop_received_at=now(), closed_by="op")
    )
    for _ in range(2):
        assert stop(number)["idTagInfo"]["status"] == "Accepted"
    known = store.transaction(number)
    assert (known.meter_stop, known.closed_by, known.flags) == (900, "op", (AFTER_CLOSING,))
    assert [one.meter_stop for one in known.other_stops] == [200]
    assert flag_code(AFTER_CLOSING) == "stop_after_closing"


# What a start or a stop says besides


@pytest.mark.parametrize("id_tag", [None, "", " "])
def test_a_stop_with_nobodys_tag_is_no_strangers(start, stop, store, id_tag):
    assert stop(start(), idTag=id_tag, reason="EVDisconnected") == {}
    assert (store.transaction(1).flags, store.transaction(1).stop_id_tag) == ((), "")


def test_a_number_that_was_rounded_keeps_its_original_in_the_flag(start, stop, store):
    stop(start(meterStart=100.9), meterStop="1234.5")
    known = store.transaction(1)
    assert (known.meter_start, known.meter_stop) == (100, 1234)
    assert known.flags == (
        "meterStart is not an integer: 100.9",
        'meterStop is not an integer: "1234.5"',
    )


def test_an_unknown_member_keeps_its_value_in_the_flag(start, stop, store):
    stop(start(), vendorNote={"kwh": 1.5})
    assert store.transaction(1).flags == ('vendorNote is not a member of this object: {"kwh":1.5}',)
