"""The commands of `chargehand transactions`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from .options import JSON, asks_server, echo_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from .api import Api

MAX_LIMIT = 10_000


def narrows(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which transactions are meant."""
    for option in (
        click.option("--until", metavar="TIME", help="That started before; a time or a day, in UTC."),
        click.option("--since", metavar="TIME", help="That started then or later, by our clock."),
        click.option(
            "--orphans", is_flag=True, help="That were open when their charge point showed they cannot be."
        ),
        click.option("--doubtful", "flagged", is_flag=True, help="That are flagged for anything."),
        click.option("--open", "open", is_flag=True, help="Whose StopTransaction has not come."),
        click.option("--tag", "id_tag", metavar="TAG", help="That were started with this tag."),
        click.option("--charge-point", metavar="CP", help="Of this charge point."),
    ):
        command = option(command)
    return command


@click.group()
def transactions() -> None:
    """Show and export what was charged."""


@transactions.command("list")
@narrows
@click.option(
    "--limit", type=click.IntRange(1, MAX_LIMIT), default=100, show_default=True, help="At most so many."
)
@JSON
@asks_server
def list_transactions(api: Api, *, limit: int, json: bool, **narrowed: Any) -> None:
    """List transactions, the newest first."""
    from .transactions import listed, query_of, show_transactions  # noqa: PLC0415

    rows = listed(api, query_of(**narrowed), limit)
    if json:
        echo_json(rows)
    else:
        show_transactions(rows)


@transactions.command("show")
@click.argument("transaction_id", metavar="ID")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=1000,
    show_default=True,
    help="At most so many readings.",
)
@JSON
@asks_server
def show_one(api: Api, *, transaction_id: str, limit: int, json: bool) -> None:
    """Show one transaction with its meter readings."""
    from .transactions import show_transaction  # noqa: PLC0415

    row = api.get("transactions", transaction_id, limit=str(limit))
    if json:
        echo_json(row)
    else:
        show_transaction(row)


@transactions.command("export")
@narrows
@JSON
@asks_server
def export_transactions(api: Api, *, json: bool, **narrowed: Any) -> None:
    """Print all transactions as CSV, or as JSON, the newest first.

    They are asked for page by page, so there may be any number. The exit status says whether it is complete.
    """
    from .exports import export  # noqa: PLC0415
    from .transactions import EXPORTED, pages, query_of  # noqa: PLC0415

    write = sys.stdout.write
    export(pages(api, query_of(**narrowed)), EXPORTED, write, json=json)


@transactions.command("dead_letters")
@click.option("--after", type=click.IntRange(0), default=0, help="Only numbers over this one.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LIMIT), default=100, show_default=True, help="At most so many."
)
@JSON
@asks_server
def dead_letters(api: Api, *, after: int, limit: int, json: bool) -> None:
    """List the messages that were acknowledged and belong to no transaction, with the reason; the oldest first."""
    from .transactions import dead_letter, show_set_aside  # noqa: PLC0415

    rows = dead_letter(api, after=after, limit=limit)
    if json:
        echo_json(rows)
    else:
        show_set_aside(rows)
