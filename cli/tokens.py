"""The command `tokens`: who may use the HTTP API, and for what."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import click

from .api import asks_server
from .failures import CommandMisused
from .options import MAX_LIMIT
from .output import lists, moment, show_table, shows, when

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .api import Api

COLUMNS = ("name", "scope", "created", "by", "expires")


def show_tokens(told: Mapping[str, Any]) -> None:
    """Print the tokens as a table."""
    rows = [
        (
            row["name"],
            row["scope"],
            when(row["created_at"]),
            row["created_by"],
            "expired" if row["expired"] else when(row["expires_at"]),
        )
        for row in told["tokens"]
    ]
    show_table(COLUMNS, rows, "there is only the token of the server itself")


def show_new(told: Mapping[str, Any]) -> None:
    """Print a token that was just made."""
    click.echo(told["token"])


@click.group()
def tokens() -> None:
    """Show, make and revoke tokens of the HTTP API."""


@tokens.command("list")
@lists(show_tokens, "tokens", ("name", "scope", "created_at", "created_by", "expires_at", "expired"))
@asks_server
def list_tokens(api: Api) -> Any:
    """List the tokens, without what is secret of them."""
    return api.whole("tokens", "tokens", cursor="after", limit=str(MAX_LIMIT))


@tokens.command("add")
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(["read", "command", "admin"]),
    default="read",
    show_default=True,
    help="read: look at everything; command: send commands, too; admin: everything.",
)
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Days until it expires.")
@click.option("--expires", metavar="TIME", help="When it expires: a time, or a day (see --times).")
@shows(show_new)
@asks_server
def add(api: Api, *, name: str, scope: str, days: float | None, expires: str | None) -> Any:
    """Make the token NAME and print it: it is shown this once only."""
    if days is not None and expires is not None:
        raise CommandMisused("--days and --expires say the same", "give one of them")
    if days is not None:
        expires = (dt.datetime.now(dt.UTC) + dt.timedelta(days=days)).isoformat()
    elif expires is not None:
        expires = moment(expires)
    wanted = {"name": name, "scope": scope, "expires_at": expires}
    return api.change("POST", "tokens", body=json.dumps(wanted))


@tokens.command("revoke")
@click.argument("name")
@asks_server
def revoke(api: Api, *, name: str) -> None:
    """Revoke the token NAME: it counts for no further request."""
    api.change("DELETE", "tokens", name)
    click.echo(f"{name} is revoked")
