"""A charge point that floods the server from one socket costs the others little, and the log a few lines."""

import subprocess
import sys
from pathlib import Path

ATTACKS = Path(__file__).parents[2] / "bench" / "attacks.py"

# Without limits the p99 of the others moves by seconds.
BOUND_MS = 400


def test_the_p99_of_good_charge_points_hardly_moves_in_a_flood() -> None:
    done = subprocess.run(
        [
            *(sys.executable, str(ATTACKS), "heartbeats", "fragments", "--good", "10"),
            *("--seconds", "1.5", "--bound-ms", str(BOUND_MS)),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "heartbeats" in done.stdout
    assert "fragments" in done.stdout
