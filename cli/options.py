"""Options that several commands have, and what they do with them.

As in `main.py`, nothing is imported here that makes a socket or a lock.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from .escape import as_json

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = click.option(
    "--config", metavar="FILE", help="Settings in TOML; without it, the file that CHARGEHAND_CONFIG names."
)
DATA = click.option("--data", metavar="DIR", help="Folder for what the server writes.")
URL = click.option(
    "--url", help="Address of the HTTP API; without it, that of the server that uses the data folder."
)
TOKEN = click.option("--token", help="Bearer token; without it, that of the settings or of the data folder.")
JSON = click.option("--json", is_flag=True, help="Print JSON, for programs.")


def asks_server(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which running server is meant; its first argument is that server's API."""

    @functools.wraps(command)
    def run(config: str | None, data: str | None, url: str | None, token: str | None, **options: Any) -> None:
        from .api import Api  # noqa: PLC0415
        from .configuration import read_settings  # noqa: PLC0415

        command(Api.of(read_settings(config, {"data": data}), url=url, token=token), **options)

    for option in (CONFIG, DATA, TOKEN, URL):
        run = option(run)
    return run


def echo_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(as_json(value, indent=2))
