"""The command `tags`: who may charge, edited one by one, by file, and sent to local lists."""

from __future__ import annotations

import csv
import io
import json
from typing import IO, TYPE_CHECKING, Any

import click

from ..protocol.cells import guarded, unguarded
from .api import OK, asks_server, refused
from .failures import CommandFailed, CommandMisused
from .options import CP, JSON, RAW
from .output import echo_json, lists, moment, show_table, shown, shows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .api import Api

COLUMNS = ("id_tag", "status", "expiry", "parent")
MORE = ("id_type", "language", "message")
"""Columns that are shown if any tag has them: OCPP 1.6 has none of them."""
AT_A_TIME = 2000
"""Tags that are sent with one request."""


def listed(api: Api) -> list[dict[str, Any]]:
    """List all tags, sorted by id."""
    return sorted(
        api.whole("tags", "tags", cursor="after")["tags"], key=lambda tag: str(tag["id_tag"]).lower()
    )


def columns_of(tags: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the columns that these tags need."""
    return (*COLUMNS, *(name for name in MORE if any(tag.get(name) for tag in tags)))


def changed(
    api: Api, method: str, id_tag: str, facts: Mapping[str, Any] | None = None, *, id_type: str = ""
) -> dict[str, Any]:
    """PUT or DELETE a tag; how it is, or was. Raises `CommandFailed`."""
    body = None if facts is None else json.dumps(facts)
    reply = api.ask(method, "tags", id_tag, query={"id_type": id_type} if id_type else None, body=body)
    if reply.status != OK:
        raise refused(reply.status, reply.json, id_tag)
    return reply.json


def enter(api: Api, rows: Sequence[Mapping[str, Any]], places: Sequence[str]) -> int:
    """Enter many tags, all or none; `places` are their lines, for errors. Raises `CommandFailed`."""
    faults = dict(repeated(rows, places))
    parts = [range(at, min(at + AT_A_TIME, len(rows))) for at in range(0, len(rows), AT_A_TIME)]
    for part in parts:  # all of them are looked at before the first is entered
        told = _posted(api, [rows[at] for at in part], [places[at] for at in part], check="1")
        faults = dict(told) | faults  # the server does not know where a row came from
    if faults:
        lines = [f"{place}: {faults[place]}" for place in places if place in faults]
        raise CommandFailed(
            "\n  ".join(["nothing was entered:", *lines]), "correct these, and import the file again"
        )
    for part in parts:
        _posted(api, [rows[at] for at in part], [places[at] for at in part], check="0")
    return len(rows)


def repeated(rows: Sequence[Mapping[str, Any]], places: Sequence[str]) -> list[tuple[str, str]]:
    """Name the places whose tag an earlier one has, too; id tags and types are compared without case."""
    first: dict[tuple[str, str], str] = {}
    faults = []
    for row, place in zip(rows, places, strict=True):
        id_tag, id_type = str(row.get("id_tag", "")), str(row.get("id_type", "")).strip()
        before = first.setdefault((id_tag.lower(), id_type.lower()), place)
        if before != place and id_tag:
            named = f"{id_tag} ({id_type})" if id_type else id_tag
            faults.append((place, f"id_tag: {named} is in {before}, too"))
    return faults


def _posted(
    api: Api, rows: Sequence[Mapping[str, Any]], places: Sequence[str], **query: str
) -> list[tuple[str, str]]:
    reply = api.ask("POST", "tags", query=query, body=json.dumps({"tags": rows}))
    if reply.status == OK:
        return []
    told = reply.json
    if "rows" not in told:
        raise refused(reply.status, told)
    return [(places[row["row"] - 1], row["text"]) for row in told["rows"]]


def read(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Read tags from a text, CSV with a header or a JSON list, with the place of each. Raises `CommandMisused`.

    CSV may have semicolons or tabs in place of commas, as spreadsheets of some countries write it.
    """
    text = text.removeprefix("\ufeff")
    return _read_json(text) if text.lstrip()[:1] in ("[", "{") else _read_csv(text)


def _read_json(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandMisused(f"this is no JSON: {error}", "correct it, or give CSV") from error
    rows = told.get("tags") if isinstance(told, dict) else told
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise CommandMisused(
            f"JSON is to be a list of objects with {', '.join((*COLUMNS, *MORE))}",
            "take `chargehand tags export --json` for an example",
        )
    return rows, [f"tag {number}" for number in range(1, len(rows) + 1)]


def _read_csv(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    head = text.partition("\n")[0]
    delimiter = next((one for one in ";\t" if one in head and "," not in head), ",")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, restkey="", delimiter=delimiter)
    rows, places = [], []
    try:
        names = [name.strip().lower() for name in reader.fieldnames or []]
        reader.fieldnames = names
        known = (*COLUMNS, *MORE)
        if "id_tag" not in names or not set(names) <= set(known) or len(set(names)) < len(names):
            raise CommandMisused(
                f"CSV begins with a line of names, {','.join(known)} or some of them",
                "put it in front of the others; `chargehand tags export` is an example",
            )
        for row in reader:
            if "" in row or None in row.values():
                raise CommandMisused(
                    f"line {reader.line_num}: not as many fields as the first line has", "correct the line"
                )
            rows.append({name: unguarded(value) for name, value in row.items() if value or name == "id_tag"})
            places.append(f"line {reader.line_num}")
    except csv.Error as error:
        raise CommandMisused(f"line {reader.line_num}: {error}", "correct the line") from error
    return rows, places


def as_csv(tags: Sequence[Mapping[str, Any]], *, raw: bool = False) -> str:
    """Write tags as CSV, as `read` takes it; a text that a spreadsheet would run is guarded, unless `raw`."""
    text = io.StringIO(newline="")
    columns = columns_of(tags)
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for tag in tags:
        cells = ((name, tag[name]) for name in columns if name in tag)
        writer.writerow(
            {name: value if raw or not isinstance(value, str) else guarded(value) for name, value in cells}
        )
    return text.getvalue()


def show_tags(tags: Sequence[Mapping[str, Any]]) -> None:
    """Print them as a table."""
    columns = columns_of(tags)
    show_table(columns, [shown(tag, columns) for tag in tags], "no tag is known")


ID_TYPE = click.option(
    "--id-type", default="", help="Type of its token in OCPP 2.0.1, as ISO14443; none means any type."
)


PUSH_S = 600.0
"""Seconds that all parts of a list may take together."""


def push(api: Api, charge_point: str, *, full: bool, clear_cache: bool, timeout_s: float) -> list[str]:
    """Have a server bring a local list in step; return its report in lines. Raises `CommandFailed`."""
    query = {"full": str(int(full)), "clear_cache": str(int(clear_cache)), "timeout": f"{timeout_s:g}"}
    path = ("charge-points", charge_point, "local-list")
    reply = api.ask("POST", *path, query=query, timeout_s=PUSH_S)
    if reply.status != OK:
        raise refused(reply.status, reply.json, charge_point)
    return _told(charge_point, reply.json)


def _told(charge_point: str, update: Mapping[str, Any]) -> list[str]:
    kind, entries, version = update["update_type"], update["entries"], update["version"]
    if kind is None:
        lines = [f"{charge_point} has version {version}: nothing to do"]
    else:
        what = {"Full": "all tags", "Differential": "changes"}[kind]
        lines = [f"{charge_point} has version {version}: {entries} sent, {what}"]
        if len(update["tickets"]) > 1:
            lines.append(f"it took {len(update['tickets'])} messages")
    if update["left_out"]:
        lines.append(f"{update['left_out']} tags are too long for any list")
    if update["clear_cache"] is not None:
        lines.append("its cache is cleared")
    return lines


@click.group()
def tags() -> None:
    """Show and change who may charge."""


@tags.command("list")
@lists(show_tags, "", (*COLUMNS, *MORE))
@asks_server
def list_tags(api: Api) -> Any:
    """List all tags."""
    return listed(api)


@tags.command("show")
@click.argument("id_tag")
@ID_TYPE
@shows(lambda row: show_tags([row]))
@asks_server
def show_tag(api: Api, *, id_tag: str, id_type: str) -> Any:
    """Show one tag."""
    return api.get("tags", id_tag, **({"id_type": id_type} if id_type else {}))


@tags.command("add")
@click.argument("id_tag")
@click.option(
    "--status",
    default="Accepted",
    show_default=True,
    help="Accepted, Blocked, Expired or Invalid, or one of OCPP 2.0.1: NoCredit, NotAtThisTime, …",
)
@click.option("--expiry", help="Expiry: a time, or a day (its beginning) like 2026-12-01 (see --times).")
@click.option("--parent", default="", help="Tags with the same parent may stop each other's transactions.")
@ID_TYPE
@click.option("--language", default="", help="Language of the driver in OCPP 2.0.1, as en.")
@click.option("--message", default="", help="Text that stations of OCPP 2.0.1 show to the driver.")
@asks_server
def add_tag(api: Api, *, id_tag: str, id_type: str, **facts: str | None) -> None:
    """Enter a tag, or change it."""
    if facts["expiry"] is not None:
        facts["expiry"] = moment(facts["expiry"])
    show_tags([changed(api, "PUT", id_tag, facts, id_type=id_type)])


@tags.command("remove")
@click.argument("id_tag")
@ID_TYPE
@asks_server
def remove_tag(api: Api, *, id_tag: str, id_type: str) -> None:
    """Remove a tag. It is unknown then, which may mean accepted: to refuse it, set its status to Blocked."""
    click.echo(f"{changed(api, 'DELETE', id_tag, id_type=id_type)['id_tag']} is removed")


@tags.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@asks_server
def import_tags(api: Api, *, file: IO[str]) -> None:
    """Enter the tags of a CSV or JSON file (- is standard input): all of them, or none if one is wrong."""
    try:
        text = file.read()
    except UnicodeDecodeError as error:
        raise CommandMisused(f"the file is not UTF-8: {error}", "save it as UTF-8") from error
    click.echo(f"{enter(api, *read(text))} tags entered")


@tags.command("export")
@JSON
@RAW
@asks_server
def export_tags(api: Api, *, json: bool, raw: bool) -> None:
    """Print all tags as CSV, or as JSON, as `import` takes them."""
    rows = listed(api)
    if json:
        echo_json(rows)
    else:
        click.echo(as_csv(rows, raw=raw), nl=False)


@tags.command("push")
@CP
@click.option("--full", is_flag=True, help="Send the whole list, whatever the charge point has.")
@click.option("--clear-cache", is_flag=True, help="Also clear the charge point's authorisation cache.")
@click.option(
    "--timeout", "timeout_s", type=float, default=30.0, show_default=True, help="Seconds for each answer."
)
@asks_server
def push_tags(api: Api, *, charge_point: str, full: bool, clear_cache: bool, timeout_s: float) -> None:
    """Bring the local list of the charge point CP in step with the tags: send the difference."""
    for line in push(api, charge_point, full=full, clear_cache=clear_cache, timeout_s=timeout_s):
        click.echo(line)
