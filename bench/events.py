"""`make events`: what subscribers and streams of events cost the rate, and what a stream that nobody reads does.

    python bench/events.py [--pace 5000] [--subscribers 5] [--streams 5] [--seconds 15] [--store sqlite] [--rounds 2]

Servers with and without those who listen take turns at the same pace. Then a stream is opened and never read, under
load, until the server closes it. The exit status is 1 if the rate falls by more than a tenth (`--least-rate`), if a
subscriber loses an event, if the stream stays open, or if the memory of the server grows by more than the bound.
"""

import contextlib
import json
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import click
from contestants import HERE, Contestant, Running, running
from load import Generator, build, call
from machine import cores

from chargehand.tests.ports import free_port

LIMIT = 0.9
WARMUP_S = 2.0
CLOSED_WITHIN_S = 60.0
"""A stream is closed when a piece of it was not taken for 30 s."""
LEFT_OPEN = 5
BEFORE_S = 30.0
GROWTH_LIMIT_KIB = 60_000
"""Each of the streams keeps 1,000 events, of which those of meter values have some kilobytes."""
READ_BYTES = 1 << 18


class Stream(threading.Thread):
    """Client that reads a stream of all events, and counts them."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.events = 0
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def run(self) -> None:
        """Read until the stream ends."""
        with contextlib.suppress(OSError):
            while data := self.socket.recv(READ_BYTES):
                self.events += data.count(b"\nevent: ") + data.startswith(b"event: ")


def host(store: str, http_port: int, subscribers: int, counts: Path) -> Contestant:
    """Make the contestant: the application with its subscribers."""
    return Contestant(
        f"{subscribers} subscribers",
        "",
        lambda port, data: [
            *(sys.executable, str(HERE / "events_host.py"), str(port), str(http_port), str(data), store),
            *(str(subscribers), str(counts)),
        ],
    )


def turn(
    store: str, listeners: tuple[int, int], connections: int, pace: float, seconds: float
) -> dict[str, float]:
    """Serve at the pace with so many subscribers and streams; return the figures."""
    subscribers, streams = listeners
    with tempfile.TemporaryDirectory(prefix="events-") as folder:
        counts, http_port = Path(folder) / "counts", free_port()
        with running(host(store, http_port, subscribers, counts), cores()[0], http_port) as server:
            readers = [Stream(http_port) for _ in range(streams)]
            for reader in readers:
                reader.start()
            figures = call(
                server, cores()[1], connections=connections, seconds=seconds, warmup=WARMUP_S, pace=pace
            )
            time.sleep(1.0)
            events = [reader.events for reader in readers]
        found = json.loads(counts.read_text())
    return figures | {
        "taken": min(found["taken"], default=0),
        "dropped": sum(found["dropped"]),
        "read": min(events, default=0),
    }


def memory_kib(server: Running) -> int:
    """Return the resident memory of a server."""
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def unread(store: str, connections: int, pace: float) -> tuple[float | None, int, int]:
    """Open streams that are never read; return the seconds until they are closed, and the growth of the memory.

    The last is the growth in as long a time before, without them.
    """
    with tempfile.TemporaryDirectory(prefix="events-") as folder:
        http_port = free_port()
        with running(host(store, http_port, 0, Path(folder) / "counts"), cores()[0], http_port) as server:
            options = {
                "connections": connections,
                "seconds": 2 * CLOSED_WITHIN_S,
                "warmup": WARMUP_S,
                "pace": pace,
            }
            with Generator(server, cores()[1], **options) as load:
                load.connected(CLOSED_WITHIN_S)
                time.sleep(3 * WARMUP_S)
                first = memory_kib(server)
                time.sleep(BEFORE_S)
                before, begun = memory_kib(server), time.monotonic()
                left = [socket.create_connection(("127.0.0.1", http_port)) for _ in range(LEFT_OPEN)]
                for one in left:
                    one.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                closed, most = None, before
                while closed is None and time.monotonic() - begun < CLOSED_WITHIN_S:
                    time.sleep(0.25)
                    most = max(most, memory_kib(server))
                    if not any(server_side(http_port)):
                        closed = time.monotonic() - begun
                return closed, most - before, before - first


def server_side(port: int) -> list[bool]:
    """List the connections to a port of this machine that the server has not closed."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].split(":")[1], 16) == port and fields[3] == "01":
            found.append(True)
    return found


@click.command()
@click.option("--pace", default=5000.0, show_default=True, help="Calls a second in all.")
@click.option("--subscribers", default=5, show_default=True)
@click.option("--streams", default=5, show_default=True)
@click.option("--connections", default=100, show_default=True)
@click.option("--seconds", default=15.0, show_default=True, help="Length of each turn.")
@click.option("--rounds", default=2, show_default=True)
@click.option(
    "--least-rate",
    default=LIMIT,
    show_default=True,
    help="Least rate with listeners, as a share of that without; 0: only what must be exact is judged.",
)
@click.option("--store", type=click.Choice(["memory", "sqlite"]), default="sqlite", show_default=True)
@click.option(
    "--unread/--no-unread", "look_unread", default=True, help="Also look at streams that nobody reads."
)
def main(
    *,
    pace: float,
    subscribers: int,
    streams: int,
    connections: int,
    seconds: float,
    rounds: int,
    least_rate: float,
    store: str,
    look_unread: bool,
) -> None:
    """Print the figures, and fail over a limit."""
    build()
    rates: dict[bool, list[float]] = {False: [], True: []}
    faults = []
    for _ in range(rounds):
        for listening in (False, True):
            listeners = (subscribers, streams) if listening else (0, 0)
            found = turn(store, listeners, connections, pace, seconds)
            rates[listening].append(found["calls_per_s"])
            click.echo(
                f"{listeners[0]} subscribers, {listeners[1]} streams: {found['calls_per_s']:.0f} calls/s, "
                f"{found['cpu_us']:.1f} us of CPU a call, p99 {found['p99_ms']:.1f} ms; events per subscriber "
                f"{found['taken']:.0f}, lost {found['dropped']:.0f}, per stream {found['read']:.0f}"
            )
            if found["dropped"]:
                faults.append(f"subscribers lost {found['dropped']:.0f} events")
    ratio = median(rates[True]) / median(rates[False])
    click.echo(f"rate with listeners, of that without: {ratio:.3f}")
    if ratio < least_rate:
        faults.append(f"the rate fell to {ratio:.3f}")
    if look_unread:
        closed, growth, usual = unread(store, connections, pace)
        said = "were not closed" if closed is None else f"were closed after {closed:.1f} s"
        click.echo(
            f"{LEFT_OPEN} streams that nobody reads {said}; the memory grew by {growth} KiB at most "
            f"meanwhile, and by {usual} KiB in the {BEFORE_S:.0f} s before"
        )
        if closed is None or growth - usual > GROWTH_LIMIT_KIB:
            faults.append("streams that nobody reads cost too much")
    for fault in faults:
        click.echo(f"FAULT {fault}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
