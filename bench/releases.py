"""Figures of each release, kept in `bench/results` as data, and their history as SVG.

Rule: a file has the report of a run (see `Comparison.report`) without the texts of errors, which may name paths. Rates
of two files do not compare; ratios within a run and KiB do.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from contestants import (
    ECHO,
    GREENLET,
    GREENLET_TLS,
    HERE,
    PEER,
    REACTOR,
    REACTOR_PLUGIN,
    REACTOR_POSTGRES,
    REACTOR_REMOTE,
    REACTOR_SQLITE,
    REACTOR_TLS,
    TWO_WORKERS,
)
from plot import BAR, STYLE, WIDTH
from tables import Report

RESULTS = HERE / "results"
VERSION = re.compile(r"\d+\.\d+\.\d+\w*")

LABELS = 90  # room for the names of releases to the left
FIGURES = 170  # and for figures to the right
TOP = 44
STEP = 26
HEAD = 32  # height of a measure's title


def keep(report: Report, version: str) -> Path:
    """Write the figures of a release; return the file. Exits with a message if that is no version."""
    if VERSION.fullmatch(version) is None:
        raise SystemExit(f"{version!r} is not a version like 0.2.0")
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{version}.json"
    kept = {name: value for name, value in report.items() if name != "failed"}
    kept["failed"] = dict.fromkeys(report["failed"], "")
    file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return file


def kept() -> dict[str, Report]:
    """Return the figures of all releases by version, the oldest first."""
    files = sorted(
        RESULTS.glob("*.json"), key=lambda file: [int(part) for part in re.findall(r"\d+", file.stem)]
    )
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


@dataclass(frozen=True, slots=True)
class Measure:
    """Row of the history: a title, and how to find its median and quartiles in a report."""

    title: str
    find: Callable[[Report], list[float] | None]


def ratio(who: str, over: str, scenario: str = "throughput") -> Callable[[Report], list[float] | None]:
    """Return the function that finds a ratio of calls per second."""

    def find(report: Report) -> list[float] | None:
        row = report["scenarios"].get(scenario, {"ratios": {}})["ratios"].get(who, {})
        found: list[float] | None = row.get(over, {}).get("calls_per_s")
        return found

    return find


def kib(who: str) -> Callable[[Report], list[float] | None]:
    """Return the function that finds the memory of an idle charge point."""

    def find(report: Report) -> list[float] | None:
        figures = report["scenarios"].get("memory", {"medians": {}})["medians"].get(who)
        return None if figures is None else [figures["kib"]] * 3

    return find


MEASURES = (
    Measure(f"{REACTOR}: times {PEER}, 100 connections", ratio(REACTOR, PEER)),
    Measure(f"{GREENLET}: times {PEER}, 100 connections", ratio(GREENLET, PEER)),
    Measure(f"{REACTOR}: times {PEER}, 1,000 connections", ratio(REACTOR, PEER, "throughput-many")),
    Measure(f"{REACTOR}: times {PEER}, OCPP 2.0.1", ratio(REACTOR, PEER, "throughput-2.0.1")),
    Measure(f"{REACTOR_SQLITE}: times {PEER}", ratio(REACTOR_SQLITE, PEER)),
    Measure(f"{REACTOR_POSTGRES}: times {PEER}", ratio(REACTOR_POSTGRES, PEER)),
    Measure(f"{REACTOR_TLS}: times {PEER}, which has none", ratio(REACTOR_TLS, PEER)),
    Measure(f"{REACTOR}: times the {ECHO}", ratio(REACTOR, ECHO)),
    Measure("remote plugin: times a local one", ratio(REACTOR_REMOTE, REACTOR_PLUGIN, "remote")),
    Measure("two worker processes: times one, SQLite", ratio(TWO_WORKERS, REACTOR_SQLITE, "workers")),
    Measure("KiB per idle charge point (less is better)", kib(REACTOR)),
    Measure("KiB per idle charge point, greenlet", kib(GREENLET)),
    Measure("KiB per idle charge point over TLS", kib(REACTOR_TLS)),
    Measure("KiB per idle charge point over TLS, greenlet", kib(GREENLET_TLS)),
)


def history(reports: dict[str, Report]) -> str:
    """Return the SVG: for each measure a bar of each release that has it, with the median and the quartiles."""
    parts: list[str] = []
    top = TOP
    for measure in MEASURES:
        rows = [(version, found) for version, report in reports.items() if (found := measure.find(report))]
        if not rows:
            continue
        parts.append(f'<text class="title" x="8" y="{top + 16}">{escape(measure.title)}</text>')
        top += HEAD - 8
        longest = max(found[2] for _, found in rows)
        for version, found in rows:
            parts.append(bar(top, version, found, longest))
            top += STEP
        top += HEAD - 20
    title = "Releases: ratios within the same run, median (quartiles)"
    box = f'viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-label="{escape(title)}">',
            f"<style>{STYLE}</style>",
            f'<text class="title" x="8" y="24">{escape(title)}</text>',
            *parts,
            "</svg>\n",
        ]
    )


def bar(top: int, version: str, found: list[float], longest: float) -> str:
    """Return the SVG of a release, its bar with the quartiles as a line, and the figures behind it."""
    low, middle, high = found
    space = WIDTH - LABELS - FIGURES
    length, first, last = (max(2, round(space * figure / longest)) for figure in (middle, low, high))
    centre, base = top + BAR // 2, top + BAR // 2 + 5
    text = f"{middle:.2f}" if low == high else f"{middle:.2f} ({low:.2f} to {high:.2f})"
    line = (
        ""
        if first == last
        else f'<line x1="{LABELS + first}" x2="{LABELS + last}" y1="{centre}" y2="{centre}" class="spread"/>'
    )
    return (
        f'<text x="{LABELS - 10}" y="{base}" text-anchor="end">{escape(version)}</text>'
        f'<rect class="ours" x="{LABELS}" y="{top}" width="{length}" height="{BAR}" rx="3"/>{line}'
        f'<text class="figure" x="{LABELS + max(length, last) + 8}" y="{base}">{text}</text>'
    )
