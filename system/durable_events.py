"""Durable events of a system: who subscribes to them with a name, and who listens to them as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from gevent.event import AsyncResult

from ..config.errors import ChargehandError
from ..store.events import DURABLE_EVENTS
from .event_targets import DurableSubscription

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from gevent.pool import Pool

    from ..actors.plugin.routing import Router
    from ..actors.runtime.cell import Cell
    from ..protocol.events import DomainEvent
    from ..store.store import EventLogView
    from .event_targets import NamedTarget

RETRY_S = 30.0
"""Seconds that a consumer has to take the event of a dead letter."""


class ConsumerProgress(NamedTuple):
    """Progress of a consumer: events that it has taken since the start, and those that wait for it."""

    name: str
    taken: int
    waiting: int


class EventNotDelivered(ChargehandError):
    """Error: a consumer does not take an event, or does not run here; the text says why."""


class ConsumerElsewhere(EventNotDelivered):
    """Error: the consumer of an event does not run in this process; it may run in another one."""


class ConsumersChanged(msgspec.Struct, frozen=True, gc=False):
    """Event: plugins were started or stopped."""


class Subscribed(msgspec.Struct, frozen=True, gc=False):
    """Event: an application has a durable subscription."""

    subscription: Any


class Listening(msgspec.Struct, frozen=True, gc=False):
    """Event: somebody listens to durable events as they come, from behind a number."""

    after: int


class ChargePointMoved(msgspec.Struct, frozen=True, gc=False):
    """A charge point has connected to this process, another one may have had it; or it has left."""

    charge_point_id: str
    here: bool


class RetryEvent(msgspec.Struct, frozen=True, gc=False):
    """Command: deliver the event of a dead letter once more; `told` gets None, or the error."""

    number: int
    told: Any


class DuplicateConsumer(ChargehandError, ValueError):
    """Error: another consumer of this process has the name."""


class DurableEvents:
    """Durable subscriptions of a system, and who listens to durable events; the consumers' actor is told of changes."""

    def __init__(self, log: EventLogView, router: Router, pool: Pool) -> None:
        self._log = log
        self._router = router
        self._pool = pool
        self._cell: Cell | None = None
        self.subscriptions: list[NamedTarget] = []

    def attach(self, cell: Cell) -> None:
        """Tell the consumers' actor from now on."""
        self._cell = cell

    def subscribe(
        self,
        name: str,
        kinds: Iterable[type[DomainEvent]],
        callback: Callable[[Any], None],
        charge_point_id: str = "",
    ) -> DurableSubscription:
        """Subscribe with a name; raises as `CentralSystem.subscribe` does."""
        kinds = tuple(kinds)
        for kind in kinds:
            if kind not in DURABLE_EVENTS:
                raise ValueError(f"{kind.__name__} is no durable event")
        made = DurableSubscription(name, kinds, callback, self._pool, charge_point_id, self._log.last)
        self.enter(made)
        return made

    def enter(self, target: NamedTarget) -> None:
        """Deliver to a target from now on, until it is closed. Raises `DuplicateConsumer`."""
        self.subscriptions = [one for one in self.subscriptions if not one.closed]
        if target.name in self._router.consumers or any(
            one.name == target.name for one in self.subscriptions
        ):
            raise DuplicateConsumer(f"there is a consumer {target.name!r} already")
        self.subscriptions.append(target)
        self._tell(Subscribed(target))

    def register(self, name: str) -> None:
        """Register a consumer before it runs: a new one starts now. Switches greenlets; raises `StoreError`."""
        self._log.register(name)

    def listening(self, kinds: Collection[type[DomainEvent]]) -> None:
        """Note that somebody listens to these kinds from now on, of which some may be durable."""
        if any(kind in DURABLE_EVENTS for kind in kinds):
            self._tell(Listening(self._log.last))

    def retry(self, number: int) -> None:
        """Deliver the event of a dead letter once more, and forget the letter if it is taken. Switches greenlets.

        Raises `EventNotDelivered` if it is not taken, and `DeadLetterNotFound`.
        """
        told: AsyncResult[None] = AsyncResult()
        self._tell(RetryEvent(number, told))
        told.wait(RETRY_S)
        if not told.ready():
            raise EventNotDelivered(f"its consumer has not taken dead event {number} within {RETRY_S:g} s")
        told.get()

    def progress(self) -> list[ConsumerProgress]:
        """List how far the consumers of this process are."""
        actor: Any = None if self._cell is None else self._cell.actor
        return [] if actor is None else actor.progress()

    def consumers_changed(self) -> None:
        """Note that plugins were started or stopped."""
        self._tell(ConsumersChanged())

    def moved(self, charge_point_id: str, *, here: bool) -> None:
        """Note that a charge point has connected here which another process may have had, or that it has left."""
        self._tell(ChargePointMoved(charge_point_id, here))

    def _tell(self, message: Any) -> None:
        if self._cell is not None and not self._cell.ended:
            self._cell.tell(message)
