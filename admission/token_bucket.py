"""Token bucket: a burst at once, then a rate per second. Pure state; the time is an argument."""

from __future__ import annotations

from hashlib import blake2b

MOST_KEYS = 20_000
"""Buckets that `TokenBuckets` holds at most; beyond it the least recently used one is dropped."""
KEY_CHARS = 64
"""Characters of a key that is kept as it is; clients choose its length, so of a longer one the digest is."""


class TokenBucket:
    """Bucket of up to `burst` tokens that gets `rate` new ones per second; a rate of 0 means no limit."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = 0.0

    def wait_s(self, now: float) -> float:
        """Return the seconds until there is a token, 0 if there is one; takes none."""
        if self._rate <= 0:
            return 0.0
        if now > self._at:  # calls may come in another order than their clock readings
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / self._rate

    def take(self, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        wait_s = self.wait_s(now)
        if wait_s == 0 and self._rate > 0:
            self._tokens -= 1
        return wait_s

    def is_full(self, now: float) -> bool:
        """Return whether the bucket is full."""
        self.wait_s(now)
        return self._rate <= 0 or self._tokens >= self._burst


def _short(key: str) -> str:
    if len(key) <= KEY_CHARS:
        return key
    return blake2b(key.encode(errors="surrogatepass"), digest_size=16).hexdigest()


class TokenBuckets:
    """Buckets by key. A full bucket is forgotten, as it equals a new one."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, TokenBucket] = {}  # in order of use, the last used one last

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_s(self, key: str, now: float) -> float:
        """Return the seconds until the key's bucket has a token."""
        bucket = self._buckets.get(_short(key))
        return 0.0 if bucket is None else bucket.wait_s(now)

    def take(self, key: str, now: float) -> float:
        """Take a token from the key's bucket."""
        if self._rate <= 0:
            return 0.0
        key = _short(key)
        bucket = self._buckets.pop(key, None) or TokenBucket(self._rate, self._burst)
        self._buckets[key] = bucket
        wait_s = bucket.take(now)
        for _ in range(2):  # removes faster than new ones come
            oldest = next(iter(self._buckets))
            if len(self._buckets) > MOST_KEYS or self._buckets[oldest].is_full(now):
                del self._buckets[oldest]
        return wait_s
