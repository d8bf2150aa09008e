"""Retention: records of an age are exported and deleted, in small steps, by one process at a time.

The one rule: no record is deleted that is not in a complete file on the disk, and no reading of a transaction whose
energy and costs are not stored. A pass goes through the kinds of records, and through each of them by days.
"""

from __future__ import annotations

import datetime as dt
import logging
from contextlib import closing
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import gevent

from ..config.errors import ChargehandError
from ..store.retention import HEADS, KINDS, READINGS, TRANSACTIONS, Aged
from ..store.search import utc_text
from .exports import ExportFolder, ExportReader, ExportsInUse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from ..config.upkeep import RetentionSettings
    from ..store.records import Transaction
    from ..store.retention import Place, RetentionTable
    from ..store.store import Store
    from .assessment import Assessment
    from .exports import ExportFile

logger = logging.getLogger(__name__)

ROWS_LEAST, ROWS_MOST = 25, 1000
"""Rows of one step."""
STEP_S = 0.02
"""Time of one step, to which the number of its rows is fitted: what a message may wait for."""
SHARE = 4
"""Part of the time, one of so many, that a pass takes of the store."""
PAUSE_S = 0.02
"""Shortest pause between two steps."""
SETTLED_AT_ONCE = 16
"""Transactions whose energy is derived between two pauses: each takes some milliseconds, in which others have turns."""
STORED_S = 60.0
"""Seconds for the deletion of the rows of one step to be durable."""

T = TypeVar("T")


class Pass(NamedTuple):
    """Result of one pass: when it ended, the number of deleted records by kind, and what kept it from going on."""

    ended_at: dt.datetime
    deleted: Mapping[str, int]
    fault: str = ""


class DiskLow(ChargehandError):
    """The disk has no room for an export."""


class Retention:
    """Retention of the records of a store. For one greenlet at a time; its methods switch greenlets.

    `deleted` counts records since the start, by kind; `last` is the last pass of this process.
    """

    def __init__(
        self,
        store: Store,
        settings: RetentionSettings,
        folder: str,
        assessment: Assessment,
        now: Callable[[], dt.datetime],
        *,
        disk_is_low: Callable[[], bool] = lambda: False,
        pause: Callable[[float], object] = gevent.sleep,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._settings = settings
        self.folder = ExportFolder(folder)
        self._assessment = assessment
        self._now = now
        self._disk_is_low = disk_is_low
        self._pause = pause
        self._clock = clock
        self._rows = ROWS_LEAST * 4
        self.deleted: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.last: Pass | None = None

    @property
    def days(self) -> Mapping[str, float]:
        """Days for which records of each kind are kept; kinds that are kept for ever are not in it."""
        given = self._settings
        days = {
            "readings": _shortest(given.readings_days, given.transactions_days),
            "status": given.status_days,
            "events": given.events_days,
            "audit": given.audit_days,
            "transactions": given.transactions_days,
        }
        return {kind: days[kind] for kind in KINDS if days[kind]}

    def before(self, kind: str) -> dt.datetime | None:
        """Return the time before which records of a kind are too old; None if they are kept for ever."""
        days = self.days.get(kind)
        return None if days is None else self._now() - dt.timedelta(days=days)

    def due(self) -> dict[str, int]:
        """Return about how many records of each kind are too old now. Raises `StoreError`."""
        table = self._store.retention
        found: dict[str, int] = {}
        if table is not None:
            for kind in self.days:
                names = () if kind in (READINGS, TRANSACTIONS) else table.event_kinds(kind)
                found[kind] = table.due(kind, utc_text(self.before(kind)) or "", names)
        return found

    def run(self) -> Pass:
        """Go through all kinds once. Raises `StoreError` and OSError; what was done until then stays done."""
        table = self._store.retention
        done: dict[str, int] = {}
        if table is None:
            return Pass(self._now(), done, "the store is memory")
        with self.folder.held():
            if not table.take():
                raise ExportsInUse("another node exports and deletes old records now")
            try:
                self.folder.clear()
                for path in self.folder.exported():
                    self._delete(table, path, done)
                for kind in self.days:
                    self._go_through(table, kind, done)
            finally:
                table.release()
        self.last = Pass(self._now(), done)
        return self.last

    # -- A kind, by days ---------------------------------------------------------------------------

    def _go_through(self, table: RetentionTable, kind: str, done: dict[str, int]) -> None:
        limit = utc_text(self.before(kind)) or ""
        names = () if kind in (READINGS, TRANSACTIONS) else table.event_kinds(kind)
        after: Place | None = table.first(kind)
        while after is not None:
            if self._disk_is_low():
                raise DiskLow("the disk is nearly full (resources.disk_free_bytes): nothing is exported")
            after = self._export_day(table, kind, limit, after, names, done)

    def _export_day(
        self,
        table: RetentionTable,
        kind: str,
        limit: str,
        after: Place,
        names: Sequence[str],
        done: dict[str, int],
    ) -> Place | None:
        """Export and delete the records of the first day behind a place; return where to go on, None at the end."""
        day = _Day(self.folder, table, kind)
        with closing(day):
            while True:
                rows = self._some_aged(table, kind, limit, after, names)
                old = [one for one in rows if one.at < limit]
                if not old:
                    following = day.following
                    break
                day.take([one for one in old if one.free])
                after = table.place_of(kind, rows[-1])
                if day.name and all(one.at[:10] != day.name for one in rows):
                    following = day.following or after
                    break
            path = day.finish()
        if path is not None:
            self._delete(table, path, done)
        return following

    def _some_aged(
        self, table: RetentionTable, kind: str, limit: str, after: Place, names: Sequence[str]
    ) -> Sequence[Aged]:
        rows = self._step(lambda size: table.aged(kind, limit, after, size, names))
        if kind != TRANSACTIONS:
            return rows
        # A transaction is exported with its energy.
        free = [one.number for one in rows if one.free and one.at < limit]
        if not self._settle(table, free):
            return rows
        return table.aged(kind, limit, after, len(rows), names)

    # -- Deletion ----------------------------------------------------------------------------------

    def _delete(self, table: RetentionTable, path: Path, done: dict[str, int]) -> None:
        """Delete the records that stand in an exported file, as far as they are there."""
        kind, day = path.name.split("-", 1)
        number = 0
        with closing(ExportReader(path)) as reader:
            while rows := reader.read(self._rows):
                if kind in (READINGS, TRANSACTIONS):
                    self._settle(table, _numbers(rows))
                self._step(partial(self._drop, table, kind, rows))
                number += len(rows)
        exported = self.folder.deleted(path)
        done[kind] = done.get(kind, 0) + number
        self.deleted[kind] += number
        logger.info("retention: %d %s of %s are in %s and deleted", number, kind, day[:10], exported)

    def _drop(self, table: RetentionTable, kind: str, rows: Sequence[Sequence[str]], _size: int) -> None:
        if kind == READINGS:
            table.freeze(_numbers(rows))
        table.drop(kind, [(int(one[0]), one[1]) for one in rows]).wait(STORED_S)

    def _settle(self, table: RetentionTable, numbers: Collection[int]) -> bool:
        """Derive and store energy and costs of those of these transactions that lack them; return whether any did."""
        changed = False
        found = table.not_frozen(sorted(set(numbers)))
        for first in range(0, len(found), SETTLED_AT_ONCE):
            begun = self._clock()
            if self._settle_some(found[first : first + SETTLED_AT_ONCE]):
                # Only a third of it was the store's time: most is arithmetic, between whose parts others have turns.
                self._pause(max(PAUSE_S, self._clock() - begun))
                changed = True
        return changed

    def _settle_some(self, transactions: Sequence[Transaction]) -> bool:
        assessed = self._assessment.assessed_all(transactions)
        priced = [self._assessment.priced(one) for one in assessed]
        costly = [one for one, before in zip(priced, assessed, strict=True) if one.costs != before.costs]
        receipts = [self._store.price_transaction(one.id, one.costs, correction=False) for one in costly]
        for receipt in receipts:
            receipt.wait(STORED_S)
        return any(one is not before for one, before in zip(priced, transactions, strict=True))

    # -- Steps -------------------------------------------------------------------------------------

    def _step(self, work: Callable[[int], T]) -> T:
        """Do a step of so many rows, and pause; the next one has more or fewer rows by the time that it took."""
        begun = self._clock()
        result = work(self._rows)
        took_s = self._clock() - begun
        if took_s > STEP_S:
            self._rows = max(ROWS_LEAST, self._rows // 2)
        elif took_s < STEP_S / 3:
            self._rows = min(ROWS_MOST, self._rows * 2)
        self._pause(max(PAUSE_S, took_s * (SHARE - 1)))
        return result


class _Day:
    """Export of one day: that of the first record which it is given. `following` is where other days begin."""

    def __init__(self, folder: ExportFolder, table: RetentionTable, kind: str) -> None:
        self._folder = folder
        self._table = table
        self._kind = kind
        self._file: ExportFile | None = None
        self.name = ""
        self.following: Place | None = None

    def take(self, records: Sequence[Aged]) -> None:
        """Write those of the records that are of the day; switches greenlets."""
        mine = []
        for one in records:
            self.name = self.name or one.at[:10]
            if one.at[:10] == self.name:
                mine.append((one.number, one.at, one.transaction_id, *one.values))
            elif self.following is None:
                self.following = self._table.place_of(self._kind, one, before=True)
        if mine:
            if self._file is None:
                self._file = self._folder.new(self._kind, self.name, HEADS[self._kind])
            self._file.write(mine)

    def finish(self) -> Path | None:
        """Put the file on the disk; None if there is no record of the day. Switches greenlets."""
        if self._file is None:
            return None
        path = self._file.finish()
        self._file = None
        return path

    def close(self) -> None:
        """Remove the file, if it is not finished."""
        if self._file is not None:
            self._file.give_up()


def _numbers(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the numbers of the transactions that could be, in exported rows."""
    return sorted({int(one[2]) for one in rows if one[2].isdigit() and len(one[2]) <= 10})


def _shortest(*days: float) -> float:
    """Return the shortest time of those that set a limit; 0 if none does."""
    return min((one for one in days if one), default=0.0)
