"""A real server under a service manager: the test has its socket, and watches when it is told that the hub runs."""

import base64
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..remote.redis_process import REDIS, RedisProcess
from .conftest import StartServer
from .process import kill, until
from .rawsocket import SUBPROTOCOL, RawSocket
from .server import Reply, Server
from .test_remote_plugins import WorkerProcess

BLOCKER = """
from pathlib import Path
import gevent
from gevent.monkey import get_original
from chargehand import Plugin

FOLDER = Path({folder!r})
sleep = get_original("time", "sleep")


class Blocker(Plugin):
    def on_start(self):
        self.watch = gevent.spawn(self.wait)

    def on_stop(self):
        self.watch.kill()

    def wait(self):
        while not (FOLDER / "block").exists():
            gevent.sleep(0.02)
        (FOLDER / "blocked").touch()
        while (FOLDER / "block").exists():
            sleep(0.02)
"""
ENTRANCE = "[auth]\ncredentials = {{ {name} = 'a password of it' }}\n"
TOKEN = "a token of the settings"


class Inbox:
    """Socket of a service manager."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(0)
        self.told: list[str] = []

    def read(self) -> list[str]:
        """Return the first lines of all that was sent so far, since the last call."""
        before = len(self.told)
        while True:
            try:
                self.told.append(self.socket.recv(1000).decode().split("\n")[0])
            except BlockingIOError:
                return self.told[before:]

    def wait_for(self, line: str) -> None:
        """Wait until a line comes."""
        until(lambda: line in self.read(), f"no {line}")


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    made = Inbox(tmp_path / "notify")
    with made.socket:
        monkeypatch.setenv("NOTIFY_SOCKET", made.socket.getsockname())
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        yield made


def test_a_hub_that_is_blocked_sends_no_sign_of_life(
    start_server: StartServer, inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    (tmp_path / "blocker.py").write_text(BLOCKER.format(folder=str(tmp_path)))
    server = start_server("--plugin", "blocker:Blocker", python_path=tmp_path)
    inbox.wait_for("WATCHDOG=1")
    assert inbox.told[0] == "READY=1"
    (tmp_path / "block").touch()
    until((tmp_path / "blocked").exists, "the hub is not blocked")
    inbox.read()
    # The server's own watchdog reports the block after a second: the time of ten signs of life.
    until(lambda: "the hub has been blocked for" in server.output, "no report")
    assert inbox.read() == []
    (tmp_path / "block").unlink()
    inbox.wait_for("WATCHDOG=1")
    server.stop()
    inbox.wait_for("STOPPING=1")


def aborted_in_wait(output: str) -> bool:
    """Tell if the stacks at SIGABRT show the blocker; the report of the watchdog has another form and is not meant."""
    stacks = output.partition("Fatal Python error: Aborted")[2]
    return re.search(r'blocker\.py", line \d+ in wait$', stacks, re.MULTILINE) is not None


def test_a_blocked_hub_that_is_aborted_shows_where(
    start_server: StartServer, inbox: Inbox, tmp_path: Path
) -> None:
    (tmp_path / "blocker.py").write_text(BLOCKER.format(folder=str(tmp_path)))
    server = start_server("--plugin", "blocker:Blocker", python_path=tmp_path)
    inbox.wait_for("READY=1")
    (tmp_path / "block").touch()
    until((tmp_path / "blocked").exists, "the hub is not blocked")
    assert server.signal_and_wait(signal.SIGABRT) == -signal.SIGABRT  # as systemd's watchdog does
    assert aborted_in_wait(server.output)


def test_a_blocked_worker_process_is_ended_shows_where_and_serves_again(
    start_server: StartServer, inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    (tmp_path / "blocker.py").write_text(BLOCKER.format(folder=str(tmp_path)))
    options = ("--workers", "2", "--store", "sqlite", "--plugin", "blocker:Blocker")
    server = start_server(*options, config="[supervision]\nintensity = 1000\n", python_path=tmp_path)
    inbox.wait_for("READY=1")
    (tmp_path / "block").touch()
    until(lambda: "its hub has not run for" in server.output, "no worker process is found blocked")
    (tmp_path / "block").unlink()
    until(lambda: "serves again" in server.output, "it is not started again")
    assert aborted_in_wait(server.output)
    assert "has ended with SIGABRT" in server.output


@pytest.mark.skipif(REDIS is None, reason="there is no redis-server")
def test_a_blocked_plugin_host_reports_it_and_shows_where_when_it_is_aborted(tmp_path: Path) -> None:
    (tmp_path / "blocker.py").write_text(BLOCKER.format(folder=str(tmp_path)))
    with contextlib.ExitStack() as stack:
        redis = RedisProcess(tmp_path)
        redis.start()
        stack.callback(redis.kill)
        command = [
            *(sys.executable, "-m", "chargehand", "plugin-host"),
            "blocker:Blocker",
            "--redis",
            redis.url,
        ]
        host = WorkerProcess(tmp_path, command)
        stack.callback(host.close)
        host.wait_ready()
        (tmp_path / "block").touch()
        until(lambda: "the hub has been blocked for" in host.output, "no report")
        host.process.send_signal(signal.SIGABRT)
        assert host.process.wait(60) == -signal.SIGABRT
        assert aborted_in_wait(host.output)


def status_of(server: Server, name: str) -> int:
    """Return the answer to a handshake with the password of the settings."""
    given = base64.b64encode(f"{name}:a password of it".encode()).decode()
    with RawSocket(f"{server.ws}{name}", timeout_s=60) as raw:
        answer = raw.handshake(raw.path, SUBPROTOCOL, f"Authorization: Basic {given}")
    return answer.status


def reload(server: Server, inbox: Inbox, config: Path, text: str, seen: Callable[[], bool]) -> None:
    config.write_text(text)
    inbox.read()
    os.kill(server.pid, signal.SIGHUP)
    inbox.wait_for("RELOADING=1")
    until(seen, "settings are not reloaded")
    until(
        lambda: "READY=1" in inbox.told[inbox.told.index("RELOADING=1") :] + inbox.read(), "not ready again"
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_settings_are_read_again_in_all_processes(
    start_server: StartServer, inbox: Inbox, tmp_path: Path, workers: int
) -> None:
    several = () if workers == 1 else ("--workers", "2", "--store", "sqlite")
    server = start_server(*several, config=ENTRANCE.format(name="CP1"))
    config = server.data.parent / "chargehand.toml"
    first = server.token

    def ask(token: str) -> Reply:
        return server.ask("GET", "/api/v1/tags", token=token)

    assert ask(first).status == 200
    text = (
        f"port = 1\n{ENTRANCE.format(name='CP2')}[http]\ntoken = '{TOKEN}'\n"
        "[back_office.tags.T1]\nstatus = 'Blocked'\n[log]\nlevel = 'DEBUG'\n"
    )
    many = range(8)  # connections are shared among the processes by chance
    taken = "settings changed in this process: auth.credentials"
    reload(server, inbox, config, text, lambda: server.output.count(taken) == workers)
    assert all(ask(TOKEN).status == 200 for _ in many)
    assert all(ask(first).status == 401 for _ in many)
    assert not (server.data / "token").exists()
    assert (
        "settings were read again, and have changed: auth.credentials, back_office.tags, http.token, log.level"
        in (server.output)
    )
    until(lambda: [tag["id_tag"] for tag in ask(TOKEN).json["tags"]] == ["T1"], "the tag is not entered")
    assert {status_of(server, "CP1") for _ in many} == {404}
    assert {status_of(server, "CP2") for _ in many} == {101}
    # A fault of the file changes nothing, and is told with its place.
    reload(
        server,
        inbox,
        config,
        "[http]\ntoken = 'another token than before'\nlogins = 'many'\n",
        lambda: "the settings before stay in use" in server.output,
    )
    assert "http.logins" in server.output
    assert all(ask(TOKEN).status == 200 for _ in many)
    assert "Traceback" not in server.output


ON_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "chargehand", "serve", *sys.argv[1:]])
"""


def test_a_terminal_that_is_gone_stops_the_server(tmp_path: Path) -> None:
    terminal, theirs = os.openpty()
    options = ["--data", str(tmp_path / "data"), "--port", "0", "--http-port", "0", "--store", "memory"]
    process = subprocess.Popen(
        [sys.executable, "-c", ON_TERMINAL, *options],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    try:
        os.close(theirs)
        printed = b""
        while b"ready" not in printed:
            printed += os.read(terminal, 65536)
        os.kill(process.pid, signal.SIGHUP)
        while b"settings were read again" not in printed:
            printed += os.read(terminal, 65536)
        os.close(terminal)
        assert process.wait(60) == 0
    finally:
        kill(process)
