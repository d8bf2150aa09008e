"""Observers of a running system: restarts, connections and disconnections, and uncaught errors.

Rule: they are called in the hub and must be quick.
"""

import time
from typing import Any, Self

import gevent

from chargehand import ChargePointOffline, ChargePointOnline
from chargehand.system.counters import Counters


class Restarts(Counters):
    """Counters of the system, with the time that the first restart of each session took.

    A first restart is one after a quiet time of `reset_s`; later ones are delayed on purpose.
    """

    def __init__(self, reset_s: float) -> None:
        super().__init__()
        self.delays: list[tuple[str, float]] = []
        self.crashed: dict[str, float] = {}  # whose first restart is still to come
        self._last: dict[str, float] = {}
        self._reset_s = reset_s

    def count(self, name: str, charge_point_id: str) -> None:
        """Count one event."""
        super().count(name, charge_point_id)
        now = time.monotonic()
        if name == "session_crashed":
            if now - self._last.get(charge_point_id, float("-inf")) > self._reset_s + 0.1:
                self.crashed[charge_point_id] = now
            self._last[charge_point_id] = now
        elif name == "session_restarted":
            at = self.crashed.pop(charge_point_id, None)
            if at is not None:
                self.delays.append((charge_point_id, now - at))
        elif name == "session_given_up":
            self._last.pop(charge_point_id, None)


class Presence:
    """Time of the last online or offline event of each charge point."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def note(self, event: ChargePointOnline | ChargePointOffline) -> None:
        """Note an event."""
        self._at[event.charge_point_id] = time.monotonic()

    def last(self, charge_point_id: str) -> float:
        """Return the time of the last event of a charge point, on the monotonic clock."""
        return self._at.get(charge_point_id, float("-inf"))


class Uncaught:
    """Uncaught errors that ended a greenlet or a callback of the hub. Use it as a context manager."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self._hub: Any = gevent.get_hub()

    def __enter__(self) -> Self:
        self._hub.print_exception = self._note
        return self

    def __exit__(self, *_: object) -> None:
        del self._hub.print_exception

    def _note(self, context: object, _kind: object, error: object, traceback: Any) -> None:
        frame = traceback
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame is not None else "?"
        self.errors.append(f"{error!r} at {place} in {context!r}"[:300])
