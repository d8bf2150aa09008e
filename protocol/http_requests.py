"""Framing of HTTP/1.1 requests, read strictly: what two readers could take for two things is refused.

A proxy in front that reads a request in another way than the server behind it lets a second one through, unseen.
The one rule: lines in, refusals out; nothing is read from a socket but by the stream that is handed in. RFC 9112.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn
from urllib.parse import quote

from ..config.errors import ChargehandError

HEAD_BYTES: Final = 65_536
"""Bytes of all header lines of a request together."""
HEADER_FIELDS: Final = 100
CHUNK_LINE_BYTES: Final = 1024
"""Bytes of the line of a chunk's size, with its extensions."""
CHUNK_OVERHEAD_BYTES: Final = 16_384
"""Bytes of all extensions and trailers of a body together."""

_REQUEST_LINE: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [^\x00-\x20\x7f]+ HTTP/1\.[01]\r?\n")
_FIELD: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\x00\r\n]*)\r?\n")
_LENGTH: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_END: Final = (b"\r\n", b"\n")
_ASCII: Final = "".join(map(chr, range(128)))


class FramingError(ChargehandError, OSError):
    """Request whose beginning or end is not beyond doubt. The connection is to be closed."""


def checked_request_line(line: str) -> str:
    """Return a request line with bytes that are not ASCII percent-encoded: two bytes of UTF-8 may look like blanks.

    Raises `FramingError` if it is not method, target and HTTP/1.1 or 1.0, with one blank between. Section 3.
    """
    if not _REQUEST_LINE.fullmatch(line):
        raise FramingError("the first line is not METHOD TARGET HTTP/1.1")
    return quote(line, safe=_ASCII, encoding="latin-1")


class HeaderLines:
    """Header lines of a request, checked as they are read. Section 5."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._left = HEAD_BYTES
        self.fields: list[tuple[str, str]] = []

    def readline(self, size: int = HEAD_BYTES + 1) -> bytes:
        """Return the next line. Raises `FramingError`, at the end of the stream too."""
        line: bytes = self._stream.readline(min(size, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise FramingError(f"the headers have more than {HEAD_BYTES} bytes")
        if line in _END:
            return line
        if not line.endswith(b"\n"):
            raise FramingError("the request ends within its headers")
        if line[:1] in b" \t":
            raise FramingError("a header goes on in a second line")
        found = _FIELD.fullmatch(line)
        if found is None:
            raise FramingError("a header line is not NAME: VALUE, or has a character that none may have")
        if len(self.fields) == HEADER_FIELDS:
            raise FramingError(f"there are more than {HEADER_FIELDS} headers")
        self.fields.append((found[1].decode("latin-1").lower(), found[2].decode("latin-1").strip(" \t")))
        return line

    def values(self, name: str) -> list[str]:
        """List the values of a header, whose name is in lower case."""
        return [value for found, value in self.fields if found == name]

    def check_length(self, version: str) -> None:
        """Refuse headers that leave it open how long the body is. Section 6."""
        lengths, codings = self.values("content-length"), self.values("transfer-encoding")
        if codings and lengths:
            raise FramingError("there is a Content-Length beside a Transfer-Encoding")
        if len(lengths) > 1:
            raise FramingError("there is more than one Content-Length")
        if lengths and not _LENGTH.fullmatch(lengths[0]):
            raise FramingError("the Content-Length is not a number of bytes")
        if codings and [coding.lower() for coding in codings] != ["chunked"]:
            raise FramingError("the transfer coding is not chunked")
        if codings and version != "HTTP/1.1":
            raise FramingError("a Transfer-Encoding needs HTTP/1.1")

    def check_host(self, version: str) -> None:
        """Refuse a request of HTTP/1.1 without a Host, and any with several. Section 3.2."""
        hosts = self.values("host")
        if len(hosts) > 1 or (not hosts and version == "HTTP/1.1"):
            raise FramingError("there is not exactly one Host")


class ChunkedBody:
    """Body in chunks. Section 7.1."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._left = 0
        self._overhead = CHUNK_OVERHEAD_BYTES
        self._begun = False
        self.ended = False
        self.ended_well = False

    def begin(self) -> None:
        """Read the size of the first chunk, so that a wrong one is known early. Raises `FramingError`."""
        if not self._begun:
            self._begun = True
            self._next()

    def read(self, size: int | None = None, *, line: bool = False) -> bytes:
        """Return up to `size` bytes, or all; with `line` up to the end of a line. Raises `FramingError`."""
        self.begin()
        parts = []
        while not self.ended and (size is None or size > 0):
            wanted = self._left if size is None else min(self._left, size)
            part: bytes = (self._stream.readline if line else self._stream.read)(wanted)
            if not part:
                self._fail("the request ends within a chunk")
            parts.append(part)
            self._left -= len(part)
            size = None if size is None else size - len(part)
            if not self._left:
                if self._stream.read(2) != b"\r\n":
                    self._fail("a chunk is longer than its size")
                self._next()
            if line and part.endswith(b"\n"):
                break
        return b"".join(parts)

    def _line(self) -> bytes:
        line: bytes = self._stream.readline(CHUNK_LINE_BYTES + 1)
        if len(line) > CHUNK_LINE_BYTES:
            self._fail(f"a line between chunks has more than {CHUNK_LINE_BYTES} bytes")
        return line

    def _count(self, size: int) -> None:
        self._overhead -= size
        if self._overhead < 0:
            self._fail(f"extensions and trailers of the chunks have more than {CHUNK_OVERHEAD_BYTES} bytes")

    def _next(self) -> None:
        found = _CHUNK.fullmatch(self._line())
        if found is None:
            self._fail("a chunk does not begin with its size")
        self._count(len(found[2] or b""))
        self._left = int(found[1], 16)
        if not self._left:
            self._read_trailers()

    def _read_trailers(self) -> None:
        while (line := self._line()) != b"\r\n":
            if not line.endswith(b"\r\n") or not _FIELD.fullmatch(line):
                self._fail("a line behind the last chunk is not NAME: VALUE")
            self._count(len(line))
        self.ended = self.ended_well = True

    def _fail(self, reason: str) -> NoReturn:
        self.ended = True
        raise FramingError(reason)
