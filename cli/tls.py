"""The command `tls`: the certificates that a server uses, and reading their files again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .api import asks_server
from .output import lists, show_table, shows, when

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .api import Api

COLUMNS = ("use", "name", "key", "ends", "file")


def show_certificates(view: Mapping[str, Any]) -> None:
    """Print them as a table."""
    rows = [
        (row["use"], row["name"], row["key"], when(row["expires_at"]), row["file"])
        for row in view["certificates"]
    ]
    show_table(COLUMNS, rows, "no certificate is in use")


@click.group()
def tls() -> None:
    """Show the certificates of the server, and have it read them again."""


@tls.command("show")
@lists(show_certificates, "certificates", ("use", "name", "key", "expires_at", "file"))
@asks_server
def show_tls(api: Api) -> Any:
    """Show the server's certificates, those of the CAs of clients, and revocation lists, with their ends."""
    return api.get("tls")


@tls.command("reload")
@shows(show_certificates)
@asks_server
def reload_tls(api: Api) -> Any:
    """Have the server read the files again, for new connections; files of no use leave everything as it was."""
    return api.change("POST", "tls", "reload")
