"""Turns for work that can wait: at once while the hub has time left, else one every now and then.

What is left is the hub's time in its poll, less that of the process's other threads: a store that writes may need the
same core. It is measured while there is such work; no time is measured else.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gevent import get_hub

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_S = 0.002
"""Seconds over which the time that is left is measured."""
LEFT = 0.4
"""Share of its time that is left of a hub at least, if it has time left."""
WEIGHT = 0.2
"""Weight of the last window in that share: a hub that has much to do waits for a moment, too."""
REST = 50
"""Windows without a turn that was asked for after which nothing is measured any more."""
BUSY_S = 0.02
"""Seconds after which a turn is taken in a hub that has no time left: the work gets a small share of it."""
FIRST, LAST = 2, -2
"""Priorities of watchers: before and behind those of all others."""


class IdleTurns:
    """Turns of one kind of work. `take(idle)` is called in the hub, once for each time that a turn was asked for.

    `idle` is true if the hub has time left.
    """

    def __init__(self, take: Callable[[bool], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        loop: Any = get_hub().loop
        self._take = take
        self._monotonic = monotonic
        self._before_poll = loop.prepare(priority=LAST)
        self._after_poll = loop.check(priority=FIRST)
        self._window = loop.timer(WINDOW_S, WINDOW_S)
        self._soon = loop.timer(0.0)  # behind a poll: a callback may come before it
        self._measuring = False
        self._asked_at: float | None = None
        self._left = 1.0  # the share, over the last windows
        self._unasked = 0  # windows
        self._polls_since: float | None = None
        self._waited_s = 0.0
        self._begun_at = 0.0
        self._cpu_s = 0.0
        self._closed = False

    def ask(self) -> None:
        """Have a turn, unless there is one to come already."""
        if self._asked_at is not None or self._closed:
            return
        self._asked_at = now = self._monotonic()
        self._unasked = 0
        if not self._measuring:
            self._measuring, self._left = True, 1.0
            self._begin(now)
            self._before_poll.start(self._polls)
            self._after_poll.start(self._polled)
            self._window.again(self._look)
        if self._left >= LEFT:
            self._soon.start(self._come)

    def _begin(self, now: float) -> None:
        self._begun_at, self._waited_s, self._polls_since = now, 0.0, None
        self._cpu_s = time.process_time()

    def _polls(self) -> None:
        self._polls_since = self._monotonic()

    def _polled(self) -> None:
        if self._polls_since is not None:
            self._waited_s += self._monotonic() - self._polls_since
            self._polls_since = None

    def _look(self) -> None:
        """Judge the window that ends now."""
        now, asked_at = self._monotonic(), self._asked_at
        window_s = max(now - self._begun_at, WINDOW_S)
        left_s = min(self._waited_s, window_s - (time.process_time() - self._cpu_s))
        self._left += WEIGHT * (max(left_s, 0.0) / window_s - self._left)
        self._begin(now)
        self._unasked += 1
        if asked_at is None:
            if self._unasked > REST:
                self._rest()
        elif self._left >= LEFT or now - asked_at >= BUSY_S:
            self._come()

    def _come(self) -> None:
        if self._asked_at is not None:  # else it has come in another way
            self._asked_at = None
            self._soon.stop()
            self._take(self._left >= LEFT)

    def _rest(self) -> None:
        self._measuring = False
        for watcher in (self._before_poll, self._after_poll, self._window, self._soon):
            watcher.stop()

    def close(self) -> None:
        """Take no further turn."""
        self._closed = True
        self._asked_at = None
        self._rest()
        for watcher in (self._before_poll, self._after_poll, self._window, self._soon):
            watcher.close()
