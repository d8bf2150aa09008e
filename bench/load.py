"""Load generator: builds `cpload` when needed, runs it, and reads its output.

Rule: a figure with an error (a CALLERROR, a wrong answer, a lost connection) is discarded. It never starts a server.
"""

import os
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

from contestants import BUILD, HERE, Running

SOURCE = HERE / "cpload.c"
GRACE_S = 60.0  # connecting, booting

Figures = dict[str, float]
"""Figures by name, as the functions that make them document."""


class LoadFailedError(RuntimeError):
    """The load could not be made, or its answers were wrong; the text is that of `cpload`."""


def build(*, secure: bool = False) -> Path:
    """Return the compiled generator, with TLS if it is to be `secure`.

    Compiles only if the source is newer; exits without a C compiler.
    """
    program = BUILD / ("cpload-tls" if secure else "cpload")
    if program.exists() and program.stat().st_mtime >= SOURCE.stat().st_mtime:
        return program
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        raise SystemExit(
            "the load generator bench/cpload.c needs a C compiler (cc, gcc or clang), and there is none"
        )
    BUILD.mkdir(exist_ok=True)
    done = subprocess.run(
        [
            *(compiler, "-O2", "-Wall", "-o", str(program)),
            *(("-DWITH_TLS", str(SOURCE), "-lssl", "-lcrypto") if secure else (str(SOURCE),)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{compiler} could not compile bench/cpload.c:\n{done.stderr}")
    return program


class Generator:
    """Running `cpload`, ended with its `with` block."""

    def __init__(self, server: Running, core: int | None, **options: float | str | None) -> None:
        """Options are those of `cpload`: a number or a text is its value, None gives an option without a value."""
        secure = server.contestant.secure
        command = [str(build(secure=secure)), "--port", str(server.port), *(("--tls",) if secure else ())]
        command += [part for pid in server.pids() for part in ("--pid", str(pid))]
        for name, value in options.items():
            command.append(f"--{name}")
            if value is not None:
                command.append(value if isinstance(value, str) else f"{value:g}")
        self._said = ""
        self._unread = ""
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: core is None or os.sched_setaffinity(0, {core}),  # noqa: PLW1509 (one thread)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def line(self, start: str, timeout_s: float) -> str:
        """Return the next line with this beginning; raises LoadFailedError if none comes in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            while "\n" in self._unread:
                line, self._unread = self._unread.split("\n", 1)
                if line.startswith(start):
                    return line
            self._read(deadline - time.monotonic())

    def _read(self, timeout_s: float) -> None:
        pipe = self._process.stdout
        if timeout_s <= 0 or pipe is None or not select.select([pipe], [], [], timeout_s)[0]:
            raise LoadFailedError(f"{self._said}no end in time")
        got = os.read(pipe.fileno(), 65536).decode(errors="replace")
        if not got:
            raise LoadFailedError(self._said or "the load ended and said nothing")
        self._said += got
        self._unread += got

    def figures(self, timeout_s: float) -> Figures:
        """Return the next figures. `cpu_us`: the server's CPU time per call; `generator`: its share of a core."""
        found = dict(re.findall(r"([\w/.]+)=([\d.]+)", self.line("calls/s", timeout_s)))
        return {
            "calls_per_s": float(found["calls/s"]),
            "cpu_us": float(found["server_us/call"]),
            "p50_ms": float(found["p50"]),
            "p99_ms": float(found["p99"]),
            "max_ms": float(found["max"]),
            "generator": float(found["gen_cpu"]) / 100,
        }

    def connected(self, timeout_s: float) -> float:
        """Return the seconds until every connection was made and booted; raises LoadFailedError if one was lost."""
        line = self.line("connected", timeout_s)
        found = re.search(r" in ([\d.]+) s \(lost (\d+)\)", line)
        if not found or int(found[2]):
            raise LoadFailedError(f"{self._said}{line}")
        return float(found[1])

    def kib(self, timeout_s: float) -> float:
        """Return the growth of the server's resident memory in KiB per connection, after the idle time."""
        line = self.line("idle", timeout_s)
        found = re.search(r"per_connection_kib=(-?[\d.]+)", line)
        if not found:
            raise LoadFailedError(self._said)
        return float(found[1])

    def print_now(self) -> None:
        """Make the generator print its figures since the last time."""
        self._process.send_signal(signal.SIGUSR1)

    def end_now(self) -> None:
        """Make the generator end at once, with its figures."""
        self._process.send_signal(signal.SIGTERM)

    def finish(self, timeout_s: float = GRACE_S) -> None:
        """Wait for the end; raises LoadFailedError unless every answer was right."""
        try:
            rest, _ = self._process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise LoadFailedError(f"{self._said}no end after {timeout_s:.0f} s") from None
        if self._process.returncode:
            raise LoadFailedError(f"{self._said}{rest.decode(errors='replace')}".strip())


def call(
    server: Running,
    core: int | None,
    *,
    connections: int,
    seconds: float,
    warmup: float,
    pace: float = 0,
    hold: float = 0,
    ocpp: str = "1.6",
    mix: str = "",
) -> Figures:
    """Keep one CALL outstanding on every connection (`pace`: calls/s in all instead) and measure.

    With `hold`, that many idle seconds come first, and `kib` is among the figures. `ocpp` is the version of OCPP,
    `mix` the weights of the messages.
    """
    options: dict[str, float | str | None] = {
        "connections": connections,
        "seconds": seconds,
        "warmup": warmup,
    }
    options |= {"ocpp": ocpp} | ({"mix": mix} if mix else {})
    options["rate"] = server.contestant.rate
    options |= ({"pace": pace} if pace else {}) | ({"hold": hold} if hold else {})
    with Generator(server, core, **options) as load:
        load.connected(2 * GRACE_S)
        memory = {"kib": load.kib(hold + GRACE_S)} if hold else {}
        figures = load.figures(seconds + warmup + GRACE_S)
        load.finish()
    return memory | figures


def open_files(server: Running) -> int:
    """Count the open files of a server, sockets included."""
    return len(os.listdir(f"/proc/{server.pid}/fd"))  # noqa: PTH208 (a list of names is all that is needed)
