"""An accepted charging profile is kept until another replaces it, it is cleared, or its transaction ends."""

from decimal import Decimal

import pytest

from chargehand import v16
from chargehand.plugins.charging_profiles import KEPT_PER_CHARGE_POINT

from ..actors.messages_of_v16 import START, STOP

SCHEDULE = v16.ChargingSchedule(
    charging_rate_unit="A",
    charging_schedule_period=(v16.ChargingSchedulePeriod(start_period=0, limit=Decimal(16)),),
)
MAX, DEFAULT, TX = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"


def profile(number=1, purpose=DEFAULT, level=0, **more):
    return v16.ChargingProfile(
        charging_profile_id=number,
        stack_level=level,
        charging_profile_purpose=purpose,
        charging_profile_kind="Relative",
        charging_schedule=SCHEDULE,
        **more,
    )


@pytest.fixture
def do(stage, charge_point):
    """Send a command that is answered with a status."""

    def do(request, status="Accepted"):
        stage.send("CP1", request)
        stage.settle()
        charge_point.answer(charge_point.take()[-1], {"status": status})

    return do


@pytest.fixture
def set_(do):
    def set_(connector_id=0, status="Accepted", **facts):
        request = v16.SetChargingProfile(connector_id=connector_id, cs_charging_profiles=profile(**facts))
        do(request, status)

    return set_


@pytest.fixture
def start(charge_point):
    def start(**more):
        return charge_point.call("StartTransaction", {**START, **more})[2]["transactionId"]

    return start


@pytest.fixture
def stop(charge_point):
    return lambda number: charge_point.call("StopTransaction", {**STOP, "transactionId": number})


def held(store):
    return sorted((one.id, one.connector_id, one.transaction_id) for one in store.collections.profiles)


# Set and replaced


def test_what_was_accepted_is_kept_as_it_was_sent(set_, store):
    set_(1, number=7, purpose=DEFAULT, level=3)
    (kept,) = store.collections.profiles
    assert (kept.id, kept.charge_point_id, kept.connector_id) == (7, "CP1", 1)
    assert (kept.purpose, kept.stack_level, kept.transaction_id) == (DEFAULT, 3, None)
    assert kept.data["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 16}]


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
def test_what_was_declined_is_not(set_, store, status):
    set_(status=status)
    assert held(store) == []


def test_one_in_the_same_place_is_replaced(set_, store):
    set_(1, number=1, level=2)
    set_(1, number=2, level=2)
    assert held(store) == [(2, 1, None)]


@pytest.mark.parametrize("other", [{"level": 3}, {"purpose": MAX}, {"connector_id": 2}])
def test_one_in_another_place_is_not(set_, store, other):
    set_(connector_id=0, number=1, level=2)
    set_(**{"connector_id": 0, "number": 2, "level": 2, **other})
    assert len(held(store)) == 2


def test_one_with_the_same_id_is_replaced_wherever_it_is(set_, store):
    set_(1, number=1, level=2)
    set_(2, number=1, level=5)
    assert held(store) == [(1, 2, None)]


def test_one_charge_point_cannot_fill_the_collection(stage, set_, store):
    for number in range(KEPT_PER_CHARGE_POINT + 2):
        set_(number=number, level=number)
        stage.advance(1)
    assert [number for number, *_ in held(store)] == list(range(2, KEPT_PER_CHARGE_POINT + 2))


# Cleared


@pytest.fixture
def four(set_):
    set_(0, number=1, purpose=MAX, level=0)
    set_(0, number=2, purpose=DEFAULT, level=0)
    set_(1, number=3, purpose=DEFAULT, level=0)
    set_(1, number=4, purpose=DEFAULT, level=1)


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ({}, []),
        ({"id": 3}, [1, 2, 4]),
        ({"id": 3, "connector_id": 0}, [1, 2, 4]),  # with an id, that alone counts
        ({"id": 9}, [1, 2, 3, 4]),
        ({"connector_id": 0}, [3, 4]),
        ({"connector_id": 1, "stack_level": 1}, [1, 2, 3]),
        ({"charging_profile_purpose": DEFAULT}, [1]),
        ({"stack_level": 0}, [4]),
    ],
)
def test_what_was_cleared_is_gone(do, store, asked, left):
    do(v16.ClearChargingProfile(**asked))
    assert [number for number, *_ in held(store)] == left


@pytest.mark.usefixtures("four")
def test_after_unknown_there_is_none_that_matches(do, store):
    do(v16.ClearChargingProfile(id=3), "Unknown")
    assert [number for number, *_ in held(store)] == [1, 2, 4]


@pytest.mark.usefixtures("four")
def test_a_clear_that_was_refused_clears_nothing(stage, charge_point, store):
    stage.send("CP1", v16.ClearChargingProfile())
    stage.settle()
    charge_point.refuse(charge_point.take()[-1])
    assert len(held(store)) == 4


# Transactions


def test_the_profiles_of_a_transaction_end_with_it_and_the_others_do_not(set_, start, stop, store):
    set_(1, number=1, purpose=DEFAULT)
    first, second = start(connectorId=1), start(connectorId=2)
    set_(1, number=2, purpose=TX)
    set_(2, number=3, purpose=TX, transaction_id=second)
    assert held(store) == [(1, 1, None), (2, 1, first), (3, 2, second)]
    stop(first)
    assert held(store) == [(1, 1, None), (3, 2, second)]
    stop(second)
    assert held(store) == [(1, 1, None)]


def test_an_old_stop_sent_again_ends_no_profile_of_an_unknown_transaction(set_, start, stop, store):
    number = start(connectorId=1)
    stop(number)
    set_(1, number=2, purpose=TX)
    stop(number)
    assert held(store) == [(2, 1, None)]


@pytest.fixture
def remote_start(do):
    def remote_start(connector_id=1, status="Accepted", id_tag="T1", number=9):
        request = v16.RemoteStartTransaction(
            connector_id=connector_id, id_tag=id_tag, charging_profile=profile(number, TX)
        )
        do(request, status)

    return remote_start


@pytest.mark.parametrize("connector_id", [1, None])
def test_the_profile_of_a_remote_start_becomes_that_of_its_transaction(
    remote_start, start, stop, store, connector_id
):
    remote_start(connector_id)
    (waiting,) = store.collections.profiles
    assert (waiting.transaction_id, waiting.id_tag) == (None, "T1")
    number = start(idTag="t1")
    assert held(store) == [(9, 1, number)]
    (given,) = store.collections.profiles
    assert given.id_tag == ""
    stop(number)
    assert held(store) == []


def test_the_start_of_another_tag_or_elsewhere_does_not_get_it(remote_start, start, stop, store):
    remote_start(1)
    start(idTag="T1", connectorId=2)
    number = start(idTag="T2", connectorId=1)
    stop(number)
    assert held(store) == [(9, 1, None)]


def test_a_remote_start_that_was_declined_leaves_no_profile(remote_start, store):
    remote_start(status="Rejected")
    assert held(store) == []


def test_a_profile_does_not_wait_for_its_start_for_ever(stage, remote_start, start, store):
    remote_start(1)
    stage.advance(601)
    start(idTag="T1")
    assert held(store) == []


def test_what_waited_in_vain_is_gone_when_the_charge_point_comes_back(stage, remote_start, store):
    remote_start(1)
    stage.advance(601)
    stage.connect("CP1")
    assert held(store) == []


def test_a_start_that_came_before_the_answer_has_its_profile(stage, charge_point, start, store):
    stage.send("CP1", v16.RemoteStartTransaction(id_tag="T1", charging_profile=profile(9, TX)))
    stage.settle()
    (call,) = charge_point.take()
    number = start(idTag="T1", connectorId=2)
    charge_point.answer(call, {"status": "Accepted"})
    assert held(store) == [(9, 2, number)]


def test_what_waits_takes_no_place_of_the_transaction_that_goes_on_there(set_, start, remote_start, store):
    number = start(connectorId=1)
    set_(1, number=2, purpose=TX)
    remote_start(1, id_tag="T2")
    assert held(store) == [(2, 1, number), (9, 1, None)]
