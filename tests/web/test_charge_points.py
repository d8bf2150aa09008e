"""Charge points over HTTP: those of the store too, entered before they connect, and forgotten when they are away."""

import datetime as dt
import json

import falcon
import pytest

from chargehand import CentralSystem, Credential, Event, MeterReading, Settings, Transaction, v16
from chargehand.store.memory import PERSISTED
from chargehand.testing import StubStore

PATH = "/api/v1/charge-points"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
BOOT = {"chargePointVendor": "Acme", "chargePointModel": "Wallbox"}


class Credentials:
    """Stub of the credentials: it keeps passwords unhashed in the store's collection."""

    def __init__(self, store):
        self.collection = store.collections.credentials

    def set_password(self, charge_point_id, password):
        if len(password) < 3:
            raise ValueError("it is too short")
        return self.collection.put(
            Credential(
                charge_point_id=charge_point_id, scheme="scrypt", salt=b"", digest=password, changed_at=NOW
            )
        )

    def remove(self, charge_point_id):
        return self.collection.remove(charge_point_id)

    def knows(self, charge_point_id):
        return self.collection.get(charge_point_id) is not None


@pytest.fixture
def credentials(system, monkeypatch):
    monkeypatch.setattr(system._parts.admission, "credentials", Credentials(system.store))
    return system.credentials


def put(client, path, **body):
    return client.simulate_put(f"{PATH}/{path}", body=json.dumps(body))


def listed(client, query="?stored=1"):
    return [row["id"] for row in client.simulate_get(f"{PATH}{query}").json["charge_points"]]


def test_those_that_only_the_store_knows_are_listed_when_they_are_asked_for(client, system, charge_point):
    charge_point("HERE")
    for id_ in ("HERE", "AWAY"):
        system.store.register(id_, "Accepted")
    assert listed(client, "") == ["HERE"]
    assert listed(client) == ["AWAY", "HERE"]
    rows = client.simulate_get(f"{PATH}?stored=1").json["charge_points"]
    assert set(rows[0]) == set(rows[1])


def test_one_of_the_store_is_shown_with_the_same_facts_as_one_that_is_here(client, system, charge_point):
    charge_point("HERE")
    system.store.register("AWAY", "Pending")
    here, away = (client.simulate_get(f"{PATH}/{id_}").json for id_ in ("HERE", "AWAY"))
    assert set(here) == set(away)
    assert (away["registration"], away["connected"], away["has_password"]) == ("Pending", False, False)


def test_events_are_the_newest_first_and_narrowed_by_their_kind(client, system):
    for number in range(3):
        data = {"number": number}
        system.store.add_event(Event(charge_point_id="CP1", kind="status", received_at=NOW, data=data))
    system.store.add_event(Event(charge_point_id="CP1", kind="boot", received_at=NOW))
    system.store.add_event(Event(charge_point_id="CP2", kind="status", received_at=NOW))

    def events(query):
        return client.simulate_get(f"{PATH}/CP1/events?{query}").json["events"]

    assert [event["kind"] for event in events("")] == ["boot", "status", "status", "status"]
    assert [event["data"]["number"] for event in events("kind=status&limit=2")] == [2, 1]
    assert events("limit=1")[0] == {"kind": "boot", "received_at": "2026-01-01T00:00:00Z", "data": {}}
    assert client.simulate_get(f"{PATH}/NEVER/events").status == falcon.HTTP_404


def test_what_a_charge_point_says_is_an_event_in_its_own_words(client, charge_point, wait_until):
    cp = charge_point("CP1")
    cp.send(2, "1", "BootNotification", BOOT)
    ask = lambda: client.simulate_get(f"{PATH}/CP1/events?kind=boot").json["events"]  # noqa: E731
    assert wait_until(ask, "it has booted")[0]["data"] == BOOT


@pytest.fixture
def readings(system):
    """Readings of two connectors of CP1, one of them of a transaction, and one of CP2."""
    given = {"charge_point_id": "CP1", "connector_id": 1, "id_tag": "T1", "meter_start": 0, "started_at": NOW}
    system.store.start_transaction(Transaction(id=7, start_received_at=NOW, **given)).wait()
    told = [("CP1", 0, None), ("CP1", 1, 0), ("CP1", 1, 7), ("CP2", 1, None), ("CP1", 0, 99)]
    for number, (charge_point_id, connector_id, transaction_id) in enumerate(told):
        reading = MeterReading(
            charge_point_id=charge_point_id,
            connector_id=connector_id,
            transaction_id=transaction_id,
            received_at=NOW + dt.timedelta(minutes=number),
            values=b'{"connectorId":%d,"meterValue":[{"n":%d}]}' % (connector_id, number),
        )
        system.store.add_meter_reading(reading).wait()


@pytest.mark.usefixtures("readings")
@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", [4, 1, 0]),
        ("all=1", [4, 2, 1, 0]),
        ("connector=0", [4, 0]),
        ("connector=1", [1]),
        ("since=2026-01-01T00:01:00Z&until=2026-01-01T00:04:00Z", [1]),
    ],
)
def test_readings_without_a_transaction_are_listed_by_connector(client, query, wanted):
    reply = client.simulate_get(f"{PATH}/CP1/meter-readings?{query}")
    assert reply.status_code == 200, reply.text
    assert [row["values"][0]["n"] for row in reply.json["meter_readings"]] == wanted
    assert (reply.json["more"], reply.json["next"]) == (False, None)


@pytest.mark.usefixtures("readings")
def test_readings_are_paged_by_a_cursor(client):
    found, place = [], {}
    while True:
        told = client.simulate_get(f"{PATH}/CP1/meter-readings", params=place | {"limit": 1}).json
        found += [(row["charge_point"], row["connector_id"]) for row in told["meter_readings"]]
        if not told["more"]:
            break
        place = {"before": told["next"]}
    assert found == [("CP1", 0), ("CP1", 1), ("CP1", 0)]


@pytest.mark.parametrize(
    "query", ["connector=-1", "connector=x", "since=x", "before=x", "limit=0", "all=2", "tag=1"]
)
def test_a_question_for_readings_that_makes_no_sense_is_400(client, query):
    assert client.simulate_get(f"{PATH}/CP1/meter-readings?{query}").status_code == 400


def test_readings_of_a_charge_point_that_is_not_known_are_404(client):
    assert client.simulate_get(f"{PATH}/NEVER/meter-readings").status_code == 404


# Entered, and forgotten


def test_one_that_was_entered_is_accepted_before_it_boots(client, system, charge_point):
    assert put(client, "CP1").json["registration"] == "Accepted"
    assert system.store.registration("CP1").status == "Accepted"
    charge_point("CP1")
    assert client.simulate_get(f"{PATH}/CP1").json["registration"] == "Accepted"


def test_a_registration_that_is_known_stays_if_none_is_given(client):
    assert put(client, "CP1", registration="Rejected").json["registration"] == "Rejected"
    assert put(client, "CP1").json["registration"] == "Rejected"
    assert put(client, "CP1", registration="Pending").json["registration"] == "Pending"


def test_one_that_is_away_and_not_forgotten_yet_is_changed_too(client, system, charge_point, wait_until):
    cp = charge_point("CP1")
    cp.hang_up()
    wait_until(lambda: not system.charge_point("CP1").online, "it has left")
    assert put(client, "CP1", registration="Pending").json["registration"] == "Pending"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_one_that_is_connected_is_409(client, charge_point, method):
    charge_point("CP1")
    reply = client.simulate_request(method, f"{PATH}/CP1")
    assert (reply.status, reply.json["title"]) == (falcon.HTTP_409, "Connected")
    assert client.simulate_get(f"{PATH}/CP1").json["connected"] is True


@pytest.mark.parametrize("body", ['{"registration": "accepted"}', '{"colour": "red"}', "[]"])
def test_an_entry_that_is_wrong_is_422(client, body):
    assert client.simulate_put(f"{PATH}/CP1", body=body).status == falcon.HTTP_422
    assert listed(client) == []


def test_one_that_was_forgotten_is_unknown(client, system, charge_point, wait_until, credentials):
    cp = charge_point("CP1")
    cp.send(2, "1", "BootNotification", BOOT)
    wait_until(lambda: system.store.registration("CP1"), "it has booted")
    credentials.set_password("CP1", b"secret")
    cp.hang_up()
    wait_until(lambda: not system.charge_point("CP1").online, "it has left")
    ticket = system.send("CP1", v16.ClearCache(), when_offline="queue", expires_in_s=60)
    assert client.simulate_delete(f"{PATH}/CP1").json["registration"] == "Accepted"
    assert ticket.state == "never_sent"
    assert (system.store.registration("CP1"), credentials.knows("CP1"), listed(client)) == (None, False, [])
    for method in ("GET", "DELETE"):
        assert client.simulate_request(method, f"{PATH}/CP1").status == falcon.HTTP_404


def test_what_the_store_cannot_keep_is_503(client_of):
    store = StubStore()
    with CentralSystem(Settings(port=0), store=store) as system:
        client = client_of(system)
        put(client, "CP1")
        store.fail()
        assert put(client, "CP2").status == falcon.HTTP_503
        assert client.simulate_delete(f"{PATH}/CP1").status == falcon.HTTP_503
        store.work()
        assert client.simulate_delete(f"{PATH}/CP1").status == falcon.HTTP_200


# Passwords


def test_a_password_is_kept_and_not_shown(client, credentials):
    reply = put(client, "CP1/password", password="ünique")
    assert reply.json == {"charge_point": "CP1", "has_password": True}
    assert credentials.collection.get("CP1").digest == "ünique".encode()
    facts = client.simulate_get(f"{PATH}/CP1")
    assert facts.json["has_password"] is True
    assert "nique" not in facts.text
    assert listed(client) == ["CP1"]


def test_a_password_is_taken_away(client, credentials):
    put(client, "CP1/password", password="secret")
    assert client.simulate_delete(f"{PATH}/CP1/password").json["has_password"] is False
    assert client.simulate_delete(f"{PATH}/CP1/password").status == falcon.HTTP_404
    assert not credentials.knows("CP1")


@pytest.mark.parametrize(
    "body", [{}, {"password": ""}, {"password": 1}, {"password": "x" * 257}, {"password": "xx"}, {"key": "x"}]
)
def test_a_password_that_cannot_be_is_422(client, credentials, body):
    assert put(client, "CP1/password", **body).status == falcon.HTTP_422
    assert not credentials.knows("CP1")


def test_a_password_that_is_not_kept_is_503(client, credentials, monkeypatch):
    def fail(_id, _password):
        receipt = type(PERSISTED)()
        receipt.settle(TimeoutError("the disk is slow"))
        return receipt

    monkeypatch.setattr(credentials, "set_password", fail)
    assert put(client, "CP1/password", password="secret").status == falcon.HTTP_503


@pytest.mark.parametrize("identity", ["CP%E2%80%AE1", "CP%0A1", "CP%E2%80%8B1", "x" * 256])
def test_an_identity_that_no_charge_point_may_have_is_422(client, credentials, identity):
    assert put(client, identity).status == falcon.HTTP_422
    assert put(client, f"{identity}/password", password="secret").status == falcon.HTTP_422
    assert listed(client) == []


@pytest.mark.parametrize(("text", "key"), [("hex:00ff0a", b"\x00\xff\x0a"), ("base64:AP8K", b"\x00\xff\x0a")])
def test_the_bytes_of_a_password_are_written_behind_a_prefix(client, credentials, text, key):
    assert put(client, "CP1/password", password=text).status == falcon.HTTP_200
    assert credentials.collection.get("CP1").digest == key


@pytest.mark.parametrize("text", ["hex:", "hex:0", "hex:zz", "base64:A", "base64:!!!!"])
def test_a_password_that_writes_out_no_bytes_is_422(client, credentials, text):
    reply = put(client, "CP1/password", password=text)
    assert reply.status == falcon.HTTP_422
    assert "behind" in reply.json["description"]
    assert not credentials.knows("CP1")


def test_a_new_key_that_is_not_used_yet_is_shown_with_its_time(client, credentials):
    new = Credential(charge_point_id="CP1", scheme="blake2", salt=b"2", digest=b"", changed_at=NOW)
    old = Credential(charge_point_id="CP1", scheme="blake2", salt=b"1", digest=b"", changed_at=NOW, next=new)
    credentials.collection.put(old)
    assert client.simulate_get(f"{PATH}/CP1").json["new_key_since"] == "2026-01-01T00:00:00Z"
    credentials.collection.put(new)
    assert client.simulate_get(f"{PATH}/CP1").json["new_key_since"] is None


def test_a_least_security_profile_is_set_alone_also_of_one_that_is_connected(client, system, charge_point):
    charge_point("CP1")
    reply = put(client, "CP1", security_profile=2)
    assert (reply.status, reply.json["security_profile"]) == (falcon.HTTP_200, 2)
    assert client.simulate_get(f"{PATH}/CP1").json["new_security_profile"] is None
    assert put(client, "NEW", security_profile=3).json["registration"] is None
    assert listed(client) == ["CP1", "NEW"]
    assert put(client, "NEW", security_profile=1, registration="Pending").json["registration"] == "Pending"
    assert system.security_profiles.least("NEW") == 1
    assert client.simulate_delete(f"{PATH}/NEW").status == falcon.HTTP_200
    assert system.security_profiles.least("NEW") == 0
    assert client.simulate_get(f"{PATH}/NEW").status == falcon.HTTP_404


@pytest.mark.parametrize("profile", [-1, 4, "2", True, 1.5])
def test_what_is_no_security_profile_is_refused(client, profile):
    assert put(client, "CP1", security_profile=profile).status == falcon.HTTP_422
