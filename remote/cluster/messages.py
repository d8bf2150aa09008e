"""Messages between nodes, as MessagePack. Frozen; commands imperative, events past tense.

Times are seconds since 1970. A node ignores messages of another version that it cannot read.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...store.records import TicketRecord


class NodeMessage(msgspec.Struct, frozen=True, tag_field="kind", omit_defaults=True):
    """Base of the messages between nodes."""


class ForwardCommand(NodeMessage, frozen=True, tag="call"):
    """Send a command to a charge point that you own; the sender has its ticket, with the record's id."""

    ticket: TicketRecord


class CancelForwarded(NodeMessage, frozen=True, tag="cancel"):
    """Do not send it, if it is not on the wire yet."""

    id: str
    charge_point: str


class CommandReturned(NodeMessage, frozen=True, tag="returned"):
    """The command was not sent by this node, which does not own the charge point."""

    id: str
    reason: str = ""


class CommandSent(NodeMessage, frozen=True, tag="sent"):
    """The command is on the wire. One that was made from a verb comes as it was put into a message there."""

    id: str
    at: float
    version: str = ""
    action: str = ""
    payload: bytes = b""


class CommandEnded(NodeMessage, frozen=True, tag="ended"):
    """The command has its final state. `response` is JSON."""

    id: str
    state: str
    at: float
    reason: str = ""
    response: bytes | None = None
    code: str | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)
    effect: str | None = None


class EffectKnown(NodeMessage, frozen=True, tag="effect"):
    """The effect of a command became known after its answer."""

    id: str
    effect: str


class Fence(NodeMessage, frozen=True, tag="fence"):
    """Command: release a charge point, which the sender has claimed, and confirm that."""

    charge_point: str
    epoch: int


class LetGo(NodeMessage, frozen=True, tag="let_go"):
    """Nothing more will be sent to a charge point by this node."""

    charge_point: str
    epoch: int


class Ask(NodeMessage, frozen=True, tag="ask"):
    """Answer a request of the HTTP API as if it had come to you, and reply."""

    id: str
    method: str
    path: str
    query: str = ""
    body: bytes = b""


class Reply(NodeMessage, frozen=True, tag="reply"):
    """The answer to `Ask`."""

    id: str
    status: int
    body: bytes
    location: str = ""
    content_type: str = ""


class ReplyPart(NodeMessage, frozen=True, tag="reply_part"):
    """Beginning of the body of a `Reply` that is too long for one message; the rest follows in order."""

    id: str
    body: bytes


class WantEvents(NodeMessage, frozen=True, tag="want_events"):
    """Tell the sender of live events of these kinds from now on; of none if there are none."""

    kinds: tuple[str, ...] = ()


class EventHappened(NodeMessage, frozen=True, tag="event"):
    """A live event has happened. `data` is its JSON."""

    event: str
    data: str


class AskVersions(NodeMessage, frozen=True, tag="ask_versions"):
    """Say which versions of OCPP you speak. A node that speaks the oldest one alone does not know this message."""


class VersionsSpoken(NodeMessage, frozen=True, tag="versions"):
    """The answer to `AskVersions`: names of versions of OCPP."""

    versions: tuple[str, ...]


AnyMessage = (
    ForwardCommand
    | CancelForwarded
    | CommandReturned
    | CommandSent
    | CommandEnded
    | EffectKnown
    | Fence
    | LetGo
    | Ask
    | Reply
    | ReplyPart
    | WantEvents
    | EventHappened
    | AskVersions
    | VersionsSpoken
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: NodeMessage) -> bytes:
    """Write a message."""
    return _encoder.encode(message)


def decode(data: bytes) -> AnyMessage | None:
    """Decode a message; None if its kind is unknown here."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
