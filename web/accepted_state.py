"""Reservations, charging profiles and local lists that charge points have accepted from us."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any, TypeVar

import falcon

from ..actors.session.commands import UnknownVersion
from ..actors.session.tickets import TicketState
from .commands import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S, status_of
from .requests import Problem, Query
from .resources import COMMAND, DEFAULT_LIMIT, MAX_LIMIT, Resource, answer, viewed
from .views import JSON, encode, outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..actors.session.tickets import Ticket
    from ..protocol.actions import Version
    from ..store.collections import Collection
    from ..store.records import ChargingProfile, LocalList, Reservation
    from ..system.central_system import CentralSystem
    from ..system.local_lists import LocalListUpdate
    from .requests import Stop

logger = logging.getLogger(__name__)

R = TypeVar("R", "Reservation", "ChargingProfile")


def reservation(record: Reservation, now: dt.datetime) -> dict[str, Any]:
    """Show a reservation."""
    return {
        "reservation_id": record.id,
        "charge_point": record.charge_point_id,
        "connector_id": record.connector_id,
        "id_tag": record.id_tag,
        "id_type": record.id_type,
        "connector_type": record.connector_type,
        "parent": record.parent,
        "state": record.state_at(now),
        "expiry": record.expiry,
        "accepted_at": record.accepted_at,
        "transaction_id": record.transaction_id,
    }


def profile(record: ChargingProfile) -> dict[str, Any]:
    """Show a charging profile as it was sent.

    `id_tag` is the tag whose transaction it waits for, `source` who else has set it; empty for us.
    """
    return {
        "charging_profile_id": record.id,
        "charge_point": record.charge_point_id,
        "connector_id": record.connector_id,
        "purpose": record.purpose,
        "stack_level": record.stack_level,
        "transaction_id": record.transaction_id,
        "id_tag": record.id_tag,
        "source": record.source,
        "accepted_at": record.accepted_at,
        "profile": record.data,
    }


class Reservations(Resource):
    """`/api/v1/reservations`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List reservations, the newest first, narrowed by `charge_point`; `more`: there are others."""
        now = dt.datetime.now(dt.UTC)
        found, more = _newest(self._system.store.collections.reservations, request)
        answer(response, {"reservations": [reservation(record, now) for record in found], "more": more})


class ChargingProfilesResource(Resource):
    """`/api/v1/charging-profiles`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List charging profiles, the newest first, narrowed by `charge_point`; `more`: there are others."""
        found, more = _newest(self._system.store.collections.profiles, request)
        answer(response, {"charging_profiles": [profile(record) for record in found], "more": more})


def _newest(book: Collection[R], request: falcon.Request) -> tuple[list[R], bool]:
    query = Query(request, "charge_point", "limit")
    charge_point = query.text("charge_point")
    records = list(book.of(charge_point) if charge_point else book)
    records.sort(key=lambda record: record.accepted_at, reverse=True)
    limit = query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
    return records[:limit], len(records) > limit


DECLINED = 409


def believed(record: LocalList) -> dict[str, Any]:
    """Show the believed contents of a local list; `tags` is id tag (and type) to its facts, as they were sent."""
    return {
        "charge_point": record.charge_point_id,
        "ocpp": record.ocpp,
        "version": record.version,
        "certain": record.certain,
        "last_sent": record.last_sent,
        "changed_at": record.changed_at,
        "tags": record.tags,
    }


class LocalLists(Resource):
    """`/api/v1/local-lists`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the local lists that charge points are believed to have, by id, without their tags."""
        Query(request)
        found = sorted(self._system.store.collections.local_lists, key=lambda one: one.charge_point_id)
        answer(response, {"local_lists": viewed(map(believed_facts, found))})


def believed_facts(record: LocalList) -> dict[str, Any]:
    """Show a local list in a list: `entries` is the number of its tags."""
    shown = believed(record)
    del shown["tags"]
    return shown | {"entries": len(record.tags)}


def sent(update: LocalListUpdate, versions: Mapping[str, Version]) -> dict[str, Any]:
    """Show an update of a local list and its tickets; `update_type` is null if there was nothing to do."""
    return {
        "charge_point": update.charge_point_id,
        "update_type": update.kind or None,
        "entries": update.entries,
        "version": update.version,
        "in_step": update.in_step,
        "left_out": update.left_out,
        "tickets": [outcome(ticket, versions) for ticket in update.tickets],
        "clear_cache": None if update.cache is None else outcome(update.cache, versions),
    }


class LocalListResource(Resource):
    """`/api/v1/charge-points/{id}/local-list`."""

    changes = COMMAND

    def __init__(self, system: CentralSystem, stop: Stop) -> None:
        super().__init__(system)
        self._stop = stop

    def on_get(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Answer with the believed contents of the local list."""
        Query(request)
        record = self._system.store.collections.local_lists.get(charge_point)
        if record is None:
            raise Problem(404, "Unknown list", f"nothing is known of a local list of {charge_point}")
        answer(response, believed(record))

    def on_post(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Bring the list in step and wait; `full=1` sends all of it, `clear_cache=1` clears the cache too."""
        query = Query(request, "full", "clear_cache", "limit", "timeout")
        limit = self._system.settings.back_office.local_list_limit
        full, clear_cache = query.flag("full", default=False), query.flag("clear_cache", default=False)
        limit = query.whole("limit", default=limit, most=max(limit, MAX_LIMIT))
        timeout_s = query.seconds("timeout", default=DEFAULT_TIMEOUT_S, most=MAX_TIMEOUT_S)
        try:
            with self._stop.interrupts():
                update = self._system.push_local_list(
                    charge_point,
                    full=full,
                    clear_cache=clear_cache,
                    local_list_limit=limit,
                    timeout_s=timeout_s,
                )
        except UnknownVersion as error:
            raise Problem(404, "Unknown charge point", f"{charge_point} has never been here") from error
        except RuntimeError as error:  # between the system's stop and ours
            raise Problem(503, "Not running", str(error)) from error
        logger.info("Local list of %s by HTTP: %s, %d tags", charge_point, update.kind, update.entries)
        self._answer(response, update)

    def _answer(self, response: falcon.Response, update: LocalListUpdate) -> None:
        view, status = sent(update, self._system.versions), 200
        ended: list[Ticket[Any]] = [*update.tickets[-1:]]
        if update.cache is not None:
            ended.append(update.cache)
        for ticket in ended:
            status, title = status_of(self._system, ticket)
            if not title and not _accepted(ticket):
                status, title = DECLINED, "Declined by the charge point"
            if title:
                view = {"title": title, "description": _why(ticket), **view}
                break
        response.status = falcon.code_to_http_status(status)
        response.data = encode(view)
        response.content_type = JSON


def _accepted(ticket: Ticket[Any]) -> bool:
    return ticket.response is not None and ticket.response.status == "Accepted"


def _why(ticket: Ticket[Any]) -> str:
    """Describe the failure of a command, for people."""
    what = f"{ticket.action} to {ticket.charge_point_id}"
    if ticket.state is TicketState.ANSWERED and ticket.response is not None:
        return f"{what}: {ticket.response.status}"
    return f"{what}: {ticket.reason}" if ticket.reason else what
