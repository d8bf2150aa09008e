"""`make flood`: many charge points come back at once, each with a backlog of transaction messages.

    python bench/flood.py [--charge-points 300] [--messages 1000] [--transport reactor]

The server is `chargehand serve` in a process of its own. Each charge point sends its backlog in order, one message
after the answer to the previous one, while others without a backlog call at a pace. Then the server is stopped and
its store is read. The exit status is 1 if a record is missing or stored twice, or a bound is exceeded.
"""

import contextlib
import gc
import re
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles

import click
import gevent
from gevent.pool import Group
from gevent.subprocess import DEVNULL, STDOUT, Popen
from rich.console import Console
from rich.table import Table
from station import PACE_S, Station

from chargehand.tests.ports import free_port

UNTOUCHED = 50
READINGS = 8
PER_TRANSACTION = READINGS + 2
P99, P99_LIMIT_MS = "others, p99 ms", 1000
GROWTH, GROWTH_LIMIT_MIB = "memory growth at the most, MiB", 200
LONGEST_S = 3600.0
START_S = 120.0
STOP_S = 120.0
CONSOLE = Console(width=None if sys.stdout.isatty() else 120)
NUMBER = re.compile(rb'"transactionId":(\d+)')
BEGUN = 1_750_000_000


@contextlib.contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[int, int]]:
    """Run the server with its data in a folder; yield its port and process id. It is stopped in order."""
    port, data = free_port(), folder / "data"
    command = [sys.executable, "-m", "chargehand", "serve", "--data", str(data), *options]
    ports = ["--port", str(port), "--http-port", str(free_port())]
    with (folder / "output").open("wb") as output:
        process = Popen([*command, *ports], stdin=DEVNULL, stdout=output, stderr=STDOUT)
    try:
        ends_at = time.monotonic() + START_S
        while not (data / "run.json").exists() and time.monotonic() < ends_at:
            gevent.sleep(0.05)
        yield port, process.pid
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def resident_kib(pid: int, what: str) -> int:
    """Return `VmRSS`, or `VmHWM`, the peak, of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0])


def time_text(seconds: int) -> bytes:
    """Write a time as OCPP does."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGUN + seconds)).encode()


def replay(station: Station, messages: int) -> int:
    """Send a backlog of old messages in order; return the number of correct answers."""
    answered = meter = 0
    for transaction in range(messages // PER_TRANSACTION):
        at = transaction * 1000
        start = b'{"connectorId":1,"idTag":"T1","meterStart":%d,"timestamp":"%b"}' % (meter, time_text(at))
        found = NUMBER.search(station.call(b"StartTransaction", start))
        if found is None:
            break
        number = int(found[1])
        answered += 1
        for reading in range(READINGS):
            meter += 10
            values = (
                b'{"connectorId":1,"transactionId":%d,"meterValue":[{"timestamp":"%b","sampledValue":[{"value":"%d"}]}]}'
                % (number, time_text(at + 60 * reading), meter)
            )
            answered += station.call(b"MeterValues", values).startswith(b"[3,")
        stop = b'{"transactionId":%d,"meterStop":%d,"timestamp":"%b"}' % (number, meter, time_text(at + 900))
        answered += station.call(b"StopTransaction", stop).startswith(b"[3,")
    return answered


def stored(data: Path) -> tuple[int, int]:
    """Count the ended transactions and the readings in the store."""
    with contextlib.closing(sqlite3.connect(data / "chargehand.sqlite")) as file:
        (ended,) = file.execute(
            "SELECT count(*) FROM transactions WHERE stop_received_at IS NOT NULL"
        ).fetchone()
        (readings,) = file.execute("SELECT count(*) FROM readings").fetchone()
    return ended, readings


def flood(port: int, pid: int, charge_points: int, messages: int) -> dict[str, float]:
    """Run the flood and return its figures."""
    untouched = [Station.connect(port, f"CALM{number}") for number in range(UNTOUCHED)]
    quiet = phase(untouched, time.monotonic() + 3.0)
    before_kib, begun_at, group = resident_kib(pid, "VmRSS"), time.monotonic(), Group()
    backlogs = [
        group.spawn(lambda name: replay(Station.connect(port, name), messages), f"CP{number}")
        for number in range(charge_points)
    ]
    calm = gevent.spawn(phase, untouched, begun_at + LONGEST_S)
    group.join()
    seconds = time.monotonic() - begun_at
    calm.kill()
    waits = [latency for station in untouched for latency in station.latencies]
    answered = sum(one.value or 0 for one in backlogs)
    return {
        "messages": charge_points * (messages // PER_TRANSACTION) * PER_TRANSACTION,
        "answered": answered,
        "seconds": round(seconds, 1),
        "messages/s": round(answered / seconds),
        "others, p99 ms, while all is quiet": round(1000 * quantiles(quiet, n=100)[98], 1),
        P99: round(1000 * quantiles(waits, n=100)[98], 1),
        "others, worst ms": round(1000 * max(waits), 1),
        GROWTH: round((resident_kib(pid, "VmHWM") - before_kib) / 1024, 1),
    }


def phase(stations: list[Station], until: float) -> list[float]:
    """Call at a pace until the given time; return the latencies."""
    for station in stations:
        station.latencies.clear()
    group = Group()
    for number, station in enumerate(stations):
        group.spawn(station.pace, PACE_S * number / len(stations), until)
    try:
        group.join(raise_error=True)
    finally:
        group.kill()
    return [latency for station in stations for latency in station.latencies]


@click.command()
@click.option("--charge-points", default=300, show_default=True, help="Those with a backlog.")
@click.option(
    "--messages", default=1000, show_default=True, help="Length of each backlog; ten a transaction."
)
@click.option("--transport", default="reactor", show_default=True)
def main(*, charge_points: int, messages: int, transport: str) -> None:
    """Print the duration, the latency of the others, the memory used, and the contents of the store."""
    gc.disable()  # a pause of this process would count as a delay of the server
    with tempfile.TemporaryDirectory(prefix="flood-") as folder:
        with serving(Path(folder), "--transport", transport, "--store", "sqlite") as (port, pid):
            figures = flood(port, pid, charge_points, messages)
        figures["transactions in the store"], figures["readings in the store"] = stored(Path(folder) / "data")
    wanted = charge_points * (messages // PER_TRANSACTION)
    faults = [
        fault
        for fault, found in {
            "not every message was answered": figures["answered"] != figures["messages"],
            "not every transaction is in the store once": figures["transactions in the store"] != wanted,
            "not every reading is in the store once": figures["readings in the store"] != wanted * READINGS,
            f"the others' p99 is over {P99_LIMIT_MS} ms": figures[P99] > P99_LIMIT_MS,
            f"the memory grew by more than {GROWTH_LIMIT_MIB} MiB": figures[GROWTH] > GROWTH_LIMIT_MIB,
        }.items()
        if found
    ]
    table = Table("what", "figure")
    for what, figure in figures.items():
        table.add_row(what, f"{figure:,}")
    CONSOLE.print(table)
    for fault in faults:
        CONSOLE.print(fault, style="red")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
