"""The commands `reservations` and `profiles`: the accepted state of charge points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .api import asks_server
from .completion import charge_points_like
from .output import lists, show_next, show_table, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .api import Api

RESERVATIONS = (
    "reservation_id", "charge_point", "connector_id", "connector_type", "id_tag", "parent", "state", "expiry",
    "transaction_id",
)  # fmt: skip
PROFILES = (
    "charging_profile_id", "charge_point", "connector_id", "purpose", "stack_level", "transaction_id", "id_tag",
    "source", "accepted_at",
)  # fmt: skip
MOST = "10000"
"""Rows that are asked for: the most that the API gives."""


def listed(api: Api, path: str, charge_point: str | None) -> dict[str, Any]:
    """Read all of them, the newest first, as the API shows them."""
    query = {"charge_point": charge_point} if charge_point else {}
    return api.whole(path.replace("-", "_"), path, cursor="before", limit=MOST, **query)


def show_reservations(told: Mapping[str, Any]) -> None:
    """Print reservations as a table, and that there are more."""
    lines = [shown(row, RESERVATIONS) for row in told["reservations"]]
    show_table(RESERVATIONS, lines, "no reservation is known")
    show_next(told)


def show_profiles(told: Mapping[str, Any]) -> None:
    """Print charging profiles as a table, and that there are more."""
    lines = [shown(row, PROFILES) for row in told["charging_profiles"]]
    show_table(PROFILES, lines, "no charging profile is known")
    show_next(told)


CHARGE_POINT = click.option(
    "--charge-point", metavar="CP", shell_complete=charge_points_like, help="Those of this charge point only."
)


@click.group()
def reservations() -> None:
    """Show the reservations that charge points have accepted."""


@reservations.command("list")
@CHARGE_POINT
@lists(show_reservations, "reservations", RESERVATIONS)
@asks_server
def list_reservations(api: Api, *, charge_point: str | None) -> Any:
    """List reservations, the newest first."""
    return listed(api, "reservations", charge_point)


@click.group()
def profiles() -> None:
    """Show the charging profiles that charge points have accepted."""


@profiles.command("list")
@CHARGE_POINT
@lists(show_profiles, "charging_profiles", PROFILES)
@asks_server
def list_profiles(api: Api, *, charge_point: str | None) -> Any:
    """List charging profiles, the newest first."""
    return listed(api, "charging-profiles", charge_point)
