"""The command `logs`: levels of log lines about single charge points, while the server runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from .api import STORE_S, asks_server
from .charge_point_choice import seconds
from .completion import charge_points_like
from .failures import CommandMisused
from .options import MAX_LIMIT
from .output import aware, lists, show_table, when

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .api import Api

LEVELS = ("debug", "info", "warning", "error", "critical", "default")
COLUMNS = ("charge_point", "level", "until", "by")


def show_levels(told: Mapping[str, Any]) -> None:
    """Print levels as a table."""
    lines = [
        (row["charge_point"], row["level"], when(row["until"]) or "without end", row["by"])
        for row in told["log_levels"]
    ]
    show_table(("charge point", "level", "until", "by"), lines, "no charge point has a level of its own")


@click.command()
@click.argument("charge_points", metavar="[CP]...", nargs=-1, shell_complete=charge_points_like)
@click.option(
    "--level",
    type=click.Choice(LEVELS, case_sensitive=False),
    help="Lowest level of lines about these charge points; default: that of all others again.",
)
@click.option("--for", "for_s", type=seconds, metavar="DURATION", help="For so long: 10m, 2h; default: 1h.")
@click.option("--until", metavar="TIME", help="Until this time (see --times).")
@click.option("--no-end", is_flag=True, help="Until it is changed again.")
@lists(show_levels, "log_levels", COLUMNS)
@asks_server
def logs(
    api: Api,
    *,
    charge_points: tuple[str, ...],
    level: str | None,
    for_s: str | None,
    until: str | None,
    no_end: bool,
) -> Any:
    """Set the level of log lines about charge points for a time, in all processes; without --level list the levels.

    At debug their frames are lines of the log, too, with their secrets masked.
    """
    if level is None:
        if charge_points or for_s or until or no_end:
            raise CommandMisused("no level is given", "add --level debug, or --level default to go back")
        return api.whole("log_levels", "log-levels", cursor="after", limit=str(MAX_LIMIT))
    if not charge_points:
        raise CommandMisused("no charge point is named", f"name it: chargehand logs CP --level {level}")
    if sum(map(bool, (for_s, until, no_end))) > 1:
        raise CommandMisused("--for, --until and --no-end are one too many", "give one of them")
    body: dict[str, Any] = {"level": level.upper()}
    if until:
        body["until"] = aware(until)
    elif for_s or no_end:
        body["for_s"] = float(for_s or 0)
    for charge_point in charge_points:
        if level.lower() == "default":
            api.change("DELETE", "log-levels", charge_point, timeout_s=STORE_S)
        else:
            api.change("PUT", "log-levels", charge_point, body=json.dumps(body), timeout_s=STORE_S)
    return api.whole("log_levels", "log-levels", cursor="after", limit=str(MAX_LIMIT))
