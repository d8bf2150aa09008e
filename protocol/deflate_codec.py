"""The WebSocket codec of a connection whose ends have agreed on compression (RFC 7692).

The one rule: a connection without compression has the plain codec and does not pay for this one. Between two messages
this one holds no state of zlib either, unless context takeover was agreed.
"""

from typing import Any, Final

from .deflate import (
    CorruptDeflate,
    Deflate,
    InflatesTooFar,
    deflate,
    inflate,
    inflate_with,
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

TURN_BYTES: Final = 65_536
"""Bytes by which messages may grow in one `DeflateCodec.receive` that takes only some frames."""


class DeflateCodec(Codec):
    """End of a WebSocket connection with compression.

    `max_message_bytes` bounds a message that comes in as it is when inflated: inflating stops there.
    """

    __slots__ = ("_agreed", "_deflated", "_deflater", "_inflater", "grown")

    def __init__(self, role: Role, agreed: Deflate, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        super().__init__(role, max_message_bytes=max_message_bytes)
        self._agreed = agreed
        self._deflated = False  # the fragments in `_message` are compressed
        self._deflater: Any = None  # with context takeover, from the first message on
        self._inflater: Any = None
        self.grown = 0

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
        if self._deflated and self._message is not None and head & 0x0F == _CONTINUATION:
            return longest_deflated(self._max_message_bytes) - len(self._message)
        return super()._room(head, length)

    def _take(self, head: int, payload: bytes) -> list[Event]:
        if head & _DEFLATED:
            if head & _FIN:
                return [self._inflated(payload)]
            self._message, self._deflated = bytearray(payload), True
            return []
        if self._message is None or not self._deflated or head & 0x0F != _CONTINUATION:
            return super()._take(head, payload)
        self._message += payload
        if not head & _FIN:
            return []
        data, self._message, self._deflated = bytes(self._message), None, False
        return [self._inflated(data)]

    def _inflated(self, data: bytes) -> bytes:
        """Return the text of a compressed message, or raise what closes the connection."""
        agreed = self._agreed
        takeover = agreed.client_takeover if self._peer_masks else agreed.server_takeover
        try:
            if not takeover:
                text = inflate(data, self._max_message_bytes)
            else:
                if self._inflater is None or self._inflater.eof:
                    self._inflater = make_inflater(
                        agreed.client_bits if self._peer_masks else agreed.server_bits
                    )
                text = inflate_with(self._inflater, data, self._max_message_bytes)
        except CorruptDeflate as error:
            raise Violation(CloseCode.INVALID_DATA, str(error)) from None
        except InflatesTooFar as error:
            raise Violation(CloseCode.MESSAGE_TOO_BIG, f"{error} (max_message_bytes)") from None
        self.grown += max(0, len(text) - len(data))
        if not text.isascii():
            text.decode()
        return text

    def _look_ahead(self, pending: bytearray) -> None:
        # Bytes of a compressed message are no text yet.
        if not self._deflated and not pending[0] & _DEFLATED:
            super()._look_ahead(pending)

    def _end(self) -> None:
        super()._end()
        self._deflater = self._inflater = None
