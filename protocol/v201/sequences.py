"""Events of a transaction of OCPP 2.0.1, taken together: which are missing, and which contradict each other.

The one rule: functions of the payloads as they were sent, which are read as far as they can be; nothing is raised.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ..energy import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MISSING, DIFFER = "events_missing", "events_differ"
"""Codes of findings: a hole in the numbers of the events; two events with one number, time and trigger."""
NAMED = 10
"""Holes that a finding names."""
ENDED = "Ended"


class _Event(msgspec.Struct, gc=False):
    seq_no: Any = msgspec.field(default=None, name="seqNo")
    event_type: Any = msgspec.field(default=None, name="eventType")
    timestamp: Any = None
    trigger_reason: Any = msgspec.field(default=None, name="triggerReason")


class Hole(NamedTuple):
    """Numbers of events that did not come, from the first to the last one."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


_decode = msgspec.json.Decoder(_Event).decode


def _read(payloads: Iterable[bytes]) -> list[_Event]:
    found = []
    for payload in payloads:
        try:
            found.append(_decode(payload))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
    return found


def _holes(events: Iterable[_Event]) -> list[Hole]:
    """List the holes from the lowest number, for a station may count for each EVSE, to that of the end."""
    numbers = {one.seq_no for one in events if type(one.seq_no) is int}
    ends = [one.seq_no for one in events if one.event_type == ENDED and type(one.seq_no) is int]
    if not ends:
        return []
    below = sorted(number for number in numbers if number <= max(ends))
    return [
        Hole(one + 1, following - 1) for one, following in itertools.pairwise(below) if following - one > 1
    ]


def findings_of(payloads: Sequence[bytes]) -> tuple[Finding, ...]:
    """Find holes below the number of the end, and events with one number, type, time and trigger that differ."""
    events = _read(payloads)
    found = []
    holes = _holes(events)
    if holes:
        more = f" and {len(holes) - NAMED} more" if len(holes) > NAMED else ""
        named = ", ".join(map(str, holes[:NAMED]))
        found.append(Finding(MISSING, f"events with seqNo {named}{more} did not come"))
    keys: dict[Any, int] = {}
    for one in events:
        key = repr((one.seq_no, one.event_type, one.timestamp, one.trigger_reason))
        keys[key] = keys.get(key, 0) + 1
    double = [key for key, number in keys.items() if number > 1]
    if double:
        text = f"{len(double)} of its events came again with other contents; both are kept"
        found.append(Finding(DIFFER, text))
    return tuple(found)


def identity_of(payload: bytes) -> bytes:
    """Return the bytes by which an event is known when it comes again: all of it but `offline`, in any order."""
    try:
        members = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return payload
    members.pop("offline", None)
    return b"\0".join(name.encode() + b"\0" + bytes(members[name]) for name in sorted(members))
