"""`chargehand transactions`: its requests, page by page, and its output for the answers."""

import csv
import io
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from chargehand.cli import transactions as commands
from chargehand.cli.main import main
from chargehand.cli.transactions import pages, show_transaction

ROW = {
    "transaction_id": 7, "charge_point": "CP1", "connector_id": 1, "id_tag": "[bold]\x1b", "open": False,
    "verdict": "Accepted", "reservation_id": None, "meter_start": 100, "started_at": "2026-05-04T12:00:00Z",
    "start_received_at": "2026-05-04T12:34:56.789Z", "meter_stop": 350, "stopped_at": "2026-05-04T13:00:00Z",
    "stop_received_at": "2026-05-04T13:34:56Z", "stop_reason": "Local", "stop_id_tag": "",
    "flags": [{"code": "meter_backwards", "text": "the meter ran backwards"}, {"code": "other", "text": "odd"}],
    "energy_wh": 250, "energy_source": "meter_start_stop", "supported_energy_wh": 240.5, "orphaned": False,
    "cost": "1.20", "currency": "EUR", "tariff": "day", "costs": [],
    "doubtful_times": [], "closed_by": "", "note": "", "other_stops": [],
    "version": "1.6", "remote_id": "", "evse_id": None, "charging_state": "", "id_type": "",
}  # fmt: skip
OPEN = ROW | {
    "transaction_id": 8,
    "open": True,
    "meter_stop": None,
    "stopped_at": None,
    "stop_received_at": None,
    "energy_wh": None,
    "doubtful_times": ["started_at"],
}
DETAILS = {
    "first_reading": None, "last_reading": {"at": "2026-05-04T13:00:00Z", "wh": 350}, "peak_w": 7200,
    "duration_s": 3600, "more_readings": False, "connector_readings": [], "dead_letters": [],
    "more_dead_letters": False,
}  # fmt: skip
READING = {
    "charge_point": "CP1",
    "connector_id": 1,
    "transaction_id": 7,
    "flags": ["odd"],
    "payload": {},
    "received_at": "2026-05-04T12:40:00Z",
    "values": [
        {"timestamp": "2026-05-04T12:39:59Z", "sampledValue": [
            {"value": "150", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}, {"value": "16", "unit": "A"},
        ]},
    ],
}  # fmt: skip


@pytest.fixture
def transactions(stub, _clean_environment):
    """Run one of the commands."""

    def run(*arguments):
        return CliRunner().invoke(main, ["transactions", *arguments, "--url", stub.url])

    return run


def asked(stub, number=-1):
    target = urlsplit(stub.requests[number][0])
    return target.path, {name: values[0] for name, values in parse_qs(target.query).items()}


def page(*rows, next_=None):
    """Return an answer of the API with these rows."""
    return {"transactions": list(rows), "more": next_ is not None, "next": next_}


def test_transactions_are_a_table_by_the_charge_points_clock(stub, transactions):
    stub.body = page(OPEN, ROW)
    head, _, *lines = transactions("list").stdout.splitlines()
    assert head.split() == [
        "transaction_id",
        "charge",
        "point",
        "connector",
        "tag",
        "started",
        "stopped",
        "received",
        "Wh",
        "verdict",
        "flags",
    ]
    assert "charges" in lines[0]
    assert "2026-05-04 12:00:00Z ?" in lines[0]
    days, times = ["2026-05-04"] * 3, ["12:00:00Z", "13:00:00Z", "12:34:56Z"]
    assert [word for pair in zip(days, times, strict=True) for word in pair] == lines[1].split()[4:10]
    assert " 250 " in lines[1]
    assert "[bold]\\x1b" in lines[1]
    assert "the meter ran backwards; odd" in lines[1]
    assert json.loads(transactions("list", "--json").stdout) == stub.body


def test_a_list_says_that_there_is_more_and_where_it_begins(stub, transactions):
    stub.body = page(ROW, next_="2026-05-04T12:34:56+00:00_7")
    assert (
        "there are more: --before 2026-05-04T12:34:56+00:00_7" in transactions("list", "--limit", "1").stdout
    )
    transactions("list", "--before", "2026-05-04T12:34:56+00:00_7", "--limit", "1")
    assert asked(stub)[1]["before"] == "2026-05-04T12:34:56+00:00_7"


def test_what_is_asked_for_is_asked_of_the_server(stub, transactions):
    stub.body = page()
    done = transactions(
        "list", "--charge-point", "a/b", "--tag", "T 1", "--open", "--doubtful", "--orphans",
        "--since", "2026-01-01", "--until", "2026-01-01T00:00:00+02:00", "--limit", "5",
    )  # fmt: skip
    assert done.stdout == "no transaction is as asked for\n"
    assert asked(stub) == (
        "/api/v1/transactions",
        {
            "charge_point": "a/b", "id_tag": "T 1", "open": "1", "flagged": "1", "orphans": "1",
            "since": "2026-01-01", "until": "2026-01-01T00:00:00+02:00", "limit": "5",
        },
    )  # fmt: skip


@pytest.mark.parametrize("options", [("--limit", "0"), ("--limit", "10001"), ("--colour", "red")])
def test_an_option_that_cannot_be_is_status_2(transactions, options):
    assert transactions("list", *options).exit_code == 2


def test_what_the_server_refuses_is_status_1(stub, transactions):
    stub.status, stub.body = 400, {"title": "Bad query", "description": "since must be a time"}
    done = transactions("export", "--since", "x")
    assert (done.exit_code, "since must be a time" in done.stderr) == (1, True)


def test_one_is_shown_with_its_readings(stub, transactions):
    letter = {
        "number": 3,
        "charge_point": "CP1",
        "action": "MeterValues",
        "received_at": "2026-05-04T12:00:00Z",
    }
    letter |= {"why": "no readable timestamp", "payload": {}}
    other = {"meter_stop": 444}
    stub.body = ROW | DETAILS | {"meter_readings": [READING], "more_readings": True, "dead_letters": [letter]}
    stub.body["other_stops"] = [other]
    done = transactions("show", "7", "--limit", "1")
    assert asked(stub) == ("/api/v1/transactions/7", {"limit": "1"})
    assert "Energy.Active.Import.Register 150 Wh, 16 A" in done.stdout
    assert "2026-05-04 12:39:59Z" in done.stdout
    assert "350 Wh at 2026-05-04 13:00:00Z" in done.stdout
    assert "no readable timestamp" in done.stdout
    assert '{"meter_stop": 444}' in done.stdout
    assert "only the first 1 messages are shown" in done.stdout
    assert json.loads(transactions("show", "7", "--json").stdout) == stub.body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(("timestamp", "sampledValue", "value")), inner)
    ),
    max_leaves=8,
)


@given(json_values)
def test_readings_of_any_shape_are_shown(values):
    show_transaction(ROW | DETAILS | {"meter_readings": [READING | {"values": values}]})


class ScriptedServer:
    """Server that has transactions 1 to `count`."""

    def __init__(self, count):
        self.count = count
        self.asked = []

    def get(self, _path, **query):
        self.asked.append(query)
        top = min(self.count, int(query.get("before", 2**31)) - 1)
        rows = range(top, max(top - int(query["limit"]), 0), -1)
        told = page(*(ROW | {"transaction_id": number} for number in rows))
        return told | ({"more": True, "next": str(rows[-1])} if rows and rows[-1] > 1 else {})


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 25])
def test_pages_are_all_of_them_and_no_more_are_held_than_one(count):
    server = ScriptedServer(count)
    found = [row["transaction_id"] for row in pages(server, {"open": "1"}, page=10)]
    assert found == list(range(count, 0, -1))
    assert len(server.asked) == max(1, -(-count // 10))
    assert all(query["open"] == "1" and query["limit"] == "10" for query in server.asked)


def test_an_export_is_csv_or_json(stub, transactions):
    stub.body = page(OPEN, ROW)
    rows = list(csv.DictReader(io.StringIO(transactions("export").stdout, newline="")))
    assert tuple(rows[0]) == commands.EXPORTED
    assert (rows[0]["open"], rows[0]["meter_stop"]) == ("true", "")
    assert rows[1]["flags"] == "the meter ran backwards; odd"
    assert json.loads(transactions("export", "--json").stdout) == [OPEN, ROW]


def test_dead_letters_are_listed_with_their_reason(stub, transactions):
    row = {
        "number": 3, "charge_point": "CP1", "action": "StopTransaction", "unique_id": "1",
        "payload": {"transactionId": -1}, "transaction_id": None, "received_at": "2026-05-04T12:00:00Z",
        "why": "transaction -1 is not one of this charge point's",
    }  # fmt: skip
    stub.body = {"waiting": [], "dead_letters": [row], "more": True, "next": 3}
    done = transactions("dead-letters", "--after", "2")
    assert asked(stub) == ("/api/v1/spool", {"after": "2", "limit": "100"})
    assert "transaction -1 is not one" in done.stdout
    assert "there are more: --after 3" in done.stdout
    told = json.loads(transactions("dead-letters", "--json").stdout)
    assert told == {"dead_letters": [row], "more": True, "next": 3}
    stub.body = {"waiting": [], "dead_letters": [], "more": False, "next": None}
    assert transactions("dead-letters").stdout == "no dead letter\n"


def test_a_transaction_is_closed_with_what_is_given(stub, transactions):
    stub.body = ROW | {"closed_by": "ann"}
    done = transactions(
        "close", "8", "--by", "ann", "--meter-stop", "350", "--stopped-at", "2026-05-04", "--note", "n"
    )
    assert done.exit_code == 0, done.output
    assert asked(stub) == ("/api/v1/transactions/8/close", {})
    told = {"by": "ann", "meter_stop": 350, "stopped_at": "2026-05-04", "note": "n"}
    assert json.loads(stub.requests[-1][2]) == told
    assert json.loads(transactions("close", "8", "--json").stdout) == stub.body
    assert json.loads(stub.requests[-1][2])["by"]
