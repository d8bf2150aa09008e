"""The commands `monitors`, `display-messages` and `network-profiles`: settings of stations of OCPP 2.0.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .accepted_state import CHARGE_POINT, listed
from .api import asks_server
from .escape import as_json
from .output import lists, show_next, show_table, shown, when

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .api import Api

MONITORS = (
    "monitor_id", "charge_point", "variable", "kind", "value", "severity", "transaction_only", "ours", "accepted_at",
)  # fmt: skip
DISPLAY_MESSAGES = (
    "message_id", "charge_point", "text", "priority", "state", "transaction_id", "accepted_at",
)  # fmt: skip
NETWORK_PROFILES = ("slot", "charge_point", "accepted_at", "data")


def show_monitors(told: Mapping[str, Any]) -> None:
    """Print monitors as a table, and that there are more."""
    lines = [shown(row, MONITORS) for row in told["monitors"]]
    show_table(MONITORS, lines, "no monitor is known")
    show_next(told)


def show_display_messages(told: Mapping[str, Any]) -> None:
    """Print messages as a table, and that there are more."""
    lines = [shown(row, DISPLAY_MESSAGES) for row in told["display_messages"]]
    show_table(DISPLAY_MESSAGES, lines, "no message is known")
    show_next(told)


def show_network_profiles(told: Mapping[str, Any]) -> None:
    """Print network profiles as a table, and that there are more."""
    lines = [
        [row["slot"], row["charge_point"], when(row["accepted_at"]), as_json(row["data"])]
        for row in told["network_profiles"]
    ]
    show_table(NETWORK_PROFILES, lines, "no network profile is known")
    show_next(told)


@click.group()
def monitors() -> None:
    """Show the monitors of variables that charge points have; `do set-monitor` sets one."""


@monitors.command("list")
@CHARGE_POINT
@lists(show_monitors, "monitors", MONITORS)
@asks_server
def list_monitors(api: Api, *, charge_point: str | None) -> Any:
    """List monitors, the newest first."""
    return listed(api, "monitors", charge_point)


@click.group()
def display_messages() -> None:
    """Show the messages on displays of charge points; `do set-display-message` shows one."""


@display_messages.command("list")
@CHARGE_POINT
@lists(show_display_messages, "display_messages", DISPLAY_MESSAGES)
@asks_server
def list_display_messages(api: Api, *, charge_point: str | None) -> Any:
    """List messages, the newest first."""
    return listed(api, "display-messages", charge_point)


@click.group()
def network_profiles() -> None:
    """Show the network profiles that charge points have accepted; `do set-network-profile` sends one."""


@network_profiles.command("list")
@CHARGE_POINT
@lists(show_network_profiles, "network_profiles", NETWORK_PROFILES)
@asks_server
def list_network_profiles(api: Api, *, charge_point: str | None) -> Any:
    """List network profiles, the newest first."""
    return listed(api, "network-profiles", charge_point)
