"""Length-prefixed messages over a byte stream, without I/O: four bytes of length, big-endian, then the payload.

Both ends set the same maximum. A stream that broke it cannot be read on: the connection is to be closed.
"""

from __future__ import annotations

import struct

from ..config.errors import ChargehandError

_LENGTH = struct.Struct(">I")
HEADER_BYTES = _LENGTH.size
LARGEST_BYTES = 2**32 - 1
"""The longest message that four bytes can announce: the maximum of a link that sets none of its own."""


class FrameTooLong(ChargehandError, ValueError):
    """Message longer than the maximum of its connection."""


def frame(payload: bytes, max_bytes: int) -> bytes:
    """Write a message with its length. Raises `FrameTooLong`."""
    size = len(payload)
    if size > max_bytes:
        raise FrameTooLong(f"message of {size} bytes is over the maximum of {max_bytes}")
    return _LENGTH.pack(size) + payload


class FrameReader:
    """Reader of one stream: takes bytes, cut anywhere, and gives whole messages."""

    __slots__ = ("_buffer", "_max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._buffer = bytearray()
        self._max_bytes = max_bytes

    @property
    def waiting_bytes(self) -> int:
        """Bytes of a message that is not whole yet; 0 at a message's end."""
        return len(self._buffer)

    def receive(self, data: bytes) -> list[bytes]:
        """Take bytes and return the messages that are whole now. Raises `FrameTooLong` for a length over the maximum.

        Messages before such a length are returned; the error is raised by the next `receive`, and by every one after.
        """
        buffer = self._buffer
        # Complete messages are cut from the read; only those that came in parts go through the buffer.
        parts = bool(buffer)
        if parts:
            buffer += data
        stream = buffer if parts else data
        messages: list[bytes] = []
        at, end = 0, len(stream)
        while end - at >= HEADER_BYTES:
            (size,) = _LENGTH.unpack_from(stream, at)
            if size > self._max_bytes:
                if messages:
                    # The messages before it are whole: they are given first, the error comes with the next bytes.
                    break
                if not parts:
                    buffer += data
                raise FrameTooLong(f"message of {size} bytes is over the maximum of {self._max_bytes}")
            start = at + HEADER_BYTES
            if end - start < size:
                break
            at = start + size
            messages.append(bytes(memoryview(buffer)[start:at]) if parts else data[start:at])
        if parts:
            del buffer[:at]
        else:
            buffer += data[at:]
        return messages
