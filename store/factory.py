"""Factory of stores: memory, an SQLite file, a database of PostgreSQL, or the store of the parent process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .event_bounds import EventBounds
from .memory import MemoryStore
from .postgres import PostgresStore
from .records import Tag
from .sqlite import SqliteStore
from .worker_socket import WorkerStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.settings import Settings
    from ..config.worker_process import Worker
    from .store import Store
    from .writer import Threads

SQLITE_FILE = "chargehand.sqlite"
"""The store's file in the data folder."""


def tags_of(settings: Settings) -> list[Tag]:
    """Return the tags of the settings as records."""
    return [
        Tag(
            id_tag=id_tag,
            status=tag.status,
            expiry=tag.expiry,
            parent=tag.parent,
            id_type=tag.id_type,
            language=tag.language,
            message=tag.message,
        )
        for id_tag, tag in settings.back_office.tags.items()
    ]


def open_store(
    settings: Settings,
    threads: Threads,
    time_s: float,
    worker: Worker | None,
    count: Callable[[str, str], None] = lambda *_: None,
    origin: str = "",
) -> Store:
    """Open the store of these settings; switches greenlets.

    `time_s` is the wall clock's; `count(name, charge_point_id)` counts what is dropped;
    `origin` is the name of this process's life, that no other has.
    Raises `StoreError` with one clear sentence, or OSError for a folder that cannot be made.
    """
    tags = tags_of(settings) if worker is None or worker.first else []
    bounds = EventBounds(settings.events.per_charge_point, settings.events.size_bytes, count)
    if worker is not None and worker.store_path:
        file = str(Path(settings.data) / SQLITE_FILE)
        return WorkerStore.open(
            worker.store_path, threads, tags=tags, bounds=bounds, origin=origin, file=file
        )
    if settings.store == "sqlite":
        folder = Path(settings.data)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SqliteStore.open(str(folder / SQLITE_FILE), threads, tags=tags, bounds=bounds, origin=origin)
    if settings.store != "memory":
        return PostgresStore.open(settings.store, threads, tags=tags, bounds=bounds, origin=origin)
    # From the clock: a charge point may still be charging under a number of the process before this one.
    return MemoryStore(tags=tags, bounds=bounds, origin=origin, first_transaction_id=int(time_s) % 2**31 or 1)
