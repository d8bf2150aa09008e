"""Reports of stations, for the host, the HTTP API and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..store.reports import ReportNotFound, reports_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from ..store.reports import Report
    from ..store.store import Receipt, Store


class Reports:
    """Reports as they are stored, as `system.reports`. All methods switch greenlets."""

    def __init__(self, store: Store, *, wait_s: float, now: Callable[[], dt.datetime]) -> None:
        self._store = store
        self._wait_s = wait_s
        self._now = now

    def of(
        self, charge_point_id: str, *, action: str = "", request_id: int | None = None
    ) -> Sequence[Report]:
        """Return the reports of a charge point, newest first, without the payloads of their parts."""
        parts = self._store.reports.parts(charge_point_id)
        return [
            report
            for report in reports_of(parts, self._now(), self._wait_s)
            if action in ("", report.action) and request_id in (None, report.request_id)
        ]

    def get(self, charge_point_id: str, number: int) -> Report:
        """Return a report with the payloads of its parts. Raises `ReportNotFound`."""
        known = next((report for report in self.of(charge_point_id) if report.number == number), None)
        parts = self._store.reports.parts(charge_point_id, number)
        if known is None or not parts:
            raise ReportNotFound(f"{charge_point_id} has no report {number}")
        return msgspec.structs.replace(known, parts=tuple(parts))

    def forget(self, charge_point_id: str, number: int) -> Receipt:
        """Delete a report for good. Raises `ReportNotFound`."""
        self.get(charge_point_id, number)
        return self._store.reports.forget(charge_point_id, [number])
