"""The spool over HTTP: dead letters are redelivered."""

import datetime as dt
import json

import pytest

from chargehand import Booted, StoreError
from tests.hub import until

START = {"connectorId": 1, "idTag": "T1", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}


@pytest.fixture
def dead_letters(system):
    """Numbers of two dead letters of two charge points."""
    for number in (1, 2):
        system.store.spool(
            version="1.6",
            charge_point_id=f"CP{number}",
            action="StartTransaction",
            unique_id=str(number),
            payload=json.dumps(START).encode(),
            transaction_id=number,
            received_at=dt.datetime(2026, 5, 4, tzinfo=dt.UTC),
            why="planted",
            redeliver=False,
        )
    return [record.number for record in system.store.dead_letters()]


def test_a_dead_letter_waits_for_redelivery_again(client, system, dead_letters):
    reply = client.simulate_post(f"/api/v1/spool/{dead_letters[1]}/retry")
    assert (reply.status_code, reply.json) == (200, {"retried": [dead_letters[1]]})
    assert [record.number for record in system.store.spooled()] == [dead_letters[1]]
    assert [record.number for record in system.store.dead_letters()] == [dead_letters[0]]


def test_all_dead_letters_wait_for_redelivery_again(client, system, dead_letters):
    assert client.simulate_post("/api/v1/spool/retry").json == {"retried": dead_letters}
    assert client.simulate_post("/api/v1/spool/retry").json == {"retried": []}
    assert [record.number for record in system.store.spooled()] == dead_letters


def test_it_is_handed_to_its_plugin(client, system, dead_letters, wait_until):
    client.simulate_post("/api/v1/spool/retry")
    wait_until(lambda: not system.store.spooled(), "the back office has both")
    assert [system.store.transaction(number).charge_point_id for number in (1, 2)] == ["CP1", "CP2"]


@pytest.mark.parametrize("number", ["999", "0", "-1", "x", "%C2%B2", "9" * 30])
def test_a_number_that_is_no_dead_letter_is_404(client, dead_letters, number):
    assert client.simulate_post(f"/api/v1/spool/{number}/retry").status_code == 404


def test_a_store_that_cannot_keep_it_is_503(client, system, dead_letters, monkeypatch):
    def fail(_):
        raise StoreError("the disk is full")

    monkeypatch.setattr(system.store, "requeue", fail)
    reply = client.simulate_post("/api/v1/spool/retry")
    assert (reply.status_code, reply.json["description"]) == (503, "the disk is full")
    assert len(system.store.dead_letters()) == 2


def test_a_parameter_is_refused(client):
    assert client.simulate_post("/api/v1/spool/retry?all=1").status_code == 400


NOW = dt.datetime(2026, 5, 4, tzinfo=dt.UTC)


@pytest.fixture
def dead_events(system):
    """The numbers of two events that a consumer could not take."""
    for model in ("one", "two"):
        event = Booted(at=NOW, charge_point_id="CP1", id=f"a:{model}", model=model, data={})
        system.store.event_log.set_aside("export", event, "planted").wait(60)
    return [letter.number for letter in system.store.event_log.dead_letters()]


def test_dead_events_are_listed_with_their_consumer(client, dead_events):
    listed = client.simulate_get("/api/v1/spool").json["dead_events"]
    assert [one["number"] for one in listed] == dead_events
    assert (listed[0]["consumer"], listed[0]["kind"], listed[0]["why"]) == ("export", "Booted", "planted")
    assert listed[0]["event"]["model"] == "one"


def test_a_dead_event_is_gone_when_its_consumer_has_taken_it(system, client, dead_events):
    assert client.simulate_post(f"/api/v1/spool/dead-events/{dead_events[0]}/retry").status_code == 409
    heard = []
    system.subscribe(Booted, heard.append, durable="export")
    path = f"/api/v1/spool/dead-events/{dead_events[0]}/retry"
    until(lambda: client.simulate_post(path).status_code == 200)
    assert [event.model for event in heard] == ["one"]
    assert client.simulate_post(path).status_code == 404
    assert [letter.number for letter in system.store.event_log.dead_letters()] == dead_events[1:]


def test_a_dead_event_is_forgotten(system, client, dead_events):
    assert client.simulate_delete(f"/api/v1/spool/dead-events/{dead_events[0]}").status_code == 200
    assert client.simulate_delete(f"/api/v1/spool/dead-events/{dead_events[0]}").status_code == 404
    assert client.simulate_delete("/api/v1/spool/dead-events/nonsense").status_code == 404
    assert [letter.number for letter in system.store.event_log.dead_letters()] == dead_events[1:]
