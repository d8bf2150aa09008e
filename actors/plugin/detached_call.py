"""A call of no session here: how its handler ends is told to whoever has it, a replayer or a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..session.call import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...protocol.session import Incoming
    from ..session.charge_point import ChargePoint
    from .cell import PluginCell


class Untried:
    """How a call ended with which no handler has begun."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


class DetachedCall(Call[Any]):
    """See the head of this file. `ended(call, outcome)` is told the answer, a `Failure`, or `Untried`."""

    __slots__ = ("_ended",)

    plugin: PluginCell

    def __init__(
        self,
        charge_point: ChargePoint,
        incoming: Incoming,
        plugin: PluginCell,
        transaction_id: int | None,
        ended: Callable[[Any, Any], None],
    ) -> None:
        self._ended = ended
        self.incoming = incoming
        self.request = incoming.request
        self.charge_point = charge_point
        self.transaction_id = transaction_id
        self.ordering_key = charge_point.id
        self.running = None
        self.fallback_taken = False
        self.plugin = plugin
        self.shadows = None
        self.given_away = False

    def leave(self, why: str) -> None:
        """Hand it back, untried."""
        self._ended(self, Untried(why))

    def finish(self, outcome: Any) -> None:
        """Hand the outcome over."""
        self._ended(self, outcome)
