"""Budget of what a connection may send: so many messages and bytes at once, so many a second after that.

Pure state; the time is an argument. A connection has one only while it sends faster than its rates.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .outbox_socket import ConnectionLimits


LEAST_WAIT_S = 0.001
"""Seconds below which a wait is not worth a pause."""


AHEAD_S = 0.25
"""Seconds that a peer may be ahead of its rates before its reads are counted exactly."""


def least_burst_s(rates: ConnectionLimits) -> float:
    """Return the seconds of its rates that a peer may be ahead without a look at its budget."""
    least_s = AHEAD_S
    if rates.messages_per_s > 0:
        least_s = min(least_s, rates.messages_burst / rates.messages_per_s)
    if rates.bytes_per_s > 0:
        least_s = min(least_s, rates.bytes_burst / rates.bytes_per_s)
    return least_s


EASY_BYTES = 1024
"""Bytes of one read that are at no rate a reason for a closer look, if nothing came shortly before."""


@lru_cache(maxsize=8)
def easy_s(messages_per_s: float, bytes_per_s: float) -> float:
    """Return the seconds in which one message of `EASY_BYTES` is worked off at the rates; all connections share it."""
    message_s = 1 / messages_per_s if messages_per_s > 0 else 0.0
    return max(message_s, EASY_BYTES / bytes_per_s if bytes_per_s > 0 else 0.0)


class ReadBudget:
    """Times at which what was read so far is worked off at the rates; both are in the past for a quiet connection."""

    __slots__ = ("_bytes_until", "_messages_until")

    def __init__(self, until: float = 0.0) -> None:
        self._messages_until = until
        self._bytes_until = until

    def charge(self, rates: ConnectionLimits, now: float, messages: int, size_bytes: int) -> float:
        """Enter what was read, and return the seconds for which nothing more should be: 0 for none.

        A rate of 0 sets no limit.
        """
        wait_s = 0.0
        if rates.messages_per_s > 0:
            until = max(self._messages_until, now) + messages / rates.messages_per_s
            self._messages_until = until
            wait_s = until - now - rates.messages_burst / rates.messages_per_s
        if rates.bytes_per_s > 0:
            until = max(self._bytes_until, now) + size_bytes / rates.bytes_per_s
            self._bytes_until = until
            wait_s = max(wait_s, until - now - rates.bytes_burst / rates.bytes_per_s)
        return wait_s if wait_s >= LEAST_WAIT_S else 0.0

    def is_unused(self, now: float) -> bool:
        """Return true if everything is worked off: then the budget is as good as a new one."""
        return self._messages_until <= now and self._bytes_until <= now
