"""The commands of `chargehand reservations` and `chargehand profiles`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import JSON, asks_server, echo_json

if TYPE_CHECKING:
    from .api import Api

CHARGE_POINT = click.option("--charge-point", metavar="CP", help="Those of this charge point only.")


@click.group()
def reservations() -> None:
    """Show what charge points have reserved, and for whom."""


@reservations.command("list")
@CHARGE_POINT
@JSON
@asks_server
def list_reservations(api: Api, *, charge_point: str | None, json: bool) -> None:
    """List reservations, the newest first."""
    from .accepted_state import listed_reservations, show_reservations  # noqa: PLC0415

    rows = listed_reservations(api, charge_point)
    if json:
        echo_json(rows)
    else:
        show_reservations(rows)


@click.group()
def profiles() -> None:
    """Show the charging profiles that charge points have accepted."""


@profiles.command("list")
@CHARGE_POINT
@JSON
@asks_server
def list_profiles(api: Api, *, charge_point: str | None, json: bool) -> None:
    """List charging profiles, the newest first."""
    from .accepted_state import listed_profiles, show_profiles  # noqa: PLC0415

    rows = listed_profiles(api, charge_point)
    if json:
        echo_json(rows)
    else:
        show_profiles(rows)
