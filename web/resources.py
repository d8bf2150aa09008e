"""What can only be looked at: health, supervision, crashes, counters; and what all resources have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent
import msgspec

from .queries import Query
from .views import JSON, crash, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    import falcon

    from ..system.central_system import CentralSystem

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
AT_A_TIME = 100
"""Records pictured before other greenlets have their turn: some 1 ms."""


class Resource:
    """What all of them have."""

    def __init__(self, system: CentralSystem) -> None:
        self._system = system


def answer(response: falcon.Response, picture: Any) -> None:
    """Answer 200 with a picture."""
    response.data = encode(picture)
    response.content_type = JSON


def viewed(pictures: Iterable[dict[str, Any]]) -> list[msgspec.Raw]:
    """Write pictures as JSON, however many; switches greenlets."""
    written = []
    for number, picture in enumerate(pictures, 1):
        written.append(msgspec.Raw(encode(picture)))
        if number % AT_A_TIME == 0:
            gevent.sleep(0)
    return written


class Health(Resource):
    """`/healthz`: open to all, so it names no charge point."""

    def on_get(self, _: falcon.Request, response: falcon.Response) -> None:
        """200 while it is answered at all; `degraded` with plugins in quarantine, or a lost lease."""
        quarantined = [row["plugin"] for row in self._system.quarantined()]
        picture: dict[str, Any] = {
            "status": "degraded" if quarantined else "ok",
            "connected": sum(known.online for known in self._system.charge_points()),
        }
        if quarantined:
            picture["quarantined_plugins"] = quarantined
        if self._system.worker is not None:
            picture["worker"] = self._system.worker.number
        cluster = self._system.cluster
        if cluster is not None:
            picture["cluster"] = {
                "lease": cluster.coordinator.held,
                "nodes": len(cluster.nodes()),
            }
            if not cluster.coordinator.held:  # it serves its charge points, and sends them no command
                picture["status"] = "degraded"
        answer(response, picture)

    on_head = on_get


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
