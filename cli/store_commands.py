"""`chargehand backup` and `chargehand check-store`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from .failures import FAILED
from .options import CONFIG, DATA, JSON, asks_server, echo_json

if TYPE_CHECKING:
    from .api import Api


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@asks_server
def backup(api: Api, *, file: str, force: bool) -> None:
    """Have a running server copy its store to FILE, which is readable by its owner alone; the server goes on.

    FILE is there when it is whole, and not before. `chargehand check-store FILE` looks at it.
    """
    from .backup import fetch  # noqa: PLC0415

    click.echo(f"{file}: {fetch(api, file, force=force)} bytes")


@click.command()
@click.argument("file", required=False, type=click.Path())
@DATA
@CONFIG
@JSON
def check_store(file: str | None, *, data: str | None, config: str | None, json: bool) -> None:
    """Look whether all is well with FILE, a backup; without it, with the store of a data folder that no server uses.

    The exit status is 0 if all is well, 1 if something is wrong, and 2 if there is no such file.
    """
    from .store_check import look, show_report  # noqa: PLC0415

    report = look(file, data=data, config=config)
    if json:
        echo_json(report)
    else:
        show_report(report)
    if report["faults"]:
        sys.exit(FAILED)
