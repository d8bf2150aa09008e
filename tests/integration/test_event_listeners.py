"""The bench of those who listen to events, in short: nobody loses an event. No rate is judged."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "events.py"
LIMIT_S = 500.0


@pytest.mark.timeout(600)
def test_subscribers_and_streams_lose_no_event_of_a_server_under_load() -> None:
    options = ("--pace", "100", "--seconds", "3", "--rounds", "1", "--connections", "20", "--no-unread")
    done = subprocess.run(
        [sys.executable, str(BENCH), *options, "--least-rate", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    with_listeners = done.stdout.splitlines()[1]
    assert with_listeners.startswith("5 subscribers, 5 streams")
    assert "lost 0" in with_listeners
