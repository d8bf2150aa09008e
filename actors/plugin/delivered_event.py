"""Durable event that a plugin is to handle; its outcome is reported, so that it can be delivered again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .detached_call import Untried

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...protocol.events import DomainEvent


class DeliveredEvent:
    """Message with an event. `ended(outcome)` gets None, a `Failure`, or `Untried`: no handler has ended for it.

    Called once, in any greenlet of the hub's thread.
    """

    __slots__ = ("_ended", "event", "ordering_key", "outcome")

    def __init__(self, event: DomainEvent, ended: Callable[[Any], None]) -> None:
        self.event = event
        self.ordering_key = event.charge_point_id
        self.outcome: Any = Untried("no handler has started")
        self._ended = ended

    def finish(self, outcome: Any) -> None:
        """Report the outcome."""
        self._ended(outcome)
