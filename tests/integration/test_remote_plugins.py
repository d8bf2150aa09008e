"""Remote plugins with real processes: a server, plugin hosts and Redis, and one of them killed.

The charge points are threads with a socket each; the plugin notes the calls that it handled in one file per host.
"""

import itertools
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from ..remote.redis_process import REDIS, RedisProcess
from .conftest import StartServer
from .process import kill, until
from .rawsocket import RawSocket
from .server import Server

CHARGE_POINTS = 12

PLUGIN = '''
import json, os, pathlib, time
from chargehand import Plugin, passive, v16

LOG = pathlib.Path(os.environ["HANDLED"]) / str(os.getpid())

class Depot(Plugin):
    """Writes down what it handles, and says who it is."""

    def __init__(self):
        self.log = LOG.open("a", buffering=1)

    @passive(v16.Authorize)
    def authorize(self, call):
        self.log.write(json.dumps([call.charge_point.id, call.request.id_tag, time.time()]) + "\\n")
        return {"idTagInfo": {"status": "Accepted", "parentIdTag": str(os.getpid())}}

    @passive(v16.StopTransaction)
    def stopped(self, call):
        self.log.write(json.dumps([call.charge_point.id, f"stop {call.request.transaction_id}", time.time()]) + "\\n")
        return {}
'''


class WorkerProcess:
    """Process of `chargehand plugin-host`, or of another program that serves as one."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self._output = (folder / f"worker-{time.monotonic_ns()}").open("w+b")
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder), "HANDLED": str(folder / "handled")}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        self.pid = self.process.pid

    @property
    def output(self) -> str:
        """Output of the process so far."""
        return Path(self._output.name).read_text(errors="replace")

    def wait_ready(self) -> None:
        """Wait until the process prints that it is ready."""
        until(lambda: "ready" in self.output.splitlines(), f"the worker is not ready: {self.output}")

    def stop(self) -> None:
        """Send SIGTERM; the process ends in order."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.output

    def close(self) -> None:
        """End the process in every case."""
        kill(self.process)
        self._output.close()


class PluginHostsHarness:
    """Redis, one server, and plugin hosts."""

    def __init__(self, folder: Path, redis: RedisProcess, start_server: StartServer) -> None:
        self.folder = folder
        self.redis = redis
        (folder / "handled").mkdir()
        (folder / "depot.py").write_text(PLUGIN)
        config = '[redis]\nremote_actions = ["Authorize", "StopTransaction"]\n[supervision]\nredelivery_delay_s = 0.2\n'
        config += "[deadlines]\ndefault_s = 60\n"
        self.server: Server = start_server("--redis", redis.url, config=config)
        self.workers: list[WorkerProcess] = []

    def work(self) -> WorkerProcess:
        """Start a plugin host."""
        command = [
            sys.executable,
            "-m",
            "chargehand",
            "plugin-host",
            "depot:Depot",
            "--redis",
            self.redis.url,
        ]
        return self.begin(command)

    def begin(self, command: list[str]) -> WorkerProcess:
        """Start a program as a plugin host."""
        self.workers.append(WorkerProcess(self.folder, command))
        self.workers[-1].wait_ready()
        return self.workers[-1]

    def handled(self) -> list[tuple[str, str, float]]:
        """Return the calls that all plugin hosts have handled, by time."""
        lines = [
            line for file in (self.folder / "handled").iterdir() for line in file.read_text().splitlines()
        ]
        return sorted(((*json.loads(line),) for line in lines), key=lambda one: one[2])

    def shares_evenly(self, workers: int) -> bool:
        """Tell if the streams are assigned to this number of plugin hosts, evenly."""
        owners = Counter(
            line
            for number in range(16)
            for line in self.ask("GET", f"chargehand:p:{number}:owner:default").split()
        )
        return len(owners) == workers and len(set(owners.values())) == 1 and sum(owners.values()) == 16

    def ask(self, *command: str) -> str:
        """Return the answer of Redis to a command, as text."""
        with RawRedis(self.redis.port) as redis:
            return redis.ask(*command)

    def close(self) -> None:
        """End the plugin hosts."""
        for worker in self.workers:
            worker.close()


class RawRedis:
    """Client of Redis with the part of its protocol that the test needs."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60.0)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def ask(self, *command: str) -> str:
        """Return a bulk string or a number as text, "" for nothing."""
        parts = "".join(f"${len(part)}\r\n{part}\r\n" for part in command)
        self._socket.sendall(f"*{len(command)}\r\n{parts}".encode())
        line = self._file.readline().decode().strip()
        if line[0] == "$" and line != "$-1":
            return self._file.read(int(line[1:]) + 2).decode().strip()
        return "" if line == "$-1" else line[1:]


class AuthorizingFleet:
    """Charge points that authorize one tag after the other, each with its own counter."""

    def __init__(self, server: Server, actions: Callable[[int], tuple[str, Any]]) -> None:
        self._ended = threading.Event()
        self._actions = actions
        self.answers: dict[str, list[tuple[str, list[Any]]]] = defaultdict(list)
        self.faults: list[str] = []
        self._threads = [
            threading.Thread(target=self._run, args=(server, f"CP{number}"), daemon=True)
            for number in range(CHARGE_POINTS)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, server: Server, id_: str) -> None:
        try:
            with RawSocket.open(server.ws + id_, timeout_s=60.0) as raw:
                for number in itertools.count(1):
                    if self._ended.is_set():
                        return
                    action, payload = self._actions(number)
                    answer = raw.call(action, payload)
                    self.answers[id_].append((f"T{number}", answer))
        except Exception as error:  # noqa: BLE001 - the test tells it
            self.faults.append(f"{id_}: {error!r}")

    @property
    def count(self) -> int:
        """Return the number of answers so far."""
        return sum(map(len, self.answers.values()))

    def more(self, count: int, timeout_s: float = 60.0) -> None:
        """Wait for `count` more answers."""
        wanted = self.count + count
        until(lambda: self.faults or self.count >= wanted, "the charge points are not answered", timeout_s)
        assert not self.faults

    def end(self) -> dict[str, list[tuple[str, list[Any]]]]:
        """Stop, and return all answers."""
        self._ended.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        assert not self.faults
        return self.answers


def authorizing(number: int) -> tuple[str, Any]:
    """Return a call whose tag has its number."""
    return "Authorize", {"idTag": f"T{number}"}


@pytest.fixture
def harness(tmp_path: Path, start_server: StartServer) -> Iterator[PluginHostsHarness]:
    """Redis, a server, and no plugin host yet."""
    if REDIS is None:
        pytest.skip("there is no redis-server on this machine")
    redis = RedisProcess(tmp_path)
    redis.start()
    harness = PluginHostsHarness(tmp_path, redis, start_server)
    yield harness
    harness.close()
    redis.kill()


def answered_by(answer: list[Any]) -> str:
    """Return the plugin host that an answer is of, "" for a fallback's."""
    return str(answer[2]["idTagInfo"]["parentIdTag"]) if answer[0] == 3 else ""


def assert_in_order(harness: PluginHostsHarness) -> None:
    """Check that each charge point's calls were handled in the order of sending; one may be handled twice."""
    by_charge_point: dict[str, list[int]] = defaultdict(list)
    for id_, tag, _ in harness.handled():
        by_charge_point[id_].append(int(tag[1:]))
    for id_, numbers in by_charge_point.items():
        assert numbers == sorted(numbers), id_


def test_two_plugin_hosts_share_the_load_and_a_killed_one_is_replaced_in_its_lease(
    harness: PluginHostsHarness,
) -> None:
    first, second = harness.work(), harness.work()
    until(lambda: harness.shares_evenly(2), "the streams are not shared")
    fleet = AuthorizingFleet(harness.server, authorizing)
    fleet.more(300)
    kill(second.process)
    until(lambda: harness.shares_evenly(1), "the streams of the dead were not taken")
    fleet.more(300)
    answers = fleet.end()
    all_answers = [answer for one in answers.values() for answer in one]
    assert [answer for _, answer in all_answers if not answered_by(answer)] == []
    assert {answered_by(answer) for _, answer in all_answers} == {str(first.pid), str(second.pid)}
    assert_in_order(harness)
    twice = [
        one for one, times in Counter((id_, tag) for id_, tag, _ in harness.handled()).items() if times > 1
    ]
    assert len(twice) <= CHARGE_POINTS  # what it was handling when it was killed; nobody has had its answer


def test_a_worker_that_is_stopped_gives_way_and_nobody_notices(harness: PluginHostsHarness) -> None:
    harness.work()
    second = harness.work()
    until(lambda: harness.shares_evenly(2), "the streams are not shared")
    fleet = AuthorizingFleet(harness.server, authorizing)
    fleet.more(200)
    second.stop()
    fleet.more(200)
    answers = fleet.end()
    assert all(answered_by(answer) for one in answers.values() for _, answer in one)
    assert len(harness.handled()) == fleet.count  # nothing was begun twice
    assert_in_order(harness)


def test_fallbacks_answer_while_redis_is_away_and_what_they_took_is_handled_after_it(
    harness: PluginHostsHarness,
) -> None:
    harness.work()
    until(lambda: harness.shares_evenly(1), "the streams are not taken")

    def mixed(number: int) -> tuple[str, Any]:
        if number % 2:
            return authorizing(number)
        time_text = "2026-01-01T00:00:00Z"
        return "StopTransaction", {"transactionId": number, "meterStop": 1, "timestamp": time_text}

    fleet = AuthorizingFleet(harness.server, mixed)
    fleet.more(100)
    harness.redis.kill()
    ask = harness.server.ask
    until(lambda: ask("GET", "/readyz").status == 503, "it is ready without its coordinator")
    health = ask("GET", "/healthz")  # charge points are served, and sent no commands
    assert (health.status, health.json["status"]) == (200, "degraded")
    assert "coordinator" in health.json["failing"]
    fleet.more(100)
    harness.redis.start()
    until(lambda: harness.shares_evenly(1), "the streams are not taken again")
    until(lambda: ask("GET", "/readyz").status == 200, "it is not ready again")
    fleet.more(100)
    answers = fleet.end()
    stops = {
        (id_, f"stop {tag[1:]}") for id_, one in answers.items() for tag, answer in one if answer[2] == {}
    }
    assert len(stops) == sum(
        len(one) // 2 for one in answers.values()
    )  # each StopTransaction was acknowledged
    until(lambda: stops <= {(id_, tag) for id_, tag, _ in harness.handled()}, "some were not replayed")
    assert any(answer[0] == 4 for one in answers.values() for _, answer in one)


def test_a_worker_in_another_language_answers_too(harness: PluginHostsHarness) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    example = Path(__file__).parents[2] / "examples" / "plugin_host.mjs"
    worker = harness.begin([node, str(example), "127.0.0.1", str(harness.redis.port)])
    until(lambda: harness.shares_evenly(1), "the streams are not taken")
    fleet = AuthorizingFleet(harness.server, authorizing)
    fleet.more(100)
    harness.work()
    until(lambda: harness.shares_evenly(2), "the streams are not shared")
    fleet.more(200)
    worker.stop()
    until(lambda: harness.shares_evenly(1), "the streams are not given back")
    fleet.more(100)
    answers = fleet.end()
    by = Counter(answered_by(answer) for one in answers.values() for _, answer in one)
    assert set(by) == {"mjs", str(harness.workers[1].pid)}
    for one in answers.values():
        assert [tag for tag, _ in one] == [f"T{number}" for number in range(1, len(one) + 1)]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["depot:Depot"], "no Redis is given"),
        (["depot:Nothing", "--redis", "redis://127.0.0.1:1"], "depot:Nothing"),
        (["depot:Depot", "--redis", "http://127.0.0.1:1"], "redis.url"),
        (["depot:Depot", "--redis", "redis://127.0.0.1:1", "--group", "a:b"], "--group"),
        (["broken:Broken", "--redis", "redis://127.0.0.1:1"], "division by zero"),
    ],
)
def test_a_worker_that_cannot_start_says_why_in_a_line_and_what_to_do_next(
    tmp_path: Path, arguments: list[str], text: str
) -> None:
    (tmp_path / "handled").mkdir()
    (tmp_path / "depot.py").write_text(PLUGIN)
    (tmp_path / "broken.py").write_text("1 / 0")
    worker = WorkerProcess(tmp_path, [sys.executable, "-m", "chargehand", "plugin-host", *arguments])
    try:
        assert worker.process.wait(60) in (1, 2)
        *_, why, what_next = worker.output.splitlines()
        assert text in why, worker.output
        assert what_next.startswith("  next: "), worker.output
    finally:
        worker.close()
