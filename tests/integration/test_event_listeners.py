"""The bench of those who listen to events, in short: at a modest pace they cost no calls, and nobody loses an event."""

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench" / "events.py"
LIMIT_S = 120.0


def test_subscribers_and_streams_of_events_cost_no_calls() -> None:
    options = ("--pace", "500", "--seconds", "3", "--rounds", "1", "--connections", "20", "--no-unread")
    done = subprocess.run(
        [sys.executable, str(BENCH), *options],
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
