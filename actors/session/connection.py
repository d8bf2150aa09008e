"""Connections as a session needs them. A transport's connections have this form; neither imports the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ...protocol.x509 import TlsFacts


class Connection(Protocol):
    """Socket to a charge point. Nothing here blocks or raises; a dead connection drops what is sent."""

    @property
    def peer(self) -> str:
        """Address of the peer, for people to read."""

    @property
    def tls(self) -> TlsFacts | None:
        """Facts of its TLS; None without."""

    @property
    def subprotocol(self) -> str:
        """Agreed subprotocol, which names the version; empty for the system's first version."""

    @property
    def paused(self) -> int:
        """True while reading is paused."""

    @property
    def half_open(self) -> bool:
        """True if it was given up because the peer answered no keepalive."""

    def send_text(self, data: bytes) -> None:
        """Send one text message, or queue it; over the bound the connection is closed."""

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection with a WebSocket close code."""

    def ping_and_wait(self, timeout_s: float) -> bool:
        """Ping the peer and return whether it answers in time: the one method that switches greenlets."""

    def pause(self) -> None:
        """Pause reading until `resume`."""

    def resume(self) -> None:
        """Resume reading."""
