"""`chargehand import-steve`: id tags, charge points, transactions and readings of SteVe, into a store not in use."""

from __future__ import annotations

import secrets
import sys
import time
from contextlib import ExitStack
from gzip import BadGzipFile
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from ..actors.runtime import threads
from ..store.factory import open_store
from ..store.store import StoreError
from .configuration import read_settings
from .data_folder import DataFolder, FolderInUse
from .failures import FAILED, NEXT_OF_STORE, CommandFailed, CommandMisused
from .options import CONFIG, DATA, JSON
from .output import echo_json, show_table
from .steve import SteveImport
from .steve_dump import Dump, DumpRefused

if TYPE_CHECKING:
    from ..config.settings import Settings


@click.command()
@click.argument("dump", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--dry-run", is_flag=True, help="Read everything and list what cannot be taken; change nothing."
)
@click.option(
    "--zone", help="Time zone of the times in the dump; default: UTC, if the dump says that they are in it."
)
@click.option("--store", metavar="sqlite|postgresql://…", help="Store; default: from the settings.")
@DATA
@CONFIG
@JSON
def import_steve(
    *,
    dump: str,
    dry_run: bool,
    zone: str | None,
    store: str | None,
    data: str | None,
    config: str | None,
    json: bool,
) -> None:
    """Take tags, charge points, transactions and readings from DUMP, a file of mysqldump or mariadb-dump.

    The file may be compressed by gzip. No server may use the store. What is there already stays as it is, so a second
    run adds nothing. Each row that cannot be taken is a line on standard error, and the exit status is 1 then.
    """
    settings = read_settings(config, {"data": data, "store": store})
    if settings.store == "memory":
        raise CommandMisused("the store is memory, which ends with its server", "give --store or set it")
    source = Dump(dump)
    try:
        found = _run(settings, source, _zone(source, dump, zone), dry_run=dry_run)
    except (DumpRefused, EOFError, BadGzipFile) as error:
        raise CommandFailed(
            str(error), "make the dump again; a second import goes on where this one ended"
        ) from error
    except StoreError as error:
        raise CommandFailed(str(error), NEXT_OF_STORE) from error
    if json:
        echo_json({"dry_run": dry_run, "taken": dict(found.taken), "there": dict(found.there),
                   "refused": found.refused, "left_out": found.left_out})  # fmt: skip
    else:
        kinds = sorted({*found.taken, *found.there})
        rows = [(kind, found.taken[kind], found.there[kind]) for kind in kinds]
        show_table(
            ("what", "to be taken" if dry_run else "taken", "there already"), rows, "nothing was found"
        )
        for line in found.left_out:
            click.echo(f"left out: {line}", err=True)
        for line in found.refused:
            click.echo(f"refused: {line}", err=True)
    if found.refused:
        sys.exit(FAILED)


def _zone(source: Dump, name: str, zone: str | None) -> ZoneInfo:
    """Return the zone that was given, else UTC for a dump that says so. Raises `CommandMisused`."""
    if zone is None and not source.is_in_utc():
        raise CommandMisused(
            f"{name} does not say in which time zone its times are",
            "name it with --zone: that of the database's server after --skip-tz-utc, UTC after --compact",
        )
    try:
        return ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise CommandMisused(f"there is no time zone {zone}", "name one as Europe/Berlin") from error


def _run(settings: Settings, dump: Dump, zone: ZoneInfo, *, dry_run: bool) -> SteveImport:
    with ExitStack() as held:
        try:
            held.enter_context(DataFolder(settings.data))
        except FolderInUse as error:
            raise CommandFailed(str(error), "stop that server, then import") from error
        store = open_store(settings, _Threads(), time.time(), None, origin=secrets.token_hex(8))
        held.callback(store.close)
        found = SteveImport(dump.rows, store, zone, dry_run=dry_run)
        found.run()
        return found


class _Threads:
    """Native threads of this process."""

    native_lock = staticmethod(threads.native_lock)
    start_native_thread = staticmethod(threads.start_native_thread)
