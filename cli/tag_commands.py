"""The commands of `chargehand tags`."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click

from .options import JSON, asks_server, echo_json

if TYPE_CHECKING:
    from .api import Api


@click.group()
def tags() -> None:
    """Show and change who may charge."""


@tags.command("list")
@JSON
@asks_server
def list_tags(api: Api, *, json: bool) -> None:
    """List all tags."""
    from .tags import listed, show_tags  # noqa: PLC0415

    rows = listed(api)
    if json:
        echo_json(rows)
    else:
        show_tags(rows)


@tags.command("show")
@click.argument("id_tag")
@JSON
@asks_server
def show_tag(api: Api, *, id_tag: str, json: bool) -> None:
    """Show one tag."""
    from .tags import show_tags  # noqa: PLC0415

    row = api.get("tags", id_tag)
    if json:
        echo_json(row)
    else:
        show_tags([row])


@tags.command("add")
@click.argument("id_tag")
@click.option(
    "--status", default="Accepted", show_default=True, help="Accepted, Blocked, Expired or Invalid."
)
@click.option("--expiry", help="When it runs out: a date and time with its offset.")
@click.option("--parent", default="", help="Tags with the same parent may stop each other's transactions.")
@asks_server
def add_tag(api: Api, *, id_tag: str, **facts: str | None) -> None:
    """Enter a tag, or change it."""
    from .tags import changed, show_tags  # noqa: PLC0415

    show_tags([changed(api, "PUT", id_tag, facts)])


@tags.command("remove")
@click.argument("id_tag")
@asks_server
def remove_tag(api: Api, *, id_tag: str) -> None:
    """Take a tag out. It is unknown then, which may mean accepted: to keep somebody out, block it."""
    from .tags import changed  # noqa: PLC0415

    click.echo(f"{changed(api, 'DELETE', id_tag)['id_tag']} is removed")


@tags.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@asks_server
def import_tags(api: Api, *, file: IO[str]) -> None:
    """Enter the tags of a CSV or JSON file (- is standard input): all of them, or none if one is wrong."""
    from .tags import enter, read  # noqa: PLC0415

    click.echo(f"{enter(api, *read(file.read()))} tags entered")


@tags.command("export")
@JSON
@asks_server
def export_tags(api: Api, *, json: bool) -> None:
    """Print all tags as CSV, or as JSON, as `import` takes them."""
    from .tags import as_csv, listed  # noqa: PLC0415

    rows = listed(api)
    if json:
        echo_json(rows)
    else:
        click.echo(as_csv(rows), nl=False)


@tags.command("push")
@click.argument("charge_point", metavar="CP")
@click.option("--full", is_flag=True, help="Send the whole list, whatever the charge point has.")
@click.option("--clear-cache", is_flag=True, help="Clear its authorisation cache, too.")
@click.option(
    "--timeout", "timeout_s", type=float, default=30.0, show_default=True, help="Seconds for each answer."
)
@asks_server
def push_tags(api: Api, *, charge_point: str, full: bool, clear_cache: bool, timeout_s: float) -> None:
    """Bring the local list of the charge point CP in step with the tags: send it what has changed."""
    from .local_lists import push  # noqa: PLC0415

    for line in push(api, charge_point, full=full, clear_cache=clear_cache, timeout_s=timeout_s):
        click.echo(line)
