"""Events of charge points and of the system, in the words of no version.

Live ones are published at once and never stored. Durable ones are stored with their record, and delivered at least
once; those of transactions are in `store/events.py`.

The one rule: an event has everything that its reader needs, so that no query is needed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
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


# -- Durable ---------------------------------------------------------------------------------


class Booted(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A charge point has sent its BootNotification; `data` has it, in the words of its version. Durable."""

    vendor: str = ""
    model: str = ""
    firmware_version: str = ""
    data: dict[str, Any]


class FirmwareStatusChanged(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A charge point has told how an update of its firmware goes on. Durable."""

    status: str
    request_id: int | None = None
    data: dict[str, Any]


class LogStatusChanged(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A charge point has told how an upload of its log, or of its diagnostics, goes on. Durable."""

    status: str
    request_id: int | None = None
    data: dict[str, Any]


class SecurityEventReceived(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A charge point has told a security event of this type, or the `source` "central_system" has seen one. Durable."""

    type: str
    info: str = ""
    source: str = "charge_point"
    data: dict[str, Any]


class DeviceEventReceived(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A station has told an event of its device model: of a monitor, or of its own accord.

    `component` and `variable` have their instances in brackets; `trigger` is Alerting, Delta or Periodic. `severity` is
    that of the monitor with the number `monitor_id`, from 0, danger, to 9, debugging; None if it is not known.
    Durable.
    """

    component: str
    variable: str
    trigger: str
    actual_value: str
    event_id: int | None = None
    evse: int | None = None
    connector: int | None = None
    cleared: bool = False
    tech_code: str = ""
    tech_info: str = ""
    monitor_id: int | None = None
    severity: int | None = None
    data: dict[str, Any]


class ChargingLimitChanged(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """Somebody else, `source`, limits a station or an EVSE, or (`cleared`) does so no more. Durable."""

    source: str
    evse: int | None = None
    cleared: bool = False
    grid_critical: bool | None = None
    data: dict[str, Any]


class AlertRaised(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """Something is wrong with a charge point, and somebody should look.

    `severity` is from 0, danger, to 9, debugging; None if it is not known. `source` is what told it, as "monitor",
    `subject` what it is about, `text` what is said of that, `data` the message. Durable.
    """

    severity: int | None
    source: str
    subject: str
    text: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class DataTransferReceived(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A charge point has sent a DataTransfer of a vendor. Durable."""

    vendor_id: str
    message_id: str = ""
    data: dict[str, Any]


class CommandEnded(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A command has ended: `state` is the final state of its ticket, `reason` the cause if it was not answered.

    `response` is the payload of the answer, None if none came that can be used; requests and answers that carry a key
    are left out. Durable.
    """

    ticket_id: str
    action: str
    state: str
    reason: str = ""
    request: dict[str, Any] | None = None
    response: dict[str, Any] | None = None


class ReservationEnded(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A reservation is over: "used" (by the start of `transaction_id`), "cancelled" or "expired". Durable."""

    reservation_id: int
    evse: int
    id_tag: str
    state: str
    transaction_id: int | None = None


class HttpChangeMade(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A request over HTTP that changes something was answered with this status; `token` is the name of its token.

    A request that its token is not for (403) is one, too. Durable.
    """

    token: str
    method: str
    path: str
    address: str
    status: int


class EventsDropped(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A consumer was behind the retention: the events from `first` to `last` were dropped, at most `count`. Durable."""

    first: str
    last: str
    count: int


DURABLE: tuple[type[DomainEvent], ...] = (
    Booted,
    FirmwareStatusChanged,
    LogStatusChanged,
    SecurityEventReceived,
    DeviceEventReceived,
    ChargingLimitChanged,
    AlertRaised,
    DataTransferReceived,
    CommandEnded,
    ReservationEnded,
    HttpChangeMade,
    EventsDropped,
)
"""All durable events but those of transactions."""


# -- Live ------------------------------------------------------------------------------------


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
    charging_state: str = ""


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


class NodeJoined(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """Another node, or worker process, has joined those that share the charge points. Live."""

    node: str


class NodeLeft(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """Another node, or worker process, has ended, or has lost its lease. Live."""

    node: str


class CertificateExpiring(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A certificate or a revocation list in a file of TLS runs out soon, or has run out. Live."""

    file: str
    name: str
    expires_at: dt.datetime


class SiteMetered(DomainEvent, frozen=True, kw_only=True, gc=False, tag=True):
    """A plugin has reported what a site draws at its grid connection: amperes by phase, "L1" to "L3". Live."""

    site: str
    currents_a: dict[str, float]


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
    NodeJoined,
    NodeLeft,
    CertificateExpiring,
    SiteMetered,
)
"""All live events."""


OF_CONNECTIONS = frozenset({ChargePointOnline, ChargePointOffline})
"""Live events of connections: no answer to a call has one, and a plugin misses none, for they are few."""


class EventFacts(NamedTuple):
    """Facts about a call that was answered with a response: what its live events are made from."""

    charge_point_id: str
    at: dt.datetime
    request: Any
    payload: bytes
    response: Any
    transaction_id: int | None = None
    """Number of ours of the transaction that the call belongs to, where its handler has told it."""


MakeEvent = Callable[[EventFacts], DomainEvent | None]
"""Function that makes a live event of an answered call; None if there is none."""
