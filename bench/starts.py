"""CPU time per StartTransaction of one charge point that never stops a transaction, by the number of open ones.

Rule: it measures the whole way of a frame through session, back office and store, in one process and without sockets.
The work per start must be the same at each number: a misbehaving charge point may not slow the system down.

    python bench/starts.py [--store memory] [--store sqlite] [--at 100 --at 1000 --at 10000] [--window 100]
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.table import Table

from chargehand import MemoryStore, Store
from chargehand.actors.runtime import threads
from chargehand.plugins.back_office import BackOffice
from chargehand.store.sqlite import SqliteStore
from chargehand.testing import Stage
from chargehand.testing.connection import MemoryConnection

ANSWER_S = 30.0
BATCH = 20  # starts sent before their answers are read

PATTERNS: dict[str, Callable[[int], dict[str, object]]] = {
    "one connector, one tag": lambda _: {"connectorId": 1, "idTag": "T1"},
    "one connector, a tag each": lambda number: {"connectorId": 1, "idTag": f"T{number}"},
    "a connector each, one tag": lambda number: {"connectorId": number, "idTag": "T1"},
}


@contextmanager
def opened(kind: str) -> Iterator[Store]:
    """Open an empty store of a kind."""
    with tempfile.TemporaryDirectory() as folder:
        if kind == "memory":
            store: Store = MemoryStore()
        else:
            store = SqliteStore.open(str(Path(folder) / "store.sqlite"), threads)
        try:
            yield store
        finally:
            store.close()


def start_many(
    stage: Stage, connection: MemoryConnection, first: int, count: int, pattern: Callable[[int], object]
) -> None:
    """Send `count` starts, and wait until each is answered."""
    del connection.frames[:]
    for begin in range(first, first + count, BATCH):
        numbers = range(begin, min(begin + BATCH, first + count))
        for number in numbers:
            members = {"meterStart": number, "timestamp": "2026-11-28T10:00:00Z", **pattern(number)}  # type: ignore[dict-item]
            stage.clock.advance(0.001)
            frame = json.dumps([2, str(number), "StartTransaction", members]).encode()
            connection.receiver.deliver(connection, frame)  # type: ignore[union-attr]
        stage.wait_for(lambda numbers=numbers: len(connection.frames) == len(numbers), ANSWER_S)
        del connection.frames[:]


def measure(
    store: Store, at: list[int], window: int, pattern: Callable[[int], object], *, concurrent: bool
) -> list[float]:
    """Return the microseconds of CPU per start in the window that ends at each number of open transactions."""
    found = []
    with Stage(BackOffice.spec(store, concurrent_transactions=concurrent), store=store) as stage:
        connection = stage.connect("CP1")
        done = 0
        for number in at:
            start_many(stage, connection, done + 1, number - window - done, pattern)
            rounds = []
            for begin in range(number - window, number, window // 4):
                before = time.process_time()
                start_many(stage, connection, begin + 1, window // 4, pattern)
                rounds.append((time.process_time() - before) / (window // 4) * 1e6)
            found.append(median(rounds))
            done = number
    return found


@click.command()
@click.option("--store", "stores", multiple=True, default=["memory", "sqlite"], show_default=True)
@click.option(
    "--at", multiple=True, default=[100, 1000, 10_000], show_default=True, help="Numbers of open ones."
)
@click.option("--window", default=100, show_default=True, help="Starts that are measured at each number.")
def main(stores: tuple[str, ...], at: tuple[int, ...], window: int) -> None:
    """Measure CPU time per start of one charge point that never stops a transaction."""
    table = Table("store", "starts", "ConcurrentTx", *(f"{number:,} open" for number in at), "last / first")
    for kind in stores:
        for name, pattern in PATTERNS.items():
            for concurrent in (True, False):
                with opened(kind) as store:
                    found = measure(store, sorted(at), window, pattern, concurrent=concurrent)
                table.add_row(
                    kind,
                    name,
                    "no" if concurrent else "yes",
                    *(f"{one:.0f} us" for one in found),
                    f"{found[-1] / found[0]:.2f}",
                )
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
