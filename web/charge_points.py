"""Charge points: those that this process knows and those of the store; registered, forgotten, given passwords."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import falcon
import msgspec

from ..admission.identity import IdentityRefused, check_identity
from ..config.keys import read_key
from ..store.records import Cursor
from ..system.operations import ChargePointConnected
from .charge_point_views import ChargePointView, facts, stored_facts
from .event_views import StoredEvent, event
from .operations import BEFORE, LARGEST_ID, NOT_STORED, Parameter, flag, limit, operation, page, text
from .requests import Problem, Query, body_of, decoded
from .resources import DEFAULT_LIMIT, MAX_LIMIT, Resource, answer, paged_by_time, viewed
from .tags import keep
from .transaction_views import MeterReadingView, meter_reading
from .transactions import paging
from .views import LINES_OF_JSON, View


class NewChargePoint(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Facts of a charge point entered before it connects. Its BootNotification replaces the registration.

    The least security profile may be changed of one that is connected, too. OCPP 1.6, 4.2.
    """

    registration: Literal["Accepted", "Pending", "Rejected"] | None = None
    security_profile: Literal[0, 1, 2, 3] | None = None


class ChargePoints(Resource):
    """`/api/v1/charge-points/{id}`; with `/recording` and `/events` its frames and events."""

    @operation("getChargePoint", "charge points", answer=ChargePointView)
    def on_get_one(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Show one charge point."""
        Query(request)
        answer(response, self._facts(charge_point))

    def _facts(self, charge_point: str) -> ChargePointView:
        store, known = self._system.store, self._system.charge_point(charge_point)
        if known is not None:
            if known.boot is None or not known.connectors:
                store.told(charge_point)  # behind what its session is recalling, if it has just been made
            view = facts(known, self._system.open_tickets(charge_point))
            if store.others_write and not known.connected:  # it may have told more to another process
                stored = stored_facts(charge_point, None, store.told(charge_point))
                view = msgspec.structs.replace(
                    view,
                    boot=view.boot if stored.boot is None else stored.boot,
                    connectors=stored.connectors or view.connectors,
                )
        else:
            self._check_stored(charge_point)
            view = stored_facts(charge_point, store.find_registration(charge_point), store.told(charge_point))
        credential = store.collections.credentials.get(charge_point)
        unused = None if credential is None or credential.next is None else credential.next.changed_at
        profiles = self._system.security_profiles
        profile = profiles.stored(charge_point)
        return msgspec.structs.replace(
            view,
            has_password=credential is not None,
            new_key_since=unused,
            security_profile=profiles.least(charge_point),
            new_security_profile=None if profile is None else profile.next,
        )

    def _check_stored(self, charge_point: str) -> None:
        """Raise 404 for one that the store does not know."""
        store = self._system.store
        if (
            store.find_registration(charge_point) is None
            and store.collections.credentials.get(charge_point) is None
            and store.collections.security_profiles.get(charge_point) is None
            and store.collections.applicants.get(charge_point) is None
        ):
            raise Problem(404, "Unknown charge point", f"{charge_point} is not known here")

    @operation(
        "enterChargePoint",
        "charge points",
        body=NewChargePoint,
        answer=ChargePointView,
        problems=NOT_STORED
        | {409: "It is connected", 422: "The body is wrong, or no charge point has such an id"},
        example={"registration": "Pending", "security_profile": 2},
    )
    def on_put_one(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Enter a charge point before it connects, or change the registration of one that is offline.

        With a security profile alone, only that is changed, also of one that is connected.
        """
        Query(request)
        _check_identity(charge_point, self._system.settings.sessions.identity_chars)
        entry = decoded(body_of(request) or b"{}", NewChargePoint, "charge point")
        receipts = []
        if entry.registration is not None or entry.security_profile is None:
            stored = self._system.store.find_registration(charge_point)
            status = entry.registration or (stored.status if stored is not None else "Accepted")
            try:
                receipts.append(self._system.register(charge_point, status))
            except ChargePointConnected as error:
                raise _connected(charge_point, "its BootNotification decides") from error
        if entry.security_profile is not None:
            receipts.append(self._system.security_profiles.set(charge_point, entry.security_profile))
        keep(receipts)
        answer(response, self._facts(charge_point))

    @operation(
        "forgetChargePoint",
        "charge points",
        answer=ChargePointView,
        problems=NOT_STORED | {409: "It is connected"},
    )
    def on_delete_one(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Forget one that is away: its registration, password and security profile. Its transactions stay."""
        Query(request)
        view = self._facts(charge_point)
        credentials = self._system.credentials if view.has_password else None
        profiles = self._system.security_profiles
        try:
            receipt = self._system.forget(charge_point)
        except ChargePointConnected as error:
            raise _connected(charge_point, "it can be forgotten when it is away") from error
        receipts = [receipt]
        if credentials is not None:
            receipts.append(credentials.remove(charge_point))
        if profiles.stored(charge_point) is not None:
            receipts.append(profiles.remove(charge_point))
        keep(receipts)
        answer(response, view)

    @operation("getRecording", "charge points", content={LINES_OF_JSON: str})
    def on_get_recording(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Show its last frames and events, redacted: lines of JSON, as `chargehand replay` reads them."""
        Query(request)
        record = self._system.recording(charge_point)
        if record is None:
            raise Problem(404, "Unknown charge point", f"{charge_point} is not known here")
        response.data = record.encode()
        response.content_type = LINES_OF_JSON

    @operation(
        "listChargePointEvents",
        "charge points",
        query=(text("kind", "Only events of this kind: `status`, `boot`, `security`, …"), BEFORE, limit()),
        answer=page("events", StoredEvent),
    )
    def on_get_events(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """List the stored events of a charge point, the newest first."""
        query = Query(request, "kind", "before", "limit")
        kind, store = query.text("kind"), self._system.store
        found, paging_ = paged_by_time(
            lambda until, skip, most: store.events(
                charge_point_id=charge_point, kind=kind, until=until, skip=skip, limit=most
            ),
            query,
            lambda one: one.received_at,
        )
        if not found and self._system.charge_point(charge_point) is None:
            self._check_stored(charge_point)
        answer(response, {"events": viewed(map(event, found)), **paging_})

    @operation(
        "listMeterReadings",
        "charge points",
        query=(
            Parameter(
                "connector", Annotated[int, msgspec.Meta(ge=0, le=LARGEST_ID)], "Only of this connector"
            ),
            Parameter("since", dt.datetime, "Received at or after this time or day"),
            Parameter("until", dt.datetime, "Received before this time or day"),
            flag("all", "Those of transactions, too"),
            BEFORE,
            limit(),
        ),
        answer=page("meter_readings", MeterReadingView),
    )
    def on_get_readings(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """List the meter readings of a charge point that belong to no transaction, newest first by receipt.

        With `all=1` those of transactions, too. `more` says that there are further ones, `next` is the `before` of the
        next page.
        """
        query = Query(request, "connector", "since", "until", "all", "before", "limit")
        most = query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
        connector = (
            query.whole("connector", default=-1, least=0, most=LARGEST_ID) if query.has("connector") else None
        )
        found = self._system.store.readings_of(
            charge_point,
            connector_id=connector,
            since=query.moment("since"),
            until=query.moment("until"),
            without_transaction=not query.flag("all", default=False),
            before=query.cursor("before"),
            limit=most + 1,
        )
        if not found and self._system.charge_point(charge_point) is None:
            self._check_stored(charge_point)
        last = Cursor(found[most - 1].received_at, found[most - 1].number) if len(found) > most else None
        shown = viewed(meter_reading(one, self._system.versions) for one in found[:most])
        answer(response, {"meter_readings": shown} | paging(last))


def _check_identity(charge_point: str, longest: int) -> None:
    """Raise 422 for an identity with which no charge point is let in."""
    try:
        check_identity(charge_point, longest)
    except IdentityRefused as error:
        raise Problem(422, "Invalid identity", str(error)) from error


def _connected(charge_point: str, why: str) -> Problem:
    return Problem(409, "Connected", f"{charge_point} is connected: {why}")


class Given(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A password, in UTF-8; or its bytes behind `hex:` or `base64:`."""

    password: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class PasswordView(View):
    """Charge point that has a password, or has none any more."""

    charge_point: str
    has_password: bool


class Passwords(Resource):
    """`/api/v1/charge-points/{id}/password`."""

    @operation(
        "setPassword",
        "charge points",
        body=Given,
        answer=PasswordView,
        problems=NOT_STORED
        | {409: "No passwords are kept here", 422: "It is no password, or no charge point has such an id"},
        example={"password": "hex:00112233445566778899aabbccddeeff"},
    )
    def on_put(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Set the password for the next handshake; an open connection goes on."""
        Query(request)
        _check_identity(charge_point, self._system.settings.sessions.identity_chars)
        given = decoded(body_of(request), Given, "password")
        try:
            receipt = self._system.credentials.set_password(charge_point, read_key(given.password))
        except ValueError as error:
            raise Problem(422, "Invalid password", str(error)) from error
        keep([receipt])
        answer(response, PasswordView(charge_point=charge_point, has_password=True))

    @operation(
        "removePassword",
        "charge points",
        answer=PasswordView,
        problems=NOT_STORED | {409: "No passwords are kept here"},
    )
    def on_delete(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Take the password of a charge point away."""
        Query(request)
        if self._system.store.collections.credentials.get(charge_point) is None:
            raise Problem(404, "No password", f"{charge_point} has no password that could be taken away")
        keep([self._system.credentials.remove(charge_point)])
        answer(response, PasswordView(charge_point=charge_point, has_password=False))
