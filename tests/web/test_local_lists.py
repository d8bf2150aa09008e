"""Local lists over HTTP: the assumed list, and the result of a POST."""

import gevent
import pytest

from chargehand import Tag

PATH = "/api/v1/charge-points/CP1/local-list"


@pytest.fixture
def _tags(system):
    system.store.collections.tags.put(Tag(id_tag="T1"))
    system.store.collections.tags.put(Tag(id_tag="T2", status="Blocked"))


def answering(status):
    return lambda *_: [3, {"status": status}]


def post(client, **query):
    return client.simulate_post(PATH, params=query)


@pytest.mark.usefixtures("_tags")
def test_a_list_that_is_taken_is_200_and_then_believed(client, charge_point):
    cp = charge_point("CP1", answering("Accepted"))
    assert client.simulate_get(PATH).status_code == 404
    reply = post(client)
    assert reply.status_code == 200
    told = reply.json
    (ticket,) = told.pop("tickets")
    assert ticket["response"] == {"status": "Accepted"}
    assert told == {
        "charge_point": "CP1",
        "update_type": "Full",
        "entries": 2,
        "version": 1,
        "in_step": True,
        "left_out": 0,
        "clear_cache": None,
    }
    believed = client.simulate_get(PATH).json
    assert (believed["version"], believed["certain"], believed["last_sent"]) == (1, True, 1)
    assert believed["tags"] == {"T1": {"status": "Accepted"}, "T2": {"status": "Blocked"}}
    (listed,) = client.simulate_get("/api/v1/local-lists").json["local_lists"]
    assert (listed["charge_point"], listed["entries"], listed["certain"]) == ("CP1", 2, True)
    assert "tags" not in listed
    assert [action for action, _ in cp.calls] == ["SendLocalList"]


@pytest.mark.usefixtures("_tags")
def test_nothing_to_do_says_so_and_sends_nothing(client, charge_point):
    cp = charge_point("CP1", answering("Accepted"))
    post(client)
    reply = post(client)
    assert (reply.status_code, reply.json["update_type"], reply.json["tickets"]) == (200, None, [])
    assert len(cp.calls) == 1
    assert post(client, full="1").json["update_type"] == "Full"


@pytest.mark.usefixtures("_tags")
def test_parts_are_as_large_as_is_asked_and_the_cache_is_cleared_too(client, charge_point):
    cp = charge_point("CP1", answering("Accepted"))
    reply = post(client, limit="1", clear_cache="1")
    assert [action for action, _ in cp.calls] == ["SendLocalList", "SendLocalList", "ClearCache"]
    assert len(reply.json["tickets"]) == 2
    assert reply.json["clear_cache"]["response"] == {"status": "Accepted"}


@pytest.mark.usefixtures("_tags")
@pytest.mark.parametrize("status", ["Failed", "NotSupported", "VersionMismatch"])
def test_a_list_that_is_declined_is_409_and_says_why(client, charge_point, status):
    charge_point("CP1", answering(status))
    reply = post(client)
    assert (reply.status_code, reply.json["in_step"]) == (409, False)
    assert reply.json["description"] == f"SendLocalList to CP1: {status}"


@pytest.mark.usefixtures("_tags")
def test_a_cache_that_is_not_cleared_is_409(client, charge_point):
    charge_point(
        "CP1", lambda action, _: [3, {"status": "Rejected" if action == "ClearCache" else "Accepted"}]
    )
    reply = post(client, clear_cache="1")
    assert (reply.status_code, reply.json["in_step"]) == (409, True)
    assert reply.json["description"] == "ClearCache to CP1: Rejected"


@pytest.mark.usefixtures("_tags")
def test_one_that_is_away_is_404(client):
    reply = post(client)
    assert (reply.status_code, reply.json["title"]) == (404, "Unknown charge point")


@pytest.mark.usefixtures("_tags")
def test_one_that_does_not_answer_is_504(client, charge_point):
    charge_point("CP1")
    assert post(client, timeout="0.05").status_code == 504
    assert client.simulate_get(PATH).json["certain"] is False


@pytest.mark.usefixtures("_tags")
def test_a_second_one_on_its_way_is_409_and_the_end_of_the_server_ends_the_first(
    client, charge_point, stop, wait_until
):
    cp = charge_point("CP1")
    first = gevent.spawn(post, client)
    wait_until(lambda: cp.calls, "the list is on its way")
    assert post(client).json["title"] == "On its way"
    stop.begin()
    assert first.get(timeout=60).status_code == 503
    assert post(client).status_code == 503


@pytest.mark.parametrize("query", ["full=2", "limit=0", "timeout=0", "wait=1"])
def test_a_wrong_query_is_400(client, query):
    assert client.simulate_post(f"{PATH}?{query}").status_code == 400
