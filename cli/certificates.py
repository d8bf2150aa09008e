"""The command `certificates`: what charge points have installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .accepted_state import CHARGE_POINT, listed
from .api import asks_server
from .output import show_next, show_table, shows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .api import Api

INSTALLED = (
    "charge_point", "use", "serial_number", "hash_algorithm", "issuer_name_hash", "issuer_key_hash", "certain",
    "noted_at",
)  # fmt: skip


def show_installed(told: Mapping[str, Any]) -> None:
    """Print installed certificates as a table, and that there are more."""
    lines = [[row[name] for name in INSTALLED] for row in told["installed_certificates"]]
    show_table(INSTALLED, lines, "no installed certificate is known")
    show_next(told)


@click.group()
def certificates() -> None:
    """Show the certificates that charge points have installed."""


@certificates.command("list")
@CHARGE_POINT
@shows(show_installed)
@asks_server
def list_certificates(api: Api, *, charge_point: str | None) -> Any:
    """List installed certificates, as charge points have reported them, the newest first."""
    return listed(api, "installed-certificates", charge_point)
