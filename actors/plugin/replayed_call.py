"""A record of the spool as its plugin sees it, and the transaction that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...protocol.errors import Refused
from ...protocol.payload import lenient
from .detached_call import DetachedCall

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from ...protocol.actions import Version
    from ...protocol.session import Incoming
    from ..session.charge_point import ChargePoint
    from ..session.context import SpooledMessage
    from .cell import PluginCell


class RedeliveredCall(DetachedCall):
    """A call that was acknowledged long ago: its answer goes nowhere, its success takes it out of the spool."""

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
        """When it was received, which may be long ago."""
        return self.record.received_at

    @property
    def redelivered(self) -> bool:
        """That it was acknowledged by a stand-in before."""
        return True


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
