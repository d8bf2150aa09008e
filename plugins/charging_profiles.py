"""Charging profiles: which one replaces which, and which end with their transaction. OCPP 1.6, 3.13; OCPP 2.0.1, K.

The connector of a profile is its EVSE in OCPP 2.0.1.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec

from .. import ChargingProfile, v16, v201
from .kept_messages import with_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from .. import Collections, Receipt, Transaction

OURS = v201.ChargingLimitSource.CSO
"""Source of the profiles that the operator of stations sets."""
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
        if (other.id == profile.id or _place(other) == place)
        and other.source == profile.source
        and _key(collections, other) != _key(collections, profile)
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
    """Delete the profile of ours with this number, or all that match. OCPP 1.6, 5.5; OCPP 2.0.1, K10."""
    return [
        remove(collections, profile)
        for profile in collections.profiles.of(charge_point_id)
        if not profile.source
        and (
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
    return collections.profiles.remove(_key(collections, profile))


def note_reported(
    collections: Collections,
    request: v201.ReportChargingProfiles,
    charge_point_id: str,
    transaction_of: Callable[[str], Transaction | None],
    now: dt.datetime,
) -> list[Receipt]:
    """Note the profiles in a part of a report; those of another source than the operator are never ours."""
    source = "" if request.charging_limit_source == OURS else str(request.charging_limit_source)
    receipts = []
    for told in request.charging_profile:
        named = told.transaction_id
        transaction = transaction_of(named) if named is not None else None
        if transaction is not None and not transaction.open:
            continue  # the report was on its way when it ended
        profile = ChargingProfile(
            id=told.id,
            charge_point_id=charge_point_id,
            connector_id=request.evse_id,
            stack_level=told.stack_level,
            purpose=str(told.charging_profile_purpose),
            accepted_at=now,
            transaction_id=None if transaction is None else transaction.id,
            source=source,
            data=with_numbers(told),
        )
        known = collections.profiles.get(_key(collections, profile))
        if known is not None:  # as it was accepted
            same = known.stack_level == profile.stack_level and known.purpose == profile.purpose
            at = known.accepted_at if same else now
            profile = msgspec.structs.replace(profile, accepted_at=at)
        receipts += enter(collections, profile)
    return receipts


def keep_only(
    collections: Collections,
    charge_point_id: str,
    reported: Container[tuple[str, int, int]],
    asked: v201.GetChargingProfiles,
    before: dt.datetime,
) -> list[Receipt]:
    """Delete profiles that were asked for and not reported, unless they were set since.

    `reported` has source, EVSE and number of each that was. One that waits for its transaction stays.
    """
    return [
        remove(collections, profile)
        for profile in collections.profiles.of(charge_point_id)
        if (profile.source, profile.connector_id, profile.id) not in reported
        and not profile.id_tag
        and profile.accepted_at < before
        and _sought(profile, asked)
    ]


def _sought(profile: ChargingProfile, asked: v201.GetChargingProfiles) -> bool:
    wanted = asked.charging_profile
    if (
        wanted.charging_limit_source is not None
        and (profile.source or OURS) not in wanted.charging_limit_source
    ):
        return False
    if wanted.charging_profile_id is not None:
        return profile.id in wanted.charging_profile_id
    return (
        asked.evse_id in (None, profile.connector_id)
        and wanted.charging_profile_purpose in (None, profile.purpose)
        and wanted.stack_level in (None, profile.stack_level)
    )


def limit_cleared(
    collections: Collections, charge_point_id: str, source: str, evse_id: int | None
) -> list[Receipt]:
    """Delete the profiles of somebody else whose limit is over, at an EVSE or (None) everywhere."""
    return [
        remove(collections, profile)
        for profile in collections.profiles.of(charge_point_id)
        if profile.source == source and source and evse_id in (None, profile.connector_id)
    ]


def _key(collections: Collections, profile: ChargingProfile) -> str:
    return collections.profiles.key(profile)


def _place(profile: ChargingProfile) -> tuple[object, ...]:
    # What waits for a transaction has no place among those of the one that may be going on there.
    return profile.connector_id, profile.purpose, profile.stack_level, profile.id_tag.lower()
