"""Tables, trees, JSON and CSV on standard output.

One rule: text is escaped before it is shown; what a charge point sends is never markup or a control character.
"""

from __future__ import annotations

import csv
import datetime as dt
import functools
import io
import sys
from itertools import compress
from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..protocol.cells import guarded
from ..protocol.text import escaped
from .escape import as_json
from .failures import CommandMisused
from .options import CSV, JSON, RAW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.console import RenderableType

    from ..config.settings import Settings

WIDE = 1000
"""Columns where standard output is no terminal: no line is wrapped there."""


def show(thing: RenderableType) -> None:
    """Print something of rich's."""
    width = None if sys.stdout.isatty() else WIDE
    Console(width=width, highlight=False).print(thing)


def show_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str, *, sparse: bool = False
) -> None:
    """Print a table, or the line that stands for an empty one; if it is `sparse`, without columns that are empty."""
    if sparse and rows:
        kept = [any(cell not in ("", None) for cell in column) for column in zip(*rows, strict=True)]
        columns = list(compress(columns, kept))
        rows = [list(compress(row, kept)) for row in rows]
    show(table_of(columns, rows) if rows else Text(empty))


def table_of(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Make a table."""
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    return table


def show_facts(facts: Sequence[tuple[str, object]]) -> None:
    """Print names and their values, a line each."""
    table = Table(box=None, pad_edge=False, show_header=False, show_edge=False)
    for name, value in facts:
        table.add_row(plain(name, "dim"), plain(value))
    show(table)


def show_next(told: Mapping[str, Any]) -> None:
    """Print that there are more than a page of the API has, and where the next one begins if that is known."""
    if told.get("more"):
        show_facts([("", more(told))])


def more(told: Mapping[str, Any]) -> str:
    """Say that there are more than a page of the API has, and where the next one begins if that is known."""
    begins = f": --before {told['next']}" if isinstance(told.get("next"), str) else ""
    begins = f": --after {told['next']}" if isinstance(told.get("next"), int) else begins
    return f"there are more{begins}"


TIMES = "chargehand.times"
"""Key of the setting `cli.times` in the context of a command."""


TIMED = frozenset({"at", "expiry", "not_after", "not_before"})
"""Members that are times, beside those that end in `_at`."""


def shows_times(settings: Settings) -> None:
    """Have the running command show and read times as `cli.times` has it."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[TIMES] = settings.cli.times


def zone() -> dt.tzinfo | None:
    """Return the zone of times that the running command shows and reads: UTC, or None for the local one."""
    context = click.get_current_context(silent=True)
    return dt.UTC if context is None or context.meta.get(TIMES, "utc") == "utc" else None


def when(moment: object, timespec: str = "seconds") -> str:
    """Write a time for people, with a Z or the offset of its zone; empty for None, unchanged for another text."""
    text = str(moment or "")
    try:
        at = dt.datetime.fromisoformat(text)
        if at.tzinfo is None:
            return text
        shown = at.astimezone(zone())
        return shown.isoformat(" ", timespec).replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return text


def shown(row: Mapping[str, Any], names: Sequence[str]) -> list[object]:
    """Return members of a row as cells of a table: times as `when` writes them."""
    return [when(row[name]) if name in TIMED or name.endswith("_at") else row[name] for name in names]


def moment(text: str) -> str:
    """Write a time or a day of the command line as the API reads it; without an offset it is of the zone that is shown.

    A text that is no time is unchanged: the server says so.
    """
    try:
        at = dt.datetime.fromisoformat(text)
        return text if at.tzinfo is not None or zone() is dt.UTC else at.astimezone().isoformat()
    except (ValueError, OverflowError):
        return text


def aware(text: str) -> str:
    """Write a time of the command line with its offset; without one it is of the zone that is shown.

    Raises `CommandMisused` for what is no time.
    """
    try:
        at = dt.datetime.fromisoformat(moment(text))
    except ValueError as error:
        raise CommandMisused(f"{text!r} is no time", "write it like 2026-12-01T14:00") from error
    return (at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC)).isoformat()


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

    In CSV a list is its elements with `; ` between them, an object is JSON, and a control character is written as
    Python writes it: JSON has everything as it is. A text that a spreadsheet would run as a formula has an apostrophe
    before it, unless `raw`.
    """
    if json:
        _export_json(rows, write)
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(name), raw=raw) for name in columns])
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
    text = escaped("; ".join(map(_item, value)) if isinstance(value, list) else _item(value))
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


def lists(
    show: Callable[[Any], None],
    rows: str,
    columns: Sequence[str],
    flat: Callable[[Iterable[Mapping[str, Any]]], Iterable[Mapping[str, Any]]] = iter,
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Add the options --json, --csv and --raw to a command that lists; its value is printed by `show` without them.

    `rows` is the member of the value that has its rows, empty if it is the rows; `columns` are those of CSV, which
    takes the rows as `flat` makes them.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(*, json: bool, csv: bool, raw: bool, **options: Any) -> None:
            if json and csv:
                raise click.UsageError("--json and --csv are one too many: give one of them")
            value = command(**options)
            if json:
                echo_json(value)
            elif csv:
                export(flat(value[rows] if rows else value), columns, sys.stdout.write, json=False, raw=raw)
                if rows and value.get("more"):
                    click.echo(f"chargehand: {more(value)}", err=True)
            else:
                show(value)

        return JSON(CSV(RAW(run)))

    return decorate


def _item(item: Any) -> str:
    """Show a value in a cell, or one of several; a flag by its text."""
    if isinstance(item, dict):
        return str(item["text"]) if "text" in item else as_json(item)
    return str(item)
