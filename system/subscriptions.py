"""Subscriptions of the embedding application to events as they come: each has a bounded queue and a greenlet."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from gevent.event import Event

from ..actors.runtime.failure import Failure, attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from gevent.pool import Pool

    from ..actors.plugin.routing import Router
    from ..actors.session.context import Observer
    from ..protocol.events import DomainEvent

logger = logging.getLogger(__name__)

QUEUE_LIMIT = 1000
"""Default number of events that may wait for a subscriber."""


class Subscription:
    """Queue of the events of some kinds, until it is closed.

    Of what its reader does not keep up with the newest is dropped; `dropped` has how many. `charge_point_id` limits it
    to one charge point.
    """

    def __init__(
        self,
        router: Router,
        observer: Observer,
        kinds: Iterable[type[DomainEvent]],
        *,
        limit: int = QUEUE_LIMIT,
        charge_point_id: str = "",
    ) -> None:
        self.dropped = 0
        self._router = router
        self._observer = observer
        self._kinds = tuple(dict.fromkeys(kinds))
        self._limit = limit
        self._charge_point_id = charge_point_id
        self._events: deque[DomainEvent] = deque()
        self._news = Event()
        self._closed = False
        for kind in self._kinds:
            router.listen(kind, self.hear)

    def hear(self, event: DomainEvent) -> None:
        """Take an event of the kinds that were asked for, unless the queue is full."""
        if self._charge_point_id not in ("", event.charge_point_id):
            return
        if len(self._events) >= self._limit:
            self.dropped += 1
            self._observer.count("event_dropped", event.charge_point_id)
            return
        self._events.append(event)
        self._news.set()

    @property
    def closed(self) -> bool:
        """True when no further event comes."""
        return self._closed

    def close(self) -> None:
        """Take no further event; those that wait are still read."""
        if not self._closed:
            self._closed = True
            for kind in self._kinds:
                self._router.unlisten(kind, self.hear)
            self._news.set()

    def next(self, timeout_s: float | None = None) -> DomainEvent | None:
        """Wait for the next event; None if there is none within `timeout_s`, or ever. Switches greenlets."""
        if not self._events and not self._closed:
            self._news.clear()
            self._news.wait(timeout_s)
        return self._events.popleft() if self._events else None

    def next_now(self) -> DomainEvent | None:
        """Return the next event if one waits."""
        return self._events.popleft() if self._events else None

    def __iter__(self) -> Iterator[DomainEvent]:
        """Iterate over the events until it is closed."""
        while True:
            event = self.next()
            if event is not None:
                yield event
            elif self._closed:
                return


class Subscriptions:
    """The subscriptions of a running system. All end with it.

    `listening` is called with the kinds of each: durable events are told only while somebody listens.
    """

    def __init__(
        self,
        router: Router,
        observer: Observer,
        pool: Pool,
        listening: Callable[[Collection[type[DomainEvent]]], None] = lambda _: None,
    ) -> None:
        self._router = router
        self._observer = observer
        self._pool = pool
        self._listening = listening
        self._open: list[Subscription] = []

    def open(
        self, kinds: Iterable[type[DomainEvent]], *, limit: int = QUEUE_LIMIT, charge_point_id: str = ""
    ) -> Subscription:
        """Subscribe to some kinds of events."""
        kinds = tuple(kinds)
        self._open = [one for one in self._open if not one.closed]
        made = Subscription(self._router, self._observer, kinds, limit=limit, charge_point_id=charge_point_id)
        self._open.append(made)
        self._listening(kinds)
        return made

    def call(self, subscription: Subscription, callback: Callable[[DomainEvent], None]) -> None:
        """Call back for each event of a subscription, in order, in a greenlet of its own; a failure is logged."""

        def run() -> None:
            for event in subscription:
                failure = attempt(callback, event)
                if type(failure) is Failure:
                    if failure.killed:
                        return
                    logger.error("A subscriber failed at %r:", event, exc_info=failure.exc_info)

        self._pool.spawn(run)

    def close(self) -> None:
        """End all subscriptions."""
        for one in self._open:
            one.close()
        self._open.clear()
