"""OCPP-J frames: reading and writing. OCPP-J 1.6, section 4.2.

    [2, unique id, action, payload]                         CALL
    [3, unique id, payload]                                 CALLRESULT
    [4, unique id, code, description, details]              CALLERROR

The payload of a CALL stays raw bytes here: its action's message type reads it. Nothing that a peer can send makes this
module raise; the bytes must have been checked as UTF-8 before (the WebSocket codec does).

`read` is the specification. `mend` is the lenient policy: it reads a frame with slips that leave no doubt of what it
says, and tells each of them:

- a byte order mark, NUL bytes and other control characters around the frame;
- control characters inside strings, as they come from unset memory: kept, as if they had been escaped;
- control characters between the elements, and a comma before a closing bracket: left out;
- an escaped half of a surrogate pair, which stands for no character: U+FFFD;
- a number as message id: it is answered as it came.

Whatever else is no JSON is not guessed at.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from .errors import Deviation, ErrorCode

MAX_ID_ACCEPTED = 255
"""Characters of a message id that we take from a charge point, and echo."""

_Id = Annotated[str, msgspec.Meta(max_length=MAX_ID_ACCEPTED)]
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)

decode_call = msgspec.json.Decoder(tuple[Literal[2], _Id, str, msgspec.Raw]).decode
"""A whole and well-formed CALL, quickly: `(2, id, action, raw payload)`; raises one of `UNREADABLE` for all else."""

_anything = msgspec.json.Decoder()
_raw_elements = msgspec.json.Decoder(list[msgspec.Raw])

# What a broken frame can still tell: its type, and the id if that is whole. Bounded, so that no text is slow: by what
# the longest id takes when each of its characters is written as two escaped surrogates.
_START = re.compile(
    rb'[\x00-\x20\xef\xbb\xbf]{0,64}\[\s{0,64}([0-9]|"[0-9]")\s{0,64}(?:,\s{0,64}("(?:[^"\\\x00-\x1f]|\\.){0,%d}"|[0-9]{1,64}(?=\s*,)))?'
    % (10 * MAX_ID_ACCEPTED),
    re.DOTALL,
)

_ANSWER = re.compile(rb"[\x00-\x20\xef\xbb\xbf]{0,64}\[\s{0,64}[34]\s{0,64},")
_BOM = b"\xef\xbb\xbf"
_AROUND = bytes(range(0x21)) + _BOM
_STRING = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+"?+)', re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x1f]")
_CONTROL_BETWEEN = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
# A comma after a value and before a closing bracket; a piece of text that begins with it follows a string.
_COMMA = re.compile(rb"(^|[^\s\[{,:])(\s*+),(?=\s*+[\]}])")
_BETWEEN = bytes(range(0x21))
_CALL_HEAD = re.compile(
    rb'\[[\x00-\x20]*+"?2"?[\x00-\x20]*+,[\x00-\x20]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s",\[{]++)[\x00-\x20]*+,'
    rb'[\x00-\x20]*+"[^"\\]*+(?:\\.[^"\\]*+)*+"[\x00-\x20]*+,',
    re.DOTALL,
)
_MAYBE = re.compile(rb"[\x00-\x1f]|,\s*+[\]}]|\\u[dD]")
_HALF = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


class NumericId(str):
    """Message id that came as a number: the number's own text."""

    __slots__ = ()


def _unquoted(value: object) -> msgspec.Raw:
    if isinstance(value, NumericId):
        return msgspec.Raw(value.encode())
    raise TypeError(f"{type(value).__name__} has no form in JSON")


NEARLY_ANSWERS = ("3", "4", 3, 4)
"""Message types of which an answer was meant, as text or with a fraction; it is taken for no answer of any content."""
NEVER_ANSWERED = (*NEARLY_ANSWERS, 5, 6, "5", "6")
"""Types of messages that are never answered, in any version."""
UNKNOWN_ID = "-1"
"""Message id of a CALLERROR for a frame whose id cannot be read. OCPP-J 2.0.1, 4.2.3."""

_encode = msgspec.json.Encoder(enc_hook=_unquoted).encode


class CallFrame(NamedTuple):
    """A CALL with a raw payload."""

    unique_id: str
    action: str
    payload: bytes


class ResultFrame(NamedTuple):
    """CALLRESULT with a raw payload, which is empty if there is none."""

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


class BrokenAnswer(NamedTuple):
    """Meant as a CALLRESULT or a CALLERROR and not one; `unique_id` is empty if it could not be found."""

    unique_id: str


class Junk(NamedTuple):
    """Nothing that can be answered, in most versions; `reason` is a word to count by.

    `code` is the error of versions that answer it all the same, None where there is none; `unique_id` is empty if it
    could not be found.
    """

    reason: str
    code: ErrorCode | None = ErrorCode.RPC_FRAMEWORK_ERROR
    unique_id: str = ""


Frame = CallFrame | ResultFrame | ErrorFrame | BrokenCall | BrokenAnswer | Junk


def read(data: bytes) -> Frame:
    """Read any frame, however broken. Slower than `decode_call`, which takes well-formed CALLs."""
    try:
        elements = _raw_elements.decode(data)
    except UNREADABLE:
        return _broken(data)
    return _whole(elements)


def mend(data: bytes) -> tuple[Frame, tuple[Deviation, ...]]:
    """Read a frame that `read` could not make use of, with its slips mended, and tell them."""
    core, slips = _stripped(data)
    if core[:1] != b"[":
        return _broken(core, mending=True), ()
    try:
        elements = _raw_elements.decode(core)
    except UNREADABLE:
        mended = _without_slips(core, slips)
        try:
            elements = _raw_elements.decode(mended)
        except UNREADABLE:
            return _broken(core, mending=True), ()
    frame = _whole(elements, slips)
    if type(frame) is CallFrame and slips:
        frame = frame._replace(payload=_payload_as_sent(core) or frame.payload)
    return frame, tuple(slips)


def mended(payload: bytes) -> tuple[bytes, tuple[Deviation, ...]]:
    """Mend the slips inside a payload that is no JSON, and name them; others are returned as they are."""
    slips: list[Deviation] = []
    whole = _without_slips(payload, slips)
    return whole, tuple(slips)


def _payload_as_sent(data: bytes) -> bytes:
    """Find the payload, as it was sent, of a CALL whose frame had to be mended. Empty if not found."""
    head = _CALL_HEAD.match(data)
    if head is None or not data.endswith(b"]"):
        return b""
    return data[head.end() : -1].strip(_BETWEEN).removesuffix(b",").strip(_BETWEEN)


def slip(text: str) -> Deviation:
    """Make the deviation of a frame that the lenient policy has mended."""
    return Deviation("frame", ErrorCode.FORMATION_VIOLATION, text)


def _stripped(data: bytes) -> tuple[bytes, list[Deviation]]:
    """Remove control characters and a byte order mark around a frame."""
    slips: list[Deviation] = []
    core = data.strip(_AROUND)
    if len(core) == len(data):
        return data, slips
    around = data.replace(core, b"", 1) if core else data
    if _BOM in around:
        slips.append(slip("has a byte order mark"))
    if b"\0" in around:
        slips.append(slip("has NUL bytes around it"))
    elif _CONTROL_BETWEEN.search(around):
        slips.append(slip("has control characters around it"))
    return core, slips


def _without_slips(data: bytes, slips: list[Deviation]) -> bytes:
    """Mend slips inside strings and between them. The time is linear in the length."""
    if not _MAYBE.search(data):
        return data
    found: dict[str, None] = {}
    pieces = [
        _mended_string(piece, found) if place % 2 else _mended_between(piece, found)
        for place, piece in enumerate(_STRING.split(data))
    ]
    slips += map(slip, found)
    return b"".join(pieces)


def _mended_string(text: bytes, found: dict[str, None]) -> bytes:
    if _CONTROL.search(text):
        text = _CONTROL.sub(lambda one: b"\\u%04x" % one[0][0], text)
        found["has control characters in a string"] = None
    if b"\\u" in text and (whole := _HALF.sub(_other_half, text)) != text:
        text = whole
        found["has half a surrogate pair in a string"] = None
    return text


def _mended_between(text: bytes, found: dict[str, None]) -> bytes:
    if _CONTROL_BETWEEN.search(text):
        text = _CONTROL_BETWEEN.sub(b" ", text)
        found["has control characters between its elements"] = None
    if b"," in text and (whole := _COMMA.sub(rb"\1\2", text)) != text:
        text = whole
        found["has a comma before a closing bracket"] = None
    return text


def _other_half(found: re.Match[bytes]) -> bytes:
    return found[0] if found[2] else found[1] + b"\\ufffd"


def _whole(elements: list[msgspec.Raw], slips: list[Deviation] | None = None) -> Frame:
    """Make a frame of its elements; with `slips` that of the message id is mended, and added there."""
    kind = _value(elements[0]) if elements else None
    unique_id = _value(elements[1]) if len(elements) > 1 else None
    if kind not in (2, 3, 4) or isinstance(kind, bool | float):
        if kind in NEARLY_ANSWERS and unique_id and isinstance(unique_id, str):
            return BrokenAnswer(unique_id[:MAX_ID_ACCEPTED])
        return _unknown_type(kind, unique_id) if elements else Junk("empty array")
    if slips is not None and type(unique_id) in (int, float):
        unique_id = NumericId(bytes(elements[1]).decode())
        slips.append(
            Deviation(
                "message id", ErrorCode.TYPE_CONSTRAINT_VIOLATION, "is a number", unique_id[:MAX_ID_ACCEPTED]
            )
        )
    if not isinstance(unique_id, str) or (kind != 2 and not unique_id):
        return Junk("no message id") if kind == 2 else BrokenAnswer("")
    if len(unique_id) > MAX_ID_ACCEPTED:
        return Junk("message id too long", ErrorCode.RPC_FRAMEWORK_ERROR if kind == 2 else None)
    if kind == 2:
        return _call(unique_id, elements)
    if kind == 3:
        return ResultFrame(unique_id, bytes(elements[2]) if len(elements) > 2 else b"")
    code, description, details = [*map(_value, elements[2:5]), None, None, None][:3]
    return ErrorFrame(
        unique_id,
        code if isinstance(code, str) else "",
        description if isinstance(description, str) else "",
        details if isinstance(details, dict) else {},
    )


def _unknown_type(kind: object, unique_id: object) -> Junk:
    """Make the frame of a type that is not known: 5 and 6 are messages of later versions that nobody answers."""
    known_id = isinstance(unique_id, str) and len(unique_id) <= MAX_ID_ACCEPTED
    return Junk(
        "unknown message type",
        None if kind in NEVER_ANSWERED else ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED,
        str(unique_id) if known_id else "",
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


def _broken(data: bytes, *, mending: bool = False) -> Frame:
    start = _START.match(data)
    if start is None:
        if data.strip(b' "\r\n').lower() == b"pong":
            return Junk("pong as text", None)
        return Junk("not a frame")
    kind = start[1]
    if kind not in (b"2", b"3", b"4", b'"3"', b'"4"'):
        return _unknown_type(_value(msgspec.Raw(kind)), None)
    try:
        unique_id = _anything.decode(start[2]) if start[2] else None
    except UNREADABLE:
        unique_id = None
    if mending and type(unique_id) is int:
        unique_id = NumericId(start[2].decode())
    if not isinstance(unique_id, str) or len(unique_id) > MAX_ID_ACCEPTED:
        return Junk("broken call") if kind == b"2" else BrokenAnswer("")
    if kind != b"2":
        return BrokenAnswer(unique_id)
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
