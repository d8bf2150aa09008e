"""Security events over HTTP: those that charge points have sent, and those of the central system itself."""

from __future__ import annotations

import heapq
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ..store.events import OWN_SECURITY, SECURITY, event_of_record
from .requests import Query
from .resources import DEFAULT_LIMIT, MAX_LIMIT, Resource, answer, viewed
from .views import domain_event

if TYPE_CHECKING:
    import falcon

    from ..store.records import Event


class SecurityEventsResource(Resource):
    """`/api/v1/security-events`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List security events, the newest first, of all charge points or of one.

        With `own=1` only those of the central system, with `own=0` those of charge points; `more`: there are others.
        """
        query = Query(request, "charge_point", "own", "limit")
        limit = query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
        kinds = [SECURITY, OWN_SECURITY]
        if query.has("own"):
            kinds = [OWN_SECURITY if query.flag("own", default=True) else SECURITY]
        charge_point_id, store = query.text("charge_point"), self._system.store
        lists = (store.events(charge_point_id=charge_point_id, kind=kind, limit=limit + 1) for kind in kinds)
        found = list(heapq.merge(*lists, key=attrgetter("received_at"), reverse=True))
        shown: list[Any] = viewed(map(self._view, found[:limit]))
        answer(response, {"security_events": shown, "more": len(found) > limit})

    def _view(self, record: Event) -> dict[str, Any]:
        """Show an event as the stream of events does; the stored record has no id of one."""
        event = event_of_record(record, "")
        view = {} if event is None else domain_event(event, self._system.assessment.limits)
        view.pop("id", None)
        return view
