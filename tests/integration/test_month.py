"""The run of `make month` in short: a day of a few stations at two nodes, one of which is killed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..postgres_process import NoPostgres, find_programs

MONTH = Path(__file__).parents[2] / "bench" / "month.py"
LIMIT_S = 800.0


@pytest.mark.timeout(900)
def test_the_energy_of_a_day_is_in_the_store_to_the_wh_although_a_node_is_killed() -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server on this machine")
    try:
        find_programs()
    except NoPostgres as error:
        pytest.skip(str(error))
    options = [
        "--stations",
        "4",
        "--days",
        "1",
        "--profile",
        "fast",
        "--speed",
        "30000",
        "--disturb",
        "1",
        "--rest",
        "0",
    ]
    done = subprocess.run(
        [sys.executable, str(MONTH), *options, "--share", "0.5"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "faults: 0\n" in done.stdout
    equal = re.search(r"energy equal to the Wh in the table\s*│\s*(\d+)", done.stdout)
    assert equal is not None, done.stdout
    assert int(equal[1]) > 5
