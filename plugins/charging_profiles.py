"""Charging profiles: which one replaces which, and which end with their transaction. OCPP 1.6, 3.13; OCPP 2.0.1, K.

The connector of a profile is its EVSE in OCPP 2.0.1.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec

from .. import v16

if TYPE_CHECKING:
    from .. import ChargingProfile, Collections, Receipt, Transaction

TX_PROFILE = str(v16.ChargingProfilePurpose.TX_PROFILE)
WAITS = dt.timedelta(minutes=10)
"""Time after a remote start in which its transaction may come and have the profile that was sent with it."""
KEPT_PER_CHARGE_POINT = 200
"""Limit of the profiles of one charge point; the oldest are dropped first."""


def enter(collections: Collections, profile: ChargingProfile) -> list[Receipt]:
    """Store a profile, replacing the one with its id and the one in its place. OCPP 1.6, 3.13.2 and 5.16."""
    place = _place(profile)
    receipts = [
        remove(collections, other)
        for other in collections.profiles.of(profile.charge_point_id)
        if (other.id == profile.id or _place(other) == place) and _key(other) != _key(profile)
    ]
    return [*receipts, collections.profiles.put(profile)]


def clear(
    collections: Collections,
    charge_point_id: str,
    number: int | None,
    place: int | None,
    purpose: str | None,
    stack_level: int | None,
) -> list[Receipt]:
    """Delete the profile with this number, or all that match. OCPP 1.6, 5.5; OCPP 2.0.1, K10."""
    return [
        remove(collections, profile)
        for profile in collections.profiles.of(charge_point_id)
        if (
            profile.id == number
            if number is not None
            else place in (None, profile.connector_id)
            and purpose in (None, profile.purpose)
            and stack_level in (None, profile.stack_level)
        )
    ]


def transaction_started(collections: Collections, transaction: Transaction) -> list[Receipt]:
    """Give a transaction the profiles that came with its remote start; drop those that waited too long."""
    receipts = []
    for profile in collections.profiles.of(transaction.charge_point_id):
        if not profile.id_tag:
            continue
        late = profile.accepted_at + WAITS <= transaction.start_received_at
        if late:
            receipts.append(remove(collections, profile))
        elif waits_for(profile, transaction):
            receipts.append(remove(collections, profile))
            receipts += enter(collections, given_to(profile, transaction))
    return receipts


def waits_for(profile: ChargingProfile, transaction: Transaction) -> bool:
    """Return whether the profile of a remote start is for this transaction, which has told its EVSE if it has one."""
    if transaction.remote_id and transaction.evse_id is None:
        return False
    return profile.id_tag.lower() == transaction.id_tag.lower() and profile.connector_id in (
        0,
        transaction.connector_id,
    )


def given_to(profile: ChargingProfile, transaction: Transaction) -> ChargingProfile:
    """Return the profile for a transaction that has started."""
    return msgspec.structs.replace(
        profile, connector_id=transaction.connector_id, transaction_id=transaction.id, id_tag=""
    )


def transaction_stopped(collections: Collections, transaction: Transaction) -> list[Receipt]:
    """Delete the TxProfiles of a transaction, given as before its stop: they end with it. OCPP 1.6, 3.13.1."""
    return [
        remove(collections, profile)
        for profile in collections.profiles.of(transaction.charge_point_id)
        if profile.purpose == TX_PROFILE
        and not profile.id_tag
        and (
            profile.transaction_id == transaction.id
            or (
                profile.transaction_id is None
                and profile.connector_id == transaction.connector_id
                and transaction.open  # else this is an old stop, sent again
            )
        )
    ]


def tidy(collections: Collections, charge_point_id: str, now: dt.datetime) -> None:
    """Delete profiles whose transaction never came, and the oldest over the limit."""
    known = collections.profiles.of(charge_point_id)
    surplus = len(known) - KEPT_PER_CHARGE_POINT
    for place, profile in enumerate(sorted(known, key=lambda one: one.accepted_at)):
        if place < surplus or (profile.id_tag and profile.accepted_at + WAITS <= now):
            remove(collections, profile)


def remove(collections: Collections, profile: ChargingProfile) -> Receipt:
    """Delete a profile."""
    return collections.profiles.remove(_key(profile))


def _key(profile: ChargingProfile) -> str:
    return f"{profile.connector_id}/{profile.id}/{profile.charge_point_id}"


def _place(profile: ChargingProfile) -> tuple[object, ...]:
    # What waits for a transaction has no place among those of the one that may be going on there.
    return profile.connector_id, profile.purpose, profile.stack_level, profile.id_tag.lower()
