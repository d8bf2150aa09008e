"""What can only be looked at: health, charge points, transactions, spool, supervision, crashes, counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import falcon
import gevent

from .pictures import JSON, LINES_OF_JSON, crash, encode, facts, spooled, summary, transaction
from .problems import Problem
from .queries import Query

if TYPE_CHECKING:
    from ..system import CentralSystem

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
AT_A_TIME = 500
"""Charge points pictured before other greenlets have their turn."""


class Resource:
    """What all of them have."""

    def __init__(self, system: CentralSystem) -> None:
        self._system = system


def answer(response: falcon.Response, picture: Any) -> None:
    """Answer 200 with a picture."""
    response.data = encode(picture)
    response.content_type = JSON


class Health(Resource):
    """`/healthz`: open to all, so it names no charge point."""

    def on_get(self, _: falcon.Request, response: falcon.Response) -> None:
        """200 for as long as it is answered at all; `degraded` when plugins are quarantined; and which `worker`."""
        quarantined = [row["plugin"] for row in self._system.quarantined()]
        picture: dict[str, Any] = {
            "status": "degraded" if quarantined else "ok",
            "connected": sum(known.online for known in self._system.charge_points()),
        }
        if quarantined:
            picture["quarantined_plugins"] = quarantined
        if self._system.worker is not None:
            picture["worker"] = self._system.worker.number
        answer(response, picture)

    on_head = on_get


class ChargePoints(Resource):
    """`/api/v1/charge-points`, with `/{id}` one of them, with `/{id}/record` its flight recorder."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """All that this process knows, connected or not."""
        Query(request)
        listed = []
        for number, known in enumerate(self._system.charge_points(), 1):
            listed.append(summary(known))
            if number % AT_A_TIME == 0:
                gevent.sleep(0)
        answer(response, {"charge_points": listed})

    def on_get_one(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """The facts of one."""
        Query(request)
        known = self._system.charge_point(charge_point)
        if known is None:
            raise Problem(404, "Unknown charge point", f"{charge_point} is not known here")
        answer(response, facts(known, self._system.open_tickets(charge_point)))

    def on_get_record(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """The last frames and events of one, redacted: lines of JSON, as `chargehand replay` reads them."""
        Query(request)
        record = self._system.record(charge_point)
        if record is None:
            raise Problem(404, "Unknown charge point", f"{charge_point} is not known here")
        response.data = record.encode()
        response.content_type = LINES_OF_JSON


class Transactions(Resource):
    """`/api/v1/transactions`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """The newest first, narrowed by `charge_point`, `id_tag` and `open`."""
        query = Query(request, "charge_point", "id_tag", "open", "limit")
        limit = query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
        found = self._system.store.transactions(
            charge_point_id=query.text("charge_point"),
            id_tag=query.text("id_tag"),
            open_only=query.flag("open", default=False),
            limit=limit,
        )
        answer(response, {"transactions": [transaction(record) for record in found]})


class Spool(Resource):
    """`/api/v1/spool`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """The messages that wait for their plugin, and those that are not replayed any more; the oldest first."""
        limit = Query(request, "limit").whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
        store = self._system.store
        waiting, aside = store.spooled(limit=limit), store.aside(limit=limit)
        answer(
            response,
            {
                "waiting": [spooled(record) for record in waiting],
                "set_aside": [spooled(record) for record in aside],
            },
        )


class Supervision(Resource):
    """`/api/v1/supervision`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """The tree: state, restarts, inbox depth and last crash of everything; `workers`, if there are several."""
        Query(request)
        picture, workers = self._system.describe(), self._system.workers()
        answer(response, picture | {"workers": workers} if workers else picture)


class Crashes(Resource):
    """`/api/v1/crashes`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """The last crashes of sessions, the newest first; with `rows` what their flight recorders had."""
        rows = Query(request, "rows").flag("rows", default=False)
        reports = reversed(self._system.crash_reports())
        answer(response, {"crashes": [crash(report, rows=rows) for report in reports]})


class Counters(Resource):
    """`/api/v1/counters`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """How often what happened."""
        Query(request)
        answer(response, self._system.counters.counts)
