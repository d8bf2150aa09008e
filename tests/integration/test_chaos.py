"""The chaos run in short: none of its checks is broken, and every planted fault is reported."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TRANSPORTS = ("greenlet", "reactor")
CHAOS = Path(__file__).parents[2] / "bench" / "chaos"
LIMIT_S = 500.0
PATIENCE = ("--patience", "10", "--ping-interval", "4")
"""The machine may be slow: nothing here depends on how fast it is, except the run of a fault that must be reported."""

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


@contextlib.contextmanager
def running(options: dict[str, tuple[str, ...]]) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Start runs with their options, all at once, and end them in every case."""
    runs = {name: start(*of_one) for name, of_one in options.items()}
    try:
        yield runs
    finally:
        for run in runs.values():
            run.kill()
            run.wait()
            assert run.stdout is not None
            run.stdout.close()


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end; return the exit status and the output."""
    try:
        output, _ = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.wait()
    return process.returncode, output


@pytest.fixture(scope="module")
def sound() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Start a run on each transport, both at once."""
    options = ("--seed", "7", "--seconds", "6", "--charge-points", "30", *PATIENCE)
    with running({name: (*options, "--transport", name) for name in TRANSPORTS}) as runs:
        yield runs


@pytest.mark.timeout(600)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_six_seconds_of_everything_at_once_break_nothing(
    sound: dict[str, subprocess.Popen[str]], transport: str
) -> None:
    status, output = finish(sound[transport])
    assert status == 0, output
    assert output.count("held") == 15, output
    assert "BROKEN" not in output


@pytest.fixture(scope="module")
def planted() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Start a run for each fault, all at once: each is short and mostly waits."""
    options = (
        "--seed",
        "7",
        "--seconds",
        "3",
        "--charge-points",
        "10",
        "--patience",
        "2",
        "--ping-interval",
        "4",
    )
    with running({name: (*options, "--plant", name) for name in PLANTED}) as runs:
        yield runs


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_reported(planted: dict[str, subprocess.Popen[str]], name: str) -> None:
    status, output = finish(planted[name])
    assert f"planted: {name}" in output
    assert status == 1, output
    assert f"BROKEN {PLANTED[name]}" in output, output
