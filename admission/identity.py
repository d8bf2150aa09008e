"""Identity, password and subprotocol of a charge point: the rules of the handshake, as pure functions.

OCPP-J 1.6, sections 3.1 and 6.2.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable


CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Identity(NamedTuple):
    """A charge point as its path names it."""

    id: str
    name: str


def read_path(path: str, template: str) -> Identity | None:
    """Find the identity in a request's path; None if the path is not under the template.

    It is the last segment that is not empty, percent-decoded as UTF-8 (a plus is a plus): charge points are seen to
    send empty segments before it and slashes after it. One with control characters names nobody: it would write into
    logs whatever it liked. Raises ValueError for what is not UTF-8 when decoded.
    """
    wanted = [segment for segment in template.split("/") if segment]
    # The HTTP server hands us the bytes of the request line as Latin-1.
    raw = path.encode("latin-1", errors="strict").decode("utf-8")
    found = [unquote(segment, errors="strict") for segment in raw.split("/") if segment]
    if len(found) < len(wanted) or any(CONTROL.search(segment) for segment in found):
        return None
    name = ""
    for pattern, segment in zip(wanted[:-1], found, strict=False):
        if pattern == "{name}":
            name = segment
        elif pattern != segment:
            return None
    return Identity(found[-1], name)


def read_password(authorization: str, identity: str) -> bytes | None:
    """The password in a Basic Authorization header; None if there is none of this identity in it.

    It is split at the known identity, for that may hold a colon and the password any byte. RFC 7617.
    """
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    user = f"{identity}:".encode()
    return given[len(user) :] if given.startswith(user) else None


def assumes_subprotocol(identity: str, assume: Iterable[str]) -> bool:
    """Return true if a charge point that names no subprotocol is taken to speak ours."""
    return any(entry in ("*", identity) for entry in assume)
