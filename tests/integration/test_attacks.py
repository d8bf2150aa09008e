"""In floods and among mutated frames every good charge point is answered, and the server stays well.

No latency is judged: the machine may be busy.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ATTACKS = Path(__file__).parents[2] / "bench" / "attacks.py"


def run(*options: str) -> str:
    """Run attacks to their end; return the table."""
    done = subprocess.run(
        [sys.executable, str(ATTACKS), *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(600)
def test_good_charge_points_are_answered_in_a_flood() -> None:
    table = run("heartbeats", "fragments", "--good", "10", "--seconds", "1.5")
    assert "heartbeats" in table
    assert "fragments" in table


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("transport", "version"), [("greenlet", "1.6"), ("reactor", "2.0.1")])
def test_thousands_of_mutated_frames_leave_the_server_as_it_was(transport: str, version: str) -> None:
    table = run(
        *("mutations", "--frames", "5000", "--version", version, "--transport", transport, "--no-radamsa"),
        *("--good", "3", "--seconds", "0.3", "--growth-mib", "32"),
    )
    assert "deflate" in table
