"""The commands of `chargehand tickets`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from .options import JSON, asks_server, echo_json

if TYPE_CHECKING:
    from .api import Api

CHARGE_POINT = click.option("--charge-point", metavar="CP", help="To this charge point.")
OPEN = click.option("--open", "open_", is_flag=True, help="That have not ended.")


@click.group()
def tickets() -> None:
    """Show and cancel calls to charge points."""


@tickets.command("list")
@CHARGE_POINT
@OPEN
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many."
)
@JSON
@asks_server
def list_tickets(api: Api, *, limit: int, json: bool, **narrowed: Any) -> None:
    """List calls, the newest first: the open ones, and the last that have ended."""
    from .tickets import listed, show_tickets  # noqa: PLC0415

    rows, _ = listed(api, **narrowed, limit=limit)
    if json:
        echo_json(rows)
    else:
        show_tickets(rows)


@tickets.command("show")
@click.argument("ticket")
@JSON
@asks_server
def show_one(api: Api, *, ticket: str, json: bool) -> None:
    """Show one call, and what became of it."""
    from .tickets import show_ticket  # noqa: PLC0415

    row = api.get("tickets", ticket)
    if json:
        echo_json(row)
    else:
        show_ticket(row)


@tickets.command("cancel")
@click.argument("ticket")
@asks_server
def cancel(api: Api, *, ticket: str) -> None:
    """Cancel a call that is not on the wire yet."""
    from .tickets import cancelled  # noqa: PLC0415

    click.echo(cancelled(api, ticket))


@tickets.command("export")
@CHARGE_POINT
@OPEN
@JSON
@asks_server
def export_tickets(api: Api, *, json: bool, **narrowed: Any) -> None:
    """Print calls as CSV, or as JSON, the newest first."""
    from .exports import export  # noqa: PLC0415
    from .tickets import EXPORTED, exported, listed  # noqa: PLC0415

    rows, more = listed(api, **narrowed)
    write = sys.stdout.write
    export(rows if json else exported(rows), EXPORTED, write, json=json)
    if more:
        click.echo(f"chargehand: there are more than these {len(rows)}", err=True)
