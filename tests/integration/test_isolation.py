"""Isolation: 50 commands that time out at once, or a plugin that hangs for one, do not delay the others."""

import subprocess
import sys
from pathlib import Path

ISOLATION = Path(__file__).parents[2] / "bench" / "isolation.py"

# The commands time out, and the handler is interrupted, after a second: whoever waited for either would see about that.
BOUND_MS = 400


def test_the_p99_of_the_untouched_does_not_move() -> None:
    done = subprocess.run(
        [
            *(sys.executable, str(ISOLATION), "--charge-points", "30"),
            *("--seconds", "1.5", "--bound-ms", str(BOUND_MS)),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "50 commands time out at once" in done.stdout
    assert "a plugin hangs for one charge point" in done.stdout
