"""Events and answers in plugin hosts, with real processes and Redis: killed plugin hosts, killed servers, blocking."""

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..postgres_process import PostgresProcess
from ..remote.redis_process import REDIS, RedisProcess
from .conftest import StartServer
from .process import until
from .rawsocket import RawSocket
from .server import Server
from .test_events import (
    ACKNOWLEDGED,
    CHARGE_POINTS,
    PLUGIN,
    Driver,
    delivered,
    drive_and_kill,
    judge,
)
from .test_remote_plugins import WorkerProcess

KILLS = 3

HOLDING = '''
import json
import os
import pathlib
from gevent import monkey

from chargehand import Plugin, TransactionEnded, TransactionStarted, after, on, passive, v16

rest = monkey.get_original("time", "sleep")
patched = monkey.is_module_patched("socket")


class Holding(Plugin):
    """Notes what it handles, and holds up while there is a file; in C, so that only a native thread may do it."""

    def __init__(self, path):
        super().__init__()
        self.path = pathlib.Path(path)

    def note(self, *line):
        with open(f"{self.path}.{os.getpid()}", "a") as file:
            file.write(json.dumps([*line, patched]) + "\\n")

    def hold(self, name):
        while (self.path.parent / name).exists():
            rest(0.01)

    @passive(v16.Authorize BLOCKING)
    def authorize(self, call):
        self.note("authorize", call.charge_point.id)
        self.hold(f"hold-{call.charge_point.id}")
        return {"idTagInfo": {"status": "Blocked"}}

    @after(v16.StartTransaction BLOCKING)
    def started(self, call, answer):
        self.note("after", call.charge_point.id, answer.transaction_id)

    @on(TransactionStarted, TransactionEnded BLOCKING)
    def take(self, event):
        self.note(type(event).__name__, event.id, event.charge_point_id)
        self.hold("hold-events")
'''


class RemoteEventsHarness:
    """Redis, nodes and plugin hosts."""

    def __init__(self, folder: Path, redis: RedisProcess, start_server: StartServer) -> None:
        self.folder = folder
        self.redis = redis
        self.path = folder / "delivered"
        self.workers: list[WorkerProcess] = []
        self._start_server = start_server

    def serve(self, *options: str, config: str = "") -> Server:
        """Start a node."""
        config += "[supervision]\nredelivery_delay_s = 0.05\n"
        return self._start_server("--redis", self.redis.url, *options, config=config)

    def work(self, plugin: str, *options: str) -> WorkerProcess:
        """Start a plugin host; `plugin` is its table in the settings."""
        settings = self.folder / "host.toml"
        settings.write_text(f"[[plugins]]\n{plugin}\narguments = {{path = {json.dumps(str(self.path))}}}\n")
        (class_name,) = [line.split('"')[1] for line in plugin.splitlines() if line.startswith("class")]
        command = [sys.executable, "-m", "chargehand", "plugin-host", class_name, "--redis", self.redis.url]
        self.workers.append(WorkerProcess(self.folder, [*command, "--config", str(settings), *options]))
        self.workers[-1].wait_ready()
        return self.workers[-1]

    def lines(self, *kinds: str) -> list[list[Any]]:
        """Return what all plugin hosts have noted of some kinds."""
        return [line for life in delivered(self.path) for line in life if line[0] in kinds]

    def noted(self, kind: str) -> bool:
        """Tell if any plugin host has noted something of a kind."""
        return bool(self.lines(kind))

    def close(self) -> None:
        """End the plugin hosts."""
        for worker in self.workers:
            worker.close()


@pytest.fixture
def harness(tmp_path: Path, start_server: StartServer) -> Iterator[RemoteEventsHarness]:
    """Redis, no server and no plugin host yet."""
    if REDIS is None:
        pytest.skip("there is no redis-server on this machine")
    redis = RedisProcess(tmp_path)
    redis.start()
    harness = RemoteEventsHarness(tmp_path, redis, start_server)
    yield harness
    harness.close()
    redis.kill()


BILLING = 'class = "billing:Billing"'
GROUP = ("--group", "billing")


@pytest.mark.slow
@pytest.mark.parametrize("nodes", [1, 2])
def test_plugin_hosts_miss_no_event_however_often_they_and_their_nodes_are_killed(
    nodes: int, harness: RemoteEventsHarness, postgres: PostgresProcess
) -> None:
    (harness.folder / "billing.py").write_text(PLUGIN)
    servers = [harness.serve("--store", postgres.url) for _ in range(nodes)]
    hosts = [harness.work(BILLING, *GROUP), harness.work(BILLING, *GROUP)]
    drivers = [Driver(f"CP{number}") for number in range(CHARGE_POINTS)]
    query = "SELECT count(*) FROM event_consumers WHERE name = 'plugin-hosts/billing' AND owner <> ''"
    until(lambda: int(postgres.sql(query)) >= nodes, "the group is no consumer")
    for kill in range(KILLS):
        drive_and_kill(servers.pop(0), drivers)
        hosts[kill % 2].process.kill()
        hosts[kill % 2] = harness.work(BILLING, *GROUP)
        if kill < KILLS - 1 or nodes == 1:  # of two, one ends for good
            servers.append(harness.serve("--store", postgres.url))

    def expected() -> set[tuple[str, int]]:
        rows = [line.split("|") for line in postgres.sql("SELECT id, stopped_at FROM transactions").split()]
        started = {("TransactionStarted", int(row[0])) for row in rows}
        return started | {("TransactionEnded", int(row[0])) for row in rows if row[1]}

    def all_there() -> bool:
        return expected() <= {
            (kind, number) for life in delivered(harness.path) for kind, _, _, number in life
        }

    until(all_there, "events are missing", 120)
    assert len(expected()) >= KILLS * ACKNOWLEDGED
    judge(delivered(harness.path), expected())
    assert servers[0].ask("GET", "/api/v1/spool").json["dead_events"] == []


def holding(harness: RemoteEventsHarness, blocking: str) -> None:
    (harness.folder / "holding.py").write_text(HOLDING.replace(" BLOCKING", blocking))


def start_until_noted(raw: RawSocket, harness: RemoteEventsHarness) -> int | None:
    """Start a transaction; return its number if an event has come: a new consumer starts when a node has seen it."""
    number: int = raw.call("StartTransaction", {**START, "meterStart": next(METER)})[2]["transactionId"]
    return number if harness.noted("TransactionStarted") else None


def verdict(raw: RawSocket) -> object:
    """Ask for a tag; return the verdict, or the code of an error."""
    kind, _, found, *_ = raw.call("Authorize", {"idTag": "T1"})
    return found["idTagInfo"]["status"] if kind == 3 else found


START = {"connectorId": 1, "idTag": "T1", "timestamp": "2026-01-01T00:00:00Z"}
METER = itertools.count(1)
PATIENT = "[deadlines]\ndefault_s = 60\n"


@pytest.mark.slow
def test_an_event_that_a_killed_plugin_host_had_in_hand_comes_again(
    harness: RemoteEventsHarness,
) -> None:
    holding(harness, "")
    server = harness.serve()
    hold = harness.folder / "hold-events"
    hold.touch()
    doomed = harness.work('class = "holding:Holding"', *GROUP)
    with RawSocket.open(server.ws + "CP1") as raw:
        number = until(lambda: start_until_noted(raw, harness), "no event came")
        raw.call(
            "StopTransaction", {"transactionId": number, "meterStop": 10_000, "timestamp": START["timestamp"]}
        )
        doomed.process.kill()
        hold.unlink()
        harness.work('class = "holding:Holding"', *GROUP)
        until(lambda: harness.noted("TransactionEnded"), "the second event did not come")
    first, again, *rest = [line[1] for line in harness.lines("TransactionStarted")]
    assert first == again
    numbers = [int(id_.rpartition(":")[2]) for id_ in (again, *rest)]
    assert numbers == sorted(numbers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("marks", "settings"),
    [(", blocking=True", ""), ("", "\nblocking = true")],
    ids=["decorators", "settings"],
)
def test_handlers_that_block_in_a_plugin_host_hold_up_their_charge_point_only(
    marks: str, settings: str, harness: RemoteEventsHarness
) -> None:
    holding(harness, marks)
    server = harness.serve(config=f'{PATIENT}[redis]\nremote_actions = ["Authorize"]\n')
    hold_call, hold_event = harness.folder / "hold-CP1", harness.folder / "hold-events"
    hold_call.touch()
    hold_event.touch()
    harness.work('class = "holding:Holding"' + settings)
    with RawSocket.open(server.ws + "CP1") as first, RawSocket.open(server.ws + "CP2") as second:
        # A node that has not seen the plugin host yet answers by itself.
        until(lambda: verdict(second) == "Blocked", "the plugin host does not answer")
        first.send_call("Authorize", {"idTag": "T1"}, "1")
        until(lambda: ["authorize", "CP1", True] in harness.lines("authorize"), "the handler has not begun")
        assert verdict(second) == "Blocked"
        hold_call.unlink()
        assert first.answer_to("1")[2]["idTagInfo"]["status"] == "Blocked"
        number = until(lambda: start_until_noted(second, harness), "no event came")
        assert verdict(first) == "Blocked"
        hold_event.unlink()
        until(lambda: number in [line[2] for line in harness.lines("after")], "no answer was seen")
    assert ["after", "CP2", number, True] in harness.lines("after")
