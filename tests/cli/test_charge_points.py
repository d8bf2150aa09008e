"""`chargehand charge-points`: what it makes of what the server says."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

pytestmark = pytest.mark.usefixtures("_clean_environment")

HERE = {
    "id": "CP1",
    "name": "",
    "connected": True,
    "peer": "192.0.2.1:5000",
    "secure": True,
    "connected_at": "2026-05-04T12:34:56.789Z",
    "disconnected_at": None,
    "registration": "Accepted",
}
AWAY = HERE | {
    "id": "[bold]\x1b",
    "connected": False,
    "secure": False,
    "connected_at": None,
    "disconnected_at": "2026-05-03T00:00:00Z",
    "registration": None,
}


@pytest.fixture
def listed(stub):
    """Print a list of charge points."""

    def run(rows, *options):
        stub.body = {"charge_points": rows}
        done = CliRunner().invoke(main, ["charge-points", "--url", stub.url, *options])
        assert (done.exit_code, done.stderr) == (0, "")
        return done.stdout

    return run


def cells(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_the_connected_ones_are_a_table(listed):
    head, _, *lines = listed([HERE, AWAY]).splitlines()
    assert cells(head) == ["charge point", "peer", "since", "registration"]
    assert [cells(line) for line in lines] == [
        ["CP1", "192.0.2.1:5000 (TLS)", "2026-05-04 12:34:56", "Accepted"]
    ]


def test_with_all_those_that_are_away_are_there_too(listed):
    lines = listed([HERE, AWAY], "--all").splitlines()
    assert cells(lines[3]) == ["[bold]\\x1b", "away", "2026-05-03 00:00:00"]


def test_a_long_id_is_shown_whole(listed):
    assert "x" * 120 in listed([HERE | {"id": "x" * 120}])


def test_that_there_is_none_is_said(listed):
    assert listed([AWAY]) == "no charge point is connected\n"


def test_programs_get_the_rows_as_they_came(listed):
    assert json.loads(listed([HERE, AWAY], "--json")) == [HERE]
    assert json.loads(listed([HERE, AWAY], "--json", "--all")) == [HERE, AWAY]
