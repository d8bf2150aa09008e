"""The commands of `chargehand charge-points`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from .failures import CommandMisused
from .options import JSON, asks_server, echo_json

if TYPE_CHECKING:
    from .api import Api

HELP = ("-h", "--help")


class _ListsByItself(click.Group):
    """A group that lists when no command of its is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._named(args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, self._named(args))

    @staticmethod
    def _named(args: list[str]) -> list[str]:
        unnamed = not args or (args[0].startswith("-") and args[0] not in HELP)
        return ["list", *args] if unnamed else args


@click.group(cls=_ListsByItself)
def charge_points() -> None:
    """Show charge points, enter them before they come, and forget them. By itself it lists those that are connected."""


@charge_points.command("list")
@click.option(
    "--all", "all_", is_flag=True, help="Those that are away, too, and those that only the store knows."
)
@JSON
@asks_server
def list_charge_points(api: Api, *, all_: bool, json: bool) -> None:
    """List the charge points that are connected."""
    from .charge_points import find_charge_points, show_charge_points  # noqa: PLC0415

    rows = find_charge_points(api, all_=all_)
    if json:
        echo_json(rows)
    else:
        show_charge_points(rows)


@charge_points.command("show")
@click.argument("charge_point", metavar="CP")
@JSON
@asks_server
def show_one(api: Api, *, charge_point: str, json: bool) -> None:
    """Show one: facts, connectors, calls that wait, its last events, its open transactions."""
    from .charge_points import found, show_charge_point  # noqa: PLC0415

    row = found(api, charge_point)
    if json:
        echo_json(row)
    else:
        show_charge_point(row)


@charge_points.command("add")
@click.argument("charge_point", metavar="CP")
@click.option("--password", help="For Basic authentication. Others on this machine may see it; see the next.")
@click.option("--password-stdin", is_flag=True, help="Read it from standard input.")
@click.option(
    "--registration",
    type=click.Choice(["Accepted", "Pending", "Rejected"]),
    help="What it is until its next BootNotification; without it, Accepted if it is not known yet.",
)
@asks_server
def add(
    api: Api, *, charge_point: str, password: str | None, password_stdin: bool, registration: str | None
) -> None:
    """Enter a charge point before it comes, or set its password."""
    from .charge_points import enter  # noqa: PLC0415

    if password_stdin:
        if password is not None:
            raise CommandMisused("--password and --password-stdin are one too many")
        try:
            password = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise CommandMisused(f"the password is not UTF-8: {error}") from error
    told = enter(api, charge_point, registration=registration, password=password)
    with_ = " and has a password" if told["has_password"] else ""
    click.echo(f"{charge_point} is {told['registration']}{with_}")


@charge_points.command("remove")
@click.argument("charge_point", metavar="CP")
@asks_server
def remove(api: Api, *, charge_point: str) -> None:
    """Forget the registration and the password of a charge point that is away. Its transactions stay."""
    from .charge_points import forget  # noqa: PLC0415

    forget(api, charge_point)
    click.echo(f"{charge_point} is forgotten")


@charge_points.command("export")
@JSON
@asks_server
def export_charge_points(api: Api, *, json: bool) -> None:
    """Print all that are known as CSV, or as JSON."""
    from .charge_points import EXPORTED, find_charge_points  # noqa: PLC0415
    from .exports import export  # noqa: PLC0415

    rows = find_charge_points(api, all_=True)
    export(rows, EXPORTED, sys.stdout.write, json=json)
