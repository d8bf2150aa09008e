"""Cell of the plugin in a plugin host, and the calls and events that it takes from streams.

The plugin's class is the same as in a node. The answer goes to Redis, and an entry is removed from its stream when its
outcome is written.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from typing import TYPE_CHECKING, Any

from ...actors.plugin.cell import PluginCell
from ...actors.plugin.detached_call import DetachedCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...actors.plugin.circuit_breaker import CircuitBreakerPolicy
    from ...actors.plugin.plugin import PluginSpec
    from ...actors.plugin.plugin_system import PluginSystem
    from ...actors.runtime.actor import Actor
    from ...actors.runtime.scheduler import Scheduler
    from ...actors.session.call import Call
    from ...actors.session.charge_point import ChargePoint
    from ...actors.session.context import SessionContext
    from ...protocol.session import Incoming
    from .envelopes import AnswerSeen, CallMade, EventLogged

Place = tuple[int, bytes]
"""Place of an entry: the number of its stream, and its id there."""


class RemoteCall(DetachedCall):
    """Call that came from a node; `ended(call, outcome)` is called when its handler has ended."""

    __slots__ = ("_received_at", "envelope", "place")

    def __init__(
        self,
        charge_point: ChargePoint,
        incoming: Incoming,
        envelope: CallMade,
        received_at: dt.datetime,
        place: Place,
        plugin: PluginCell,
        ended: Callable[[RemoteCall, Any], None],
    ) -> None:
        super().__init__(charge_point, incoming, plugin, envelope.transaction_id, ended)
        self._received_at = received_at
        self.envelope = envelope
        self.place = place

    @property
    def received_at(self) -> dt.datetime:
        """Time of receipt by the node, in UTC."""
        return self._received_at

    @property
    def redelivered(self) -> bool:
        """True if a fallback acknowledged the call before."""
        return self.envelope.redelivered


class RemoteAnsweredCall(DetachedCall):
    """Call after its node has sent the answer, as `@after` handlers have it."""

    __slots__ = ("_seen",)

    def __init__(
        self, charge_point: ChargePoint, incoming: Incoming, seen: AnswerSeen, plugin: PluginCell
    ) -> None:
        super().__init__(charge_point, incoming, plugin, seen.transaction_id, lambda *_: None)
        self._seen = seen

    @property
    def received_at(self) -> dt.datetime:
        """Time of receipt by the node, in UTC."""
        return dt.datetime.fromtimestamp(self._seen.received_at, dt.UTC)

    @property
    def fallback(self) -> bool:
        """True if a fallback gave the answer that was sent, false if a handler did."""
        return self._seen.fallback


class RemoteDelivery:
    """Durable event that came from a node, and its place."""

    __slots__ = ("envelope", "place")

    def __init__(self, envelope: EventLogged, place: Place) -> None:
        self.envelope = envelope
        self.place = place


class RemoteEvent:
    """Event for the plugin that came from a node; `ended(event)` is called when its handler has ended."""

    __slots__ = ("due", "ended", "fact", "ordering_key", "place")

    def __init__(
        self, ordering_key: str, fact: object, place: Place, due: float, ended: Callable[[RemoteEvent], None]
    ) -> None:
        self.ordering_key = ordering_key
        self.fact = fact
        self.place = place
        self.due = due
        self.ended = ended


Pending = RemoteCall | RemoteEvent | RemoteDelivery
"""Entry that was read and is not done."""


class PluginHostCell(PluginCell):
    """Cell of the plugin in a plugin host.

    `known(call)` answers a call whose answer is stored already, and returns true then.
    """

    __slots__ = ("_known",)

    def __init__(
        self,
        scheduler: Scheduler,
        spec: PluginSpec,
        system: PluginSystem | None,
        watch: Any,
        now: Callable[[], float],
        policy: CircuitBreakerPolicy,
        *,
        context: SessionContext,
        known: Callable[[RemoteCall], bool],
    ) -> None:
        super().__init__(scheduler, spec, system, watch, now, policy, context=context)  # type: ignore[arg-type]  # there may be none
        self._known = known

    def _handle(self, actor: Actor, message: Any) -> None:
        kind = type(message)
        if kind is RemoteCall:
            if message.incoming.open and not self._known(message):
                actor.answer_call(message)  # type: ignore[attr-defined]
        elif kind is RemoteEvent:
            super()._handle(actor, message.fact)
            message.ended(message)
        else:
            super()._handle(actor, message)

    def pass_on(self, call: Call[Any], request: Any = None) -> Any:  # noqa: ARG002 - as other cells have it
        """Raise RuntimeError: the next plugin is in a node."""
        raise RuntimeError(f"{call!r} cannot be passed on from a plugin host")

    def drain(self, why: str) -> None:
        """Have fallbacks answer the calls that wait here, and drop the events."""
        events = [message for message in self.messages or () if type(message) is RemoteEvent]
        super().drain(why)
        if events and self.messages:
            self.messages = (
                deque(message for message in self.messages if type(message) is not RemoteEvent) or None
            )
        for event in events:
            event.ended(event)
