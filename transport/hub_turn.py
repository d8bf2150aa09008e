"""Turn of a hub: its connections are read, what was read is worked on, and what came of that is sent.

What a connection has to send goes out together: a send for each message would wake the peers one by one in the middle
of the turn. When many connections are ready at once, the turn is done in parts: the state of a few is still in the
processor's caches when they are worked on and sent to, the state of a thousand is not.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from gevent import get_hub

from ..protocol.log_fields import about

if TYPE_CHECKING:
    from collections.abc import Callable

    from .connection import SocketConnection
    from .outbox_socket import SharedTimers

logger = logging.getLogger(__name__)

READS = 64
"""Reads of a part of a turn."""

PARTS_S = 0.025
"""Seconds after which a turn is not divided any more: its timers and other sockets wait."""


class Turn(Protocol):
    """Turn of a hub, as connections and transports know it."""

    def add(self, connection: SocketConnection) -> None:
        """Have `send_waiting` of a connection called soon, in the hub."""

    def has_read(self) -> None:
        """Note that a connection was read in the hub."""


class HubTurn:
    """Turn of the hub of the thread that makes it. `work` handles, in the hub, what was read so far."""

    def __init__(self, timers: SharedTimers, work: Callable[[], None] | None = None) -> None:
        self._loop = get_hub().loop
        self._clock = timers.clock
        self._work = work
        self._waiting: list[SocketConnection] = []
        self._reads_left = READS
        self._ends_at: float | None = None  # of the parts of this turn

    def add(self, connection: SocketConnection) -> None:
        """Have `send_waiting` of a connection called behind the callbacks that are due already."""
        if not self._waiting:
            self._loop.run_callback(self._send)
        self._waiting.append(connection)

    def has_read(self) -> None:
        """Note a read. The last one of a part is followed by the work and the sends. For the hub only."""
        self._reads_left -= 1
        if not self._reads_left:
            self._reads_left = READS
            self._end_part()

    def _end_part(self) -> None:
        if self._work is None:
            return
        now: float = self._clock.monotonic()
        if self._ends_at is None:
            self._ends_at = now + PARTS_S
            self._loop.run_callback(self._end)
        if now < self._ends_at:
            self._work()
            self._send()

    def _end(self) -> None:
        self._ends_at = None

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
