"""The command `security-events`: what charge points have told, and what the central system has seen itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .api import asks_server
from .completion import charge_points_like
from .options import BEFORE, LIMIT
from .output import lists, show_next, show_table, when

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .api import Api

COLUMNS = ("at", "charge point", "source", "type", "times", "from", "info")


def show_events(told: Mapping[str, Any]) -> None:
    """Print them as a table."""
    rows = [
        (
            when(row["at"]),
            row["charge_point"] or row["data"].get("identity", ""),
            row["source"],
            row["type"],
            row["data"].get("count"),
            row["data"].get("peer", ""),
            row["info"],
        )
        for row in told["security_events"]
    ]
    show_table(COLUMNS, rows, "no security event is stored")
    show_next(told)


@click.group("security-events")
def security_events() -> None:
    """Show security events of charge points, and of the central system itself."""


@security_events.command("list")
@click.option(
    "--charge-point",
    metavar="CP",
    shell_complete=charge_points_like,
    help="Only events of this charge point.",
)
@click.option("--own", "own", flag_value="1", help="Only those that the central system has seen itself.")
@click.option("--told", "own", flag_value="0", help="Only those that charge points have told.")
@BEFORE
@LIMIT
@lists(show_events, "security_events", ("at", "charge_point", "source", "type", "info", "data"))
@asks_server
def list_events(api: Api, **narrowed: Any) -> Any:
    """List security events, the newest first."""
    return api.get("security-events", **{name: str(value) for name, value in narrowed.items() if value})
