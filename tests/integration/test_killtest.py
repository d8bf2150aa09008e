"""The kill test in short: nothing acknowledged is lost, and every planted fault is found."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..postgres_process import PostgresProcess
from ..remote.redis_process import REDIS

pytestmark = pytest.mark.timeout(900)

KILLTEST = Path(__file__).parents[2] / "bench" / "killtest"
LIMIT_S = 800.0

# The fault that is planted in the store, and the beginning of the line that must report it.
PLANTED = {
    "lose-row": "FAULT an acknowledged start is not in the store",
    "lose-reading": "FAULT acknowledged meter values are not in the store",
    "lose-stop": "FAULT an acknowledged stop is not in the store",
    "duplicate": "FAULT a transaction is there 2 times",
}
PLANTED_201 = {
    "lose-row": "FAULT a transaction is not in the store",
    "lose-reading": "FAULT an acknowledged event is not in the store",
    "duplicate-reading": "FAULT an event is there 2 times",
    "change-energy": "FAULT the energy of ",
}


def run(*options: str) -> subprocess.CompletedProcess[str]:
    """Make a run as a process of its own."""
    return subprocess.run(
        [sys.executable, str(KILLTEST), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1"])
def test_nothing_acknowledged_is_lost_or_doubled_however_often_the_server_is_killed(ocpp: str) -> None:
    counts = ("--messages", "1500", "--kills", "5", "--charge-points", "20", "--seed", "7")
    done = run("--ocpp", ocpp, "--crashes", "40", *counts)
    assert done.returncode == 0, done.stdout
    figures = dict(line.rsplit(None, 1) for line in done.stdout.splitlines())
    assert int(figures["messages acknowledged"]) >= 1500
    assert int(figures["kills"]) == 5
    assert int(figures["crashes of a plugin"]) > 0
    assert int(figures["crashes of a session"]) > 0
    assert int(figures["CALLs sent"]) > int(figures["messages acknowledged"])
    assert int(figures["events delivered"]) == int(figures["events of starts and ends"])
    assert int(figures["faults"]) == 0
    if ocpp == "2.0.1":
        acknowledged, there = (
            figures[f"events of 2.0.1 {what}"] for what in ("acknowledged", "in the store")
        )
        assert int(acknowledged) == int(there) + int(figures["in the spool"])


def test_nor_on_postgresql_which_is_killed_too(postgres_process: PostgresProcess) -> None:
    assert postgres_process.url  # where there is none, this is skipped; the run has one of its own
    counts = ("--messages", "1500", "--kills", "4", "--charge-points", "20", "--seed", "7")
    done = run("--store", "postgresql", "--store-kills", "3", *counts)
    assert done.returncode == 0, done.stdout
    figures = dict(line.rsplit(None, 1) for line in done.stdout.splitlines())
    assert int(figures["messages acknowledged"]) >= 1500
    assert (int(figures["kills"]), int(figures["kills of the database"])) == (4, 3)
    assert int(figures["faults"]) == 0


@pytest.mark.slow
@pytest.mark.skipif(REDIS is None, reason="there is no redis-server")
def test_nor_by_two_nodes_of_which_one_dies_for_good(postgres_process: PostgresProcess) -> None:
    assert postgres_process.url
    counts = ("--messages", "800", "--kills", "4", "--charge-points", "20", "--seed", "7")
    done = run("--store", "postgresql", "--nodes", "2", *counts)
    assert done.returncode == 0, done.stdout
    figures = dict(line.rsplit(None, 1) for line in done.stdout.splitlines())
    assert int(figures["messages acknowledged"]) >= 800
    assert (int(figures["kills"]), int(figures["of them of a node for good"])) == (4, 1)
    assert int(figures["events delivered"]) == int(figures["events of starts and ends"])
    assert int(figures["faults"]) == 0


def not_found(faults: dict[str, str], *options: str) -> set[str]:
    """Make one short run with these faults; return those that none of its lines reports."""
    counts = ("--messages", "40", "--kills", "1", "--charge-points", "4")
    done = run(*counts, *(part for fault in faults for part in ("--plant", fault)), *options)
    assert done.returncode == 1, done.stdout
    figures, *told = re.split(r"^with (.+)\n", done.stdout, flags=re.MULTILINE)
    assert "FAULT" not in figures, figures
    lines = dict(zip(told[::2], told[1::2], strict=True))
    assert set(lines) == set(faults)
    return {fault for fault, line in faults.items() if not re.search(f"^{line}", lines[fault], re.MULTILINE)}


def test_each_planted_fault_is_found() -> None:
    assert not_found(PLANTED) == set()


def test_each_planted_fault_is_found_in_postgresql(postgres: PostgresProcess) -> None:
    assert not_found(PLANTED, "--store", postgres.url) == set()


def test_each_planted_fault_is_found_among_the_events_of_2_0_1() -> None:
    assert not_found(PLANTED_201, "--ocpp", "2.0.1") == set()
