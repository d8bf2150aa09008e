"""The commands `reservations` and `profiles`: what charge points have accepted from the central system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .api import asks_server
from .output import show_table, shows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .api import Api

RESERVATIONS = (
    "reservation_id", "charge_point", "connector_id", "id_tag", "parent", "state", "expiry", "transaction_id",
)  # fmt: skip
PROFILES = (
    "charging_profile_id", "charge_point", "connector_id", "purpose", "stack_level", "transaction_id", "id_tag",
    "accepted_at",
)  # fmt: skip
MOST = "10000"
"""Rows that are asked for: the most that the API gives."""


def listed_reservations(api: Api, charge_point: str | None) -> list[dict[str, Any]]:
    """Reservations, the newest first."""
    return _listed(api, "reservations", "reservations", charge_point)


def listed_profiles(api: Api, charge_point: str | None) -> list[dict[str, Any]]:
    """Charging profiles, the newest first."""
    return _listed(api, "charging-profiles", "charging_profiles", charge_point)


def _listed(api: Api, path: str, name: str, charge_point: str | None) -> list[dict[str, Any]]:
    query = {"charge_point": charge_point} if charge_point else {}
    rows: list[dict[str, Any]] = api.get(path, limit=MOST, **query)[name]
    return rows


def show_reservations(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print them as a table."""
    show_table(
        RESERVATIONS, [[row[name] for name in RESERVATIONS] for row in rows], "no reservation is known"
    )


def show_profiles(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print them as a table."""
    show_table(PROFILES, [[row[name] for name in PROFILES] for row in rows], "no charging profile is known")


CHARGE_POINT = click.option("--charge-point", metavar="CP", help="Those of this charge point only.")


@click.group()
def reservations() -> None:
    """Show the reservations that charge points have accepted."""


@reservations.command("list")
@CHARGE_POINT
@shows(show_reservations)
@asks_server
def list_reservations(api: Api, *, charge_point: str | None) -> Any:
    """List reservations, the newest first."""
    return listed_reservations(api, charge_point)


@click.group()
def profiles() -> None:
    """Show the charging profiles that charge points have accepted."""


@profiles.command("list")
@CHARGE_POINT
@shows(show_profiles)
@asks_server
def list_profiles(api: Api, *, charge_point: str | None) -> Any:
    """List charging profiles, the newest first."""
    return listed_profiles(api, charge_point)
