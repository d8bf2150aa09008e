"""The command `certificates`: what charge points have installed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from .accepted_state import CHARGE_POINT, listed
from .api import asks_server
from .failures import CommandFailed
from .options import CP
from .output import lists, show_next, show_table, shown
from .send import SendingOptions, send_command, sends

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .api import Api

INSTALLED = ("charge_point", "use", "serial_number", "certain", "noted_at")
NAME = ("serial_number", "issuer_name_hash", "issuer_key_hash", "hash_algorithm")
"""Name of a certificate, as a charge point knows it."""


def show_installed(told: Mapping[str, Any]) -> None:
    """Print installed certificates as a table, and that there are more."""
    lines = [shown(row, INSTALLED) for row in told["installed_certificates"]]
    show_table(INSTALLED, lines, "no installed certificate is known")
    show_next(told)


@click.group()
def certificates() -> None:
    """Show the certificates that charge points have installed, and delete them."""


@certificates.command("list")
@CHARGE_POINT
@lists(show_installed, "installed_certificates", INSTALLED)
@asks_server
def list_certificates(api: Api, *, charge_point: str | None) -> Any:
    """List installed certificates, as charge points have reported them, the newest first."""
    return listed(api, "installed-certificates", charge_point)


@certificates.command("delete")
@CP
@click.argument("serial_number", metavar="SERIAL")
@sends
@asks_server
def delete_certificate(api: Api, *, charge_point: str, serial_number: str, options: SendingOptions) -> None:
    """Have CP delete the certificate with the serial number SERIAL, which it has reported."""
    rows = listed(api, "installed-certificates", charge_point)["installed_certificates"]
    wanted = serial_number.replace(":", "").lower().lstrip("0") or "0"
    found = {tuple(row[part] for part in NAME) for row in rows if row["serial_number"] == wanted}
    if len(found) != 1 or not all(next(iter(found))):
        told = "several certificates" if len(found) > 1 else "no certificate"
        raise CommandFailed(
            f"{charge_point} has reported {told} with the serial number {serial_number}",
            f"have it report them (`chargehand do get-installed-certificates {charge_point}`), or name one by its "
            "hashes (`chargehand do delete-certificate`)",
        )
    members = dict(zip(NAME, found.pop(), strict=True))
    send_command(api, charge_point, "verbs", "delete_certificate", json.dumps(members), options)
