"""Facts of a charge point: its identity, its connection, and its last messages about itself."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from ...protocol.message import Message
    from ...protocol.session import Registration
    from ...protocol.x509 import TlsFacts


NO_CONNECTORS: Mapping[int, Any] = MappingProxyType({})

CONNECTORS = 256
"""Connectors of one charge point whose status is known."""


def differ(before: Message, now: Message) -> bool:
    """Return whether two messages differ in more than their times."""
    facts = now.__untimed__
    return type(before) is not type(now) or bool(facts(before) != facts(now))


class ChargePoint:
    """Facts of one charge point, kept up to date by its session. Plugins may read them and change nothing.

    Times are seconds since 1970. `boot` is the last BootNotification, `connectors` the last StatusNotification of each
    connector, by its number, or by "EVSE/connector" in versions that have EVSEs; empty before the first. `deviations`
    counts the departures from the specification by path: of calls, of answers to commands, and those that calls were
    refused for. `tls` has the facts of its last connection's TLS, with its certificate if it has shown one; None
    without TLS.
    """

    any_thread: ClassVar[bool] = True  # may be read as it is in a native thread

    __slots__ = (
        "_connectors",
        "boot",
        "connected_at",
        "deviations",
        "disconnected_at",
        "id",
        "ignored",
        "name",
        "peer",
        "registration",
        "tls",
        "version",
    )

    def __init__(self, id_: str, name: str = "", version: str = "1.6") -> None:
        self.id = id_
        self.name = name  # `{name}` of the path template, if it has one
        self.version = version
        self.peer = ""
        self.tls: TlsFacts | None = None
        self.connected_at: float | None = None
        self.disconnected_at: float | None = None
        self.registration: Registration | None = None
        self.boot: Message | None = None
        self._connectors: dict[Any, Any] | None = None  # none costs less than an empty one
        self.deviations: Counter[str] | None = None
        self.ignored: Counter[str] | None = None  # frames that could not be answered, by reason

    @property
    def connected(self) -> bool:
        """True while the charge point is connected."""
        return self.connected_at is not None

    @property
    def secure(self) -> bool:
        """True if its connection is, or was, over TLS."""
        return self.tls is not None

    online = connected
    """Older name of `connected`."""

    @property
    def connectors(self) -> Mapping[Any, Any]:
        """Last StatusNotification of each connector."""
        return self._connectors if self._connectors is not None else NO_CONNECTORS

    def forget_told(self) -> None:
        """Forget what it told about itself."""
        self.boot = self._connectors = None

    def note_status(self, connector: int | str, status: Message) -> Message | None:
        """Note the last status of a connector; return the one before, None if there was none.

        Nothing is noted, and the status itself returned, for one connector too many.
        """
        connectors = self._connectors
        if connectors is None:
            connectors = self._connectors = {}
        before = connectors.get(connector)
        if before is None and len(connectors) >= CONNECTORS:
            return status
        connectors[connector] = status
        return before

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"ChargePoint({self.id!r})"
