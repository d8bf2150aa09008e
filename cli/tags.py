"""`chargehand tags`: who may charge, by hand and by file."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from .api import OK, why
from .failures import CommandFailed, CommandMisused
from .tables import show_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .api import Api

COLUMNS = ("id_tag", "status", "expiry", "parent")
AT_A_TIME = 2000
"""Tags that are sent with one request."""


def listed(api: Api) -> list[dict[str, Any]]:
    """All tags, by their id."""
    return sorted(api.get("tags")["tags"], key=lambda tag: str(tag["id_tag"]).lower())


def changed(api: Api, method: str, id_tag: str, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """PUT or DELETE a tag; how it is, or was. Raises `CommandFailed`."""
    body = None if facts is None else json.dumps(facts)
    reply = api.ask(method, "tags", id_tag, body=body)
    if reply.status != OK:
        raise CommandFailed(why(reply.status, reply.json, id_tag))
    return reply.json


def enter(api: Api, rows: Sequence[Mapping[str, Any]], places: Sequence[str]) -> int:
    """Enter many, all or none; `places` say for a fault where each came from. Raises `CommandFailed`."""
    parts = [range(at, min(at + AT_A_TIME, len(rows))) for at in range(0, len(rows), AT_A_TIME)]
    faults = []
    for part in parts:  # all of them are looked at before the first is entered
        faults += _posted(api, [rows[at] for at in part], [places[at] for at in part], check="1")
    if faults:
        raise CommandFailed("\n  ".join(["nothing was entered:", *faults]))
    for part in parts:
        _posted(api, [rows[at] for at in part], [places[at] for at in part], check="0")
    return len(rows)


def _posted(api: Api, rows: Sequence[Mapping[str, Any]], places: Sequence[str], **query: str) -> list[str]:
    reply = api.ask("POST", "tags", query=query, body=json.dumps({"tags": rows}))
    if reply.status == OK:
        return []
    told = reply.json
    if "rows" not in told:
        raise CommandFailed(why(reply.status, told))
    return [f"{places[row['row'] - 1]}: {row['text']}" for row in told["rows"]]


def read(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The tags in a text, CSV with a header or a JSON list, and the place of each. Raises `CommandMisused`."""
    text = text.removeprefix("\ufeff")
    return _read_json(text) if text.lstrip()[:1] in ("[", "{") else _read_csv(text)


def _read_json(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandMisused(f"this is no JSON: {error}") from error
    rows = told.get("tags") if isinstance(told, dict) else told
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise CommandMisused("JSON is to be a list of objects with id_tag, status, expiry, parent")
    return rows, [f"tag {number}" for number in range(1, len(rows) + 1)]


def _read_csv(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, restkey="")
    rows, places = [], []
    try:
        names = reader.fieldnames or []
        if "id_tag" not in names or not set(names) <= set(COLUMNS) or len(set(names)) < len(names):
            raise CommandMisused(f"CSV begins with a line of names, {','.join(COLUMNS)} or some of them")
        for row in reader:
            if "" in row or None in row.values():
                raise CommandMisused(f"line {reader.line_num}: not as many fields as the first line has")
            rows.append({name: value for name, value in row.items() if value or name == "id_tag"})
            places.append(f"line {reader.line_num}")
    except csv.Error as error:
        raise CommandMisused(f"line {reader.line_num}: {error}") from error
    return rows, places


def as_csv(tags: Iterable[Mapping[str, Any]]) -> str:
    """The tags as CSV, as `read` takes it."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(tags)
    return text.getvalue()


def show_tags(tags: Iterable[Mapping[str, Any]]) -> None:
    """Print them as a table."""
    show_table(COLUMNS, [[tag[name] for name in COLUMNS] for tag in tags], "no tag is known")
