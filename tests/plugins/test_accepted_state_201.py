"""Reservations and charging profiles that a station of OCPP 2.0.1 has accepted, and the transactions that use them."""

import datetime as dt

import pytest

from chargehand import Reservation, ReservationEnded, Tag, v201
from chargehand.plugins.accepted_state import AcceptedState
from chargehand.plugins.back_office_201 import BackOffice201
from chargehand.protocol.session import SessionRules
from chargehand.testing import Stage, StubStore

HOUR = dt.timedelta(hours=1)
TOKEN = {"idToken": "T1", "type": "ISO14443"}


@pytest.fixture
def store():
    return StubStore(tags=[Tag(id_tag="T1", parent="FLEET"), Tag(id_tag="T2", parent="fleet")])


@pytest.fixture
def stage(store, clock, now):
    plugins = [AcceptedState.spec(store, now=now), BackOffice201.spec(store, now=now, ask_after_s=1e6)]
    with Stage(*plugins, store=store, clock=clock, rules=SessionRules(version=v201.VERSION)) as stage:
        yield stage


@pytest.fixture
def station(stage):
    return stage.connect("CP1")


@pytest.fixture
def do(stage, station):
    """Send a command that is answered with a status and more members; return its ticket."""

    def do(request, status="Accepted", **more):
        ticket = stage.send("CP1", request)
        stage.settle()
        if status:
            station.answer(station.take()[-1], {"status": status, **more})
        return ticket

    return do


@pytest.fixture
def event(station, store, now):
    """Send an event of a transaction now; return the record of the transaction."""

    def event(kind="Started", seq=0, **more):
        payload = {
            "eventType": kind,
            "timestamp": now().isoformat().replace("+00:00", "Z"),
            "triggerReason": more.pop("reason", "Authorized"),
            "seqNo": seq,
            "transactionInfo": {"transactionId": "tx-1"},
            **more,
        }
        assert station.call("TransactionEvent", payload)[0] == 3
        return store.remote_transaction("CP1", "tx-1")

    return event


def reserve(do, now, number=5, status="Accepted", evse=2, token="T1", group=None):
    return do(
        v201.ReserveNow(
            id=number,
            expiry_date_time=now() + HOUR,
            id_token=v201.IdToken(id_token=token, type=v201.IdTokenType.ISO14443),
            evse_id=evse,
            group_id_token=group and v201.IdToken(id_token=group, type=v201.IdTokenType.CENTRAL),
        ),
        status,
    )


def only(store):
    (reservation,) = store.collections.reservations
    return reservation


# -- Reservations ----------------------------------------------------------------------------------


def test_a_reservation_that_was_accepted_is_kept(do, now, store):
    reserve(do, now, group="FLEET")
    assert only(store) == Reservation(
        id=5,
        charge_point_id="CP1",
        connector_id=2,
        id_tag="T1",
        parent="FLEET",
        id_type="ISO14443",
        expiry=now() + HOUR,
        accepted_at=now(),
    )


@pytest.mark.parametrize("status", ["Faulted", "Occupied", "Rejected", "Unavailable"])
def test_a_reservation_that_was_declined_is_not_kept(status, do, now, store):
    reserve(do, now, status=status)
    assert len(store.collections.reservations) == 0


def test_a_reservation_without_an_answer_is_uncertain(do, now, store, station):
    reserve(do, now, status="")
    station.hang_up()
    assert only(store).state == "uncertain"


def test_a_reservation_for_a_type_of_connector_is_for_any_evse(do, now, store, event):
    do(
        v201.ReserveNow(
            id=5,
            expiry_date_time=now() + HOUR,
            id_token=v201.IdToken(id_token="T1", type=v201.IdTokenType.ISO14443),
            connector_type=v201.ConnectorType.C_TYPE2,
        )
    )
    assert (only(store).connector_id, only(store).connector_type) == (0, "cType2")
    event(evse={"id": 2}, idToken=TOKEN)
    assert only(store).state == "used"


def test_a_reservation_is_cancelled(do, now, store):
    reserve(do, now)
    do(v201.CancelReservation(reservation_id=5), "Rejected")
    assert only(store).state == "active"
    do(v201.CancelReservation(reservation_id=5))
    assert only(store).state == "cancelled"


@pytest.mark.parametrize(("told", "state"), [("Expired", "expired"), ("Removed", "cancelled")])
def test_a_station_ends_a_reservation_once(told, state, do, now, store, station):
    reserve(do, now)
    for _ in range(2):
        payload = {"reservationId": 5, "reservationUpdateStatus": told}
        assert station.call("ReservationStatusUpdate", payload)[::2] == [3, {}]
    assert only(store).state == state
    log = store.event_log
    kinds = [one.kind for origin in log.origins() for one in log.read(origin.number, 0, 100)]
    assert kinds.count(ReservationEnded.__name__) == 1


def test_a_reservation_that_a_transaction_names_is_used(do, now, store, event):
    reserve(do, now)
    known = event(reservationId=5, evse={"id": 2}, idToken=TOKEN)
    assert (only(store).state, only(store).transaction_id, known.flags) == ("used", known.id, ())


def test_a_reservation_is_used_by_its_token_at_its_evse(do, now, store, event):
    reserve(do, now, 6, evse=1)
    reserve(do, now, 5)
    event(reason="CablePluggedIn")
    event("Updated", 1, evse={"id": 2})
    assert {one.state for one in store.collections.reservations} == {"active"}
    known = event("Updated", 2, idToken=TOKEN)
    found = {one.id: (one.state, one.transaction_id) for one in store.collections.reservations}
    assert found == {6: ("active", None), 5: ("used", known.id)}


def test_one_transaction_uses_one_reservation(do, now, store, event):
    reserve(do, now, 5, evse=None)
    reserve(do, now, 6, evse=2)
    event(idToken=TOKEN)
    event("Updated", 1, evse={"id": 2})
    assert [one.state for one in store.collections.reservations] == ["used", "active"]


def test_doubts_wait_for_what_is_told_later(do, now, store, event):
    reserve(do, now, group="FLEET")
    assert event(reservationId=5, reason="CablePluggedIn").flags == ()
    assert event("Updated", 1, evse={"id": 3}).flags == ("reservation 5 is of connector 2",)
    assert event("Updated", 2, evse={"id": 2}, idToken={**TOKEN, "idToken": "T2"}).flags == ()
    other = event("Started", 0, idToken={**TOKEN, "idToken": "T9"})
    assert other.flags == ("reservation 5 is of another id tag",)


@pytest.mark.parametrize(("reserved", "used"), [("ISO14443", True), ("ISO15693", False), ("Central", True)])
def test_a_reservation_is_of_one_type_of_token_if_it_has_one(reserved, used, do, now, store, event):
    token = v201.IdToken(id_token="T1", type=v201.IdTokenType(reserved))
    do(v201.ReserveNow(id=5, expiry_date_time=now() + HOUR, id_token=token, evse_id=2))
    event(evse={"id": 2}, idToken=TOKEN)
    assert (only(store).state == "used") is used


def test_a_transaction_that_began_before_the_answer_uses_the_reservation(
    do, now, store, stage, station, event
):
    reserve(do, now, status="")
    (asked,) = station.take()
    known = event(evse={"id": 2}, idToken=TOKEN)
    station.answer(asked, {"status": "Accepted"})
    assert (only(store).state, only(store).transaction_id) == ("used", known.id)


# -- Charging profiles -----------------------------------------------------------------------------


def profile(number=1, purpose="TxDefaultProfile", level=0, transaction=None):
    period = v201.ChargingSchedulePeriod(start_period=0, limit=16)
    schedule = v201.ChargingSchedule(
        id=1, charging_rate_unit=v201.ChargingRateUnit.A, charging_schedule_period=(period,)
    )
    return v201.ChargingProfile(
        id=number,
        stack_level=level,
        charging_profile_purpose=v201.ChargingProfilePurpose(purpose),
        charging_profile_kind=v201.ChargingProfileKind.RELATIVE,
        charging_schedule=(schedule,),
        transaction_id=transaction,
    )


def set_(do, evse=2, status="Accepted", **facts):
    do(v201.SetChargingProfile(evse_id=evse, charging_profile=profile(**facts)), status)


def held(store):
    return [(one.id, one.connector_id, one.transaction_id) for one in store.collections.profiles]


def test_a_profile_that_was_accepted_is_kept_as_it_was_sent(do, store, now):
    set_(do, evse=0, purpose="ChargingStationMaxProfile")
    set_(do, number=2, status="Rejected")
    (kept,) = store.collections.profiles
    assert (kept.id, kept.connector_id, kept.purpose, kept.accepted_at) == (
        1, 0, "ChargingStationMaxProfile", now()
    )  # fmt: skip
    assert kept.data["chargingSchedule"][0]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 16}]


def test_a_profile_in_the_same_place_or_with_the_same_number_is_replaced(do, store):
    set_(do, number=1)
    set_(do, number=2)
    assert held(store) == [(2, 2, None)]
    set_(do, number=2, evse=3)
    set_(do, number=4, level=1)
    assert held(store) == [(2, 3, None), (4, 2, None)]


def test_the_profile_of_a_transaction_ends_with_it(do, store, event):
    known = event(evse={"id": 2}, idToken=TOKEN)
    set_(do, number=1, purpose="TxProfile", transaction="tx-1")
    set_(do, number=2)
    assert held(store) == [(1, 2, known.id), (2, 2, None)]
    event("Ended", 1)
    assert held(store) == [(2, 2, None)]
    set_(do, number=3, purpose="TxProfile", transaction="tx-1")
    assert held(store) == [(2, 2, None)]


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ({"charging_profile_id": 1}, [2, 3]),
        ({"evse": 2}, [3]),
        ({"purpose": "ChargingStationMaxProfile"}, [1, 2]),
        ({"evse": 2, "level": 1}, [1, 3]),
        ({}, []),
    ],
    ids=str,
)
def test_profiles_that_were_cleared_are_gone(asked, left, do, store):
    set_(do, number=1)
    set_(do, number=2, level=1)
    set_(do, number=3, evse=0, purpose="ChargingStationMaxProfile")
    number = asked.pop("charging_profile_id", None)
    criteria = asked and v201.ClearChargingProfileCriteria(
        evse_id=asked.get("evse"),
        charging_profile_purpose=asked.get("purpose") and v201.ChargingProfilePurpose(asked["purpose"]),
        stack_level=asked.get("level"),
    )
    request = v201.ClearChargingProfile(
        charging_profile_id=number, charging_profile_criteria=criteria or None
    )
    do(request, "Unknown")
    assert [one.id for one in store.collections.profiles] == left


def start(do, evse=None, status="Accepted", **more):
    token = v201.IdToken(id_token="t1", type=v201.IdTokenType.CENTRAL)
    request = v201.RequestStartTransaction(
        evse_id=evse,
        id_token=token,
        remote_start_id=v201.ALLOTTED,
        charging_profile=profile(purpose="TxProfile"),
    )
    return do(request, status, **more)


def test_the_profile_of_a_requested_start_becomes_that_of_its_transaction(do, store, event):
    start(do)
    assert [one.id_tag for one in store.collections.profiles] == ["t1"]
    event(idToken=TOKEN)
    assert held(store) == [(1, 0, None)]  # until it tells its EVSE
    known = event("Updated", 1, evse={"id": 2})
    assert held(store) == [(1, 2, known.id)]
    event("Ended", 2)
    assert held(store) == []


def test_a_requested_start_of_what_runs_already_has_its_profile_at_once(do, store, event):
    known = event(evse={"id": 2})
    start(do, transactionId="tx-1")
    assert held(store) == [(1, 2, known.id)]


def test_a_requested_start_that_was_declined_leaves_no_profile(do, store):
    start(do, status="Rejected")
    assert held(store) == []


def test_a_transaction_that_began_before_the_answer_has_its_profile(do, store, station, event):
    start(do, evse=2, status="")
    (asked,) = station.take()
    known = event(evse={"id": 2}, idToken=TOKEN)
    station.answer(asked, {"status": "Accepted"})
    assert held(store) == [(1, 2, known.id)]
