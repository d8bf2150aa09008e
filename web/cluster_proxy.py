"""Cluster proxy: requests about a charge point or ticket of another node are answered by that node.

Commands are not proxied: the system forwards them, and the ticket stays with the node that made it. Nor are reports
and variables, which all nodes have in their store.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from typing import TYPE_CHECKING, Any

import falcon

from ..remote.cluster.coordinator import CoordinatorUnavailable
from ..remote.cluster.messages import Ask, Reply
from .requests import Problem, Query, body_of, place_text
from .resources import DEFAULT_LIMIT, INNER, MAX_LIMIT
from .views import JSON, encode, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..remote.cluster.cluster import Cluster
    from ..system.central_system import CentralSystem

OK, NOT_FOUND = 200, 404
OF_SESSION = re.compile(r"/api/v1/charge-points/[^/]+(/recording)?")
"""Paths of what the process knows to which a charge point was connected last."""
OF_NODE = (
    "/healthz", "/livez", "/readyz", "/metrics", "/api/v1/supervision", "/api/v1/crashes", "/api/v1/counters",
    "/api/v1/plugins", "/api/v1/tls", "/api/v1/activity",
)  # fmt: skip
"""Beginnings of paths whose answers are of one node; those of all others are of the cluster."""
SPEAKS_FOR = "Speaks-For"
"""Header that says for whom an answer speaks, where there are several processes."""
SEGMENTS = 5
"""Pieces of the path of a charge point, with the empty one before its first slash."""
LAST_S = 2.0
"""Seconds that the other nodes have to tell when a charge point that is away was connected to them."""
LISTS = {
    "/api/v1/tickets": ("tickets", "ticket"),
    "/api/v1/bulk": ("bulks", "bulk"),
}
"""Lists that are joined from all nodes: their path, their member, and its unique key."""


class ClusterProxy:
    """Falcon middleware that passes requests on to the owning node, and joins the lists of all nodes."""

    def __init__(self, system: CentralSystem) -> None:
        self._system = system

    def process_resource(
        self, request: falcon.Request, response: falcon.Response, resource: object, params: Mapping[str, Any]
    ) -> None:
        """Have another node answer, if it owns the subject of the request."""
        cluster = self._system.cluster
        if cluster is None or request.env.get(INNER) or getattr(resource, "any_node", False):
            return
        if "charge_point" in params:
            node = holder(self._system, cluster, params["charge_point"])
            if not node and request.method == "GET" and OF_SESSION.fullmatch(request.path):
                node = self._last_holder(cluster, params["charge_point"], request.path)
            if node:
                reply = cluster.ask(node, *asked(request))
                if reply is None:
                    raise Problem(
                        503, "Not answered", f"node {node}, which owns the charge point, did not answer"
                    )
                pass_on(reply, response)
        elif self._is_unknown_here(params):
            for reply in cluster.ask_all(cluster.others(), *asked(request)).values():
                if reply.status != NOT_FOUND:
                    pass_on(reply, response)
                    return

    def _last_holder(self, cluster: Cluster, charge_point_id: str, path: str) -> str:
        """Return the other node to which a charge point that is away was connected last; "" if it was this one."""
        known = self._system.charge_point(charge_point_id)
        if known is not None and known.connected:
            return ""
        last = None if known is None else moment(known.disconnected_at)
        found = ""
        base = "/".join(path.split("/")[:SEGMENTS])
        for node, reply in cluster.ask_all(cluster.others(), "GET", base, timeout_s=LAST_S).items():
            told = json.loads(reply.body).get("disconnected_at") if reply.status == OK else None
            at = None if told is None else dt.datetime.fromisoformat(told)
            if at is not None and (last is None or at > last):
                last, found = at, node
        return found

    def _is_unknown_here(self, params: Mapping[str, Any]) -> bool:
        """Return whether a path names a ticket or a bulk command that another node may have."""
        if "ticket" in params:
            return self._system.ticket(params["ticket"]) is None
        return "bulk" in params and self._system.bulk(params["bulk"]) is None

    def process_response(
        self,
        request: falcon.Request,
        response: falcon.Response,
        _resource: object,
        succeeded: bool,  # noqa: FBT001
    ) -> None:
        """Add the rows of the other nodes to a list, and say for whom an answer speaks."""
        cluster, path = self._system.cluster, request.path
        if not request.env.get(INNER):
            nodes = bool(self._system.settings.redis.url) and not path.startswith(OF_NODE)
            response.set_header(SPEAKS_FOR, "cluster" if nodes else "node")
        if (
            cluster is None
            or request.env.get(INNER)
            or request.method != "GET"
            or path not in LISTS
            or not succeeded
            or response.status != falcon.HTTP_200
        ):
            return
        member, key = LISTS[path]
        replies = cluster.ask_all(cluster.others(), *asked(request)).values()
        pages = [json.loads(response.data or b"{}")]
        pages += [json.loads(reply.body) for reply in replies if reply.status == OK]
        limit = Query(request, *request.params).whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
        response.data = encode(joined(pages, member, key, limit))


def joined(pages: list[dict[str, Any]], member: str, key: str, limit: int) -> dict[str, Any]:
    """Make one page of those of several processes, the newest first; a list without pages stays whole."""
    rows = {row[key]: row for page in reversed(pages) for row in page[member]}
    places = {id_: (_time(row["created_at"]), id_) for id_, row in rows.items()}
    ordered = sorted(rows.values(), key=lambda row: places[row[key]], reverse=True)
    if "more" not in pages[0]:
        return pages[0] | {member: ordered}
    more = len(ordered) > limit or any(page["more"] for page in pages)
    next_ = place_text(places[ordered[:limit][-1][key]]) if more else None
    return pages[0] | {member: ordered[:limit], "more": more, "next": next_}


def _time(told: str) -> str:
    """Return a time as the cursors of lists have it."""
    return dt.datetime.fromisoformat(told).isoformat(timespec="microseconds")


def holder(system: CentralSystem, cluster: Cluster, charge_point_id: str) -> str:
    """Return the other node that owns a charge point; "" if there is none. May switch greenlets."""
    known = system.charge_point(charge_point_id)
    if known is not None and known.connected:
        return ""
    try:
        node = cluster.find(charge_point_id)
    except CoordinatorUnavailable:
        return ""
    return "" if node == cluster.node else node


def asked(request: falcon.Request) -> tuple[str, str, str, bytes]:
    """Return method, path, query and body of a request that another node is to answer."""
    return request.method, request.path, request.query_string, body_of(request)


def pass_on(reply: Reply, response: falcon.Response) -> None:
    """Answer as another node has answered."""
    response.status = falcon.code_to_http_status(reply.status)
    response.data = reply.body
    response.content_type = reply.content_type or JSON
    if reply.location:
        response.location = reply.location
    response.complete = True


def answerer(app: Callable[..., Iterable[bytes]]) -> Callable[[Ask], Reply]:
    """Make the function that answers requests passed on by other nodes, with this application."""

    def answer(ask: Ask) -> Reply:
        told: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            told[:] = [int(status[:3]), {name.lower(): value for name, value in headers}]

        body = b"".join(app(_environ(ask), start_response))
        status, headers = told
        return Reply(ask.id, status, body, headers.get("location", ""), headers.get("content-type", ""))

    return answer


def _environ(ask: Ask) -> dict[str, Any]:
    return {
        INNER: True,
        "REQUEST_METHOD": ask.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": ask.path,
        "RAW_URI": ask.path,
        "QUERY_STRING": ask.query,
        "SERVER_NAME": "cluster",
        "SERVER_PORT": "0",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": JSON,
        "CONTENT_LENGTH": str(len(ask.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(ask.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
