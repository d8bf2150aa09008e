"""`chargehand stress`: load on a central system, a line of figures every ten seconds, a histogram at the end.

One rule: the exit status is 1 if anything was not answered as it should be.
"""

from __future__ import annotations

import csv
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import gevent

from ..config.keys import InvalidKey, read_key
from ..simulator import client_context
from ..simulator.stress import ACTIONS, SUBPROTOCOLS, Load
from .configuration import read_settings
from .failures import CommandFailed, CommandMisused
from .open_files import make_room
from .options import CONFIG, DATA
from .output import echo_json
from .simulation import address
from .stop_signals import ended_by_signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..simulator.stress import Counts

MINUTE_S = 60
BAR = 40
PERCENTILES = (50, 90, 95, 99, 99.9)
COLUMNS = (
    "seconds", "open", "sent", "answered", "per_s", "refused", "unanswered", "lost",
    "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms",
)  # fmt: skip
WIDTHS = (7, 7, 9, 9, 8, 9, 11, 6, 9, 9, 9, 9, 9)
MIXED = "mixed"


@click.command()
@click.option(
    "-c", "--connections", type=click.IntRange(1), default=100, show_default=True, help="Connections."
)
@click.option(
    "-n",
    "--rate",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Messages per second of each connection.",
)
@click.option("-u", "--url", help="WebSocket URL without the id; default: that of the data folder's server.")
@click.option(
    "-d", "--duration", "minutes", type=click.FloatRange(0), default=1.0, show_default=True, help="Minutes."
)
@click.option("-k", "--keep", is_flag=True, help="Keep the connections open afterwards, until Ctrl-C.")
@click.option(
    "--ocpp",
    type=click.Choice([*SUBPROTOCOLS, MIXED]),
    default="1.6",
    show_default=True,
    help="Version of OCPP.",
)
@click.option(
    "--action",
    "actions",
    multiple=True,
    type=click.Choice(ACTIONS),
    default=("Heartbeat",),
    show_default=True,
    help="Message to send; of several one is drawn each time.",
)
@click.option("--prefix", default="STRESS", show_default=True, help="Beginning of the ids.")
@click.option(
    "--connect-rate",
    type=click.FloatRange(0, min_open=True),
    default=200.0,
    show_default=True,
    help="New connections per second.",
)
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds between two lines of figures.",
)
@click.option("--password", help="Password of all connections for Basic authentication.")
@click.option("--cafile", metavar="FILE", help="Certificates to trust (PEM), for wss.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write the lines of figures there, too.")
@click.option("--json", is_flag=True, help="Print the figures of the whole run as JSON, and no lines.")
@DATA
@CONFIG
def stress(
    *,
    url: str | None,
    minutes: float,
    keep: bool,
    ocpp: str,
    password: str | None,
    cafile: str | None,
    every_s: float,
    csv_file: str | None,
    json: bool,
    config: str | None,
    data: str | None,
    **load: Any,
) -> None:
    """Put load on a central system, of any maker: -c connections with -n messages a second each, for -d minutes.

    Latencies count from when a message is due. The exit status is 1 if a message was refused or not answered, or a
    connection was refused or lost.
    """
    url = url or address(read_settings(config, {"data": data}, stores=False))
    make_room(load["connections"], "-c")
    with ExitStack() as undo:
        made = Load(
            url,
            duration_s=minutes * MINUTE_S,
            ocpp=tuple(SUBPROTOCOLS) if ocpp == MIXED else (ocpp,),
            password=_password(password),
            tls=None if cafile is None else _context(cafile),
            **load,
        )
        undo.callback(made.close)
        undo.enter_context(ended_by_signals(made.stop))
        write = _writers(undo, csv_file, shown=not json)
        made.connect()
        if not made.open:
            raise CommandFailed(f"no connection could be made: {made.first_fault}", "see the server's log")
        click.echo(f"{made.open} of {len(made.connections)} connections", err=True)
        telling = gevent.spawn(_tell, made, write, every_s)
        made.run()
        telling.kill()
        write(_figures(made, made.take(), 0.0))
        if json:
            echo_json(summary(made))
        else:
            _show(made)
        if keep:
            click.echo(f"{made.open} connections stay open until Ctrl-C", err=True)
            made.stay()
    if made.total.faults:
        raise CommandFailed(made.first_fault or f"{made.total.faults} faults", "see the server's log")


def _password(password: str | None) -> bytes | None:
    try:
        return None if password is None else read_key(password)
    except InvalidKey as error:
        raise CommandMisused(f"--password: {error}", "write it as text, or its bytes behind hex:") from error


def _context(cafile: str) -> Any:
    try:
        return client_context(cafile)
    except OSError as error:
        raise CommandMisused(
            f"{cafile} cannot be used: {error.strerror or error}", "name a file in PEM with --cafile"
        ) from error


def _writers(undo: ExitStack, csv_file: str | None, *, shown: bool) -> Callable[[tuple[object, ...]], None]:
    """Return the function that writes a line of figures: to the terminal, and to a file."""
    rows: Any = None
    if csv_file is not None:
        try:
            file = Path(csv_file).open("w", newline="", encoding="utf-8")  # noqa: SIM115 - `undo` closes it
        except OSError as error:
            raise CommandMisused(
                f"{csv_file} cannot be written: {error.strerror}", "name another file with --csv"
            ) from error
        undo.callback(file.close)
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
    if shown:
        click.echo(_line(COLUMNS))

    def write(cells: tuple[object, ...]) -> None:
        if rows is not None:
            rows.writerow(cells)
        if shown:
            click.echo(_line(cells))

    return write


def _line(cells: tuple[object, ...]) -> str:
    return "".join(f"{cell!s:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))


def _tell(load: Load, write: Callable[[tuple[object, ...]], None], every_s: float) -> None:
    passed_s = 0.0
    while True:
        gevent.sleep(every_s)
        passed_s += every_s
        write(_figures(load, load.take(), passed_s, every_s))


def _figures(load: Load, counts: Counts, passed_s: float, every_s: float = 0.0) -> tuple[object, ...]:
    """Return a line of figures; without a time it is that of the rest, at the end."""
    latencies = counts.latencies
    times = (latencies.mean_s, *(latencies.percentile(one) for one in (50, 95, 99)), latencies.most_s)
    rate = f"{counts.answered / every_s:.0f}" if every_s else ""
    return (
        f"{passed_s:g}" if every_s else "end",
        load.open,
        counts.sent,
        counts.answered,
        rate,
        counts.refused,
        counts.unanswered,
        counts.lost,
        *(f"{1000 * one:.2f}" for one in times),
    )


def summary(load: Load) -> dict[str, Any]:
    """Return the figures of the whole run."""
    total = load.total
    return {
        "connections": len(load.connections),
        "open": load.open,
        "seconds": round(load.ran_s, 2),
        "sent": total.sent,
        "answered": total.answered,
        "per_s": round(total.answered / load.ran_s, 1) if load.ran_s else 0,
        "refused": total.refused,
        "unanswered": total.unanswered,
        "lost": total.lost,
        "failed": total.failed,
        "mean_ms": round(1000 * total.latencies.mean_s, 3),
        "max_ms": round(1000 * total.latencies.most_s, 3),
        **{f"p{one:g}_ms": round(1000 * total.latencies.percentile(one), 3) for one in PERCENTILES},
    }


def _show(load: Load) -> None:
    """Print the figures of the whole run, and the histogram."""
    click.echo("")
    for name, value in summary(load).items():
        click.echo(f"{name.replace('_', ' '):<12}{value:>12}")
    found = load.total.latencies.histogram()
    most = max((count for _, count in found), default=0)
    click.echo("")
    for below_s, count in found:
        bar = "#" * -(-BAR * count // most)
        click.echo(f"< {1000 * below_s:>10.2f} ms {count:>10} {bar}".rstrip())
