"""`chargehand reports`: its requests, and its output for the answers."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

REPORT = {
    "charge_point": "CP1",
    "number": 17,
    "action": "NotifyReport",
    "request_id": 4,
    "version": "2.0.1",
    "state": "partial",
    "missing": [1, 3],
    "flags": [],
    "begun_at": "2026-01-01T00:00:00Z",
    "last_at": "2026-01-01T00:00:01Z",
    "size_bytes": 1200,
    "parts": 2,
}


@pytest.fixture
def run(stub, _clean_environment):
    def run(*arguments):
        return CliRunner().invoke(main, ["reports", *arguments, "--url", stub.url])

    return run


def test_reports_are_a_table_or_json(stub, run):
    stub.body = {"reports": [REPORT]}
    *_, line = run("list", "CP1").stdout.splitlines()
    assert line.split()[:8] == ["17", "NotifyReport", "4", "partial", "2", "1,", "3", "1200"]
    assert (
        json.loads(run("list", "CP 1", "--action", "NotifyReport", "--request-id", "4", "--json").stdout)
        == stub.body
    )
    assert (
        stub.requests[-1][0]
        == "/api/v1/charge-points/CP%201/reports?limit=10000&action=NotifyReport&request_id=4"
    )


def test_a_report_is_its_facts_and_its_contents(stub, run):
    part = {"seq_no": 0, "last": True, "received_at": "2026-01-01T00:00:00Z", "payload": {"data": "x"}}
    stub.body = REPORT | {"parts": [part]}
    shown = run("show", "CP1", "17").stdout
    assert "partial" in shown
    assert '{"data": "x"}' in shown
    assert stub.requests[-1][0] == "/api/v1/charge-points/CP1/reports/17"


def test_a_report_that_is_forgotten_is_named(stub, run):
    stub.body = REPORT
    assert run("forget", "CP1", "17").stdout == "report 17 of CP1 is forgotten\n"


def test_no_report_is_a_line(stub, run):
    stub.body = {"reports": []}
    assert run("list", "CP1").stdout == "no report is known\n"
