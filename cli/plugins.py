"""The command `plugins`: what is installed, loaded and quarantined."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ..system.plugin_packages import installed_plugins
from .api import Api, asks_server
from .failures import CommandFailed
from .output import lists, show_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COLUMNS = ("plugin", "state", "version", "class", "settings")


def state_of(row: Mapping[str, Any]) -> str:
    """Return the state of a plugin in a word."""
    if row["quarantined"]:
        return "quarantined"
    return "shadow" if row["shadow"] and row["state"] == "running" else str(row["state"])


def listed(api: Api) -> list[dict[str, Any]]:
    """List the plugins that run, as the API shows them, then those that are installed and not loaded.

    Without a server those that are installed are listed, with the state "no server".
    """
    try:
        running = api.get("plugins")["plugins"]
    except CommandFailed as error:
        running, state = [], "no server"
        click.echo(f"chargehand: {error.format_message()}", err=True)
    else:
        state = "not loaded"
    rows = [
        {
            "name": row["name"],
            "state": state_of(row),
            "version": row["version"],
            "class": row["class"],
            "settings": row["settings"],
        }
        for row in running
    ]
    loaded = {row["class"] for row in rows}
    return rows + [
        {"name": one.name, "state": state, "version": one.version, "class": one.class_name, "settings": None}
        for one in sorted(installed_plugins().values())
        if one.class_name not in loaded
    ]


def show_rows(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print them as a table."""
    lines = [
        (
            row["name"],
            row["state"],
            row["version"],
            row["class"],
            "" if row["settings"] is None else json.dumps(row["settings"], ensure_ascii=False),
        )
        for row in rows
    ]
    show_table(COLUMNS, lines, "no plugins")


@click.group()
def plugins() -> None:
    """Show the plugins: installed, loaded, quarantined."""


@plugins.command("list")
@lists(show_rows, "", ("name", "state", "version", "class", "settings"))
@asks_server
def list_(api: Api) -> Any:
    """List the plugins that run, with version and settings, and those that are installed and not loaded."""
    return listed(api)
