"""Plot in the docs: bars of calls per second, relative to `ocpp` + `websockets`, as SVG text.

Rule: it is readable on a light page and on a dark one, without a script or a font of its own.
"""

from html import escape
from typing import Any

from contestants import PEER, THEIRS

WIDTH = 760
NAMES = 190  # room for names to the left
FIGURES = 150  # and for figures to the right
BAR = 22
STEP = 34
TOP = 46
STYLE = """
text { font: 14px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; }
.figure { fill: #57606a; font-size: 13px; }
.ours { fill: #00897b; }
.others { fill: #8c959f; }
.spread { stroke: #24292f; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .figure { fill: #9da7b1; }
  .ours { fill: #26a69a; }
  .others { fill: #6e7681; }
  .spread { stroke: #e6edf3; }
}
"""


def plot(report: dict[str, Any]) -> str | None:
    """Return the SVG, or None if the run has no figures to compare."""
    medians = report["scenarios"].get("throughput", {}).get("medians", {})
    if PEER not in medians:
        return None
    base = medians[PEER]["calls_per_s"]
    rows = sorted(
        ((name, figures["calls_per_s"] / base, figures["calls_per_s"]) for name, figures in medians.items()),
        key=lambda row: -row[1],
    )
    longest = rows[0][1]
    height = TOP + STEP * len(rows) + 8
    title = f"Calls per second on one core: {PEER} = 1"
    bars = [bar(number, row, longest) for number, row in enumerate(rows)]
    box = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-label="{escape(title)}">',
            f"<style>{STYLE}</style>",
            f'<text class="title" x="8" y="26">{escape(title)}</text>',
            *bars,
            "</svg>\n",
        ]
    )


def bar(number: int, row: tuple[str, float, float], longest: float) -> str:
    """Return the SVG of a name, its bar, and its figures behind the bar."""
    name, ratio, rate = row
    top = TOP + STEP * number
    middle = top + BAR // 2 + 5
    length = max(2, round((WIDTH - NAMES - FIGURES) * ratio / longest))
    kind = "others" if name in THEIRS else "ours"
    return (
        f'<text x="{NAMES - 10}" y="{middle}" text-anchor="end">{escape(name)}</text>'
        f'<rect class="{kind}" x="{NAMES}" y="{top}" width="{length}" height="{BAR}" rx="3"/>'
        f'<text class="figure" x="{NAMES + length + 8}" y="{middle}">{ratio:.1f} x, {rate:,.0f}/s</text>'
    )
