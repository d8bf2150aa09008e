"""The commands of `chargehand spool`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import JSON, asks_server, echo_json

if TYPE_CHECKING:
    from .api import Api


@click.group()
def spool() -> None:
    """Show what stand-ins acknowledged and no plugin has had, and hand it out again."""


@spool.command("list")
@JSON
@asks_server
def list_spool(api: Api, *, json: bool) -> None:
    """List the messages that wait for their plugin and those that were set aside, the oldest first."""
    from .spool import listed, show_spool  # noqa: PLC0415

    rows = listed(api)
    if json:
        echo_json(rows)
    else:
        show_spool(rows)


@spool.command("retry")
@click.argument("number", type=click.IntRange(min=1), required=False)
@click.option("--all", "all_", is_flag=True, help="All that was set aside.")
@asks_server
def retry_spool(api: Api, *, number: int | None, all_: bool) -> None:
    """Hand the message NUMBER, which was set aside, to its plugin again, with the rest of its transaction."""
    from .spool import retry  # noqa: PLC0415

    if (number is None) is not all_:
        raise click.UsageError("give a NUMBER or --all")
    retried = retry(api, number)
    click.echo(
        f"{len(retried)} wait again: {', '.join(map(str, retried))}" if retried else "nothing is set aside"
    )
