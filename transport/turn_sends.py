"""Sends of one hub: what its connections have to send goes out together, at the end of the hub's turn.

A send for each message would wake the peers one by one in the middle of the turn. One for each connection and turn
carries all that the turn had for it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from gevent import get_hub

from ..protocol.log_fields import about

if TYPE_CHECKING:
    from .connection import SocketConnection

logger = logging.getLogger(__name__)


class SharedSends(Protocol):
    """Connections with something to send."""

    def add(self, connection: SocketConnection) -> None:
        """Have `send_waiting` of a connection called soon, in the hub."""


class TurnSends:
    """Connections that have something to send at the end of a turn of the hub of the thread that makes it."""

    def __init__(self) -> None:
        self._loop = get_hub().loop
        self._waiting: list[SocketConnection] = []

    def add(self, connection: SocketConnection) -> None:
        """Have `send_waiting` of a connection called behind the callbacks that are due already."""
        if not self._waiting:
            self._loop.run_callback(self._send)
        self._waiting.append(connection)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            try:
                connection.send_waiting()
            except Exception:  # a bug in this program: the others must be sent
                peer = connection.peer
                logger.exception(
                    "Sending to connection %s failed; closing it", peer, extra=about(connection=peer)
                )
                connection.give_up("sending failed")
