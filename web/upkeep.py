"""The store as operators see it: how long its records are kept, and a pass of retention at once."""

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


class StoreView(View):
    """Retention of records: the kinds that are not kept for ever, and the last pass of the process that answers."""

    folder: str
    kinds: list[KeptKind]
    last: PassView | None


class StoreResource(Resource):
    """`/api/v1/store`; with `/prune` a pass of retention."""

    reads = ADMIN

    @operation("getStore", "operation", answer=StoreView, problems={503: "The store does not answer"})
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show how long records are kept, and about how many are older."""
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
        view = StoreView(folder=str(retention.folder.path), kinds=kinds, last=_view(retention.last))
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


def _view(done: Pass | None) -> PassView | None:
    return None if done is None else PassView(ended_at=done.ended_at, deleted=dict(done.deleted))
