"""Security events over HTTP: those that charge points have sent, and those of the central system itself."""

from __future__ import annotations

import heapq
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ..store.events import OWN_SECURITY, SECURITY, event_of_record
from .event_views import domain_event
from .operations import BEFORE, CHARGE_POINT, NOTHING, flag, limit, operation, page
from .requests import Query
from .resources import Resource, answer, paged_by_time, viewed

if TYPE_CHECKING:
    import datetime as dt

    import falcon

    from ..store.records import Event


class SecurityEventsResource(Resource):
    """`/api/v1/security-events`."""

    @operation(
        "listSecurityEvents",
        "events",
        query=(
            CHARGE_POINT,
            flag("own", "Only those of the central system, or only those of charge points", default=NOTHING),
            BEFORE,
            limit(),
        ),
        answer=page("security_events", dict[str, Any]),
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List security events of charge points and of the central system, the newest first."""
        query = Query(request, "charge_point", "own", "before", "limit")
        kinds = [SECURITY, OWN_SECURITY]
        if query.has("own"):
            kinds = [OWN_SECURITY if query.flag("own", default=True) else SECURITY]
        charge_point_id, store = query.text("charge_point"), self._system.store

        def read(until: dt.datetime | None, skip: int, most: int) -> list[Event]:
            lists = (
                store.events(charge_point_id=charge_point_id, kind=kind, until=until, limit=skip + most)
                for kind in kinds
            )
            return list(heapq.merge(*lists, key=attrgetter("received_at"), reverse=True))[skip : skip + most]

        found, paging = paged_by_time(read, query, attrgetter("received_at"))
        answer(response, {"security_events": viewed(map(self._view, found)), **paging})

    def _view(self, record: Event) -> dict[str, Any]:
        """Show an event as the stream of events does; the stored record has no id of one."""
        event = event_of_record(record, "")
        view = {} if event is None else domain_event(event, self._system.assessment.limits)
        view.pop("id", None)
        return view
