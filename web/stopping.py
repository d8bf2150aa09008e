"""How the endpoint's end reaches those who wait: an error is thrown into every greenlet that said it may be."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gevent import get_hub, getcurrent

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stopping(Exception):
    """The endpoint stops, and what was waited for will not be seen any more."""


class Stop:
    """One endpoint's end, and the greenlets that wait for something else meanwhile."""

    def __init__(self) -> None:
        self.begun = False
        self._waiting: set[Any] = set()  # greenlets

    @contextmanager
    def interrupts(self) -> Iterator[None]:
        """Raise `Stopping` out of whatever blocks inside the `with`, once the endpoint stops."""
        if self.begun:
            raise Stopping
        me = getcurrent()
        self._waiting.add(me)
        try:
            yield
        finally:
            self._waiting.discard(me)

    def begin(self) -> None:
        """Interrupt all that wait, now and from now on. Does not wait for them itself."""
        self.begun = True
        for waiting in self._waiting:
            get_hub().loop.run_callback(self._throw, waiting)

    def _throw(self, waiting: Any) -> None:
        # In the hub, so that greenlet is not running; that it has not gone on meanwhile is checked here.
        if waiting in self._waiting:
            waiting.throw(Stopping)
