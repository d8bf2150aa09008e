"""Siblings: the other worker processes of this node, which are asked for what only they know.

Nodes of a cluster that share Redis are no siblings, unless they have the same parent process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..remote.cluster.messages import Reply
    from ..system.central_system import CentralSystem

SIBLING_S = 1.0
"""Seconds that a worker process has to answer another one."""
OK = 200


def ask_siblings(
    system: CentralSystem, path: str, query: str = "", *, only: int = 0, timeout_s: float = SIBLING_S
) -> list[bytes]:
    """Ask the other worker processes, or the one with a number; return the answers of those in time."""
    replies = replies_of(system, "GET", path, query, only=only, timeout_s=timeout_s)
    return [reply.body for reply in replies.values() if reply.status == OK]


def replies_of(
    system: CentralSystem,
    method: str,
    path: str,
    query: str = "",
    body: bytes = b"",
    *,
    only: int = 0,
    timeout_s: float = SIBLING_S,
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
    here = cluster.node.rsplit("-", 2)[0]
    by_name = {
        f"{here}-{view['pid']}-": view["worker"]
        for view in system.workers()
        if view["pid"] is not None and not view["here"]
    }
    found = {}
    for node in cluster.others():
        for begins, number in by_name.items():
            if node.startswith(begins):
                found[node] = number
    return found
