"""A plugin in a worker: its cell, and the calls and notices that come off a stream.

The plugin's class is the same as in a node. What differs is where an answer goes, and that an entry is taken off its
stream only when it has been dealt with.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from typing import TYPE_CHECKING, Any

from ..actors.detached_call import DetachedCall
from ..actors.plugin_cell import PluginCell

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..actors.actor import Actor
    from ..actors.charge_point import ChargePoint
    from ..actors.faults import FaultPolicy
    from ..actors.plugin import Caller, PluginSpec
    from ..actors.scheduler import Scheduler
    from ..actors.services import Services
    from ..protocol.session import Incoming
    from .envelopes import CallMade

Place = tuple[int, bytes]
"""Where an entry stands: the number of its stream, and its id there."""


class RemoteCall(DetachedCall):
    """A call that came from a node. `ended(call, outcome)` is told how its handler ended."""

    __slots__ = ("envelope", "place")

    def __init__(
        self,
        charge_point: ChargePoint,
        incoming: Incoming,
        envelope: CallMade,
        place: Place,
        plugin: PluginCell,
        ended: Callable[[RemoteCall, Any], None],
    ) -> None:
        super().__init__(charge_point, incoming, plugin, envelope.transaction_id, ended)
        self.envelope = envelope
        self.place = place

    @property
    def received_at(self) -> dt.datetime:
        """When its node received it, in UTC."""
        return dt.datetime.fromtimestamp(self.envelope.received_at, dt.UTC)

    @property
    def replayed(self) -> bool:
        """Whether a stand-in acknowledged it before."""
        return self.envelope.replayed


class Notice:
    """A fact for the plugin that came from a node. `ended(notice)` is told when it has heard it."""

    __slots__ = ("due", "ended", "fact", "lane", "place")

    def __init__(
        self, lane: str, fact: object, place: Place, due: float, ended: Callable[[Notice], None]
    ) -> None:
        self.lane = lane
        self.fact = fact
        self.place = place
        self.due = due
        self.ended = ended


class WorkerCell(PluginCell):
    """See the head of this file. `known(call)` answers a call whose answer is known already, and says so."""

    __slots__ = ("_known",)

    def __init__(
        self,
        scheduler: Scheduler,
        spec: PluginSpec,
        system: Caller | None,
        watch: Any,
        now: Callable[[], float],
        policy: FaultPolicy,
        *,
        services: Services,
        known: Callable[[RemoteCall], bool],
    ) -> None:
        super().__init__(scheduler, spec, system, watch, now, policy, services=services)  # type: ignore[arg-type]  # there may be none
        self._known = known

    def _handle(self, actor: Actor, message: Any) -> None:
        kind = type(message)
        if kind is RemoteCall:
            if message.incoming.open and not self._known(message):
                actor.answer_call(message)  # type: ignore[attr-defined]
        elif kind is Notice:
            super()._handle(actor, message.fact)
            message.ended(message)
        else:
            super()._handle(actor, message)

    def drain(self, why: str) -> None:
        """Have stand-ins answer what waits here, and forget the notices."""
        notices = [message for message in self.inbox or () if type(message) is Notice]
        super().drain(why)
        if notices and self.inbox:
            self.inbox = deque(message for message in self.inbox if type(message) is not Notice) or None
        for notice in notices:
            notice.ended(notice)
