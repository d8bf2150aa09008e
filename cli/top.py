"""The command `top`: rates, the busiest charge points, waiting messages and slow handlers of a running server."""

from __future__ import annotations

import datetime as dt
import sys
import time
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .api import NoAnswer, asks_server
from .escape import as_json
from .options import JSON
from .output import echo_json, plain, show, table_of, when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from .api import Api

ACTIONS = 8
"""Actions whose rates are shown in a table."""
ALARM = "bold red"


class Rates:
    """Rates of a node: differences of the numbers of its worker processes between two samples.

    A worker process that has started between them counts from its next sample on.
    """

    def __init__(self) -> None:
        self._before: dict[int, Mapping[str, Any]] = {}

    def add(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Take a sample, and return it with `calls_per_s` by action and `commands_per_s`; null for the first one."""
        calls: dict[str, float] = {}
        commands, known = 0.0, False
        for worker in told["workers"]:
            before = self._before.get(worker["worker"])
            seconds = 0.0 if before is None else worker["at"] - before["at"]
            if before is None or seconds <= 0:
                continue
            known = True
            for action, number in worker["calls"].items():
                more = max(0, number - before["calls"].get(action, 0)) / seconds
                calls[action] = calls.get(action, 0.0) + more
            commands += max(0, worker["commands"] - before["commands"]) / seconds
        self._before = {worker["worker"]: worker for worker in told["workers"]}
        found = {action: round(rate, 3) for action, rate in calls.items()}
        return {
            **told,
            "calls_per_s": found if known else None,
            "commands_per_s": round(commands, 3) if known else None,
        }


def page(told: Mapping[str, Any], url: str, at: str) -> RenderableType:
    """Make what is shown of a sample with its rates."""
    parts: list[RenderableType] = [_head(told, url, at)]
    calls = sorted((told["calls_per_s"] or {}).items(), key=lambda one: (-one[1], one[0]))
    shown = [(action, f"{rate:,.1f}") for action, rate in calls[:ACTIONS] if rate]
    parts += _part("calls", ("action", "calls/s"), shown)
    busy = [(row["charge_point"], f"{row['messages_per_s']:,.1f}", *_rest(row)) for row in told["busiest"]]
    parts += _part("busiest charge points", ("charge point", "messages/s", "inbox", "worker", ""), busy)
    full = [(row["charge_point"], f"{row['messages_per_s']:,.1f}", *_rest(row)) for row in told["inboxes"]]
    parts += _part("fullest inboxes", ("charge point", "messages/s", "inbox", "worker", ""), full)
    plugins = [
        (
            row["plugin"],
            row["inbox"],
            f"{row['running']} of {row['concurrency']}",
            row["worker"],
            "quarantined" if row["quarantined"] else "",
        )
        for row in told["plugins"]
        if row["inbox"] or row["running"] or row["quarantined"]
    ]
    parts += _part("plugins at work", ("plugin", "inbox", "handlers", "worker", ""), plugins)
    slow = [
        (
            row["plugin"],
            row["charge_point"],
            row["action"],
            row["state"],
            f"{row['seconds']:.1f}",
            row["worker"],
        )
        for row in told["handlers"]
    ]
    names = ("plugin", "charge point", "action", "state", "seconds", "worker")
    parts += _part("handlers that take long", names, slow, ALARM)
    return Group(*parts)


def _head(told: Mapping[str, Any], url: str, at: str) -> Text:
    workers = told["workers"]
    calls = "…" if told["calls_per_s"] is None else f"{sum(told['calls_per_s'].values()):,.1f}"
    commands = "…" if told["commands_per_s"] is None else f"{told['commands_per_s']:,.1f}"
    facts = (
        f"{sum(one['connected'] for one in workers):,} connected",
        f"{calls} calls/s",
        f"{commands} commands/s",
        f"{sum(one['open_commands'] for one in workers)} open commands",
        f"{len(workers)} {'process' if len(workers) == 1 else 'processes'}",
    )
    head = plain(url, "bold").append(f"  {at}\n", "dim").append("   ".join(facts))
    if told["unanswered"]:
        lost = ", ".join(map(str, told["unanswered"]))
        head.append(f"   worker {lost} does not answer", ALARM)
    return head


def _rest(row: Mapping[str, Any]) -> tuple[object, ...]:
    return row["inbox"], row["worker"], "paused" if row["paused"] else ""


def _part(
    title: str, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]], style: str = "bold"
) -> Iterator[RenderableType]:
    """Yield a table with its title; nothing for an empty one."""
    if rows:
        table: Table = table_of(columns, rows)
        yield Text(f"\n{title}", style)
        yield table


class Top:
    """Samples of a server, one after the other. `wait` waits for seconds."""

    def __init__(
        self, api: Api, query: Mapping[str, str], wait: Callable[[float], object] | None = None
    ) -> None:
        self._api = api
        self._query = query
        self._wait = wait or time.sleep
        self._rates = Rates()

    def sample(self) -> dict[str, Any]:
        """Take a sample."""
        return self._rates.add(self._api.get("activity", **self._query))

    def once(self, interval_s: float) -> dict[str, Any]:
        """Take two samples, so that there are rates; return the second."""
        self.sample()
        self._wait(interval_s)
        return self.sample()

    def follow(self, interval_s: float) -> Iterator[dict[str, Any] | NoAnswer]:
        """Yield a sample for each interval; a failure while there is no server, after the first one."""
        yield self.sample()
        while True:
            self._wait(interval_s)
            try:
                yield self.sample()
            except NoAnswer as error:
                yield error


@click.command()
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(0.2),
    default=2.0,
    show_default=True,
    help="Seconds between two samples.",
)
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="Rows of each table."
)
@click.option("--worker", type=click.IntRange(1), metavar="N", help="Only this worker process.")
@click.option("--once", is_flag=True, help="Print one sample, with the rates of one interval, and end.")
@JSON
@asks_server
def top(api: Api, *, interval_s: float, limit: int, worker: int | None, once: bool, json: bool) -> None:
    """Show what keeps a server busy, until Ctrl-C: rates, charge points, inboxes, plugins, handlers that take long.

    It is of all worker processes of the node. Messages of a charge point are counted over ten seconds. With --json each
    sample is a line, with --once an object.
    """
    watching = Top(api, {"limit": str(limit)} | ({"worker": str(worker)} if worker else {}))
    if once:
        told = watching.once(interval_s)
        if json:
            echo_json(told)
        else:
            show(page(told, api.url, _now()))
        return
    try:
        if json or not sys.stdout.isatty():
            _lines(watching, api, interval_s, json=json)
        else:
            _screen(watching, api, interval_s)
    except KeyboardInterrupt:
        pass


def _lines(watching: Top, api: Api, interval_s: float, *, json: bool) -> None:
    for told in watching.follow(interval_s):
        if isinstance(told, NoAnswer):
            click.echo(f"chargehand: {told.format_message()}", err=True)
        elif json:
            click.echo(as_json(told))
        else:
            show(page(told, api.url, _now()))


def _screen(watching: Top, api: Api, interval_s: float) -> None:
    console = Console(highlight=False)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for told in watching.follow(interval_s):
            shown: RenderableType = (
                plain(told.format_message(), ALARM)
                if isinstance(told, NoAnswer)
                else page(told, api.url, _now())
            )
            live.update(shown, refresh=True)


def _now() -> str:
    return when(dt.datetime.now(dt.UTC).isoformat())
