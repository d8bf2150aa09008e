"""Variables of charge points: as they are stored, read and set in messages that the charge point can take.

A charge point says how many variables, and bytes, a message may have. It is asked once, and what it says is
stored with its other variables; one that does not say gets 10 in a message, and one at a time when it refuses them.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gevent

from ..actors.session.tickets import TicketState
from ..config.errors import ChargehandError
from ..protocol.device_model import ACTUAL, UNLIMITED, MessageLimits, WantedVariable
from ..protocol.effects import Effect
from ..protocol.payload import build, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..actors.session.charge_point import ChargePoint
    from ..actors.session.tickets import Ticket
    from ..protocol.actions import Request, Version
    from ..protocol.device_model import DeviceModelAdapter, VariableName
    from ..store.reports import Report
    from ..store.store import Receipt, Store
    from ..store.variables import StoredVariable
    from .reports import Reports

ITEMS = 10
"""Variables in a message to a charge point that does not say how many it takes."""
FRAME_BYTES = 80
"""Bytes of a message beside its payload: its type, its id and its action."""
REMEMBERED = 1000
"""Charge points whose limits are in memory."""
LIMIT = 10_000
"""Variables of a charge point that are compared."""
STORED_S = 5.0
"""Seconds within which the last part of a report, which has come, must be in the store."""
LOOK_S = 0.02
NO_RESULT = "the answer has no result for it"


class VariablesNotSupported(ChargehandError):
    """Error: the charge point's version of OCPP has no variables."""


@dataclass(frozen=True, slots=True)
class VariableResult:
    """Outcome for an attribute of a variable that was to be read or set.

    `status` is that of the charge point, "" if there is none: `reason` says why. `value` is the value that was read or
    set.
    """

    name: str
    attribute: str
    status: str
    value: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class VariableDifference:
    """Attribute of a variable that differs between two charge points; None: it has no value, or is not there."""

    name: str
    attribute: str
    value: str | None
    other: str | None
    here: bool
    there: bool


@dataclass(frozen=True, slots=True)
class VariablesReport:
    """Outcome of a request for a report of variables; `report` is None if no part has come."""

    ticket: Ticket[Any]
    report: Report | None


@dataclass(slots=True)
class _Limits:
    """Limits of one charge point by action, as they are known in this connection."""

    connection: object
    by_action: dict[str, MessageLimits] = field(default_factory=dict)
    one_each: set[str] = field(default_factory=set)  # actions that have refused several


class Variables:
    """Variables of a system's charge points, as `system.variables`. All methods switch greenlets."""

    def __init__(
        self,
        store: Store,
        reports: Reports,
        send: Callable[..., Ticket[Any]],
        version_of: Callable[[str], Version],
        charge_point: Callable[[str], ChargePoint | None],
    ) -> None:
        self._store = store
        self._reports = reports
        self._send = send
        self._version_of = version_of
        self._charge_point = charge_point
        self._limits: OrderedDict[str, _Limits] = OrderedDict()

    # -- As they are stored ------------------------------------------------------------------------

    def of(
        self, charge_point_id: str, *, search: str = "", attribute: str = "", limit: int = LIMIT
    ) -> Sequence[StoredVariable]:
        """Return the stored variables of a charge point whose text has `search` in it, without case, in its order."""
        return self._store.variables.of(charge_point_id, search=search, attribute=attribute, limit=limit)

    def compare(
        self, charge_point_id: str, other_id: str, *, search: str = "", attribute: str = ACTUAL
    ) -> Sequence[VariableDifference]:
        """Return the stored variables whose values differ between two charge points, or that one of them has not."""
        mine = {one.name.key: one for one in self.of(charge_point_id, search=search, attribute=attribute)}
        others = {one.name.key: one for one in self.of(other_id, search=search, attribute=attribute)}
        found = []
        for key in sorted({*mine, *others}):
            here, there = mine.get(key), others.get(key)
            value, other = (None if one is None else one.value for one in (here, there))
            if value != other or here is None or there is None:
                text = mine[key].name.text if here is not None else others[key].name.text
                found.append(
                    VariableDifference(text, attribute, value, other, here is not None, there is not None)
                )
        return found

    def forget(self, charge_point_id: str) -> Receipt:
        """Delete the stored variables of a charge point, and what is known of its limits."""
        self._limits.pop(charge_point_id, None)
        return self._store.variables.forget(charge_point_id)

    # -- At the charge point -------------------------------------------------------------------------

    def get(
        self,
        charge_point_id: str,
        names: Sequence[str],
        *,
        attribute: str = ACTUAL,
        timeout_s: float | None = None,
    ) -> Sequence[VariableResult]:
        """Read variables, by their texts or configuration keys of OCPP 1.6; return a result for each, in their order.

        `timeout_s` is for each message. Raises `VerbRefused` for a text that names none, before anything is sent.
        """
        adapter = self._adapter(charge_point_id)
        wanted = [WantedVariable(self._named(charge_point_id, adapter, name), attribute) for name in names]
        return self._in_messages(charge_point_id, adapter, wanted, adapter.get_action, timeout_s)

    def set(
        self,
        charge_point_id: str,
        values: Mapping[str, str],
        *,
        attribute: str = ACTUAL,
        timeout_s: float | None = None,
    ) -> Sequence[VariableResult]:
        """Set variables, by their texts or configuration keys of OCPP 1.6; return a result for each, in their order.

        Raises `VerbRefused` for a text that names none, and `InvalidPayload` for a value that no variable can take,
        before anything is sent.
        """
        adapter = self._adapter(charge_point_id)
        wanted = [
            WantedVariable(self._named(charge_point_id, adapter, name), attribute, value)
            for name, value in values.items()
        ]
        return self._in_messages(charge_point_id, adapter, wanted, adapter.set_action, timeout_s)

    def refresh(
        self,
        charge_point_id: str,
        *,
        extent: str = "full",
        timeout_s: float | None = None,
        effect_timeout_s: float | None = None,
    ) -> VariablesReport:
        """Have the charge point report its variables, and wait for the last part.

        `extent` is "full", "configuration" (those that can be set) or "summary" (those that tell of availability).
        """
        adapter = self._adapter(charge_point_id)
        ticket = self._send(
            charge_point_id,
            adapter.report(extent),
            timeout_s=timeout_s,
            until_effect=True,
            effect_timeout_s=effect_timeout_s,
        )
        ticket.wait()
        number = getattr(ticket.request, "request_id", None)
        for _ in range(round(STORED_S / LOOK_S)):
            found = self._reports.of(charge_point_id, action=adapter.part_action, request_id=number)
            # The last part shows the effect, and is stored thereafter.
            comes = ticket.effect is Effect.DONE and adapter.reports(ticket.response)
            if not comes or any(part.last for one in found for part in one.parts):
                break
            gevent.sleep(LOOK_S)
        return VariablesReport(ticket, found[0] if found else None)

    def limits(self, charge_point_id: str, action: str, *, timeout_s: float | None = None) -> MessageLimits:
        """Return what a charge point says of the items and the bytes of one message of an action.

        It is asked, if it is connected and nothing is stored. No limits are known of one whose version has no
        variables.
        """
        adapter = self._version_of(charge_point_id).device_model
        if adapter is None:
            return UNLIMITED
        return self._limits_of(charge_point_id, adapter, timeout_s).by_action.get(action, UNLIMITED)

    def known_limits(self, charge_point_id: str, action: str) -> MessageLimits:
        """Return these limits as far as they are known in this process; never asks, and never switches greenlets."""
        known = self._limits.get(charge_point_id)
        return UNLIMITED if known is None else known.by_action.get(action, UNLIMITED)

    # -- Inside ------------------------------------------------------------------------------------

    def _adapter(self, charge_point_id: str) -> DeviceModelAdapter:
        version = self._version_of(charge_point_id)
        if version.device_model is None:
            raise VariablesNotSupported(f"{charge_point_id}: OCPP {version.name} has no variables")
        return version.device_model

    def _named(self, charge_point_id: str, adapter: DeviceModelAdapter, text: str) -> VariableName:
        """Return the variable that a text names: a stored one, if there is one, for names may have dots."""
        if text.count(".") > 1:
            for one in self._store.variables.of(charge_point_id, search=text):
                if one.name.key == text.lower():
                    return one.name
        return adapter.name_of(text)

    def _in_messages(
        self,
        charge_point_id: str,
        adapter: DeviceModelAdapter,
        wanted: Sequence[WantedVariable],
        action: str,
        timeout_s: float | None,
    ) -> Sequence[VariableResult]:
        make = adapter.get if action == adapter.get_action else adapter.set
        if not wanted:
            return []
        request = make(wanted)  # all of it is checked before anything is sent
        build(type(request), request)
        # One variable fits into every message.
        known = self._limits_of(charge_point_id, adapter, timeout_s) if len(wanted) > 1 else _Limits(None)
        return self._send_all(charge_point_id, adapter, wanted, action, known, timeout_s)

    def _send_all(
        self,
        charge_point_id: str,
        adapter: DeviceModelAdapter,
        wanted: Sequence[WantedVariable],
        action: str,
        known: _Limits,
        timeout_s: float | None,
    ) -> Sequence[VariableResult]:
        make = adapter.get if action == adapter.get_action else adapter.set
        results: dict[int, VariableResult] = {}
        waiting = deque(enumerate(wanted))
        while waiting:
            batch = self._next(waiting, make, action, known)
            request = make([one for _, one in batch])
            ticket = self._send(charge_point_id, request, timeout_s=timeout_s)
            ticket.wait()
            if ticket.state is TicketState.ANSWERED and ticket.response is not None:
                results |= self._results(adapter, batch, ticket)
            elif ticket.state is TicketState.REFUSED and len(batch) > 1:
                known.one_each.add(action)
                waiting.extendleft(reversed(batch))
            else:
                reason = f"{ticket.action} is {ticket.state}" + (
                    f": {ticket.reason}" if ticket.reason else ""
                )
                results |= {place: _failed(one, reason) for place, one in batch}
                if ticket.state is not TicketState.REFUSED:  # the next one would fare no better
                    results |= {place: _failed(one, f"not sent: {reason}") for place, one in waiting}
                    waiting.clear()
        return [results[place] for place in range(len(wanted))]

    @staticmethod
    def _next(
        waiting: deque[tuple[int, WantedVariable]],
        make: Callable[[Sequence[WantedVariable]], Request[Any]],
        action: str,
        known: _Limits,
    ) -> list[tuple[int, WantedVariable]]:
        """Take as many as fit into the next message; one at least."""
        limits = known.by_action.get(action, UNLIMITED)
        most = ITEMS if limits.items is None else max(limits.items, 1)
        if action in known.one_each:
            most = 1
        batch = [waiting.popleft()]
        size = len(encode(make([batch[0][1]]))) + FRAME_BYTES
        while waiting and len(batch) < most:
            size += len(encode(make([waiting[0][1]])))  # a little more than in the message
            if limits.size_bytes is not None and size > limits.size_bytes:
                break
            batch.append(waiting.popleft())
        return batch

    @staticmethod
    def _results(
        adapter: DeviceModelAdapter, batch: Sequence[tuple[int, WantedVariable]], ticket: Ticket[Any]
    ) -> dict[int, VariableResult]:
        """Give each variable its result, by its name and attribute: they may come in any order."""
        answers = list(adapter.answers(ticket.request, ticket.response))
        by_name = {(one.name.key, one.attribute.lower()): one for one in answers}
        if len(batch) == len(answers) == 1 and _nearly(batch[0][1].name, answers[0].name):
            by_name[batch[0][1].name.key, batch[0][1].attribute.lower()] = answers[0]
        results = {}
        for place, one in batch:
            found = by_name.get((one.name.key, one.attribute.lower()))
            if found is None:
                results[place] = _failed(one, NO_RESULT)
            else:
                results[place] = VariableResult(
                    one.name.text, one.attribute, found.status, found.value, found.reason
                )
        return results

    def _limits_of(
        self, charge_point_id: str, adapter: DeviceModelAdapter, timeout_s: float | None
    ) -> _Limits:
        """Return the limits of a charge point: of this connection, else as stored, else as it says when it is asked."""
        charge_point = self._charge_point(charge_point_id)
        connection = None if charge_point is None else charge_point.connected_at
        known = self._limits.get(charge_point_id)
        if known is None or known.connection != connection:
            known = _Limits(connection)
            names = {name.key: name for pair in adapter.limits.values() for name in pair if name is not None}
            stored = {
                one.name.key: one.value
                for one in self._store.variables.of(charge_point_id, search="permessage", attribute=ACTUAL)
            }
            self._read(adapter, known, stored)
            missing = [name for key, name in names.items() if key not in stored]
            if missing and (charge_point is None or charge_point.connected):
                stored |= self._ask(charge_point_id, adapter, missing, known, timeout_s)
                self._read(adapter, known, stored)
            self._limits[charge_point_id] = known
            if len(self._limits) > REMEMBERED:
                self._limits.popitem(last=False)
        return known

    def _ask(
        self,
        charge_point_id: str,
        adapter: DeviceModelAdapter,
        names: Sequence[VariableName],
        known: _Limits,
        timeout_s: float | None,
    ) -> dict[str, str | None]:
        """Ask a charge point for its limits: first how many it takes at a time, alone, then the others."""
        first = adapter.limits[adapter.get_action][0]
        parts = [[one for one in names if one == first], [one for one in names if one != first]]
        found: dict[str, str | None] = {}
        for part in filter(None, parts):
            wanted = [WantedVariable(name) for name in part]
            results = self._send_all(charge_point_id, adapter, wanted, adapter.get_action, known, timeout_s)
            found |= {name.key: one.value for name, one in zip(part, results, strict=True)}
            self._read(adapter, known, found)
            if not any(one.status for one in results):
                break  # it does not answer
        return found

    @staticmethod
    def _read(adapter: DeviceModelAdapter, known: _Limits, values: Mapping[str, str | None]) -> None:
        for action, (items, size_bytes) in adapter.limits.items():
            before = known.by_action.get(action, UNLIMITED)
            after = MessageLimits(
                _whole(values.get(items.key)) or before.items,
                _whole(values.get(size_bytes.key)) if size_bytes is not None else None,
            )
            known.by_action[action] = after._replace(size_bytes=after.size_bytes or before.size_bytes)


def _nearly(asked: VariableName, answered: VariableName) -> bool:
    """Return whether an answer is to the one question, though it may leave instances and the place out."""
    names = ((one.component.lower(), one.variable.lower()) for one in (asked, answered))
    return next(names) == next(names)


def _whole(value: str | None) -> int | None:
    """Read a limit; None for what is no whole number above 0."""
    return (
        int(value)
        if value and value.isascii() and value.isdigit() and len(value) < 10 and int(value)
        else None
    )


def _failed(one: WantedVariable, reason: str) -> VariableResult:
    return VariableResult(one.name.text, one.attribute, "", None, reason)
