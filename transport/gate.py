"""Interface between transports and the system: admission of charge points, and receivers of their messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..protocol.deflate import Answer
    from ..protocol.x509 import TlsFacts
    from .connection import SocketConnection


@dataclass(frozen=True, slots=True)
class HandshakeRequest:
    """Handshake that is valid as HTTP and WebSocket.

    `path` is as sent, without its query; header names are in lower case; `tls` is None without TLS.
    """

    path: str
    headers: Mapping[str, str]
    peer: str
    tls: TlsFacts | None = None

    @property
    def secure(self) -> bool:
        """True over TLS."""
        return self.tls is not None


@dataclass(frozen=True, slots=True)
class Admission:
    """Admission of a charge point. Without a `subprotocol` the connection is closed right after the handshake.

    `deviations` are texts of what the lenient policy let pass; `compression` is the answer to the offer of it that was
    accepted, if one was; `profile` is the security profile that it has shown.
    """

    identity: str
    name: str
    subprotocol: str | None
    deviations: tuple[str, ...] = ()
    compression: Answer | None = None
    profile: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Refusal of a handshake: HTTP status, one sentence for a person, and the headers that the status needs."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = field(default=())
    identity: str = field(default="", compare=False)
    """Charge point that was named, for the log."""
    detail: str = field(default="", compare=False)
    """Fact for the log alone, as the setting of a limit."""


class Receiver(Protocol):
    """Receiver of a connection's messages. No method blocks or raises."""

    def deliver(self, connection: SocketConnection, data: bytes) -> None:
        """Take a text message; it is valid UTF-8."""

    def throttled(self, connection: SocketConnection, wait_s: float) -> None:
        """Take note that the peer exceeds its rate limit, and is not read for `wait_s`."""

    def closed(self, connection: SocketConnection, code: int, reason: str) -> None:
        """Take note, once, that the connection has ended."""


class Gate(Protocol):
    """Decision who may connect, and to which session."""

    def admit(self, request: HandshakeRequest) -> Admission | Refusal:
        """Admit a handshake or refuse it. May switch greenlets."""

    def attach(self, admission: Admission, connection: SocketConnection) -> Receiver:
        """Return the receiver of a new connection's messages. Does not block."""

    def handshake_refused(self, peer: str, refusal: Refusal) -> None:
        """Hear of a request that was refused, by `admit` or before."""

    def handshake_failed(self, peer: str, reason: str) -> None:
        """Count a failed TLS handshake, or a request that was not finished."""


class Intake(Protocol):
    """Decision which sockets are taken at all. No method blocks. A peer is "address:port"."""

    def accept(self, descriptor: int, peer: str) -> Refusal | None:
        """Refuse a socket that has come, before anything is read."""

    def enter(self, peer: str) -> Refusal | None:
        """Count a connection of a client, as soon as its address is known; or refuse it."""

    def used_up(self, error: OSError) -> None:
        """Take note that nothing could be accepted."""

    def leave(self, peer: str) -> None:
        """Note, once, the end of a connection that was counted."""
