"""The command `tickets`: commands to charge points, open and ended."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from .api import OK, asks_server, refused
from .completion import charge_points_like
from .escape import as_json
from .options import BEFORE, JSON, RAW
from .output import export, lists, show_facts, show_next, show_table, shown, shows, when

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .api import Api

ACCEPTED = 202
MOST = 10_000
"""Tickets that are asked for at once: the server keeps hardly more."""
COLUMNS = ("ticket", "charge point", "action", "state", "made", "sent", "ended", "reason")
EXPORTED = (
    "ticket",
    "charge_point",
    "action",
    "state",
    "created_at",
    "sent_at",
    "ended_at",
    "reason",
    "request",
    "response",
)


def listed(
    api: Api, *, charge_point: str | None, open_: bool, before: str | None = None, limit: int = MOST
) -> dict[str, Any]:
    """Read the newest ones, as the API shows them, or those behind a cursor."""
    given = {"charge_point": charge_point, "before": before}
    query = {name: value for name, value in given.items() if value}
    return api.get("tickets", **query, open="1" if open_ else "0", limit=str(limit))


def cancelled(api: Api, ticket: str) -> str:
    """Cancel a command that was not sent yet; returns a text about it. Raises `CommandFailed`."""
    reply = api.ask("DELETE", "tickets", ticket)
    if reply.status not in (OK, ACCEPTED):
        raise refused(reply.status, reply.json, ticket)
    if reply.status == ACCEPTED:
        return f"{ticket} will be cancelled when the session of its charge point is back"
    return f"{ticket} is cancelled"


def exported(rows: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """Rows for CSV: payloads are JSON there."""
    for row in rows:
        payloads = {name: as_json(row[name]) if name in row else None for name in ("request", "response")}
        yield {**row, **payloads}


def show_tickets(told: Mapping[str, Any]) -> None:
    """Print them as a table, and that there are more."""
    lines = [
        (
            row["ticket"],
            row["charge_point"],
            row["action"],
            row["state"],
            when(row["created_at"]),
            when(row["sent_at"]),
            when(row["ended_at"]),
            row["reason"],
        )
        for row in told["tickets"]
    ]
    show_table(COLUMNS, lines, "No matching tickets.")
    show_next(told)


def show_tickets_of(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print the open ones of one charge point, as its facts have them."""
    lines = [(row["ticket"], row["action"], row["state"]) for row in rows]
    if lines:
        show_table(("ticket", "action", "state"), lines, "")


def show_ticket(row: Mapping[str, Any]) -> None:
    """Print all that is known of one."""
    show_facts(
        [
            (name.replace("_", " "), value if isinstance(value, str) else as_json(value))
            for name, value in zip(row, shown(row, list(row)), strict=True)
        ]
    )


CHARGE_POINT = click.option(
    "--charge-point",
    metavar="CP",
    shell_complete=charge_points_like,
    help="Only commands to this charge point.",
)
OPEN = click.option("--open", "open_", is_flag=True, help="Only commands that have not ended.")


@click.group()
def tickets() -> None:
    """Show and cancel commands to charge points."""


@tickets.command("list")
@CHARGE_POINT
@OPEN
@BEFORE
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Maximum number of rows."
)
@lists(show_tickets, "tickets", EXPORTED, exported)
@asks_server
def list_tickets(api: Api, *, limit: int, **narrowed: Any) -> Any:
    """List commands, newest first: the open ones and the last that ended."""
    return listed(api, **narrowed, limit=limit)


@tickets.command("show")
@click.argument("ticket")
@shows(show_ticket)
@asks_server
def show_one(api: Api, *, ticket: str) -> Any:
    """Show one command and its outcome."""
    return api.get("tickets", ticket)


@tickets.command("cancel")
@click.argument("ticket")
@asks_server
def cancel(api: Api, *, ticket: str) -> None:
    """Cancel a command that was not sent yet."""
    click.echo(cancelled(api, ticket))


@tickets.command("export")
@CHARGE_POINT
@OPEN
@JSON
@RAW
@asks_server
def export_tickets(api: Api, *, json: bool, raw: bool, **narrowed: Any) -> None:
    """Print commands as CSV, or as JSON, the newest first."""
    told = listed(api, **narrowed)
    rows, write = told["tickets"], sys.stdout.write
    export(rows if json else exported(rows), EXPORTED, write, json=json, raw=raw)
    if told["more"]:
        click.echo(f"chargehand: there are more than these {len(rows)}", err=True)
