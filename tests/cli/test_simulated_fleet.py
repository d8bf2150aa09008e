"""`chargehand simulate --stations`: a fleet, its summary, and what is refused."""

import json

import pytest
from click.testing import CliRunner

from chargehand import CentralSystem, Settings
from chargehand.cli.main import main

pytestmark = pytest.mark.usefixtures("_clean_environment")

FLEET = ("simulate", "--stations", "4", "--ocpp", "mixed", "--speed", "1000000", "--profile", "fast")


@pytest.fixture
def url():
    with CentralSystem(Settings(port=0)) as system:
        yield f"ws://127.0.0.1:{system.port}/ocpp"


def run(*arguments):
    return CliRunner().invoke(main, arguments)


def test_a_fleet_prints_one_summary_and_writes_its_sessions(url, tmp_path):
    file = tmp_path / "sessions.jsonl"
    done = run(*FLEET, "--url", url, "--days", "0.5", "--misbehave", "all", "--json", "--sessions", str(file))
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    sessions = [json.loads(line) for line in file.read_text().splitlines()]
    assert summary["stations"] == 4
    assert summary["sessions"] == len(sessions) > 0
    assert summary["energy_wh"] == sum(one["energy_wh"] for one in sessions)
    assert all(one["charge_point"].startswith("SIM-000") for one in sessions)


def test_the_summary_for_people_has_time_energy_and_messages(url):
    done = run(*FLEET, "--url", url, "--days", "0.2")
    assert done.exit_code == 0, done.output
    for name in ("stations", "sessions", "energy", "messages", "reconnects"):
        assert f"\n{name} " in done.stdout


def test_a_fleet_without_a_central_system_ends_at_once():
    done = run(*FLEET, "--url", "ws://127.0.0.1:1/ocpp")
    assert done.exit_code == 1
    assert "no central system" in done.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "CP is missing"),
        (("CP1", "--ocpp", "mixed"), "--ocpp mixed needs --stations"),
        (("CP1", "--misbehave", "all"), "--misbehave all needs --stations"),
        (("CP1", "--misbehave", "no-energy"), "--misbehave no-energy needs --ocpp 2.0.1"),
        (("--stations", "2", "--sessions", "/nowhere/file"), "cannot be written"),
        (("--stations", "2", "--keep"), "--keep does not fit --stations"),
        (("CP1", "--speed", "2"), "--speed needs --stations"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_done(arguments, text):
    done = run("simulate", "--url", "ws://127.0.0.1:1/ocpp", *arguments)
    assert done.exit_code == 2
    assert text in done.output
