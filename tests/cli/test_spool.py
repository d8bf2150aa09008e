"""`chargehand spool`: its requests, and its output for the answers."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

from .test_transactions import ROW as TRANSACTION

pytestmark = pytest.mark.usefixtures("_clean_environment")

ROW = {
    "number": 7,
    "charge_point": "CP[/]1",
    "action": "StartTransaction",
    "unique_id": "1",
    "payload": {},
    "transaction_id": 5,
    "received_at": "2026-05-04T12:34:56Z",
    "why": "its handler failed",
}
DEAD_LETTER = ROW | {"number": 3, "transaction_id": None, "why": "OSError()"}


@pytest.fixture
def spool(stub):
    """Run one of the commands; return its output and its exit status."""

    def run(*arguments, status=0):
        done = CliRunner().invoke(main, ["spool", *arguments, "--url", stub.url])
        assert done.exit_code == status, done.output
        return done.stdout if status == 0 else done.stderr

    return run


def test_spooled_messages_and_dead_letters_are_one_table(stub, spool):
    stub.body = {"waiting": [ROW], "dead_letters": [DEAD_LETTER]}
    _, _, *lines = spool("list").splitlines()
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    assert cells == [
        ["7", "waiting", "CP[/]1", "StartTransaction", "5", "2026-05-04 12:34:56Z", "its handler failed"],
        ["3", "dead letter", "CP[/]1", "StartTransaction", "2026-05-04 12:34:56Z", "OSError()"],
    ]


def test_dead_events_are_rows_too(stub, spool):
    event = {"number": 2, "consumer": "export", "charge_point": "CP1", "kind": "Booted"}
    dead = event | {"failed_at": "2026-05-04T12:34:56Z", "why": "it fails"}
    stub.body = {"waiting": [], "dead_letters": [], "dead_events": [dead]}
    line = spool("list").splitlines()[2]
    cells = [cell.strip() for cell in line.split("  ") if cell.strip()]
    assert cells == ["2", "dead event", "CP1", "Booted", "2026-05-04 12:34:56Z", "export: it fails"]


@pytest.mark.parametrize(
    ("command", "path", "told"),
    [
        ("retry-event", "/api/v1/spool/dead-events/2/retry", "dead event 2 was taken\n"),
        ("forget-event", "/api/v1/spool/dead-events/2", "dead event 2 is forgotten\n"),
    ],
)
def test_a_dead_event_is_retried_or_forgotten(stub, spool, command, path, told):
    stub.body = {}
    assert spool(command, "2") == told
    assert stub.requests[0][0] == path


def test_an_empty_spool_is_said_to_be_empty(stub, spool):
    stub.body = {"waiting": [], "dead_letters": []}
    assert spool("list") == "the spool is empty\n"


def test_programs_get_the_rows_with_their_place(stub, spool):
    stub.body = {"waiting": [ROW], "dead_letters": [DEAD_LETTER]}
    assert json.loads(spool("list", "--json")) == [
        ROW | {"place": "waiting"},
        DEAD_LETTER | {"place": "dead letter"},
    ]


def test_one_is_retried_by_its_number(stub, spool):
    stub.body = {"retried": [3, 4]}
    assert spool("retry", "3") == "2 wait again: 3, 4\n"
    assert stub.requests[0][0] == "/api/v1/spool/3/retry"


def test_all_are_retried(stub, spool):
    stub.body = {"retried": []}
    assert spool("retry", "--all") == "no dead letter\n"
    assert stub.requests[0][0] == "/api/v1/spool/retry"


@pytest.mark.parametrize("arguments", [[], ["3", "--all"], ["0"], ["x"]])
def test_what_is_no_request_is_not_sent(stub, spool, arguments):
    spool("retry", *arguments, status=2)
    assert stub.requests == []


def test_what_the_server_refuses_is_said(stub, spool):
    stub.status, stub.body = (
        404,
        {"title": "No such dead letter", "description": "message 3 is no dead letter"},
    )
    assert "message 3 is no dead letter" in spool("retry", "3", status=1)


def test_one_is_given_to_a_transaction(stub, spool):
    stub.body = TRANSACTION
    assert "charge point" in spool("reattach", "3", "7", "--by", "ann")
    target, _, body = stub.requests[-1]
    assert target == "/api/v1/spool/dead-letters/3/reattach"
    assert json.loads(body) == {"transaction_id": 7, "by": "ann"}


def test_one_is_forgotten(stub, spool):
    stub.body = DEAD_LETTER
    assert spool("forget", "3", "--by", "ann") == "dead letter 3 is forgotten\n"
    assert stub.requests[-1][0] == "/api/v1/spool/dead-letters/3?by=ann"


def test_one_that_cannot_be_given_or_forgotten_is_status_1(stub, spool):
    stub.status, stub.body = 409, {"title": "Not attachable", "description": "no stop"}
    assert "no stop" in spool("reattach", "3", "7", status=1)
    assert "no stop" in spool("forget", "3", status=1)
