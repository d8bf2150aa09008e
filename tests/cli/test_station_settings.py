"""`chargehand monitors`, `display-messages` and `network-profiles`: their requests, and their output."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

AT = "2026-01-01T00:00:00Z"
SHOWN = ["2026-01-01", "00:00:00Z"]
MONITOR = {
    "monitor_id": 7,
    "charge_point": "CP1",
    "variable": "A.B",
    "kind": "Delta",
    "value": 1.5,
    "severity": 4,
    "transaction_only": False,
    "ours": True,
    "accepted_at": AT,
}
MESSAGE = {
    "message_id": 3,
    "charge_point": "CP1",
    "text": "Hello",
    "priority": "InFront",
    "state": "",
    "transaction_id": 8,
    "accepted_at": AT,
    "data": {},
}
PROFILE = {"slot": 1, "charge_point": "CP1", "accepted_at": AT, "data": {"securityProfile": 2}}


@pytest.fixture
def run(stub, _clean_environment):
    def run(*arguments):
        return CliRunner().invoke(main, [*arguments, "--url", stub.url])

    return run


@pytest.mark.parametrize(
    ("command", "name", "row", "first"),
    [
        ("monitors", "monitors", MONITOR, ["7", "CP1", "A.B", "Delta", "1.5", "4"]),
        ("display-messages", "display_messages", MESSAGE, ["3", "CP1", "Hello", "InFront", "8", *SHOWN]),
        ("network-profiles", "network_profiles", PROFILE, ["1", "CP1", *SHOWN]),
    ],
)
def test_what_stations_have_set_is_a_table_or_json(command, name, row, first, stub, run):
    stub.body = {name: [row], "more": False}
    _, _, line = run(command, "list").stdout.splitlines()
    assert line.split()[: len(first)] == first
    assert stub.requests[-1][0] == f"/api/v1/{command}?limit=10000"
    assert json.loads(run(command, "list", "--charge-point", "CP 1", "--json").stdout) == stub.body
    assert stub.requests[-1][0] == f"/api/v1/{command}?limit=10000&charge_point=CP+1"
    stub.body = {name: [], "more": False}
    assert run(command, "list").stdout.startswith("no ")
