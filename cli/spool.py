"""The command `spool`: spooled messages for redelivery, and dead letters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from .api import OK, STORE_S, asks_server, refused
from .options import BY
from .output import lists, show_table, shows, when
from .transactions import show_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .api import Api

EXPORTED = ("number", "place", "charge_point", "action", "transaction_id", "received_at", "why")
COLUMNS = ("number", "place", "charge point", "action", "transaction", "received", "why")
MOST = "10000"
"""Maximum number of messages of each kind; the API returns no more at once."""


def listed(api: Api) -> list[dict[str, Any]]:
    """Ask for all of the spool, each row with its place: "waiting", "dead letter" or "dead event"."""
    told = api.get("spool", limit=MOST)
    waiting = [row | {"place": "waiting"} for row in told["waiting"]]
    letters = [row | {"place": "dead letter"} for row in told["dead_letters"]]
    return waiting + letters + [_event_row(row) for row in told.get("dead_events", ())]


def _event_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Make the row of a dead event, in the columns of messages."""
    return {
        **row,
        "place": "dead event",
        "action": row["kind"],
        "transaction_id": None,
        "received_at": row["failed_at"],
        "why": f"{row['consumer']}: {row['why']}",
    }


def retry(api: Api, number: int | None) -> list[int]:
    """Redeliver one dead letter, or all; return their numbers. Raises `CommandFailed`."""
    path = ("spool", "retry") if number is None else ("spool", str(number), "retry")
    reply = api.ask("POST", *path, timeout_s=STORE_S)
    if reply.status != OK:
        raise refused(reply.status, reply.json)
    retried: list[int] = reply.json["retried"]
    return retried


def show_spool(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print them as a table."""
    lines = [
        (
            row["number"],
            row["place"],
            row["charge_point"],
            row["action"],
            row["transaction_id"],
            when(row["received_at"]),
            row["why"],
        )
        for row in rows
    ]
    show_table(COLUMNS, lines, "the spool is empty")


@click.group()
def spool() -> None:
    """Show acknowledged messages that no plugin has handled yet, and retry dead letters."""


@spool.command("list")
@lists(show_spool, "", EXPORTED)
@asks_server
def list_spool(api: Api) -> Any:
    """List the spooled messages for redelivery, then the dead letters; the oldest first."""
    return listed(api)


@spool.command("retry")
@click.argument("number", type=click.IntRange(min=1), required=False)
@click.option("--all", "all_", is_flag=True, help="All dead letters.")
@asks_server
def retry_spool(api: Api, *, number: int | None, all_: bool) -> None:
    """Redeliver the dead letter NUMBER to its plugin, with the rest of its transaction."""
    if (number is None) is not all_:
        raise click.UsageError("give a NUMBER or --all")
    retried = retry(api, number)
    click.echo(f"{len(retried)} wait again: {', '.join(map(str, retried))}" if retried else "no dead letter")


@spool.command("retry-event")
@click.argument("number", type=click.IntRange(min=1))
@asks_server
def retry_event(api: Api, *, number: int) -> None:
    """Deliver the dead event NUMBER to its consumer once more."""
    reply = api.ask("POST", "spool", "dead-events", str(number), "retry", timeout_s=STORE_S)
    if reply.status != OK:
        raise refused(reply.status, reply.json)
    click.echo(f"dead event {number} was taken")


@spool.command("forget-event")
@click.argument("number", type=click.IntRange(min=1))
@asks_server
def forget_event(api: Api, *, number: int) -> None:
    """Forget the dead event NUMBER for good."""
    reply = api.ask("DELETE", "spool", "dead-events", str(number), timeout_s=STORE_S)
    if reply.status != OK:
        raise refused(reply.status, reply.json)
    click.echo(f"dead event {number} is forgotten")


@spool.command("reattach")
@click.argument("number", type=click.IntRange(min=1))
@click.argument("transaction", type=click.IntRange(min=1))
@BY
@shows(lambda row: show_rows([row]))
@asks_server
def reattach(api: Api, *, number: int, transaction: int, by: str) -> Any:
    """Give TRANSACTION the dead letter NUMBER, which is its stop or its readings."""
    body = json.dumps({"transaction_id": transaction, "by": by})
    path = ("spool", "dead-letters", str(number), "reattach")
    return api.change("POST", *path, body=body, timeout_s=STORE_S)


@spool.command("forget")
@click.argument("number", type=click.IntRange(min=1))
@BY
@asks_server
def forget(api: Api, *, number: int, by: str) -> None:
    """Forget the dead letter NUMBER for good; an event of its charge point keeps what it was."""
    reply = api.ask("DELETE", "spool", "dead-letters", str(number), query={"by": by}, timeout_s=STORE_S)
    if reply.status != OK:
        raise refused(reply.status, reply.json)
    click.echo(f"dead letter {number} is forgotten")
