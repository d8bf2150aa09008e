"""The command `spool`: spooled messages for redelivery, and dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .api import OK, asks_server, why
from .failures import CommandFailed
from .output import show_table, shows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .api import Api

COLUMNS = ("number", "place", "charge point", "action", "transaction", "received", "why")
MOST = "10000"
"""Maximum number of messages of each kind; the API returns no more at once."""
ANSWER_S = 40.0
"""Seconds: the store of the server has 30 to keep what is brought back."""


def listed(api: Api) -> list[dict[str, Any]]:
    """Ask for all of the spool, each message with its place: "waiting" or "dead letter"."""
    told = api.get("spool", limit=MOST)
    waiting = [row | {"place": "waiting"} for row in told["waiting"]]
    return waiting + [row | {"place": "dead letter"} for row in told["dead_letters"]]


def retry(api: Api, number: int | None) -> list[int]:
    """Bring one message back, or all; the numbers of what came back. Raises `CommandFailed`."""
    path = ("spool", "retry") if number is None else ("spool", str(number), "retry")
    reply = api.ask("POST", *path, timeout_s=ANSWER_S)
    if reply.status != OK:
        raise CommandFailed(why(reply.status, reply.json))
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
            row["received_at"],
            row["why"],
        )
        for row in rows
    ]
    show_table(COLUMNS, lines, "the spool is empty")


@click.group()
def spool() -> None:
    """Show acknowledged messages that no plugin has handled yet, and retry dead letters."""


@spool.command("list")
@shows(show_spool)
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
