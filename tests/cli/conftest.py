"""The program as a process, ended with its test."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 60.0


def until(ask: Callable[[], Any], what: Callable[[], str]) -> Any:
    """Poll until an answer is true, and return it; fail at a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not (answer := ask()):
        assert time.monotonic() < deadline, what()
        time.sleep(0.01)  # between two questions to another process
    return answer


class ServeProcess:
    """Running `chargehand serve` in a folder of its own, which is also its working directory."""

    def __init__(self, folder: Path, *options: str, config: str = "", python: tuple[str, ...] = ()) -> None:
        self.data = folder / "data"
        self._output = folder / "output"
        command = [sys.executable, *python, "-m", "chargehand", "serve", "--data", str(self.data)]
        command += ["--port", "0", "--http-port", "0", *options]
        if config:
            (folder / "c.toml").write_text(config)
            command += ["--config", str(folder / "c.toml")]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_for(self, text: str) -> None:
        """Wait until the process has printed a text."""
        until(lambda: text in self.output or self.process.poll() is not None, lambda: self.output)
        assert text in self.output, self.output

    def ready(self) -> dict[str, Any]:
        """Wait until the server is ready, and read the file that it writes about itself."""
        self.wait_for("\nready\n")
        told: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        return told

    def ended(self) -> int:
        """Wait for the end; return the exit status."""
        return self.process.wait(DEADLINE_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def serve_process(tmp_path: Path) -> Iterator[Callable[..., ServeProcess]]:
    started: list[ServeProcess] = []

    def start(*options: str, **more: Any) -> ServeProcess:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        for name, source in more.pop("files", {}).items():
            (folder / name).write_text(source)
        started.append(ServeProcess(folder, *options, **more))
        return started[-1]

    yield start
    for one in started:
        one.close()


class StubServer:
    """Answers every request with `status` and `body`, and keeps the requests: target, token, body; and headers."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = {}
        self.requests: list[tuple[str, str | None, bytes]] = []
        self.headers: list[Any] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                stub.headers.append(self.headers)
                stub.requests.append((self.path, self.headers["Authorization"], body))
                answer = stub.body if isinstance(stub.body, bytes) else json.dumps(stub.body).encode()
                self.send_response(stub.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_GET(self) -> None:
                self.do_POST()

            def do_PUT(self) -> None:
                self.do_POST()

            def do_DELETE(self) -> None:
                self.do_POST()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def serve(self, folder: Path) -> None:
        """Make a data folder as a running server has it."""
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps({"pid": 1, "ws": None, "wss": None, "http": self.url}))
        (folder / "token").write_text("made\n")

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def stub() -> Iterator[StubServer]:
    """Stub of a server's HTTP API."""
    made = StubServer()
    yield made
    made.close()


@pytest.fixture
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove settings from the environment, use a current folder of the test's own, and show times in UTC."""
    for name in list(os.environ):
        if name.startswith("CHARGEHAND_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CHARGEHAND_CLI__TIMES", "utc")
    monkeypatch.chdir(tmp_path)
