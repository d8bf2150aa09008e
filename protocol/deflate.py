"""Compression of messages: the extension permessage-deflate of WebSocket, without I/O (RFC 7692).

The one rule: nothing of zlib outlives its message unless context takeover was agreed. A compressor with the small
window is made in half a microsecond, which is less than a copy of one costs, so there is no pool either.
"""

import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from ..config.errors import ChargehandError
from .handshake import HandshakeError

HEADER: Final = "sec-websocket-extensions"
"""Name of the header in lower case."""
NAME: Final = "permessage-deflate"

MAX_BITS: Final = 15
WINDOW_BITS: Final = 12
MIN_BYTES: Final = 256

_LEVEL: Final = 6
_MEMORY_LEVEL: Final = 5
"""Size of zlib's tables: with a window of 12 bits a compressor has 32 KiB, with zlib's own default 256."""
_LEAST_BITS: Final = 9
"""Smallest window that zlib compresses with. It never looks back by more than 250 bytes of it, so 8 bits read it."""
_TAIL: Final = b"\x00\x00\xff\xff"
"""End of every message, never sent. Section 7.2.1."""
_FINAL: Final = b"\x03\x00"
"""Empty last block: only between two blocks it ends the stream, so it shows a message that was cut."""
_END: Final = _TAIL + _FINAL

_PIECE_BYTES: Final = 65_536
"""Bytes that are inflated at once."""
_FEED_BYTES: Final = 16_384
"""Bytes that zlib is given at once: what it does not take of them is copied."""

_SERVER_TAKEOVER, _CLIENT_TAKEOVER = "server_no_context_takeover", "client_no_context_takeover"
_SERVER_BITS, _CLIENT_BITS = "server_max_window_bits", "client_max_window_bits"
_BITS: Final = {str(bits): bits for bits in range(8, MAX_BITS + 1)}

_QUOTED: Final = r'"(?:[^"\\]|\\.)*"?'
_OFFERS: Final = re.compile(f'(?:[^,"]|{_QUOTED})+')
_PARAMETERS: Final = re.compile(f'(?:[^;"]|{_QUOTED})+')
_ESCAPED: Final = re.compile(r"\\(.)")


_CORRUPT: Final = "compressed data is corrupt"
_CUT: Final = "compressed data does not end with a whole block"
_BEHIND: Final = "compressed data goes on behind its last block"


class CorruptDeflate(ChargehandError, ValueError):
    """Data that no compressor wrote, or that ends within a block."""


class InflatesTooFar(ChargehandError, ValueError):
    """Message that is over its limit when it is inflated."""


@dataclass(frozen=True, slots=True)
class Deflate:
    """Agreement of two ends on compression. Connections with the same agreement share one.

    The windows are in bits. With context takeover an end's compressor keeps its window from message to message.
    Messages under `min_bytes` are not compressed by this end.
    """

    server_takeover: bool = False
    client_takeover: bool = False
    server_bits: int = MAX_BITS
    client_bits: int = MAX_BITS
    min_bytes: int = MIN_BYTES


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer to an offer: the agreement, and the header that tells the client."""

    deflate: Deflate
    header: str


_shared: Final = lru_cache(maxsize=256)(Deflate)


def answer_offer(
    offered: str, *, takeover: bool = False, window_bits: int = WINDOW_BITS, min_bytes: int = MIN_BYTES
) -> Answer | None:
    """Accept the first offer of a client that can be accepted, None if there is none. Sections 5 and 7.1.

    `offered` is the header Sec-WebSocket-Extensions, repeated ones joined. Never raises: an offer that is malformed, or
    has an unknown or a repeated parameter, is declined. The windows are the smaller of `window_bits` and the offer's.
    """
    for offer in _OFFERS.findall(offered):
        parameters = _read_parameters(offer)
        if parameters is not None:
            return _accept(parameters, takeover, window_bits, min_bytes)
    return None


def _accept(parameters: dict[str, int], takeover: bool, window_bits: int, min_bytes: int) -> Answer:  # noqa: FBT001
    server_takeover = takeover and _SERVER_TAKEOVER not in parameters
    client_takeover = takeover and _CLIENT_TAKEOVER not in parameters
    server_bits = min(window_bits, parameters.get(_SERVER_BITS, MAX_BITS))
    client_bits = MAX_BITS
    header = NAME
    if not server_takeover:
        header += f"; {_SERVER_TAKEOVER}"
    if not client_takeover:
        header += f"; {_CLIENT_TAKEOVER}"
    if _SERVER_BITS in parameters:
        header += f"; {_SERVER_BITS}={server_bits}"
    if _CLIENT_BITS in parameters:
        client_bits = min(window_bits, parameters[_CLIENT_BITS])
        header += f"; {_CLIENT_BITS}={client_bits}"
    return Answer(_shared(server_takeover, client_takeover, server_bits, client_bits, min_bytes), header)


OFFER: Final = f"{NAME}; {_SERVER_TAKEOVER}; {_CLIENT_TAKEOVER}; {_CLIENT_BITS}"
"""Offer of a client that keeps nothing from message to message."""


def read_answer(header: str) -> Deflate | None:
    """Return what a server has agreed to, None if that is no compression. Section 7.1.

    Raises HandshakeError for what was not in `OFFER`, and without the demand that is in it.
    """
    if not header:
        return None
    parameters = _read_parameters(header, answer=True)
    if parameters is None or _SERVER_TAKEOVER not in parameters:
        raise HandshakeError(f"the answer has an extension that was not offered: {header[:200]!r}")
    server_bits, client_bits = (
        parameters.get(_SERVER_BITS, MAX_BITS),
        parameters.get(_CLIENT_BITS, WINDOW_BITS),
    )
    return _shared(False, False, server_bits, client_bits)  # noqa: FBT003 - positions, as the fields are


def _read_parameters(extension: str, *, answer: bool = False) -> dict[str, int] | None:
    """Read one offer, or the answer, of permessage-deflate; None if it is another extension, or not to be accepted.

    The value of a parameter without one is 0; a client's window without a number is the largest. Section 7.1.
    """
    pieces = [piece.strip(" \t") for piece in _PARAMETERS.findall(extension)]
    parameters: dict[str, int] = {}
    if pieces[:1] != [NAME] or extension.count(";") != len(pieces) - 1:
        return None
    for piece in pieces[1:]:
        key, equals, value = piece.partition("=")
        key, value = key.rstrip(" \t"), _unquote(value.lstrip(" \t"))
        if key in parameters:
            return None
        if key in (_SERVER_TAKEOVER, _CLIENT_TAKEOVER) and not equals:
            parameters[key] = 0
        elif key in (_SERVER_BITS, _CLIENT_BITS) and value in _BITS:
            parameters[key] = _BITS[value]
        elif key == _CLIENT_BITS and not equals and not answer:
            parameters[key] = MAX_BITS
        else:
            return None
    return parameters


def _unquote(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return _ESCAPED.sub(r"\1", value[1:-1])
    return value


def make_deflater(bits: int) -> Any:
    """Make a compressor with a window of so many bits."""
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, -max(bits, _LEAST_BITS), _MEMORY_LEVEL)


def make_inflater(bits: int = MAX_BITS) -> Any:
    """Make a decompressor; one with the largest window reads what was written with any."""
    return zlib.decompressobj(-max(bits, _LEAST_BITS))


def deflate(text: bytes, deflater: Any) -> bytes:
    """Compress a message that is not empty. Section 7.2.1."""
    data: bytes = deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return data[: -len(_TAIL)]


def inflate(data: bytes, limit: int) -> bytes:
    """Return a message of at most `limit` bytes that was compressed without context takeover. Section 7.2.2.

    Raises `CorruptDeflate`, and `InflatesTooFar` when it has inflated more bytes than that, not later.
    """
    if len(data) <= _FEED_BYTES:
        inflater = zlib.decompressobj(-MAX_BITS)
        text = b""
        with suppress(zlib.error):
            text = inflater.decompress(data + _END, _PIECE_BYTES)
        # The usual case; all others are looked at again.
        if inflater.eof and not inflater.unused_data and len(text) <= limit:
            return text
    inflation = Inflation(make_inflater(), limit)
    inflation.feed(data)
    return inflation.end()


class Inflation:
    """Compressed message of at most `limit` bytes that comes in parts. Section 7.2.2.

    `inflater` may have read the messages before it. If their compressor ended its stream in this message, which it may
    do at the message's end, the inflater is at its `eof` afterwards. `seen` counts the bytes of the frame under way.
    """

    __slots__ = ("_inflater", "_last", "_limit", "_room", "_text", "seen", "size_bytes")

    def __init__(self, inflater: Any, limit: int) -> None:
        self._inflater = inflater
        self._limit = limit
        self._room = limit + 1
        self._text = bytearray()
        self._last = b""  # the last bytes that were fed
        self.seen = 0
        self.size_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes that it has inflated so far."""
        return len(self._text)

    def feed(self, data: bytes) -> None:
        """Inflate more of the message. Raises `CorruptDeflate`, and `InflatesTooFar` as soon as it is too long."""
        self.size_bytes += len(data)
        self._last = self._last + data if len(data) < len(_TAIL) else data
        self._last = self._last[-len(_TAIL) :]
        for at in range(0, len(data), _FEED_BYTES):
            self._inflate(data[at : at + _FEED_BYTES])

    def end(self) -> bytes:
        """Return the whole message. Raises as `feed`."""
        inflater = self._inflater
        # An empty message may be written without a block. Some send the tail too, and no message without it ends so.
        if self.size_bytes and not inflater.eof and self._last != _TAIL:
            self._inflate(_TAIL)
            if inflater.eof:
                raise CorruptDeflate(_CUT)
        if self.size_bytes and not inflater.eof:
            probe = inflater.copy()
            try:
                probe.decompress(_FINAL, 1)
            except zlib.error as error:
                raise CorruptDeflate(_CORRUPT) from error
            if not probe.eof or probe.unused_data:
                raise CorruptDeflate(_CUT)
        return bytes(self._text)

    def _inflate(self, data: bytes) -> None:
        inflater = self._inflater
        try:
            while True:
                part = inflater.decompress(data, min(self._room, _PIECE_BYTES))
                self._text += part
                self._room -= len(part)
                if not self._room:
                    raise InflatesTooFar(f"message over {self._limit} bytes when inflated")
                data = inflater.unconsumed_tail
                if inflater.eof or (not data and len(part) < _PIECE_BYTES):
                    break
        except zlib.error as error:
            raise CorruptDeflate(_CORRUPT) from error
        # Behind a last block there may be the empty byte that section 7.2.3.4 wants, and nothing else.
        if inflater.eof and inflater.unused_data not in (b"", b"\x00"):
            raise CorruptDeflate(_BEHIND)


def longest_deflated(size_bytes: int) -> int:
    """Return the bytes that the worst compressor of zlib writes for a message of so many bytes."""
    return size_bytes + (size_bytes + 7 >> 3) + (size_bytes + 63 >> 6) + 16
