"""Live events of charge points and of the system, in the words of no version: published at once, never stored.

The one rule: an event has everything that its reader needs, so that no query is needed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec


class DomainEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", gc=False):
    """Base of all events. `at` is our time, in UTC; `charge_point_id` is "" for an event of the system."""

    at: dt.datetime
    charge_point_id: str = ""
    id: str = ""
    """Origin and number of an event that is stored; "" for a live one."""
    schema: int = 1
    """Version of the members of this kind of event."""


class ChargePointOnline(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A charge point has connected. Live."""

    peer: str
    secure: bool
    version: str


class ChargePointOffline(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """The last connection of a charge point was closed, with this WebSocket close code. Live."""

    code: int
    reason: str


class StatusChanged(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A connector (0 of EVSE 0: the charge point) has reported its status, a text of its version. Live."""

    evse: int
    connector: int
    status: str
    error_code: str = ""
    info: str = ""


class TransactionUpdated(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A transaction goes on; the figures are those of its latest reading, as far as that has them. Live."""

    transaction_id: int
    evse: int
    register_wh: float | None = None
    power_w: float | None = None


class MeterValuesReceived(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """Meter values were received and stored; `meter_values` is the list that was sent. Live."""

    evse: int
    transaction_id: int | None
    meter_values: list[Any]


class AuthorizationRequested(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """An id tag was presented, and answered with this verdict. Live."""

    id_tag: str
    verdict: str


class SessionRestarted(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """The session of a charge point crashed and was started again. Live."""

    reason: str


class PluginQuarantined(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A plugin failed too often and is out of service. Live."""

    plugin: str
    reason: str


class PluginReleased(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A plugin is back in service. Live."""

    plugin: str


LIVE: tuple[type[DomainEvent], ...] = (
    ChargePointOnline,
    ChargePointOffline,
    StatusChanged,
    TransactionUpdated,
    MeterValuesReceived,
    AuthorizationRequested,
    SessionRestarted,
    PluginQuarantined,
    PluginReleased,
)
"""All live events."""


EVENTS: Mapping[str, type[DomainEvent]] = {kind.__name__: kind for kind in LIVE}
"""All events by name."""


class EventFacts(NamedTuple):
    """Facts about a call that was answered with a response: what its live events are made from."""

    charge_point_id: str
    at: dt.datetime
    request: Any
    payload: bytes
    response: Any


MakeEvent = Callable[[EventFacts], DomainEvent | None]
"""Function that makes a live event of an answered call; None if there is none."""
