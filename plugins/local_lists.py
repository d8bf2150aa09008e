"""Beliefs about a charge point's local authorization list after each SendLocalList. OCPP 1.6, 3.5 and 5.15; 2.0.1, D.

A belief is certain only if the charge point said so. `tags` are always those of `version`, or none where its content is
not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from .. import ErrorCode, LocalList, Ticket, TicketState, v16, v201

if TYPE_CHECKING:
    from datetime import datetime

ADAPTERS: dict[str, Any] = {version.name: version.local_lists for version in (v16.VERSION, v201.VERSION)}
"""Adapters of the lists by version of OCPP."""
LARGEST = 10_000
"""Tags of one list that are remembered; of a larger one it is only known that there is one."""
NOT_SUPPORTED = -1
EMPTY = 0
UNSENT = frozenset(
    {TicketState.NEVER_SENT, TicketState.EXPIRED, TicketState.CANCELLED, TicketState.SUPERSEDED}
)
UNKNOWN_THERE = frozenset({ErrorCode.NOT_SUPPORTED, ErrorCode.NOT_IMPLEMENTED})


def after_sending(known: LocalList | None, ticket: Ticket[Any], at: datetime) -> LocalList | None:
    """Return the belief after a SendLocalList has ended; None if it was not sent."""
    if ticket.state in UNSENT:
        return None
    before = known or LocalList(
        charge_point_id=ticket.charge_point_id, version=EMPTY, changed_at=at, certain=False
    )
    adapter = ADAPTERS[ticket.version]
    sent = adapter.sent(msgspec.json.decode(ticket.payload))
    before = msgspec.structs.replace(
        before, changed_at=at, last_sent=max(before.last_sent, before.version, sent.version)
    )
    response = ticket.response
    if response is not None and adapter.accepted(response):
        return _accepted(before, sent, ticket.version)
    if (response is not None and response.status == v16.UpdateStatus.NOT_SUPPORTED) or (
        ticket.state is TicketState.REFUSED and ticket.code in UNKNOWN_THERE
    ):
        return _without(before, NOT_SUPPORTED)
    # Failed and VersionMismatch as well: some have emptied their list by then, and only a full one helps (5.15).
    return msgspec.structs.replace(before, certain=False)


def _accepted(before: LocalList, sent: Any, ocpp: str) -> LocalList:
    if not sent.full and not (before.certain and before.ocpp == ocpp):
        return msgspec.structs.replace(
            before, version=sent.version, tags={}, certain=False, ocpp=ocpp
        )  # on top of what is not known
    tags = {} if sent.full else dict(before.tags)
    spelled = {name.lower(): name for name in tags}
    for name, info in sent.entries:
        tags.pop(spelled.get(name.lower(), name), None)
        if info is not None:
            tags[name] = info
            spelled[name.lower()] = name
    certain = len(tags) <= LARGEST
    return msgspec.structs.replace(
        before, version=sent.version, tags=tags if certain else {}, certain=certain, ocpp=ocpp
    )


def after_asking(known: LocalList | None, charge_point_id: str, version: int, at: datetime) -> LocalList:
    """Return the belief after GetLocalListVersion was answered. OCPP 1.6, 5.10."""
    before = known or LocalList(charge_point_id=charge_point_id, version=EMPTY, changed_at=at, certain=False)
    before = msgspec.structs.replace(before, last_sent=max(before.last_sent, before.version, version))
    if version in (NOT_SUPPORTED, EMPTY):
        return _without(msgspec.structs.replace(before, changed_at=at), version)
    if known is not None and known.version == version:
        # Numbers only go up: what was sent since, and not accepted, has another one.
        return msgspec.structs.replace(before, certain=known.certain or bool(known.tags))
    return msgspec.structs.replace(before, version=version, tags={}, certain=False, changed_at=at)


def _without(before: LocalList, version: int) -> LocalList:
    """A list that holds nothing, and that is certain."""
    return msgspec.structs.replace(before, version=version, tags={}, certain=True)
