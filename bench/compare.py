"""`make bench`: chargehand against other servers in one interleaved run, each alone on a core.

Rule: only ratios of medians from the same run are comparable; the absolute speed depends on the machine. A
contestant whose answers were wrong is never reported.

    python bench/compare.py [--quick] [--scenario throughput] [--only "chargehand reactor"] [--json FILE] [--docs]
"""

import datetime as dt
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import click
import page
from contestants import CONTESTANTS, NODE_PEER, RPC_PACKAGE, Contestant, NotStartedError, without_node_peer
from goals import judged
from load import Figures, LoadFailedError, build
from machine import cores, description, make_room
from rich.console import Console
from scenarios import KINDS, PROBES, Plan, Scenario, scenarios
from tables import REFERENCES, Report, grids

CONSOLE = Console(width=None if sys.stdout.isatty() else 150)  # in a file, wide enough for a whole table
FULL = {"rounds": 3, "seconds": 4.0, "warmup": 2.0, "many": 10_000, "growth": (100, 1_000, 5_000, 10_000)}
QUICK = {"rounds": 1, "seconds": 2.0, "warmup": 1.0, "many": 1_000, "growth": (100, 1_000)}


def median_figures(turns: Sequence[Figures]) -> Figures:
    """Return the median of each figure over the rounds."""
    return {name: median(turn[name] for turn in turns) for name in turns[0]}


class Comparison:
    """Figures of one run by scenario and contestant, and the errors of the contestants that have none."""

    def __init__(self, plan: Plan, *, absent: Mapping[str, str]) -> None:
        self.plan = plan
        self.absent = dict(absent)
        self.failed: dict[str, str] = {}
        self._machine = description(RPC_PACKAGE)
        self._turns: dict[str, dict[str, list[Figures]]] = {}
        self._scenarios: dict[str, Scenario] = {}

    def run(self, rows: Sequence[Scenario], contestants: Sequence[Contestant]) -> None:
        """Measure round by round: every scenario, and in it every contestant, one after the other."""
        for number in range(1, self.plan.rounds + 1):
            for scenario in rows:
                if number > scenario.rounds:
                    continue
                for contestant in contestants:
                    if contestant.name in scenario.who:
                        self._attempt(scenario, contestant, number)

    def _attempt(self, scenario: Scenario, contestant: Contestant, number: int) -> None:
        label = f"round {number}, {scenario.name}: {contestant.name}"
        try:
            figures = scenario.measure(contestant)
        except (NotStartedError, LoadFailedError) as error:
            self.failed[label] = str(error)
            CONSOLE.print(f"{label}: no figure", markup=False, highlight=False)
            return
        self._scenarios[scenario.name] = scenario
        self._turns.setdefault(scenario.name, {}).setdefault(contestant.name, []).append(figures)
        shown = ", ".join(f"{name} {figure:,.2f}" for name, figure in figures.items())
        CONSOLE.print(f"{label}: {shown}", markup=False, highlight=False)

    def report(self) -> Report:
        """Return all figures in a form that JSON can take."""
        found = {
            name: {
                "kind": scenario.kind,
                "title": scenario.title,
                "rounds": in_order(self._turns[name]),
                "medians": {who: median_figures(turns) for who, turns in in_order(self._turns[name]).items()},
            }
            for name, scenario in self._scenarios.items()
        }
        report: Report = {
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "machine": self._machine,
            "plan": asdict(self.plan),
            "contestants": {row.name: row.what for row in CONTESTANTS},
            "scenarios": found,
            "ratios": ratios(found.get("throughput", {}).get("medians", {})),
            "absent": self.absent,
            "failed": self.failed,
        }
        return report | {"goals": judged(report)}


def in_order(turns: Mapping[str, list[Figures]]) -> dict[str, list[Figures]]:
    """Sort figures by contestant, in the order of the contestants' table."""
    return {row.name: turns[row.name] for row in CONTESTANTS if row.name in turns}


def ratios(medians: Mapping[str, Figures]) -> dict[str, dict[str, Figures]]:
    """Return the ratio of each contestant to each reference, by calls per second and by CPU per call."""
    return {
        name: {
            reference: {
                "calls_per_s": figures["calls_per_s"] / medians[reference]["calls_per_s"],
                "cpu_us": medians[reference]["cpu_us"] / figures["cpu_us"],
            }
            for reference in REFERENCES
            if reference in medians
        }
        for name, figures in medians.items()
    }


def show(report: Report) -> None:
    """Print all tables and the contestants without figures."""
    for grid in grids(report):
        CONSOLE.print(grid.rich())
    for name, why in report["absent"].items():
        CONSOLE.print(f"{name} did not take part: {why}", markup=False)
    for label, error in report["failed"].items():
        CONSOLE.print(f"FAILED: {label}:\n{error}", markup=False)


def plan_of(options: Mapping[str, Any], *, quick: bool) -> Plan:
    """Return the plan: the options of the command line, with defaults for the rest."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    return Plan(**{**(QUICK if quick else FULL), **given})


def measure(plan: Plan, kinds: Iterable[str], names: Iterable[str]) -> Report:
    """Measure all scenarios and contestants of a plan."""
    make_room(max((plan.connections, plan.paced[0], plan.many + max(plan.busy[0], PROBES), *plan.growth)))
    build()
    names, kinds = set(names), set(kinds)
    absent = {}
    if NODE_PEER in names and (why := without_node_peer()):
        absent[NODE_PEER] = why
    if cores()[0] is None:
        CONSOLE.print("Only one core here: server and load share it, so no figure below means much.")
    comparison = Comparison(plan, absent=absent)
    comparison.run(
        [row for row in scenarios(plan) if row.kind in kinds],
        [row for row in CONTESTANTS if row.name in names and row.name not in absent],
    )
    return comparison.report()


@click.command()
@click.option(
    "--quick",
    is_flag=True,
    help="Two or three minutes instead of twelve: one short round, fewer connections.",
)
@click.option(
    "--scenario", "kinds", multiple=True, type=click.Choice(KINDS), help="Repeatable; all without it."
)
@click.option(
    "--only", multiple=True, type=click.Choice([row.name for row in CONTESTANTS]), help="Repeatable."
)
@click.option("--rounds", type=int, help="Turns of every contestant; memory and growth have one.")
@click.option("--seconds", type=float, help="Measured time of a turn.")
@click.option("--warmup", type=float, help="Time before it, not counted.")
@click.option("--connections", default=100, show_default=True, help="Charge points for the throughput.")
@click.option("--many", type=int, help="Charge points for memory, the storm, and the idle ones.")
@click.option("--paced", type=(int, float), help="Connections, and their calls/s in all.")
@click.option("--busy", type=(int, float), help="The same, among the idle ones.")
@click.option("--growth", type=int, multiple=True, help="Numbers of connections; repeatable.")
@click.option(
    "--storm-rate", default=2_500.0, show_default=True, help="New connections per second in the storm."
)
@click.option(
    "--json", "target", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures too."
)
@click.option("--docs", is_flag=True, help="Write them into docs/performance.md, with the plot.")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Measure nothing: take the figures of an earlier --json.",
)
def main(
    *,
    quick: bool,
    kinds: tuple[str, ...],
    only: tuple[str, ...],
    target: Path | None,
    docs: bool,
    source: Path | None,
    **options: Any,
) -> None:
    """Measure and print; exit with status 1 if a contestant could not be measured."""
    if source:
        report: Report = json.loads(source.read_text())
    else:
        report = measure(
            plan_of(options, quick=quick), kinds or KINDS, only or [row.name for row in CONTESTANTS]
        )
    show(report)
    if target:
        target.write_text(json.dumps(report, indent=2) + "\n")
    for path in page.write(report) if docs else ():
        CONSOLE.print(f"written: {path}", markup=False, soft_wrap=True)
    if report["failed"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
