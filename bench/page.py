"""Figures in `docs/performance.md`, and its plots.

Rule: it writes between the page's two markers and nowhere else; the text around them stays.
"""

from pathlib import Path

from plot import plot
from releases import history, kept
from tables import Report, grids

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "performance.md"
PLOT = DOCS / "performance.svg"
HISTORY = DOCS / "performance-history.svg"
BEGIN = "<!-- figures: written by bench/compare.py --docs -->"
END = "<!-- figures: end -->"


def write(report: Report) -> list[Path]:
    """Write the page's figures and the plots; return the written files. Exits with a message without the markers."""
    text = PAGE.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise SystemExit(f"{PAGE} needs the lines {BEGIN!r} and {END!r} once, in this order")
    picture = plot(report)
    if picture is not None:
        PLOT.write_text(picture, encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{figures(report)}\n{END}{after}", encoding="utf-8")
    HISTORY.write_text(history(kept()), encoding="utf-8")
    return [PAGE, HISTORY, PLOT] if picture is not None else [PAGE, HISTORY]


def figures(report: Report) -> str:
    """Return the text between the markers."""
    parts = [made_on(report)]
    if "throughput" in report["scenarios"] and PLOT.exists():
        parts.append("![Calls per second of each server, relative to ocpp + websockets](performance.svg)\n")
    parts += [grid.markdown() for grid in grids(report)]
    if report["absent"]:
        parts.append(
            f"Not measured: {'; '.join(f'{name} ({why})' for name, why in report['absent'].items())}.\n"
        )
    if report["failed"]:
        parts.append(f"No figure, because an answer was wrong or missing: {', '.join(report['failed'])}.\n")
    return "\n".join(parts)


def made_on(report: Report) -> str:
    """Return date, machine, versions, and the plan of a run."""
    machine, plan = report["machine"], report["plan"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    pinned = (
        "server and generator on a core each" if machine["pinned"] else "server and generator on one core"
    )
    return (
        f"Measured on {report['date']}: {machine['cpu']}, {machine['cores']} cores, {machine['system']}, {pinned}; "
        f"load average at the start {machine['load_average']:.1f}. {plan['rounds']} round(s), "
        f"{plan['seconds']:g} s a turn after {plan['warmup']:g} s of warming up.\n\n{versions}.\n"
    )
