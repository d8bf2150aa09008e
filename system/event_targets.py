"""Targets of durable events: a plugin with `@on`, or the subscription of an application with a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ..actors.plugin.detached_call import Untried
from ..actors.runtime.failure import Failure, attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gevent.pool import Pool

    from ..actors.plugin.routing import Router
    from ..protocol.events import DomainEvent


class Target(Protocol):
    """Handler of a consumer's events."""

    def ready(self) -> bool:
        """Return whether it may be told something now."""

    def deliver(self, event: DomainEvent, ended: Callable[[Any], None]) -> None:
        """Tell it of an event; `ended` is called with None, a `Failure` or `Untried`. Never blocks."""


class NamedTarget(Target, Protocol):
    """Handler of the events of these kinds, with the name of its position in the store."""

    @property
    def name(self) -> str:
        """Name of the consumer."""

    @property
    def kinds(self) -> Sequence[type[DomainEvent]]:
        """Kinds of events that it takes."""

    @property
    def closed(self) -> bool:
        """True if it takes no further events."""


class PluginTarget:
    """Plugin with handlers of durable events; of all processes if it is here only."""

    def __init__(self, router: Router, name: str, *, everywhere: bool = False) -> None:
        self._router = router
        self._name = name
        self.everywhere = everywhere

    def ready(self) -> bool:
        """Return whether the plugin is in service, or on trial."""
        cell = self._router.consumers.get(self._name)
        return cell is not None and not cell.ended and (not cell.quarantined or cell.on_trial)

    def deliver(self, event: DomainEvent, ended: Callable[[Any], None]) -> None:
        """Tell the plugin of an event, in order with the calls of its charge point."""
        cell = self._router.consumers.get(self._name)
        if cell is None:
            ended(Untried("there is no such plugin"))
        else:
            cell.deliver(event, ended)


class DurableSubscription:
    """Subscription of an application to durable events, with a name whose position is kept in the store.

    `callback` is called in a greenlet of its own, in order for each charge point, and for several at once.
    """

    def __init__(
        self,
        name: str,
        kinds: Iterable[type[DomainEvent]],
        callback: Callable[[Any], None],
        pool: Pool,
        charge_point_id: str = "",
        after: int = 0,
    ) -> None:
        self.name = name
        self.after = after  # the number of this process after which it was made
        self.kinds = tuple(dict.fromkeys(kinds))
        self.closed = False
        self._callback = callback
        self._pool = pool
        self._charge_point_id = charge_point_id

    def close(self) -> None:
        """Take no further event; the position stays, and whoever subscribes with the name goes on there."""
        self.closed = True

    def ready(self) -> bool:
        """Return whether it is open."""
        return not self.closed

    def deliver(self, event: DomainEvent, ended: Callable[[Any], None]) -> None:
        """Call back with an event."""
        if self._charge_point_id not in ("", event.charge_point_id):
            ended(None)
            return

        def run() -> None:
            outcome = attempt(self._callback, event)
            failed = type(outcome) is Failure
            if failed and outcome.killed:
                outcome = Untried("it was killed")
            ended(outcome if failed or type(outcome) is Untried else None)

        self._pool.spawn(run)
