"""The HTTP API of one node of a cluster: resources of another node are answered as local ones."""

import http.client
import json
from urllib.parse import quote

import gevent
import pytest

from chargehand import (
    CentralSystem,
    HttpSettings,
    Settings,
    SupervisionSettings,
    __version__,
    serve_http,
    v16,
)
from chargehand.remote.cluster.messages import Reply
from chargehand.simulator import ChargePoint
from chargehand.testing import StubStore

from ..hub import until
from ..remote.registry_harness import LeaseRegistry
from .described import check

SETTINGS = Settings(
    port=0,
    supervision=SupervisionSettings(shutdown_s=0.05, stop_timeout_s=2.0),
    http=HttpSettings(enabled=True, port=0, token="secret"),
)


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registry, store, systems = LeaseRegistry(), StubStore(), []
    for name in ("a", "b"):
        system = CentralSystem(SETTINGS, store=store, coordinator=registry.board(name), http=serve_http)
        system.start()
        systems.append(system)
    try:
        yield systems
    finally:
        for system in systems:
            system.stop()


def ask(system, method, path, body=None, token="secret", accept="*/*"):
    """Make a request in a native thread of its own: the server is in this hub."""

    def run():
        connection = http.client.HTTPConnection("127.0.0.1", system.http_port, timeout=60)
        headers = {"Authorization": f"Bearer {token}", "Accept": accept}
        connection.request(method, f"/api/v1/{path}", body and json.dumps(body), headers)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        kind = reply.headers.get("Content-Type", "")
        check(method, f"/api/v1/{path}".partition("?")[0], reply.status, kind, text)
        return reply.status, json.loads(text) if kind == "application/json" else text

    return gevent.get_hub().threadpool.apply(run)


def connect(system, id_):
    return ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", id_)


def test_a_charge_point_is_shown_by_any_node(nodes):
    a, b = nodes
    with connect(b, "CP/1 ü"):
        status, view = ask(a, "GET", "charge-points/CP%2F1%20%C3%BC")
        assert (status, view["id"], view["connected"]) == (200, "CP/1 ü", True)
        status, text = ask(a, "GET", "charge-points/CP%2F1%20%C3%BC/recording")
        assert status == 200
        assert "BootNotification" in text


def test_lists_have_what_all_nodes_have(nodes):
    a, b = nodes
    with connect(a, "CP1"), connect(b, "CP2"):
        for node in nodes:
            _, view = ask(node, "GET", "charge-points")
            assert {row["id"] for row in view["charge_points"] if row["connected"]} == {"CP1", "CP2"}
        _, told = ask(a, "POST", "charge-points/CP2/commands/ClearCache?wait=0", {})
        until(lambda: b.ticket(told["ticket"]))
        _, view = ask(b, "GET", "tickets")
        assert told["ticket"] in {row["ticket"] for row in view["tickets"]}


def test_pages_of_charge_points_are_joined_and_one_row_is_the_connected_one(nodes):
    a, b = nodes
    with connect(a, "CP1"):
        pass
    until(lambda: not a.charge_point("CP1").connected)
    with connect(b, "CP1"), connect(a, "CP2"), connect(b, "CP3"):
        for node in nodes:
            _, page = ask(node, "GET", "charge-points?limit=2&fields=node,connected")
            assert page["charge_points"] == [
                {"id": "CP1", "connected": True, "node": "b"},
                {"id": "CP2", "connected": True, "node": "a"},
            ]
            assert (page["more"], page["next"], page["unanswered"]) == (True, "CP2", [])
            _, page = ask(node, "GET", "charge-points?limit=2&after=CP2&fields=id")
            assert (page["charge_points"], page["more"]) == ([{"id": "CP3"}], False)
            assert ask(node, "GET", "charge-points?connected=0")[1]["charge_points"] == []
            assert len(ask(node, "GET", "charge-points?node=b&stored=1")[1]["charge_points"]) == 2


def test_pages_of_tickets_of_all_nodes_follow_one_another_the_newest_first(nodes):
    a, b = nodes
    with connect(a, "CP1"), connect(b, "CP2"):
        sent = []
        for node, id_ in ((a, "CP1"), (b, "CP2"), (a, "CP2"), (b, "CP1"), (a, "CP1")):
            sent.append(ask(node, "POST", f"charge-points/{id_}/commands/ClearCache", {})[1]["ticket"])
        for node in nodes:
            found, query = [], "?limit=2"
            while query:
                page = ask(node, "GET", f"tickets{query}")[1]
                found += [row["ticket"] for row in page["tickets"]]
                assert len(page["tickets"]) <= 2
                query = f"?limit=2&before={quote(page['next'])}" if page["more"] else ""
            assert sorted(found) == sorted(sent)
            made = [ask(node, "GET", f"tickets/{one}")[1]["created_at"] for one in found]
            assert made == sorted(made, reverse=True)


def test_frames_are_told_by_any_node_and_go_on_where_the_charge_point_goes(nodes):
    a, b = nodes

    def since(after):
        return ask(a, "GET", f"charge-points/CP1/frames?after={quote(after)}", accept="application/json")[1]

    with connect(b, "CP1") as station:
        after = since("")["next"]
        assert after.endswith("/b")
        station.send(v16.Heartbeat())
        told = since(after)
        assert [row["kind"] for row in told["frames"]][:2] == ["in", "answer"]
    with connect(a, "CP1"):
        told = since(told["next"])
        assert told["next"].endswith("/a")
        assert "BootNotification" in json.dumps(told["frames"])


def test_a_command_is_sent_by_any_node_and_its_ticket_is_known_to_all(nodes):
    a, b = nodes
    with connect(b, "CP1"):
        status, told = ask(a, "POST", "charge-points/CP1/commands/ClearCache", {})
        assert (status, told["response"]) == (200, {"status": "Accepted"})
    status, told = ask(a, "POST", "charge-points/CP1/commands/ClearCache?when_offline=queue", {})
    assert status == 202
    path = f"tickets/{told['ticket']}"
    assert ask(b, "GET", path)[1]["state"] == "queued"
    assert ask(b, "DELETE", path)[1]["state"] == "cancelled"
    assert ask(a, "GET", path)[1]["state"] == "cancelled"


def test_what_nobody_has_is_404_and_who_has_no_token_is_refused_by_the_first_node(nodes):
    a, b = nodes
    assert ask(a, "GET", "charge-points/CP9")[0] == 404
    assert ask(a, "GET", "tickets/none")[0] == 404
    with connect(b, "CP1"):
        assert ask(a, "GET", "charge-points/CP1", token="wrong")[0] == 401


def test_the_cluster_is_shown(nodes):
    a, b = nodes
    with connect(b, "CP1"):
        status, view = ask(a, "GET", "cluster?charge_points=1")
        assert status == 200
        assert (view["node"], view["nodes"], view["lease"]) == ("a", ["a", "b"], True)
        assert view["charge_points"] == {"CP1": "b"}
        assert view["members"] == [
            {"node": "a", "version": __version__, "lease": True, "claimed": 0},
            {"node": "b", "version": __version__, "lease": True, "claimed": 1},
        ]
    b.cluster.answer = lambda ask: Reply(ask.id, 200, b'{"node": "b", "lease": true, "claimed": 2}')
    assert ask(a, "GET", "cluster")[1]["members"][1]["version"] is None  # of a version that does not tell


def test_a_command_while_no_node_can_be_asked_is_not_of_an_unknown_charge_point(nodes):
    a, b = nodes
    with connect(b, "CP1"):
        a.cluster.coordinator.cut()
        status, told = ask(a, "POST", "charge-points/CP1/commands/ClearCache", {})
        assert (status, json.loads(told)["title"]) == (503, "Never sent")


def test_health_says_when_a_node_has_lost_its_lease(nodes):
    a, _ = nodes
    a.cluster.coordinator.cut()

    def health():
        connection = http.client.HTTPConnection("127.0.0.1", a.http_port, timeout=60)
        connection.request("GET", "/healthz")
        told = json.loads(connection.getresponse().read())
        connection.close()
        return told

    told = gevent.get_hub().threadpool.apply(health)
    assert (told["status"], told["cluster"]["lease"]) == ("degraded", False)


def test_a_bulk_command_reaches_the_charge_points_of_all_nodes_and_is_shown_by_any(nodes):
    a, b = nodes
    with connect(a, "A"), connect(b, "B"):
        until(lambda: set(a.cluster.coordinator.charge_points()) == {"A", "B"})
        status, started = ask(a, "POST", "bulk", {"filter": {}, "verb": "unlock"})
        assert status == 202
        path = f"bulk/{started['bulk']}"
        told = until(lambda: (told := ask(b, "GET", path)[1])["done"] and told)
        assert {row["charge_point"]: row["state"] for row in told["results"]} == {
            "A": "answered",
            "B": "answered",
        }
        assert [row["bulk"] for row in ask(b, "GET", "bulk")[1]["bulks"]] == [started["bulk"]]
        assert ask(b, "DELETE", path)[0] == 409
        assert ask(b, "GET", "bulk/x-b1")[0] == 404


def test_a_charge_point_with_the_name_of_a_list_is_shown(nodes):
    a, b = nodes
    with connect(b, "tickets"):
        until(lambda: ask(a, "GET", "charge-points/tickets")[0] == 200)
        assert ask(a, "GET", "charge-points/tickets")[1]["id"] == "tickets"
        assert ask(b, "GET", "charge-points/tickets")[1]["id"] == "tickets"


def test_a_reply_longer_than_a_message_arrives_whole(nodes):
    a, b = nodes
    body = bytes(range(256)) * 4000
    b.cluster.answer = lambda ask: Reply(ask.id, 200, body)
    reply = a.cluster.ask(b.cluster.node, "GET", "/long")
    assert reply.body == body


def test_an_answer_says_for_whom_it_speaks(nodes):
    a, _ = nodes
    told = gevent.get_hub().threadpool.apply(head, (a, "/api/v1/counters"))
    assert told["Speaks-For"] == "node"


def head(system, path):
    connection = http.client.HTTPConnection("127.0.0.1", system.http_port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.headers
