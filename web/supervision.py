"""Supervision, crashes, counters, plugins and nodes."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import gevent
from msgspec import UNSET, UnsetType

from .. import __version__
from .operations import NO_WORKER, WORKER, flag, listing, operation
from .requests import Problem, Query
from .resources import Resource, answer
from .siblings import OK, is_inner, only_worker, problem_of, replies_to, views_of_node
from .views import View, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import falcon

    from ..remote.cluster.cluster import Cluster
    from ..system.central_system import CentralSystem
    from .requests import Stop

logger = logging.getLogger(__name__)

ASK_NODES_S = 2.0
"""Seconds that the other nodes have to tell their version."""


class Node(View):
    """Child in the tree of supervision with the tree below it, or the tree of a worker process."""

    id: str
    state: str | UnsetType = UNSET
    restart: str | UnsetType = UNSET
    restarts: int | UnsetType = UNSET
    inbox: int | UnsetType = UNSET
    last_crash: str | UnsetType | None = UNSET
    strategy: str | UnsetType = UNSET
    children: list[Node] | UnsetType = UNSET


class SupervisionView(View):
    """Tree of supervision; `workers` are the processes that serve the same ports, if there are several."""

    id: str | UnsetType = UNSET
    strategy: str | UnsetType = UNSET
    children: list[Node] | UnsetType = UNSET
    workers: list[dict[str, Any]] | UnsetType = UNSET


class CrashView(View):
    """Crash of a session; `rows` are those of its flight recorder."""

    charge_point: str
    time: dt.datetime | None
    error: str
    traceback: str
    rows: list[dict[str, Any]] | UnsetType = UNSET
    worker: int | UnsetType = UNSET


class Breaker(View):
    """Pair whose circuit breaker is open."""

    charge_point: str
    action: str


class PluginView(View):
    """State of a plugin. `spool` is the number of messages that wait for it; null if that cannot be read."""

    name: str
    state: str
    restart: str
    restarts: int
    inbox: int
    last_crash: str
    quarantined: bool
    shadow: bool
    open_breakers: list[Breaker]
    spool: int | UnsetType | None = UNSET
    worker: int | UnsetType = UNSET


class ProcessView(View):
    """Process of the cluster: its lease, and what it holds."""

    node: str
    version: str
    lease: bool
    forwarded_commands: int
    hosted_commands: int
    claimed: int
    worker: int | UnsetType = UNSET


class MemberView(View):
    """Member of the cluster, as it tells; null: it did not answer, or it is of a version that does not tell."""

    node: str
    version: str | None
    lease: bool | None
    claimed: int | None


class ClusterView(ProcessView):
    """Processes that share the charge points; `charge_points` is the node of each, if it was asked for."""

    nodes: list[str] | UnsetType = UNSET
    members: list[MemberView] | UnsetType = UNSET
    processes: list[ProcessView] | UnsetType = UNSET
    charge_points: dict[str, str] | UnsetType = UNSET


def plugin(row: Mapping[str, Any]) -> dict[str, Any]:
    """Show the state of a plugin; `open_breakers` are the pairs whose circuit breaker is open."""
    rest = {key: value for key, value in row.items() if key not in {"id", "open_breakers"}}
    pairs = [
        {"charge_point": charge_point, "action": action} for charge_point, action in row["open_breakers"]
    ]
    return {"name": row["id"], **rest, "open_breakers": pairs}


def crash(report: Mapping[str, Any], *, rows: bool) -> dict[str, Any]:
    """Show a crash report, with or without the rows of its flight recorder."""
    view = {**report, "time": moment(report["time"])}
    if not rows:
        del view["rows"]
    return view


class Supervision(Resource):
    """`/api/v1/supervision`."""

    @operation("getSupervision", "operation", query=(WORKER,), answer=SupervisionView, problems=NO_WORKER)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show the tree with state, restarts, inbox depth and last crash, of all worker processes.

        Each of them is a branch then, and in `workers`; with `worker` the tree of that one is shown.
        """
        only = only_worker(Query(request, "worker"))
        trees = views_of_node(self._system, request, response, self._system.describe)
        workers = self._system.workers()
        if not workers or is_inner(request):
            answer(response, trees[0])
        elif only:
            answer(response, trees.get(only, {}) | {"workers": workers})
        else:
            children = [trees.get(view["worker"], {}) | _branch(view) for view in workers]
            answer(response, {"id": "node", "children": children, "workers": workers})


def _branch(view: Mapping[str, Any]) -> dict[str, Any]:
    """Show a worker process as the root of its tree."""
    return {
        "id": f"worker {view['worker']}",
        "state": view["state"],
        "restarts": view["restarts"],
        "last_crash": view["last_exit"],
    }


class Crashes(Resource):
    """`/api/v1/crashes`."""

    @operation(
        "listCrashes",
        "operation",
        query=(flag("rows", "The rows of their flight recorders, too"), WORKER),
        answer=listing("crashes", CrashView),
        problems=NO_WORKER,
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the last crashes of sessions, the newest first; with `rows` the rows of their flight recorders.

        Those of all worker processes, each with the number of its `worker`; or of one.
        """
        query = Query(request, "rows", "worker")
        rows, _ = query.flag("rows", default=False), only_worker(query)

        def here() -> dict[str, Any]:
            reports = reversed(self._system.crash_reports())
            return {"crashes": [crash(report, rows=rows) for report in reports]}

        views = views_of_node(self._system, request, response, here)
        answer(response, {"crashes": newest_first(of_workers(views, "crashes"), "time")})


class CountersResource(Resource):
    """`/api/v1/counters`."""

    @operation("getCounters", "operation", query=(WORKER,), answer=dict[str, Any], problems=NO_WORKER)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer with the sums of all counters of the worker processes; or with those of one, `worker`."""
        only_worker(Query(request, "worker"))
        sums: Counter[str] = Counter()
        for counts in views_of_node(
            self._system, request, response, lambda: self._system.counters.counts
        ).values():
            sums.update(counts)
        answer(response, sums)


def of_workers(views: Mapping[int, Any], member: str) -> list[dict[str, Any]]:
    """Join the rows of several worker processes; each row has the number of its `worker` then."""
    return [
        row | {"worker": number} if number else row for number, view in views.items() for row in view[member]
    ]


def newest_first(rows: Iterable[dict[str, Any]], member: str) -> list[dict[str, Any]]:
    """Sort rows by a time."""
    return sorted(rows, key=lambda row: str(row[member]), reverse=True)


NOT_FOUND = 404
RELEASE_S = 9.0
"""Seconds that are waited for the start of a released plugin; the system itself waits a little longer."""


class Plugins(Resource):
    """`/api/v1/plugins`; with `/{name}/release` and `/{name}/promote` actions on one plugin."""

    def __init__(self, system: CentralSystem, stop: Stop) -> None:
        super().__init__(system)
        self._stop = stop

    @operation(
        "listPlugins",
        "operation",
        query=(WORKER,),
        answer=listing("plugins", PluginView),
        problems=NO_WORKER,
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the plugins in the order of their start, with the number of messages that wait for each.

        Those of all worker processes, each with the number of its `worker`; or of one. What waits is counted for all.
        """
        only_worker(Query(request, "worker"))
        waiting = None if is_inner(request) else self._waiting()
        views = views_of_node(self._system, request, response, lambda: {"plugins": self._all()})
        answer(
            response,
            {
                "plugins": [
                    row | {"spool": None if waiting is None else waiting.get(row["name"], 0)}
                    for row in of_workers(views, "plugins")
                ]
            },
        )

    def _waiting(self) -> dict[str, int] | None:
        try:
            return self._system.spool_by_plugin()
        except Exception:
            logger.warning("the spool cannot be read", exc_info=True)
            return None  # it must not hide the rest

    @operation(
        "releasePlugin",
        "operation",
        answer=PluginView,
        problems={409: "It is in none", 503: "The central system stops", 504: "It takes long to start"},
    )
    def on_post_release(self, request: falcon.Request, response: falcon.Response, name: str) -> None:
        """Release a plugin from quarantine in all worker processes, and wait for its start."""
        Query(request)

        def release() -> None:
            slow = Problem(504, "Still starting", f"{name} has not started within {RELEASE_S:g} s")
            with self._stop.interrupts(), gevent.Timeout(RELEASE_S, slow):
                released = self._system.release(name)
            if not released:
                raise Problem(409, "Not in quarantine", f"{name} is not in quarantine")

        self._everywhere(request, response, name, release)

    @operation("promotePlugin", "operation", answer=PluginView, problems={409: "It is no shadow"})
    def on_post_promote(self, request: falcon.Request, response: falcon.Response, name: str) -> None:
        """Promote a shadow to answer from now on, in all worker processes."""
        Query(request)

        def promote() -> None:
            if not self._system.promote(name):
                raise Problem(409, "Not a shadow", f"{name} is not a shadow: it answers already")

        self._everywhere(request, response, name, promote)

    def _everywhere(
        self, request: falcon.Request, response: falcon.Response, name: str, act: Callable[[], None]
    ) -> None:
        """Act on a plugin in each worker process; one that did it is enough for a 200."""
        problems: list[Problem] = []
        rows: list[Any] = []
        try:
            self._find(name)
            act()
            rows.append(self._find(name))
        except Problem as problem:
            problems.append(problem)
        if not is_inner(request):
            for reply in replies_to(self._system, request, timeout_s=RELEASE_S + 1).values():
                if reply.status == OK:
                    rows.append(json.loads(reply.body))
                else:
                    problems.append(problem_of(reply))
        if not rows:
            # One that knows the plugin, and says why not, before one that does not run it.
            raise min(problems, key=lambda problem: problem.status_code == NOT_FOUND)
        answer(response, rows[0])

    def _find(self, name: str) -> dict[str, Any]:
        known = {row["name"]: row for row in self._all()}
        if name not in known:
            raise Problem(404, "Unknown plugin", f"there is no plugin {name}; there are: {', '.join(known)}")
        return known[name]

    def _all(self) -> list[dict[str, Any]]:
        return [plugin(row) for row in self._system.plugins()]


class Nodes(Resource):
    """`/api/v1/cluster`."""

    @operation(
        "getCluster",
        "operation",
        query=(flag("charge_points", "The node of each charge point, too"),),
        answer=ClusterView,
        problems={404: "This process is not part of a cluster"},
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Name this process, all of the cluster, and with `charge_points=1` who holds which charge point.

        `members` are all of the cluster, each with its version and lease; `processes` are those of this node, each
        with what it holds.
        """
        listed = Query(request, "charge_points").flag("charge_points", default=False)
        cluster = self._system.cluster
        if cluster is None:
            raise Problem(404, "No cluster", "this server is not part of a cluster")

        def here() -> dict[str, Any]:
            return {
                "node": cluster.node,
                "version": __version__,
                "lease": cluster.coordinator.held,
                "forwarded_commands": len(cluster.forwarded),
                "hosted_commands": len(cluster.hosted),
                "claimed": len(cluster.claims),
            }

        own = here()
        if is_inner(request):
            answer(response, own)
            return
        views = views_of_node(self._system, request, response, lambda: own)
        nodes = cluster.nodes()
        view = own | {
            "nodes": nodes,
            "members": _members(cluster, nodes, own),
            "processes": [one | {"worker": number} if number else one for number, one in views.items()],
        }
        if listed:
            view["charge_points"] = cluster.charge_points()
        answer(response, view)


def _members(cluster: Cluster, nodes: list[str], own: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Ask all nodes for their version and lease."""
    others = [node for node in nodes if node != cluster.node]
    replies = cluster.ask_all(others, "GET", "/api/v1/cluster", timeout_s=ASK_NODES_S)
    told = {node: json.loads(reply.body) for node, reply in replies.items() if reply.status == OK}
    told[cluster.node] = own
    keys = ("version", "lease", "claimed")
    return [{"node": node} | {key: told.get(node, {}).get(key) for key in keys} for node in nodes]
