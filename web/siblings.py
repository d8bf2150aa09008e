"""Siblings: the other worker processes of this node, which are asked for what only they know.

Nodes of a cluster that share Redis are no siblings, unless they have the same parent process.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from .requests import Problem, Query, body_of
from .resources import INNER
from .views import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon

    from ..remote.cluster.messages import Reply
    from ..system.central_system import CentralSystem

PROBE_S = 1.0
"""Seconds that a worker process has to answer another one that is asked for health or metrics."""
SIBLING_S = 5.0
"""Seconds that it has for anything else."""
MOST_WORKERS = 10_000
OK = 200
SILENT = "Silent-Workers"
"""Header that names the worker processes whose part of an answer is missing, as they did not answer in time."""


def only_worker(query: Query) -> int:
    """Read the number of the worker process that a request is about; 0 for all. Raises `Problem` 400."""
    return query.whole("worker", default=0, least=0, most=MOST_WORKERS)


def is_inner(request: falcon.Request) -> bool:
    """Return whether a request comes from another process, which wants what this one knows by itself."""
    return bool(request.env.get(INNER))


def views_of_node(
    system: CentralSystem, request: falcon.Request, response: falcon.Response, here: Callable[[], Any]
) -> dict[int, Any]:
    """Return the view of each worker process of this node by its number, this one's (`here`) among them.

    `worker` in the query chooses one. A single process has the number 0, and so has the only view for a request of
    another process. Names in a header those that did not answer. Raises `Problem` 404 for a worker that there is not.
    """
    worker = system.worker
    if worker is None or is_inner(request):
        return {0: here()}
    only = only_worker(Query(request, *request.params))
    running = [view["worker"] for view in system.workers() if view["state"] == "running"]
    if only and only not in {view["worker"] for view in system.workers()}:
        raise Problem(404, "Unknown worker", f"there is no worker process {only}")
    views: dict[int, Any] = {}
    if only in (0, worker.number):
        views[worker.number] = json.loads(encode(here()))  # as those of the others come
    if only != worker.number:
        for number, reply in replies_to(system, request, only=only).items():
            if reply.status == OK:
                views[number] = json.loads(reply.body)
    silent = [number for number in running if number not in views and only in (0, number)]
    if silent:
        response.set_header(SILENT, ", ".join(map(str, silent)))
    return dict(sorted(views.items()))


def replies_to(
    system: CentralSystem, request: falcon.Request, *, only: int = 0, timeout_s: float = SIBLING_S
) -> dict[int, Reply]:
    """Have the other worker processes answer a request as this one got it; return their replies by number."""
    query = urlencode({name: value for name, value in request.params.items() if name != "worker"})
    return replies_of(
        system, request.method, request.path, query, body_of(request), only=only, timeout_s=timeout_s
    )


def problem_of(reply: Reply) -> Problem:
    """Make the problem again that another process has answered."""
    told = json.loads(reply.body)
    return Problem(reply.status, told.get("title", ""), told.get("description", ""))


def ask_siblings(system: CentralSystem, path: str, query: str = "", *, only: int = 0) -> list[bytes]:
    """Ask the other worker processes, or the one with a number; return what they answer at once."""
    replies = replies_of(system, "GET", path, query, only=only, timeout_s=PROBE_S)
    return [reply.body for reply in replies.values() if reply.status == OK]


def replies_of(
    system: CentralSystem,
    method: str,
    path: str,
    query: str = "",
    body: bytes = b"",
    *,
    only: int = 0,
    timeout_s: float,
) -> dict[int, Reply]:
    """Have the other worker processes answer a request; return their replies by number. Switches greenlets."""
    cluster, numbers = system.cluster, siblings(system)
    if cluster is None:
        return {}
    asked = {node: number for node, number in numbers.items() if only in (0, number)}
    replies = cluster.ask_all(asked, method, path, query, body, timeout_s=timeout_s)
    return {asked[node]: reply for node, reply in replies.items()}


def siblings(system: CentralSystem) -> dict[str, int]:
    """Return the names in the cluster of the other worker processes of this node, with their numbers."""
    cluster, worker = system.cluster, system.worker
    if cluster is None or worker is None:
        return {}
    # Names of processes end with their number and something random.
    here = cluster.node.rsplit("-", 2)[0]
    numbers = {
        f"{here}-{view['pid']}": view["worker"]
        for view in system.workers()
        if view["pid"] is not None and not view["here"]
    }
    found = {node: numbers.get(node.rsplit("-", 1)[0]) for node in cluster.others()}
    return {node: number for node, number in found.items() if number is not None}
