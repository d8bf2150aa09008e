"""`chargehand cluster`: the processes that share the charge points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .tables import show_facts, show_table

if TYPE_CHECKING:
    from collections.abc import Mapping


def show_cluster(picture: Mapping[str, Any]) -> None:
    """Print what `/api/v1/cluster` tells."""
    show_facts(
        [
            ("this node", picture["node"]),
            ("lease", "held" if picture["lease"] else "lost: it sends no command"),
            ("charge points here", picture["claimed"]),
            ("calls with other nodes", picture["far_calls"]),
            ("calls for other nodes", picture["near_calls"]),
        ]
    )
    held = picture.get("charge_points")
    if held is None:
        show_table(("node",), [(node,) for node in picture["nodes"]], "there is no node")
    else:
        show_table(("charge point", "node"), sorted(held.items()), "no charge point is held")
