"""Programs under test: started in a process group of their own, read line by line, and ended in every case.

Rule: a wait polls until a deadline, and a failure quotes the output so far.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

CLIENT = Path(__file__).parent / "client.py"
POLL_S = 0.02


def until(ask: Callable[[], T | None], what: str, timeout_s: float = 60.0) -> T:
    """Return the first answer that is neither None nor False; fail with `what` if there is none in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = ask()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(POLL_S)  # between two questions to another process; nothing is assumed of its length


def kill(process: subprocess.Popen[Any]) -> None:
    """End a process and its group, in any state."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class StepProcess:
    """Program that prints one JSON object a line, `{"step": …}`. Its steps are kept in order."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.printed: list[str] = []
        self.steps: list[dict[str, Any]] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, step: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Return the next step of that name; others are skipped. Fails if the process ended before."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no step {step!r} in time: {''.join(self.printed)}") from None
            if line is None:
                raise AssertionError(f"it ended before {step!r}: {''.join(self.printed)}")
            self.printed.append(line)
            if line.startswith('{"step"'):
                self.steps.append(json.loads(line))
                if self.steps[-1]["step"] == step:
                    return self.steps[-1]

    def of(self, step: str) -> list[dict[str, Any]]:
        """Return all steps of that name seen so far."""
        return [seen for seen in self.steps if seen["step"] == step]

    def exit_status(self, timeout_s: float = 60.0) -> int:
        """Wait for the end; return the exit status."""
        return self.process.wait(timeout_s)

    def close(self) -> None:
        """End the process in any state, and close its pipes."""
        kill(self.process)
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class ClientProcess(StepProcess):
    """Process of `client.py` in one of its scenarios."""

    def __init__(self, url: str, scenario: str, *options: str) -> None:
        super().__init__(str(CLIENT), "--url", url, "--scenario", scenario, *options)

    def tell_to_end(self) -> None:
        """Write the line that ends the scenario `commands`."""
        assert self.process.stdin is not None
        self.process.stdin.write("end\n")
        self.process.stdin.flush()
