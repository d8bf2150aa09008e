"""Size of a store, by kind of record, as its database says it.

SQLite's own table `dbstat` is read in a native thread on a connection of its own, which rests after every few hundred
pages; PostgreSQL knows the sizes of its files. How the bytes of stored events are divided among their kinds is
estimated from some of them, as the kinds share a table.
"""

from __future__ import annotations

import datetime as dt
import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from gevent import get_hub
from gevent.monkey import get_original  # reads what there was before; patches nothing

from .events import AUDIT
from .records import StoreSize
from .retention import AUDITED, EVENTS, READINGS, STATUS, STATUS_KINDS, TRANSACTIONS
from .store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SPOOL, DEAD_LETTERS, LOG, REPORTS, VARIABLES, OTHER = (
    "spool", "dead_letters", "event_log", "reports", "variables", "other",
)  # fmt: skip
TABLES = {
    "transactions": TRANSACTIONS,
    "readings": READINGS,
    "events": EVENTS,
    "spool": SPOOL,
    "event_dead_letters": DEAD_LETTERS,
    "event_log": LOG,
    "event_origins": LOG,
    "event_consumers": LOG,
    "report_parts": REPORTS,
    "variables": VARIABLES,
}
"""Kinds of records by table; all others are `OTHER`."""

SAMPLES = 100
"""Stored events whose kinds are looked at."""
LETTERS = 100_000
"""Messages of the spool that are looked at."""
STEPS, REST_S = 4000, 0.002
"""Steps of SQLite (about ten for a page) between two rests, and seconds of a rest."""

PICKED = (
    "SELECT * FROM (SELECT kind, length(data) AS size FROM events "
    "WHERE number >= ? ORDER BY number LIMIT 1) AS one{}"
)
ASIDE = f"SELECT count(*), sum(aside) FROM (SELECT aside FROM spool LIMIT {LETTERS}) AS messages"  # noqa: S608 - a constant

OBJECTS = (
    "SELECT name, CASE tbl_name WHEN 'sorted_readings' THEN 'readings' ELSE tbl_name END "
    "FROM sqlite_master WHERE rootpage > 0"
)
"""Query of tables and indexes, with the table of the records that they are for."""

rest: Callable[[float], None] = get_original("time", "sleep")
"""Sleeps a native thread, whether the host has patched `time` or not."""


def size_of(
    tables: Iterable[tuple[str, int, int]],
    ask: Callable[..., list[Any]],
    *,
    size_bytes: int | None = None,
    unused_bytes: int = 0,
    took_s: float = 0.0,
) -> StoreSize:
    """Make the size of a store from its tables with their rows and bytes.

    `ask(query, *values)` reads rows; `size_bytes` is the sum of the tables if that is not given.
    """
    rows: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for table, number, size in tables:
        kind = TABLES.get(table, OTHER)
        rows[kind] += number
        sizes[kind] += size
    if rows[EVENTS]:
        _divide(rows, sizes, EVENTS, _shares_of_events(ask))
    if rows[SPOOL]:
        ((number, aside),) = ask(ASIDE)
        if number:
            share = int(aside or 0) / int(number)
            _divide(rows, sizes, SPOOL, {SPOOL: (1 - share, 1 - share), DEAD_LETTERS: (share, share)})
    return StoreSize(
        at=dt.datetime.now(dt.UTC),
        size_bytes=sum(sizes.values()) if size_bytes is None else size_bytes,
        unused_bytes=unused_bytes,
        rows=dict(rows) if sizes else {},
        kinds=dict(sizes),
        took_s=round(took_s, 3),
    )


def _divide(
    rows: Counter[str], sizes: Counter[str], kind: str, shares: dict[str, tuple[float, float]]
) -> None:
    """Divide what a table has among kinds, by their shares of the rows and of the bytes."""
    number, size = rows.pop(kind), sizes.pop(kind)
    for part, (of_rows, of_bytes) in shares.items():
        rows[part] += round(number * of_rows)
        sizes[part] += round(size * of_bytes)


def _shares_of_events(ask: Callable[..., list[Any]]) -> dict[str, tuple[float, float]]:
    """Estimate the shares of the kinds of stored events, from some that chance picks."""
    ((first,),) = ask("SELECT min(number) FROM events")
    ((last,),) = ask("SELECT max(number) FROM events")
    if first is None or last is None:
        return {EVENTS: (1.0, 1.0)}
    span = last - first + 1
    # By chance: at even distances they could meet what comes at even distances, too.
    numbers = sorted({first + random.randrange(span) for _ in range(SAMPLES)})  # noqa: S311 - no secret
    found = ask(" UNION ALL ".join(PICKED.format(number) for number in range(len(numbers))), *numbers)
    counts: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    for name, length in found:
        kind = STATUS if name in STATUS_KINDS else AUDITED if name in AUDIT else EVENTS
        counts[kind] += 1
        lengths[kind] += int(length) + ROW_BYTES
    return {kind: (counts[kind] / len(found), lengths[kind] / lengths.total()) for kind in counts}


ROW_BYTES = 150
"""Bytes of a stored event beside its data: columns, and its entries in two indexes."""


class Measurement:
    """Measurement of one SQLite file in progress."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._interrupted = False

    def make(self) -> StoreSize:
        """Find out how large the file is; switches greenlets. Raises `StoreError`."""
        task: Any = get_hub().threadpool.spawn(self._run)
        waited = False
        try:
            found = task.get()
            waited = True
        finally:
            if not waited:
                self._interrupted = True
                task.wait()  # for a rest at most
        if isinstance(found, StoreError):
            raise found
        size: StoreSize = found
        return size

    # -- In the thread ---------------------------------------------------------------------------

    def _run(self) -> StoreSize | StoreError:
        address = f"{Path(self._path).absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
                connection.set_progress_handler(self._rest, STEPS)
                return self._measured(connection)
        except sqlite3.Error as error:
            return StoreError(f"the store was not measured: {error}")

    def _rest(self) -> bool:
        """Rest for a moment; return whether the query is to end."""
        rest(REST_S)
        return self._interrupted

    def _measured(self, connection: sqlite3.Connection) -> StoreSize:
        def ask(query: str, *values: Any) -> list[Any]:
            return connection.execute(query, values).fetchall()

        begun = monotonic()
        page_bytes, pages, unused = (
            ask(f"PRAGMA {name}")[0][0] for name in ("page_size", "page_count", "freelist_count")
        )
        try:
            tables = [
                (of, number if name == of else 0, size)
                for name, of in ask(OBJECTS)
                for size, number in ask(
                    "SELECT sum(pgsize), sum(CASE WHEN pagetype = 'leaf' THEN ncell ELSE 0 END) FROM dbstat "
                    "WHERE name = ?",
                    name,
                )
            ]
        except sqlite3.OperationalError as error:
            if "dbstat" not in str(error):
                raise
            tables = []  # this SQLite was compiled without it
        return size_of(
            tables,
            ask,
            size_bytes=page_bytes * (pages - unused),
            unused_bytes=page_bytes * unused,
            took_s=monotonic() - begun,
        )
