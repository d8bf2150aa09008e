"""Log of durable events of a store in memory: it is bounded, and ends with its process."""

from __future__ import annotations

import datetime as dt
import itertools
import os
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from .event_log import Elsewhere, EventDeadLetter, Origin, Position
from .events import (
    CORRECTED,
    ENDED_KIND,
    STARTED_KIND,
    corrected,
    encoded,
    ended,
    event_of_record,
    has_event,
    started,
)
from .records import Event
from .store import Receipt

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ..protocol.events import DomainEvent
    from .records import Transaction
    from .store import LoggedEvent

PERSISTED = Receipt(done=True)
DEAD_LETTERS = 10_000
SLACK = 1024
"""Events over the limit that are still held: the oldest are dropped together, so that each place is found at once."""


class HeldEvent(NamedTuple):
    """Event as the log has it, like `Logged`; of a transaction it holds the record as it was then."""

    number: int
    kind: str
    logged_at: dt.datetime
    held: Any

    @property
    def charge_point_id(self) -> str:
        """Charge point of the event."""
        return str(self.held.charge_point_id)

    @property
    def transaction_id(self) -> int | None:
        """Id of its transaction, if it is of one."""
        return self.held.id if self.kind in _MAKERS else None

    @property
    def data(self) -> str:
        """Nothing: the event itself is held."""
        return ""

    def event(self, origin: str) -> DomainEvent:
        """Make the event."""
        make = _MAKERS.get(self.kind)
        found: DomainEvent = self.held if make is None else make(self.held, f"{origin}:{self.number}")
        return found


_MAKERS: Mapping[str, Callable[[Transaction, str], DomainEvent]] = {
    STARTED_KIND: started,
    ENDED_KIND: ended,
    CORRECTED: corrected,
}


class MemoryEventLog:
    """Log of the last `limit` events."""

    number = 1

    def __init__(self, origin: str = "", limit: int = 100_000) -> None:
        self.origin = origin or os.urandom(8).hex()
        self.last = 0
        # What can be made when it is read is not made here: that would be felt at each start, stop and late reading.
        self._events: list[tuple[str, dt.datetime, Any] | Event] = []
        self._limit = limit
        self._dropped = 0
        self._positions: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._dead_letters: deque[EventDeadLetter] = deque(maxlen=DEAD_LETTERS)
        self._heard: Callable[[], None] | None = None

    def rename(self, origin: str) -> None:
        """Do nothing: no other process knows of this one."""

    def watch(self, heard: Callable[[], None] | None) -> None:
        """Call back in the hub when there are further events; None for nobody any more."""
        self._heard = heard

    # -- Appending -------------------------------------------------------------------------------

    def append(self, kind: str, at: dt.datetime, held: Any) -> None:
        """Log an event of this process: an event, or the record of a transaction of which it is made."""
        self._add((kind, at, held))

    def told(self, record: Event) -> None:
        """Log something that a charge point has told, if it has an event."""
        if has_event(record):
            self._add(record)

    def _add(self, one: tuple[str, dt.datetime, Any] | Event) -> None:
        self.last += 1
        self._events.append(one)
        if len(self._events) >= self._limit + SLACK:
            self._drop(SLACK)
        if self._heard is not None:
            self._heard()

    def _drop(self, number: int) -> None:
        del self._events[:number]
        self._dropped += number

    def publish(self, event: DomainEvent) -> Receipt:
        """Log an event that has no record."""
        event = msgspec.structs.replace(event, id=f"{self.origin}:{self.last + 1}")
        self.append(type(event).__name__, event.at, event)
        return PERSISTED

    # -- Reading ---------------------------------------------------------------------------------

    @property
    def _pruned_to(self) -> int:
        return max(self._dropped, self.last - self._limit)  # numbers have no gaps here

    def origins(self) -> Sequence[Origin]:
        """Return the one origin."""
        return [Origin(self.number, self.origin, self.last, self._pruned_to)]

    def read(self, origin: int, after: int, limit: int) -> Sequence[HeldEvent]:
        """Return events behind a number, in order."""
        if origin != self.number:
            return []
        first = max(after, self._pruned_to)
        behind = first - self._dropped
        found = self._events[behind : behind + limit]
        return [self._held(number, one) for number, one in enumerate(found, first + 1)]

    def _held(self, number: int, one: tuple[str, dt.datetime, Any] | Event) -> HeldEvent:
        if isinstance(one, tuple):
            return HeldEvent(number, *one)
        event = event_of_record(one, f"{self.origin}:{number}")
        return HeldEvent(number, type(event).__name__, one.received_at, event)

    def elsewhere(self, consumer: str, followed: Collection[int] = ()) -> Elsewhere:  # noqa: ARG002 - as a store has it
        """Return nothing: there is no other process."""
        return Elsewhere(dt.datetime.now(dt.UTC), {})

    # -- Consumers -------------------------------------------------------------------------------

    def register(self, name: str, last: int | None = None) -> Mapping[int, Position]:
        """Return the position of a consumer; a new one starts now, or behind the number `last`."""
        self._positions.setdefault(name, self.last if last is None else last)
        return self.positions(name)

    def positions(self, name: str) -> Mapping[int, Position]:
        """Return the position of a consumer."""
        return {self.number: Position(self._positions[name], self.origin)}

    def advance(self, name: str, origin: int, number: int) -> Receipt:  # noqa: ARG002 - there is one only
        """Keep how far a consumer is done."""
        self._positions[name] = max(self._positions[name], number)
        return PERSISTED

    def adopt(self, name: str, origin: int, owner: str | None) -> int | None:  # noqa: ARG002 - as a store has it
        """Return None: there is no other process."""
        return None

    def forget_ended(self, origin: Origin, before: dt.datetime) -> None:
        """Do nothing: there is no other process."""

    # -- Dead letters ----------------------------------------------------------------------------

    def set_aside(self, consumer: str, event: DomainEvent, why: str) -> Receipt:
        """Keep an event that a consumer could not take."""
        self._dead_letters.append(
            EventDeadLetter(
                next(self._numbers),
                consumer,
                event.id,
                event.charge_point_id,
                type(event).__name__,
                dt.datetime.now(dt.UTC),
                why,
                encoded(event),
            )
        )
        return PERSISTED

    def set_aside_unknown(
        self,
        consumer: str,  # noqa: ARG002 - as a store has it
        origin: str,  # noqa: ARG002
        logged: LoggedEvent,  # noqa: ARG002
        why: str,  # noqa: ARG002
    ) -> Receipt:
        """Do nothing: no other program has written here."""
        return PERSISTED

    def dead_letters(self, *, after: int = 0, limit: int = 1000) -> Sequence[EventDeadLetter]:
        """Return dead letters of events, oldest first, with numbers above `after`."""
        return [one for one in self._dead_letters if one.number > after][:limit]

    def forget_dead_letters(self, numbers: Sequence[int]) -> Receipt:
        """Delete dead letters of events for good."""
        left = [one for one in self._dead_letters if one.number not in set(numbers)]
        self._dead_letters = deque(left, maxlen=DEAD_LETTERS)
        return PERSISTED

    # -- Retention -------------------------------------------------------------------------------

    def prune(self, *, keep: int, since: dt.datetime | None) -> bool:
        """Drop the oldest events: those over `keep`, and those from before `since`; 0 and None set no limit."""
        number = max(len(self._events) - keep, 0) if keep else 0
        if since is not None:
            while number < len(self._events) and _logged_at(self._events[number]) < since:
                number += 1
        self._drop(number)
        return False


def _logged_at(one: tuple[str, dt.datetime, Any] | Event) -> dt.datetime:
    return one[1] if isinstance(one, tuple) else one.received_at
