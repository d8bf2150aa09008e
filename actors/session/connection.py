"""Connections as a session needs them. A transport's connections have this form; neither imports the other."""

from __future__ import annotations

from typing import Protocol


class Connection(Protocol):
    """Socket to a charge point. Nothing here blocks or raises; a dead connection swallows what is sent."""

    @property
    def peer(self) -> str:
        """The other end's address, for people to read."""

    @property
    def secure(self) -> bool:
        """True if it is encrypted."""

    @property
    def subprotocol(self) -> str:
        """Agreed subprotocol, which says the version; empty for that of the system's first version."""

    @property
    def paused(self) -> int:
        """True, or not 0, while reading is paused."""

    @property
    def half_open(self) -> bool:
        """True if it was given up because its peer answered no keepalive."""

    def send_text(self, data: bytes) -> None:
        """Send one text message, or queue it; over the bound the connection is closed."""

    def close(self, code: int, reason: str = "") -> None:
        """Close it with a WebSocket code."""

    def ping_and_wait(self, timeout_s: float) -> bool:
        """Ask the peer for a sign of life and wait for it: the one method that switches greenlets."""

    def pause(self) -> None:
        """Pause reading until `resume`."""

    def resume(self) -> None:
        """Resume reading."""
