"""What charge points hold of ours: reservations and charging profiles that they have accepted."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, TypeVar

import falcon

from .queries import Query
from .resources import DEFAULT_LIMIT, MAX_LIMIT, Resource, answer

if TYPE_CHECKING:
    from ..store.collections import Collection
    from ..store.records import ChargingProfile, Reservation

R = TypeVar("R", "Reservation", "ChargingProfile")


def reservation(record: Reservation, now: dt.datetime) -> dict[str, Any]:
    """One reservation as the API shows it."""
    return {
        "reservation_id": record.id,
        "charge_point": record.charge_point_id,
        "connector_id": record.connector_id,
        "id_tag": record.id_tag,
        "parent": record.parent,
        "state": record.state_at(now),
        "expiry": record.expiry,
        "accepted_at": record.accepted_at,
        "transaction_id": record.transaction_id,
    }


def profile(record: ChargingProfile) -> dict[str, Any]:
    """One charging profile as the API shows it; `profile` is as it was sent, `id_tag` whose start it waits for."""
    return {
        "charging_profile_id": record.id,
        "charge_point": record.charge_point_id,
        "connector_id": record.connector_id,
        "purpose": record.purpose,
        "stack_level": record.stack_level,
        "transaction_id": record.transaction_id,
        "id_tag": record.id_tag,
        "accepted_at": record.accepted_at,
        "profile": record.data,
    }


class Reservations(Resource):
    """`/api/v1/reservations`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """The newest first, narrowed by `charge_point`."""
        now = dt.datetime.now(dt.UTC)
        found = _newest(self._system.store.collections.reservations, request)
        answer(response, {"reservations": [reservation(record, now) for record in found]})


class ChargingProfiles(Resource):
    """`/api/v1/charging-profiles`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """The newest first, narrowed by `charge_point`."""
        found = _newest(self._system.store.collections.profiles, request)
        answer(response, {"charging_profiles": [profile(record) for record in found]})


def _newest(book: Collection[R], request: falcon.Request) -> list[R]:
    query = Query(request, "charge_point", "limit")
    charge_point = query.text("charge_point")
    records = list(book.of(charge_point) if charge_point else book)
    records.sort(key=lambda record: record.accepted_at, reverse=True)
    return records[: query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)]
