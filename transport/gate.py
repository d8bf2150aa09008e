"""Interface between transports and the system: admission of charge points, and receivers of their messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .connection import SocketConnection


@dataclass(frozen=True, slots=True)
class Request:
    """A handshake that is sound as HTTP and WebSocket.

    `path` is as it was sent, without its query; header names are in lower case; `certificate` is the client's, as
    `ssl.SSLSocket.getpeercert` gives it.
    """

    path: str
    headers: Mapping[str, str]
    peer: str
    secure: bool
    certificate: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """Yes. `subprotocol` is None if the handshake is completed without one; then the connection is closed at once."""

    identity: str
    name: str
    subprotocol: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """No, as HTTP: the status, one sentence for a person, and more headers if the status wants them."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = field(default=())


class Receiver(Protocol):
    """Takes what comes over a connection. No method blocks or raises."""

    def deliver(self, connection: SocketConnection, data: bytes) -> None:
        """Take a text message, checked to be UTF-8."""

    def throttled(self, connection: SocketConnection, wait_s: float) -> None:
        """Hear that the peer sends faster than the settings let it, and is not read for so long."""

    def closed(self, connection: SocketConnection, code: int, reason: str) -> None:
        """Hear, once, that nothing will come any more."""


class Gate(Protocol):
    """Decides who comes in."""

    def admit(self, request: Request) -> Admission | Refusal:
        """Admit a handshake or refuse it. May switch greenlets."""

    def attach(self, admission: Admission, connection: SocketConnection) -> Receiver:
        """Say who takes the messages of a new connection. Does not block."""

    def handshake_refused(self, peer: str, refusal: Refusal) -> None:
        """Hear of a request that was refused, by `admit` or before."""

    def handshake_failed(self, peer: str, reason: str) -> None:
        """Hear of a TLS handshake that failed, or of a client that never finished its request."""
