"""Records of the certificates that the authority has signed: their states, and which of them run out or are revoked."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from .. import TicketState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .. import Collections, IssuedCertificate, Receipt, Ticket

CHARGING_STATION = "charging_station"
ON_ITS_WAY = frozenset({"issued", "uncertain"})
"""States of a certificate that its charge point may still take."""
NOT_DELIVERED = frozenset(
    {
        TicketState.EXPIRED,
        TicketState.SUPERSEDED,
        TicketState.CANCELLED,
        TicketState.NEVER_SENT,
    }
)
DAY = dt.timedelta(days=1)


def issued_in_a_day(collections: Collections, charge_point_id: str, now: dt.datetime) -> int:
    """Count the certificates of a charge point that were signed in the last 24 hours."""
    return sum(now - one.issued_at < DAY for one in collections.issued_certificates.of(charge_point_id))


def outcome(ticket: Ticket[Any]) -> tuple[str, str]:
    """Return the state of a certificate after CertificateSigned has ended, and the reason."""
    if ticket.state in NOT_DELIVERED:
        return "not_delivered", ticket.reason or str(ticket.state.value)
    if ticket.response is not None:
        accepted = str(ticket.response.status) == "Accepted"
        return ("installed", "") if accepted else ("refused", str(ticket.response.status))
    if ticket.state is TicketState.REFUSED and not ticket.unreadable:
        return "refused", f"{ticket.code}: {ticket.reason}"
    return "uncertain", str(ticket.state.value)


def delivered(
    collections: Collections, serial_number: str, state: str, reason: str, now: dt.datetime
) -> list[Receipt]:
    """Note the state of a certificate after its delivery; once installed it replaces the ones before it."""
    records = collections.issued_certificates
    record = records.get(serial_number)
    if record is None or record.state == "revoked":
        return []
    change = msgspec.structs.replace
    receipts = [records.put(change(record, state=state, reason=reason, changed_at=now))]
    if state == "installed":
        receipts += [
            records.put(change(one, state="replaced", reason=f"by {serial_number}", changed_at=now))
            for one in records.of(record.charge_point_id)
            if one.use == record.use
            and one.serial_number != serial_number
            and one.issued_at <= record.issued_at
            and one.state in ("installed", *ON_ITS_WAY)
        ]
    return receipts


def newest(collections: Collections, charge_point_id: str) -> IssuedCertificate | None:
    """Find the newest certificate that a charge point has, or that is on its way to it; None if there is none."""
    found = [
        one
        for one in collections.issued_certificates.of(charge_point_id)
        if one.use == CHARGING_STATION and one.state in ("installed", *ON_ITS_WAY)
    ]
    return max(found, key=lambda one: one.issued_at, default=None)


def is_due(record: IssuedCertificate | None, now: dt.datetime, before: dt.timedelta) -> bool:
    """Return whether a certificate is to be renewed: it is in use, and runs out within this time."""
    return record is not None and record.state != "issued" and record.not_after - now <= before


def revoked(collections: Collections, issuer: str, now: dt.datetime) -> Iterator[IssuedCertificate]:
    """Find the revoked certificates of one issuing key that have not run out."""
    return (
        one
        for one in collections.issued_certificates
        if one.state == "revoked" and one.issuer == issuer and one.not_after > now
    )


def tidy(collections: Collections, now: dt.datetime, keep: dt.timedelta) -> None:
    """Remove the records of certificates that ran out long ago."""
    records = collections.issued_certificates
    for one in list(records):
        if now - one.not_after > keep:
            records.remove(one.serial_number)
