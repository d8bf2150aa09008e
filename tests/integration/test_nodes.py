"""The run of `make nodes` in short: two nodes, two plugin hosts and Redis behind one address, each killed in turn."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..postgres_process import NoPostgres, find_programs

pytestmark = pytest.mark.timeout(900)

NODES = Path(__file__).parents[2] / "bench" / "nodes"
LIMIT_S = 800.0


def figures_of(*options: str) -> dict[str, str]:
    """Make a run; return its figures. It has asserted itself that nothing is lost or doubled."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server on this machine")
    try:
        find_programs()
    except NoPostgres as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [sys.executable, str(NODES), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    figures = {
        cells[0].strip(): cells[1].strip()
        for line in done.stdout.splitlines()
        if len(cells := line.strip("\u2502 ").split("\u2502")) == 2
    }
    assert figures["faults"] == "0"
    return figures


def test_nothing_is_lost_or_doubled_when_a_worker_a_node_and_redis_are_killed() -> None:
    figures = figures_of("--charge-points", "20", "--quiet-s", "1.5")
    assert int(figures["answered by a handler"].replace(",", "")) > 0
    assert int(figures["tickets answered"].replace(",", "")) > 0


def test_nodes_are_upgraded_one_after_the_other_and_nothing_is_lost() -> None:
    figures = figures_of("--charge-points", "10", "--quiet-s", "0.2", "--upgrade-to", "future_version")
    assert figures["transactions in the store"] == figures["starts acknowledged"] != "0"
    assert figures["meter values in the store"] == figures["meter values acknowledged"]
