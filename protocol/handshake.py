"""The opening handshake's pure parts: the client's request, the server's answer, their key (RFC 6455, 4).

The one rule: bytes and texts in, bytes and texts out. The server's side of HTTP belongs to its HTTP server;
only `accept_key` serves both roles. It never opens a connection and never waits.
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from ..config.errors import ChargehandError

MAX_HEAD_BYTES: Final = 16_384

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_END_OF_HEAD: Final = b"\r\n\r\n"
_STATUS_LINE: Final = re.compile(r"HTTP/1\.[01] (\d{3})(?: (.*))?", re.ASCII)
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class HandshakeError(ChargehandError, ValueError):
    """The server's answer is not HTTP, is too long, or does not open a WebSocket."""


@dataclass(frozen=True, slots=True)
class HandshakeResponse:
    """The head of the server's answer. Headers' names are in lower case; repeated ones are joined by `, `.

    `leftover` are the bytes behind the head in the same read: the first frames, or the start of a refusal's
    text.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    leftover: bytes


def choose_subprotocol(offered: str, spoken: Sequence[str]) -> str | None:
    """Pick the first offered subprotocol that is spoken here; tokens are exact. RFC 6455, section 4.2.2."""
    for token in offered.split(","):
        if token.strip() in spoken:
            return token.strip()
    return None


def wants_upgrade(headers: Mapping[str, str]) -> str | None:
    """Name the fault of a request as a WebSocket handshake; None if there is none. RFC 6455, section 4.2.1."""
    if "websocket" not in [token.strip().lower() for token in headers.get("upgrade", "").split(",")]:
        return "this is a WebSocket endpoint: send Upgrade: websocket"
    if "upgrade" not in [token.strip().lower() for token in headers.get("connection", "").split(",")]:
        return "the header Connection: Upgrade is missing"
    return None


def check_key(key: str) -> bool:
    """Tell if a Sec-WebSocket-Key is 16 bytes in base64. RFC 6455, section 4.1."""
    try:
        return len(base64.b64decode(key.strip(), validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def accept_key(key: str) -> str:
    """Return the `Sec-WebSocket-Accept` for the client's `Sec-WebSocket-Key`. Sections 1.3 and 4.2.2."""
    digest = hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def handshake_request(
    host: str, path: str, subprotocols: Collection[str] = (), headers: Mapping[str, str] | None = None
) -> tuple[bytes, str]:
    """Return the client's request and the fresh key in it, which `confirm` needs. Section 4.1.

    `host` is the Host header, with the port if it is not the scheme's own; `path` is percent-encoded already,
    with its query; `headers` come in addition, Authorization for example, or take the place of ours. Raises
    ValueError for what would break the request apart: control characters or anything beyond ASCII, and spaces
    in `path`.
    """
    key = base64.b64encode(os.urandom(16)).decode()
    lines = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
    }
    if subprotocols:
        lines["Sec-WebSocket-Protocol"] = ", ".join(subprotocols)
    lines.update(headers or {})
    for name, value in lines.items():
        # The value is not shown: it may be a password.
        if not _is_safe(value) or not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"header {name!r} cannot be sent")
    if not path.startswith("/") or not _is_safe(path) or " " in path:
        raise ValueError(f"path {path!r} is not a percent-encoded path")
    head = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
    return "\r\n".join(head).encode("ascii") + _END_OF_HEAD, key


class ResponseReader:
    """Collects the server's answer until its head, `max_bytes` at most, is complete. Good for one answer."""

    __slots__ = ("_head", "_max_bytes")

    def __init__(self, *, max_bytes: int = MAX_HEAD_BYTES) -> None:
        self._head = bytearray()
        self._max_bytes = max_bytes

    def receive(self, data: bytes) -> HandshakeResponse | None:
        """Take what the server sent, cut anywhere; return the response once its head is complete, else None.

        Raises HandshakeError for a head that is not HTTP or longer than `max_bytes`. Once it has returned a
        response or has raised it is done, and what comes then is the codec's.
        """
        seen = max(0, len(self._head) - len(_END_OF_HEAD) + 1)
        self._head += data
        end = self._head.find(_END_OF_HEAD, seen, self._max_bytes)
        if end >= 0:
            return _parse(self._head[:end].decode("latin-1"), bytes(self._head[end + len(_END_OF_HEAD) :]))
        if len(self._head) >= self._max_bytes:
            raise HandshakeError(f"the answer's head is over {self._max_bytes} bytes")
        return None


def confirm(
    response: HandshakeResponse, key: str, subprotocols: Collection[str] = (), *, extensions: bool = False
) -> str | None:
    """Return the subprotocol that the server chose, None if it chose none. Section 4.1.

    `key` and `subprotocols` are those of the request; with `extensions` it offered some, and the caller judges what was
    chosen of them. Raises HandshakeError if the response does not open a
    WebSocket, or opens one with a subprotocol that was not requested.
    """
    headers = response.headers
    connection = [token.strip().lower() for token in headers.get("connection", "").split(",")]
    chosen = headers.get("sec-websocket-protocol")
    if response.status != HTTPStatus.SWITCHING_PROTOCOLS:
        raise HandshakeError(f"refused with {response.status} {response.reason}".rstrip())
    if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in connection:
        raise HandshakeError("the answer does not upgrade to websocket")
    if headers.get("sec-websocket-accept") != accept_key(key):
        raise HandshakeError("the answer does not fit the request's key")
    if headers.get("sec-websocket-extensions") and not extensions:
        raise HandshakeError("the answer has an extension that was not offered")
    if chosen is not None and chosen not in subprotocols:
        raise HandshakeError(f"the answer has subprotocol {chosen!r}, which was not offered")
    return chosen


def _is_safe(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _parse(head: str, leftover: bytes) -> HandshakeResponse:
    first, *rest = head.split("\r\n")
    status_line = _STATUS_LINE.fullmatch(first)
    if status_line is None:
        raise HandshakeError(f"not an HTTP answer: {first[:80]!r}")
    headers: dict[str, str] = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon or not _HEADER_NAME.fullmatch(name):
            raise HandshakeError(f"not an HTTP header: {line[:80]!r}")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return HandshakeResponse(int(status_line[1]), status_line[2] or "", headers, leftover)
