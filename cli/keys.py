"""The command `keys`: the keys of charge points, without the keys themselves, and their rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .api import asks_server
from .bulk import chooses, send_bulk
from .output import show_table, shows, when
from .send import SendingOptions, sends

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .api import Api
    from .bulk import TargetChoice

COLUMNS = ("charge point", "changed", "new key, not used yet, since")


def show_keys(told: Mapping[str, Any]) -> None:
    """Print them as a table."""
    rows = [
        (row["charge_point"], when(row["changed_at"]), when(row["new_key_since"])) for row in told["keys"]
    ]
    show_table(COLUMNS, rows, "no such key is in the store")


@click.group()
def keys() -> None:
    """Show who has a key, and give charge points new ones."""


@keys.command("list")
@click.option("--waiting", is_flag=True, help="Only charge points that have not used their new key yet.")
@shows(show_keys)
@asks_server
def list_keys(api: Api, *, waiting: bool) -> Any:
    """List the charge points with a key in the store."""
    return api.get("keys", **({"waiting": "1"} if waiting else {}))


@keys.command("rotate")
@click.argument("charge_points", metavar="[CP]...", nargs=-1)
@sends
@chooses
@asks_server
def rotate(
    api: Api, *, charge_points: tuple[str, ...], options: SendingOptions, choice: TargetChoice
) -> None:
    """Give each charge point a new key of its own, which nobody sees.

    Its old key counts, too, until it has come back with the new one; `keys list --waiting` lists those that have not.
    With --queue charge points that are away get theirs when they are back.
    """
    if bool(charge_points) == choice.many:
        raise click.UsageError("charge points are named, or chosen by --all, --known, --where or --from")
    if charge_points:
        choice = choice.of(charge_points)
    send_bulk(api, choice, {"verb": "rotate_key", "members": {}}, options)
