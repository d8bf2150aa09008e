"""A record of the spool as its plugin sees it, and the transaction that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..protocol.errors import Refused
from ..protocol.payload import lenient
from .call import Call

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from ..protocol.actions import Version
    from ..protocol.session import Incoming
    from .charge_point import ChargePoint
    from .plugin_cell import PluginCell
    from .services import SpooledMessage


class Untried:
    """How a call ended with which no handler has begun."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


class ReplayedCall(Call[Any]):
    """A call that was acknowledged long ago: its answer goes nowhere, its success takes it out of the spool."""

    __slots__ = ("_ended", "number", "record")

    plugin: PluginCell

    def __init__(
        self,
        facts: ChargePoint,
        incoming: Incoming,
        record: SpooledMessage,
        plugin: PluginCell,
        ended: Callable[[ReplayedCall, Any], None],
    ) -> None:
        self.number = record.number
        self.record = record
        self._ended = ended
        self.incoming = incoming
        self.request = incoming.request
        self.charge_point = facts
        self.transaction_id = record.transaction_id
        self.lane = facts.id
        self.running = None
        self.stood_in = False
        self.plugin = plugin
        self.shadows = None
        self.given_away = False

    @property
    def received_at(self) -> dt.datetime:
        """When it was received, which may be long ago."""
        return self.record.received_at

    @property
    def replayed(self) -> bool:
        """That it was acknowledged by a stand-in before."""
        return True

    def leave(self, why: str) -> None:
        """Hand it back to the replayer, untried."""
        self._ended(self, Untried(why))

    def finish(self, outcome: Any) -> None:
        """Hand the outcome to the replayer."""
        self._ended(self, outcome)


def transaction_of(version: Version, record: SpooledMessage) -> int | None:
    """The transaction that a record belongs to; None if it names none, or cannot be read."""
    if record.transaction_id is not None:
        return record.transaction_id
    try:
        request, _ = lenient(version.actions[record.action].request, record.payload)
    except Refused:
        return None
    found: int | None = getattr(request, "transaction_id", None)
    return found


def begins_transaction(version: Version, record: SpooledMessage) -> bool:
    """Whether a record is a StartTransaction that its plugin could have."""
    if record.action != "StartTransaction" or record.transaction_id is None:
        return False
    try:
        lenient(version.actions[record.action].request, record.payload)
    except Refused:
        return False
    return True
