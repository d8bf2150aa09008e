"""Stream of events as they come, for one reader, that can go on where it was: the reader keeps the cursor.

A cursor is the last number of each origin, as `origin:number,...`; only durable events have one.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from ..config.errors import ChargehandError
from ..protocol.events import EventsDropped
from ..store.events import DURABLE_EVENTS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable

    from ..protocol.events import DomainEvent
    from ..remote.cluster.live_events import LiveEvents
    from ..store.store import LoggedEvent
    from .event_reader import EventReader
    from .subscriptions import Subscription

LOOK_S = 0.5
"""Seconds between two looks for what other processes have stored."""
NUMBER_DIGITS = 12
"""Digits of the largest number of an event."""


class WrongCursor(ChargehandError, ValueError):
    """Error: a text is no cursor of a stream of events."""


def parse(cursor: str) -> dict[str, int]:
    """Read a cursor. Raises `WrongCursor`."""
    found = {}
    for part in cursor.split(","):
        origin, separator, number = part.strip().rpartition(":")
        if not separator or not origin or not (number.isascii() and number.isdigit()):
            raise WrongCursor(f"{cursor!r} is no place in the stream of events")
        if len(number) > NUMBER_DIGITS:
            raise WrongCursor(f"{cursor!r} is no place in the stream of events: {number} is too large")
        found[origin] = int(number)
    return found


class EventStream:
    """Events of some kinds; `next` gives each with its cursor, which is empty for live ones.

    From `after`, a cursor, the durable events that came since are read first; without one it starts now. What its
    reader does not keep up with is read from the log again; of live events the newest is dropped. With `others`, the
    other processes, it has the live events of these too, and looks each `LOOK_S` for what they have stored. Raises
    `WrongCursor`; may switch greenlets.
    """

    def __init__(
        self,
        subscription: Subscription,
        reader: EventReader,
        kinds: Iterable[type[DomainEvent]],
        *,
        after: str = "",
        charge_point_id: str = "",
        others: LiveEvents | None = None,
        now: Callable[[], dt.datetime],
    ) -> None:
        kinds = tuple(kinds)
        self._subscription = subscription
        self._reader = reader
        self._kinds = {kind.__name__ for kind in kinds}
        self._durable = any(kind in DURABLE_EVENTS for kind in kinds)
        self._charge_point_id = charge_point_id
        self._shared = others is not None
        self._looks_at = monotonic() + LOOK_S
        self._dropped = 0
        self._waiting: deque[tuple[str, DomainEvent]] = deque()
        self._names: dict[int, str] = {}
        self._positions: dict[int, int] = {}
        self._behind = bool(after)
        given = parse(after) if after else None
        if self._durable:
            self._begin(given, now)
        self._end_others = None if others is None else others.want(kinds, subscription.hear)

    def _begin(self, given: dict[str, int] | None, now: Callable[[], dt.datetime]) -> None:
        log = self._reader.log
        own = log.last
        for origin in log.origins():
            self._names[origin.number] = origin.name
            if given is None:
                last = own if origin.number == log.number else max(origin.last, origin.pruned_to)
                self._positions[origin.number] = last
                continue
            position = given.get(origin.name, 0)
            if position < origin.pruned_to:
                if EventsDropped.__name__ in self._kinds:
                    event = EventsDropped(
                        at=now(),
                        id=f"{origin.name}:{origin.pruned_to}",
                        first=f"{origin.name}:{position + 1}",
                        last=f"{origin.name}:{origin.pruned_to}",
                        count=origin.pruned_to - position,
                    )
                    self._waiting.append(("", event))
                position = origin.pruned_to
            self._positions[origin.number] = position

    @property
    def closed(self) -> bool:
        """True when no further event comes."""
        return self._subscription.closed

    def close(self) -> None:
        """Take no further event."""
        self._subscription.close()
        if self._end_others is not None:
            self._end_others()

    @property
    def cursor(self) -> str:
        """Cursor of what was read so far."""
        return ",".join(f"{self._names[origin]}:{number}" for origin, number in self._positions.items())

    def next(self, timeout_s: float) -> tuple[str, DomainEvent] | None:
        """Wait for the next event; None if there is none within `timeout_s`, or ever. Switches greenlets."""
        ends_at = monotonic() + timeout_s
        while not (found := self._stored() or self._told(ends_at - monotonic())):
            if self.closed or (monotonic() >= ends_at and not self._behind):
                return None
        return found

    def next_some(self, timeout_s: float, limit: int) -> list[tuple[str, DomainEvent]]:
        """Wait for the next event, as `next` does, and return it with those that wait behind it."""
        found = []
        one = self.next(timeout_s)
        while one is not None:
            found.append(one)
            one = (self._stored() or self._told(None)) if len(found) < limit else None
        return found

    def _stored(self) -> tuple[str, DomainEvent] | None:
        """Return the next event of the log, if it is known or time to look that there is one."""
        now = monotonic()
        if self._shared and self._durable and now >= self._looks_at:
            self._behind = True
            self._looks_at = now + LOOK_S
        while self._behind and not self._waiting:
            self._behind = self._catch_up()
        return self._waiting.popleft() if self._waiting else None

    def _told(self, left_s: float | None) -> tuple[str, DomainEvent] | None:
        """Wait for the next event that is told; None if there is none, or if it is to be read from the log."""
        if left_s is None:
            event = self._subscription.next_now()
        else:
            left_s = max(0.0, left_s)
            event = self._subscription.next(min(left_s, LOOK_S) if self._shared else left_s)
        if self._subscription.dropped != self._dropped:
            self._dropped = self._subscription.dropped
            self._behind = self._durable
        if event is None or not event.id:
            return None if event is None else ("", event)
        number = int(event.id.rpartition(":")[2])
        own = self._reader.log.number
        if number <= self._positions.get(own, 0) or self._behind:
            return None
        self._positions[own] = number
        return self.cursor, event

    def _catch_up(self) -> bool:
        """Read what the log has behind the positions; return whether there may be more."""
        if self._shared:
            for known in self._reader.log.origins():
                self._names.setdefault(known.number, known.name)
                self._positions.setdefault(known.number, 0)
        rows = self._reader.read_all(self._positions)
        for origin, logged in rows:
            self._positions[origin] = logged.number
            event = self._wanted(logged, origin)
            if event is not None:
                self._waiting.append((self.cursor, event))
        return bool(rows)

    def _wanted(self, logged: LoggedEvent, origin: int) -> DomainEvent | None:
        if logged.kind not in self._kinds or self._charge_point_id not in ("", logged.charge_point_id):
            return None
        return self._reader.whole(logged, self._names[origin])
