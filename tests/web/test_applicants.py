"""Applicants over HTTP: listed with what they say of themselves, approved and rejected by whose token it is."""

import datetime as dt

import pytest

from chargehand.store.records import Applicant

APPLICANTS = "/api/v1/applicants"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _applied(system):
    for identity in ("CP2", "CP1"):
        record = Applicant(charge_point_id=identity, first_seen_at=NOW, last_seen_at=NOW, peer="192.0.2.1:7")
        system.store.collections.applicants.put(record).wait(60)


def ids(client, **query):
    return [row["charge_point"] for row in client.simulate_get(APPLICANTS, params=query).json["applicants"]]


def test_those_that_wait_are_listed_by_id(client):
    (first, _) = client.simulate_get(APPLICANTS).json["applicants"]
    assert (first["charge_point"], first["state"], first["connected"]) == ("CP1", "waiting", False)
    assert (first["peer"], first["boot"], first["decided_by"]) == ("192.0.2.1:7", None, "")


def test_a_decision_says_who_made_it(client):
    reply = client.simulate_post(f"{APPLICANTS}/CP1/approve")
    assert (reply.status_code, reply.json["state"]) == (200, "approved")
    assert reply.json["decided_by"]
    assert client.simulate_post(f"{APPLICANTS}/CP2/reject").json["state"] == "rejected"
    assert ids(client) == []
    assert ids(client, state="approved") == ["CP1"]
    assert ids(client, state="rejected") == ["CP2"]


def test_an_applicant_that_never_booted_can_be_forgotten(client):
    assert client.simulate_get("/api/v1/charge-points/CP1").status_code == 200
    assert client.simulate_delete("/api/v1/charge-points/CP1").status_code == 200
    assert ids(client) == ["CP2"]
    assert client.simulate_delete("/api/v1/charge-points/CP1").status_code == 404


def test_what_is_wrong_is_refused(client):
    assert client.simulate_post(f"{APPLICANTS}/CP9/approve").status_code == 404
    assert client.simulate_get(APPLICANTS, params={"state": "odd"}).status_code == 400
