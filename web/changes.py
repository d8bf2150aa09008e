"""Changes that were made over HTTP, out of the log of durable events: who, what, from where, and the outcome."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from ..protocol.events import HttpChangeMade
from ..store.store import StoreError
from .operations import limit, operation, page
from .requests import Problem, Query
from .resources import ADMIN, Resource, answer
from .views import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    import falcon

    from ..store.event_log import Origin

LOOKED_AT = 20_000
"""Events that are looked through, from the end of the log."""
READ_AT_ONCE = 1000


class ChangeView(View):
    """Change that was asked for, with the status of the answer."""

    at: dt.datetime
    token: str
    method: str
    path: str
    address: str
    status: int


class Changes(Resource):
    """`/api/v1/changes`."""

    reads = ADMIN

    @operation("listChanges", "system", query=(limit(),), answer=page("changes", ChangeView))
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the last changes over HTTP, of all processes that share the store, the newest first.

        They go back as far as events are kept (`events.keep_days`, `events.keep_number`); `log.audit_file` has all.
        """
        most = Query(request, "limit").whole("limit", default=100, most=1000)
        found: list[HttpChangeMade] = []
        try:
            for change in self._newest():
                found.append(change)
                if len(found) > most:
                    break
        except (StoreError, TimeoutError) as error:
            raise Problem(503, "Store not available", str(error)) from error
        found.sort(key=lambda change: change.at, reverse=True)
        views = [
            ChangeView(
                at=one.at,
                token=one.token,
                method=one.method,
                path=one.path,
                address=one.address,
                status=one.status,
            )
            for one in found[:most]
        ]
        answer(response, {"changes": views, "more": len(found) > most, "next": None})

    def _newest(self) -> Iterator[HttpChangeMade]:
        """Yield changes, roughly the newest first: the last life of a process first, from its end on."""
        left = LOOKED_AT
        for origin in reversed(self._system.store.event_log.origins()):
            end = origin.last
            while end > origin.pruned_to and left > 0:
                begin = max(origin.pruned_to, end - READ_AT_ONCE)
                yield from self._read(origin, begin, end)
                left -= end - begin
                end = begin

    def _read(self, origin: Origin, after: int, last: int) -> list[HttpChangeMade]:
        found: list[HttpChangeMade] = []
        for logged in self._system.store.event_log.read(origin.number, after, last - after):
            if logged.kind == HttpChangeMade.__name__ and logged.number <= last:
                event = logged.event(origin.name)
                if isinstance(event, HttpChangeMade):
                    found.append(event)
        return found[::-1]
