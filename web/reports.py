"""Reports of stations over HTTP, put together from their parts."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import msgspec

from .operations import BEFORE, NOT_STORED, Parameter, limit, operation, page, text
from .requests import Problem, Query
from .resources import Resource, answer, paged, viewed
from .tags import keep
from .views import Payload, View, as_sent, members

if TYPE_CHECKING:
    import falcon

    from ..store.reports import Report, ReportPart

DIGITS = 18
"""Digits that the number of a report has at most."""


class ReportView(View):
    """Report without its contents; `parts` is the number of its parts."""

    charge_point: str
    number: int
    action: str
    request_id: int
    version: str
    state: str
    missing: list[int]
    flags: list[str]
    begun_at: dt.datetime
    last_at: dt.datetime
    size_bytes: int
    parts: int


def report(record: Report) -> ReportView:
    """Show a report without its contents; `parts` is the number of its parts."""
    return ReportView(
        charge_point=record.charge_point_id,
        number=record.number,
        action=record.action,
        request_id=record.request_id,
        version=record.version,
        state=record.state,
        missing=list(record.missing),
        flags=list(record.flags),
        begun_at=record.begun_at,
        last_at=record.last_at,
        size_bytes=record.size_bytes,
        parts=len(record.parts),
    )


class ReportPartView(View):
    """Part of a report; `payload` is as it was sent, null if it was cut."""

    seq_no: int | None
    last: bool
    received_at: dt.datetime
    payload: Payload


def part(record: ReportPart) -> ReportPartView:
    """Show a part of a report; `payload` is as it was sent, null if it was cut."""
    return ReportPartView(
        seq_no=record.seq_no,
        last=record.last,
        received_at=record.received_at,
        payload=None if record.cut else as_sent(record.payload),
    )


class WholeReport(View):
    """Report with the payloads of its parts, in order of their numbers."""

    charge_point: str
    number: int
    action: str
    request_id: int
    version: str
    state: str
    missing: list[int]
    flags: list[str]
    begun_at: dt.datetime
    last_at: dt.datetime
    size_bytes: int
    parts: list[ReportPartView]


class ReportsResource(Resource):
    """`/api/v1/charge-points/{id}/reports`, with `/{number}` one of them."""

    any_node = True

    @operation(
        "listReports",
        "charge points",
        query=(
            text("action", "Only those of this action"),
            Parameter("request_id", Annotated[int, msgspec.Meta(ge=0)], "Only those of this request"),
            BEFORE,
            limit(),
        ),
        answer=page("reports", ReportView),
    )
    def on_get(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """List the reports that a charge point has sent in parts, the newest first."""
        query = Query(request, "action", "request_id", "before", "limit")
        number = (
            query.whole("request_id", default=0, least=0, most=2**63) if query.has("request_id") else None
        )
        found = self._system.reports.of(charge_point, action=query.text("action"), request_id=number)
        if not found and not self._system.knows(charge_point):
            raise Problem(404, "Unknown charge point", f"{charge_point} is not known here")
        shown, paging = paged(found, query, lambda one: (one.number,))
        answer(response, {"reports": viewed(map(report, shown)), **paging})

    @operation("getReport", "charge points", answer=WholeReport)
    def on_get_one(
        self, request: falcon.Request, response: falcon.Response, charge_point: str, number: str
    ) -> None:
        """Show a report with the payloads of its parts, in order of their numbers."""
        Query(request)
        answer(response, self._whole(charge_point, number))

    @operation("deleteReport", "charge points", answer=ReportView, problems=NOT_STORED)
    def on_delete_one(
        self, request: falcon.Request, response: falcon.Response, charge_point: str, number: str
    ) -> None:
        """Delete a report for good; answers with its facts."""
        Query(request)
        view = report(self._system.reports.get(charge_point, _number(charge_point, number)))
        keep([self._system.reports.forget(charge_point, view.number)])
        answer(response, view)

    def _whole(self, charge_point: str, number: str) -> WholeReport:
        found = self._system.reports.get(charge_point, _number(charge_point, number))
        parts = sorted(found.parts, key=lambda one: (one.seq_no is None, one.seq_no or 0))
        return WholeReport(**members(report(found)) | {"parts": viewed(map(part, parts))})


def _number(charge_point: str, given: str) -> int:
    if not (given.isascii() and given.isdigit() and len(given) <= DIGITS):
        raise Problem(404, "Unknown report", f"{charge_point} has no report {given}")
    return int(given)
