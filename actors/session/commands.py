"""Commands to one charge point: from a request to its ticket, and the ends and effects of the tickets of a session."""

from __future__ import annotations

import datetime as dt
import math
import random
import secrets
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec

from ...config.errors import ChargehandError
from ...config.schema import nearest
from ...protocol.actions import ALLOTTED, Sender
from ...protocol.effects import Effect, Expectation, pair_of
from ...protocol.errors import Deviation, ErrorCode, InvalidPayload
from ...protocol.events import CommandEnded
from ...protocol.message import wire_name
from ...protocol.outgoing import INFINITY
from ...protocol.payload import build, encode, typed
from ...protocol.verbs import DRAWN, RotateKey, SyncLocalList, Verb, VerbFacts, VerbRefused
from ...protocol.versions import VERSIONS
from .messages import TicketEnded
from .tickets import Ticket, TicketState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ...protocol.actions import Action, Request, Version
    from ...protocol.effects import Pair
    from ...protocol.local_lists import LocalListFacts
    from ...protocol.message import Message
    from ..runtime.threads import Inlet
    from .cell import ChargePointCell
    from .context import SessionContext, SessionStore

KEY_BYTES = 20
"""Length of a key that is drawn; it is sent as twice as many hexadecimal digits."""

R = TypeVar("R", bound="Message")

LARGEST_NUMBER = 2**31 - 1
"""Largest number that a message may have for a request or a reservation."""

CONFIGURATION_KEYS = 512
"""Configuration keys that are remembered of one charge point."""


class UnknownVersion(ChargehandError, LookupError):
    """Error: the system does not speak this version of OCPP, or cannot tell which one is meant."""


class UnknownAction(ChargehandError, LookupError):
    """Error: the version of OCPP has no such action."""


class NotACommand(ChargehandError, ValueError):
    """Error: the action is sent by charge points, not to them."""


@dataclass(frozen=True, slots=True)
class PreparedCommand(Generic[R]):
    """Command that was checked and written once: its action's row, its request and its payload."""

    row: Action
    request: Request[R]
    payload: bytes


class CommandDefaults(NamedTuple):
    """Default times of a command: seconds for its answer, until it is sent, and for its effect."""

    timeout_s: float
    expires_in_s: float
    effect_timeout_s: float


def make_ticket(
    new_id: Callable[[], str],
    charge_point: str,
    request: Request[R] | PreparedCommand[R] | Verb,
    *,
    limits: CommandDefaults,
    created_at: float,
    cancel: Callable[[Ticket[Any]], None],
    home: Inlet,
    timeout_s: float | None,
    when_offline: str,
    expires_in_s: float | None,
    until_effect: bool,
    effect_timeout_s: float | None,
    versions: Mapping[str, Version] = VERSIONS,
    versions_for: Callable[[str], Iterable[Version]] | None = None,
) -> Ticket[R]:
    """Check a request and its times, and make its ticket. Raises as `CentralSystem.send` does.

    A verb is put into a message of the first version that has one, of those in `versions_for` the charge point, by
    default the preferred one; its session does so again with the version that it speaks.
    """
    _check_seconds(timeout_s=timeout_s, expires_in_s=expires_in_s, effect_timeout_s=effect_timeout_s)
    if when_offline not in ("fail", "queue"):
        raise ValueError('when_offline is "fail" or "queue"')
    verb = None
    if isinstance(request, Verb):
        request = verb = numbered(request)
        may_speak = [next(iter(versions.values()))] if versions_for is None else versions_for(charge_point)
        command = _first_translated(request, may_speak, created_at)
    else:
        command = prepared(request, versions)
    row = command.row
    if until_effect and pair_of(command.request) is None:
        raise ValueError(f"OCPP has no message that shows the effect of {row.name}")
    if until_effect and effect_timeout_s is None:
        effect_timeout_s = limits.effect_timeout_s
    return Ticket(
        new_id(),
        charge_point,
        row.name,
        command.request,
        command.payload,
        timeout_s=limits.timeout_s if timeout_s is None else timeout_s,
        created_at=created_at,
        when_offline=when_offline,
        expires_in_s=limits.expires_in_s if expires_in_s is None else expires_in_s,
        cancel=cancel,
        home=home,
        effect_timeout_s=effect_timeout_s if until_effect else None,
        verb=verb,
    )


def _first_translated(verb: Verb, versions: Iterable[Version], now: float) -> PreparedCommand[Any]:
    """Translate a verb into a message of the first version that takes it. Raises as the first one does."""
    first, *others = versions
    try:
        return translated(verb, first, now)
    except (VerbRefused, InvalidPayload):
        for version in others:
            with suppress(VerbRefused, InvalidPayload):
                return translated(verb, version, now)
        raise


def numbered(verb: Verb) -> Verb:
    """Draw the number, or the key, of what a verb makes if it has none: it may be put into a message again."""
    if type(verb) is RotateKey and not verb.key:
        return msgspec.structs.replace(verb, key=secrets.token_hex(KEY_BYTES))
    member = DRAWN.get(type(verb))
    if member is not None and getattr(verb, member) is None:
        return msgspec.structs.replace(verb, **{member: _number()})
    return verb


def named(verb: Verb, store: SessionStore) -> Verb:
    """Name the transaction of a verb as its charge point does, if that has given it an id of its own.

    A transaction is known to be open in the process that its charge point is connected to, and may be in others.
    """
    number = getattr(verb, "transaction_id", None)
    known = store.open_transaction(number) if isinstance(number, int) else None
    if known is None or not known.remote_id:
        return verb
    changes: dict[str, Any] = {"transaction_id": known.remote_id}
    if getattr(verb, "evse", 0) is None:
        changes["evse"] = known.evse_id
    return msgspec.structs.replace(verb, **changes)


def translated(
    verb: Verb,
    version: Version,
    now: float,
    configuration: Mapping[str, str] | None = None,
    local_list: LocalListFacts | None = None,
) -> PreparedCommand[Any]:
    """Translate a verb into a message of a version, and encode that. `now` is seconds since 1970.

    Raises `VerbRefused`, and `InvalidPayload` for arguments that the message does not take.
    """
    facts = VerbFacts(
        dt.datetime.fromtimestamp(int(now), dt.UTC),
        _number(),
        configuration or MappingProxyType({}),
        local_list,
    )
    return prepared(version.translate(verb, facts), {version.subprotocol: version})


def prepared(request: Request[R] | PreparedCommand[R], versions: Mapping[str, Version]) -> PreparedCommand[R]:
    """Check a request and encode its payload; a prepared command stays as it is."""
    if isinstance(request, PreparedCommand):
        return request
    row = row_of(request, versions)
    _check_sender(row)
    if row.numbered and getattr(request, row.numbered) == ALLOTTED:
        request = msgspec.structs.replace(request, **{row.numbered: _number()})
    payload = build(row.request, request)
    _check_members(row, request)
    return PreparedCommand(row, request, payload)


def prepare(version: Version, action: str, payload: bytes) -> PreparedCommand[Any]:
    """Check a payload in JSON as the request of an action of this version, once.

    The number by which later messages name the command is allotted if the payload has none. Raises `UnknownAction`,
    `NotACommand` for what charge points send, and `InvalidPayload` with all violations.
    """
    row = version.actions.get(action)
    if row is None:
        near = nearest(action, [known.name for known in version.sent_by(Sender.CENTRAL_SYSTEM)])
        hint = f"; did you mean {near}?" if near else ""
        raise UnknownAction(f"OCPP {version.name} has no action {action}{hint}")
    _check_sender(row)
    request = typed(row.request, _with_number(row, payload) if row.numbered else payload)
    _check_members(row, request)
    return PreparedCommand(row, request, encode(request))


def _number() -> int:
    return random.randrange(1, LARGEST_NUMBER)  # noqa: S311 - no secret


def _with_number(row: Action, payload: bytes) -> bytes:
    """Add the number of a command to a payload that has none."""
    try:
        members = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return payload  # the check of the payload tells why
    name = wire_name(row.request, row.numbered)
    if members.setdefault(name, msgspec.Raw(b"%d" % ALLOTTED)) != msgspec.Raw(b"%d" % ALLOTTED):
        return payload
    members[name] = msgspec.Raw(b"%d" % _number())
    return msgspec.json.encode(members)


def _check_sender(row: Action) -> None:
    if not row.sender.allows(Sender.CENTRAL_SYSTEM):
        raise NotACommand(f"{row.name} is sent by charge points, not to them")


def _check_members(row: Action, request: Request[Any]) -> None:
    """Raise `InvalidPayload` for members that are right by themselves, and wrong together."""
    wrong = None if row.forbids is None else row.forbids(request)
    if wrong is not None:
        path, why = wrong
        raise InvalidPayload([Deviation(path, ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, why)], row.name)


def row_of(request: Request[Any], versions: Mapping[str, Version]) -> Action:
    """Find the row of a request in the versions of a system; raises LookupError if none has it."""
    row: Action | None = getattr(request, "__action__", None)
    if row is None or not any(version.actions.get(row.name) is row for version in versions.values()):
        names = " or ".join(version.name for version in versions.values())
        raise LookupError(f"{request!r} is not a request of OCPP {names}")
    return row


def _check_seconds(**given: Any) -> None:
    # Checked here: in the session it would only cause a crash, and without an end a ticket breaks its promise.
    for name, value in given.items():
        if value is None:
            continue
        if not isinstance(value, int | float) or not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} must be seconds above 0, not {value!r}")


def command_ended(ticket: Ticket[Any], at: dt.datetime) -> CommandEnded:
    """Make the event of a ticket that has ended; without secrets."""
    request = ticket.request.__action__.shown(ticket.request)
    response = None if ticket.response is None else msgspec.to_builtins(ticket.response)
    return CommandEnded(
        at=at,
        charge_point_id=ticket.charge_point_id,
        ticket_id=ticket.id,
        action=ticket.action,
        state=str(ticket.state),
        reason=ticket.reason,
        request=msgspec.to_builtins(request),
        response=response,
    )


def log_end(context: SessionContext, ticket: Ticket[Any]) -> None:
    """Store the event of a ticket that has ended, in the commit that removes its record if it has one."""
    event = command_ended(ticket, context.now())
    if ticket.persisted is not None and context.durable_tickets is not None:
        context.durable_tickets.forget(ticket, event)
    else:
        context.store.publish(event)


class SessionCommands:
    """Tickets of one charge point: their ends, and the effects that are still expected."""

    __slots__ = ("_cell", "configuration", "expectations")

    def __init__(self, cell: ChargePointCell) -> None:
        self._cell = cell
        # What answers to commands have told of its configuration, by key.
        self.configuration: dict[str, str] = {}
        self.expectations: list[Expectation] | None = None

    def end(self, ticket: Ticket[Any], state: TicketState, reason: str = "") -> None:
        """Give a ticket its final state, and notify those that it concerns."""
        pending = ticket.effect is Effect.PENDING
        if ticket.end(state, self._cell.context.clock.time(), reason):
            log_end(self._cell.context, ticket)
            self._cell.notify(self._cell.context.host.ticket_ended, ticket)
            self._cell.event("ticket", f"{ticket.id} {ticket.action} {state}")
            self._cell.context.router.tell_outcome(ticket.action, TicketEnded(ticket))
            self._cell.context.observer.count(f"ticket_{state}", self._cell.charge_point.id)
            self._cell.context.meter.command_ended(ticket)
            if pending and ticket.effect is not Effect.PENDING:
                self._cell.context.observer.count(f"effect_{ticket.effect}", self._cell.charge_point.id)
                self._cell.context.meter.effect_known(ticket)
            if self.expectations is not None and state is not TicketState.ANSWERED:
                refused = state is TicketState.REFUSED and not ticket.unreadable
                self.note_ending(ticket, Expectation.refused if refused else Expectation.unanswered)

    def detach_all(self, reason: str) -> None:
        """End all open commands; those that the next process will send stay in the store."""
        durable_tickets, calls = self._cell.context.durable_tickets, self._cell.session.calls
        if calls is not None and durable_tickets is not None:
            for outgoing in list(calls.waiting):
                if durable_tickets.survives(outgoing.owner):
                    calls.remove(outgoing.owner)
                    outgoing.owner.detach(self._cell.context.clock.time(), reason)
        self.end_all(reason)

    def end_all(self, reason: str) -> None:
        """End all open commands, which will not be sent or answered any more."""
        calls = self._cell.session.calls
        if calls is None:
            return
        on_wire = calls.take_off_wire()
        if on_wire is not None:
            self.end(on_wire.owner, TicketState.OUTCOME_UNKNOWN, reason)
        for outgoing in calls.clear():
            self.end(outgoing.owner, TicketState.NEVER_SENT, reason)
        self.drop()

    def translate(self, ticket: Ticket[Any], *, to_send: bool = False) -> None:
        """Put the verb of a ticket into a message of the version that the charge point speaks.

        One that is not sent yet, and is made again then, needs no local list. Raises `VerbRefused` or `InvalidPayload`
        if the version has no message for it.
        """
        if ticket.verb is not None:
            context, id_ = self._cell.context, self._cell.charge_point.id
            local_list = (
                context.host.local_list(id_) if to_send and type(ticket.verb) is SyncLocalList else None
            )
            version, now = self._cell.session.rules.version, context.clock.time()
            verb = named(ticket.verb, context.store)
            command = translated(verb, version, now, self.configuration, local_list)
            ticket.put_into(command.request, command.payload)

    def note_configuration(self, told: Mapping[str, str]) -> None:
        """Remember what an answer tells of the charge point's configuration."""
        for key, value in told.items():
            if key in self.configuration or len(self.configuration) < CONFIGURATION_KEYS:
                self.configuration[key] = value

    def expect(self, ticket: Ticket[Any], pair: Pair) -> None:
        """Expect the effect of a command that is on the wire now."""
        if self.expectations is None:
            self.expectations = []
        ticket.effect_due = INFINITY
        clock = self._cell.context.clock
        not_before = max(0.0, clock.time() - self._cell.context.clock_tolerance_s)
        since = dt.datetime.fromtimestamp(not_before, dt.UTC)
        self.expectations.append(Expectation(ticket, pair, ticket.request, since, clock.monotonic()))

    def note_ending(self, ticket: Ticket[Any], note: Callable[[Expectation], object]) -> None:
        """Tell the expectation of a command how the command ended; the time for its effect counts from then on.

        A later answer may add facts, but does not extend the time.
        """
        for expectation in self.expectations or ():
            if expectation.owner is ticket:
                note(expectation)
                if ticket.effect_due == INFINITY and ticket.effect_timeout_s is not None:
                    ticket.effect_due = self._cell.context.clock.monotonic() + ticket.effect_timeout_s
                    self._cell.wake(ticket.effect_due)
        self.settle()

    def settle(self) -> None:
        """Give the tickets the effects that are known now, or whose time is over."""
        now = self._cell.context.clock.monotonic()
        waiting = []
        for expectation in self.expectations or ():
            ticket = expectation.owner
            if ticket.effect is not Effect.PENDING:
                continue  # the command was refused
            if expectation.effect is Effect.PENDING and ticket.effect_due > now:
                waiting.append(expectation)
            else:
                over = expectation.effect is Effect.PENDING
                self._end_effect(ticket, Effect.NO_EFFECT if over else expectation.effect)
        self.expectations = waiting or None

    def drop(self) -> None:
        """End all effects that are still expected: they cannot be seen any more."""
        for expectation in self.expectations or ():
            self._end_effect(expectation.owner, Effect.NO_EFFECT)
        self.expectations = None

    def _end_effect(self, ticket: Ticket[Any], effect: Effect) -> None:
        if ticket.end_effect(effect):
            self._cell.context.observer.count(f"effect_{effect}", self._cell.charge_point.id)
            self._cell.context.meter.effect_known(ticket)
