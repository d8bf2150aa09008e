"""`make stall`: delay of the hub with each store, at the same pace of the same messages.

    python bench/stall.py [--pace 3000] [--connections 500] [--seconds 15] [--store postgresql://…]

A timer of one millisecond in the server's hub measures its own delay, all the time. Rule: the stores take turns in
one run, and only the difference between them is the store's.
"""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles

import click
from contestants import Contestant, ours, running
from load import build, call
from machine import cores
from rich.console import Console
from rich.table import Table

CONSOLE = Console(width=None if sys.stdout.isatty() else 120)
ROUNDS = 2
WARMUP_S = 6.0
LIMIT_MS = 5.0


def lateness(store: str, connections: int, pace: float, seconds: float) -> tuple[list[float], float]:
    """Return the delays of the hub in ms, and the calls per second that it answered meanwhile."""
    with tempfile.TemporaryDirectory(prefix="stall-") as folder:
        file = Path(folder) / "late"
        os.environ["HUB_LAG"] = str(file)
        contestant = Contestant(store, "", ours("reactor", "hub_lag:HubLag", store=store))
        with running(contestant, cores()[0]) as server:
            options = {"connections": connections, "seconds": seconds, "warmup": WARMUP_S, "pace": pace}
            figures = call(server, cores()[1], **options)
        return json.loads(file.read_text()), figures["calls_per_s"]


@click.command()
@click.option("--connections", default=500, show_default=True)
@click.option("--pace", default=3000.0, show_default=True, help="Calls a second in all.")
@click.option("--seconds", default=15.0, show_default=True, help="Length of each turn.")
@click.option("--store", "stores", multiple=True, default=("memory", "sqlite"), show_default=True)
def main(*, connections: int, pace: float, seconds: float, stores: Sequence[str]) -> None:
    """Print the delays of the hub, and fail if a store exceeds the bound at p99.9."""
    build()
    found: dict[str, list[float]] = {store: [] for store in stores}
    rates: dict[str, float] = {}
    for _ in range(ROUNDS):
        for store in stores:
            late, rates[store] = lateness(store, connections, pace, seconds)
            found[store] += late
    table = Table("store", "calls/s", "looks", "p50 ms", "p99 ms", "p99.9 ms", "worst ms")
    over = False
    for store, late in found.items():
        steps = quantiles(late, n=1000)
        over |= steps[998] > LIMIT_MS
        shown = (steps[499], steps[989], steps[998], max(late))
        table.add_row(
            store.split("://")[0], f"{rates[store]:,.0f}", f"{len(late):,}", *(f"{one:.2f}" for one in shown)
        )
    CONSOLE.print(table)
    sys.exit(over)


if __name__ == "__main__":
    main()
