"""`make bench`: chargehand against other servers in one interleaved run, each alone on a core.

Rule: only ratios from the same rounds are comparable; the absolute speed depends on the machine. A
contestant whose answers were wrong is never reported.

    python bench/compare.py [--quick] [--scenario throughput] [--only "chargehand reactor"] [--json FILE] [--docs]
    python bench/compare.py [--checkout ../older] [--keep 0.1.0]
"""

import datetime as dt
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import click
import page
import releases
from contestants import (
    CONTESTANTS,
    NODE_PEER,
    RPC_PACKAGE,
    THEIRS,
    Contestant,
    NotStartedError,
    at,
    without_node_peer,
)
from goals import judged
from load import Figures, LoadFailedError, build
from machine import cores, description, make_room
from rich.console import Console
from scenarios import KINDS, PROBES, STANDARD_KINDS, WATCHERS, Plan, Scenario, scenarios
from tables import Report, grids

CONSOLE = Console(width=None if sys.stdout.isatty() else 150)  # in a file, wide enough for a whole table
STANDARD = {"rounds": 5, "seconds": 1.5, "warmup": 0.5, "many": 2_000, "growth": (100, 1_000, 10_000)}
FULL = {"rounds": 3, "seconds": 4.0, "warmup": 2.0, "many": 10_000, "growth": (100, 1_000, 10_000)}
QUICK = {"rounds": 1, "seconds": 1.0, "warmup": 0.5, "many": 500, "growth": (100, 1_000), "reconnects": 500}

Turns = dict[str, list[Figures | None]]
"""Figures of each contestant, by rounds; None for a turn that failed."""


def median_figures(turns: Sequence[Figures | None]) -> Figures:
    """Return the median of each figure over the rounds."""
    done = [turn for turn in turns if turn is not None]
    return {name: median(turn[name] for turn in done) for name in done[0]}


def quartiles(figures: Sequence[float]) -> list[float]:
    """Return the first quartile, the median and the third quartile."""
    return quantiles(figures, n=4, method="inclusive") if len(figures) > 1 else [figures[0]] * 3


class Comparison:
    """Figures of one run by scenario and contestant, and the errors of the contestants that have none."""

    def __init__(self, plan: Plan, *, absent: Mapping[str, str], python: Path | None = None) -> None:
        self.plan = plan
        self.absent = dict(absent)
        self.failed: dict[str, str] = {}
        self._machine = description(RPC_PACKAGE, python)
        self._is_older = python is not None
        self._turns: dict[str, Turns] = {}
        self._scenarios: dict[str, Scenario] = {}

    def run(self, rows: Sequence[Scenario], contestants: Sequence[Contestant]) -> None:
        """Measure round by round: every scenario, and in it every contestant, one after the other."""
        for number in range(1, self.plan.rounds + 1):
            for scenario in rows:
                if number > scenario.rounds:
                    continue
                for contestant in contestants:
                    if contestant.name in scenario.who and contestant.name not in self.absent:
                        self._attempt(scenario, contestant, number)

    def _attempt(self, scenario: Scenario, contestant: Contestant, number: int) -> None:
        label = f"round {number}, {scenario.name}: {contestant.name}"
        self._scenarios[scenario.name] = scenario
        turns = self._turns.setdefault(scenario.name, {}).setdefault(contestant.name, [])
        try:
            figures = scenario.measure(contestant)
        except (NotStartedError, LoadFailedError) as error:
            turns.append(None)
            if isinstance(error, NotStartedError) and self._is_older and contestant.name not in THEIRS:
                self.absent[contestant.name] = "that version does not have it"
            else:
                self.failed[label] = str(error)
            CONSOLE.print(f"{label}: no figure", markup=False, highlight=False)
            return
        turns.append(figures)
        shown = ", ".join(f"{name} {figure:,.2f}" for name, figure in figures.items())
        CONSOLE.print(f"{label}: {shown}", markup=False, highlight=False)

    def report(self, before: Report | None = None) -> Report:
        """Return all figures in a form that JSON can take, with those of an earlier run of the same servers."""
        earlier = {} if before is None else before["scenarios"]
        found = dict(earlier)
        for name, scenario in self._scenarios.items():
            turns = in_order(after(earlier.get(name, {"rounds": {}})["rounds"], self._turns[name]))
            found[name] = {
                "kind": scenario.kind,
                "title": scenario.title,
                "rounds": turns,
                "medians": {who: median_figures(rows) for who, rows in turns.items() if any(rows)},
                "ratios": ratios(turns, scenario.references),
            }
        report: Report = {
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "machine": self._machine,
            "plan": asdict(self.plan),
            "contestants": {row.name: row.what for row in CONTESTANTS},
            "scenarios": found,
            "absent": self.absent | ({} if before is None else before["absent"]),
            "failed": self.failed | ({} if before is None else before["failed"]),
        }
        return report | {"goals": judged(report)}


def after(before: Turns, turns: Turns) -> Turns:
    """Return the rounds of two runs, one after the other; a contestant that one of them lacks has no figure there."""
    rounds = max(map(len, before.values()), default=0)
    return {
        name: (before.get(name) or [None] * rounds) + turns.get(name, [])
        for name in dict.fromkeys((*before, *turns))
    }


def in_order(turns: Turns) -> Turns:
    """Sort figures by contestant, in the order of the contestants' table."""
    return {row.name: turns[row.name] for row in CONTESTANTS if row.name in turns}


def ratios(turns: Turns, references: Sequence[str]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return the quartiles of the ratio of each contestant to each reference, over the rounds that both have.

    By calls per second and by CPU per call; over 1 is better for the contestant.
    """
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for name, rows in turns.items():
        found[name] = {}
        for reference in references:
            pairs = [
                (row, other)
                for row, other in zip(rows, turns.get(reference, []), strict=False)
                if row is not None and other is not None
            ]
            if pairs:
                found[name][reference] = {
                    "calls_per_s": quartiles(
                        [row["calls_per_s"] / other["calls_per_s"] for row, other in pairs]
                    ),
                    "cpu_us": quartiles([other["cpu_us"] / row["cpu_us"] for row, other in pairs]),
                }
    return found


def show(report: Report) -> None:
    """Print all tables and the contestants without figures."""
    for grid in grids(report):
        CONSOLE.print(grid.rich())
    for name, why in report["absent"].items():
        CONSOLE.print(f"{name} did not take part: {why}", markup=False)
    for label, error in report["failed"].items():
        CONSOLE.print(f"FAILED: {label}:\n{error}", markup=False)


def plan_of(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> Plan:
    """Return the plan: the options of the command line, with defaults for the rest."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    return Plan(**{**defaults, **given})


def connections_of(plan: Plan, kinds: Iterable[str]) -> int:
    """Return how many connections the largest of the scenarios has at once."""
    sizes = {
        "throughput-many": plan.more,
        "memory": plan.many,
        "memory-2.0.1": plan.many,
        "pace": plan.paced[0],
        "busy": plan.many + plan.busy[0],
        "storm": plan.many + PROBES,
        "growth": max(plan.growth, default=0),
        "connects": plan.reconnects,
        "resumes": plan.reconnects,
        "reconnects": plan.reconnects + WATCHERS,
    }
    return max(plan.connections, *(sizes.get(kind, 0) for kind in kinds))


def measure(
    plan: Plan, kinds: Iterable[str], names: Iterable[str], python: Path | None, before: Report | None
) -> Report:
    """Measure all scenarios and contestants of a plan; `before` are figures to which these are added."""
    names, kinds = set(names), set(kinds)
    make_room(connections_of(plan, kinds))
    build()
    rows = [row for row in scenarios(plan) if row.name.split()[0] in kinds]
    taking_part = [
        row for row in CONTESTANTS if row.name in names and any(row.name in one.who for one in rows)
    ]
    absent = {row.name: why for row in taking_part if (why := lack_of(row))}
    if cores()[0] is None:
        CONSOLE.print("Only one core here: server and load share it, so no figure below means much.")
    for name, why in absent.items():
        CONSOLE.print(f"{name} does not take part: {why}", markup=False, highlight=False)
    comparison = Comparison(plan, absent=absent, python=python)
    comparison.run(rows, taking_part if python is None else [at(row, python) for row in taking_part])
    return comparison.report(before)


def lack_of(contestant: Contestant) -> str | None:
    """Return the reason why a contestant cannot take part on this machine, or None if it can."""
    return without_node_peer() if contestant.name == NODE_PEER else contestant.lacks()


def python_of(checkout: Path) -> Path:
    """Return the Python of another checkout's environment; exits with a message without one."""
    python = checkout.resolve() / ".venv" / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"{checkout} has no .venv: run `make .venv/installed` in it first")
    return python


@click.command()
@click.option("--quick", is_flag=True, help="One short round with fewer connections, two minutes.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="All scenarios, three rounds of longer turns, 10,000 connections: most of an hour.",
)
@click.option(
    "--scenario",
    "kinds",
    multiple=True,
    type=click.Choice(KINDS),
    help=f"Repeatable; without it and --all: {', '.join(STANDARD_KINDS)}.",
)
@click.option(
    "--only", multiple=True, type=click.Choice([row.name for row in CONTESTANTS]), help="Repeatable."
)
@click.option("--rounds", type=int, help="Turns of every contestant; memory and growth have one.")
@click.option("--seconds", type=float, help="Measured time of a turn.")
@click.option("--warmup", type=float, help="Time before it, not counted.")
@click.option("--connections", default=100, show_default=True, help="Charge points for the throughput.")
@click.option("--more", default=1_000, show_default=True, help="The same for throughput-many.")
@click.option("--many", type=int, help="Charge points for memory, the storm, and the idle ones.")
@click.option("--reconnects", type=int, help="Charge points that connect at once.")
@click.option("--paced", type=(int, float), help="Connections, and their calls/s in all.")
@click.option("--busy", type=(int, float), help="The same, among the idle ones.")
@click.option("--growth", type=int, multiple=True, help="Numbers of connections; repeatable.")
@click.option(
    "--storm-rate", default=2_500.0, show_default=True, help="New connections per second in the storm."
)
@click.option(
    "--checkout",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of another checkout with an environment of its own: its servers instead of these.",
)
@click.option(
    "--json", "target", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures too."
)
@click.option(
    "--add", is_flag=True, help="Add the turns to those of the same servers that --json has already."
)
@click.option("--keep", metavar="VERSION", help="Keep the figures as those of a release, in bench/results.")
@click.option(
    "--docs", is_flag=True, help="Write them into docs/performance.md, with the plots of run and releases."
)
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Measure nothing: take the figures of an earlier --json.",
)
def main(
    *,
    quick: bool,
    everything: bool,
    kinds: tuple[str, ...],
    only: tuple[str, ...],
    checkout: Path | None,
    target: Path | None,
    add: bool,
    keep: str | None,
    docs: bool,
    source: Path | None,
    **options: Any,
) -> None:
    """Measure and print; exit with status 1 if a contestant could not be measured."""
    before: Report | None = json.loads(target.read_text()) if add and target and target.exists() else None
    if source:
        report: Report = json.loads(source.read_text())
    else:
        defaults = QUICK if quick else FULL if everything else STANDARD
        report = measure(
            plan_of(options, defaults),
            kinds or (KINDS if everything else STANDARD_KINDS),
            only or [row.name for row in CONTESTANTS],
            checkout and python_of(checkout),
            before,
        )
    show(report)
    if target:
        target.write_text(json.dumps(report, indent=2) + "\n")
    written = [releases.keep(report, keep)] if keep else []
    for path in [*written, *(page.write(report) if docs else ())]:
        CONSOLE.print(f"written: {path}", markup=False, soft_wrap=True)
    if report["failed"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
