"""A token bucket: so many at once, so many a second after that. Pure state, the time is an argument."""

from __future__ import annotations


class TokenBucket:
    """Holds up to `burst` tokens and gets `rate` new ones a second; a rate of 0 sets no limit."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = 0.0

    def take(self, now: float) -> float:
        """Take a token: 0 if there was one, else the seconds until there will be."""
        if self._rate <= 0:
            return 0.0
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate
