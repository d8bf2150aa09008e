"""`chargehand charge-points`: who is connected to a running server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .tables import show_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .api import Api

COLUMNS = ("charge point", "peer", "since", "registration")


def find_charge_points(api: Api, *, all_: bool) -> list[dict[str, Any]]:
    """Those that are connected, or all that the server knows."""
    return [row for row in api.get("charge-points")["charge_points"] if all_ or row["connected"]]


def show_charge_points(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print them as a table."""
    lines = [(row["id"], _peer(row), _since(row), row["registration"]) for row in rows]
    show_table(COLUMNS, lines, "no charge point is connected")


def _peer(row: Mapping[str, Any]) -> str:
    if not row["connected"]:
        return "away"
    return f"{row['peer']} (TLS)" if row["secure"] else str(row["peer"])


def _since(row: Mapping[str, Any]) -> str:
    """When it came, or left: the time as people write it, in UTC."""
    moment = str((row["connected_at"] if row["connected"] else row["disconnected_at"]) or "")
    return moment.partition(".")[0].removesuffix("Z").replace("T", " ")
