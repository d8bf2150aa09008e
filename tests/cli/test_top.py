"""`chargehand top`: rates of two samples, what it shows, and what it does when the server is away."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.api import Api, NoAnswer
from chargehand.cli.main import main
from chargehand.cli.top import Rates, Top

pytestmark = pytest.mark.usefixtures("_clean_environment")


def sample(*workers, **more):
    names = ("worker", "at", "calls", "commands")
    rows = [{**dict(zip(names, one, strict=True)), "connected": 150, "open_commands": 1} for one in workers]
    lists = {name: [] for name in ("unanswered", "busiest", "inboxes", "plugins", "handlers")}
    return {"workers": rows, **lists, **more}


BUSY = {"charge_point": "CP[/]1", "messages_per_s": 12.25, "inbox": 3, "paused": True, "worker": 2}
SLOW = {
    "plugin": "Tags", "charge_point": "CP9", "action": "Authorize", "state": "running", "seconds": 4.5, "worker": 1,
}  # fmt: skip
PLUGIN = {"plugin": "Tags", "inbox": 7, "running": 64, "concurrency": 64, "quarantined": False, "worker": 1}


def test_rates_are_differences_of_each_worker_process():
    rates = Rates()
    first = rates.add(sample((1, 10.0, {"Heartbeat": 5}, 0), (2, 99.0, {"Heartbeat": 100}, 7)))
    assert (first["calls_per_s"], first["commands_per_s"]) == (None, None)
    second = rates.add(
        sample((1, 12.0, {"Heartbeat": 9, "Authorize": 2}, 1), (2, 100.0, {"Heartbeat": 110}, 7))
    )
    assert second["calls_per_s"] == {"Heartbeat": 12.0, "Authorize": 1.0}
    assert second["commands_per_s"] == 0.5


def test_a_worker_process_that_was_started_again_counts_from_its_next_sample():
    rates = Rates()
    rates.add(sample((1, 500.0, {"Heartbeat": 1000}, 0)))
    assert rates.add(sample((1, 2.0, {"Heartbeat": 4}, 0)))["calls_per_s"] is None
    assert rates.add(sample((1, 4.0, {"Heartbeat": 10}, 0)))["calls_per_s"] == {"Heartbeat": 3.0}


@pytest.fixture
def waits(monkeypatch):
    waited = []
    monkeypatch.setattr("chargehand.cli.top.time.sleep", waited.append)
    return waited


def test_once_takes_two_samples_and_prints_tables(stub, waits):
    stub.body = sample(
        (1, 1.0, {"Heartbeat": 5}, 0), (2, 1.0, {}, 0),
        busiest=[BUSY], inboxes=[BUSY], plugins=[PLUGIN], handlers=[SLOW], unanswered=[3],
    )  # fmt: skip
    done = CliRunner().invoke(main, ["top", "--once", "--interval", "0.2", "--url", stub.url, "--limit", "5"])
    assert (done.exit_code, done.stderr) == (0, "")
    for text in (
        "300 connected", "2 processes", "worker 3 does not answer", "CP[/]1", "12.2", "paused", "64 of 64", "Authorize",
        "handlers that take long", "4.5",
    ):  # fmt: skip
        assert text in done.stdout
    assert [target for target, _, _ in stub.requests] == ["/api/v1/activity?limit=5"] * 2
    assert waits == [0.2]


@pytest.mark.usefixtures("waits")
def test_once_as_json_has_the_rates(stub):
    stub.body = sample((1, 1.0, {"Heartbeat": 5}, 0))
    done = CliRunner().invoke(
        main, ["top", "--once", "--interval", "0.2", "--json", "--worker", "1", "--url", stub.url]
    )
    assert json.loads(done.stdout)["workers"][0]["connected"] == 150
    assert stub.requests[0][0] == "/api/v1/activity?limit=10&worker=1"


def test_a_server_that_is_away_is_asked_again(stub):
    stub.body = sample((1, 1.0, {}, 0))
    waits = []
    following = Top(Api(stub.url, ""), {}, wait=waits.append).follow(2.0)
    assert next(following)["workers"]
    stub.server.socket.close()
    assert isinstance(next(following), NoAnswer)
    assert isinstance(next(following), NoAnswer)
    assert waits == [2.0, 2.0]


def test_without_a_server_it_ends_with_the_next_step():
    done = CliRunner().invoke(main, ["top", "--url", "http://127.0.0.1:1"])
    assert (done.exit_code, "next: " in done.stderr) == (1, True)
