"""Traffic of a transport: the bytes that connections have received and sent which have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connection import SocketConnection


class Traffic:
    """Bytes of the connections that have ended, as the kernel has counted them."""

    def __init__(self) -> None:
        self.received_bytes = self.sent_bytes = 0

    def add(self, connection: SocketConnection) -> None:
        """Add the bytes of a connection whose socket is about to be closed."""
        received, sent = connection.traffic()
        self.received_bytes += received
        self.sent_bytes += sent
