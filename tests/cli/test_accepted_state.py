"""`chargehand reservations`, `profiles` and `tags push`: their requests, and their output for the answers."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

RESERVATION = {
    "reservation_id": 5,
    "charge_point": "CP1",
    "connector_id": 1,
    "connector_type": "",
    "id_tag": "T1",
    "parent": "",
    "state": "expired",
    "expiry": "2026-01-01T00:00:00Z",
    "accepted_at": "2026-01-01T00:00:00Z",
    "transaction_id": None,
}
PROFILE = {
    "charging_profile_id": 4,
    "charge_point": "CP1",
    "connector_id": 2,
    "purpose": "TxProfile",
    "stack_level": 3,
    "transaction_id": 8,
    "id_tag": "",
    "source": "",
    "accepted_at": "2026-01-01T00:00:00Z",
    "profile": {"stackLevel": 3},
}
UPDATE = {
    "charge_point": "CP1",
    "update_type": "Full",
    "entries": 120,
    "version": 3,
    "in_step": True,
    "left_out": 0,
    "tickets": [{}],
    "clear_cache": None,
}


@pytest.fixture
def run(stub, _clean_environment):
    def run(*arguments):
        return CliRunner().invoke(main, [*arguments, "--url", stub.url])

    return run


def test_reservations_are_a_table_or_json(stub, run):
    stub.body = {"reservations": [RESERVATION], "more": False}
    head, _, line = run("reservations", "list").stdout.splitlines()
    assert head.split()[:3] == ["reservation_id", "charge_point", "connector_id"]
    assert line.split() == ["5", "CP1", "1", "T1", "expired", "2026-01-01", "00:00:00Z"]
    assert stub.requests[-1][0] == "/api/v1/reservations?limit=10000"
    assert json.loads(run("reservations", "list", "--charge-point", "CP 1", "--json").stdout) == stub.body
    assert stub.requests[-1][0] == "/api/v1/reservations?limit=10000&charge_point=CP+1"


def test_profiles_are_a_table_or_json(stub, run):
    stub.body = {"charging_profiles": [PROFILE], "more": True}
    _, _, line, more = run("profiles", "list").stdout.splitlines()
    assert "there are more" in more
    assert line.split() == ["4", "CP1", "2", "TxProfile", "3", "8", "2026-01-01", "00:00:00Z"]
    assert json.loads(run("profiles", "list", "--json").stdout) == stub.body
    assert stub.requests[-1][0] == "/api/v1/charging-profiles?limit=10000"


def test_none_is_a_line(stub, run):
    stub.body = {"charging_profiles": [], "reservations": [], "more": False}
    assert run("reservations", "list").stdout == "no reservation is known\n"
    assert run("profiles", "list").stdout == "no charging profile is known\n"


@pytest.mark.parametrize(
    ("more", "lines"),
    [
        ({}, ["CP1 has version 3: 120 sent, all tags"]),
        ({"update_type": "Differential", "entries": 2}, ["CP1 has version 3: 2 sent, changes"]),
        ({"update_type": None, "entries": 0, "tickets": []}, ["CP1 has version 3: nothing to do"]),
        (
            {"tickets": [{}, {}], "left_out": 1, "clear_cache": {"state": "answered"}},
            [
                "CP1 has version 3: 120 sent, all tags",
                "it took 2 messages",
                "1 tags are too long for any list",
                "its cache is cleared",
            ],
        ),
    ],
)
def test_what_a_push_has_done_is_told(stub, run, more, lines):
    stub.body = UPDATE | more
    done = run("tags", "push", "CP1")
    assert (done.exit_code, done.stdout.splitlines()) == (0, lines)


def test_a_push_asks_for_what_its_options_say(stub, run):
    stub.body = UPDATE
    run("tags", "push", "CP/1", "--full", "--clear-cache", "--timeout", "5")
    path = "/api/v1/charge-points/CP%2F1/local-list?full=1&clear_cache=1&timeout=5"
    assert stub.requests[-1][0] == path


def test_a_push_that_was_declined_is_status_one(stub, run):
    stub.status = 409
    stub.body = UPDATE | {
        "title": "Declined by the charge point",
        "description": "SendLocalList to CP1: Failed",
    }
    done = run("tags", "push", "CP1")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "SendLocalList to CP1: Failed" in done.stderr
