"""Isolation: while 50 commands wait for their timeout, or a plugin hangs for one, the others are answered.

No latency is judged: the machine may be busy.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ISOLATION = Path(__file__).parents[2] / "bench" / "isolation.py"

LIMIT_S = 500.0


@pytest.mark.timeout(600)
def test_the_others_are_answered_during_timeouts_and_hangs_of_one_charge_point() -> None:
    done = subprocess.run(
        [sys.executable, str(ISOLATION), "--charge-points", "30", "--seconds", "1.5"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "50 commands time out at once" in done.stdout
    assert "a plugin hangs for one charge point" in done.stdout
