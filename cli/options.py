"""Options that several commands have. As in `main.py`, nothing is imported here that makes a socket or a lock."""

from __future__ import annotations

import getpass

import click

from .completion import charge_points_like

CONFIG = click.option(
    "--config", metavar="FILE", help="TOML file of settings; default: the file that CHARGEHAND_CONFIG names."
)
DATA = click.option("--data", metavar="DIR", help="Data folder of the server.")
URL = click.option(
    "--url", help="Address of the HTTP API; default: that of the server that uses the data folder."
)
TOKEN = click.option("--token", help="Bearer token; default: that of the settings or of the data folder.")
CP = click.argument("charge_point", metavar="CP", shell_complete=charge_points_like)
TIMES = click.option(
    "--times",
    type=click.Choice(["local", "utc"]),
    help="Zone of times that are shown, and of those given without an offset; default: `cli.times`, local.",
)
JSON = click.option("--json", is_flag=True, help="Print JSON, for programs.")
CSV = click.option("--csv", is_flag=True, help="Print CSV with a line of names, for spreadsheets.")
RAW = click.option(
    "--raw", is_flag=True, help="CSV: leave texts as they are that a spreadsheet would run as a formula."
)
BEFORE = click.option("--before", metavar="CURSOR", help="Begin where the page before ended: its `next`.")


def login() -> str:
    """Return the login name of the user; "cli" where there is none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "cli"


BY = click.option("--by", default=login, help="Author of the change; default: your login name.")
MAX_LIMIT = 10_000
"""Rows that the API returns at most at once."""
LIMIT = click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=100,
    show_default=True,
    help="Maximum number of rows.",
)
