"""The command `ca`: the certificate authority for charge points. `init` makes it here, the rest asks a server."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..config.errors import ConfigError
from .api import STORE_S, asks_server
from .completion import charge_points_like
from .configuration import read_settings
from .failures import CommandFailed, CommandMisused
from .options import BEFORE, BY, CONFIG, LIMIT
from .output import lists, show_facts, show_next, show_table, shown, shows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .api import Api

ISSUED = (
    "serial_number", "charge_point", "state", "common_name", "not_after", "issued_at", "reason",
)  # fmt: skip
REASONS = (
    "unspecified", "key_compromise", "affiliation_changed", "superseded", "cessation_of_operation",
    "privilege_withdrawn",
)  # fmt: skip
"""Reasons of a revocation; the server knows the same ones."""
STATES = ("issued", "installed", "refused", "uncertain", "not_delivered", "replaced", "revoked", "expired")
RSA_BITS = ("2048", "3072", "4096")


@click.group()
def ca() -> None:
    """Make the certificate authority; list and revoke the certificates that it has signed."""


@ca.command()
@CONFIG
@click.option("--folder", metavar="DIR", help="Folder to make it in; default: `ca.folder`.")
@click.option("--passphrase-file", metavar="FILE", help="File with the passphrase; default: `ca.passphrase`.")
@click.option("--rsa", type=click.Choice(RSA_BITS), help="RSA keys of this size in place of ECDSA (P-256).")
@click.option("--name", default="chargehand", show_default=True, help="Beginning of the authorities' names.")
def init(
    config: str | None, *, folder: str | None, passphrase_file: str | None, rsa: str | None, name: str
) -> None:
    """Make a root and an issuing authority below it, with keys that are encrypted with a passphrase.

    The passphrase is that of the settings: the variable CHARGEHAND_CA__PASSPHRASE, or a file.
    """
    given = {"ca.folder": folder, "ca.passphrase_file": passphrase_file}
    settings = read_settings(config, given, stores=False).ca
    if not settings.folder:
        raise CommandMisused("no folder is given for the authority", "give --folder, or set ca.folder")
    try:
        from ..plugins.authority import CLIENT_CA, CRL, Authority, AuthorityError  # noqa: PLC0415 - an extra
        from ..plugins.certificate_authority import passphrase_of  # noqa: PLC0415
    except ImportError as error:
        raise CommandFailed(
            f"the extra `ca` is not installed: {error}", "install it: pip install 'chargehand[ca]'"
        ) from error
    try:
        made = Authority.create(
            Path(settings.folder),
            passphrase_of(settings.passphrase, settings.passphrase_file),
            name=name,
            now=dt.datetime.now(dt.UTC),
            rsa_bits=int(rsa or 0),
        )
    except ConfigError as error:
        raise CommandMisused(
            str(error), "give the passphrase: CHARGEHAND_CA__PASSPHRASE, or --passphrase-file"
        ) from error
    except AuthorityError as error:
        raise CommandFailed(str(error), "name another folder with --folder, or move that one away") from error
    except OSError as error:
        raise CommandFailed(
            f"{settings.folder}: {error.strerror}", "name a folder that you may write with --folder"
        ) from error
    ends = made.certificate.not_valid_after_utc
    click.echo(f"the authority is in {made.folder}; it signs until {ends:%Y-%m-%d}")
    click.echo("settings of the server:")
    click.echo(f'  [ca]\n  folder = "{made.folder}"')
    click.echo(f'  [tls]\n  client_ca = "{made.folder / CLIENT_CA}"\n  client_crl = "{made.folder / CRL}"')
    click.echo(f"keep a copy of {made.folder / 'root.key'} elsewhere: the server does not need it")


def show_issued(told: Mapping[str, Any]) -> None:
    """Print issued certificates as a table, and that there are more."""
    lines = [shown(row, ISSUED) for row in told["issued_certificates"]]
    show_table(ISSUED, lines, "no certificate was issued")
    show_next(told)


def show_one(row: Mapping[str, Any]) -> None:
    """Print all of one certificate."""
    show_facts(list(zip(row, shown(row, list(row)), strict=True)))


@ca.command("list")
@click.option(
    "--charge-point", metavar="CP", shell_complete=charge_points_like, help="Those of this charge point only."
)
@click.option("--state", type=click.Choice(STATES), help="Those in this state only.")
@BEFORE
@LIMIT
@lists(show_issued, "issued_certificates", ISSUED)
@asks_server
def list_issued(
    api: Api, *, charge_point: str | None, state: str | None, before: str | None, limit: int
) -> Any:
    """List the certificates that the authority has signed, the newest first."""
    narrowed = {"charge_point": charge_point, "state": state, "before": before}
    return api.get(
        "issued-certificates", limit=str(limit), **{key: value for key, value in narrowed.items() if value}
    )


@ca.command()
@click.argument("serial_number", metavar="SERIAL")
@shows(show_one)
@asks_server
def show(api: Api, *, serial_number: str) -> Any:
    """Show the certificate with the serial number SERIAL."""
    return api.get("issued-certificates", serial_number)


@ca.command()
@click.argument("serial_number", metavar="SERIAL")
@click.option("--reason", type=click.Choice(REASONS), default=REASONS[0], show_default=True)
@BY
@shows(show_one)
@asks_server
def revoke(api: Api, *, serial_number: str, reason: str, by: str) -> Any:
    """Revoke the certificate with the serial number SERIAL: with it no charge point connects any more."""
    body = json.dumps({"by": by, "reason": reason})
    return api.change("POST", "issued-certificates", serial_number, "revoke", body=body, timeout_s=STORE_S)
