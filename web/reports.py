"""Reports of stations over HTTP, put together from their parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .requests import Problem, Query
from .resources import Resource, answer, viewed
from .tags import keep
from .views import as_sent

if TYPE_CHECKING:
    import falcon

    from ..store.reports import Report, ReportPart

DIGITS = 18
"""Digits that the number of a report has at most."""


def report(record: Report) -> dict[str, Any]:
    """Show a report without its contents; `parts` is the number of its parts."""
    return {
        "charge_point": record.charge_point_id,
        "number": record.number,
        "action": record.action,
        "request_id": record.request_id,
        "version": record.version,
        "state": record.state,
        "missing": list(record.missing),
        "flags": list(record.flags),
        "begun_at": record.begun_at,
        "last_at": record.last_at,
        "size_bytes": record.size_bytes,
        "parts": len(record.parts),
    }


def part(record: ReportPart) -> dict[str, Any]:
    """Show a part of a report; `payload` is as it was sent, null if it was cut."""
    return {
        "seq_no": record.seq_no,
        "last": record.last,
        "received_at": record.received_at,
        "payload": None if record.cut else as_sent(record.payload),
    }


class ReportsResource(Resource):
    """`/api/v1/charge-points/{id}/reports`, with `/{number}` one of them."""

    any_node = True

    def on_get(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """List the reports of a charge point, newest first, narrowed by `action` and `request_id`."""
        query = Query(request, "action", "request_id")
        number = (
            query.whole("request_id", default=0, least=0, most=2**63) if query.has("request_id") else None
        )
        found = self._system.reports.of(charge_point, action=query.text("action"), request_id=number)
        if not found and not self._system.knows(charge_point):
            raise Problem(404, "Unknown charge point", f"{charge_point} is not known here")
        answer(response, {"reports": viewed(report(one) for one in found)})

    def on_get_one(
        self, request: falcon.Request, response: falcon.Response, charge_point: str, number: str
    ) -> None:
        """Show a report with the payloads of its parts, in order of their numbers."""
        Query(request)
        answer(response, self._whole(charge_point, number))

    def on_delete_one(
        self, request: falcon.Request, response: falcon.Response, charge_point: str, number: str
    ) -> None:
        """Delete a report for good; answers with its facts."""
        Query(request)
        view = report(self._system.reports.get(charge_point, _number(charge_point, number)))
        keep([self._system.reports.forget(charge_point, view["number"])])
        answer(response, view)

    def _whole(self, charge_point: str, number: str) -> dict[str, Any]:
        found = self._system.reports.get(charge_point, _number(charge_point, number))
        parts = sorted(found.parts, key=lambda one: (one.seq_no is None, one.seq_no or 0))
        return report(found) | {"parts": viewed(part(one) for one in parts)}


def _number(charge_point: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS):
        raise Problem(404, "Unknown report", f"{charge_point} has no report {text}")
    return int(text)
