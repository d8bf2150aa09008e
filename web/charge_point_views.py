"""Views of charge points: all facts of one, its stored events, its readings outside of transactions."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec

from ..protocol.versions import VERSIONS
from ..protocol.x509 import TlsFacts
from ..system.charge_point_list import connectors_of, read_again
from .views import Payload, View, as_sent, moment, wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from ..actors.session.charge_point import ChargePoint
    from ..actors.session.tickets import Ticket
    from ..protocol.actions import Version
    from ..protocol.message import Message
    from ..store.records import StoredRegistration, Told


class ConnectorStatus(View):
    """Last status of a connector, in the same members for all versions; connector 0 of EVSE 0 is the whole station.

    The words are those of the version: Occupied in OCPP 2.0.1 is Preparing, Charging, SuspendedEV, SuspendedEVSE or
    Finishing in 1.6, which the `charging_state` of a transaction tells there. `at` is by the charge point's clock.
    """

    evse: int
    connector: int
    status: str
    at: dt.datetime | None
    error_code: str
    info: str


class OpenTicket(View):
    """Command that has not ended."""

    ticket: str
    action: str
    state: str


class ChargePointView(View):
    """All facts of a charge point.

    `connectors` has the last StatusNotification of each as it was sent, `statuses` the same in words of ours.
    """

    id: str
    name: str = ""
    connected: bool = False
    peer: str = ""
    secure: bool = False
    connected_at: dt.datetime | None = None
    disconnected_at: dt.datetime | None = None
    registration: str | None = None
    version: str | None = None
    tls: TlsFacts | None = None
    boot: Payload = None
    """Last BootNotification as it was sent; null if it is not known."""
    connectors: list[Payload] = msgspec.field(default_factory=list)
    statuses: list[ConnectorStatus] = msgspec.field(default_factory=list)
    deviations: dict[str, int] = msgspec.field(default_factory=dict)
    ignored: dict[str, int] = msgspec.field(default_factory=dict)
    """Frames that could not be answered, by reason."""
    open_tickets: list[OpenTicket] = msgspec.field(default_factory=list)
    has_password: bool = False
    new_key_since: dt.datetime | None = None
    """Time since which a new key waits to be used."""
    security_profile: int = 0
    """Least security profile for its next connections."""
    new_security_profile: int | None = None
    """Security profile that it accepted and has not used yet."""


def facts(charge_point: ChargePoint, open_tickets: Iterable[Ticket[Any]]) -> ChargePointView:
    """Show a charge point that has a session here."""
    registration, connectors = charge_point.registration, charge_point.connectors
    return ChargePointView(
        id=charge_point.id,
        name=charge_point.name,
        connected=charge_point.connected,
        peer=charge_point.peer,
        secure=charge_point.secure,
        connected_at=moment(charge_point.connected_at),
        disconnected_at=moment(charge_point.disconnected_at),
        registration=None if registration is None else str(registration),
        version=charge_point.version,
        tls=charge_point.tls,
        boot=wire(charge_point.boot),
        connectors=[wire(connectors[key]) for key in sorted(connectors, key=_in_order)],
        statuses=statuses(connectors.values()),
        deviations=dict(charge_point.deviations or {}),
        ignored=dict(charge_point.ignored or {}),
        open_tickets=[
            OpenTicket(ticket=ticket.id, action=ticket.action, state=str(ticket.state))
            for ticket in open_tickets
        ],
    )


def stored_facts(
    charge_point_id: str,
    registration: StoredRegistration | None,
    told: Sequence[Told],
    versions: Mapping[str, Version] = VERSIONS,
) -> ChargePointView:
    """Show a charge point that only the store knows, with the facts that it told an earlier process."""
    sent = {one.item: as_sent(one.payload) for one in told}
    boot = sent.pop("boot", None)
    return ChargePointView(
        id=charge_point_id,
        registration=None if registration is None else registration.status,
        version=registration.version or None if registration is not None else None,
        boot=boot,
        connectors=[
            sent[item] for item in sorted(sent, key=lambda item: _in_order(item.removeprefix("status/")))
        ],
        statuses=statuses(read_again(told, versions)),
    )


def statuses(messages: Iterable[Message]) -> list[ConnectorStatus]:
    """Show the last status of each connector."""
    return [
        ConnectorStatus(
            evse=one.evse,
            connector=one.connector,
            status=one.status,
            at=one.since,
            error_code=one.error,
            info=one.info,
        )
        for one in connectors_of(messages)
    ]


def _in_order(key: int | str) -> tuple[int, ...]:
    """Order the keys of connectors, numbers or "EVSE/connector", by their numbers."""
    if isinstance(key, int):
        return (key,)
    return tuple(int(part) for part in key.split("/") if part.lstrip("-").isdecimal())
