"""The command `upgrade-store`: brings a store up to date, and takes away of it what no living program needs."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..store import postgres_schema, sqlite_schema
from ..store.factory import SQLITE_FILE
from ..store.format import statements_of
from ..store.libpq import DatabaseAddress, QueryFailed, read
from ..store.store import StoreError
from .configuration import read_settings
from .data_folder import DataFolder, FolderInUse
from .failures import CommandFailed, CommandMisused
from .options import CONFIG, DATA, JSON
from .output import echo_json, show_facts, show_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..store.format import Removal


def upgrade(store: str, folder: str, *, dry_run: bool) -> dict[str, Any]:
    """Upgrade a store, or with `dry_run` change nothing; return its formats, and what is taken away. Raises errors."""
    if store == "memory":
        raise CommandMisused(
            "the store is memory, which has no format", "give --store, or set it in the settings"
        )
    if store != "sqlite":
        return _upgrade_database(store, dry_run=dry_run)
    path = Path(folder) / SQLITE_FILE
    if not path.is_file():
        raise CommandMisused(f"there is no file {path}", "name the folder of the server with --data")
    with ExitStack() as stack:
        try:
            stack.enter_context(DataFolder(folder))
        except FolderInUse as error:
            raise CommandFailed(
                str(error), "stop that server first; it upgrades its file when it starts"
            ) from error
        connection = stack.enter_context(closing(sqlite3.connect(path, isolation_level=None)))
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        gone: list[str] = []
        count = "SELECT count(*) FROM {table}"
        planned = plan(
            sqlite_schema.STEPS,
            found,
            lambda table: int(connection.execute(count.format(table=table)).fetchone()[0]),
        )
        if dry_run:
            needs = sqlite_schema.needs_of(connection, found)
            gone = due(sqlite_schema.REMOVALS, needs)
        else:
            sqlite_schema.bring_up_to_date(connection, str(path))
            gone = sqlite_schema.take_away(connection, sqlite_schema.REMOVALS)
        report = facts(str(path), found, len(sqlite_schema.STEPS), gone, [], dry_run=dry_run)
        return report | {"plan": planned}


def plan(steps: Sequence[str], found: int, count: Callable[[str], int]) -> list[dict[str, Any]]:
    """Return what each step from here on does: its statements, each with the rows that its table has now.

    A table that only an earlier step makes has no rows yet.
    """
    rows: dict[str, int] = {"": 0}
    planned = []
    for number, step in enumerate(steps[found:] if found else [], found + 1):
        for statement, table in statements_of(step):
            if table not in rows:
                try:
                    rows[table] = count(table)
                except (sqlite3.Error, QueryFailed):
                    rows[table] = 0
            planned.append({"step": number, "statement": statement, "rows": rows[table]})
    return planned


def _upgrade_database(url: str, *, dry_run: bool) -> dict[str, Any]:
    address = DatabaseAddress(url)
    connection = address.connect()
    try:
        found = postgres_schema.version_of(connection)
        count = "SELECT count(*) FROM {schema}.{table}"
        planned = plan(
            postgres_schema.STEPS,
            found,
            lambda table: int(
                read(connection, count.format(schema=postgres_schema.SCHEMA, table=table), [])[0][0]
            ),
        )
        if dry_run:
            needs = postgres_schema.needs_of(connection, found)
            gone = due(postgres_schema.REMOVALS, needs)
        else:
            postgres_schema.bring_up_to_date(connection, address.shown)
            gone = postgres_schema.take_away(connection, postgres_schema.REMOVALS)
        living = postgres_schema.living_formats(connection)
        report = facts(address.shown, found, len(postgres_schema.STEPS), gone, living, dry_run=dry_run)
        return report | {"plan": planned}
    except QueryFailed as error:
        raise StoreError(f"{address.shown}: {error}") from error
    finally:
        connection.finish()


def due(removals: tuple[Removal, ...], needs: int) -> list[str]:
    """List what is to be taken away."""
    return [removal.what for removal in removals if removal.needs > needs]


def facts(
    store: str, found: int, known: int, gone: list[str], living: list[int], *, dry_run: bool
) -> dict[str, Any]:
    """Return what was done, or is to be done."""
    return {
        "store": store,
        "tables": found,
        "known": known,
        "steps": max(known - found, 0),
        "taken_away": gone,
        "living": living,
        "changed": not dry_run,
    }


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option("--store", metavar="sqlite|postgresql://…", help="Store; default: from the settings.")
@DATA
@CONFIG
@JSON
def upgrade_store(
    *, dry_run: bool, store: str | None, data: str | None, config: str | None, json: bool
) -> None:
    """Bring the store up to date, and take away of it what no program needs any more that uses it now.

    A server makes the tables newer by itself when it starts; what is taken away is taken by this command only, when all
    nodes are new. An SQLite file must not be in use.
    """
    settings = read_settings(config, {"data": data, "store": store})
    try:
        report = upgrade(settings.store, settings.data, dry_run=dry_run)
    except StoreError as error:
        raise CommandFailed(
            f"the store was not upgraded: {error}", "stop or upgrade the nodes that it names, then try again"
        ) from error
    if json:
        echo_json(report)
        return
    steps = (
        f"{report['steps']} steps {'to be made' if dry_run else 'made'}" if report["steps"] else "up to date"
    )
    if report["tables"] > report["known"]:
        steps = "the store is of a newer chargehand, which has to do this"
    rows = [
        ("store", report["store"]),
        ("tables", report["tables"]),
        ("known here", f"{report['known']}: {steps}"),
    ]
    if report["living"]:
        rows.append(("living programs know", ", ".join(map(str, report["living"]))))
    rows.append(
        ("to be taken away" if dry_run else "taken away", ", ".join(report["taken_away"]) or "nothing")
    )
    show_facts(rows)
    if dry_run and report["plan"]:
        lines = [(one["step"], one["rows"], one["statement"]) for one in report["plan"]]
        show_table(("step", "rows", "statement"), lines, "")
