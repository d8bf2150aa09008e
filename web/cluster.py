"""The nodes that share the charge points, and which of them holds which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..remote.cluster.coordinator import CoordinatorUnavailable
from .problems import Problem
from .queries import Query
from .resources import Resource, answer

if TYPE_CHECKING:
    import falcon


class Nodes(Resource):
    """`/api/v1/cluster`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Name this node, the others, and with `charge_points=1` who holds which charge point."""
        listed = Query(request, "charge_points").flag("charge_points", default=False)
        cluster = self._system.cluster
        if cluster is None:
            raise Problem(404, "No cluster", "this is one process by itself")
        picture = {
            "node": cluster.node,
            "lease": cluster.coordinator.held,
            "nodes": cluster.nodes(),
            "far_calls": len(cluster.far),
            "near_calls": len(cluster.near),
            "claimed": len(cluster.claims),
        }
        if listed:
            try:
                picture["charge_points"] = dict(cluster.coordinator.charge_points())
            except CoordinatorUnavailable as error:
                raise Problem(503, "Not reached", str(error)) from error
        answer(response, picture)
