"""Odd but usable messages to a real server: they are handled, flagged, and shown over HTTP."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .rawsocket import RawSocket
from .server import Reply, Server

NOW = "2026-11-22T05:42:00Z"
Answer = Callable[[str], str]


@pytest.fixture
def raw(server: Server, request: pytest.FixtureRequest) -> Any:
    """Booted charge point of the test's own."""
    with RawSocket.open(f"{server.ws}{identity(request)}") as opened:
        yield opened.boot()


def identity(request: pytest.FixtureRequest) -> str:
    return f"ODD-{abs(hash(request.node.name))}"


@pytest.fixture
def facts(server: Server, request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Read the facts of that charge point."""
    return lambda: server.ask("GET", f"/api/v1/charge-points/{identity(request)}").json


@pytest.fixture
def command(server: Server, raw: RawSocket, request: pytest.FixtureRequest) -> Iterator[Callable[..., Reply]]:
    """Send a command, have the charge point answer it with a text, and return the HTTP answer."""
    with ThreadPoolExecutor(1) as pool:

        def exchange(action: str, payload: Any, answer: Answer) -> Reply:
            reply = pool.submit(server.command, identity(request), action, payload, timeout=60)
            raw.send(answer(json.loads(raw.text())[1]))
            return reply.result(60)

        yield exchange


def start(raw: RawSocket, connector_id: int, timestamp: Any) -> int:
    members = {"connectorId": connector_id, "idTag": "TAG", "meterStart": 1000, "timestamp": timestamp}
    number: int = raw.call("StartTransaction", members)[2]["transactionId"]
    return number


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("20261122T054200Z", "2026-11-22T05:42:00Z"),
        ("2026-W47-7T05:42:00,25Z", "2026-11-22T05:42:00.250000Z"),
        ("2026-326T24:00Z", "2026-11-23T00:00:00Z"),
        ("2026-11-22T05:42:00", "2026-11-22T05:42:00Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
    ],
)
def test_a_stop_with_any_time_that_says_a_moment_ends_its_transaction(
    server: Server, raw: RawSocket, sent: str, shown: str
) -> None:
    number = start(raw, 1, NOW)
    assert (
        raw.call("StopTransaction", {"transactionId": number, "meterStop": 1500, "timestamp": sent})[0] == 3
    )
    transaction = server.ask("GET", f"/api/v1/transactions/{number}").json
    assert (transaction["open"], transaction["stopped_at"], transaction["energy_wh"]) == (False, shown, 500)


@pytest.mark.parametrize("sent", ["", "n/a", None, 1700000000, {}], ids=repr)
def test_our_time_stands_in_for_one_that_says_nothing(server: Server, raw: RawSocket, sent: Any) -> None:
    number = start(raw, 2, sent)
    assert start(raw, 2, sent) == number
    assert (
        raw.call("StopTransaction", {"transactionId": number, "meterStop": 1500, "timestamp": sent})[0] == 3
    )
    transaction = server.ask("GET", f"/api/v1/transactions/{number}").json
    assert not transaction["open"]
    started, received = (
        dt.datetime.fromisoformat(transaction[key]) for key in ("started_at", "start_received_at")
    )
    assert abs(started - received) < dt.timedelta(seconds=0.1)
    flags = [flag["text"] for flag in transaction["flags"] if flag["code"] == "time_of_receipt"]
    assert flags
    assert all(flag.endswith(f": {json.dumps(sent)}") for flag in flags)


@pytest.mark.parametrize("sent", ["0001-01-01T00:00:00+11:00", "9999-12-31T23:59:59-11:00"])
def test_the_first_and_the_last_hours_that_there_are_overflow_nothing(
    server: Server, raw: RawSocket, sent: str
) -> None:
    number = start(raw, 3, sent)
    raw.call("StopTransaction", {"transactionId": number, "meterStop": 1500, "timestamp": sent})
    for path in (f"transactions/{number}", "transactions?flagged=1", "transactions?limit=5"):
        assert server.ask("GET", f"/api/v1/{path}").status == 200
    assert "Traceback" not in server.output


def test_a_status_without_an_error_code_is_the_connector_s_status(raw: RawSocket, facts: Any) -> None:
    assert raw.call("StatusNotification", {"connectorId": 4, "status": "SuspendedEV"})[0] == 3
    told = facts()
    assert [(one["connectorId"], one["status"]) for one in told["connectors"]] == [(4, "SuspendedEV")]
    assert told["deviations"] == {"errorCode is required": 1}


def test_frames_with_slips_are_answered_as_they_came(raw: RawSocket, facts: Any) -> None:
    for frame, answer in (
        ('[2,4711,"Heartbeat",{}]', "[3,4711,"),
        ('\ufeff[2,"bom","Heartbeat",null]', '[3,"bom",'),
        ('\0[2,"nul","Heartbeat",{}]\0\0\0', '[3,"nul",'),
        ('[2,"more","Heartbeat",{},]', '[3,"more",'),
    ):
        raw.send(frame)
        assert raw.text().startswith(answer)
    assert len(facts()["deviations"]) == 4


def test_an_answer_with_control_characters_is_one(command: Callable[..., Reply], facts: Any) -> None:
    answer = '[3,"{}",{{"configurationKey":[{{"key":"Vendor","readonly":false,"value":"ab\0\x07"}}]}}]'
    reply = command("GetConfiguration", {}, answer.format)
    assert reply.status == 200
    assert reply.json["response"]["configurationKey"][0]["value"] == "ab\0\x07"
    assert reply.json["deviations"][0]["text"] == "has control characters in a string"
    assert facts()["deviations"] == {
        "answer to GetConfiguration: frame has control characters in a string": 1
    }


def test_every_key_that_was_told_is_shown_as_it_came(command: Callable[..., Reply]) -> None:
    keys = [{"key": "A", "readonly": 0, "value": 5}, {"key": "B"}, {"readonly": True}, ["C"], None]
    reply = command("GetConfiguration", {}, lambda id_: json.dumps([3, id_, {"configurationKey": keys}]))
    assert (reply.status, reply.json["response"]) == (200, {"configurationKey": keys})
    assert len(reply.json["deviations"]) >= 5


@pytest.mark.parametrize("answer", ['[3,"{}",{{"status":"Acc', '[3,"{}"', "[3,oops,{{}}]", '[4,"{}","Not'])
def test_an_answer_that_cannot_be_read_ends_its_command_at_once(
    command: Callable[..., Reply], answer: str
) -> None:
    reply = command("ClearCache", {}, answer.format)
    assert (reply.status, reply.json["state"]) == (502, "refused")
    assert reply.json["error"]["details"]["answer"].startswith(answer[:3])


def test_null_is_an_answer_where_nothing_is_required(command: Callable[..., Reply]) -> None:
    reply = command(
        "UpdateFirmware", {"location": "ftp://host/f", "retrieveDate": NOW}, '[3,"{}",null]'.format
    )
    assert (reply.status, reply.json["response"]) == (200, {})
    assert "deviations" not in reply.json


def test_data_of_a_vendor_may_be_any_json(
    server: Server, raw: RawSocket, request: pytest.FixtureRequest
) -> None:
    data = {"cells": [3.71, 3.72], "ok": None}
    assert raw.call("DataTransfer", {"vendorId": "V", "data": data})[2]["status"] == "UnknownVendorId"
    path = f"/api/v1/charge-points/{identity(request)}/events?kind=data_transfer"
    assert server.ask("GET", path).json["events"][0]["data"]["data"] == data
