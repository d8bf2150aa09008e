"""Views of commands: tickets and their outcomes, bulk commands and their results."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from ..protocol.message import Message
from .views import Payload, View, Violation, moment, named, spell, violations, wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..actors.session.tickets import Ticket
    from ..protocol.actions import Version
    from ..system.bulk import Bulk, BulkResult


class CallError(View):
    """CALLERROR: code as the version spells it, description, details."""

    code: str
    description: str
    details: Payload = None


class Outcome(View):
    """State of a ticket, as short as it allows. `effect` is that of `until_effect`."""

    ticket: str
    state: str
    response: Payload | UnsetType = UNSET
    """Payload of the answer, as it came if it deviates."""
    error: CallError | UnsetType = UNSET
    effect: str | UnsetType = UNSET
    deviations: list[Violation] | UnsetType = UNSET


class Sent(Outcome, kw_only=True):
    """Outcome of a verb, with the message that it was put into."""

    action: str
    request: Payload


class TicketView(Outcome, kw_only=True):
    """All facts of a ticket. `late_answer` came after its time-out: a payload, or an error code."""

    open: bool
    charge_point: str
    action: str
    request: Payload
    reason: str
    timeout_s: float | None
    created_at: dt.datetime | None
    sent_at: dt.datetime | None
    ended_at: dt.datetime | None
    late_answer: Payload


class BulkView(View):
    """Bulk command and its counts. `total` is null until all charge points are chosen.

    `open` commands are under way, `waiting` of them for charge points that are away. `states` counts ended ones by the
    state of their ticket, `statuses` the answers by their status, `effects` what was waited for. `dropped` are results
    that are not kept any more, `failure` says why charge points could not be chosen.
    """

    bulk: str
    command: str
    created_at: dt.datetime | None
    at_most_at_once: int
    total: int | None
    open: int
    waiting: int
    ended: int
    ok: int
    states: dict[str, int]
    statuses: dict[str, int]
    effects: dict[str, int]
    dropped: int
    done: bool
    cancelled: bool
    failure: str


class BulkResultView(View):
    """Result of a bulk command at one charge point, as short as it allows; `number` counts in the order of the ends."""

    number: int
    charge_point: str
    ok: bool
    state: str
    ticket: str | None
    response: Payload | UnsetType = UNSET
    code: str | UnsetType = UNSET
    effect: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


def outcome(ticket: Ticket[Any], versions: Mapping[str, Version]) -> Outcome:
    """Show the state of a ticket."""
    return Outcome(**_outcome(ticket, versions))


def _outcome(ticket: Ticket[Any], versions: Mapping[str, Version]) -> dict[str, Any]:
    version = named(ticket.version, versions)
    view: dict[str, Any] = {"ticket": ticket.id, "state": ticket.state}
    if ticket.response is not None:
        view["response"] = msgspec.Raw(ticket.answer) if ticket.answer else wire(ticket.response)
    if ticket.code is not None:
        code = spell(version, ticket.code)
        view["error"] = CallError(code=code, description=ticket.reason, details=ticket.details)
    if ticket.effect is not None:
        view["effect"] = ticket.effect
    if ticket.deviations:
        view["deviations"] = violations(ticket.deviations, version)
    return view


def request_of(ticket: Ticket[Any]) -> msgspec.Raw | None:
    """Show the request of a ticket; a secret in it is not shown."""
    shown = ticket.request.__action__.shown(ticket.request)
    return msgspec.Raw(ticket.payload) if shown is ticket.request else wire(shown)


def ticket_facts(ticket: Ticket[Any], versions: Mapping[str, Version]) -> TicketView:
    """Show all facts of a ticket."""
    late = ticket.late_answer
    return TicketView(
        **_outcome(ticket, versions),
        open=ticket.open,
        charge_point=ticket.charge_point_id,
        action=ticket.action,
        request=request_of(ticket),
        reason=ticket.reason,
        timeout_s=ticket.timeout_s,
        created_at=moment(ticket.created_at),
        sent_at=moment(ticket.sent_at),
        ended_at=moment(ticket.ended_at),
        late_answer=wire(late) if isinstance(late, Message) else late,
    )


def bulk_facts(bulk: Bulk) -> BulkView:
    """Show a bulk command and its counts."""
    return BulkView(
        bulk=bulk.id,
        command=bulk.name,
        created_at=moment(bulk.created_at),
        at_most_at_once=bulk.at_once,
        **bulk.progress._asdict(),
    )


def bulk_result(result: BulkResult, versions: Mapping[str, Version]) -> BulkResultView:
    """Show the result of a bulk command at one charge point."""
    code = None if result.code is None else spell(named(result.version, versions), result.code)
    return BulkResultView(
        number=result.number,
        charge_point=result.charge_point_id,
        ok=result.ok,
        state=str(result.state),
        ticket=result.ticket_id or None,
        response=UNSET if result.response is None else wire(result.response),
        code=UNSET if code is None else code,
        effect=UNSET if result.effect is None else str(result.effect),
        reason=result.reason or UNSET,
    )
