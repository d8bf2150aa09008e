"""Settings of stations by their answers and reports: monitors, messages of displays, network profiles. OCPP 2.0.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .requests import Query
from .resources import DEFAULT_LIMIT, MAX_LIMIT, Resource, answer

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon

    from ..store.collections import Collection
    from ..store.records import DisplayMessage, Monitor, NetworkProfile
    from ..system.central_system import CentralSystem


def monitor(record: Monitor) -> dict[str, Any]:
    """Show a monitor of a variable."""
    return {
        "monitor_id": record.monitor_id,
        "charge_point": record.charge_point_id,
        "variable": record.variable,
        "kind": record.kind,
        "value": record.value,
        "severity": record.severity,
        "transaction_only": record.transaction_only,
        "ours": record.ours,
        "accepted_at": record.accepted_at,
    }


def display_message(record: DisplayMessage) -> dict[str, Any]:
    """Show a message on the displays of a station; `data` is all of it."""
    return {
        "message_id": record.message_id,
        "charge_point": record.charge_point_id,
        "text": record.text,
        "priority": record.priority,
        "state": record.state,
        "transaction_id": record.transaction_id,
        "accepted_at": record.accepted_at,
        "data": record.data,
    }


def network_profile(record: NetworkProfile) -> dict[str, Any]:
    """Show a network profile in a slot; `data` is without its secrets."""
    return {
        "slot": record.slot,
        "charge_point": record.charge_point_id,
        "accepted_at": record.accepted_at,
        "data": record.data,
    }


class StationSettings(Resource):
    """`/api/v1/monitors`, `/api/v1/display-messages` and `/api/v1/network-profiles`."""

    def __init__(self, system: CentralSystem, name: str, view: Callable[[Any], dict[str, Any]]) -> None:
        super().__init__(system)
        self._name = name
        self._view = view

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List records, the newest first, narrowed by `charge_point`; `more`: there are others."""
        query = Query(request, "charge_point", "limit")
        charge_point = query.text("charge_point")
        limit = query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
        collection: Collection[Any] = getattr(self._system.store.collections, self._name)
        records = list(collection.of(charge_point) if charge_point else collection)
        records.sort(key=lambda record: record.accepted_at, reverse=True)
        shown = [self._view(record) for record in records[:limit]]
        answer(response, {self._name: shown, "more": len(records) > limit})


def station_settings(system: CentralSystem) -> dict[str, StationSettings]:
    """Make the resources, by their paths; each is named as its collection."""
    views: dict[str, Callable[[Any], dict[str, Any]]] = {
        "monitors": monitor,
        "display_messages": display_message,
        "network_profiles": network_profile,
    }
    return {name.replace("_", "-"): StationSettings(system, name, view) for name, view in views.items()}
