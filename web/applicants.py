"""Applicants: charge points that nobody had entered, and the decisions about them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Literal

from ..store.records import APPROVED, REJECTED, WAITING
from .operations import AFTER, NOT_STORED, Parameter, limit, operation, page
from .requests import Problem, Query
from .resources import Resource, answer, paged, viewed
from .tags import keep
from .views import Payload, View, wire

if TYPE_CHECKING:
    import falcon

    from ..actors.session.charge_point import ChargePoint
    from ..store.records import Applicant

STATES = (WAITING, APPROVED, REJECTED)


class ApplicantView(View):
    """Applicant; `boot` is its BootNotification, if it is known here."""

    charge_point: str
    state: str
    first_seen_at: dt.datetime
    last_seen_at: dt.datetime
    peer: str
    connected: bool
    boot: Payload
    decided_by: str
    decided_at: dt.datetime | None


def applicant(record: Applicant, known: ChargePoint | None) -> ApplicantView:
    """Show an applicant."""
    return ApplicantView(
        charge_point=record.charge_point_id,
        state=record.state,
        first_seen_at=record.first_seen_at,
        last_seen_at=record.last_seen_at,
        peer=record.peer,
        connected=known is not None and known.connected,
        boot=None if known is None else wire(known.boot),
        decided_by=record.decided_by,
        decided_at=record.decided_at,
    )


class ApplicantsResource(Resource):
    """`/api/v1/applicants`; `/{id}/approve` and `/{id}/reject` decide about one."""

    @operation(
        "listApplicants",
        "charge points",
        query=(
            Parameter(
                "state", Literal["waiting", "approved", "rejected"], "Only those in this state", WAITING
            ),
            AFTER,
            limit(),
        ),
        answer=page("applicants", ApplicantView),
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the charge points that nobody had entered, and that wait for approval, by id."""
        query = Query(request, "state", "after", "limit")
        state = query.text("state") or WAITING
        if state not in STATES:
            raise Problem(400, "Bad query", f"state must be one of: {', '.join(STATES)}")
        found = [one for one in self._system.store.collections.applicants if one.state == state]
        shown, paging = paged(found, query, lambda one: (one.charge_point_id,), newest=False)
        answer(response, {"applicants": viewed(map(self._view, shown)), **paging})

    def _view(self, record: Applicant) -> ApplicantView:
        return applicant(record, self._system.charge_point(record.charge_point_id))

    @operation("approveApplicant", "charge points", answer=ApplicantView, problems=NOT_STORED)
    def on_post_approve(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Approve one: it is registered with its next BootNotification, for which it is asked if it is connected."""
        self._decide(request, response, charge_point, approved=True)

    @operation("rejectApplicant", "charge points", answer=ApplicantView, problems=NOT_STORED)
    def on_post_reject(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Reject one: its connection is closed, and it gets no other."""
        self._decide(request, response, charge_point, approved=False)

    def _decide(
        self, request: falcon.Request, response: falcon.Response, charge_point: str, *, approved: bool
    ) -> None:
        Query(request)
        by = request.context.caller.name
        decide = self._system.approve if approved else self._system.reject
        keep([decide(charge_point, by=by)])
        record = self._system.store.collections.applicants.get(charge_point)
        answer(response, {} if record is None else self._view(record))
