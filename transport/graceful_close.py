"""Graceful close: ends connections that were lost, a few at each turn of the hub.

When a mobile network or a load balancer fails, thousands are lost in the same instant. The end of each costs some tens
of microseconds here, and more in the actors, whose turns it adds to the run queue: all at once they would block the
hub, and faster than the actors work them off, the messages of all others would wait behind them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from gevent import get_hub

if TYPE_CHECKING:
    from collections.abc import Callable

    from .connection import SocketConnection

AT_A_TURN = 16


class GracefulClose:
    """Closing of many lost connections in turns. It belongs to the hub of the thread that makes it.

    While the actors are `behind` with their work, one connection ends at a turn.
    """

    def __init__(self, behind: Callable[[], bool] | None = None, *, at_a_turn: int = AT_A_TURN) -> None:
        self._behind = behind
        self._at_a_turn = at_a_turn
        self._left = at_a_turn
        self._waiting: deque[SocketConnection] = deque()
        self._timer: Any = None

    def let_go(self, connection: SocketConnection) -> bool:
        """Finish a connection now, or later in its turn; return whether it was now."""
        if self._timer is None:
            # Callbacks would run repeatedly before the hub polls its sockets; a timer runs once between two
            # polls.
            self._timer = get_hub().loop.timer(0.0)
            self._timer.start(self._turn)
            self._left = self._at_a_turn
        if not self._left:
            self._waiting.append(connection)
            return False
        self._left -= 1
        connection.finish()
        return True

    def _turn(self) -> None:
        waiting = self._waiting
        most = 1 if self._behind is not None and self._behind() else self._at_a_turn
        for _ in range(min(len(waiting), most)):
            waiting.popleft().finish()
        if waiting:
            self._left = 0
            self._timer.start(self._turn)
        else:
            self._timer.close()
            self._timer = None
