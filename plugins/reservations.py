"""Reservations and the starts that use them. OCPP 1.6, 5.13 and 6.45; OCPP 2.0.1, H.

A start is never refused for its reservation: doubts are flags. The connector of a reservation is its EVSE in OCPP
2.0.1, where a transaction may tell its EVSE and its token later than its reservation.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec

from .. import ReservationEnded
from .tokens import group_of, same

if TYPE_CHECKING:
    from .. import Collections, Receipt, Reservation, Transaction

KEPT = dt.timedelta(days=1)
"""Time after its expiry during which a reservation is still listed."""
KEPT_PER_CHARGE_POINT = 100
"""Limit of the reservations of one charge point; the oldest are dropped first."""
DOUBT = "reservation "
"""Beginning of every doubt."""
WAITING = ("active", "uncertain")
"""States of a reservation that nothing has come of yet."""
OPEN = (*WAITING, "expired")
"""States of a reservation that a start may still use: one that began before the expiry may be told later."""


def doubts(collections: Collections, transaction: Transaction) -> list[str]:
    """List the doubts about the reservation that a start names; none if it names no reservation."""
    number = transaction.reservation_id
    if number is None:
        return []
    reservation = _named(collections, transaction)
    if reservation is None:
        # Some charge points send 0 or -1 with every start, which names no reservation.
        return [f"reservation {number} is not known"] if number > 0 else []
    found = []
    if reservation.state == "cancelled":
        found.append(f"reservation {number} was cancelled")
    if reservation.state == "used" and reservation.transaction_id != transaction.id:
        found.append(f"reservation {number} was used by transaction {reservation.transaction_id}")
    # By both clocks: a start may come late, and the charge point's clock may be wrong.
    if min(transaction.started_at, transaction.start_received_at) >= reservation.expiry:
        found.append(f"reservation {number} had expired")
    tells_later = bool(transaction.remote_id)
    if (transaction.id_tag or not tells_later) and not _is_for(collections, reservation, transaction):
        found.append(f"reservation {number} is of another id tag")
    if not (tells_later and transaction.evse_id is None) and reservation.connector_id not in (
        0,
        transaction.connector_id,
    ):
        found.append(f"reservation {number} is of connector {reservation.connector_id}")
    return found


def use(collections: Collections, transaction: Transaction) -> list[Receipt]:
    """Note that a start has used a reservation: the one that it names, else one that it has plainly used.

    A reservation that is named is over, whatever is doubtful about it.
    """
    reservation = _named(collections, transaction)
    if reservation is None:
        if not collections.reservations.has(transaction.charge_point_id):  # as it mostly is
            return []
        there = collections.reservations.of(transaction.charge_point_id)
        if any(one.transaction_id == transaction.id for one in there):
            return []
        found = [
            one
            for one in there
            if one.accepted_at <= transaction.start_received_at
            and _plainly_used(collections, one, transaction)
        ]
        # That of the connector goes before one of any connector, then that which ends first.
        reservation = min(found, key=lambda one: (not one.connector_id, one.expiry), default=None)
    return [] if reservation is None else _use(collections, reservation, transaction)


def use_if_meant(collections: Collections, number: int, transaction: Transaction) -> list[Receipt]:
    """Note that a start which came before the answer to ReserveNow has used that reservation, if it has."""
    reservation = collections.reservations.get(key_of(transaction.charge_point_id, number))
    if reservation is None:
        return []
    named = _named(collections, transaction)
    meant = _plainly_used(collections, reservation, transaction) if named is None else named is reservation
    return _use(collections, reservation, transaction) if meant else []


def _use(collections: Collections, reservation: Reservation, transaction: Transaction) -> list[Receipt]:
    if reservation.state not in OPEN:
        return []
    used = msgspec.structs.replace(reservation, state="used", transaction_id=transaction.id)
    return [collections.reservations.put(used, event=ended(used, transaction.start_received_at))]


def _plainly_used(collections: Collections, reservation: Reservation, transaction: Transaction) -> bool:
    """Return whether a start that names no reservation has used this one: by its tag, there, and in time."""
    return (
        reservation.state in OPEN
        and reservation.connector_id in (0, transaction.connector_id)
        and min(transaction.started_at, transaction.start_received_at) < reservation.expiry
        and _is_for(collections, reservation, transaction)
    )


def cancel(collections: Collections, reservation: Reservation, now: dt.datetime) -> Receipt:
    """Note that a reservation is cancelled."""
    return end(collections, reservation, "cancelled", now)


def end(collections: Collections, reservation: Reservation, state: str, now: dt.datetime) -> Receipt:
    """Note that a reservation is "cancelled" or "expired"."""
    over = msgspec.structs.replace(reservation, state=state)
    event = ended(over, now) if reservation.state in WAITING else None
    return collections.reservations.put(over, event=event)


def ended(reservation: Reservation, at: dt.datetime) -> ReservationEnded:
    """Make the event of a reservation that is over."""
    return ReservationEnded(
        at=at,
        charge_point_id=reservation.charge_point_id,
        reservation_id=reservation.id,
        evse=reservation.connector_id,
        id_tag=reservation.id_tag,
        state=reservation.state,
        transaction_id=reservation.transaction_id,
    )


def tidy(collections: Collections, charge_point_id: str, now: dt.datetime) -> None:
    """Note what has expired of a charge point; forget what was over long ago, and the oldest over the bound."""
    known = collections.reservations.of(charge_point_id)
    surplus = len(known) - KEPT_PER_CHARGE_POINT
    for place, reservation in enumerate(sorted(known, key=lambda one: one.accepted_at)):
        if reservation.state in WAITING and reservation.expiry <= now:
            end(collections, reservation, "expired", now)
        if place < surplus or reservation.expiry + KEPT <= now:
            collections.reservations.remove(key_of(charge_point_id, reservation.id))


def key_of(charge_point_id: str, number: int) -> str:
    """Return the key of a reservation in its collection."""
    return f"{number}/{charge_point_id}"


def _named(collections: Collections, transaction: Transaction) -> Reservation | None:
    number = transaction.reservation_id
    return (
        None if number is None else collections.reservations.get(key_of(transaction.charge_point_id, number))
    )


def _is_for(collections: Collections, reservation: Reservation, transaction: Transaction) -> bool:
    id_tag, id_type = transaction.id_tag, transaction.id_type
    if same(reservation.id_tag, reservation.id_type, id_tag, id_type):
        return True
    return bool(reservation.parent) and reservation.parent.lower() == group_of(collections, id_tag, id_type)
