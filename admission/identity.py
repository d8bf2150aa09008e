"""Identity, password and subprotocol of a charge point: the rules of the handshake, as pure functions.

OCPP-J 1.6, sections 3.1 and 6.2.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from ..config.errors import ChargehandError
from ..protocol.text import INVISIBLE

if TYPE_CHECKING:
    from collections.abc import Iterable


IDENTITY_CHARS = 255
"""Default of the setting `sessions.identity_chars`."""


class IdentityRefused(ChargehandError, ValueError):
    """An identity that no charge point may have."""


class Identity(NamedTuple):
    """Identity of a charge point, as its path names it."""

    id: str
    name: str


def check_identity(identity: str, longest: int = IDENTITY_CHARS) -> None:
    """Raise `IdentityRefused` for an identity that is too long, or has characters that nobody sees, or is a dot or two.

    Such characters would write into logs whatever they liked, or make two charge points look like one. Dots are taken
    out of a path on its way here (RFC 3986, section 5.2.4).
    """
    if identity in (".", ".."):
        raise IdentityRefused(f"{identity!r} is no identity: clients and proxies take it out of a path")
    if len(identity) > longest:
        text = f"an identity has at most {longest} characters (sessions.identity_chars), not {len(identity)}"
        raise IdentityRefused(text)
    found = INVISIBLE.search(identity)
    if found is not None:
        raise IdentityRefused(
            f"an identity has no control or invisible character, such as U+{ord(found[0]):04X}"
        )


def read_path(path: str, template: str, longest: int = IDENTITY_CHARS) -> Identity | None:
    """Find the identity in a request's path; None if the path is not under the template.

    It is the last segment that is not empty, percent-decoded as UTF-8 (a plus is a plus): charge points are seen to
    send empty segments before it and slashes after it. Raises `IdentityRefused` for one that `check_identity` refuses,
    and UnicodeError for what is not UTF-8 when decoded.
    """
    wanted = [segment for segment in template.split("/") if segment]
    # The HTTP server decodes the request line as Latin-1.
    raw = path.encode("latin-1", errors="strict").decode("utf-8")
    found = [unquote(segment, errors="strict") for segment in raw.split("/") if segment]
    if len(found) < len(wanted):
        return None
    name = ""
    for pattern, segment in zip(wanted[:-1], found, strict=False):
        if pattern == "{name}":
            name = segment
        elif pattern != segment:
            return None
    for part in (found[-1], name):
        check_identity(part, longest)
    return Identity(found[-1], name)


def read_password(authorization: str, identity: str) -> bytes | None:
    """Return the password in a Basic Authorization header; None if there is none for this identity.

    The header is split after the known identity, which may hold a colon; the password may hold any byte. RFC 7617.
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
    """Return whether a charge point that names no subprotocol is accepted as speaking OCPP."""
    return any(entry in ("*", identity) for entry in assume)
