"""`make attacks`: latency of well-behaved charge points while another one floods the server from one socket.

    python bench/attacks.py [--seconds 5] [--good 20] [--transport reactor] [--bound-ms 20] [junk pings ...]

Each attack has a fresh server (`chargehand serve`, SQLite) in a process of its own; the attacker is a third process,
which sends up to 30,000 frames a second and reads the answers. The good charge points call at a pace before, during
and after it. With `--bound-ms` the exit status is 1 if their p99 moves by more than that during an attack.
"""

import base64
import gc
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import quantiles

import click
from flood import phase, resident_kib, serving
from rich.console import Console
from rich.table import Table
from station import Station

from chargehand.protocol.websocket import Codec, Role

RATE = 30_000
"""Frames per second that an attacker offers."""
AT_ONCE = 300
"""Frames between two looks at the clock."""
CONSOLE = Console(width=None if sys.stdout.isatty() else 150)
TEXT, CONTINUATION = b"\x01\x80abcd", b"\x00\x80abcd"
BEGUN = 1_750_000_000


def repeated(*texts: bytes) -> Iterator[bytes]:
    """Repeat some texts as frames without end, many of them in each chunk."""
    codec = Codec(Role.CLIENT)
    frames = b"".join(codec.text(texts[number % len(texts)]) for number in range(AT_ONCE))
    while True:
        yield frames


def pings() -> Iterator[bytes]:
    """Empty pings."""
    while True:
        yield b"\x89\x80abcd" * AT_ONCE


def fragments() -> Iterator[bytes]:
    """Empty fragments of one message that never ends."""
    yield TEXT
    while True:
        yield CONTINUATION * AT_ONCE


def starts() -> Iterator[bytes]:
    """StartTransactions, each a new one, without any stop."""
    codec, number = Codec(Role.CLIENT), 0
    while True:
        frames = bytearray()
        for _ in range(AT_ONCE):
            number += 1
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGUN + number)).encode()
            frames += codec.text(
                b'[2,"%d","StartTransaction",{"connectorId":1,"idTag":"T1","meterStart":%d,"timestamp":"%b"}]'
                % (number, number, at)
            )
        yield bytes(frames)


def transfers() -> Iterator[bytes]:
    """DataTransfers of nearly one megabyte."""
    frame = Codec(Role.CLIENT).text(
        b'[2,"1","DataTransfer",{"vendorId":"V","data":"%b"}]' % (b"x" * 1_000_000)
    )
    while True:
        yield frame


ATTACKS: dict[str, Callable[[], Iterator[bytes]]] = {
    "junk": partial(repeated, b"hello"),
    "broken": partial(repeated, b'[2,"1","Heartbeat"', b'[2,"1","StatusNotification",{"connectorId":,}]'),
    "refused": partial(repeated, b'[2,"1","Nonsense",{}]'),
    "pings": pings,
    "fragments": fragments,
    "heartbeats": partial(repeated, b'[2,"1","Heartbeat",{}]'),
    "boots": partial(
        repeated, b'[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
    ),
    "statuses": partial(
        repeated, b'[2,"1","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available"}]'
    ),
    "starts": starts,
    "transfers": transfers,
}


def attack(name: str, port: int) -> None:
    """Attack the server at a port until this process is killed."""
    sock = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        (
            f"GET /ocpp/ATTACKER HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
        ).encode()
    )
    sock.recv(4096)
    threading.Thread(target=read, args=(sock,), daemon=True).start()
    frames, began, batches = ATTACKS[name](), time.monotonic(), 0
    while True:
        sock.sendall(next(frames))
        batches += 1
        ahead_s = batches * AT_ONCE / RATE - (time.monotonic() - began)
        if name != "transfers" and ahead_s > 0:
            # The pace of the attack: this process does nothing else.
            time.sleep(ahead_s)


def read(sock: socket.socket) -> None:
    """Read answers and discard them."""
    while sock.recv(1 << 20):
        pass


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def in_ms(latencies: list[float]) -> list[float]:
    """Return p50, p99 and maximum in ms of latencies in seconds."""
    percentiles = quantiles(latencies, n=100)
    return [1000 * one for one in (percentiles[49], percentiles[98], max(latencies))]


def measure(name: str, *, good: int, seconds: float, transport: str) -> dict[str, list[float]]:
    """Run one attack against a fresh server: `before`, `during` and `after` in ms, and `growth`."""
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        there = Path(folder)
        with serving(there, "--transport", transport, "--store", "sqlite") as (port, pid):
            stations = [Station.connect(port, f"GOOD{number}") for number in range(good)]
            phase(stations, time.monotonic() + 1.0)  # warm up
            before = phase(stations, time.monotonic() + seconds)
            kib, disk, log, cpu = (
                resident_kib(pid, "VmRSS"),
                size_of(there / "data"),
                size_of(there),
                cpu_s(pid),
            )
            attacker = subprocess.Popen([sys.executable, __file__, "--attack", name, "--port", str(port)])
            try:
                began = time.monotonic()
                during = phase(stations, began + seconds)
                used = (cpu_s(pid) - cpu) / (time.monotonic() - began)
            finally:
                attacker.kill()
                attacker.wait()
            after = phase(stations, time.monotonic() + seconds)
            grown = size_of(there / "data") - disk
            growth = [
                (resident_kib(pid, "VmRSS") - kib) / 1024,
                grown / 1024 / 1024,
                (size_of(there) - log - grown) / 1024,
                100 * used,
            ]
            for station in stations:
                station.client.cut(reset=False)
    return {"before": in_ms(before), "during": in_ms(during), "after": in_ms(after), "growth": growth}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(ATTACKS)))
@click.option("--good", default=20, show_default=True, help="Good charge points.")
@click.option("--seconds", default=5.0, show_default=True, help="Length of each phase.")
@click.option("--transport", default="reactor", show_default=True)
@click.option("--bound-ms", default=0.0, help="Fail if a p99 moves by more than this; 0 only prints.")
@click.option("--attack", "attacks", default="", hidden=True)
@click.option("--port", default=0, hidden=True)
def main(
    *,
    names: tuple[str, ...],
    good: int,
    seconds: float,
    transport: str,
    bound_ms: float,
    attacks: str,
    port: int,
) -> None:
    """Print p50, p99 and longest of the good charge points, and the growth of memory, disk and log."""
    if attacks:
        attack(attacks, port)
        return
    gc.disable()  # a pause of this process would count as a delay of the server
    table = Table(
        "attack",
        "before p50/p99/longest ms",
        "during",
        "after",
        "p99 moves ms",
        "memory MiB",
        "disk MiB",
        "log KiB",
        "CPU %",
    )
    over = []
    for name in names or ATTACKS:
        found = measure(name, good=good, seconds=seconds, transport=transport)
        moved = found["during"][1] - found["before"][1]
        phases = [" / ".join(f"{one:.1f}" for one in found[what]) for what in ("before", "during", "after")]
        table.add_row(name, *phases, f"{moved:.1f}", *(f"{one:.1f}" for one in found["growth"]))
        if bound_ms and moved > bound_ms:
            over.append(f"p99 moves by {moved:.1f} ms while {name} come")
    CONSOLE.print(table)
    for line in over:
        CONSOLE.print(line, style="red")
    sys.exit(bool(over))


if __name__ == "__main__":
    main()
