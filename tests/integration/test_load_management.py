"""Load management among processes, with charge points of the library `ocpp`: whichever is killed, the limit holds."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ..postgres_process import PostgresProcess
from ..remote.redis_process import REDIS, RedisProcess
from .conftest import StartServer
from .process import until
from .server import Server
from .test_workers import TWO, workers_of

LIMIT_A = 30.0
LONG_S = 120.0
SITE = f"""
[plugins.load-management]
scope = "cluster"

[[plugins.load-management.sites]]
name = "depot"
charge_points = ["CP*"]
limit_a = {LIMIT_A}
retry_s = 2
"""
THIRDS = dict.fromkeys(("CP1", "CP2", "CP3"), LIMIT_A / 3)
CLIENT = Path(__file__).with_name("load_client.py")


class Printed:
    """Limits that charge points have printed, and those that hold."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def lines(self) -> list[tuple[str, float]]:
        whole = self._file.read_text().rpartition("\n")[0].splitlines()
        return [(row["id"], row["amps"]) for row in map(json.loads, whole)]

    def held(self, *names: str) -> dict[str, float]:
        now = dict(self.lines())
        return {name: now.get(name, -1.0) for name in names}

    def highest_sum(self, *names: str) -> float:
        """Return the most that all of them might draw at once, since each had a limit."""
        held: dict[str, float] = {}
        highest = 0.0
        for name, amps in self.lines():
            held[name] = amps
            if held.keys() == set(names):
                highest = max(highest, sum(held.values()))
        return highest


@contextmanager
def charging(folder: Path, *urls: str) -> Iterator[Printed]:
    """Run three charge points, of which each prints its limits."""
    output = folder / "limits"
    with output.open("wb") as file:
        client = subprocess.Popen([sys.executable, str(CLIENT), ",".join(urls), *THIRDS], stdout=file)
        try:
            yield Printed(output)
        finally:
            client.kill()
            client.wait()


def sites(server: Server) -> bool:
    """Tell if the plugin answers over HTTP, in whichever process."""
    with suppress(OSError):
        return server.ask("GET", "/api/v1/plugins/load-management/sites").status == 200
    return False


def is_back(server: Server, number: int, killed: int) -> bool:
    """Tell if a worker process that was killed runs again."""
    with suppress(OSError, KeyError, ValueError):
        row = workers_of(server)[number]
        return row["pid"] != killed and row["state"] == "running"
    return False


def test_whichever_worker_process_is_killed_the_limit_is_shared_on(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(*TWO, config=SITE)
    with charging(tmp_path, server.ws) as printed:
        until(lambda: printed.held(*THIRDS) == THIRDS, "the limit is not shared", LONG_S)
        for number in (1, 2):
            before = len(printed.lines())
            killed = workers_of(server)[number]["pid"]
            os.kill(killed, signal.SIGKILL)
            # Those that were connected there come again, and have their limits confirmed.
            until(lambda before=before: len(printed.lines()) > before, "nothing is confirmed", LONG_S)
            until(lambda: printed.held(*THIRDS) == THIRDS, "the limit is not shared on", LONG_S)
            until(
                lambda number=number, killed=killed: is_back(server, number, killed),
                "the worker process is not started again",
                LONG_S,
            )
        until(lambda: sites(server), "no process shows the site", LONG_S)
        assert printed.highest_sum(*THIRDS) <= LIMIT_A


def test_on_two_nodes_of_which_one_is_killed_the_limit_is_shared_on(
    start_server: StartServer, postgres: PostgresProcess, tmp_path: Path
) -> None:
    if REDIS is None:
        pytest.skip("there is no redis-server on this machine")
    redis = RedisProcess(tmp_path)
    redis.start()
    try:
        one, two = (
            start_server("--store", postgres.url, "--redis", redis.url, config=SITE) for _ in range(2)
        )
        with charging(tmp_path, one.ws, two.ws) as printed:
            until(lambda: printed.held(*THIRDS) == THIRDS, "the limit is not shared", LONG_S)
            before = len(printed.lines())
            one.process.send_signal(signal.SIGKILL)
            one.process.wait(60)
            until(lambda: len(printed.lines()) > before, "nothing is confirmed", LONG_S)
            until(lambda: printed.held(*THIRDS) == THIRDS, "the limit is not shared on", LONG_S)
            until(lambda: sites(two), "the other node does not show the site", LONG_S)
            assert printed.highest_sum(*THIRDS) <= LIMIT_A
        two.stop()
    finally:
        redis.kill()
