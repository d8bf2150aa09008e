"""`make killtest`: the server is killed again and again, and nothing that it acknowledged may be lost.

    python bench/killtest [--messages 100000] [--kills 100] [--charge-points 50] [--seed 1] [--plant FAULT]

Status 1 if anything was lost, doubled or given twice.
"""

import contextlib
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import gevent
from checks import PLANTS, check, plant
from fleet import ChargePoint, Log
from gevent import subprocess as gevent_subprocess

FILE = "chargehand.sqlite"
READY_S = 30.0
STOP_S = 30.0
ALIVE_S = (0.2, 2.0)
FAULTS_SHOWN = 20


class Server:
    """The server's process, killed and started again on the same port and data."""

    def __init__(self, data: Path, port: int) -> None:
        self._command = [
            *(sys.executable, "-m", "chargehand", "serve", "--store", "sqlite", "--transport", "reactor"),
            *("--data", str(data), "--port", str(port), "--http-port", "0"),
        ]
        self._log = data.parent / "server.log"
        self._port = port
        self.slowest_start_s = 0.0
        self.process: gevent_subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        begun = time.monotonic()
        with self._log.open("ab") as log:
            self.process = gevent_subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        while True:
            with contextlib.suppress(OSError), gevent.socket.create_connection(("127.0.0.1", self._port)):
                break
            if self.process.poll() is not None or time.monotonic() - begun > READY_S:
                raise SystemExit(f"the server did not start:\n{self._log.read_text()[-2000:]}")
            gevent.sleep(0.01)
        self.slowest_start_s = max(self.slowest_start_s, time.monotonic() - begun)

    def kill(self) -> None:
        """End it without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End it as an operator does."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(STOP_S)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def run(data: Path, messages: int, kills: int, charge_points: int, seed: int) -> tuple[Log, int, Server]:
    """Let the fleet send, and kill; returns what was acknowledged, and how often it was killed."""
    chance = random.Random(seed)
    log, server = Log(), Server(data, free_port())
    server.start()
    url = f"ws://127.0.0.1:{server._port}/ocpp/"  # noqa: SLF001 - one program
    share = -(-messages // charge_points)
    fleet = [
        gevent.spawn(ChargePoint(f"CP{number}", url, log, share, seed).run) for number in range(charge_points)
    ]
    killed = 0
    # The kills are spread over the whole run: the next one is due when its part of the messages is acknowledged.
    while not all(one.ready() for one in fleet):
        gevent.sleep(0.02)
        if killed < kills and log.confirmed >= messages * killed // kills:
            gevent.sleep(chance.uniform(*ALIVE_S))
            server.kill()
            server.start()
            killed += 1
    while killed < kills:
        gevent.sleep(chance.uniform(0, ALIVE_S[0]))
        server.kill()
        server.start()
        killed += 1
    server.stop()
    for one in fleet:
        one.get()
    return log, killed, server


@click.command()
@click.option("--messages", default=100_000, show_default=True, help="Messages to be acknowledged.")
@click.option("--kills", default=100, show_default=True, help="How often the server is killed.")
@click.option("--charge-points", default=50, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--plant", "fault", type=click.Choice(list(PLANTS)), help="A fault that must be found.")
def main(messages: int, kills: int, charge_points: int, seed: int, fault: str | None) -> None:
    """Run, print the counts and the faults."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        log, killed, server = run(data, messages, kills, charge_points, seed)
        if fault:
            plant(data / FILE, fault)
        counts, faults = check(log, data / FILE)
    took_s = time.monotonic() - begun
    rows = {
        "messages acknowledged": log.confirmed,
        "CALLs sent": log.sent,
        **counts,
        "kills": killed,
        "slowest start, s": round(server.slowest_start_s, 2),
        "messages/s": round(log.confirmed / took_s),
        "seconds": round(took_s, 1),
        "faults": len(faults),
    }
    for name, value in rows.items():
        click.echo(f"{name:28} {value}")
    for one in faults[:FAULTS_SHOWN]:
        click.echo(f"FAULT {one}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
