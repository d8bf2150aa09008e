"""`chargehand stress` against a real central system in this process, and against none."""

import csv
import json

import pytest
from click.testing import CliRunner

from chargehand import CentralSystem, OcppError, Plugin, Settings, passive, v16
from chargehand.cli.main import main

pytestmark = pytest.mark.usefixtures("_clean_environment")

SHORT = ("-c", "6", "-n", "20", "-d", "0.01", "--connect-rate", "1000")


class RefusingPlugin(Plugin):
    """Refuses to authorize."""

    @passive(v16.Authorize)
    def refuse(self, _):
        raise OcppError(description="on purpose")


@pytest.fixture
def url():
    with CentralSystem(Settings(port=0), plugins=[RefusingPlugin]) as system:
        yield f"ws://127.0.0.1:{system.port}/ocpp"


def stress(*arguments):
    return CliRunner().invoke(main, ["stress", *arguments])


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "mixed"])
def test_every_message_of_a_load_is_answered(url, ocpp):
    actions = [
        word
        for name in ("Heartbeat", "StatusNotification", "MeterValues", "DataTransfer")
        for word in ("--action", name)
    ]
    done = stress(*SHORT, "-u", url, "--ocpp", ocpp, *actions, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["connections"] == told["open"] == 6
    assert told["sent"] == told["answered"] == 6 * 12
    assert (told["refused"], told["unanswered"], told["lost"], told["failed"]) == (0, 0, 0, 0)
    assert 0 < told["p50_ms"] <= told["p99_ms"] <= told["max_ms"]


def test_the_lines_of_the_table_are_those_of_the_file(url, tmp_path):
    file = tmp_path / "load.csv"
    done = stress(*SHORT, "-u", url, "--csv", str(file))
    assert done.exit_code == 0, done.output
    rows = list(csv.reader(file.open()))
    assert [row.split() for row in done.stdout.splitlines()[:1]] == [rows[0]]
    assert sum(int(row[rows[0].index("answered")]) for row in rows[1:]) == 6 * 12
    assert "\n<" in done.stdout


def test_a_load_that_is_refused_ends_with_status_1(url):
    done = stress(*SHORT, "-u", url, "--action", "Authorize", "--json")
    assert done.exit_code == 1
    assert "a message was refused: ['GenericError', 'on purpose']" in done.output


def test_a_load_without_a_central_system_ends_with_status_1():
    done = stress(*SHORT, "-u", "ws://127.0.0.1:1/ocpp")
    assert done.exit_code == 1
    assert "no connection could be made" in done.output
