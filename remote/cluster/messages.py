"""What nodes tell each other about charge points and calls, as MessagePack. Frozen; commands imperative, facts past.

Times are seconds since 1970. What a node of another version cannot read, it leaves.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Message(msgspec.Struct, frozen=True, tag_field="kind", omit_defaults=True):
    """The base of all."""


class ForwardCommand(Message, frozen=True, tag="call"):
    """Send a call to a charge point that you hold; `origin` has its ticket, with this id."""

    id: str
    charge_point: str
    version: str
    action: str
    payload: bytes
    created_at: float
    timeout_s: float
    when_offline: str = "fail"
    expires_in_s: float | None = None
    effect_timeout_s: float | None = None


class CancelForwarded(Message, frozen=True, tag="cancel"):
    """Do not send it, if it is not on the wire yet."""

    id: str
    charge_point: str


class CallReturned(Message, frozen=True, tag="returned"):
    """It was not sent, and will not be by this node: it does not hold the charge point, or does no more."""

    id: str
    reason: str = ""


class CallSent(Message, frozen=True, tag="sent"):
    """It is on the wire."""

    id: str
    at: float


class CallEnded(Message, frozen=True, tag="ended"):
    """It has its final state. `response` is JSON."""

    id: str
    state: str
    at: float
    reason: str = ""
    response: bytes | None = None
    code: str | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)
    effect: str | None = None


class EffectKnown(Message, frozen=True, tag="effect"):
    """What came of it after it was answered."""

    id: str
    effect: str


class Fence(Message, frozen=True, tag="fence"):
    """Let go of a charge point, and say so: the sender has claimed it."""

    charge_point: str
    epoch: int


class LetGo(Message, frozen=True, tag="let_go"):
    """Nothing more will be sent to a charge point by this node."""

    charge_point: str
    epoch: int


class Ask(Message, frozen=True, tag="ask"):
    """Answer a request of the HTTP API as if it had come to you, and reply."""

    id: str
    method: str
    path: str
    query: str = ""
    body: bytes = b""


class Reply(Message, frozen=True, tag="reply"):
    """The answer to `Ask`."""

    id: str
    status: int
    body: bytes
    location: str = ""
    content_type: str = ""


AnyMessage = (
    ForwardCommand
    | CancelForwarded
    | CallReturned
    | CallSent
    | CallEnded
    | EffectKnown
    | Fence
    | LetGo
    | Ask
    | Reply
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: Message) -> bytes:
    """Write a message."""
    return _encoder.encode(message)


def decode(data: bytes) -> AnyMessage | None:
    """Read one; None if it is none that is known here."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
