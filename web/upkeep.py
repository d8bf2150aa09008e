"""The store as operators see it: its size and growth, how long its records are kept, a pass of retention at once."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from ..store.store import StoreError
from ..system.exports import ExportsInUse
from ..system.retention import DiskLow
from .operations import operation
from .requests import Problem, Query
from .resources import ADMIN, Resource, answer
from .views import View

if TYPE_CHECKING:
    import falcon

    from ..system.retention import Pass
    from ..system.store_sizes import StoreSizes

NO_RETENTION = "the store is memory: what it holds ends with the process"
MANY_S = 3600.0
"""Seconds that a pass may take."""


class KeptKind(View):
    """Kind of records that is kept for some days: `due` is about how many are older now, and may go."""

    kind: str
    days: float
    before: dt.datetime
    due: int


class PassView(View):
    """Pass of retention: how many records of each kind were exported and deleted."""

    ended_at: dt.datetime
    deleted: dict[str, int]


class KindSize(View):
    """Bytes of all records of a kind, with their indexes, and about how many there are."""

    kind: str
    bytes: int
    rows: int


class SizeView(View):
    """Size of the store: bytes of all records, bytes of its file that come before it grows, and growth in a week.

    `room_bytes` is what it may still grow by; null if its disk is not known: that of PostgreSQL without the setting
    `resources.database_folder`. `full_in_days` is when the disk has no room for records at that growth; null if it does
    not grow, while there is one measurement, and without `room_bytes`. `kinds` is empty if the database does not tell.
    """

    measured_at: dt.datetime
    bytes: int
    unused_bytes: int
    kinds: list[KindSize]
    growth_bytes_per_day: int | None
    room_bytes: int | None
    full_in_days: float | None


class StoreView(View):
    """Size of the store, and retention of records: the kinds that are not kept for ever, and the last pass here.

    `size` is null until the store is measured first, seconds after its start, and for a store in memory.
    """

    size: SizeView | None

    folder: str
    kinds: list[KeptKind]
    last: PassView | None


class StoreResource(Resource):
    """`/api/v1/store`; with `/prune` a pass of retention."""

    reads = ADMIN

    @operation("getStore", "operation", answer=StoreView, problems={503: "The store does not answer"})
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show the size of the store, how long records are kept, and about how many are older."""
        Query(request)
        retention = self._system.upkeep.retention
        try:
            due = retention.due()
        except (StoreError, TimeoutError) as error:
            raise Problem(503, "Store not available", str(error)) from error
        kinds = [
            KeptKind(kind=kind, days=days, before=before, due=due.get(kind, 0))
            for kind, days in retention.days.items()
            if (before := retention.before(kind)) is not None
        ]
        view = StoreView(
            size=_size(self._system.store_sizes),
            folder=str(retention.folder.path),
            kinds=kinds,
            last=_view(retention.last),
        )
        answer(response, view)

    @operation(
        "pruneStore",
        "operation",
        answer=PassView,
        problems={
            409: "The store is memory, or another process does it now",
            503: "The store does not answer",
            507: "There is no room for the exports, or they could not be written",
        },
    )
    def on_post_prune(self, request: falcon.Request, response: falcon.Response) -> None:
        """Export and delete the records that are too old, now; the answer comes when that is done."""
        Query(request)
        if self._system.store.retention is None:
            raise Problem(409, "No retention", NO_RETENTION)
        try:
            done = self._system.upkeep.retention.run()
        except ExportsInUse as error:
            raise Problem(409, "Busy", str(error)) from error
        except (StoreError, TimeoutError) as error:
            raise Problem(503, "Store not available", str(error)) from error
        except (DiskLow, OSError) as error:
            raise Problem(507, "No export", str(error)) from error
        answer(response, _view(done))


def _size(sizes: StoreSizes) -> SizeView | None:
    last, growth, days = sizes.last, sizes.growth_bytes_per_day, sizes.full_in_days
    if last is None:
        return None
    return SizeView(
        measured_at=last.at,
        bytes=last.size_bytes,
        unused_bytes=last.unused_bytes,
        kinds=[
            KindSize(kind=kind, bytes=size, rows=last.rows.get(kind, 0))
            for kind, size in sorted(last.kinds.items(), key=lambda one: -one[1])
        ],
        growth_bytes_per_day=None if growth is None else round(growth),
        room_bytes=sizes.room_bytes,
        full_in_days=None if days is None else round(days, 1),
    )


def _view(done: Pass | None) -> PassView | None:
    return None if done is None else PassView(ended_at=done.ended_at, deleted=dict(done.deleted))
