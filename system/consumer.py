"""State of one consumer of durable events: what it has to get, in which order, and how far it is done.

The one rule: no I/O and no clock here. Events of one charge point are handed out one at a time: those of one origin in
the order in which they were added, those of several by the times when they were logged, because a charge point moves
between processes that live at the same time. So none is handed out before all origins are read up to its time. A failed
one is handed out again later, and those behind it wait.

Corrections of one transaction that follow each other are told as one, the last: each has the transaction as it is when
it is delivered. So a correction waits for a moment, unless another event is behind it.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..protocol.events import DomainEvent
    from ..store.store import LoggedEvent

DOUBLINGS = 30
"""Limit of the doublings of the delay between two tries."""
UNREAD = dt.datetime.min.replace(tzinfo=dt.UTC)
"""Time up to which an origin is read of which nothing is."""


class Delivery:
    """Event on its way to a consumer; `number` is its own within its `origin`, `at` the time when it was logged.

    `event` is a row of the log until it is handed out for the first time. `corrects` is the id of the transaction that
    it is a correction of, else None.
    """

    __slots__ = (
        "at", "charge_point_id", "corrects", "due", "event", "failures", "number", "origin", "running", "settling",
    )  # fmt: skip

    def __init__(
        self,
        origin: int,
        number: int,
        at: dt.datetime,
        event: DomainEvent | LoggedEvent,
        corrects: int | None,
    ) -> None:
        self.origin = origin
        self.number = number
        self.at = at
        self.charge_point_id = event.charge_point_id
        self.event: DomainEvent | LoggedEvent = event
        self.corrects = corrects
        self.failures = 0
        self.due = 0.0
        self.running = False
        self.settling = False  # it waits for further corrections until it is due


class Consumer:
    """Consumer of some kinds of events. If `sorted_already`, they are added in the order in which they are handed out.

    A failed delivery is due again after `delay_s`, doubled each time up to `delay_max_s`; the failure after `attempts`
    tries is its last.
    """

    def __init__(
        self,
        name: str,
        kinds: Iterable[type[DomainEvent]],
        *,
        sorted_already: bool = False,
        attempts: int,
        delay_s: float,
        delay_max_s: float,
    ) -> None:
        self.name = name
        self.kinds = frozenset(kinds)
        self.taken = 0  # events that were handed out and done, or will never be
        self._sorted_already = sorted_already
        self._attempts = attempts
        self._delay_s = delay_s
        self._delay_max_s = delay_max_s
        self._queues: dict[str, deque[Delivery]] = {}
        self._ready: dict[str, None] = {}  # charge points whose first event may be due
        self._undone: dict[int, dict[int, None]] = {}  # numbers by origin, in order
        self._seen: dict[int, int] = {}  # last number that was added, by origin
        self._stored: dict[int, int] = {}  # positions that were stored
        self._read_to: dict[int, dt.datetime] = {}  # times up to which origins with more to come are read
        self._held: dict[
            str, None
        ] = {}  # charge points whose first event waits until origins are read further
        self._settling: deque[Delivery] = deque()  # in the order in which they are due

    def __len__(self) -> int:
        """Return the number of events that are not done."""
        return sum(map(len, self._undone.values()))

    # -- Origins ---------------------------------------------------------------------------------

    def follow(self, origin: int, position: int) -> None:
        """Take the events of an origin from a position on."""
        self._seen[origin] = self._stored[origin] = position
        self._undone[origin] = {}
        if not self._sorted_already:
            self._read_to[origin] = UNREAD

    def follows(self, origin: int) -> bool:
        """Return whether the events of an origin are taken."""
        return origin in self._seen

    def leave(self, origin: int) -> None:
        """Take no more events of an origin, of which all are done."""
        del self._seen[origin], self._undone[origin], self._stored[origin]
        self.read_to(origin, None)

    @property
    def origins(self) -> list[int]:
        """Origins whose events are taken, in the order of their lives."""
        return sorted(self._seen)

    def seen(self, origin: int) -> int:
        """Return the last number of an origin that was added."""
        return self._seen[origin]

    def undone(self, origin: int) -> int:
        """Return the number of events of an origin that were added and are not done."""
        return len(self._undone[origin])

    def read_to(self, origin: int, at: dt.datetime | None) -> None:
        """Note up to which time an origin is read; None for its end."""
        if at is not None:
            self._read_to[origin] = max(at, self._read_to.get(origin, at))
        elif self._read_to.pop(origin, None) is None:
            return
        self._ready |= self._held
        self._held.clear()

    def is_done(self, origin: int) -> bool:
        """Return whether all that was added of an origin is done."""
        return not self._undone[origin]

    def position(self, origin: int) -> int:
        """Return the number of an origin up to which all is done."""
        undone = self._undone[origin]
        return next(iter(undone)) - 1 if undone else self._seen[origin]

    def positions(self) -> Mapping[int, int]:
        """Return the positions that are not stored yet, by origin; they count as stored from then on."""
        found = {}
        for origin in self._undone:
            position = self.position(origin)
            if position > self._stored[origin]:
                found[origin] = self._stored[origin] = position
        return found

    def unstored(self, origin: int, position: int) -> None:
        """Note that a position could not be stored."""
        if origin in self._stored:
            self._stored[origin] = min(self._stored[origin], position - 1)

    # -- Events ----------------------------------------------------------------------------------

    def skip(self, origin: int, number: int) -> None:
        """Note that the events of an origin up to a number are of no interest, or gone."""
        self._seen[origin] = max(self._seen[origin], number)

    def add(
        self,
        origin: int,
        number: int,
        at: dt.datetime,
        event: DomainEvent | LoggedEvent,
        *,
        corrects: int | None = None,
        settled_at: float = 0.0,
    ) -> None:
        """Add the next event of an origin, which was logged at a time.

        One that `corrects` a transaction is due at `settled_at`, or as soon as there is another one behind it.
        """
        self._seen[origin] = number
        self._undone[origin][number] = None
        if at > self._read_to.get(origin, at):
            self._read_to[origin] = at
        charge_point_id = event.charge_point_id
        queue = self._queues.get(charge_point_id)
        if queue is None:
            queue = self._queues[charge_point_id] = deque()
        place = len(queue)
        while place and not self._sorted_already and _goes_before(origin, at, queue[place - 1]):
            place -= 1
        before = queue[place - 1] if place else None
        if before is not None and before.corrects is not None:
            if before.corrects == corrects and not before.running:
                self._told_as_one(before, origin, number, at, event)
                return
            if before.settling:
                before.settling = False
                before.due = 0.0
        made = Delivery(origin, number, at, event, corrects)
        queue.insert(place, made)
        if corrects is not None and settled_at and place == len(queue) - 1:
            made.settling, made.due = True, settled_at
            self._settling.append(made)
        self._ready[charge_point_id] = None

    def _told_as_one(
        self, known: Delivery, origin: int, number: int, at: dt.datetime, event: DomainEvent | LoggedEvent
    ) -> None:
        """Let a correction take the place of the one before it."""
        del self._undone[known.origin][known.number]
        self.taken += 1
        known.origin, known.number, known.at, known.event = origin, number, at, event
        self._ready[known.charge_point_id] = None

    @property
    def settled_at(self) -> float | None:
        """Time when the next correction is due that waits for further ones; None if none does."""
        settling = self._settling
        while settling and not settling[0].settling:
            settling.popleft()
        return settling[0].due if settling else None

    def due(self, now: float) -> Iterator[Delivery]:
        """Yield the deliveries that are due, each marked as running; end each by one of the methods below."""
        while (settled_at := self.settled_at) is not None and settled_at <= now:
            settled = self._settling.popleft()
            settled.settling = False
            self._ready[settled.charge_point_id] = None
        read_to = min(self._read_to.values(), default=None)
        while self._ready:
            charge_point_id = next(iter(self._ready))
            del self._ready[charge_point_id]
            queue = self._queues.get(charge_point_id)
            head = queue[0] if queue else None
            if head is None or head.running or head.due > now:
                continue
            if read_to is not None and head.at > read_to:
                self._held[charge_point_id] = None
                continue
            head.running = True
            yield head

    def wake(self, charge_point_id: str) -> None:
        """Look at a charge point's first event again."""
        if charge_point_id in self._queues:
            self._ready[charge_point_id] = None

    def done(self, delivery: Delivery) -> None:
        """Note that an event was taken, or will never be."""
        charge_point_id = delivery.charge_point_id
        self.taken += 1
        queue = self._queues[charge_point_id]
        queue.popleft()
        del self._undone[delivery.origin][delivery.number]
        if queue:
            self._ready[charge_point_id] = None
        else:
            del self._queues[charge_point_id]

    def failed(self, delivery: Delivery, now: float) -> bool:
        """Note that an event was not taken; return whether it is tried again, at its `due`."""
        delivery.failures += 1
        if delivery.failures >= self._attempts:
            return False
        delay_s = self._delay_s * 2.0 ** min(delivery.failures - 1, DOUBLINGS)
        self.wait(delivery, now + min(delay_s, self._delay_max_s))
        return True

    def wait(self, delivery: Delivery, due: float) -> None:
        """Hand an event out again when it is due, without counting a failure; whoever waits calls `wake` then."""
        delivery.running = False
        delivery.due = due


def _goes_before(origin: int, at: dt.datetime, other: Delivery) -> bool:
    """Return whether an event is handed out before one that was added earlier: an older one of another origin."""
    if other.running or other.origin == origin:
        return False
    return (at, origin) < (other.at, other.origin)
