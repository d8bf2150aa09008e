"""OCPP-J frames: bytes to what they say, and back. OCPP-J 1.6, section 4.2.

    [2, unique id, action, payload]                         CALL
    [3, unique id, payload]                                 CALLRESULT
    [4, unique id, code, description, details]              CALLERROR

The payload of a CALL stays raw bytes here: its action's message type reads it. Nothing that a peer can send makes this
module raise; the bytes must have been checked as UTF-8 before (the WebSocket codec does).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from .errors import ErrorCode

MAX_ID_ACCEPTED = 255
"""Characters of a message id that we take from a charge point, and echo."""

_Id = Annotated[str, msgspec.Meta(max_length=MAX_ID_ACCEPTED)]
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)

decode_call = msgspec.json.Decoder(tuple[Literal[2], _Id, str, msgspec.Raw]).decode
"""A whole and well-formed CALL, quickly: `(2, id, action, raw payload)`; raises one of `UNREADABLE` for all else."""

_anything = msgspec.json.Decoder()
_raw_elements = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.Encoder().encode

# What a broken frame can still tell: its type, and the id if that is whole. Bounded, so that no text is slow: by what
# the longest id takes when each of its characters is written as two escaped surrogates.
_START = re.compile(
    rb'\s{0,64}\[\s{0,64}([0-9])\s{0,64}(?:,\s{0,64}("(?:[^"\\\x00-\x1f]|\\.){0,%d}"))?'
    % (10 * MAX_ID_ACCEPTED),
    re.DOTALL,
)

_ANSWER = re.compile(rb"\s{0,64}\[\s{0,64}[34]\s{0,64},")


class CallFrame(NamedTuple):
    """A CALL with a raw payload."""

    unique_id: str
    action: str
    payload: bytes


class ResultFrame(NamedTuple):
    """A CALLRESULT with a raw payload."""

    unique_id: str
    payload: bytes


class ErrorFrame(NamedTuple):
    """A CALLERROR; `code` is spelt as the peer spelt it. Missing elements are empty."""

    unique_id: str
    code: str
    description: str
    details: dict[str, Any]


class BrokenCall(NamedTuple):
    """Meant as a CALL and not one; its id was found, so it can be answered with `code`."""

    unique_id: str
    code: ErrorCode
    text: str


class Junk(NamedTuple):
    """Nothing that can be answered; `reason` is a word to count by."""

    reason: str


Frame = CallFrame | ResultFrame | ErrorFrame | BrokenCall | Junk


def read(data: bytes) -> Frame:
    """Read any frame, however broken. Slower than `decode_call`, which takes well-formed CALLs."""
    try:
        elements = _raw_elements.decode(data)
    except UNREADABLE:
        return _broken(data)
    kind = _value(elements[0]) if elements else None
    if kind not in (2, 3, 4) or isinstance(kind, bool | float):
        return Junk("unknown message type" if elements else "empty array")
    unique_id = _value(elements[1]) if len(elements) > 1 else None
    if not isinstance(unique_id, str):
        return Junk("no message id")
    if len(unique_id) > MAX_ID_ACCEPTED:
        return Junk("message id too long")
    if kind == 2:
        return _call(unique_id, elements)
    if kind == 3:
        return ResultFrame(unique_id, bytes(elements[2]) if len(elements) > 2 else b"null")
    code, description, details = [*map(_value, elements[2:5]), None, None, None][:3]
    return ErrorFrame(
        unique_id,
        code if isinstance(code, str) else "",
        description if isinstance(description, str) else "",
        details if isinstance(details, dict) else {},
    )


def looks_like_answer(data: bytes) -> bool:
    """Tell if bytes begin like a CALLRESULT or a CALLERROR: a quick guess, only `read` is certain."""
    return _ANSWER.match(data) is not None


def _call(unique_id: str, elements: list[msgspec.Raw]) -> Frame:
    if len(elements) != 4:
        text = f"a CALL has 4 elements, this one {len(elements)}"
        return BrokenCall(unique_id, ErrorCode.FORMATION_VIOLATION, text)
    action = _value(elements[2])
    if not isinstance(action, str):
        return BrokenCall(unique_id, ErrorCode.TYPE_CONSTRAINT_VIOLATION, "the action is not a string")
    return CallFrame(unique_id, action, bytes(elements[3]))


def _value(raw: msgspec.Raw) -> Any:
    try:
        return _anything.decode(raw)
    except UNREADABLE:
        return None


def _broken(data: bytes) -> Frame:
    start = _START.match(data)
    if start is None:
        return Junk("pong as text" if data.strip(b' "\r\n').lower() == b"pong" else "not a frame")
    if start[1] != b"2":
        return Junk("broken answer" if start[1] in b"34" else "unknown message type")
    try:
        unique_id = _anything.decode(start[2]) if start[2] else None
    except UNREADABLE:
        unique_id = None
    if not isinstance(unique_id, str) or len(unique_id) > MAX_ID_ACCEPTED:
        return Junk("broken call")
    return BrokenCall(unique_id, ErrorCode.FORMATION_VIOLATION, "the frame is not readable JSON")


def call(unique_id: str, action: str, payload: bytes) -> bytes:
    """Write a CALL around a payload that is JSON already."""
    return b"[2,%b,%b,%b]" % (_encode(unique_id), _encode(action), payload)


def result(unique_id: str, payload: bytes) -> bytes:
    """Write a CALLRESULT around a payload that is JSON already."""
    return b"[3,%b,%b]" % (_encode(unique_id), payload)


def error(unique_id: str, code: str, description: str = "", details: dict[str, Any] | None = None) -> bytes:
    """Write a CALLERROR; `code` as the version spells it, `description` is cut to 255 characters.

    Details that JSON has no form for are left out: the peer must have its answer.
    """
    description = description[:255]
    try:
        return _encode((4, unique_id, code, description, details or {}))
    except (TypeError, ValueError, RecursionError):
        return _encode((4, unique_id, code, description.encode(errors="replace").decode(), {}))
