"""Bulk commands: options that choose many charge points, results printed as they end, and the command `bulk`."""

from __future__ import annotations

import functools
import json as json_
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from ..protocol.text import escaped
from .api import OK, asks_server, refused
from .charge_point_choice import WHERE, seconds
from .escape import as_json
from .failures import CommandFailed, CommandMisused
from .options import JSON
from .output import lists, show_facts, show_table, shown, shows, when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .api import Api
    from .send import SendingOptions

ACCEPTED = 202
WAIT_S = 4
"""Seconds that the server waits for a result, before it is asked again."""
LISTED, NUMBERS = frozenset({"version", "status", "flag"}), {"silent_s": float, "worker": int}
"""Members of a filter that are lists, and those that are numbers."""
COLUMNS = ("bulk", "command", "made", "total", "ended", "ok", "open", "state")
EXPORTED = ("bulk", "command", "created_at", "total", "ended", "ok", "open", "done", "cancelled", "failure")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetChoice:
    """Choice of many charge points, and how their results are shown."""

    all_: bool = False
    known: bool = False
    where: tuple[tuple[str, Any], ...] = ()
    ids: tuple[str, ...] | None = None
    parallel: int | None = None
    detach: bool = False
    json: bool = False

    @property
    def many(self) -> bool:
        """True if many charge points are chosen, instead of the one that is named."""
        return self.all_ or self.known or bool(self.where) or self.ids is not None

    def of(self, ids: tuple[str, ...]) -> TargetChoice:
        """Choose these charge points, with the same options."""
        return replace(self, ids=ids)

    def body(self) -> dict[str, Any]:
        """Make the members of the request that choose charge points. Raises `CommandMisused`."""
        body: dict[str, Any] = {} if self.parallel is None else {"at_most_at_once": self.parallel}
        if self.ids is None:
            return body | {"filter": {"connected": not self.known, **dict(self.where)}}
        if self.all_ or self.known or self.where:
            raise CommandMisused(
                "--from names charge points, --all, --known and --where choose others",
                "give --from or the others",
            )
        return body | {"charge_points": list(self.ids)}


def _where(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[tuple[str, Any], ...]:
    """Read what is given as `member=value`: the filters of `charge-points`, alternatives separated by commas."""
    found: dict[str, Any] = {}
    for text in texts:
        member, equals, value = text.partition("=")
        member = SHORT.get(member, member)
        if member not in WHERE or not equals or not value:
            members = ", ".join({**dict.fromkeys(WHERE), **SHORT})
            raise click.BadParameter(f"{text!r} is not like id=CP* or status=faulted; members are {members}")
        if member in found:
            raise click.BadParameter(f"{member} is given more than once")
        found[member] = _value(member, value)
    return tuple(found.items())


SHORT = {"silent": "silent_s", "search": "q"}
"""Members that have the names of options."""


def _value(member: str, text: str) -> Any:
    if member in LISTED:
        return [word.strip() for word in text.split(",") if word.strip()]
    try:
        return NUMBERS[member](seconds(text) if member == "silent_s" else text) if member in NUMBERS else text
    except ValueError as error:
        raise click.BadParameter(f"{member} must be a number, not {text!r}") from error


def _ids(_: click.Context, __: click.Parameter, file: Any) -> tuple[str, ...] | None:
    """Read ids, one a line; empty lines are left out."""
    if file is None:
        return None
    try:
        return tuple(line.strip() for line in file if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{file.name} cannot be read: {error}") from error


def chooses(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose many charge points; the command has them as `choice`."""

    @functools.wraps(command)
    def run(
        *args: Any,
        all_: bool,
        known: bool,
        where: tuple[tuple[str, Any], ...],
        ids: tuple[str, ...] | None,
        parallel: int | None,
        detach: bool,
        json: bool,
        **more: Any,
    ) -> Any:
        choice = TargetChoice(
            all_=all_, known=known, where=where, ids=ids, parallel=parallel, detach=detach, json=json
        )
        return command(*args, choice=choice, **more)

    for option in (
        click.option("--json", is_flag=True, help="Many: print each result as a line of JSON."),
        click.option(
            "--detach", is_flag=True, help="Many: print the id of the bulk command, and do not wait."
        ),
        click.option("--parallel", type=click.IntRange(1), help="Many: charge points at it at once."),
        click.option(
            "--from", "ids", type=click.File(), callback=_ids, help="Send to the ids of a file, one a line."
        ),
        click.option(
            "--where",
            multiple=True,
            metavar="MEMBER=VALUE",
            callback=_where,
            help="Send to those that fit, by the filters of charge-points: id=DE-*, status=faulted, silent=1h, …",
        ),
        click.option("--known", is_flag=True, help="Send to all that are known, also those that are away."),
        click.option("--all", "all_", is_flag=True, help="Send to all that are connected."),
    ):
        run = option(run)
    return run


def send_bulk(api: Api, choice: TargetChoice, command: Mapping[str, Any], options: SendingOptions) -> None:
    """Send a command to many charge points and print their results. Raises `CommandFailed` unless all is well."""
    body = json_.dumps({**choice.body(), **command})
    reply = api.ask("POST", "bulk", query=options.query, body=body)
    if reply.status != ACCEPTED:
        raise refused(reply.status, reply.json)
    bulk = reply.json["bulk"]
    if choice.detach:
        click.echo(bulk)
        return
    judge(follow(api, bulk, json=choice.json))


def follow(api: Api, bulk: str, *, json: bool) -> dict[str, Any]:
    """Print the results of a bulk command as they end; returns what is known of it at its end.

    Ctrl-C cancels it, and a second one ends the program.
    """
    line, after, cancelled = ProgressLine(), 0, False
    while True:
        try:
            told = api.get("bulk", bulk, after=str(after), wait=str(WAIT_S))
            line.clear()
            for row in told["results"]:
                click.echo(as_json(row) if json else escaped(result_line(row)))
            after = told["next"]
            if told["done"] and not told["more"]:
                return told
            line.show(progress_of(told))
        except KeyboardInterrupt:
            if cancelled:
                raise
            cancelled = True
            line.clear()
            click.echo("chargehand: cancelled; waiting for what is on the wire", err=True)
            api.ask("DELETE", "bulk", bulk)


def judge(told: Mapping[str, Any]) -> None:
    """Print the sum of a bulk command that has ended. Raises `CommandFailed` unless all charge points did it."""
    if told["failure"]:
        raise CommandFailed(
            f"charge points cannot be chosen: {told['failure']}",
            "correct the choice, or see the server's log",
        )
    if not told["ended"]:
        raise CommandFailed("no charge point is chosen", "see who is there: `chargehand charge-points --all`")
    click.echo(f"chargehand: {sum_of(told)}", err=True)
    if told["ok"] < told["ended"]:
        raise CommandFailed(
            f"{told['ended'] - told['ok']} of {told['ended']} charge points did not do it",
            "send it once more to those alone: --from takes their ids, one a line",
        )


def result_line(row: Mapping[str, Any]) -> str:
    """Write the result of one charge point as a line."""
    parts = [f"{row['charge_point']}: {row['state']}"]
    if "response" in row:
        response = row["response"]
        plain = list(response) == ["status"]
        parts.append(response["status"] if plain else as_json(response))
    if "effect" in row:
        parts.append(f"effect {row['effect']}")
    if "code" in row:
        parts.append(str(row["code"]))
    if "reason" in row:
        parts.append(f"({row['reason']})")
    return " ".join(parts)


def progress_of(told: Mapping[str, Any]) -> str:
    """Write the progress of a bulk command."""
    total = "…" if told["total"] is None else told["total"]
    waiting = (
        f", {told['waiting']} of them waiting for charge points that are away" if told["waiting"] else ""
    )
    return f"{told['ended']} of {total} ended, {told['open']} under way{waiting}"


def sum_of(told: Mapping[str, Any]) -> str:
    """Write the counts of a bulk command that has ended."""
    states = _counts(told["states"])
    statuses = f" ({_counts(told['statuses'])})" if told["statuses"] else ""
    effects = f"; effects: {_counts(told['effects'])}" if told["effects"] else ""
    return f"{told['ended']} charge points: {states}{statuses}{effects}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))


class ProgressLine:
    """Line on standard error that is written over again and again; nothing where that is no terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def show(self, text: str) -> None:
        """Write the line."""
        if self._shown:
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)

    def clear(self) -> None:
        """Take the line away."""
        self.show("")


@click.group()
def bulk() -> None:
    """Show, follow and cancel commands to many charge points."""


def show_bulks(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print them as a table."""
    lines = [
        (
            row["bulk"],
            row["command"],
            when(row["created_at"]),
            row["total"],
            row["ended"],
            row["ok"],
            row["open"],
            _state(row),
        )
        for row in rows
    ]
    show_table(COLUMNS, lines, "No bulk commands.")


def _state(row: Mapping[str, Any]) -> str:
    if row["failure"]:
        return "failed"
    if row["cancelled"]:
        return "cancelled"
    return "ended" if row["done"] else "running"


def show_bulk(row: Mapping[str, Any]) -> None:
    """Print the counts of one."""
    show_facts(
        [
            (name.replace("_", " "), value if isinstance(value, str) else as_json(value))
            for name, value in zip(row, shown(row, list(row)), strict=True)
        ]
    )


@bulk.command("list")
@lists(show_bulks, "", EXPORTED)
@asks_server
def list_bulks(api: Api) -> Any:
    """List bulk commands, newest first: those that run and the last that ended."""
    return api.get("bulk")["bulks"]


@bulk.command("show")
@click.argument("bulk", metavar="BULK")
@shows(show_bulk)
@asks_server
def show_one(api: Api, *, bulk: str) -> Any:
    """Show the counts of one bulk command."""
    told = api.get("bulk", bulk, limit="1")
    return {name: value for name, value in told.items() if name not in {"results", "more", "next"}}


@bulk.command("follow")
@click.argument("bulk", metavar="BULK")
@JSON
@asks_server
def follow_one(api: Api, *, bulk: str, json: bool) -> None:
    """Print the results of one bulk command from the first that is kept, until it ends."""
    judge(follow(api, bulk, json=json))


@bulk.command("cancel")
@click.argument("bulk", metavar="BULK")
@asks_server
def cancel(api: Api, *, bulk: str) -> None:
    """Cancel what of a bulk command is not on the wire yet."""
    reply = api.ask("DELETE", "bulk", bulk)
    if reply.status not in (OK, ACCEPTED):
        raise refused(reply.status, reply.json, bulk)
    click.echo(f"{bulk} is cancelled: {reply.json['open']} are still under way")
