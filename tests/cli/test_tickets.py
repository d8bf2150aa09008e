"""`chargehand tickets`: its output for the answers of the server."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

TICKET = {
    "ticket": "ab-1", "state": "answered", "response": {"status": "Accepted"}, "open": False, "charge_point": "CP1",
    "action": "ClearCache", "request": {}, "reason": "", "timeout_s": 30.0, "created_at": "2026-05-04T12:00:00Z",
    "sent_at": "2026-05-04T12:00:01Z", "ended_at": "2026-05-04T12:00:02.5Z", "late_answer": None,
}  # fmt: skip
WAITS = {key: value for key, value in TICKET.items() if key != "response"} | {
    "ticket": "ab-2", "state": "queued", "open": True, "sent_at": None, "ended_at": None,
}  # fmt: skip


@pytest.fixture
def tickets(stub, _clean_environment):
    """Run one of the commands."""

    def run(*arguments):
        return CliRunner().invoke(main, ["tickets", *arguments, "--url", stub.url])

    return run


def test_tickets_are_a_table(stub, tickets):
    stub.body = {"tickets": [WAITS, TICKET], "more": False}
    done = tickets("list", "--charge-point", "CP1", "--open", "--limit", "7")
    assert stub.requests[0][0] == "/api/v1/tickets?charge_point=CP1&open=1&limit=7"
    _, _, *lines = done.stdout.splitlines()
    assert lines[0].split() == ["ab-2", "CP1", "ClearCache", "queued", "2026-05-04", "12:00:00Z"]
    assert lines[1].rstrip().endswith("2026-05-04 12:00:02Z")
    assert json.loads(tickets("list", "--json").stdout) == stub.body
    stub.body = {"tickets": [TICKET], "more": True}
    assert "there are more" in tickets("list").stdout
    stub.body = {"tickets": [], "more": False}
    assert tickets("list").stdout == "No matching tickets.\n"


def test_one_is_shown_with_its_payloads(stub, tickets):
    stub.body = TICKET
    assert '{"status": "Accepted"}' in tickets("show", "ab-1").stdout
    assert json.loads(tickets("show", "ab-1", "--json").stdout) == TICKET


def test_an_export_is_csv_with_payloads_as_json_or_json(stub, tickets):
    stub.body = {"tickets": [WAITS, TICKET], "more": True}
    done = tickets("export")
    rows = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
    assert [(row["ticket"], row["request"], row["response"]) for row in rows] == [
        ("ab-2", "{}", ""),
        ("ab-1", "{}", '{"status": "Accepted"}'),
    ]
    assert "there are more than these 2" in done.stderr
    assert json.loads(tickets("export", "--json").stdout) == [WAITS, TICKET]


def test_one_that_waits_is_cancelled(stub, tickets):
    stub.body = WAITS | {"state": "cancelled"}
    assert tickets("cancel", "ab-2").stdout == "ab-2 is cancelled\n"
    stub.status = 202
    assert "will be cancelled" in tickets("cancel", "ab-2").stdout


def test_one_that_is_on_the_wire_is_status_1(stub, tickets):
    stub.status, stub.body = 409, {"title": "Not cancelled", "description": "it is on the wire"}
    done = tickets("cancel", "ab-1")
    assert (done.exit_code, "it is on the wire" in done.stderr) == (1, True)
