"""Tables and trees on standard output.

One rule: whatever is shown is escaped first; what a charge point sends is text, never markup or a control character.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .escape import escaped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

WIDE = 200
"""Columns where standard output is no terminal: nothing is wrapped for whoever reads it then."""


def show(thing: RenderableType) -> None:
    """Print something of rich's."""
    width = None if sys.stdout.isatty() else WIDE
    Console(width=width, highlight=False).print(thing)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print a table, or the line that stands for an empty one."""
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    show(table if rows else Text(empty))


def show_facts(facts: Sequence[tuple[str, object]]) -> None:
    """Print names and what stands for each, a line each."""
    table = Table(box=None, pad_edge=False, show_header=False, show_edge=False)
    for name, value in facts:
        table.add_row(plain(name, "dim"), plain(value))
    show(table)


def when(moment: object) -> str:
    """A time of the API's as people write it, in UTC; empty if there is none."""
    return str(moment or "").partition(".")[0].removesuffix("Z").replace("T", " ")


def plain(value: object, style: str = "") -> Text:
    """A value as text that means nothing to rich; None is empty."""
    return Text("" if value is None else escaped(str(value)), style)
