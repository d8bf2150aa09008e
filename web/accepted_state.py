"""Reservations, charging profiles and local lists that charge points have accepted from us."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import falcon
import msgspec

from ..actors.session.commands import UnknownVersion
from ..actors.session.tickets import TicketState
from .commands import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S, SENDING, status_of
from .operations import AFTER, BEFORE, CHARGE_POINT, Parameter, flag, limit, operation, page, seconds
from .requests import Problem, Query
from .resources import COMMAND, MAX_LIMIT, Resource, answer, paged, viewed
from .ticket_views import Outcome, outcome
from .views import Payload, View, members

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


class ReservationView(View):
    """Reservation that a charge point accepted."""

    reservation_id: int
    charge_point: str
    connector_id: int
    id_tag: str
    id_type: str
    connector_type: str
    parent: str
    state: str
    expiry: dt.datetime
    accepted_at: dt.datetime
    transaction_id: int | None


class ChargingProfileView(View):
    """Charging profile as it was sent.

    `id_tag` is the tag whose transaction it waits for, `source` who else has set it; empty for us.
    """

    charging_profile_id: int
    charge_point: str
    connector_id: int
    purpose: str
    stack_level: int
    transaction_id: int | None
    id_tag: str
    source: str
    accepted_at: dt.datetime
    profile: dict[str, Any]


def reservation(record: Reservation, now: dt.datetime) -> ReservationView:
    """Show a reservation."""
    return ReservationView(
        reservation_id=record.id,
        charge_point=record.charge_point_id,
        connector_id=record.connector_id,
        id_tag=record.id_tag,
        id_type=record.id_type,
        connector_type=record.connector_type,
        parent=record.parent,
        state=record.state_at(now),
        expiry=record.expiry,
        accepted_at=record.accepted_at,
        transaction_id=record.transaction_id,
    )


def profile(record: ChargingProfile) -> ChargingProfileView:
    """Show a charging profile."""
    return ChargingProfileView(
        charging_profile_id=record.id,
        charge_point=record.charge_point_id,
        connector_id=record.connector_id,
        purpose=record.purpose,
        stack_level=record.stack_level,
        transaction_id=record.transaction_id,
        id_tag=record.id_tag,
        source=record.source,
        accepted_at=record.accepted_at,
        profile=record.data,
    )


PAGE_OF_ONE = (CHARGE_POINT, BEFORE, limit())
"""Parameters of a list, the newest first, that may be that of one charge point."""


class Reservations(Resource):
    """`/api/v1/reservations`."""

    @operation(
        "listReservations", "charging", query=PAGE_OF_ONE, answer=page("reservations", ReservationView)
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List reservations, the newest first."""
        now = dt.datetime.now(dt.UTC)
        found, paging = _newest(self._system.store.collections.reservations, request)
        answer(response, {"reservations": [reservation(record, now) for record in found], **paging})


class ChargingProfilesResource(Resource):
    """`/api/v1/charging-profiles`."""

    @operation(
        "listChargingProfiles",
        "charging",
        query=PAGE_OF_ONE,
        answer=page("charging_profiles", ChargingProfileView),
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List charging profiles, the newest first."""
        found, paging = _newest(self._system.store.collections.profiles, request)
        answer(response, {"charging_profiles": [profile(record) for record in found], **paging})


def _newest(book: Collection[R], request: falcon.Request) -> tuple[list[R], dict[str, Any]]:
    query = Query(request, "charge_point", "before", "limit")
    charge_point = query.text("charge_point")
    return paged(
        book.of(charge_point) if charge_point else book,
        query,
        lambda record: (record.accepted_at, record.charge_point_id, record.id),
    )


DECLINED = 409


class LocalListView(View):
    """Believed contents of a local list; `tags` is id tag (and type) to its facts, as they were sent."""

    charge_point: str
    ocpp: str
    version: int
    certain: bool
    last_sent: int
    changed_at: dt.datetime
    tags: dict[str, Payload]


class LocalListRow(View):
    """Local list in a list: `entries` is the number of its tags."""

    charge_point: str
    ocpp: str
    version: int
    certain: bool
    last_sent: int
    changed_at: dt.datetime
    entries: int


class LocalLists(Resource):
    """`/api/v1/local-lists`."""

    @operation("listLocalLists", "charging", query=(AFTER, limit()), answer=page("local_lists", LocalListRow))
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the local lists that charge points are believed to have, by id, without their tags."""
        found, paging = paged(
            self._system.store.collections.local_lists,
            Query(request, "after", "limit"),
            lambda one: (one.charge_point_id,),
            newest=False,
        )
        answer(response, {"local_lists": viewed(map(believed_facts, found)), **paging})


def believed_facts(record: LocalList) -> LocalListRow:
    """Show a local list in a list."""
    return LocalListRow(
        charge_point=record.charge_point_id,
        ocpp=record.ocpp,
        version=record.version,
        certain=record.certain,
        last_sent=record.last_sent,
        changed_at=record.changed_at,
        entries=len(record.tags),
    )


class LocalListUpdateView(View):
    """Update of a local list and its tickets; `update_type` is null if there was nothing to do."""

    charge_point: str
    update_type: str | None
    entries: int
    version: int
    in_step: bool
    left_out: int
    tickets: list[Outcome]
    clear_cache: Outcome | None


def believed(record: LocalList) -> LocalListView:
    """Show the believed contents of a local list."""
    return LocalListView(
        charge_point=record.charge_point_id,
        ocpp=record.ocpp,
        version=record.version,
        certain=record.certain,
        last_sent=record.last_sent,
        changed_at=record.changed_at,
        tags=record.tags,
    )


def sent(update: LocalListUpdate, versions: Mapping[str, Version]) -> LocalListUpdateView:
    """Show an update of a local list and its tickets."""
    return LocalListUpdateView(
        charge_point=update.charge_point_id,
        update_type=update.kind or None,
        entries=update.entries,
        version=update.version,
        in_step=update.in_step,
        left_out=update.left_out,
        tickets=[outcome(ticket, versions) for ticket in update.tickets],
        clear_cache=None if update.cache is None else outcome(update.cache, versions),
    )


class LocalListResource(Resource):
    """`/api/v1/charge-points/{id}/local-list`."""

    changes = COMMAND

    def __init__(self, system: CentralSystem, stop: Stop) -> None:
        super().__init__(system)
        self._stop = stop

    @operation("getLocalList", "charging", answer=LocalListView)
    def on_get(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Show the believed contents of the local list of a charge point."""
        Query(request)
        record = self._system.store.collections.local_lists.get(charge_point)
        if record is None:
            raise Problem(404, "Unknown list", f"nothing is known of a local list of {charge_point}")
        answer(response, believed(record))

    @operation(
        "pushLocalList",
        "charging",
        query=(
            flag("full", "Send all of it, not the differences"),
            flag("clear_cache", "Clear the cache of authorizations, too"),
            Parameter("limit", Annotated[int, msgspec.Meta(ge=1)], "Most tags of a list"),
            seconds("timeout", "Seconds for each answer", MAX_TIMEOUT_S, DEFAULT_TIMEOUT_S),
        ),
        answer=LocalListUpdateView,
        answers={202: LocalListUpdateView},
        problems=SENDING
        | {
            404: "The charge point is unknown or not connected",
            409: "The charge point refused or declined it, or a list is on its way to it already",
        },
    )
    def on_post(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Bring the local list of a charge point in step with the tags, and wait for it."""
        query = Query(request, "full", "clear_cache", "limit", "timeout")
        most = self._system.settings.back_office.local_list_limit
        full, clear_cache = query.flag("full", default=False), query.flag("clear_cache", default=False)
        most = query.whole("limit", default=most, most=max(most, MAX_LIMIT))
        timeout_s = query.seconds("timeout", default=DEFAULT_TIMEOUT_S, most=MAX_TIMEOUT_S)
        try:
            with self._stop.interrupts():
                update = self._system.push_local_list(
                    charge_point,
                    full=full,
                    clear_cache=clear_cache,
                    local_list_limit=most,
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
                raise Problem(status, title, _why(ticket), **members(view))
        response.status = falcon.code_to_http_status(status)
        answer(response, view)


def _accepted(ticket: Ticket[Any]) -> bool:
    return ticket.response is not None and ticket.response.status == "Accepted"


def _why(ticket: Ticket[Any]) -> str:
    """Describe the failure of a command, for people."""
    what = f"{ticket.action} to {ticket.charge_point_id}"
    if ticket.state is TicketState.ANSWERED and ticket.response is not None:
        return f"{what}: {ticket.response.status}"
    return f"{what}: {ticket.reason}" if ticket.reason else what
