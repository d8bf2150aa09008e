"""Live events of other nodes: they are told as long as somebody here wants them, at most once, in order of each node.

A node says to the others which kinds it wants, again with each renewal of its lease, and they send it those. Nobody who
wants none costs the others anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from ...protocol.events import LIVE, NodeJoined, NodeLeft
from ...store.events import decoded, encoded
from .coordinator import RENEW_S, CoordinatorUnavailable
from .messages import EventHappened, WantEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ...actors.runtime.timers import Timers
    from ...protocol.events import DomainEvent
    from .messages import NodeMessage

WANTED_S = 3 * RENEW_S
"""Seconds after which a node that has not said again what it wants gets nothing more."""

FORWARDED: Mapping[str, type[DomainEvent]] = {
    kind.__name__: kind for kind in LIVE if kind not in (NodeJoined, NodeLeft)
}
"""Kinds that one node tells another; what happens to nodes all of them see."""


class EventSource(Protocol):
    """Live events of this node."""

    def listen(self, kind: type[DomainEvent], listener: Callable[[DomainEvent], None]) -> None:
        """Tell a listener of events of a kind from now on."""

    def unlisten(self, kind: type[DomainEvent], listener: Callable[[DomainEvent], None]) -> None:
        """Tell a listener no more."""

    def event_lost(self, charge_point_id: str) -> None:
        """Count an event that could not be sent to another node."""


class _Wanted(NamedTuple):
    kinds: frozenset[type[DomainEvent]]
    until: float


class _Hearer(NamedTuple):
    kinds: frozenset[type[DomainEvent]]
    hear: Callable[[DomainEvent], None]


class LiveEvents:
    """Live events between this node and the `others`."""

    def __init__(
        self,
        source: EventSource,
        tell: Callable[[str, NodeMessage], None],
        others: Callable[[], Iterable[str]],
        timers: Timers,
    ) -> None:
        self._source = source
        self._send = tell
        self._others = others
        self._timers = timers
        self._hearers: list[_Hearer] = []
        self._saying = False
        self._wanted: dict[str, _Wanted] = {}  # by node
        self._listening: set[type[DomainEvent]] = set()

    # -- What is wanted here -----------------------------------------------------------------------

    def want(
        self, kinds: Iterable[type[DomainEvent]], hear: Callable[[DomainEvent], None]
    ) -> Callable[[], None]:
        """Have other nodes tell events of some kinds; `hear` is called in the hub. Returns what ends that."""
        hearer = _Hearer(frozenset(kinds) & frozenset(FORWARDED.values()), hear)
        if not hearer.kinds:
            return lambda: None
        self._hearers.append(hearer)
        self._say()

        def end() -> None:
            if hearer in self._hearers:
                self._hearers.remove(hearer)
                self._tell_others()

        return end

    def _say(self) -> None:
        self._tell_others()
        if not self._saying:
            self._saying = True
            self._timers.call_at(self._timers.clock.monotonic() + RENEW_S, self._say_again)

    def _say_again(self) -> None:
        self._saying = False
        if self._hearers:
            self._say()

    def _tell_others(self) -> None:
        kinds = sorted({kind.__name__ for hearer in self._hearers for kind in hearer.kinds})
        for node in self._others():
            self._tell(node, WantEvents(tuple(kinds)))

    def _tell(self, node: str, message: NodeMessage) -> bool:
        try:
            self._send(node, message)
        except (CoordinatorUnavailable, ValueError):  # no lease, or too long a message
            return False
        return True

    def received(self, node: str, message: EventHappened | WantEvents) -> None:
        """Handle a message of another node."""
        if isinstance(message, WantEvents):
            self._wanted_by(node, message)
        else:
            self._happened(message)

    def _happened(self, message: EventHappened) -> None:
        try:
            event = decoded(message.event, message.data)
        except (ValueError, KeyError, msgspec.MsgspecError):
            return
        for hearer in list(self._hearers):
            if type(event) in hearer.kinds:
                hearer.hear(event)

    # -- What others want ----------------------------------------------------------------------------

    def _wanted_by(self, node: str, message: WantEvents) -> None:
        kinds = frozenset(FORWARDED[name] for name in message.kinds if name in FORWARDED)
        if kinds:
            self._wanted[node] = _Wanted(kinds, self._timers.clock.monotonic() + WANTED_S)
        else:
            self._wanted.pop(node, None)
        self._listen()

    def lost(self, node: str) -> None:
        """Handle the end of a node."""
        if self._wanted.pop(node, None) is not None:
            self._listen()

    def _listen(self) -> None:
        now = self._timers.clock.monotonic()
        self._wanted = {node: wanted for node, wanted in self._wanted.items() if wanted.until > now}
        kinds: set[type[DomainEvent]] = set()
        kinds.update(*(wanted.kinds for wanted in self._wanted.values()))
        for kind in kinds - self._listening:
            self._source.listen(kind, self._forward)
        for kind in self._listening - kinds:
            self._source.unlisten(kind, self._forward)
        self._listening = kinds

    def _forward(self, event: DomainEvent) -> None:
        if any(wanted.until <= self._timers.clock.monotonic() for wanted in self._wanted.values()):
            self._listen()
        message = None
        for node, wanted in self._wanted.items():
            if type(event) in wanted.kinds:
                message = message or EventHappened(type(event).__name__, encoded(event))
                if not self._tell(node, message):
                    self._source.event_lost(event.charge_point_id)
