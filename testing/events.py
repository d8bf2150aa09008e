"""Events of a stage: kept for the test to look at, and delivered to the plugins that handle them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..actors.plugin.detached_call import Untried
from ..actors.plugin.retry import GiveUp, RetryLater
from ..actors.runtime.failure import Failure
from ..store.events import DURABLE_EVENTS, EVENTS

if TYPE_CHECKING:
    from ..actors.plugin.routing import Router
    from ..actors.runtime.timers import Timers
    from ..protocol.events import DomainEvent
    from ..system.event_reader import EventReader

E = TypeVar("E", bound="DomainEvent")

SOON_S = 0.01
"""Least seconds after which an event is delivered again."""
RETRY_S = 1.0
"""Seconds of the stage's time after which an event that failed is delivered again."""


class FailedEvent(NamedTuple):
    """Event that a handler of a plugin failed with."""

    plugin: str
    event: DomainEvent
    error: Exception


class StageEvents:
    """Everything that happened on a stage, in order.

    A durable event goes to each plugin with a handler for it, at least once and in order for each charge point: after a
    failure it is delivered again `RETRY_S` later, or when the handler says (`RetryLater`), and what comes behind it
    waits. One that a handler gives up (`GiveUp`) is among those that `failed`, and is not delivered again.
    """

    def __init__(self, reader: EventReader, router: Router, timers: Timers) -> None:
        self.all: list[DomainEvent] = []
        self.failed: list[FailedEvent] = []
        self._reader = reader
        self._router = router
        self._timers = timers
        self._read = reader.log.last
        self._waiting: dict[
            tuple[str, str], deque[DomainEvent]
        ] = {}  # by plugin and charge point; the first is told
        for kind in EVENTS.values():
            if kind not in DURABLE_EVENTS:
                router.listen(kind, self.all.append)

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind."""
        return [event for event in self.all if isinstance(event, kind)]

    def deliver(self) -> bool:
        """Deliver the durable events that have come; return whether there were any."""
        log = self._reader.log
        if self._read == log.last:
            return False
        for origin in log.origins():
            if origin.name == log.origin:
                for logged in self._reader.read(origin.number, self._read):
                    self._read = logged.number
                    event = self._reader.whole(logged, origin.name)
                    if event is not None:
                        self._happened(event)
        return True

    def _happened(self, event: DomainEvent) -> None:
        self.all.append(event)
        for name, cell in self._router.consumers.items():
            if type(event) in cell.spec.plugin.durable_events_heard():
                waiting = self._waiting.setdefault((name, event.charge_point_id), deque())
                waiting.append(event)
                if len(waiting) == 1:
                    self._tell(name, event.charge_point_id)

    def _tell(self, plugin: str, charge_point_id: str) -> None:
        """Tell a plugin of the first event that waits for it."""
        waiting = self._waiting[plugin, charge_point_id]
        event = waiting[0]

        def ended(outcome: Any) -> None:
            if outcome is None:
                waiting.popleft()
                if waiting:
                    self._tell(plugin, charge_point_id)
                else:
                    del self._waiting[plugin, charge_point_id]
                return
            later = RETRY_S
            if isinstance(outcome, Failure):
                error = outcome.error
                if isinstance(error, GiveUp):
                    self.failed.append(FailedEvent(plugin, event, error))
                    ended(None)
                    return
                if isinstance(error, RetryLater):
                    later = max(error.seconds, SOON_S)
                else:
                    self.failed.append(FailedEvent(plugin, event, error))
            due = self._timers.clock.monotonic() + later
            self._timers.call_at(due, lambda: self._tell(plugin, charge_point_id))

        cell = self._router.consumers.get(plugin)
        if cell is None:
            ended(Untried("there is no such plugin"))
        else:
            cell.deliver(event, ended)
