"""The tutorial, word for word: its files are written, its commands run in two shells, and their output is compared."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import pytest

from ..ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', re.DOTALL | re.MULTILINE)
ELLIPSIS = "…"
LIMIT_S = 150.0
KEPT = (". ", "cd ")
"""Beginnings of commands that have an effect on those behind them in the same shell."""
LOOKS = ("chargehand ledger", "chargehand plugins", "chargehand transactions", "curl")
"""Beginnings of commands that only look: they are repeated until what they show is there."""


class Step(NamedTuple):
    """Block of the page: a file, or commands with their output."""

    language: str
    title: str
    text: str


class Command(NamedTuple):
    """Command of a shell, with the output that the page shows."""

    line: str
    output: str


def steps() -> list[Step]:
    page = PAGE.read_text(encoding="utf-8")
    found = [Step(*one.groups()) for one in BLOCK.finditer(page)]
    assert len(found) == len(re.findall(r"^```\w", page, re.MULTILINE)), "a block of the page has no title"
    return found


def commands(text: str) -> list[Command]:
    parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)
    assert not parts[0]
    return [Command(*pair) for pair in zip(parts[1::2], parts[2::2], strict=True)]


def pattern(shown: str) -> re.Pattern[str]:
    """Make what matches an output as the page shows it: whatever stands for a `…`, and any number of spaces."""
    made = ""
    for line in shown.splitlines():
        if line.strip() == ELLIPSIS:
            made += r"(?:.*\n)*?"
        else:
            words = (re.escape(word).replace(ELLIPSIS, ".*") for word in line.split())
            made += r"[ \t]*" + r"[ \t]+".join(words) + r"[ \t]*\n"
    return re.compile(made)


class Shell:
    """Shell of the page; `serve` runs in the background until it is ended."""

    def __init__(self, folder: Path, environment: dict[str, str], ports: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._ports = ports
        self._kept: list[str] = []
        self._server: subprocess.Popen[str] | None = None
        self._log: IO[str] | None = None

    def adapted(self, text: str) -> str:
        """Put the ports of this test in the place of those of the page."""
        for shown, real in self._ports.items():
            text = text.replace(shown, real)
        return text

    def run(self, command: Command) -> None:
        """Run a command and compare its output."""
        line, wanted = self.adapted(command.line), pattern(self.adapted(command.output))
        if line.startswith(KEPT):
            self._kept.append(line)
        elif line.startswith("chargehand serve"):
            self._serve(line, wanted)
        else:
            ends_at = time.monotonic() + LIMIT_S
            told = self._finished(line)
            while not wanted.fullmatch(told) and line.startswith(LOOKS) and time.monotonic() < ends_at:
                told = self._finished(line)
            assert wanted.fullmatch(told), f"$ {line}\n{told}\nis not as the page says:\n{command.output}"

    def _arguments(self, line: str) -> list[str]:
        return ["bash", "-c", " && ".join([*self._kept, line])]

    def _finished(self, line: str) -> str:
        done = subprocess.run(
            self._arguments(line),
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        return done.stdout + "\n" if done.stdout and not done.stdout.endswith("\n") else done.stdout

    def _serve(self, line: str, wanted: re.Pattern[str]) -> None:
        self.end()
        path = self._folder / "served.log"
        self._log = path.open("w")
        self._server = subprocess.Popen(
            self._arguments("exec " + line),
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            text=True,
        )
        ends_at = time.monotonic() + LIMIT_S
        while not wanted.match(told := path.read_text()):
            assert self._server.poll() is None, told
            assert time.monotonic() < ends_at, told
            time.sleep(0.05)

    def end(self) -> None:
        """End the server by Ctrl-C, if it still runs."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(LIMIT_S)
            self._server = None
        if self._log is not None:
            self._log.close()
            self._log = None


@pytest.fixture
def shells(tmp_path: Path) -> Iterator[dict[str, Shell]]:
    (tmp_path / "chargehand").mkdir()
    (tmp_path / "chargehand" / ".venv").symlink_to(sys.prefix)
    ws, http, site = str(free_port()), str(free_port()), str(tmp_path / "site")
    # The package goes into a folder of its own, for other tests run with the same Python; nothing is fetched.
    pip = {"PIP_TARGET": site, "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    ports = {"CHARGEHAND_PORT": ws, "CHARGEHAND_HTTP__PORT": http}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHARGEHAND_")}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": site, "COLUMNS": "200", **ports, **pip}
    made = {
        name: Shell(tmp_path, environment, {":9000": f":{ws}", ":8080": f":{http}"})
        for name in ("first shell", "second shell")
    }
    try:
        yield made
    finally:
        for one in made.values():
            one.end()


@pytest.mark.timeout(600)
def test_the_tutorial_does_what_it_says(shells: dict[str, Shell], tmp_path: Path) -> None:
    for step in steps():
        if step.language != "console":
            (tmp_path / "tutorial" / step.title).write_text(step.text, encoding="utf-8")
            continue
        for command in commands(step.text):
            shells[step.title].run(command)
