"""Bulk commands over HTTP: started, read page by page, cancelled."""

import json
from collections import Counter

import falcon
import pytest

from chargehand import BulkSettings, CentralSystem, Settings, v16

PATH = "/api/v1/bulk"


def accept(_action, _payload):
    return [3, {"status": "Accepted"}]


@pytest.fixture
def start(client):
    """Start a bulk command that must be accepted; return the answer."""

    def start(query="", **body):
        reply = client.simulate_post(f"{PATH}?{query}", body=json.dumps(body))
        assert reply.status == falcon.HTTP_202, reply.text
        assert reply.headers["Location"] == f"{PATH}/{reply.json['bulk']}"
        return reply.json["bulk"]

    return start


@pytest.fixture
def ended(client, wait_until):
    """Wait for the end of a bulk command; return its view."""

    def ended(bulk):
        def ask():
            told = client.simulate_get(f"{PATH}/{bulk}?limit=10000").json
            return told if told["done"] else None

        return wait_until(ask, "it has ended")

    return ended


def test_an_action_is_sent_to_each_charge_point(client, charge_point, start, ended):
    points = [charge_point("CP1", accept), charge_point("CP2", lambda *_: [4, "GenericError", "no", {}])]
    told = ended(start(charge_points=["CP1", "CP2", "CP3"], action="Reset", payload={"type": "Soft"}))
    assert [point.calls for point in points] == [[("Reset", {"type": "Soft"})]] * 2
    rows = {row["charge_point"]: row for row in told["results"]}
    assert rows["CP1"] == {
        "number": rows["CP1"]["number"],
        "charge_point": "CP1",
        "ok": True,
        "state": "answered",
        "ticket": rows["CP1"]["ticket"],
        "response": {"status": "Accepted"},
    }
    assert (rows["CP2"]["state"], rows["CP2"]["code"], rows["CP2"]["reason"]) == (
        "refused",
        "GenericError",
        "no",
    )
    assert (rows["CP3"]["state"], rows["CP3"]["ok"]) == ("never_sent", False)
    assert (told["command"], told["total"], told["ok"]) == ("Reset", 3, 1)
    assert told["states"] == {"answered": 1, "refused": 1, "never_sent": 1}
    assert told["statuses"] == {"Accepted": 1}
    assert client.simulate_get(f"/api/v1/tickets/{rows['CP1']['ticket']}").json["action"] == "Reset"
    assert [row["bulk"] for row in client.simulate_get(PATH).json["bulks"]] == [told["bulk"]]


def test_a_verb_is_sent_to_those_that_a_filter_chooses(charge_point, start, ended):
    points = [charge_point(name, accept) for name in ("DE-1", "DE-2", "FR-1")]
    told = ended(start(filter={"id": "DE-*"}, verb="unlock", members={"evse": 2}, at_most_at_once=1))
    assert sorted(row["charge_point"] for row in told["results"]) == ["DE-1", "DE-2"]
    assert [len(point.calls) for point in points] == [1, 1, 0]
    assert (told["command"], told["at_most_at_once"]) == ("unlock", 1)


@pytest.mark.parametrize(
    ("chosen", "ids"),
    [
        ({"flag": ["deviations"]}, ["DE-2"]),
        ({"q": "de-"}, ["DE-1", "DE-2"]),
        ({"silent_s": 3600}, []),
        ({"connected": False, "q": "-", "id": "?[ER]-*"}, ["DE-1", "DE-2", "FR-1"]),
        ({"status": ["FAULTED"]}, []),
    ],
)
def test_a_filter_has_the_members_of_the_list(system, charge_point, start, ended, chosen, ids):
    points = [charge_point(name, accept) for name in ("DE-1", "DE-2", "FR-1")]
    system.charge_point("DE-2").deviations = Counter(x=1)
    told = ended(start(filter=chosen, action="Reset", payload={"type": "Soft"}))
    assert sorted(row["charge_point"] for row in told["results"]) == ids
    assert sum(len(point.calls) for point in points) == len(ids)


def test_results_come_page_by_page(client, start, ended):
    bulk = start(charge_points=[f"away{number}" for number in range(5)], verb="unlock")
    assert len(ended(bulk)["results"]) == 5
    page = client.simulate_get(f"{PATH}/{bulk}?limit=2").json
    assert ([row["number"] for row in page["results"]], page["more"], page["next"]) == ([1, 2], True, 2)
    page = client.simulate_get(f"{PATH}/{bulk}?after=4&wait=4").json
    assert ([row["number"] for row in page["results"]], page["more"], page["next"]) == ([5], False, 5)
    page = client.simulate_get(f"{PATH}/{bulk}?after=5").json
    assert (page["results"], page["more"], page["next"]) == ([], False, 5)


def test_a_page_of_long_answers_is_shorter(client, charge_point, start, ended, monkeypatch):
    monkeypatch.setattr("chargehand.web.bulk.PAGE_BYTES", 300)
    for name in ("CP1", "CP2"):
        key = {"key": "k", "readonly": True, "value": "v" * 300}
        charge_point(name, lambda *_, key=key: [3, {"configurationKey": [key]}])
    bulk = start(charge_points=["CP1", "CP2"], verb="get_configuration")
    page = ended(bulk)
    assert ([row["number"] for row in page["results"]], page["more"], page["next"]) == ([1], True, 1)
    assert client.simulate_get(f"{PATH}/{bulk}?after=1").json["results"][0]["number"] == 2


def test_one_that_runs_is_cancelled_and_one_that_has_ended_is_not(client, charge_point, start, ended):
    charge_point("CP1")
    bulk = start("timeout=60", charge_points=["CP1", "CP2", "CP3"], verb="unlock", at_most_at_once=1)
    reply = client.simulate_delete(f"{PATH}/{bulk}")
    assert reply.status == falcon.HTTP_202
    assert reply.json["cancelled"]
    page = client.simulate_get(f"{PATH}/{bulk}?after=1&wait=4").json
    assert page["states"]["cancelled"] >= 1

    other = start(charge_points=["away"], verb="unlock")
    ended(other)
    assert client.simulate_delete(f"{PATH}/{other}").status == falcon.HTTP_409


def test_its_commands_take_the_options_of_commands(client, system, start, wait_until):
    system.store.register("away", "Accepted")
    bulk = start("when_offline=queue&expires_in=60", charge_points=["away"], verb="unlock")
    wait_until(lambda: client.simulate_get(f"{PATH}/{bulk}").json["waiting"], "it waits")
    client.simulate_delete(f"{PATH}/{bulk}")


VERB = {"verb": "unlock"}


@pytest.mark.parametrize(
    ("status", "query", "body", "hint"),
    [
        (422, "", VERB, "either charge_points or filter"),
        (422, "", VERB | {"charge_points": ["a"], "filter": {}}, "either charge_points or filter"),
        (422, "", {"charge_points": ["a"]}, "either action or verb"),
        (422, "", VERB | {"charge_points": ["a"], "action": "Reset"}, "either action or verb"),
        (422, "", VERB | {"charge_points": "CP1"}, "charge_points: Expected `array"),
        (422, "", VERB | {"charge_points": [1]}, "charge_points: Expected `str`"),
        (422, "", VERB | {"filter": {"colour": "red"}}, "filter: "),
        (422, "", VERB | {"filter": {"flag": ["odd"]}}, "filter: "),
        (422, "", VERB | {"filter": {"silent_s": 0}}, "filter: "),
        (422, "", VERB | {"filter": {}, "colour": "red"}, "colour: there is no such member"),
        (422, "", VERB | {"filter": {}, "at_most_at_once": 0}, "at_most_at_once: "),
        (422, "", {"filter": {}, "verb": "unlock", "members": {"evse": "x"}}, "evse: "),
        (422, "", {"filter": {}, "verb": "unlock", "members": {"evse": 0}}, "evse must be at least 1"),
        (422, "", {"filter": {}, "action": "Reset", "payload": {}}, "type"),
        (404, "", {"filter": {}, "verb": "dance"}, "there is no verb dance"),
        (404, "", {"filter": {}, "action": "Resett"}, "did you mean Reset?"),
        (404, "", {"filter": {}, "action": "Heartbeat"}, "sent by charge points"),
        (400, "", {"filter": {}, "action": "Reset", "version": "9"}, "version must be one of"),
        (400, "timeout=0", VERB | {"filter": {}}, "timeout"),
        (400, "wait=0", VERB | {"filter": {}}, "unknown parameter wait"),
        (400, "until_effect=1", VERB | {"filter": {}}, "no message that shows the effect"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_runs(client, status, query, body, hint):
    reply = client.simulate_post(f"{PATH}?{query}", body=json.dumps(body))
    assert reply.status_code == status
    assert hint in reply.json["description"]
    assert client.simulate_get(PATH).json == {"bulks": []}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
def test_a_body_that_is_no_json_is_400(client, body):
    assert client.simulate_post(PATH, body=body).status == falcon.HTTP_400


def test_one_that_is_not_known_is_404(client):
    assert client.simulate_get(f"{PATH}/x-b1").status == falcon.HTTP_404
    assert client.simulate_delete(f"{PATH}/x-b1").status == falcon.HTTP_404


@pytest.mark.parametrize("query", ["after=-1", "limit=0", "wait=5", "wait=0", "colour=red"])
def test_a_page_that_cannot_be_is_400(client, start, query):
    assert client.simulate_get(f"{PATH}/{start(charge_points=[], verb='unlock')}?{query}").status_code == 400


def test_one_too_many_is_503(client_of):
    with CentralSystem(Settings(port=0, bulk=BulkSettings(kept=1))) as system:
        system.store.register("away", "Accepted")
        system.send_many(["away"], v16.ClearCache(), when_offline="queue")
        reply = client_of(system).simulate_post(PATH, body=json.dumps(VERB | {"filter": {}}))
        assert reply.status == falcon.HTTP_503
        assert "bulk.kept" in reply.json["description"]
