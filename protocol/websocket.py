"""The WebSocket codec: bytes into events, messages into bytes, for both roles, server and client (RFC 6455).

The one rule: a codec holds no more than one unfinished message of one peer, and judges every header before it
waits for what that header announces. Text only: an OCPP-J message is a text message. No extension: a connection with
compression has the codec of `deflate_codec.py`.

It never touches a socket, a clock or a greenlet, never answers by itself (an event carries what is to be
sent), and never raises on what a peer sent: that ends in a `Failed` event.
"""

import struct
from codecs import utf_8_decode
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

from .masking import fresh_key, mask

MAX_MESSAGE_BYTES: Final = 1_048_576
NO_LIMIT: Final = -1
"""Frames that `Codec.receive` takes at once, if all."""

# The first byte of a frame: FIN, three reserved bits, four bits of opcode. Section 5.2.
_FIN: Final = 0x80
_RESERVED: Final = 0x70
_CONTINUATION: Final = 0x0
_TEXT: Final = 0x1
_BINARY: Final = 0x2
_CLOSE: Final = 0x8
_PING: Final = 0x9
_PONG: Final = 0xA
_CONTROL: Final = 0x8
_WHOLE_TEXT: Final = _FIN | _TEXT
_KNOWN: Final = frozenset({_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG})

# The second byte: the mask bit and seven bits of length; two lengths announce a longer one. Section 5.2.
_MASKED: Final = 0x80
_MAX_CONTROL_BYTES: Final = 125
_MAX_REASON_BYTES: Final = _MAX_CONTROL_BYTES - 2
_MAX_IN_2_BYTES: Final = 0xFFFF
_IN_2_BYTES: Final = 126
_IN_8_BYTES: Final = 127
_SHORTEST: Final = 6
"""Bytes of an empty frame of a client."""
_pack_2: Final = struct.Struct(">BBH").pack
_pack_8: Final = struct.Struct(">BBQ").pack
# Every header that a server puts before a short text, made once.
_SHORT_TEXTS: Final = tuple(bytes((_WHOLE_TEXT, size)) for size in range(_IN_2_BYTES))


class CloseCode(IntEnum):
    """Reasons for closing a connection: section 7.4.1 and the IANA registry. Plain numbers on the wire."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    """Close frame without a body, as its receiver reads it. Never on the wire."""
    ABNORMAL = 1006
    """End of a connection without a close frame. Never on the wire."""
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MISSING_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014


_SENDABLE: Final = frozenset(CloseCode) - {CloseCode.NO_STATUS, CloseCode.ABNORMAL}
_UNREGISTERED: Final = range(3000, 5000)


def is_sendable(code: int) -> bool:
    """Tell if a close frame may carry `code`: registered, a library's, or private. Section 7.4.2."""
    return code in _SENDABLE or code in _UNREGISTERED


class Role(IntEnum):
    """End of the connection that a codec speaks for. A client masks its frames, a server does not."""

    SERVER = 0
    CLIENT = 1


@dataclass(frozen=True, slots=True)
class Ping:
    """The peer asks for a sign of life: answer with `Codec.pong(payload)`. Section 5.5.2."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """Event: the peer answered a ping, or sent an unsolicited pong. Section 5.5.3."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer closes, properly. Section 5.5.1. Nothing comes after this event.

    `code` is 1005 if the peer gave none. `reply` is the close frame to send, and None if ours is out already:
    then both sides are done, and the server ends the TCP connection.
    """

    code: int
    reason: str
    reply: bytes | None


@dataclass(frozen=True, slots=True)
class Failed:
    """Event: the peer broke the protocol or a limit: send `reply`, end the connection. Section 7.1.7.

    `code` is the close code that tells the peer why; `reply` is None if our close frame is out already.
    Nothing comes after this event.
    """

    code: int
    reason: str
    reply: bytes | None


Event: TypeAlias = bytes | Ping | Pong | Closed | Failed
"""A text message is simply its bytes, checked to be UTF-8. `type(event) is bytes` is the quick test."""


class Violation(Exception):
    """Violation by the peer: `receive` makes a `Failed` of it. Never leaves a codec."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Codec:
    """End of a WebSocket connection, from the end of the handshake on.

    `max_message_bytes` bounds a message that comes in, whole or over all of its fragments. An idle codec owns
    its slots and nothing else.
    """

    __slots__ = (
        "_close_sent",
        "_looked_at",
        "_max_message_bytes",
        "_message",
        "_need",
        "_over",
        "_peer_masks",
        "_pending",
        "_tail",
        "frames",
    )

    grown = 0
    """Bytes by which the messages of the last `receive` are longer than they were on the wire."""

    def __init__(self, role: Role, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._peer_masks = _MASKED if role is Role.SERVER else 0  # the mask bit that the peer must set
        self._max_message_bytes = max_message_bytes
        self._pending: bytearray | None = None  # the beginning of a frame, as it came
        self._need = 0  # how long `_pending` must grow before another look at it can tell more
        self._message: bytearray | None = None  # the payload of a fragmented message so far
        self._looked_at = 0  # how much of the payload in `_pending` is known to be UTF-8
        self._tail: bytes | None = None  # the character that began at the end of that
        self._close_sent = False
        self._over = False
        self.frames = 0  # how many frames the last `receive` took: control frames and fragments too

    @property
    def unfinished(self) -> bool:
        """True if the last `receive` left whole frames for another one, which may get no bytes."""
        return self._need == 0 and self._pending is not None

    @property
    def held_bytes(self) -> int:
        """Bytes of the message, or of the frame, that is not whole yet."""
        return len(self._pending or b"") + len(self._message or b"")

    def only_text(self, data: bytes) -> bytes | None:
        """Return the text if `data` is one whole text frame, as most reads are, and nothing came before it.

        Otherwise None, and nothing has changed: `receive` takes it.
        """
        size = len(data)
        if size < _SHORTEST or data[0] != _WHOLE_TEXT or self._pending is not None:
            return None
        if self._message is not None or self._over or not self._peer_masks:
            return None
        length, start = data[1] ^ _MASKED, 6
        if length == _IN_2_BYTES:
            length, start = data[2] << 8 | data[3], 8
            if length <= _MAX_CONTROL_BYTES:  # not in its shortest form
                return None
        elif length > _IN_2_BYTES:
            return None
        if length != size - start or length > self._max_message_bytes:
            return None
        text = mask(data[start:], data[start - 4 : start])
        return text if text.isascii() else None

    def receive(self, data: bytes, most: int = NO_LIMIT) -> list[Event]:
        """Take what the peer sent, cut anywhere, and return what it completes, in order.

        After `most` frames the rest waits for the next call, see `unfinished`. Never raises. After `Closed` or `Failed`
        whatever else comes is ignored.
        """
        events: list[Event] = []
        if self._over:
            return events
        pending = self._pending
        try:
            if pending is not None:
                pending += data
                if len(pending) < self._need:
                    self.frames = 0
                    self._look_ahead(pending)
                    return events
                data = bytes(pending)
                self._pending = None
                if self._message is None:  # it is looked at as a whole now
                    self._looked_at, self._tail = 0, None
            used = self._frames(data, events, most)
            if used < len(data) and not self._over:
                self._pending = bytearray(data[used:])
                if self._need:
                    self._look_ahead(self._pending)
        except Violation as violation:
            events.append(self._fail(violation.code, violation.reason))
        except UnicodeDecodeError:
            events.append(self._fail(CloseCode.INVALID_DATA, "text is not UTF-8"))
        return events

    def _frames(self, data: bytes, events: list[Event], most: int) -> int:  # noqa: C901, PLR0912 - see below
        """Append to `events` what the whole frames in `data` say; return how many bytes those frames have.

        Sets `frames`, and `_need` for the rest. Everything usual stands in this loop: a call for each part costs
        more than the part.
        """
        peer_masks = self._peer_masks
        at, size, frames, need = 0, len(data), 0, 2
        while size - at >= 2:
            head = data[at]
            length = data[at + 1] ^ peer_masks
            start = at + 6 if peer_masks else at + 2
            if length == _IN_2_BYTES:
                if size - at < 4:
                    need = 4
                    break
                length = data[at + 2] << 8 | data[at + 3]
                if length <= _MAX_CONTROL_BYTES:
                    raise Violation(CloseCode.PROTOCOL_ERROR, "length not in its shortest form")
                start += 2
            elif length > _IN_2_BYTES:
                if length > _IN_8_BYTES:
                    raise Violation(CloseCode.PROTOCOL_ERROR, "clients must mask, servers must not")
                if size - at < 10:
                    need = 10
                    break
                length = _long_length(data[at + 2 : at + 10])
                start += 8
            room = self._max_message_bytes
            if head != _WHOLE_TEXT or self._message is not None:
                room = self._room(head, length)
            if length > room:
                text = f"message over {self._max_message_bytes} bytes (max_message_bytes)"
                raise Violation(CloseCode.MESSAGE_TOO_BIG, text)
            end = start + length
            if end > size:
                need = end - at
                break
            payload = mask(data[start:end], data[start - 4 : start]) if peer_masks else data[start:end]
            at = end
            frames += 1
            if head == _WHOLE_TEXT:
                if not payload.isascii():
                    payload.decode()
                events.append(payload)
            else:
                events += self._take(head, payload)
                if self._over:
                    break
            if frames == most and size - at >= 2:
                need = 0
                break
        self._need, self.frames = need, frames
        return at

    def text(self, payload: bytes) -> bytes:
        """Return the frame that carries `payload`, which must be UTF-8, as one whole message. Section 5.6."""
        if self._peer_masks and len(payload) <= _MAX_CONTROL_BYTES:
            return _SHORT_TEXTS[len(payload)] + payload
        return self._frame(_WHOLE_TEXT, payload)

    def ping(self, payload: bytes = b"") -> bytes:
        """Return a ping frame. Section 5.5.2. Raises ValueError if `payload` is longer than 125 bytes."""
        return self._control(_PING, payload)

    def pong(self, payload: bytes) -> bytes:
        """Return a pong frame, the answer to a `Ping` with this payload. Section 5.5.3. Raises as `ping`."""
        return self._control(_PONG, payload)

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> bytes:
        """Return our close frame, or no bytes if it is out already. Section 5.5.1. No text may follow it.

        What the peer still sends is received as before, until its own close frame comes. `reason` is cut to
        the 123 bytes that fit. 1005 makes a close frame without a body. Raises ValueError for a code that
        must not be sent.
        """
        if self._close_sent:
            return b""
        if code == CloseCode.NO_STATUS:
            body = b""
        elif is_sendable(code):
            # A character that was cut in two at the end goes altogether.
            text = reason.encode(errors="replace")[:_MAX_REASON_BYTES].decode(errors="ignore").encode()
            body = code.to_bytes(2, "big") + text
        else:
            raise ValueError(f"close code {code} must not be sent")
        self._close_sent = True
        return self._control(_CLOSE, body)

    def _room(self, head: int, length: int) -> int:
        """Judge a frame's head; return how many bytes such a frame may have. Sections 5.2, 5.4 and 5.5."""
        opcode = head & 0x0F
        if head & _RESERVED:
            raise Violation(CloseCode.PROTOCOL_ERROR, "reserved bit set, but no extension was negotiated")
        if opcode not in _KNOWN:
            raise Violation(CloseCode.PROTOCOL_ERROR, f"unknown opcode {opcode:#x}")
        if opcode & _CONTROL:
            if not head & _FIN:
                raise Violation(CloseCode.PROTOCOL_ERROR, "fragmented control frame")
            if length > _MAX_CONTROL_BYTES:
                raise Violation(CloseCode.PROTOCOL_ERROR, "control frame over 125 bytes")
            return _MAX_CONTROL_BYTES
        if opcode == _CONTINUATION:
            if self._message is None:
                raise Violation(CloseCode.PROTOCOL_ERROR, "continuation of no message")
            return self._max_message_bytes - len(self._message)
        if self._message is not None:
            raise Violation(CloseCode.PROTOCOL_ERROR, "new message inside a fragmented one")
        if opcode == _BINARY:
            raise Violation(CloseCode.UNSUPPORTED_DATA, "binary message")
        return self._max_message_bytes

    def _take(self, head: int, payload: bytes) -> list[Event]:
        """Take a frame that is not a whole text: a control frame or a fragment."""
        opcode = head & 0x0F
        if opcode == _PING:
            return [Ping(payload)]
        if opcode == _PONG:
            return [Pong(payload)]
        if opcode == _CLOSE:
            code, reason = _close_body(payload)
            self._end()
            return [Closed(code, reason, self.close(code) or None)]
        if self._message is None:
            self._message = bytearray()
        self._message += payload
        self._look_at(payload[self._looked_at :], final=bool(head & _FIN))
        self._looked_at = 0
        if not head & _FIN:
            return []
        text = bytes(self._message)
        self._message = None
        return [text]

    def _look_ahead(self, pending: bytearray) -> None:
        """Check the bytes of an incomplete text frame: invalid UTF-8 is refused before its end."""
        if len(pending) < 2 or pending[0] & _CONTROL:
            return
        start = 2 + {_IN_2_BYTES: 2, _IN_8_BYTES: 8}.get(pending[1] & ~_MASKED, 0)
        start += 4 if self._peer_masks else 0
        part = bytes(pending[start + self._looked_at :])
        if part:
            if self._peer_masks:
                turn = start - 4 + (self._looked_at & 3)
                part = mask(part, bytes(pending[turn:start] + pending[start - 4 : turn]))
            self._look_at(part, final=False)
            self._looked_at += len(part)

    def _look_at(self, part: bytes, *, final: bool) -> None:
        """Look at more of a text, and raise UnicodeDecodeError at the first byte that cannot be in one. Section 8.1."""
        if self._tail or not part.isascii():
            part = (self._tail or b"") + part
            self._tail = part[utf_8_decode(part, "strict", final)[1] :] or None

    def _fail(self, code: CloseCode, reason: str) -> Failed:
        self._end()
        return Failed(code, reason, self.close(code, reason) or None)

    def _end(self) -> None:
        self._over = True
        self._pending = self._message = self._tail = None

    def _control(self, opcode: int, payload: bytes) -> bytes:
        if len(payload) > _MAX_CONTROL_BYTES:
            raise ValueError(f"a control frame carries at most {_MAX_CONTROL_BYTES} bytes")
        return self._frame(_FIN | opcode, payload)

    def _frame(self, head: int, payload: bytes) -> bytes:
        size = len(payload)
        masked = self._peer_masks ^ _MASKED
        if size <= _MAX_CONTROL_BYTES:
            header = bytes((head, masked | size))
        elif size <= _MAX_IN_2_BYTES:
            header = _pack_2(head, masked | _IN_2_BYTES, size)
        else:
            header = _pack_8(head, masked | _IN_8_BYTES, size)
        if masked:
            key = fresh_key()
            return header + key + mask(payload, key)
        return header + payload


def _long_length(raw: bytes) -> int:
    """Read a length of eight bytes. Section 5.2: 63 bits, and only for what does not fit in two bytes."""
    length = int.from_bytes(raw, "big")
    if length >> 63:
        raise Violation(CloseCode.PROTOCOL_ERROR, "length with its top bit set")
    if length <= _MAX_IN_2_BYTES:
        raise Violation(CloseCode.PROTOCOL_ERROR, "length not in its shortest form")
    return length


def _close_body(body: bytes) -> tuple[int, str]:
    """Read the code and the reason of a close frame. Sections 5.5.1 and 7.4."""
    if not body:
        return CloseCode.NO_STATUS, ""
    code = int.from_bytes(body[:2], "big")  # of a single byte: under 256, so invalid, as it must be
    if not is_sendable(code):
        raise Violation(CloseCode.PROTOCOL_ERROR, "invalid close code")
    return code, body[2:].decode()
