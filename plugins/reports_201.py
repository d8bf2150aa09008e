"""Reports and variables of stations of OCPP 2.0.1.

The parts of all kinds of reports are stored, and put together by `requestId`. Variables are stored as the parts of
reports tell them, whether the reports are whole or not, and as they are read and set.

The one rule: nothing is lost. A part that nobody asked for, that has no number, or comes late, is a part of a report.
What a report says of a person stands in it, and nowhere else.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from .. import Call, Event, Plugin, ReportCollector, TicketState, on_outcome, v201
from .corrections_201 import Corrections201
from .kept_messages import passive_each

if TYPE_CHECKING:
    from collections.abc import Callable

    from .. import PluginSpec, Settings, Store, Ticket

VERSION_NAME = v201.VERSION.name
_model: Any = v201.VERSION.device_model
ANSWERS: dict[Any, Any] = {
    v201.NotifyReport: v201.NotifyReportResponse(),
    v201.NotifyMonitoringReport: v201.NotifyMonitoringReportResponse(),
    v201.NotifyDisplayMessages: v201.NotifyDisplayMessagesResponse(),
    v201.NotifyCustomerInformation: v201.NotifyCustomerInformationResponse(),
    v201.ReportChargingProfiles: v201.ReportChargingProfilesResponse(),
}
"""Answers to the parts of all kinds of reports, by request."""
NEEDED_BY_VERBS = frozenset({"SmartChargingCtrlr.RateUnit", "SecurityCtrlr.MaxCertificateChainSize"})
"""Variables that the messages of verbs depend on."""
WHOLE = "report"
"""Kind of the event of a report that is whole."""
NO_TIME = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Reports201(Plugin):
    """Reports of stations of OCPP 2.0.1.

    A report is bounded by `size_bytes`; `kept` of each kind are kept of a charge point. One that is not whole waits
    for `wait_s`. `variables` are the most attributes of variables of a charge point.
    """

    outcomes_once = True

    def __init__(
        self,
        store: Store,
        *,
        size_bytes: int = 4_194_304,
        kept: int = 3,
        wait_s: float = 120.0,
        variables: int = 5000,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        super().__init__()
        self._store = store
        self._corrections = Corrections201(store)
        self._variables = variables
        self._now = now
        self._collector = ReportCollector(store.reports, size_bytes=size_bytes, kept=kept, wait_s=wait_s)

    @classmethod
    def bundled(cls, settings: Settings, store: Store) -> PluginSpec | None:
        """Make the spec of this plugin in a system with these settings; None if they switch it off."""
        if not settings.back_office.enabled:
            return None
        reports = settings.reports
        return cls.spec(
            store,
            size_bytes=reports.size_bytes,
            kept=reports.kept,
            wait_s=reports.wait_s,
            variables=reports.variables,
            name="reports-201",
        )

    @passive_each(ANSWERS)
    def take(self, call: Call[Any]) -> Any:
        """Store a part of a report."""
        request = call.request
        receipt, progress, completed = self._collector.take(
            call.payload,
            charge_point_id=call.charge_point.id,
            version=VERSION_NAME,
            action=call.action,
            request_id=request.request_id,
            seq_no=_number_of(call),
            last=not request.tbc,
            received_at=call.received_at,
            digest=_digest(call),
            connection=call.charge_point.connected_at,
        )
        if completed:
            data = {"action": call.action, "requestId": request.request_id, "number": progress.number}
            self._store.add_event(
                Event(
                    charge_point_id=call.charge_point.id,
                    kind=WHOLE,
                    received_at=call.received_at,
                    data={**data, "parts": progress.parts, "sizeBytes": progress.size_bytes},
                )
            )
        receipts = [receipt, *self._corrections.take(call, number=progress.number if completed else None)]
        if type(request) is v201.NotifyReport and request.report_data:
            call.note_configuration(_configuration_of(request))
            told, limit = _model.told(request), self._variables
            receipts.append(
                self._store.variables.put(call.charge_point.id, told, call.received_at, limit=limit)
            )
        return call.once_stored(ANSWERS[type(request)], *receipts)

    @on_outcome("GetMonitoringReport")
    @on_outcome("GetDisplayMessages")
    @on_outcome("GetChargingProfiles")
    def asked(self, ticket: Ticket[Any]) -> None:
        """Remember what a report was asked for: it comes in order behind this answer."""
        self._corrections.asked(ticket)

    @on_outcome(v201.GetVariables)
    def read(self, ticket: Ticket[v201.GetVariablesResponse]) -> None:
        """Store the values that were read."""
        self._learn(ticket)

    @on_outcome(v201.SetVariables)
    def changed(self, ticket: Ticket[v201.SetVariablesResponse]) -> None:
        """Store the values that were set."""
        self._learn(ticket)

    def _learn(self, ticket: Ticket[Any]) -> None:
        if ticket.state is TicketState.ANSWERED:
            told = _model.told_by(ticket.request, ticket.response)
            if told:
                self._store.variables.put(ticket.charge_point_id, told, self._now(), limit=self._variables)


def _configuration_of(request: v201.NotifyReport) -> dict[str, str]:
    """Return the values in a report that the messages of verbs depend on."""
    found: dict[str, str] = {}
    for one in request.report_data or ():
        key = v201.variable_key(one.component, one.variable)
        if key in NEEDED_BY_VERBS:
            for attribute in one.variable_attribute:
                if attribute.type in (None, v201.AttributeType.ACTUAL) and attribute.value is not None:
                    found[key] = attribute.value
    return found


def _number_of(call: Call[Any]) -> int | None:
    """Return the number of a part; None if its message has none."""
    number: int | None = getattr(call.request, "seq_no", None)
    if any(one.stood_in and one.path == "seqNo" for one in call.deviations):
        return None
    return number


def _digest(call: Call[Any]) -> str:
    """Return the same text for a part that comes again, with whatever time it was generated."""
    data = bytes(call.payload)
    if not call.deviations:
        request = call.request
        if getattr(request, "generated_at", None) is not None:
            request = msgspec.structs.replace(request, generated_at=NO_TIME)
        with contextlib.suppress(UnicodeEncodeError):  # a text has half of a surrogate pair
            data = msgspec.json.encode(request)
    return hashlib.blake2b(data, digest_size=16).hexdigest()
