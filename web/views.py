"""Views: the JSON shapes of HTTP answers. Each is a struct, which is the declaration of its schema, too.

One rule: names of ours are in snake case, an OCPP payload stays as it was on the wire. Times are UTC, ISO 8601. Views
of charge points, transactions, tickets and events are in modules of their own, those of one resource beside it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from ..protocol import payload as payloads

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..protocol.actions import Version
    from ..protocol.errors import Deviation, ErrorCode
    from ..protocol.message import Message

JSON = "application/json"
PROBLEM = "application/problem+json"
LINES_OF_JSON = "application/x-ndjson"
Payload: TypeAlias = Any
"""Any JSON: a payload of OCPP, mostly as it was sent."""

# Numbers of a payload with a fraction are Decimals, and stay numbers.
_encoder = msgspec.json.Encoder(decimal_format="number")


class View(msgspec.Struct):
    """Base of the structs that are answers, or parts of them."""


def encode(view: Any) -> bytes:
    """Encode a view as JSON."""
    return _encoder.encode(view)


def members(view: View) -> dict[str, Any]:
    """Return the members of a view that are set, by their names."""
    values = ((name, getattr(view, name)) for name in view.__struct_fields__)
    return {name: value for name, value in values if value is not msgspec.UNSET}


def moment(seconds: float | None) -> dt.datetime | None:
    """Convert seconds since 1970 to a time, to the millisecond."""
    return None if seconds is None else dt.datetime.fromtimestamp(round(seconds, 3), dt.UTC)


def utc(at: dt.datetime | None) -> dt.datetime | None:
    """Return a charge point's time in UTC; the first and the last hours that there are keep their zone."""
    with contextlib.suppress(OverflowError):
        return None if at is None else at.astimezone(dt.UTC)
    return at


def wire(message: Message | None) -> msgspec.Raw | None:
    """Show a message as its payload."""
    return None if message is None else msgspec.Raw(payloads.encode(message))


def as_sent(payload: bytes) -> msgspec.Raw | str:
    """Show a payload as it was sent; as text if it is no JSON."""
    try:
        payload.decode()
        return msgspec.json.decode(payload, type=msgspec.Raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return payload.decode(errors="backslashreplace")


class Violation(View):
    """Violation of the contract of a payload, or deviation from it."""

    path: str
    code: str
    """Error code as the version spells it."""
    text: str
    value: Payload = None


def violations(found: Iterable[Deviation], version: Version | None) -> list[Violation]:
    """Show violations and deviations, with their codes as the version spells them."""
    return [
        Violation(
            path=deviation.path,
            code=spell(version, deviation.code),
            text=deviation.text,
            value=deviation.value,
        )
        for deviation in found
    ]


def spell(version: Version | None, code: ErrorCode | str) -> str:
    """Write an error code as a version spells it."""
    return str(code) if version is None else version.spell(code)


def named(name: str, versions: Mapping[str, Version]) -> Version | None:
    """Find a version by its name; None if it is none of these."""
    return next((version for version in versions.values() if version.name == name), None)
