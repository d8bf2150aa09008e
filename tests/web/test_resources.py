"""Read-only resources of a real system."""

import datetime as dt
import json
import re
from types import SimpleNamespace

import falcon
import pytest

from chargehand import Settings
from chargehand.protocol.session import Session
from chargehand.protocol.versions import VERSIONS
from chargehand.testing.replay import Replay

UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
BOOT = {"chargePointVendor": "Acme", "chargePointModel": "Wallbox"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "info": "ü"}
START = {"connectorId": 1, "idTag": "TAG1", "meterStart": 5, "timestamp": "2026-05-04T12:34:56Z"}


def test_health_is_open_and_counts_the_connected(client, charge_point):
    without = {"Authorization": ""}
    assert client.simulate_get("/healthz", headers=without).json == {"status": "ok", "connected": 0}
    charge_point("CP1")
    assert client.simulate_get("/healthz", headers=without).json == {"status": "ok", "connected": 1}
    head = client.simulate_head("/healthz", headers=without)
    assert (head.status, head.text) == (falcon.HTTP_200, "")


def test_health_names_quarantined_plugins(client_of):
    class SystemStub:
        settings = Settings()
        versions = VERSIONS
        cluster = None
        worker = None
        vitals = SimpleNamespace(checks=list)

        def workers(self):
            return []

        def quarantined(self):
            return [{"plugin": "bad", "last_crash": "", "times": 1}]

        def charge_points(self):
            return []

    assert client_of(SystemStub()).simulate_get("/healthz").json == {
        "status": "degraded",
        "connected": 0,
        "quarantined_plugins": ["bad"],
    }


def test_a_charge_point_is_shown_with_all_that_it_said(client, charge_point, wait_until):
    cp = charge_point("CP1")
    cp.send(2, "1", "BootNotification", BOOT | {"chargePointSerialNumber": "x" * 26})
    cp.send(2, "2", "StatusNotification", STATUS | {"connectorId": 2})
    cp.send(2, "3", "StatusNotification", STATUS)
    ask = lambda: client.simulate_get("/api/v1/charge-points/CP1").json  # noqa: E731
    told_all = lambda facts: facts["registration"] and len(facts["connectors"]) == 2 and facts  # noqa: E731
    facts = wait_until(lambda: told_all(ask()), "it has told all")
    assert facts["id"] == "CP1"
    assert facts["name"] == ""
    assert facts["version"] == "1.6"
    assert facts["connected"] is True
    assert facts["peer"].startswith("127.0.0.1:")
    assert facts["secure"] is False
    assert UTC.fullmatch(facts["connected_at"])
    assert facts["disconnected_at"] is None
    assert facts["registration"] == "Accepted"
    assert facts["boot"] == BOOT | {"chargePointSerialNumber": "x" * 26}
    assert facts["connectors"] == [STATUS, STATUS | {"connectorId": 2}]
    assert sum(facts["deviations"].values()) == 1
    assert facts["ignored"] == {}
    assert facts["open_tickets"] == []


def test_a_charge_point_shows_its_open_tickets_and_when_it_left(client, charge_point, wait_until):
    cp = charge_point("CP1")
    charge_point("CP2")
    ticket = client.simulate_post("/api/v1/charge-points/CP1/commands/ClearCache?wait=0").json["ticket"]
    wait_until(lambda: cp.calls, "the call has arrived")
    facts = client.simulate_get("/api/v1/charge-points/CP1").json
    assert facts["open_tickets"] == [{"ticket": ticket, "action": "ClearCache", "state": "sent"}]
    assert client.simulate_get("/api/v1/charge-points/CP2").json["open_tickets"] == []
    cp.hang_up()
    ask = lambda: client.simulate_get("/api/v1/charge-points/CP1").json  # noqa: E731
    facts = wait_until(lambda: not ask()["connected"] and ask(), "it has left")
    assert UTC.fullmatch(facts["disconnected_at"])
    assert facts["connected_at"] is None
    assert facts["open_tickets"] == []


def test_all_charge_points_are_listed(client, charge_point, wait_until):
    for name in ("CP1", "a/b", "ü"):
        charge_point(name)
    ask = lambda: client.simulate_get("/api/v1/charge-points").json["charge_points"]  # noqa: E731
    listed = wait_until(lambda: len(ask()) == 3 and ask(), "all are there")
    assert [row["id"] for row in listed] == ["CP1", "a/b", "ü"]
    assert {row["connected"] for row in listed} == {True}
    assert client.simulate_get("/api/v1/charge-points/a%2Fb").json["id"] == "a/b"


def test_a_charge_point_never_seen_is_404(client):
    reply = client.simulate_get("/api/v1/charge-points/NEVER")
    assert reply.status == falcon.HTTP_404
    assert "NEVER" in reply.json["description"]


def test_transactions_are_listed_the_newest_first_and_narrowed_by_the_query(client, charge_point, wait_until):
    one, two = charge_point("CP1"), charge_point("CP2")

    def ask(query=""):
        return client.simulate_get(f"/api/v1/transactions{query}").json["transactions"]

    one.send(2, "1", "StartTransaction", START)
    first = wait_until(ask, "the first has started")[0]
    stop = {"transactionId": first["transaction_id"], "meterStop": 15, "timestamp": "2026-05-04T13:00:00Z"}
    one.send(2, "2", "StopTransaction", stop | {"reason": "Local"})
    wait_until(lambda: not ask()[0]["open"], "it has stopped")
    two.send(2, "1", "StartTransaction", START | {"idTag": "TAG2"})
    listed = wait_until(lambda: len(ask()) == 2 and ask(), "the second has started")
    assert [row["charge_point"] for row in listed] == ["CP2", "CP1"]
    row = listed[1]
    assert UTC.fullmatch(row.pop("start_received_at"))
    assert UTC.fullmatch(row.pop("stop_received_at"))
    assert row == {
        "transaction_id": first["transaction_id"],
        "charge_point": "CP1",
        "connector_id": 1,
        "id_tag": "TAG1",
        "open": False,
        "verdict": "Accepted",
        "reservation_id": None,
        "meter_start": 5,
        "started_at": "2026-05-04T12:34:56Z",
        "meter_stop": 15,
        "stopped_at": "2026-05-04T13:00:00Z",
        "doubtful_times": [],
        "stop_reason": "Local",
        "stop_id_tag": "",
        "energy_wh": 10,
        "energy_source": "meter_start_stop",
        "supported_energy_wh": None,
        "cost": None,
        "currency": None,
        "tariff": None,
        "costs": [],
        "orphaned": False,
        "closed_by": "",
        "note": "",
        "readings_deleted": False,
        "started_text": "",
        "other_stops": [],
        "version": "1.6",
        "remote_id": "",
        "evse_id": None,
        "charging_state": "",
        "id_type": "",
        "flags": [],
    }
    assert [row["charge_point"] for row in ask("?open=1")] == ["CP2"]
    assert [row["charge_point"] for row in ask("?charge_point=CP1")] == ["CP1"]
    assert [row["charge_point"] for row in ask("?id_tag=tag2")] == ["CP2"]
    assert [row["charge_point"] for row in ask("?limit=1")] == ["CP2"]
    assert ask("?charge_point=CP1&open=1") == []


@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "limit=many", "limit=٣", "open=maybe", "page=2"])
def test_a_query_that_makes_no_sense_is_400(client, query):
    assert client.simulate_get(f"/api/v1/transactions?{query}").status == falcon.HTTP_400


@pytest.mark.parametrize(
    "path",
    [
        "charge-points",
        "charge-points/CP1",
        "charge-points/CP1/recording",
        "tickets/1",
        "supervision",
        "plugins",
        "crashes",
        "counters",
    ],
)
def test_a_parameter_where_there_is_none_is_400(client, path):
    reply = client.simulate_get(f"/api/v1/{path}?colour=red")
    assert reply.status == falcon.HTTP_400
    assert "colour" in reply.json["description"]


def test_the_tree_and_the_counters_are_shown(client, system, charge_point, wait_until):
    charge_point("CP1").send(2, "1", "Authorize", {"idTag": "x" * 21})
    wait_until(lambda: system.counters.counts, "something was counted")
    assert client.simulate_get("/api/v1/counters").json == system.counters.counts
    tree = client.simulate_get("/api/v1/supervision").json
    assert tree["id"] == "root"
    assert [child["id"] for child in tree["children"]] == ["plugins", "sessions", "endpoints"]


@pytest.fixture
def crashing(monkeypatch):
    """Have sessions fail to read a frame with "crash" in it."""
    receive = Session.receive

    def faulty(self, data, now):
        if b'"crash"' in data:
            raise RuntimeError("planted")
        return receive(self, data, now)

    monkeypatch.setattr(Session, "receive", faulty)


def test_a_session_that_crashed_stands_in_the_tree_and_its_report_is_there(
    client, charge_point, wait_until, crashing
):
    cp = charge_point("CP1")
    cp.send(2, "1", "BootNotification", BOOT)
    cp.send(2, "2", "Authorize", {"idTag": "crash"})
    cp.send(2, "3", "StatusNotification", STATUS)
    facts = lambda: client.simulate_get("/api/v1/charge-points/CP1").json  # noqa: E731
    wait_until(lambda: facts()["connectors"], "the next session has taken what came after")

    sessions = lambda: client.simulate_get("/api/v1/supervision").json["children"][1]  # noqa: E731
    wait_until(lambda: not sessions()["crashed"][0]["inbox"], "it has nothing more to do")
    assert (sessions()["sessions"], sessions()["connected"]) == (1, 1)
    assert sessions()["crashed"] == [
        {"id": "CP1", "state": "running", "restarts": 1, "inbox": 0, "last_crash": "RuntimeError('planted')"}
    ]

    (report,) = client.simulate_get("/api/v1/crashes").json["crashes"]
    assert UTC.fullmatch(report.pop("time"))
    assert "in faulty" in report.pop("traceback")
    assert report == {"charge_point": "CP1", "error": "RuntimeError('planted')"}

    (report,) = client.simulate_get("/api/v1/crashes?rows=1").json["crashes"]
    assert [json.loads(row["data"])[2] for row in report["rows"] if row["kind"] == "in"] == [
        "BootNotification",
        "Authorize",
        "StatusNotification",
    ]


def test_the_newest_crash_comes_first(client, charge_point, wait_until, crashing):
    for number in (1, 2):
        charge_point(f"CP{number}").send(2, "1", "Authorize", {"idTag": "crash"})
        ask = lambda: client.simulate_get("/api/v1/crashes").json["crashes"]  # noqa: E731
        found = wait_until(lambda: len(ask()) == number and ask(), "it has crashed")  # noqa: B023
    assert [report["charge_point"] for report in found] == ["CP2", "CP1"]


def test_a_recording_is_lines_of_json_that_can_be_replayed(client, charge_point, wait_until):
    cp = charge_point("a/ü")
    cp.send(2, "1", "BootNotification", BOOT)
    cp.send(2, "2", "StatusNotification", STATUS)
    ask = lambda: client.simulate_get("/api/v1/charge-points/a%2F%C3%BC/recording")  # noqa: E731
    reply = wait_until(lambda: '[3,\\"2\\",{}]' in ask().text and ask(), "all is recorded")
    assert reply.headers["Content-Type"] == "application/x-ndjson"
    lines = reply.text.splitlines()
    assert json.loads(lines[0])["charge_point"] == "a/ü"
    assert Replay(lines).fly() == []


def test_the_record_of_a_charge_point_never_seen_is_404(client):
    assert client.simulate_get("/api/v1/charge-points/NEVER/recording").status == falcon.HTTP_404


def test_spooled_messages_and_dead_letters_are_shown_the_oldest_first(client, system):
    received_at = dt.datetime(2026, 5, 4, 12, 34, 56, tzinfo=dt.UTC)
    for number in range(4):
        system.store.spool(
            version="1.6",
            charge_point_id="CP1",
            action="StartTransaction",
            unique_id=str(number),
            payload=json.dumps(START).encode(),
            transaction_id=number,
            received_at=received_at,
            why="planted",
        )
    numbers = [record.number for record in system.store.spooled()]
    system.store.dead_letter(numbers[0], "it failed")
    spool = client.simulate_get("/api/v1/spool").json
    assert spool["waiting"][0] == {
        "number": numbers[1],
        "charge_point": "CP1",
        "action": "StartTransaction",
        "unique_id": "1",
        "payload": START,
        "transaction_id": 1,
        "received_at": "2026-05-04T12:34:56Z",
        "why": "planted",
    }
    assert [row["unique_id"] for row in spool["waiting"]] == ["1", "2", "3"]
    assert [(row["unique_id"], row["why"]) for row in spool["dead_letters"]] == [("0", "it failed")]
    assert [row["unique_id"] for row in client.simulate_get("/api/v1/spool?limit=2").json["waiting"]] == [
        "1",
        "2",
    ]


@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "page=1"])
def test_a_query_of_the_spool_that_makes_no_sense_is_400(client, query):
    assert client.simulate_get(f"/api/v1/spool?{query}").status == falcon.HTTP_400


@pytest.mark.parametrize(
    "path", ["/page", "/api", "/api/v1/nothing", "/api/v1/charge-points/", "/api/v1/charge-points/%FF"]
)
def test_a_path_that_leads_nowhere_is_404_in_json(client, path):
    reply = client.simulate_get(path)
    assert reply.status == falcon.HTTP_404
    assert set(reply.json) == {"type", "title", "status", "detail", "description"}


def test_a_wrong_method_is_405_in_json(client):
    reply = client.simulate_delete("/api/v1/charge-points")
    assert reply.status == falcon.HTTP_405
    assert set(reply.json) == {"type", "title", "status", "detail", "description"}
    assert "GET" in reply.headers["Allow"]


def test_an_error_is_json_even_for_a_client_that_would_rather_have_xml(client):
    reply = client.simulate_get("/api/v1/nothing", headers={"Accept": "text/xml"})
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert json.loads(reply.text)["title"]


def test_a_responder_that_crashes_is_a_500_that_tells_the_log_only(client, system, monkeypatch, caplog):
    def crash():
        raise RuntimeError("planted")

    monkeypatch.setattr(system, "describe", crash)
    reply = client.simulate_get("/api/v1/supervision")
    assert reply.status == falcon.HTTP_500
    assert "planted" not in reply.text
    assert set(reply.json) == {"type", "title", "status", "detail", "description"}
    assert "planted" in caplog.text
