"""Security events over HTTP: of charge points and of the system, narrowed and paged."""

import datetime as dt

from chargehand import Event

EVENTS = "/api/v1/security-events"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def told(system, number, charge_point_id="CP1"):
    data = {"type": f"Type{number}", "techInfo": "the lid"}
    at = NOW + dt.timedelta(seconds=number)
    system.store.add_event(
        Event(charge_point_id=charge_point_id, kind="security", received_at=at, data=data)
    ).wait(60)


def listed(client, **query):
    reply = client.simulate_get(EVENTS, params=query)
    assert reply.status_code == 200, reply.text
    return [row["type"] for row in reply.json["security_events"]], reply.json["more"]


def test_events_of_charge_points_and_of_the_system_are_one_list_the_newest_first(client, system):
    told(system, 1)
    told(system, 2, "CP2")
    system.security_events.note(
        "WrongCredentials", "wrong credentials", identity="STRANGER", peer="192.0.2.1:7"
    )
    assert listed(client) == (["WrongCredentials", "Type2", "Type1"], False)
    assert listed(client, limit=2) == (["WrongCredentials", "Type2"], True)
    assert listed(client, own=1) == (["WrongCredentials"], False)
    assert listed(client, own=0) == (["Type2", "Type1"], False)
    assert listed(client, charge_point="CP1") == (["Type1"], False)


def test_an_event_is_shown_as_the_stream_shows_it(client, system):
    told(system, 1)
    system.security_events.note(
        "WrongCredentials", "wrong credentials", identity="STRANGER", peer="192.0.2.1:7"
    )
    own, other = client.simulate_get(EVENTS).json["security_events"]
    assert (own["charge_point"], own["source"], own["info"]) == ("", "central_system", "wrong credentials")
    assert (own["data"]["identity"], own["data"]["peer"], own["data"]["count"]) == (
        "STRANGER",
        "192.0.2.1:7",
        1,
    )
    assert (other["charge_point"], other["source"], other["info"]) == ("CP1", "charge_point", "the lid")
    assert own["kind"] == other["kind"] == "SecurityEventReceived"


def test_a_parameter_that_is_wrong_is_refused(client):
    assert client.simulate_get(EVENTS, params={"own": "perhaps"}).status_code == 400
    assert client.simulate_get(EVENTS, params={"limit": 0}).status_code == 400
