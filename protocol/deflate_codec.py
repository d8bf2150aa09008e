"""The WebSocket codec of a connection whose ends have agreed on compression (RFC 7692).

The one rule: a connection without compression has the plain codec and does not pay for this one. Between two messages
this one holds no state of zlib either, unless context takeover was agreed.
"""

from typing import Any, Final

from .deflate import (
    CorruptDeflate,
    Deflate,
    InflatesTooFar,
    Inflation,
    deflate,
    inflate,
    longest_deflated,
    make_deflater,
    make_inflater,
)
from .websocket import MAX_MESSAGE_BYTES, NO_LIMIT, CloseCode, Codec, Event, Role, Violation

_FIN: Final = 0x80
_DEFLATED: Final = 0x40
"""First reserved bit: the message that begins with this frame is compressed. Section 6."""
_RESERVED: Final = 0x70
_CONTINUATION: Final = 0x0
_FIRST: Final = frozenset({0x1, 0x2})
"""Opcodes of the first frame of a message: text and binary."""
_WHOLE_DEFLATED: Final = _FIN | _DEFLATED | 0x1

_LONGEST_HEADER: Final = 14

TURN_BYTES: Final = 65_536
"""Bytes by which messages may grow in one `DeflateCodec.receive` that takes only some frames."""


class DeflateCodec(Codec):
    """End of a WebSocket connection with compression.

    `max_message_bytes` bounds a message that comes in as it is when inflated: inflating stops there.
    """

    __slots__ = ("_agreed", "_deflater", "_inflater", "_inflation", "grown")

    def __init__(self, role: Role, agreed: Deflate, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        super().__init__(role, max_message_bytes=max_message_bytes)
        self._agreed = agreed
        self._deflater: Any = None  # with context takeover, from the first message on
        self._inflater: Any = None
        self._inflation: Inflation | None = None  # of a compressed message that did not come at once
        self.grown = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of the message, or of the frame, that is not whole yet, as far as it is inflated."""
        return super().held_bytes + (0 if self._inflation is None else self._inflation.held_bytes)

    def receive(self, data: bytes, most: int = NO_LIMIT) -> list[Event]:
        """Take what the peer sent, as the plain codec does; after `TURN_BYTES` more than that the rest waits too."""
        self.grown = 0
        if most == NO_LIMIT:
            return super().receive(data)
        events = super().receive(data, 1)
        frames = self.frames
        while self.unfinished and frames < most and self.grown < TURN_BYTES:
            events += super().receive(b"", 1)
            frames += self.frames
        self.frames = frames
        return events

    def text(self, payload: bytes) -> bytes:
        """Return the frame that carries `payload`, compressed if that makes it shorter."""
        agreed, is_server = self._agreed, self._peer_masks
        if len(payload) < agreed.min_bytes:
            return super().text(payload)
        bits = agreed.server_bits if is_server else agreed.client_bits
        if agreed.server_takeover if is_server else agreed.client_takeover:
            if self._deflater is None:
                self._deflater = make_deflater(bits)
            # The peer must see everything that the compressor has seen.
            return self._frame(_WHOLE_DEFLATED, deflate(payload, self._deflater))
        data = deflate(payload, make_deflater(bits))
        return self._frame(_WHOLE_DEFLATED, data) if len(data) < len(payload) else super().text(payload)

    def _room(self, head: int, length: int) -> int:
        if head & _RESERVED:
            if head & _RESERVED != _DEFLATED or head & 0x0F not in _FIRST:
                text = "reserved bit set that is not the compression of a message"
                raise Violation(CloseCode.PROTOCOL_ERROR, text)
            return longest_deflated(super()._room(head ^ _DEFLATED, length))
        if self._inflation is not None and self._message is not None and head & 0x0F == _CONTINUATION:
            return longest_deflated(self._max_message_bytes)  # nothing of it is kept but what is inflated
        return super()._room(head, length)

    def _take(self, head: int, payload: bytes) -> list[Event]:
        if not head & _DEFLATED and (self._inflation is None or head & 0x0F != _CONTINUATION):
            return super()._take(head, payload)
        self._looked_at = 0
        try:
            if head & _FIN and self._inflation is None and not self._takeover():
                return [self._inflated(inflate(payload, self._max_message_bytes), len(payload))]
            inflation = self._inflation or self._begin()
            inflation.feed(payload[inflation.seen :])
            inflation.seen = 0
            if not head & _FIN:
                self._message = bytearray()  # nothing is kept in it
                return []
            text = inflation.end()
        except (CorruptDeflate, InflatesTooFar) as error:
            raise _violation(error) from None
        self._inflation = self._message = None
        return [self._inflated(text, inflation.size_bytes)]

    def _inflated(self, text: bytes, size_bytes: int) -> bytes:
        """Return a text that was inflated if it is UTF-8; else raise UnicodeDecodeError."""
        self.grown += max(0, len(text) - size_bytes)
        if not text.isascii():
            text.decode()
        return text

    def _takeover(self) -> bool:
        """Return whether the peer compresses with context takeover."""
        return self._agreed.client_takeover if self._peer_masks else self._agreed.server_takeover

    def _begin(self) -> Inflation:
        """Begin to inflate a message that does not come at once."""
        agreed, inflater = self._agreed, self._inflater
        if inflater is None or inflater.eof:
            inflater = make_inflater(agreed.client_bits if self._peer_masks else agreed.server_bits)
            self._inflater = inflater if self._takeover() else None
        self._inflation = inflation = Inflation(inflater, self._max_message_bytes)
        return inflation

    def _look_ahead(self, pending: bytearray) -> None:
        """Inflate the bytes of an incomplete frame: a message over its limit is refused before its end."""
        if self._inflation is None and pending[0] & _DEFLATED:
            if len(pending) < _LONGEST_HEADER:
                return
            self._begin()
        super()._look_ahead(pending)

    def _look_at(self, part: bytes, *, final: bool) -> None:
        inflation = self._inflation
        if inflation is None:
            super()._look_at(part, final=final)
            return
        inflation.seen += len(part)
        try:
            inflation.feed(part)
        except (CorruptDeflate, InflatesTooFar) as error:
            raise _violation(error) from None

    def _end(self) -> None:
        super()._end()
        self._deflater = self._inflater = self._inflation = None


def _violation(error: CorruptDeflate | InflatesTooFar) -> Violation:
    if isinstance(error, InflatesTooFar):
        return Violation(CloseCode.MESSAGE_TOO_BIG, f"{error} (max_message_bytes)")
    return Violation(CloseCode.INVALID_DATA, str(error))
