"""The commands `backup`, `check-store`, `prune-store`, `show-store`: copy, check, old records, size of a store."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..store.factory import SQLITE_FILE
from ..store.inspection import Inspection
from ..store.store import StoreError
from .api import OK, asks_server, refused
from .configuration import read_settings
from .data_folder import LOCK_FILE, DataFolder, FolderInUse
from .failures import FAILED, CommandFailed, CommandMisused
from .options import CONFIG, DATA, JSON
from .output import echo_json, plain, show, show_facts, show_table, when

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .api import Api

MIB = 1 << 20
COPY_S = 3600.0
"""Seconds that the server has to make the copy, before it sends the first byte; and to send any next one."""


def fetch(api: Api, file: str, *, force: bool) -> int:
    """Have the copy made and write it; how many bytes it has. Raises `CommandFailed`, and has left nothing then."""
    path = Path(file)
    if path.exists() and not force:
        raise CommandMisused(f"{file} is there already", "give --force to replace it, or another name")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandMisused(
            f"{file} cannot be written: {error.strerror}", "name a file in a folder that you may write"
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as target:
            length = 0
            for chunk in api.download("POST", "backup", timeout_s=COPY_S):
                length += target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        _put_in_place(temporary, path, force=force)
    except OSError as error:
        raise CommandFailed(
            f"{file} was not written: {error.strerror}", "make room there, or name a file on another disk"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return length


def _put_in_place(temporary: Path, path: Path, *, force: bool) -> None:
    if force:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)  # fails if another process has made the file meanwhile
    except FileExistsError:
        raise CommandFailed(
            f"{path} was made by another process meanwhile, and is left as it is", "name another file"
        ) from None


def look(file: str | None, *, data: str | None, config: str | None) -> dict[str, Any]:
    """Check a file, or that of a data folder; return its rows and faults. Raises `CommandFailed`."""
    if file is not None and data is not None:
        raise CommandMisused("FILE and --data are one too many", "give one of them")
    path = Path(file) if file is not None else Path(read_settings(config, {"data": data}).data) / SQLITE_FILE
    if not path.is_file():
        raise CommandMisused(
            f"there is no file {path}", "name a backup, or the folder of a server with --data"
        )
    with ExitStack() as held:
        if (path.parent / LOCK_FILE).exists() and path.name == SQLITE_FILE:
            _hold(held, path.parent)
        try:
            found = Inspection(str(path))
        except StoreError as error:
            raise CommandFailed(
                str(error), "name a file that chargehand has written, or use a backup"
            ) from error
    return {
        "file": str(path),
        "rows": found.rows,
        "transactions": {"open": found.open, "flagged": found.flagged, "orphans": found.orphans},
        "faults": found.faults,
    }


def _hold(held: ExitStack, folder: Path) -> None:
    """Lock a data folder during the check, so that no server uses it."""
    try:
        held.enter_context(DataFolder(str(folder)))
    except FolderInUse as error:
        raise CommandFailed(
            str(error), "make a copy that can be looked at: `chargehand backup FILE`, then check FILE"
        ) from error
    except OSError as error:
        raise CommandFailed(
            f"{folder} cannot be held: {error.strerror}", "run it as the user that the server runs as"
        ) from error


def show_report(report: Mapping[str, Any]) -> None:
    """Print it."""
    counts = [
        *report["rows"].items(),
        *((f"of the transactions: {name}", n) for name, n in report["transactions"].items()),
    ]
    show_table(
        ("what", "how many"), [(name.replace("_", " "), count) for name, count in counts], "nothing is kept"
    )
    for fault in report["faults"]:
        show(plain(fault, "red"))
    show_facts([(report["file"], "something is wrong" if report["faults"] else "all is well")])


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@asks_server
def backup(api: Api, *, file: str, force: bool) -> None:
    """Have a running server copy its store to FILE, which is readable by its owner alone; the server goes on.

    FILE appears only when it is complete. `chargehand check-store FILE` checks it.
    """
    click.echo(f"{file}: {fetch(api, file, force=force)} bytes")


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what is too old, and change nothing.")
@JSON
@asks_server
def prune_store(api: Api, *, dry_run: bool, json: bool) -> None:
    """Have a running server export and delete the records that are older than the days of `retention`.

    It does so by itself once an hour; this waits until a pass is done.
    """
    if dry_run:
        told = api.get("store")
        (echo_json if json else show_kept)(told)
        return
    reply = api.ask("POST", "store", "prune", timeout_s=COPY_S)
    if reply.status != OK:
        raise refused(reply.status, reply.json)
    (echo_json if json else show_pass)(reply.json)


@click.command()
@JSON
@asks_server
def show_store(api: Api, *, json: bool) -> None:
    """Show how large the store of a running server is, by kind of record, how it grows, and when the disk is full."""
    size = api.get("store")["size"]
    (echo_json if json else show_size)(size)


def show_size(size: Mapping[str, Any] | None) -> None:
    """Print the size of a store."""
    if size is None:
        show_facts([("size", "not measured yet, or in memory")])
        return
    rows = [
        (one["kind"].replace("_", " "), f"{one['bytes'] / MIB:,.1f}", one["rows"]) for one in size["kinds"]
    ]
    show_table(("kind", "MiB", "about how many"), rows, "the database does not tell the sizes of its tables")
    growth, room = size["growth_bytes_per_day"], size["room_bytes"]
    show_facts(
        [
            ("measured", when(size["measured_at"])),
            (
                "records",
                f"{size['bytes'] / MIB:,.1f} MiB, and {size['unused_bytes'] / MIB:,.1f} MiB of the file are free",
            ),
            ("growth", "not known yet" if growth is None else f"{growth / MIB:,.1f} MiB a day"),
            ("room", UNKNOWN_DISK if room is None else f"{room / MIB:,.1f} MiB"),
            ("full", _full(growth, size["full_in_days"])),
        ]
    )


UNKNOWN_DISK = "not known: the disk of the database is told by resources.database_folder"


def _full(growth: int | None, days: float | None) -> str:
    if days is not None:
        return f"in {days:,.0f} days"
    return "not known" if growth is None or growth > 0 else "not at this growth"


def show_kept(told: Mapping[str, Any]) -> None:
    """Print how long records are kept, and about how many are older."""
    rows = [(one["kind"], f"{one['days']:g}", when(one["before"]), one["due"]) for one in told["kinds"]]
    show_table(("kind", "days", "older than", "about"), rows, "all records are kept for ever (retention)")
    show_facts([("exports", told["folder"])])


def show_pass(told: Mapping[str, Any]) -> None:
    """Print how many records of each kind are deleted now."""
    show_table(("kind", "exported and deleted"), sorted(told["deleted"].items()), "nothing was too old")


@click.command()
@click.argument("file", required=False, type=click.Path())
@DATA
@CONFIG
@JSON
def check_store(file: str | None, *, data: str | None, config: str | None, json: bool) -> None:
    """Check FILE, a backup, or without FILE the store of a data folder that no server uses.

    The exit status is 0 if all is well, 1 if something is wrong, and 2 if there is no such file.
    """
    report = look(file, data=data, config=config)
    (echo_json if json else show_report)(report)
    if report["faults"]:
        sys.exit(FAILED)
