"""The command `restore`: a backup takes the place of a store that no server uses."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..store import dumping, postgres_schema
from ..store.copying import IDS_LEFT_OUT
from ..store.durable import LARGEST_ID
from ..store.factory import SQLITE_FILE
from ..store.inspection import Inspection
from ..store.libpq import DatabaseAddress, QueryFailed, run
from ..store.store import StoreError
from .configuration import read_settings
from .data_folder import DataFolder, FolderInUse
from .failures import CommandFailed, CommandMisused
from .options import CONFIG, DATA
from .output import show_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

STOP_FIRST = "stop the server, then restore"
SKIP_IDS = (
    f"UPDATE {postgres_schema.SCHEMA}.ids SET next = least(next + {IDS_LEFT_OUT}, {LARGEST_ID + 1}) "  # noqa: S608
    "WHERE name = 'transaction'"
)
"""Statement that skips the transaction ids which may have been given since the backup: charge points have them."""


def restore_file(file: str, folder: str) -> Sequence[tuple[str, Any]]:
    """Put a backup in the place of the file in a data folder; return facts. Raises `CommandFailed`."""
    path, temporary = Path(folder) / SQLITE_FILE, Path(folder) / f".{SQLITE_FILE}.{secrets.token_hex(8)}"
    try:
        found = Inspection(file)
    except StoreError as error:
        raise CommandMisused(str(error), "name a backup of chargehand") from error
    if found.faults:
        raise CommandFailed(
            f"{file} is spoilt: {found.faults[0]}",
            f"take another backup; `chargehand check-store {file}` lists all",
        )
    with ExitStack() as stack:
        try:
            stack.enter_context(DataFolder(folder))
        except FolderInUse as error:
            raise CommandFailed(str(error), STOP_FIRST) from error
        stack.callback(temporary.unlink, missing_ok=True)
        try:
            aside = _put_in_place(Path(file), temporary, path)
        except OSError as error:
            raise CommandFailed(
                f"{path} was not restored: {error}", "make room there, then try again"
            ) from error
    facts: list[tuple[str, Any]] = [("restored", path), ("from", file)]
    if aside is not None:
        facts.append(("the store before", aside))
    return [*facts, *((name.replace("_", " "), count) for name, count in found.rows.items() if count)]


def _put_in_place(file: Path, temporary: Path, path: Path) -> Path | None:
    """Copy a file into the place of another one, which stays under a name of its own; at each moment one is there."""
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with file.open("rb") as source, os.fdopen(descriptor, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
    aside = None
    if path.exists():
        aside = path.with_name(f"{path.name}.replaced-{time.strftime('%Y-%m-%dT%H%M%SZ', time.gmtime())}")
        # First what is beside it: the new file must never be read with the journal of the old one.
        with suppress(FileNotFoundError):
            path.with_name(f"{path.name}-wal").rename(aside.with_name(f"{aside.name}-wal"))
        path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
        os.link(path, aside)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return aside


def restore_database(file: str, url: str) -> Sequence[tuple[str, Any]]:
    """Put a dump in the place of the tables of a database; return facts. Raises `CommandFailed`."""
    try:
        address = DatabaseAddress(url)
        connection = address.connect()
        try:
            living = postgres_schema.living_formats(connection)
            if living:
                raise CommandFailed(f"{address.shown} is in use by a server", STOP_FIRST)
            dumping.restore(address, file)
            run(connection, SKIP_IDS.encode())
        finally:
            connection.finish()
    except (StoreError, QueryFailed) as error:
        raise CommandFailed(
            f"the database was not restored, and is as it was: {error}",
            "give a file that `chargehand backup` made",
        ) from error
    return [("restored", address.shown), ("from", file)]


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--store", metavar="sqlite|postgresql://…", help="Store; default: from the settings.")
@DATA
@CONFIG
def restore(file: str, *, store: str | None, data: str | None, config: str | None) -> None:
    """Put the backup FILE in the place of the store, which no server may use meanwhile.

    An SQLite file is checked first; the one before stays beside it under another name. Records that came after the
    backup are not in it; their transaction ids are not given again.
    """
    settings = read_settings(config, {"data": data, "store": store})
    if settings.store == "memory":
        raise CommandMisused("the store is memory", "give --store, or set it in the settings")
    sqlite = settings.store == "sqlite"
    show_facts(restore_file(file, settings.data) if sqlite else restore_database(file, settings.store))
