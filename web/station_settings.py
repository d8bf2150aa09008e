"""Settings of stations by their answers and reports: monitors, messages of displays, network profiles. OCPP 2.0.1."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from .operations import BEFORE, CHARGE_POINT, limit, operation, page
from .requests import Query
from .resources import Resource, answer, paged
from .views import View

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon

    from ..store.collections import Collection
    from ..store.records import DisplayMessage, Monitor, NetworkProfile


class MonitorView(View):
    """Monitor of a variable."""

    monitor_id: int
    charge_point: str
    variable: str
    kind: str
    value: float
    severity: int
    transaction_only: bool
    ours: bool
    accepted_at: dt.datetime


def monitor(record: Monitor) -> MonitorView:
    """Show a monitor of a variable."""
    return MonitorView(
        monitor_id=record.monitor_id,
        charge_point=record.charge_point_id,
        variable=record.variable,
        kind=record.kind,
        value=record.value,
        severity=record.severity,
        transaction_only=record.transaction_only,
        ours=record.ours,
        accepted_at=record.accepted_at,
    )


class DisplayMessageView(View):
    """Message on the displays of a station; `data` is all of it."""

    message_id: int
    charge_point: str
    text: str
    priority: str
    state: str
    transaction_id: int | None
    accepted_at: dt.datetime
    data: dict[str, Any]


def display_message(record: DisplayMessage) -> DisplayMessageView:
    """Show a message on the displays of a station; `data` is all of it."""
    return DisplayMessageView(
        message_id=record.message_id,
        charge_point=record.charge_point_id,
        text=record.text,
        priority=record.priority,
        state=record.state,
        transaction_id=record.transaction_id,
        accepted_at=record.accepted_at,
        data=record.data,
    )


class NetworkProfileView(View):
    """Network profile in a slot; `data` is without its secrets."""

    slot: int
    charge_point: str
    accepted_at: dt.datetime
    data: dict[str, Any]


def network_profile(record: NetworkProfile) -> NetworkProfileView:
    """Show a network profile in a slot; `data` is without its secrets."""
    return NetworkProfileView(
        slot=record.slot,
        charge_point=record.charge_point_id,
        accepted_at=record.accepted_at,
        data=record.data,
    )


QUERY = (CHARGE_POINT, BEFORE, limit())


class Monitors(Resource):
    """`/api/v1/monitors`."""

    @operation("listMonitors", "device model", query=QUERY, answer=page("monitors", MonitorView))
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List monitors of variables, the newest first."""
        _list(self._system.store.collections.monitors, request, response, monitor, lambda one: one.monitor_id)


class DisplayMessages(Resource):
    """`/api/v1/display-messages`."""

    @operation(
        "listDisplayMessages",
        "device model",
        query=QUERY,
        answer=page("display_messages", DisplayMessageView),
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List messages on displays, the newest first."""
        messages = self._system.store.collections.display_messages
        _list(messages, request, response, display_message, lambda one: one.message_id)


class NetworkProfiles(Resource):
    """`/api/v1/network-profiles`."""

    @operation(
        "listNetworkProfiles",
        "device model",
        query=QUERY,
        answer=page("network_profiles", NetworkProfileView),
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List network profiles that were accepted, the newest first."""
        profiles = self._system.store.collections.network_profiles
        _list(profiles, request, response, network_profile, lambda one: one.slot)


def _list(
    collection: Collection[Any],
    request: falcon.Request,
    response: falcon.Response,
    view: Callable[[Any], View],
    number: Callable[[Any], int],
) -> None:
    query = Query(request, "charge_point", "before", "limit")
    charge_point = query.text("charge_point")
    found, paging = paged(
        collection.of(charge_point) if charge_point else collection,
        query,
        lambda one: (one.accepted_at, one.charge_point_id, number(one)),
    )
    answer(response, {collection.name: [view(one) for one in found], **paging})
