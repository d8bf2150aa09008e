"""`chargehand simulate --ocpp 2.0.1` against a real central system in this process that speaks both versions."""

import pytest
from click.testing import CliRunner

from chargehand import CentralSystem, Plugin, Settings, passive, v16, v201
from chargehand.cli.main import main

pytestmark = pytest.mark.usefixtures("_clean_environment")

BOTH = {one.subprotocol: one for one in (v16.VERSION, v201.VERSION)}


class Office201Plugin(Plugin):
    """Accepts every station and every token but one, and keeps the events."""

    def __init__(self, events):
        super().__init__()
        self.events = events

    @passive(v201.BootNotification)
    def boot(self, _):
        return {"status": "Accepted", "currentTime": "2026-05-04T12:00:00Z", "interval": 300}

    @passive(v201.Authorize)
    def authorize(self, call):
        status = "Blocked" if call.request.id_token.id_token == "T9" else "Accepted"
        return {"idTokenInfo": {"status": status}}

    @passive(v201.TransactionEvent)
    def event(self, call):
        self.events.append(call.request)
        return {"idTokenInfo": {"status": "Accepted"}} if call.request.id_token else {}

    @passive(v201.StatusNotification)
    def status(self, _):
        return {}


@pytest.fixture
def events():
    return []


@pytest.fixture
def simulate(events):
    """Run the command against a system; the visit is as short as possible."""
    plugins = [Office201Plugin.spec(events)]
    with CentralSystem(Settings(port=0), plugins=plugins, versions=BOTH) as system:
        url = f"ws://127.0.0.1:{system.port}/ocpp"

        def run(*arguments):
            options = ["--url", url, "--ocpp", "2.0.1", "--duration", "0"]
            return CliRunner().invoke(main, ["simulate", "CP1", *options, *arguments])

        yield run


def test_a_visit_of_ocpp_201_is_told_step_by_step(simulate, events):
    done = simulate("--connector", "3")
    assert (done.exit_code, done.stderr) == (0, "")
    told = [line.split()[0] for line in done.stdout.splitlines()]
    assert told == [
        "connecting",
        "connected",
        "BootNotification",
        *["StatusNotification"] * 4,
        "Authorize",
        *["TransactionEvent"] * 4,
        "StatusNotification",
        "closed",
    ]
    assert "connector 1 of EVSE 3 is Occupied" in done.stdout
    assert (
        f"Ended 3 of transaction {events[0].transaction_info.transaction_id}, StopAuthorized" in done.stdout
    )
    assert {one.evse.id for one in events} == {3}


def test_a_fault_is_shown_on_request(simulate, events):
    assert simulate("--misbehave", "seq-no-zero", "--misbehave", "begin-zero").exit_code == 0
    assert {one.seq_no for one in events} == {0}
    assert events[0].meter_value[0].sampled_value[0].value == 0


def test_a_token_that_may_not_charge_fails_with_201_too(simulate):
    done = simulate("--tag", "T9")
    assert done.exit_code == 1
    assert "T9 may not charge: Blocked" in done.stderr


def test_faults_need_the_version_that_has_them():
    done = CliRunner().invoke(main, ["simulate", "CP1", "--misbehave", "begin-zero"])
    assert done.exit_code == 2
    assert "--misbehave begin-zero needs --ocpp 2.0.1" in done.stderr
