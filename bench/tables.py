"""Tables of a report: for the terminal, and the same in Markdown for the docs.

Rule: the input is a report (see `Comparison.report`) and the output is text; nothing is measured or judged here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from contestants import ECHO, NODE_PEER, PEER, REACTOR, REACTOR_PLUGIN, REACTOR_SQLITE
from rich.table import Table

Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Grid:
    """Table whose first column is a name and whose other columns are figures."""

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def rich(self) -> Table:
        """Return the table for a terminal."""
        table = Table(title=self.title)
        table.add_column(self.headings[0], no_wrap=True)
        for heading in self.headings[1:]:
            table.add_column(heading, justify="right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """Return the table in Markdown."""
        lines = [row_of(self.headings), row_of(["---", *("---:" for _ in self.headings[1:])])]
        return "\n".join([f"**{self.title}**", "", *lines, *map(row_of, self.rows)]) + "\n"


def row_of(cells: Iterable[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


@dataclass(frozen=True, slots=True)
class Column:
    """Heading, and the format of the figures of that name."""

    heading: str
    figure: str
    form: Callable[[float], str]


def whole(figure: float) -> str:
    return f"{figure:,.0f}"


def tenths(figure: float) -> str:
    return f"{figure:,.1f}"


def hundredths(figure: float) -> str:
    return f"{figure:,.2f}"


def percent(figure: float) -> str:
    return f"{figure:.0%}"


SPEED = (
    Column("calls/s", "calls_per_s", whole),
    Column("CPU us/call", "cpu_us", tenths),
    Column("p50 ms", "p50_ms", hundredths),
    Column("p99 ms", "p99_ms", hundredths),
)
COLUMNS = {
    "throughput": (*SPEED, Column("generator", "generator", percent)),
    "pace": (*SPEED, Column("longest ms", "max_ms", hundredths)),
    "busy": (*SPEED, Column("longest ms", "max_ms", hundredths)),
    "storm": (
        Column("connected in s", "connect_s", hundredths),
        Column("dropped in s", "drop_s", hundredths),
        Column("longest wait before, ms", "quiet_stall_ms", whole),
        Column("while connecting", "connect_stall_ms", whole),
        Column("while dropping", "drop_stall_ms", whole),
    ),
    "memory": (Column("KiB each", "kib", hundredths),),
    "connects": (
        Column("connections/s", "connects_per_s", whole),
        Column("CPU ms each", "cpu_ms", hundredths),
    ),
    "reconnects": (
        Column("connected in s", "connect_s", hundredths),
        Column("others' p99 ms before", "quiet_p99_ms", hundredths),
        Column("while dropped", "drop_p99_ms", hundredths),
        Column("while connecting: p50", "connect_p50_ms", hundredths),
        Column("p99", "connect_p99_ms", hundredths),
        Column("longest", "connect_max_ms", hundredths),
    ),
}
GROWTH = (
    Column("CPU us/call", "cpu_us", tenths),
    Column("calls/s", "calls_per_s", whole),
    Column("KiB each", "kib", hundredths),
)
REFERENCES = {
    PEER: "x ocpp",
    NODE_PEER: "x ocpp-rpc",
    ECHO: "x echo",
    REACTOR: "x reactor",
    REACTOR_PLUGIN: "x local plugin",
    REACTOR_SQLITE: "x one process",
}
"""Heading of the ratio to each contestant that others are compared with."""


def grids(report: Report) -> list[Grid]:
    """Return all tables that the report has figures for."""
    found = [grid_of(scenario) for scenario in report["scenarios"].values() if scenario["kind"] in COLUMNS]
    return [*found, *growth_of(report), *goals_of(report)]


def spread(quartiles: Sequence[float]) -> str:
    """Write a median with its quartiles; the median alone if there was one round."""
    low, middle, high = quartiles
    return f"{middle:.2f}" if low == high else f"{middle:.2f} ({low:.2f} to {high:.2f})"


def grid_of(scenario: Report) -> Grid:
    """Return the table of a scenario; with references it has the ratios too."""
    columns = COLUMNS[scenario["kind"]]
    ratios = scenario["ratios"]
    references = [name for name in REFERENCES if any(name in row for row in ratios.values())]
    rows = []
    for name, figures in scenario["medians"].items():
        found = [
            spread(ratios[name][one]["calls_per_s"]) if one in ratios[name] else "" for one in references
        ]
        rows.append((name, *(column.form(figures[column.figure]) for column in columns), *found))
    headings = (*(column.heading for column in columns), *(REFERENCES[name] for name in references))
    rounds = max((len(turns) for turns in scenario["rounds"].values()), default=0)
    medians = f"; medians (quartiles) of {rounds} rounds" if rounds > 1 else ""
    return Grid(f"{scenario['title']}{medians}", ("server", *headings), rows)


def growth_of(report: Report) -> list[Grid]:
    """Return a table with a row for each number of connections and the servers side by side."""
    steps = {
        name.split()[-1]: scenario["medians"]
        for name, scenario in report["scenarios"].items()
        if scenario["kind"] == "growth"
    }
    names = list(dict.fromkeys(name for medians in steps.values() for name in medians))
    if not names:
        return []
    headings = [f"{name.split()[-1]}: {column.heading}" for name in names for column in GROWTH]
    rows = [
        (
            whole(int(step)),
            *(
                column.form(medians[name][column.figure]) if name in medians else "-"
                for name in names
                for column in GROWTH
            ),
        )
        for step, medians in steps.items()
    ]
    return [Grid("from few connections to many", ("connections", *headings), rows)]


def goals_of(report: Report) -> list[Grid]:
    """Return a table of the goals and their figures."""
    rows = [
        (goal["what"], goal["asked"], f"{goal['found']:,.2f}", "yes" if goal["met"] else "NO")
        for goal in report["goals"]
    ]
    return [Grid("goals", ("what", "asked", "found", "met"), rows)] if rows else []
