"""Calls without a session in this process: redelivered from the spool, or received by a plugin host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..session.call import Call

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from ...protocol.session import Incoming
    from ..session.charge_point import ChargePoint
    from ..session.context import SpooledMessage
    from .cell import PluginCell


class Untried:
    """Outcome of a call that no handler started."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


class DetachedCall(Call[Any]):
    """Call whose outcome goes to `ended(call, outcome)`: the answer, a `Failure`, or `Untried`."""

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
        self.passed = None
        self.given_away = False

    @property
    def asked_for(self) -> bool:
        """False: the commands to its charge point are not known here."""
        return False

    def return_unhandled(self, why: str) -> None:
        """Report that no handler started the call."""
        self._ended(self, Untried(why))

    def finish(self, outcome: Any) -> None:
        """Report the outcome of the handler."""
        self._ended(self, outcome)


class RedeliveredCall(DetachedCall):
    """Call from the spool: its answer is sent nowhere, its success removes it from the spool."""

    __slots__ = ("number", "record")

    def __init__(
        self,
        facts: ChargePoint,
        incoming: Incoming,
        record: SpooledMessage,
        plugin: PluginCell,
        ended: Callable[[RedeliveredCall, Any], None],
    ) -> None:
        super().__init__(facts, incoming, plugin, record.transaction_id, ended)
        self.number = record.number
        self.record = record

    @property
    def received_at(self) -> dt.datetime:
        """Time of receipt, which may be long ago."""
        return self.record.received_at

    @property
    def redelivered(self) -> bool:
        """True: a fallback has acknowledged the call before."""
        return True
