"""Command `chargehand load-management`: what the charge points of each site may draw, and draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ... import Api, asks_server, show_table, shows

if TYPE_CHECKING:
    from collections.abc import Mapping


def _show(told: Mapping[str, Any]) -> None:
    for site in told["sites"]:
        limit = ", ".join(f"{one} {amps:g} A" for one, amps in site["limit_a"].items())
        drawn = ", ".join(f"{one} {amps:g} A" for one, amps in site["drawn_a"].items())
        click.echo(f"{site['name']}: limit {limit}; drawn {drawn}")
        rows = [
            (
                one["id"],
                one["state"],
                "?" if one["allowed_a"] is None else f"{one['allowed_a']:g}",
                f"{one['target_a']:g}",
                f"{max(one['drawn_a'].values(), default=0):g}",
                "".join(phase[1] for phase in one["phases"]),
                one["weight"],
                one["trouble"],
            )
            for one in site["charge_points"]
        ]
        show_table(
            ("charge point", "state", "allowed", "target", "drawn", "phases", "weight", ""),
            rows,
            "no charge points",
        )


@click.command()
@click.option(
    "--plugin", default="load-management", show_default=True, help="Name of the plugin in the settings."
)
@shows(_show)
@asks_server
def command(api: Api, plugin: str) -> Any:
    """Show what the charge points of each site may draw, and draw."""
    return api.get("plugins", plugin, "sites")
