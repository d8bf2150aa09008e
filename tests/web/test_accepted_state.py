"""Reservations and charging profiles over HTTP."""

import datetime as dt

import pytest

from chargehand import ChargingProfile, Reservation

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def collections(system):
    return system.store.collections


def reserve(collections, number, charge_point_id="CP1", *, expiry=HOUR, **facts):
    collections.reservations.put(
        Reservation(
            id=number,
            charge_point_id=charge_point_id,
            connector_id=1,
            id_tag="T1",
            parent="FLEET",
            expiry=NOW + expiry,
            accepted_at=NOW + number * HOUR,
            **facts,
        )
    )


def test_a_reservation_is_shown(client, collections):
    reserve(collections, 5, state="used", transaction_id=7)
    (row,) = client.simulate_get("/api/v1/reservations").json["reservations"]
    assert {key: value for key, value in row.items() if key not in ("expiry", "accepted_at")} == {
        "reservation_id": 5,
        "charge_point": "CP1",
        "connector_id": 1,
        "id_tag": "T1",
        "parent": "FLEET",
        "id_type": "",
        "connector_type": "",
        "state": "used",
        "transaction_id": 7,
    }
    assert dt.datetime.fromisoformat(row["expiry"]) == NOW + HOUR


def test_the_newest_reservation_is_first_and_one_that_is_over_says_so(client, collections):
    reserve(collections, 1, expiry=-HOUR)
    reserve(collections, 2, "CP2")
    reserve(collections, 3)

    def shown(**query):
        rows = client.simulate_get("/api/v1/reservations", params=query).json["reservations"]
        return [(row["reservation_id"], row["state"]) for row in rows]

    assert shown() == [(3, "active"), (2, "active"), (1, "expired")]
    assert shown(charge_point="CP1") == [(3, "active"), (1, "expired")]
    assert shown(charge_point="CP9") == []
    assert shown(limit="1") == [(3, "active")]


def test_a_charging_profile_is_shown_as_it_was_sent(client, collections):
    data = {"chargingProfileId": 4, "stackLevel": 0}
    collections.profiles.put(
        ChargingProfile(
            id=4,
            charge_point_id="CP1",
            connector_id=2,
            stack_level=0,
            purpose="TxProfile",
            accepted_at=NOW,
            transaction_id=8,
            data=data,
        )
    )
    (row,) = client.simulate_get("/api/v1/charging-profiles?charge_point=CP1").json["charging_profiles"]
    assert (row["charging_profile_id"], row["connector_id"], row["purpose"]) == (4, 2, "TxProfile")
    assert (row["transaction_id"], row["id_tag"], row["profile"]) == (8, "", data)
    assert client.simulate_get("/api/v1/charging-profiles?charge_point=CP2").json["charging_profiles"] == []


@pytest.mark.parametrize("path", ["reservations", "charging-profiles"])
@pytest.mark.parametrize("query", ["limit=0", "limit=x", "open=1"])
def test_a_wrong_query_is_400(client, path, query):
    assert client.simulate_get(f"/api/v1/{path}?{query}").status_code == 400
