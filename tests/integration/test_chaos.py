"""The chaos run in short: none of its checks is broken, and every planted fault is reported."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHAOS = Path(__file__).parents[2] / "bench" / "chaos"
LIMIT_S = 90.0

# The fault that is planted, and the row of the table that must report it.
PLANTED = {
    "dropped-answer": "every CALL was answered",
    "open-ticket": "every ticket has exactly one final state",
    "leaked-greenlet": "no greenlet, actor or socket is left",
    "swapped-response": "no ticket has the response of another",
    "dropped-socket": "untouched charge points saw no drop",
    "late-answers": "untouched charge points had their answers in time",
    "hung-session": "sessions that hung were at work again",
}


def start(*options: str) -> subprocess.Popen[str]:
    """Start a run as a process of its own, so that its leftovers can be counted."""
    return subprocess.Popen(
        [sys.executable, str(CHAOS), "--quiet", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end; return the exit status and the output."""
    try:
        output, _ = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.wait()
    return process.returncode, output


@pytest.mark.parametrize("transport", ["greenlet", "reactor"])
def test_six_seconds_of_everything_at_once_break_nothing(transport: str) -> None:
    status, output = finish(
        start("--seed", "7", "--seconds", "6", "--charge-points", "30", "--transport", transport)
    )
    assert status == 0, output
    assert output.count("held") == 15, output
    assert "BROKEN" not in output


@pytest.fixture(scope="module")
def planted() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Start a run for each fault, all at once: each is short and mostly waits."""
    runs = {
        name: start("--seed", "7", "--seconds", "3", "--charge-points", "10", "--plant", name)
        for name in PLANTED
    }
    yield runs
    for run in runs.values():
        run.kill()
        run.wait()
        assert run.stdout is not None
        run.stdout.close()


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_reported(planted: dict[str, subprocess.Popen[str]], name: str) -> None:
    status, output = finish(planted[name])
    assert f"planted: {name}" in output
    assert status == 1, output
    assert f"BROKEN {PLANTED[name]}" in output, output
