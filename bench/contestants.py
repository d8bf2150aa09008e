"""Contestants of the benchmarks: one row for each server, with its command, and starting and ending it.

Rule: every contestant is a process of its own, pinned to one core, alone on a port, and ended with its `with` block
in every case. Measuring is done by `load.py`.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from beside import (
    HelperFailedError,
    config_of,
    nothing,
    with_certificate,
    with_plugin_hosts,
    with_postgres,
    without_postgres,
    without_redis,
    without_tls,
)
from machine import family

from chargehand.tests.ports import free_port

HERE = Path(__file__).parent
BUILD = HERE / "build"  # ignored by git
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Contestant:
    """Name, remark, and command that serves `ws://127.0.0.1:PORT/ocpp/{id}`.

    The command is made from a port and a data folder. `rate`: new connections per second that the server takes without
    losing one, for scenarios with many idle connections. `beside` starts what the server needs, from its Python, its
    port and the folder of the turn, and yields its process ids; `lacks` returns the reason why that cannot be had.
    With `secure` the port speaks wss. Several processes are not `pinned`: they and the generator share all cores.
    """

    name: str
    what: str
    command: Callable[[int, Path], list[str]]
    rate: float = 1_500
    beside: Callable[[str, int, Path], AbstractContextManager[list[int]]] | None = None
    lacks: Callable[[], str | None] = nothing
    secure: bool = False
    pinned: bool = True


def ours(transport: str, *plugins: str, store: str = "memory") -> Callable[[int, Path], list[str]]:
    """Return the command of chargehand as a user starts it: all features on, except the disk with the memory store."""
    return lambda port, data: [
        *(sys.executable, "-m", "chargehand", "serve", "--transport", transport),
        *("--port", str(port), "--http-port", "0", "--store", store, "--data", str(data)),
        *(part for plugin in plugins for part in ("--plugin", plugin)),
    ]


def ours_with(
    transport: str, *more: str, store: str | None = "memory", port: str | None = None
) -> Callable[[int, Path], list[str]]:
    """Return the command of chargehand with the configuration file that `beside` has written into the turn's folder."""
    return lambda own_port, data: [
        *(
            sys.executable,
            "-m",
            "chargehand",
            "serve",
            "--transport",
            transport,
            "--port",
            port or str(own_port),
        ),
        *("--http-port", "0", "--data", str(data), "--config", str(config_of(data.parent))),
        *(() if store is None else ("--store", store)),
        *more,
    ]


def at(contestant: "Contestant", python: Path) -> "Contestant":
    """Return a contestant of ours, run by the Python of another checkout; of others nothing changes."""
    if contestant.name in THEIRS:
        return contestant
    return replace(contestant, command=lambda port, data: [str(python), *contestant.command(port, data)[1:]])


def script(name: str) -> Callable[[int, Path], list[str]]:
    """Return the command of a server that is one file of this folder and takes its port as its only argument."""
    return lambda port, _data: [sys.executable, str(HERE / name), str(port)]


def node_script(name: str) -> Callable[[int, Path], list[str]]:
    """Return the command of such a server that runs on node."""
    return lambda port, _data: ["node", str(HERE / name), str(port)]


REACTOR = "chargehand reactor"
GREENLET = "chargehand greenlet"
REACTOR_PLUGIN = "reactor + plugin"
GREENLET_PLUGIN = "greenlet + plugin"
REACTOR_SQLITE = "reactor + sqlite"
REACTOR_POSTGRES = "reactor + postgresql"
REACTOR_TLS = "reactor + tls"
GREENLET_TLS = "greenlet + tls"
REACTOR_REMOTE = "reactor + remote plugin"
TWO_WORKERS = "two workers + sqlite"
PEER = "ocpp + websockets"
NODE_PEER = "ocpp-rpc (node)"
ECHO = "raw gevent echo"
PLUGIN = "user_plugin:Depot"

THEIRS = (PEER, NODE_PEER, ECHO)

# The order is the order within a round.
CONTESTANTS = (
    Contestant(REACTOR, "everything on, back office, store memory", ours("reactor")),
    Contestant(GREENLET, "everything on, back office, store memory", ours("greenlet")),
    Contestant(REACTOR_PLUGIN, "and a user's plugin for three actions", ours("reactor", PLUGIN)),
    Contestant(GREENLET_PLUGIN, "and a user's plugin for three actions", ours("greenlet", PLUGIN)),
    Contestant(REACTOR_SQLITE, "and every record on the disk", ours("reactor", store="sqlite")),
    Contestant(
        REACTOR_POSTGRES,
        "and every record in PostgreSQL, whose processes count as well",
        ours_with("reactor", store=None),
        beside=with_postgres,
        lacks=without_postgres,
        pinned=False,
    ),
    *(
        Contestant(
            name,
            "over wss, certificate with an ECDSA key",
            ours_with(transport, port="0"),
            rate=300,
            beside=with_certificate,
            lacks=without_tls,
            secure=True,
        )
        for name, transport in ((REACTOR_TLS, "reactor"), (GREENLET_TLS, "greenlet"))
    ),
    Contestant(
        REACTOR_REMOTE,
        "the same plugin in two plugin hosts behind Redis, whose processes count as well",
        ours_with("reactor"),
        beside=with_plugin_hosts,
        lacks=without_redis,
        pinned=False,
    ),
    Contestant(
        TWO_WORKERS,
        "two worker processes and one SQLite file",
        lambda port, data: [*ours("reactor", store="sqlite")(port, data), "--workers", "2"],
        pinned=False,
    ),
    Contestant(PEER, "from PyPI, default validation", script("peer_ocpp.py"), rate=300),
    Contestant(NODE_PEER, "from npm, strict mode", node_script("peer_rpc.cjs")),
    Contestant(ECHO, "no OCPP at all: the floor", script("echo.py")),
)

RPC_VERSION = "2.2.1"
RPC_PACKAGE = BUILD / "node_modules" / "ocpp-rpc"


def without_node_peer() -> str | None:
    """Return the reason why npm's ocpp-rpc cannot take part, or None if it can.

    The package is installed into bench/build if nothing else is missing.
    """
    if shutil.which("node") is None:
        return "there is no node"
    if RPC_PACKAGE.exists():
        return None
    if shutil.which("npm") is None:
        return "there is no npm to install it with"
    BUILD.mkdir(exist_ok=True)
    done = subprocess.run(
        [
            *("npm", "install", "--prefix", str(BUILD), "--no-save", "--no-audit", "--no-fund"),
            *("--ignore-scripts", f"ocpp-rpc@{RPC_VERSION}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"npm could not install it: {done.stderr.strip()[-300:]}" if done.returncode else None


@dataclass(frozen=True, slots=True)
class Running:
    """A contestant that answers on its port."""

    contestant: Contestant
    port: int
    pid: int
    beside: list[int] = field(default_factory=list)

    def pids(self) -> list[int]:
        """Return the processes of the contestant: those started for it, and all their children."""
        return family(self.pid, *self.beside)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server."""
        os.kill(self.pid, number)


class NotStartedError(RuntimeError):
    """A contestant ended, or did not open its port in time; carries the end of its output."""


@contextmanager
def running(contestant: Contestant, core: int | None, *more_ports: int) -> Iterator[Running]:
    """Start a contestant on `core` (None: any), wait until its ports are open, and end it with its children."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        data, port = Path(folder), free_port()
        command = contestant.command(port, data / "data")
        try:
            others = (
                stack.enter_context(contestant.beside(command[0], port, data)) if contestant.beside else []
            )
        except HelperFailedError as error:
            raise NotStartedError(str(error)) from None
        log = data / "output"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONPATH": f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
                start_new_session=True,  # a group of its own, so that all of it can be ended
                preexec_fn=lambda: settle(core if contestant.pinned else None),  # noqa: PLW1509 (the bench has one thread)
            )
        try:
            for awaited in (port, *more_ports):
                wait_for_port(process, awaited, log)
            yield Running(contestant, port, process.pid, others)
        finally:
            end(process)


def settle(core: int | None) -> None:
    """Prepare the child: end it with the parent, even if that is killed, and pin it to one core."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if core is not None:
        os.sched_setaffinity(0, {core})


def wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the port accepts connections; raises NotStartedError."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise NotStartedError(
        log.read_text(errors="replace")[-2000:] or f"no port after {START_TIMEOUT_S:.0f} s and no output"
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """End the process group: SIGTERM, a wait, SIGKILL."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
