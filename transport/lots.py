"""Lots: of many like pieces of work that come at once, a few are done at each turn of the hub.

When a mobile network or a load balancer fails, thousands of charge points are lost in the same instant, and come back
later in another. The end of a connection costs some tens of microseconds here, a handshake some hundreds, and each more
in the actors, whose turns it adds to the run queue. All at once they would block the hub; and faster than the actors
work them off, the messages of all others would wait behind them.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from gevent import get_hub
from gevent.hub import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable

ENDS_AT_A_TURN = 16
"""Lost connections that end in one turn of the hub."""
HANDSHAKES_AT_A_TURN = 4
"""Handshakes of TLS that begin in one turn, and requests of WebSocket that are answered, together."""


class Lots:
    """Pieces of work that are done in their order, `at_a_turn` at each turn of the hub of the thread that makes it.

    While the actors are `behind` with their work, a turn has one.
    """

    def __init__(self, at_a_turn: int, behind: Callable[[], bool] | None = None) -> None:
        self._at_a_turn = at_a_turn
        self._behind = behind
        self._left = at_a_turn
        self._waiting: deque[Callable[[], object]] = deque()
        self._timer: Any = None

    def do(self, work: Callable[[], object]) -> bool:
        """Do a piece of work now if this turn has room for it, else later in the hub; return whether it was now."""
        if not self._has_room():
            self._waiting.append(work)
            return False
        work()
        return True

    def wait(self) -> None:
        """Return in a turn that has room for what the caller does next. Switches greenlets."""
        if not self._has_room():
            waiter: Any = Waiter()
            self._waiting.append(partial(waiter.switch, None))
            waiter.get()

    def _has_room(self) -> bool:
        """Take a place of this turn, if one is left."""
        if self._timer is None:
            # Callbacks would run repeatedly before the hub polls its sockets; a timer runs once between two
            # polls.
            self._timer = get_hub().loop.timer(0.0)
            self._timer.start(self._turn)
            self._left = self._at_a_turn
        if not self._left:
            return False
        self._left -= 1
        return True

    def _turn(self) -> None:
        waiting = self._waiting
        most = 1 if self._behind is not None and self._behind() else self._at_a_turn
        try:
            for _ in range(min(len(waiting), most)):
                waiting.popleft()()
        finally:  # a piece that raises is told by the hub, and the others have their turns
            if waiting:
                self._left = 0
                self._timer.start(self._turn)
            else:
                self._timer.close()
                self._timer = None
