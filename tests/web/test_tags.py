"""Tags over HTTP: one by one and many at once; a fault in one is reported and changes nothing."""

import json

import pytest

from chargehand import CentralSystem, Settings, StoreError, Tag
from chargehand.testing import StubStore

TAGS = "/api/v1/tags"


def put(client, id_tag, **facts):
    return client.simulate_put(f"{TAGS}/{id_tag}", body=json.dumps(facts))


def post(client, *rows, **query):
    return client.simulate_post(TAGS, body=json.dumps({"tags": rows}), params=query)


def test_a_tag_that_was_put_is_there_and_changed_by_the_next_put(client, system):
    given = {"id_tag": "AbC", "status": "Accepted", "expiry": "2030-01-01T00:00:00+00:00", "parent": "FLEET"}
    given |= {"id_type": "", "language": "", "message": ""}
    assert put(client, "AbC", expiry="2030-01-01T00:00:00Z", parent="FLEET").json == given
    assert client.simulate_get(f"{TAGS}/aBC").json == given
    assert put(client, "abc", status="Blocked").status_code == 200
    assert [(tag.id_tag, tag.status, tag.parent) for tag in system.store.collections.tags] == [
        ("abc", "Blocked", "")
    ]


def test_one_text_under_two_types_is_two_tags(client):
    assert put(client, "T1").json["id_type"] == ""
    card = client.simulate_put(f"{TAGS}/T1", body='{"status": "Blocked"}', params={"id_type": "iso14443"})
    assert (card.json["id_type"], card.json["status"]) == ("ISO14443", "Blocked")
    assert client.simulate_get(f"{TAGS}/T1").json["status"] == "Accepted"
    assert client.simulate_get(f"{TAGS}/t1", params={"id_type": "ISO14443"}).json["status"] == "Blocked"
    assert client.simulate_delete(f"{TAGS}/T1").status_code == 200
    assert client.simulate_get(f"{TAGS}/T1").status_code == 404
    assert [one["id_type"] for one in client.simulate_get(TAGS).json["tags"]] == ["ISO14443"]
    assert client.simulate_get(f"{TAGS}/T1", params={"id_type": "Paper"}).status_code == 422


def test_rows_of_one_text_and_two_types_are_two_tags(client):
    rows = {"id_tag": "T1"}, {"id_tag": "t1", "id_type": "eMAID"}, {"id_tag": "T1", "id_type": "emaid"}
    told = post(client, *rows)
    assert [one["text"] for one in told.json["rows"]] == ["id_tag: T1 (eMAID) is in row 2, too"]
    assert post(client, *rows[:2], {"id_tag": "T2", "language": "en", "message": "Hello"}).status_code == 200


@pytest.mark.parametrize(
    "facts", [{"id_type": "NoAuthorization"}, {"language": "x" * 9}, {"message": "x" * 513}], ids=str
)
def test_types_languages_and_messages_are_those_of_the_specification(facts, client):
    assert post(client, {"id_tag": "T1", **facts}).status_code == 422


def test_a_tag_in_any_spelling_arrives(client):
    assert put(client, "a%2Fb%7C%C3%BC").json["id_tag"] == "a/b|ü"


def test_a_tag_that_was_deleted_is_unknown(client):
    put(client, "T1")
    assert client.simulate_delete(f"{TAGS}/t1").json["id_tag"] == "T1"
    for method in ("GET", "DELETE"):
        assert client.simulate_request(method, f"{TAGS}/T1").status_code == 404


def test_all_tags_are_listed(client, system):
    for number in range(1200):
        system.store.collections.tags.put(Tag(id_tag=f"T{number}"))
    assert len(client.simulate_get(TAGS).json["tags"]) == 1200


def test_many_are_entered_at_once(client, system):
    assert post(client, {"id_tag": "T1"}, {"id_tag": "T2", "status": "Blocked"}).json == {"entered": 2}
    assert [tag.status for tag in system.store.collections.tags] == ["Accepted", "Blocked"]


def test_of_many_with_one_that_is_wrong_none_is_entered_and_each_fault_is_told(client, system):
    reply = post(client, {"id_tag": "T1"}, {"id_tag": "x" * 37}, {"status": "Accepted"}, {"id_tag": "T4"})
    assert reply.status_code == 422
    assert [row["row"] for row in reply.json["rows"]] == [2, 3]
    assert "36" in reply.json["rows"][0]["text"]
    assert len(system.store.collections.tags) == 0


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (
            {"status": "Acceptd"},
            "status: must be one of Accepted, Blocked, Expired, Invalid, NoCredit",
        ),
        ({"expiry": "01.12.2026"}, "expiry: must be a day like 2026-12-01"),
        ({"parent": "x" * 37}, "parent: Expected `str` of length <= 36"),
        ({"status": 5}, "status: Expected `str`"),
    ],
)
def test_a_fault_names_its_column(client, facts, text):
    assert put(client, "T1", **facts).json["description"].startswith(text)
    assert post(client, {"id_tag": "T1"} | facts).json["rows"][0]["text"].startswith(text)


def test_a_status_counts_in_any_case_and_a_day_is_its_beginning(client):
    told = put(client, "T1", status="BLOCKED", expiry="2026-12-01").json
    assert (told["status"], told["expiry"]) == ("Blocked", "2026-12-01T00:00:00+00:00")


def test_a_tag_twice_in_one_import_names_both_rows(client, system):
    reply = post(client, {"id_tag": "Abc"}, {"id_tag": "T2"}, {"id_tag": "aBC", "status": "Blocked"})
    assert reply.status_code == 422
    assert reply.json["rows"] == [{"row": 3, "text": "id_tag: aBC is in row 1, too"}]
    assert len(system.store.collections.tags) == 0


def test_a_check_enters_nothing(client, system):
    assert post(client, {"id_tag": "T1"}, check="1").json == {"checked": 1}
    assert len(system.store.collections.tags) == 0


@pytest.mark.parametrize(
    "facts",
    [
        {"status": "ConcurrentTx"},
        {"status": "Acceptd"},
        {"expiry": "2030-01-01T00:00:00"},
        {"expiry": "tomorrow"},
        {"expiry": "01.12.2026"},
        {"expiry": "2026-13-01"},
        {"expiry": "0001-01-01T00:00:00+14:00"},
        {"parent": "x" * 37},
        {"colour": "red"},
        {"status": None},
    ],
)
def test_a_fact_that_is_wrong_is_422(client, system, facts):
    assert put(client, "T1", **facts).status_code == 422
    assert len(system.store.collections.tags) == 0


@pytest.mark.parametrize("body", ["[]", '{"tags": {}}', "{}", '{"tags": [], "more": 1}', '{"tags": [1]}'])
def test_a_body_of_another_shape_is_422(client, body):
    assert client.simulate_post(TAGS, body=body).status_code == 422


@pytest.mark.parametrize("body", ["{", "\x00", '{"tags": ' + "[" * 10_000])
def test_a_body_that_is_no_json_is_400(client, body):
    assert client.simulate_post(TAGS, body=body).status_code == 400


def test_an_id_over_36_characters_is_422(client):
    assert put(client, "x" * 37).status_code == 422


def test_what_the_store_cannot_keep_is_503(client_of):
    store = StubStore()
    with CentralSystem(Settings(port=0), store=store) as system:
        client = client_of(system)
        store.fail()
        assert put(client, "T1").status_code == 503
        assert post(client, {"id_tag": "T1"}).status_code == 503
        store.work()
        assert put(client, "T1").status_code == 200


def test_what_the_store_cannot_read_now_is_503(client_of, monkeypatch):
    def away(*_, **__):
        raise StoreError("the database is away")

    store = StubStore()
    monkeypatch.setattr(store, "transactions", away)
    with CentralSystem(Settings(port=0), store=store) as system:
        answer = client_of(system).simulate_get("/api/v1/transactions")
    assert answer.status_code == 503
    assert (answer.json["title"], answer.json["detail"]) == (
        "The store is unavailable",
        "the database is away",
    )
