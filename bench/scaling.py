"""`make scaling`: cost of using more than one process.

    python bench/scaling.py [--seconds 8] [--connections 200] [--pace 4000] [--commands 2000]

CPU per call of two worker processes against one process; calls per second of a plugin in a plugin host behind Redis
against the same plugin in the node; and the time of a command to a charge point of another node. No process is pinned
to a core. Rule: compared servers take turns in one run, and the CPU time is that of all processes that take part.
"""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import click
import gevent
from contestants import Contestant, Running, ours, running
from load import GRACE_S, Figures, Generator, build
from rich.console import Console
from rich.table import Table
from station import Station

sys.path.insert(0, str(Path(__file__).parent / "nodes"))
from deployment import Deployment, NotHere

from chargehand import v16
from chargehand.remote import Client

CONSOLE = Console(width=None if sys.stdout.isatty() else 120)
TICKS = os.sysconf("SC_CLK_TCK")
WARMUP_S = 3.0
HEARTBEATS = "meter=0,heartbeat=1,status=0,start=0,stop=0"
REMOTE_MIX = "meter=0,heartbeat=50,status=50,start=0,stop=0"  # answer of the plugin in the plugin host
PLUGIN = "user_plugin:Depot"


def cpu_s(*roots: int) -> float:
    """Return the CPU seconds of processes and all their descendants so far."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()
            number = int(file.parent.name)
            parents[number] = int(fields[1])
            used[number] = (int(fields[11]) + int(fields[12])) / TICKS
    total = 0.0
    for number, seconds in used.items():
        above: int | None = number
        while above and above not in roots:
            above = parents.get(above)
        total += seconds if above else 0.0
    return total


def load(server: Running, seconds: float, pids: tuple[int, ...], **options: Any) -> Figures:
    """Return the figures of a load; `cpu_us` covers all the processes."""
    with Generator(server, None, seconds=600, warmup=WARMUP_S, **options) as generator:
        generator.connected(GRACE_S)
        gevent.sleep(WARMUP_S)
        generator.print_now()
        generator.figures(GRACE_S)
        before, begun_at = cpu_s(*pids), time.monotonic()
        gevent.sleep(seconds)
        used, took = cpu_s(*pids) - before, time.monotonic() - begun_at
        generator.print_now()
        figures = generator.figures(GRACE_S)
        generator.end_now()
        generator.finish()
    figures["cpu_us"] = 1e6 * used / took / figures["calls_per_s"]
    return figures


def table_of(title: str, rows: dict[str, list[Figures]], ratio: str) -> Table:
    """Return a table with the medians of the rounds, and the ratio of each row to the first one."""
    table = Table("what", "calls/s", "CPU us/call", "p50 ms", "p99 ms", f"x, {ratio}", title=title)
    first: float | None = None
    for name, rounds in rows.items():
        found = {key: median(one[key] for one in rounds) for key in rounds[0]}
        first = first or found[ratio]
        table.add_row(
            name,
            f"{found['calls_per_s']:,.0f}",
            f"{found['cpu_us']:.1f}",
            f"{found['p50_ms']:.2f}",
            f"{found['p99_ms']:.2f}",
            f"{found[ratio] / first:.2f}",
        )
    return table


def workers(rounds: int, seconds: float, connections: int, pace: float) -> Iterator[Table]:
    """Compare one process with two on one SQLite file: heartbeats (not stored), and the mix of all benchmarks."""
    command = ours("reactor", store="sqlite")
    loads: dict[str, dict[str, Any]] = {
        "heartbeats, as fast as they can": {"mix": HEARTBEATS},
        "all messages, as fast as they can": {},
        f"all messages, {pace:,.0f} calls/s": {"pace": pace},
    }
    for title, options in loads.items():
        rows: dict[str, list[Figures]] = {}
        for _ in range(rounds):
            for number in (1, 2):
                many = ["--workers", str(number)]
                contestant = Contestant("", "", lambda port, data, many=many: [*command(port, data), *many])
                with running(contestant, None) as server:
                    gevent.sleep(WARMUP_S)  # the second worker process may be ready later
                    figures = load(server, seconds, (server.pid,), connections=connections, **options)
                rows.setdefault("one process" if number == 1 else f"{number} workers", []).append(figures)
        yield table_of(f"SQLite, {connections} connections: {title}", rows, "cpu_us")


def remote(deployment: Deployment, rounds: int, seconds: float, connections: int) -> Table:
    """Compare a plugin in a node and in a plugin host behind Redis: the same class, the same calls."""
    rows: dict[str, list[Figures]] = {}
    node = Running(Contestant("", "", lambda *_: []), deployment.ports[0], deployment.nodes[0].pid)
    pids = (node.pid, deployment.redis.pid, *(host.pid for host in deployment.plugin_hosts))
    for _ in range(rounds):
        with running(Contestant("", "", ours("reactor", PLUGIN)), None) as server:
            figures = load(server, seconds, (server.pid,), connections=connections, mix=REMOTE_MIX)
        rows.setdefault("in the node", []).append(figures)
        figures = load(node, seconds, pids, connections=connections, mix=REMOTE_MIX)
        rows.setdefault("in plugin hosts", []).append(figures)
    return table_of(
        f"a plugin, {connections} connections, Heartbeat and StatusNotification", rows, "calls_per_s"
    )


class Answering(Station):
    """A charge point that accepts every command."""

    def read(self) -> None:
        """Answer commands until the connection ends."""
        while (texts := self.client.receive()) is not None:
            for text in texts:
                unique_id = text.split(b'"', 2)[1]
                self.client.send_text(b'[3,"%b",{"status":"Accepted"}]' % unique_id)


def commands(deployment: Deployment, number: int) -> Table:
    """Measure commands to a charge point of the second node, one at a time: by HTTP at the first, and by a client."""
    Answering.connect(deployment.ports[1], "REMOTE")
    gevent.sleep(1)
    table = Table(
        "command", "sent", "p50 ms", "p99 ms", title="to a charge point of another node, one at a time"
    )
    client = Client(deployment.redis_url)
    client.start()

    def by_client() -> None:
        client.send("REMOTE", v16.ClearCache()).result(GRACE_S)

    def by_http(node: int) -> None:
        status, answer = deployment.post(
            node, "charge-points/REMOTE/commands/ClearCache?timeout=30", {}, GRACE_S
        )
        if status != 200:
            raise RuntimeError(f"{status}: {answer}")

    ways = {
        "over HTTP at its own node": lambda: by_http(1),
        "over HTTP at the other node": lambda: by_http(0),
        "chargehand.remote.Client": by_client,
    }
    for name, send in ways.items():
        waits = []
        for _ in range(number):
            begun_at = time.perf_counter()
            send()
            waits.append(1000 * (time.perf_counter() - begun_at))
        table.add_row(name, f"{number:,}", f"{median(waits):.2f}", f"{quantiles(waits, n=100)[98]:.2f}")
    client.stop()
    return table


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=6.0, show_default=True, help="Measured time of each turn.")
@click.option("--connections", default=200, show_default=True)
@click.option(
    "--pace", default=4000.0, show_default=True, help="Calls a second in all, of workers at a pace."
)
@click.option("--commands", "number", default=2000, show_default=True, help="Commands of each kind.")
def main(*, rounds: int, seconds: float, connections: int, pace: float, number: int) -> None:
    """Measure and print."""
    build()
    for table in workers(rounds, seconds, connections, pace):
        CONSOLE.print(table)
    with tempfile.TemporaryDirectory(prefix="scaling-") as folder:
        try:
            with Deployment(Path(folder), "memory") as deployment:
                CONSOLE.print(remote(deployment, rounds, seconds, connections))
                CONSOLE.print(commands(deployment, number))
        except NotHere as error:
            raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
