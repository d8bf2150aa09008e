"""An accepted reservation is kept, used by its start, and flagged where that is doubtful."""

import datetime as dt

import pytest

from chargehand import Reservation, Tag, v16
from chargehand.plugins.reservations import KEPT_PER_CHARGE_POINT
from chargehand.testing import StubStore

from ..actors.messages_of_v16 import START, STOP

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def store():
    return StubStore(
        tags=[Tag(id_tag="T1", parent="FLEET"), Tag(id_tag="T2", parent="fleet"), Tag(id_tag="T3")]
    )


@pytest.fixture
def reserve(stage, charge_point, now):
    """Send a ReserveNow that is answered with a status, or not at all."""

    def reserve(number=5, status="Accepted", *, expiry=HOUR, **more):
        facts = {"connector_id": 1, "id_tag": "T1", "expiry_date": now() + expiry, **more}
        ticket = stage.send("CP1", v16.ReserveNow(reservation_id=number, **facts))
        stage.settle()
        if status:
            charge_point.answer(charge_point.take()[-1], {"status": status})
        return ticket

    return reserve


@pytest.fixture
def cancel(stage, charge_point):
    def cancel(number=5, status="Accepted"):
        stage.send("CP1", v16.CancelReservation(reservation_id=number))
        stage.settle()
        charge_point.answer(charge_point.take()[-1], {"status": status})

    return cancel


@pytest.fixture
def start(charge_point, store, now):
    """Start a transaction now, and return its record."""

    def start(number=5, **more):
        at = more.pop("at", now()).strftime("%Y-%m-%dT%H:%M:%SZ")
        payload = {**START, "timestamp": at, **more}
        if number is not None:
            payload["reservationId"] = number
        answer = charge_point.call("StartTransaction", payload)
        return store.transaction(answer[2]["transactionId"])

    return start


def only(store):
    (reservation,) = store.collections.reservations
    return reservation


# What is kept


def test_what_was_accepted_is_kept(reserve, store, now):
    reserve(parent_id_tag="FLEET")
    assert only(store) == Reservation(
        id=5,
        charge_point_id="CP1",
        connector_id=1,
        id_tag="T1",
        parent="FLEET",
        expiry=now() + HOUR,
        accepted_at=now(),
    )


@pytest.mark.parametrize("status", ["Faulted", "Occupied", "Rejected", "Unavailable"])
def test_what_was_declined_is_not(reserve, store, status):
    reserve(status=status)
    assert len(store.collections.reservations) == 0


def test_one_with_the_same_number_takes_its_place(reserve, store):
    reserve(id_tag="T1")
    reserve(id_tag="T2", connector_id=2)
    assert (only(store).id_tag, only(store).connector_id) == ("T2", 2)


def test_one_that_was_declined_leaves_the_one_with_its_number(reserve, store):
    reserve(id_tag="T1")
    reserve(id_tag="T2", status="Occupied")
    assert only(store).id_tag == "T1"


def test_a_cancelled_one_says_so(reserve, cancel, store):
    reserve()
    cancel(status="Rejected")
    assert only(store).state == "active"
    cancel()
    assert only(store).state == "cancelled"


def test_one_whose_answer_is_unknown_is_uncertain(reserve, charge_point, store):
    reserve(status="")
    charge_point.hang_up()
    assert only(store).state == "uncertain"


def test_one_that_was_never_sent_is_not_kept(stage, store, now):
    stage.send("CP9", v16.ReserveNow(connector_id=1, expiry_date=now(), id_tag="T1", reservation_id=5))
    stage.settle()
    assert len(store.collections.reservations) == 0


def test_a_connector_that_becomes_available_cancels_nothing(reserve, charge_point, store):
    reserve()
    charge_point.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})
    assert only(store).state == "active"


def test_one_is_expired_from_its_expiry_on_and_gone_a_day_later(stage, reserve, store, now):
    reserve()
    assert only(store).state_at(now()) == "active"
    stage.advance(3600)
    assert only(store).state_at(now()) == "expired"
    stage.connect("CP1")
    assert len(store.collections.reservations) == 1
    stage.advance(86400)
    stage.connect("CP1")
    assert len(store.collections.reservations) == 0


def test_one_charge_point_cannot_fill_the_collection(stage, reserve, store):
    for number in range(KEPT_PER_CHARGE_POINT + 3):
        reserve(number, expiry=HOUR * 10_000)
        stage.advance(1)
    numbers = sorted(one.id for one in store.collections.reservations)
    assert numbers == list(range(3, KEPT_PER_CHARGE_POINT + 3))


# Its start


def test_a_start_uses_it(reserve, start, store):
    reserve()
    transaction = start()
    assert transaction.flags == ()
    assert (only(store).state, only(store).transaction_id) == ("used", transaction.id)


def test_the_same_start_sent_again_is_not_doubtful(reserve, start, store):
    reserve()
    assert start(idTag="T1") == start(idTag="T1")
    assert store.transaction(1).flags == ()


@pytest.mark.parametrize("connector_id", [0, 1])
def test_a_tag_with_the_parent_that_it_was_made_for_may_use_it(reserve, start, store, connector_id):
    reserve(parent_id_tag="Fleet", connector_id=connector_id)
    assert start(idTag="T2").flags == ()
    assert only(store).state == "used"


@pytest.mark.parametrize("number", [None, -1, 0])
@pytest.mark.parametrize("connector_id", [0, 1])
@pytest.mark.parametrize("id_tag", ["T1", "t1", "T2"])
def test_a_start_of_its_tag_there_uses_it_though_it_names_none(
    reserve, start, store, number, connector_id, id_tag
):
    reserve(connector_id=connector_id, parent_id_tag="FLEET")
    transaction = start(number, idTag=id_tag)
    assert transaction.flags == ()
    assert (only(store).state, only(store).transaction_id) == ("used", transaction.id)


def test_a_start_that_names_an_unknown_one_uses_that_of_its_tag(reserve, start, store):
    reserve(5)
    assert start(6).flags == ("reservation 6 is not known",)
    assert only(store).state == "used"


@pytest.mark.parametrize("facts", [{"idTag": "T3"}, {"connectorId": 2}, {"idTag": "T2"}])
def test_a_start_that_names_none_uses_none_of_another_tag_or_connector(reserve, start, store, facts):
    reserve()
    assert start(None, **facts).flags == ()
    assert only(store).state == "active"


def test_a_start_that_names_none_uses_that_of_its_connector_first(reserve, start, store):
    reserve(5, connector_id=0)
    reserve(6, connector_id=1)
    start(None)
    assert {one.id: one.state for one in store.collections.reservations} == {5: "active", 6: "used"}


def test_a_start_that_names_none_after_its_expiry_uses_none(stage, reserve, start, store):
    reserve()
    stage.advance(7200)
    start(None)
    assert only(store).state == "active"


def test_a_reservation_made_after_a_start_is_not_used_when_that_is_sent_again(
    reserve, start, stage, now, store
):
    at = now()
    start(None, at=at)
    stage.advance(60)
    reserve(connector_id=0)
    start(None, at=at)
    assert only(store).state == "active"


def test_a_start_that_names_none_and_came_before_the_answer_uses_it(reserve, start, charge_point, store):
    reserve(status="")
    (call,) = charge_point.take()
    transaction = start(None)
    charge_point.answer(call, {"status": "Accepted"})
    assert (only(store).state, only(store).transaction_id) == ("used", transaction.id)


@pytest.mark.parametrize("number", [0, -1])
def test_numbers_that_stand_for_none_are_not_doubtful(start, number):
    assert start(number).flags == ()


def test_a_start_with_an_unknown_one_is_flagged_and_has_its_answer(start):
    transaction = start(6)
    assert transaction.flags == ("reservation 6 is not known",)
    assert transaction.verdict == "Accepted"


def test_that_of_another_charge_point_is_unknown(reserve, stage, store):
    reserve()
    stage.connect("CP2").call("StartTransaction", {**START, "reservationId": 5})
    assert store.transaction(1).flags == ("reservation 5 is not known",)
    assert only(store).state == "active"


@pytest.mark.parametrize(
    ("facts", "flag"),
    [
        ({"idTag": "T3"}, "reservation 5 is of another id tag"),
        ({"idTag": "T2"}, "reservation 5 is of another id tag"),
        ({"connectorId": 2}, "reservation 5 is of connector 1"),
    ],
)
def test_a_start_that_does_not_match_is_flagged_and_ends_it_all_the_same(reserve, start, store, facts, flag):
    reserve()
    assert start(**facts).flags == (flag,)
    assert only(store).state == "used"


def test_a_start_after_its_expiry_is_flagged_and_one_that_only_comes_late_is_not(stage, reserve, start, now):
    reserve(5)
    reserve(6)
    in_time = now()
    stage.advance(7200)
    assert start(5).flags == ("reservation 5 had expired",)
    assert not [flag for flag in start(6, at=in_time).flags if flag.startswith("reservation")]


def test_a_cancelled_one_is_flagged_and_stays_cancelled(reserve, cancel, start, store):
    reserve()
    cancel()
    assert start().flags == ("reservation 5 was cancelled",)
    assert only(store).state == "cancelled"


def test_a_second_start_with_it_is_flagged(reserve, start, store):
    reserve(connector_id=0)
    first = start()
    assert start(connectorId=2).flags == (f"reservation 5 was used by transaction {first.id}",)
    assert only(store).transaction_id == first.id


def test_a_start_that_came_before_the_answer_uses_it(reserve, start, charge_point, store):
    reserve(status="")
    (call,) = charge_point.take()
    transaction = start()
    charge_point.answer(call, {"status": "Accepted"})
    assert (only(store).state, only(store).transaction_id) == ("used", transaction.id)


def test_a_used_one_can_neither_be_cancelled_nor_freed_by_the_stop(
    reserve, cancel, start, charge_point, store
):
    reserve()
    transaction = start()
    charge_point.call("StopTransaction", {**STOP, "transactionId": transaction.id})
    cancel()
    assert only(store).state == "used"


def test_a_start_is_answered_when_the_use_is_durable_too(reserve, charge_point, stage, store):
    reserve()
    store.hold()
    assert charge_point.call("StartTransaction", {**START, "reservationId": 5}) is None
    store.settle()
    stage.settle()
    assert charge_point.take()[0][0] == 3


def test_a_store_that_fails_loses_nothing_that_was_there(reserve, store, stage):
    reserve(id_tag="T1")
    store.fail()
    reserve(id_tag="T2")
    store.work()
    assert only(store).id_tag == "T1"
    reserve(id_tag="T2")
    assert only(store).id_tag == "T2"
