"""Corrections of the accepted state by the reports of stations: monitors, charging profiles, messages of displays.

The one rule: what a report has is noted with each of its parts; what it does not have is forgotten only when the report
is whole, and the command is known that asked for it.
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgspec

from .. import v201
from . import charging_profiles as profiles
from . import display_messages, monitors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .. import Call, Receipt, ReportPart, Store, Ticket, Transaction

ASKED_BY = {
    "NotifyMonitoringReport": "GetMonitoringReport",
    "NotifyDisplayMessages": "GetDisplayMessages",
    "ReportChargingProfiles": "GetChargingProfiles",
}
"""Commands that ask for the reports that correct something, by the action of their parts."""


REMEMBERED = 1000
"""Commands of all stations that have asked for a report."""


class Corrections201:
    """Corrections by reports; what they were asked for is remembered until they are whole."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._collections = store.collections
        self._asked: OrderedDict[tuple[str, str, int], Ticket[Any]] = OrderedDict()

    def asked(self, ticket: Ticket[Any]) -> None:
        """Remember a command that a report will answer."""
        if ticket.response is not None and ticket.response.status == "Accepted":
            request: Any = ticket.request
            self._asked[ticket.charge_point_id, ticket.action, request.request_id] = ticket
            if len(self._asked) > REMEMBERED:
                self._asked.popitem(last=False)

    def take(self, call: Call[Any], *, number: int | None) -> list[Receipt]:
        """Note what is in a part; `number` is that of its report if it is whole with it. May switch greenlets."""
        request, charge_point_id, now = call.request, call.charge_point.id, call.received_at
        if isinstance(request, v201.NotifyMonitoringReport):
            receipts = monitors.note_reported(self._collections, request, charge_point_id, now)
        elif isinstance(request, v201.NotifyDisplayMessages):
            receipts = self._messages(request, charge_point_id, now)
        elif isinstance(request, v201.ReportChargingProfiles):
            receipts = profiles.note_reported(
                self._collections, request, charge_point_id, self._transaction_of(charge_point_id), now
            )
        else:
            return []
        if number is not None:
            receipts += self._whole(call, number)
        return receipts

    def _messages(
        self, request: v201.NotifyDisplayMessages, charge_point_id: str, now: dt.datetime
    ) -> list[Receipt]:
        find, receipts = self._transaction_of(charge_point_id), []
        for message in request.message_info or ():
            transaction = find(message.transaction_id)
            receipts += display_messages.put(self._collections, charge_point_id, message, transaction, now)
        return receipts

    def _transaction_of(self, charge_point_id: str) -> Callable[[str | None], Transaction | None]:
        def find(remote_id: str | None) -> Transaction | None:
            if remote_id is None:
                return None
            return self._store.remote_transaction(charge_point_id, remote_id)

        return find

    def _whole(self, call: Call[Any], number: int) -> list[Receipt]:
        """Forget what a whole report was asked for and does not have."""
        charge_point_id, action = call.charge_point.id, ASKED_BY[call.action]
        ticket = self._asked.pop((charge_point_id, action, call.request.request_id), None)
        if ticket is None or ticket.sent_at is None:
            return []
        asked: Any = ticket.request
        before = dt.datetime.fromtimestamp(ticket.sent_at, dt.UTC)
        try:
            # The last part may not be stored yet.
            payloads = {bytes(call.payload), *(one.payload for one in self._parts(charge_point_id, number))}
            parts = [msgspec.json.decode(payload) for payload in payloads]
            if action == "GetChargingProfiles":
                told = set(_profiles(parts))
                return profiles.keep_only(self._collections, charge_point_id, told, asked, before)
            if action == "GetDisplayMessages":
                shown = {one["id"] for part in parts for one in part.get("messageInfo") or ()}
                return display_messages.keep_only(self._collections, charge_point_id, shown, asked, before)
            numbers = set(_monitors(parts))
            return monitors.keep_only(self._collections, charge_point_id, numbers, asked, before)
        except (msgspec.DecodeError, ValueError, LookupError, TypeError, AttributeError):
            return []  # a part is not as it should be: nothing is forgotten by it

    def _parts(self, charge_point_id: str, number: int) -> Sequence[ReportPart]:
        return self._store.reports.parts(charge_point_id, number)


def _profiles(parts: list[Any]) -> Iterator[tuple[str, int, int]]:
    for part in parts:
        source = part["chargingLimitSource"]
        for one in part["chargingProfile"]:
            yield "" if source == profiles.OURS else source, part["evseId"], one["id"]


def _monitors(parts: list[Any]) -> Iterator[int]:
    for part in parts:
        for data in part.get("monitor") or ():
            for one in data["variableMonitoring"]:
                yield one["id"]
