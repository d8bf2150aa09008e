"""Records as a file for other programs: CSV or JSON, written as they come, however many there are."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from .escape import as_json, escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


def export(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    write: Callable[[str], object],
    *,
    json: bool,
) -> None:
    """Write rows: as CSV with a line of names, or as one JSON list with an object a line.

    In CSV a list is its elements with `; ` between them, and a control character is written as Python writes it: JSON
    has everything as it is.
    """
    if json:
        _export_json(rows, write)
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in columns])
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


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return escaped("; ".join(map(str, value)) if isinstance(value, list) else str(value))
