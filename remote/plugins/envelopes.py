"""Envelopes between nodes and plugin hosts, as JSON for any language: docs/scaling.md describes every member.

Times are seconds since 1970. Readers raise `UnreadableEnvelope` for anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ...actors.session.charge_point import ChargePoint
from ...actors.session.tickets import Ticket, TicketState
from ...config.errors import ChargehandError
from ...protocol.effects import Effect
from ...protocol.errors import ErrorCode, OcppError, Refused, read_code
from ...protocol.payload import build, lenient
from ...protocol.session import Registration
from ...protocol.versions import version_named
from ...protocol.x509 import TlsFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...protocol.actions import Version
    from ...protocol.message import Message


KEEP_TRANSACTION_S = 3600
"""Seconds for which the answer to a transaction message is kept: the message may be sent again or redelivered."""
KEEP_S = 60
"""Seconds for which the answer to any other call is of use. No other envelope asks for it: its message id may be used
again. So it is not kept in Redis: its envelope is removed in the step that writes it."""


class UnreadableEnvelope(ChargehandError, ValueError):
    """A stream entry is no known envelope."""


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """A deviation of the payload from the specification."""

    path: str
    code: str
    text: str
    value: str = ""


class Envelope(msgspec.Struct, frozen=True, tag_field="kind", kw_only=True):
    """Base of the messages to plugin hosts."""

    node: str
    charge_point: str
    v: Literal[1]
    ocpp: str = "1.6"
    epoch: int = 0


class CallMade(Envelope, frozen=True, tag="call"):
    """Event: a charge point has sent a CALL. Its answer is stored under `key` for `keep_s`, if it is lasting."""

    id: str
    action: str
    unique_id: str
    payload: Raw
    received_at: float
    deadline_at: float
    timeout_s: float
    key: str
    keep_s: int
    transaction_id: int | None = None
    redelivered: bool = msgspec.field(default=False, name="replayed")
    deviations: tuple[Fault, ...] = ()
    facts: Raw = Raw(b"{}")
    naive_offset_min: int | None = 0
    """Offset from UTC of times without a zone, in minutes; None if they cannot be read."""

    @property
    def is_lasting(self) -> bool:
        """True if the call may come again in another envelope: sent again by the charge point, or redelivered."""
        return self.keep_s > KEEP_S


class TicketFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """Facts of the ticket of a command that has ended."""

    id: str
    action: str
    state: TicketState
    request: Raw
    timeout_s: float
    created_at: float
    when_offline: str = "fail"
    expires_in_s: float | None = None
    sent_at: float | None = None
    ended_at: float | None = None
    response: Raw | UnsetType = UNSET
    answer: bytes = b""
    """Answer as it came, if it deviates."""
    code: str | None = None
    reason: str = ""
    details: dict[str, Any] = msgspec.field(default_factory=dict)
    effect: Effect | None = None
    ocpp: str = ""


class OutcomeSeen(Envelope, frozen=True, tag="outcome"):
    """Event: a command has ended."""

    ticket: TicketFacts


class Decline(msgspec.Struct, frozen=True, omit_defaults=True):
    """Members of a CALLERROR."""

    code: str
    description: str = ""
    details: dict[str, Any] = msgspec.field(default_factory=dict)


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """Answer to a call or to a durable event; exactly one of the members is set.

    A durable event has no `error`; only it may be `untried`: no handler has ended for it, which is no failure.
    """

    response: Raw | UnsetType = UNSET
    error: Decline | UnsetType = UNSET
    failed: str | UnsetType = UNSET
    untried: str | UnsetType = UNSET


class CallAnswer(Verdict, frozen=True, tag_field="kind", tag="answer"):
    """Verdict on its way back to the node, with the id of its call."""

    id: str = msgspec.field(default="")


class EventLogged(Envelope, frozen=True, tag="event"):
    """Durable event for the consumer that its group is. The verdict is stored under `key` for `keep_s`."""

    id: str
    name: str
    event: Raw
    key: str
    keep_s: int

    @property
    def is_lasting(self) -> bool:
        """True: the event may come again in another envelope."""
        return True


class AnswerSeen(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="answered"):
    """Call and the answer that was sent: exactly one of `response` and `error` is set."""

    charge_point: str
    ocpp: str
    action: str
    unique_id: str
    payload: Raw
    received_at: float
    response: Raw | UnsetType = UNSET
    error: Decline | UnsetType = UNSET
    fallback: bool = False
    transaction_id: int | None = None


class EventSeen(msgspec.Struct, frozen=True, tag_field="kind", tag="event"):
    """Live event."""

    name: str
    event: Raw


class Seen(Envelope, frozen=True, tag="seen"):
    """Answers and live events of the charge points of a stream, in their order; they get no answer."""

    items: tuple[AnswerSeen | EventSeen, ...]
    facts: dict[str, Raw] = msgspec.field(default_factory=dict)
    """Facts of the charge points whose answers these are."""
    naive_offset_min: int | None = 0


class Wants(msgspec.Struct, frozen=True, omit_defaults=True):
    """Wants of a plugin host besides calls: `after` has actions with their version ("": every one), `on` events."""

    after: tuple[tuple[str, str], ...] = ()
    on: tuple[str, ...] = ()


class _Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str = ""
    peer: str = ""
    tls: TlsFacts | None = None
    connected_at: float | None = None
    disconnected_at: float | None = None
    registration: Registration | None = None
    boot: Raw | UnsetType = UNSET
    connectors: dict[str, Raw] = msgspec.field(default_factory=dict)


AnyEnvelope = CallMade | OutcomeSeen | EventLogged | Seen

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_encoder = msgspec.json.Encoder(decimal_format="number")
_envelopes: msgspec.json.Decoder[AnyEnvelope] = msgspec.json.Decoder(AnyEnvelope)
_answers = msgspec.json.Decoder(CallAnswer)
_verdicts = msgspec.json.Decoder(Verdict)
_wants = msgspec.json.Decoder(Wants)
_facts = msgspec.json.Decoder(_Facts)


def encode(value: Any) -> bytes:
    """Encode an envelope, or a part of one."""
    return _encoder.encode(value)


def read_envelope(data: bytes) -> AnyEnvelope:
    """Decode an envelope that a node has sent."""
    return _read(_envelopes, data)  # type: ignore[no-any-return]


def read_answer(data: bytes) -> CallAnswer:
    """Decode an answer that a plugin host has sent."""
    return _read(_answers, data)  # type: ignore[no-any-return]


def read_verdict(data: bytes) -> Verdict:
    """Decode a stored answer."""
    return _read(_verdicts, data)  # type: ignore[no-any-return]


def read_wants(data: bytes) -> Wants:
    """Decode the wants of a plugin host."""
    return _read(_wants, data)  # type: ignore[no-any-return]


def _read(decoder: Any, data: bytes) -> Any:
    try:
        return decoder.decode(data)
    except UNREADABLE as error:
        raise UnreadableEnvelope(f"{error}: {data[:200]!r}") from None


# -- Answers -------------------------------------------------------------------------------------


class RemoteFailed(ChargehandError):
    """A handler in a plugin host failed; its failures are counted there."""


def outcome_of(verdict: Verdict) -> bytes | Exception:
    """Convert a verdict to a call's outcome: the response as JSON, an `OcppError`, or `RemoteFailed`."""
    if verdict.response is not UNSET:
        return bytes(verdict.response)
    if verdict.error is not UNSET:
        try:
            return error_of(verdict.error)
        except UnreadableEnvelope as error:
            return RemoteFailed(f"a plugin host answered with an {error}")
    return RemoteFailed(verdict.failed if verdict.failed is not UNSET else "a plugin host gave no answer")


def decline_of(error: OcppError) -> Decline:
    """Return the members of the CALLERROR of an error."""
    return Decline(error.code, error.description, error.details)


def error_of(decline: Decline) -> OcppError:
    """Make the error of a CALLERROR. Raises `UnreadableEnvelope` for a code that OCPP does not have."""
    code = read_code(decline.code)
    if not isinstance(code, ErrorCode):
        raise UnreadableEnvelope(f"unknown code {code}")
    return OcppError(code, decline.description, decline.details)


# -- Charge points and tickets ---------------------------------------------------------------------


def facts_of(charge_point: ChargePoint) -> Raw:
    """Return the facts of a charge point: `name`, `peer`, `boot`, and the like."""
    facts: dict[str, Any] = {"peer": charge_point.peer, "connected_at": charge_point.connected_at}
    for name in ("name", "secure", "tls", "disconnected_at", "registration", "boot", "connectors"):
        value = getattr(charge_point, name)
        if value:
            facts[name] = value
    return Raw(_encoder.encode(facts))


def charge_point_of(id_: str, ocpp: str, versions: Mapping[str, Version], data: Raw) -> ChargePoint:
    """Make a charge point from its facts, without messages that cannot be read. Raises `UnreadableEnvelope`."""
    facts: _Facts = _read(_facts, bytes(data))
    charge_point = ChargePoint(id_, facts.name, ocpp)
    charge_point.peer = facts.peer
    charge_point.tls = facts.tls
    charge_point.connected_at = facts.connected_at
    charge_point.disconnected_at = facts.disconnected_at
    charge_point.registration = facts.registration
    version = version_named(versions, ocpp)
    rows = () if version is None else version.actions.values()
    boot = next((row.request for row in rows if row.registers), None)
    if boot is not None and facts.boot is not UNSET:
        charge_point.boot = _message(boot, facts.boot)
    for row in rows:
        if row.connector_status is None:
            continue
        for said in facts.connectors.values():
            message = _message(row.request, said)
            if message is not None:
                charge_point.note_status(row.connector_status(message), message)
    return charge_point


def _message(kind: type[Message], data: Raw) -> Any:
    try:
        return lenient(kind, data)[0]
    except Refused:
        return None


def ticket_facts(ticket: Ticket[Any]) -> TicketFacts:
    """Return the facts of an ended ticket; a secret in its request is left out."""
    row: Any = type(ticket.request).__action__
    payload, shown = ticket.payload, row.shown(ticket.request)
    if shown is not ticket.request:
        payload = build(type(shown), shown)
    return TicketFacts(
        id=ticket.id,
        action=ticket.action,
        state=ticket.state,
        request=Raw(payload),
        timeout_s=ticket.timeout_s,
        created_at=ticket.created_at,
        when_offline=ticket.when_offline,
        expires_in_s=ticket.expires_in_s,
        sent_at=ticket.sent_at,
        ended_at=ticket.ended_at,
        response=UNSET if ticket.response is None else Raw(_encoder.encode(ticket.response)),
        answer=ticket.answer,
        code=ticket.code,
        reason=ticket.reason,
        details=ticket.details,
        effect=ticket.effect,
        ocpp=ticket.version,
    )


def ticket_of(envelope: OutcomeSeen, versions: Mapping[str, Version]) -> Ticket[Any]:
    """Make a ticket from its facts. Raises `UnreadableEnvelope` for an unknown action or an unreadable request."""
    facts = envelope.ticket
    version = version_named(versions, facts.ocpp or envelope.ocpp)
    action = None if version is None else version.actions.get(facts.action)
    request = None if action is None else _message(action.request, facts.request)
    if action is None or request is None:
        raise UnreadableEnvelope(f"no request of {facts.action}: {bytes(facts.request)[:200]!r}")
    ticket: Ticket[Any] = Ticket(
        facts.id,
        envelope.charge_point,
        facts.action,
        request,
        bytes(facts.request),
        timeout_s=facts.timeout_s,
        created_at=facts.created_at,
        when_offline=facts.when_offline,
        expires_in_s=facts.expires_in_s,
    )
    ticket.state = facts.state
    ticket.sent_at, ticket.ended_at = facts.sent_at, facts.ended_at
    said = facts.answer or facts.response
    if said is not UNSET:
        try:
            ticket.response, ticket.deviations = lenient(action.response, said)
        except Refused as error:
            ticket.deviations = error.violations
    ticket.answer = facts.answer
    ticket.code = None if facts.code is None else read_code(facts.code)
    ticket.reason, ticket.details, ticket.effect = facts.reason, facts.details, facts.effect
    return ticket
