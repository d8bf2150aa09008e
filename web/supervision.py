"""Supervision, crashes, counters, plugins and nodes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import gevent

from .requests import Problem, Query
from .resources import Resource, answer
from .views import crash, plugin

if TYPE_CHECKING:
    import falcon

    from ..system.central_system import CentralSystem
    from .requests import Stop

logger = logging.getLogger(__name__)


class Supervision(Resource):
    """`/api/v1/supervision`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show the tree with state, restarts, inbox depth and last crash; `workers`, if there are several."""
        Query(request)
        view, workers = self._system.describe(), self._system.workers()
        answer(response, view | {"workers": workers} if workers else view)


class Crashes(Resource):
    """`/api/v1/crashes`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the last crashes of sessions, the newest first; with `rows` the rows of their flight recorders."""
        rows = Query(request, "rows").flag("rows", default=False)
        reports = reversed(self._system.crash_reports())
        answer(response, {"crashes": [crash(report, rows=rows) for report in reports]})


class CountersResource(Resource):
    """`/api/v1/counters`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer with all counters."""
        Query(request)
        answer(response, self._system.counters.counts)


RELEASE_S = 9.0
"""Seconds that are waited for the start of a released plugin; the system itself waits a little longer."""


class Plugins(Resource):
    """`/api/v1/plugins`; with `/{name}/release` and `/{name}/promote` actions on one plugin."""

    def __init__(self, system: CentralSystem, stop: Stop) -> None:
        super().__init__(system)
        self._stop = stop

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the plugins in the order of their start, with the number of messages that wait for each."""
        Query(request)
        waiting = self._waiting()
        rows = [
            row | {"spool": None if waiting is None else waiting.get(row["name"], 0)} for row in self._all()
        ]
        answer(response, {"plugins": rows})

    def _waiting(self) -> dict[str, int] | None:
        try:
            return self._system.spool_by_plugin()
        except Exception:
            logger.warning("the spool cannot be read", exc_info=True)
            return None  # it must not hide the rest

    def on_post_release(self, request: falcon.Request, response: falcon.Response, name: str) -> None:
        """Release a plugin from quarantine, and wait for its start."""
        Query(request)
        self._find(name)
        slow = Problem(504, "Still starting", f"{name} has not started within {RELEASE_S:g} s")
        with self._stop.interrupts(), gevent.Timeout(RELEASE_S, slow):
            released = self._system.release(name)
        if not released:
            raise Problem(409, "Not in quarantine", f"{name} is not in quarantine")
        answer(response, self._find(name))

    def on_post_promote(self, request: falcon.Request, response: falcon.Response, name: str) -> None:
        """Promote a shadow to answer from now on."""
        Query(request)
        self._find(name)
        if not self._system.promote(name):
            raise Problem(409, "Not a shadow", f"{name} is not a shadow: it answers already")
        answer(response, self._find(name))

    def _find(self, name: str) -> dict[str, Any]:
        known = {row["name"]: row for row in self._all()}
        if name not in known:
            raise Problem(404, "Unknown plugin", f"there is no plugin {name}; there are: {', '.join(known)}")
        return known[name]

    def _all(self) -> list[dict[str, Any]]:
        return [plugin(row) for row in self._system.plugins()]


class Nodes(Resource):
    """`/api/v1/cluster`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Name this node, the others, and with `charge_points=1` who holds which charge point."""
        listed = Query(request, "charge_points").flag("charge_points", default=False)
        cluster = self._system.cluster
        if cluster is None:
            raise Problem(404, "No cluster", "this server is not part of a cluster")
        view = {
            "node": cluster.node,
            "lease": cluster.coordinator.held,
            "nodes": cluster.nodes(),
            "forwarded_commands": len(cluster.forwarded),
            "hosted_commands": len(cluster.hosted),
            "claimed": len(cluster.claims),
        }
        if listed:
            view["charge_points"] = cluster.charge_points()
        answer(response, view)
