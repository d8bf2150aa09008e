"""Calls by their tickets: how they stand, and that one be not sent after all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import falcon
import gevent

from ..actors.session.tickets import TicketState
from .problems import CLOSE, Problem
from .queries import Query
from .resources import DEFAULT_LIMIT, MAX_LIMIT, Resource, answer, viewed
from .stopping import Stopping
from .views import outcome, ticket_facts

if TYPE_CHECKING:
    from ..actors.session.tickets import Ticket
    from ..system.central_system import CentralSystem
    from .stopping import Stop

CANCEL_S = 5.0
"""Seconds that the session has to hear of it; one that waits for its restart may need longer."""
POLL_S = 0.01
WAITING = frozenset({TicketState.HELD, TicketState.QUEUED})


class Tickets(Resource):
    """`/api/v1/tickets`, with `/{id}` one of them."""

    def __init__(self, system: CentralSystem, stop: Stop) -> None:
        super().__init__(system)
        self._stop = stop

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """The open ones and those that ended last, the newest first; `more` says that there are others."""
        query = Query(request, "charge_point", "open", "limit")
        limit = query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
        found = self._system.tickets(query.text("charge_point"), open_only=query.flag("open", default=False))
        listed = viewed(ticket_facts(ticket) for ticket in found[:limit])
        answer(response, {"tickets": listed, "more": len(found) > limit})

    def on_get_one(self, request: falcon.Request, response: falcon.Response, ticket: str) -> None:
        """How one call stands."""
        Query(request)
        answer(response, ticket_facts(self._find(ticket)))

    def on_delete_one(self, request: falcon.Request, response: falcon.Response, ticket: str) -> None:
        """Cancel a call that is not on the wire yet. 202: its session waits for a restart, and will hear of it then."""
        Query(request)
        found = self._find(ticket)
        waited = found.state in WAITING
        found.cancel()
        self._wait(found)
        if not waited or found.state not in {TicketState.CANCELLED, *WAITING}:
            what = "it is on the wire" if found.open else f"it has ended: {found.state}"
            raise Problem(409, "Not cancelled", what, **outcome(found))
        response.status = falcon.HTTP_202 if found.open else falcon.HTTP_200
        answer(response, ticket_facts(found))

    def _wait(self, ticket: Ticket[Any]) -> None:
        """Until it does not wait any more. Its end is not waited for: if it has just been sent, that may take long."""
        ends_at = time.monotonic() + CANCEL_S
        try:
            with self._stop.interrupts():
                while ticket.state in WAITING and time.monotonic() < ends_at:
                    gevent.sleep(POLL_S)
        except Stopping:
            raise Problem(503, "Stopping", "the central system stops", headers=CLOSE) from None

    def _find(self, ticket: str) -> Ticket[Any]:
        found = self._system.ticket(ticket)
        if found is None:
            raise Problem(404, "Unknown ticket", f"{ticket} is unknown, or ended long ago")
        return found
