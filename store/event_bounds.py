"""Bounds on stored events: how many a charge point may have, and how large one may be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from .store import Receipt, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .records import Event

PER_CHARGE_POINT = 10_000
SIZE_BYTES = 16_384

LOOK_EVERY = 200
"""Events, on average, after which those of the charge point that sent the last one are looked at."""
DROPPED_AT_ONCE = 2000
"""Events that are dropped when a charge point's are looked at: ten for each that came since."""

CUT = "cut"
"""Member of an event's data that names the members that were too long, with their sizes in bytes."""

_encode = msgspec.json.Encoder().encode


class EventBounds:
    """Bounds on the events of a store; 0 sets no limit. `count(name, charge_point_id)` counts each that is dropped."""

    def __init__(
        self,
        per_charge_point: int = PER_CHARGE_POINT,
        size_bytes: int = SIZE_BYTES,
        count: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self.per_charge_point = per_charge_point
        self._size_bytes = size_bytes
        self._count = count
        self.held = ""
        """Reason for which the history of events is not stored; empty if it is."""

    def refused(self, event: Event) -> Receipt:
        """Count an event that is not stored, and return the receipt that says so."""
        self._count("stored_event_refused", event.charge_point_id)
        return Receipt(done=True, error=StoreError(f"not stored: {self.held}"))

    def encoded(self, event: Event) -> bytes:
        """Return the data of an event as JSON; of one that is too large, long members are cut."""
        encoded = _json(event.data)
        if not self._size_bytes or len(encoded) <= self._size_bytes:
            return encoded
        self._count("stored_event_cut", event.charge_point_id)
        return _json(cut(event.data, self._size_bytes))

    def fitted(self, event: Event) -> Event:
        """Return an event as it is; of one that is too large, long members are cut."""
        if not self._size_bytes or len(_json(event.data)) <= self._size_bytes:
            return event
        self._count("stored_event_cut", event.charge_point_id)
        return msgspec.structs.replace(event, data=cut(event.data, self._size_bytes))

    def dropped(self, charge_point_id: str, number: int) -> None:
        """Count events of a charge point that were dropped."""
        for _ in range(number):
            self._count("stored_event_dropped", charge_point_id)


def cut(data: Mapping[str, Any], size_bytes: int) -> dict[str, Any]:
    """Shorten the long members of an event's data, so that it has about this size, and name them."""
    room = size_bytes // (2 * (len(data) or 1))
    short: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    for name, value in data.items():
        encoded = _json(value)
        if len(encoded) > room:
            sizes[name] = len(encoded)
            short[name] = value[:room] if isinstance(value, str) else encoded[:room].decode(errors="replace")
        else:
            short[name] = value
    if len(_json(short)) + len(_json(sizes)) > 2 * size_bytes:  # the names are long, or many
        whole = _json(data)
        return {"data": whole[:size_bytes].decode(errors="replace"), CUT: {"data": len(whole)}}
    return short | {CUT: sizes}


def _json(value: Any) -> bytes:
    """Encode as JSON; lone surrogates, which are no UTF-8, as their escapes."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value)).encode()


def decoded(data: str) -> dict[str, Any]:
    """Read the data of an event from JSON."""
    try:
        found: dict[str, Any] = msgspec.json.decode(data)
    except msgspec.DecodeError:
        found = json.loads(data)
    return found
