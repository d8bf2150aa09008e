"""`chargehand check-store`: whether all is well with a store that no server uses, or with a backup of one."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..store.factory import SQLITE_FILE
from ..store.inspection import Inspection
from ..store.store import StoreError
from .configuration import read_settings
from .data_folder import LOCK_FILE, DataFolder, FolderInUse
from .failures import CommandFailed, CommandMisused
from .tables import plain, show, show_facts, show_table

if TYPE_CHECKING:
    from collections.abc import Mapping


def look(file: str | None, *, data: str | None, config: str | None) -> dict[str, Any]:
    """Look at a file, or at that of a data folder; what there is and what is wrong with it. Raises `CommandFailed`."""
    if file is not None and data is not None:
        raise CommandMisused("FILE and --data are one too many")
    path = Path(file) if file is not None else Path(read_settings(config, {"data": data}).data) / SQLITE_FILE
    if not path.is_file():
        raise CommandMisused(f"there is no file {path}")
    with ExitStack() as held:
        if (path.parent / LOCK_FILE).exists() and path.name == SQLITE_FILE:
            _hold(held, path.parent)
        try:
            found = Inspection(str(path))
        except StoreError as error:
            raise CommandFailed(str(error)) from error
    return {
        "file": str(path),
        "rows": found.rows,
        "transactions": {"open": found.open, "flagged": found.flagged, "orphans": found.orphans},
        "faults": found.faults,
    }


def _hold(held: ExitStack, folder: Path) -> None:
    """Keep servers out of a folder for as long as it is looked at."""
    try:
        held.enter_context(DataFolder(str(folder)))
    except FolderInUse as error:
        raise CommandFailed(f"{error}; `chargehand backup` makes a copy that can be looked at") from error
    except OSError as error:
        raise CommandFailed(f"{folder} cannot be held: {error.strerror}") from error


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
