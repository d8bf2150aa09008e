"""`make profile`: CPU time of the server under load, by step of a call and by function.

Rule: it samples on the clock of CPU time, so that it neither slows the server nor loses track when greenlets switch,
as a tracing profiler does. Time in C code counts for the Python function that called it.

    python bench/hotspots.py [--transport reactor] [--seconds 10] [--connections 100] [--plugin] [--store sqlite]
"""

import json
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType

import click
from budget import budget
from contestants import CONTESTANTS, GREENLET, GREENLET_PLUGIN, REACTOR, REACTOR_PLUGIN, Contestant, running
from load import build, call
from machine import cores, make_room
from rich.console import Console
from rich.table import Table

INTERVAL_S = 0.001  # rounded up to the kernel's tick of 1 to 10 ms
HERE = Path(__file__)


class Sampler:
    """Counts the functions that are on the stack at each tick of the CPU clock."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.ticks = 0
        self.own: Counter[str] = Counter()
        self.with_callees: Counter[str] = Counter()
        self.lines: Counter[str] = Counter()

    def start(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Start to sample, with all counts at zero."""
        self._forget()
        signal.signal(signal.SIGPROF, self.sample)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def sample(self, _number: int, frame: FrameType | None) -> None:
        """Count the functions on the stack."""
        if frame is None:
            return
        self.ticks += 1
        self.own[named(frame)] += 1
        self.lines[f"{place(frame.f_code.co_filename)}:{frame.f_lineno}"] += 1
        seen = set()
        while frame is not None:
            seen.add(named(frame))
            frame = frame.f_back
        self.with_callees.update(seen)

    def stop(self) -> dict[str, object]:
        """Stop sampling; return the counts in a form that JSON can take."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        return {"ticks": self.ticks, "own": self.own, "with_callees": self.with_callees, "lines": self.lines}


def place(path: str) -> str:
    """Shorten a path to the part that identifies the file."""
    return "/".join(Path(path).parts[-2:])


def named(frame: FrameType) -> str:
    """Name a function as `folder/file.py Class.function`."""
    return f"{place(frame.f_code.co_filename)} {frame.f_code.co_qualname}"


def serve_sampled(target: Path, arguments: list[str]) -> None:
    """Serve, sample from SIGUSR2 on, and write the counts when the server has stopped."""
    from chargehand.cli.main import main as chargehand  # noqa: PLC0415 (only here, and it patches)

    sampler = Sampler()
    signal.signal(signal.SIGUSR2, sampler.start)
    try:
        chargehand(arguments, standalone_mode=False)
    finally:
        target.write_text(json.dumps(sampler.stop()))


def sampled(contestant: Contestant, target: Path, store: str) -> Contestant:
    """Return the contestant with a command that starts it by way of this file, with the given store."""

    def command(port: int, data: Path) -> list[str]:
        python, _, _, *arguments = contestant.command(port, data)  # python -m chargehand serve …
        return [python, str(HERE), "--serve", str(target), "--", *arguments, "--store", store]

    return Contestant(contestant.name, contestant.what, command)


def table_of(title: str, heading: str, counts: dict[str, int], ticks: int, top: int) -> Table:
    """Return a table of the `top` functions with the most ticks."""
    table = Table(title=title)
    table.add_column("share", justify="right")
    table.add_column(heading, no_wrap=True)
    for name, count in sorted(counts.items(), key=lambda row: -row[1])[:top]:
        table.add_row(f"{count / ticks:.1%}", name)
    return table


@click.command()
@click.option("--transport", type=click.Choice(["reactor", "greenlet"]), default="reactor", show_default=True)
@click.option("--seconds", default=10.0, show_default=True, help="Time under load.")
@click.option("--connections", default=100, show_default=True, help="Charge points at once.")
@click.option("--plugin", is_flag=True, help="With the user's plugin of the bench.")
@click.option("--store", default="memory", show_default=True, help="As for serve.")
@click.option("--ocpp", type=click.Choice(["1.6", "2.0.1"]), default="1.6", show_default=True)
@click.option("--top", default=30, show_default=True, help="Rows of each table.")
@click.option("--serve", type=click.Path(path_type=Path), hidden=True)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(
    *,
    transport: str,
    seconds: float,
    connections: int,
    plugin: bool,
    store: str,
    ocpp: str,
    top: int,
    serve: Path | None,
    arguments: tuple[str, ...],
) -> None:
    """Sample a server under load, and print where its CPU time went."""
    if serve:
        serve_sampled(serve, list(arguments))
        return
    make_room(connections)
    build()
    name = {
        ("reactor", False): REACTOR,
        ("reactor", True): REACTOR_PLUGIN,
        ("greenlet", False): GREENLET,
        ("greenlet", True): GREENLET_PLUGIN,
    }[transport, plugin]
    (contestant,) = (row for row in CONTESTANTS if row.name == name)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        target = Path(folder) / "samples"
        with running(sampled(contestant, target, store), cores()[0]) as server:
            call(
                server, cores()[1], connections=connections, seconds=1, warmup=0, ocpp=ocpp
            )  # the start is not sampled
            server.send(signal.SIGUSR2)
            figures = call(server, cores()[1], connections=connections, seconds=seconds, warmup=0, ocpp=ocpp)
        if not target.exists():
            sys.exit("the server wrote no samples: it did not stop in time")
        found = json.loads(target.read_text())
    console = Console(width=None if sys.stdout.isatty() else 150)
    ticks = max(found["ticks"], 1)
    console.print(budget(found["own"], ticks, figures["cpu_us"]))
    console.print(
        table_of("in the function itself, and in C that it called", "function", found["own"], ticks, top)
    )
    console.print(table_of("with all that it called", "function", found["with_callees"], ticks, top))
    console.print(table_of("lines", "line", found["lines"], ticks, top))
    console.print(
        f"{name}, store {store}: {found['ticks']} samples; {figures['calls_per_s']:,.0f} calls/s, "
        f"{figures['cpu_us']:.1f} us of CPU per call while sampled",
        highlight=False,
    )


if __name__ == "__main__":
    main()
