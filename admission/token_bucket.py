"""Token bucket: a burst at once, then a rate per second. Pure state; the time is an argument.

The state is one number, the time at which the bucket is full again if nobody takes a token.
"""

from __future__ import annotations

from hashlib import blake2b

MOST_KEYS = 20_000
"""Buckets that `TokenBuckets` holds at most; beyond it the least recently used one is dropped."""
KEY_CHARS = 64
"""Characters of a key that is kept as it is; clients choose its length, so of a longer one the digest is."""
TOLERANCE_S = 1e-6
"""Seconds that a sum of many times may be wrong by."""


class TokenBucket:
    """Bucket of up to `burst` tokens that gets `rate` new ones per second; a rate of 0 means no limit."""

    __slots__ = ("_burst", "_full_at", "_rate")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._full_at = 0.0

    def wait_s(self, now: float) -> float:
        """Return the seconds until there is a token, 0 if there is one; takes none."""
        return _wait_s(self._full_at, self._rate, self._burst, now)

    def take(self, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        wait_s = self.wait_s(now)
        if wait_s == 0 and self._rate > 0:
            self._full_at = max(self._full_at, now) + 1 / self._rate
        return wait_s


def _wait_s(full_at: float, rate: float, burst: int, now: float) -> float:
    """Return the seconds until a bucket that is full at a time has a token."""
    if rate <= 0:
        return 0.0
    wait_s = max(full_at - now, 0.0) - (burst - 1) / rate
    return wait_s if wait_s > TOLERANCE_S else 0.0


def _short(key: str) -> str:
    if len(key) <= KEY_CHARS:
        return key
    return blake2b(key.encode(errors="surrogatepass"), digest_size=16).hexdigest()


class TokenBuckets:
    """Buckets by key. A full bucket is forgotten, as it equals a new one."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._full_at: dict[str, float] = {}  # in order of use, the last used one last

    def __len__(self) -> int:
        return len(self._full_at)

    def wait_s(self, key: str, now: float) -> float:
        """Return the seconds until the key's bucket has a token."""
        return _wait_s(self._full_at.get(_short(key), 0.0), self._rate, self._burst, now)

    def take(self, key: str, now: float) -> float:
        """Take a token from the key's bucket and return 0, or return the seconds until there is one."""
        if self._rate <= 0:
            return 0.0
        key = _short(key)
        full_at = self._full_at.pop(key, 0.0)
        wait_s = _wait_s(full_at, self._rate, self._burst, now)
        if wait_s == 0:
            full_at = max(full_at, now) + 1 / self._rate
        self._full_at[key] = full_at
        for _ in range(2):  # removes faster than new ones come
            oldest = next(iter(self._full_at))
            if len(self._full_at) > MOST_KEYS or self._full_at[oldest] <= now:
                del self._full_at[oldest]
        return wait_s
