"""Tables, trees, JSON and CSV on standard output.

One rule: text is escaped before it is shown; what a charge point sends is never markup or a control character.
"""

from __future__ import annotations

import csv
import datetime as dt
import functools
import io
import sys
from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..protocol.cells import guarded
from ..protocol.text import escaped
from .escape import as_json
from .options import JSON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.console import RenderableType

WIDE = 200
"""Columns where standard output is no terminal: no line is wrapped there."""


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
    """Print names and their values, a line each."""
    table = Table(box=None, pad_edge=False, show_header=False, show_edge=False)
    for name, value in facts:
        table.add_row(plain(name, "dim"), plain(value))
    show(table)


def show_next(told: Mapping[str, Any]) -> None:
    """Print that there are more than a page of the API has, and where the next one begins if that is known."""
    if told.get("more"):
        begins = f": --before {told['next']}" if isinstance(told.get("next"), str) else ""
        begins = f": --after {told['next']}" if isinstance(told.get("next"), int) else begins
        show_facts([("", f"there are more{begins}")])


def when(moment: object) -> str:
    """Write a time for people, in UTC with a Z; empty for None, unchanged for another text."""
    text = str(moment or "")
    try:
        at = dt.datetime.fromisoformat(text)
        if at.tzinfo is None:
            return text
        return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}Z"
    except (ValueError, OverflowError):
        return text


def plain(value: object, style: str = "") -> Text:
    """Return a value as text without markup of rich; None is empty."""
    return Text("" if value is None else escaped(str(value)), style)


def export(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    write: Callable[[str], object],
    *,
    json: bool,
    raw: bool = False,
) -> None:
    """Write rows: as CSV with a line of names, or as one JSON list with an object a line.

    In CSV a list is its elements with `; ` between them, and a control character is written as Python writes it: JSON
    has everything as it is. A text that a spreadsheet would run as a formula has an apostrophe before it, unless `raw`.
    """
    if json:
        _export_json(rows, write)
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[name], raw=raw) for name in columns])
        write(text.getvalue())
        text.seek(0)
        text.truncate()
    write(text.getvalue())


def _export_json(rows: Iterable[Mapping[str, Any]], write: Callable[[str], object]) -> None:
    begun = False
    for row in rows:
        write(f"{',' if begun else '['}\n{as_json(row)}")
        begun = True
    write("\n]\n" if begun else "[]\n")


def _cell(value: Any, *, raw: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = escaped("; ".join(map(_item, value)) if isinstance(value, list) else str(value))
    return text if raw else guarded(text)


def echo_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(as_json(value, indent=2))


def shows(show: Callable[[Any], None]) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Add the option --json; what the command returns is printed as JSON, or by `show`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(*, json: bool, **options: Any) -> None:
            value = command(**options)
            if json:
                echo_json(value)
            else:
                show(value)

        return JSON(run)

    return decorate


def _item(item: Any) -> str:
    """Show one of several values in a cell; a flag by its text."""
    return str(item["text"] if isinstance(item, dict) and "text" in item else item)
