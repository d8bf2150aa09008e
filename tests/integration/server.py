"""Real server as a process: started with real options, found by the files that it writes, and queried over HTTP.

Rule: it uses the server as an operator does, by the command line, the data folder, the sockets and the exit
status. It never imports chargehand.
"""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from .process import kill, until

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
HTTP_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Reply:
    """HTTP answer, its header names in lower case; `json` fails on a body that is none."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """Parsed body."""
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Finished:
    """Command that has ended."""

    status: int
    output: str


def chargehand(
    *options: str, timeout_s: float = 60.0, environment: Mapping[str, str] | None = None
) -> Finished:
    """Run `python -m chargehand …` to its end; return both its outputs together."""
    done = subprocess.run(
        [sys.executable, "-m", "chargehand", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=timeout_s,
        env={**os.environ, **(environment or {})},
    )
    return Finished(done.returncode, done.stdout)


class Server:
    """Running `chargehand serve` on free ports. Its constructor returns when the server is ready."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        config: str = "",
        python_path: Path | None = None,
        data: Path | None = None,
        descriptors: int = 0,
    ) -> None:
        self.data = data or folder / "data"
        self._output = folder / "output"
        command = [sys.executable, "-m", "chargehand", "serve", "--data", str(self.data)]
        command += ["--port", "0", "--http-port", "0"]
        command += [
            "--store",
            "memory",
        ]  # unless an option says otherwise: what the disk does is not what most ask
        if config:
            settings = folder / "chargehand.toml"
            settings.write_text(config)
            command += ["--config", str(settings)]
        if descriptors:  # the program runs in the place of the shell
            command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
        environment = dict(os.environ)
        if python_path is not None:
            environment["PYTHONPATH"] = str(python_path)
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        try:
            run = until(self._run_file, "the server was not ready", START_TIMEOUT_S)
        except BaseException:
            kill(self.process)
            raise
        self.ws: str = run["ws"]
        self.wss: str | None = run["wss"]
        self.http: str = run["http"]
        self.pid: int = run["pid"]

    def _run_file(self) -> dict[str, Any] | None:
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.output}")
        try:
            run: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        except (OSError, ValueError):
            return None
        return run if run["pid"] == self.process.pid else None  # it may be left of one that was killed

    @property
    def output(self) -> str:
        """Output of the server so far."""
        return self._output.read_text(errors="replace")

    @property
    def alive(self) -> bool:
        """State of the server's first process: running or not."""
        return self.process.poll() is None

    @property
    def token(self) -> str:
        """API token that the server wrote for the command line."""
        return (self.data / "token").read_text().strip()

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        token: str | None = None,
        timeout_s: float = HTTP_TIMEOUT_S,
    ) -> Reply:
        """Make an HTTP request. `body` is sent as JSON, `raw` unchanged; `token=""` sends no Authorization."""
        token = self.token if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(urlsplit(self.http).netloc, timeout=timeout_s)
        with contextlib.closing(connection):
            connection.request(method, path, raw, headers)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, headers, answer.read().decode())

    def command(self, charge_point: str, action: str, payload: Any, **query: Any) -> Reply:
        """POST a command; `query` is `timeout` and `wait`."""
        path = f"/api/v1/charge-points/{quote(charge_point, safe='')}/commands/{action}"
        return self.ask("POST", path + (f"?{urlencode(query)}" if query else ""), payload)

    def charge_points(self) -> list[dict[str, Any]]:
        """Return all charge points of the server."""
        listed: list[dict[str, Any]] = self.ask("GET", "/api/v1/charge-points").json["charge_points"]
        return listed

    def connected(self, charge_point: str) -> bool:
        """Tell if the server reports this charge point as connected."""
        reply = self.ask("GET", f"/api/v1/charge-points/{quote(charge_point, safe='')}")
        return reply.status == http.HTTPStatus.OK and bool(reply.json["connected"])

    def signal_and_wait(self, number: signal.Signals) -> int:
        """Return the exit status; fail if the server runs on after `STOP_TIMEOUT_S`."""
        self.process.send_signal(number)
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {number.name}:\n{self.output}") from None

    def stop(self) -> None:
        """Send SIGTERM; assert an orderly end. A server that the test has ended already is left as it is."""
        if self.alive:
            status = self.signal_and_wait(signal.SIGTERM)
            assert status == 0, f"exit status {status}:\n{self.output}"

    def close(self) -> None:
        """End the server's processes in every case."""
        kill(self.process)
