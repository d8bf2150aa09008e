"""Processes of the run: Redis, two nodes, two plugin hosts, and HAProxy in front of the nodes if it is installed."""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import gevent
from gevent import subprocess

from chargehand.tests.ports import free_port

BENCH = Path(__file__).parents[1]
START_S = 180.0
STOP_S = 60.0
TOKEN = "bench"
SECRET = "a secret of the bench"

CONFIG = """
[redis]
url = "{redis}"
secret = "{secret}"
remote_actions = ["Authorize", "Heartbeat", "StatusNotification"]
[deadlines]
default_s = 5.0
[http]
token = "{token}"
"""
HAPROXY = """
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
listen ocpp
    bind 127.0.0.1:{port}
    balance roundrobin
    option redispatch
    retries 3
{servers}
"""


class NotHere(Exception):
    """A program that the run needs is not installed."""


class Process:
    """Process of the run, killed with SIGKILL and started again with the same command."""

    def __init__(self, name: str, command: list[str], folder: Path, ready: Callable[[], bool]) -> None:
        self.name = name
        self._command = command
        self._output = folder / f"{name.replace(' ', '-')}.log"
        self._ready = ready
        self._process: Any = None

    def start(self) -> None:
        """Start the process, and wait until it is ready."""
        environment = os.environ | {"PYTHONPATH": f"{BENCH}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self._output.parent,
            )
        ends_at = time.monotonic() + START_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > ends_at:
                raise NotHere(f"{self.name} did not start:\n{self._output.read_text()[-2000:]}")
            gevent.sleep(0.05)

    def start_with(self, python: str, module: str) -> None:
        """Start the process with another Python, and what that has installed as `module`."""
        self._command[0], self._command[2] = python, module
        self.start()

    @property
    def pid(self) -> int:
        """Process id, while it runs."""
        return int(self._process.pid)

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Stop the process with SIGTERM; kill it if it does not end in time."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
            if self._process.poll() is None:
                self.kill()


def listens(port: int) -> bool:
    """Return whether a server accepts connections there."""
    with contextlib.suppress(OSError), gevent.socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


class Deployment:
    """All processes of the run. Use it as a context manager. Raises `NotHere` if a program is not installed."""

    def __init__(
        self,
        folder: Path,
        store: str,
        python: str = sys.executable,
        *,
        config: str = CONFIG,
        plugin_hosts: int = 2,
    ) -> None:
        self._python = python  # of nodes and plugin hosts, until they are upgraded
        redis = shutil.which("redis-server")
        if redis is None:
            raise NotHere("there is no redis-server (Debian: apt install redis-server)")
        port = free_port()
        self.redis_url = f"redis://127.0.0.1:{port}/0"
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.redis = Process("Redis", [redis, *options], folder, lambda: listens(port))
        file = folder / "chargehand.toml"
        file.write_text(config.format(redis=self.redis_url, token=TOKEN, secret=SECRET))
        self.ports = [free_port(), free_port()]
        self.http = [free_port(), free_port()]
        self.nodes = [self._node(number, folder, file, store) for number in range(2)]
        self.plugin_hosts = [self._plugin_host(number, folder, file) for number in range(plugin_hosts)]
        self.balancer = "the nodes themselves"
        self.addresses = [f"ws://127.0.0.1:{port}/ocpp/" for port in self.ports]
        self._haproxy = self._balance(folder)

    def _node(self, number: int, folder: Path, config: Path, store: str) -> Process:
        port, http = self.ports[number], self.http[number]
        command = [
            *(self._python, "-m", "chargehand", "serve", "--config", str(config), "--store", store),
            *("--transport", "reactor", "--port", str(port), "--http-port", str(http)),
            *("--data", str(folder / f"data{number}")),
        ]
        return Process(f"node {number + 1}", command, folder, lambda: listens(port) and listens(http))

    def _plugin_host(self, number: int, folder: Path, config: Path) -> Process:
        command = [
            self._python,
            "-m",
            "chargehand",
            "plugin-host",
            "user_plugin:Depot",
            "--config",
            str(config),
        ]
        log = folder / f"plugin-host-{number + 1}.log"

        def ready() -> bool:
            return "\nready\n" in log.read_text().rpartition(", worker ")[2]  # after its last start

        return Process(f"plugin host {number + 1}", command, folder, ready)

    def _balance(self, folder: Path) -> Process | None:
        program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
        if program is None:
            return None
        port = free_port()
        servers = "\n".join(
            f"    server node{number} 127.0.0.1:{node} check inter 500ms fall 1 rise 1"
            for number, node in enumerate(self.ports, 1)
        )
        file = folder / "haproxy.cfg"
        file.write_text(HAPROXY.format(port=port, servers=servers))
        self.balancer, self.addresses = "HAProxy", [f"ws://127.0.0.1:{port}/ocpp/"]
        return Process("HAProxy", [program, "-f", str(file)], folder, lambda: listens(port))

    @property
    def _all(self) -> list[Process]:
        balancer = [self._haproxy] if self._haproxy is not None else []
        return [self.redis, *self.nodes, *self.plugin_hosts, *balancer]

    def __enter__(self) -> Self:
        try:
            for process in self._all:
                process.start()
        except NotHere:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._all):
            process.stop()

    def victims(self) -> list[tuple[str, Callable[[], None], Callable[[], None]]]:
        """List the processes to kill, in turn: name, function that kills, function that starts again."""
        return [
            (process.name, process.kill, process.start)
            for process in (self.plugin_hosts[0], self.nodes[0], self.redis)
        ]

    def upgraded(self, module: str) -> list[tuple[str, Callable[[], None], Callable[[], None]]]:
        """List what is upgraded to this Python's `module`, in turn: name, functions that stop and start it."""
        return [
            (process.name, process.stop, partial(process.start_with, sys.executable, module))
            for process in (*self.nodes, *self.plugin_hosts)
        ]

    def stop_nodes(self) -> None:
        """Stop plugin hosts and nodes in order."""
        for process in (*self.plugin_hosts, *self.nodes):
            process.stop()

    def post(
        self, node: int, path: str, body: dict[str, Any], timeout_s: float
    ) -> tuple[int, dict[str, Any]]:
        """POST to the HTTP API of a node. Raises OSError."""
        payload = json.dumps(body).encode()
        head = (
            f"POST /api/v1/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
        )
        with gevent.socket.create_connection(("127.0.0.1", self.http[node]), timeout_s) as sock:
            sock.settimeout(timeout_s)
            sock.sendall(head.encode() + payload)
            answer = b""
            while data := sock.recv(65536):
                answer += data
        header, _, text = answer.partition(b"\r\n\r\n")
        return int(header.split()[1]), json.loads(text)
