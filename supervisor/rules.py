"""Rules of supervision as pure functions and small state; the time is an argument.

The words are OTP's (supervisor(3)): permanent, transient and temporary children; one_for_one, one_for_all,
rest_for_one; a maximum intensity of restarts within a period.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import random

    from ..config.settings import SupervisionSettings


class Restart(StrEnum):
    """Kind of a child, by when it is restarted."""

    PERMANENT = "permanent"  # always
    TRANSIENT = "transient"  # after an abnormal end
    TEMPORARY = "temporary"  # never

    def wants(self, *, abnormal: bool) -> bool:
        """Return whether a child of this kind is restarted after such an end."""
        return self is Restart.PERMANENT or (self is Restart.TRANSIENT and abnormal)


class Strategy(StrEnum):
    """Strategy: the siblings that are restarted with a child."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"  # those that were started after it

    def affected(self, position: int, count: int) -> range:
        """Return the positions of the children that are restarted with the one at `position`, in order."""
        if self is Strategy.ONE_FOR_ALL:
            return range(count)
        return range(position, count if self is Strategy.REST_FOR_ONE else position + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Restart policy: maximum intensity and backoff.

    More than `intensity` restarts within `period_s` are over the budget. The first restart is immediate; later ones
    wait `backoff_min_s`, twice that, and so on up to `backoff_max_s`, each shortened by up to `jitter` of itself so
    that many do not coincide. After `reset_s` without a restart the next one is immediate again.
    """

    intensity: int = 3
    period_s: float = 5.0
    backoff_min_s: float = 0.2
    backoff_max_s: float = 30.0
    reset_s: float = 60.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if self.intensity < 0 or self.period_s <= 0 or self.backoff_min_s < 0 or not 0 <= self.jitter <= 1:
            raise ValueError(f"invalid restart policy: {self}")

    @classmethod
    def of(cls, settings: SupervisionSettings) -> Self:
        """Make the policy of the settings."""
        return cls(
            intensity=settings.intensity,
            period_s=settings.period_s,
            backoff_min_s=settings.backoff_min_s,
            backoff_max_s=settings.backoff_max_s,
            reset_s=settings.backoff_reset_s,
        )


class Budget:
    """Budget of restarts of one child, or of one supervisor, under a policy."""

    __slots__ = ("_in_a_row", "_last", "_times", "policy", "total")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.total = 0
        self._times: deque[float] = deque()
        self._in_a_row = 0
        self._last = float("-inf")

    def spend(self, now: float) -> bool:
        """Count a restart; return false if it is over the budget."""
        policy = self.policy
        self.total += 1
        self._in_a_row = 1 if now - self._last > policy.reset_s else self._in_a_row + 1
        self._last = now
        self._times.append(now)
        while self._times and self._times[0] <= now - policy.period_s:
            self._times.popleft()
        return len(self._times) <= policy.intensity

    def delay_s(self, chance: random.Random) -> float:
        """Return the seconds of backoff before the restart that was counted last."""
        if self._in_a_row <= 1:
            return 0.0
        policy = self.policy
        # The exponent is bounded: 2.0 ** 1024 would overflow after a day of crashes.
        delay = min(policy.backoff_max_s, policy.backoff_min_s * 2.0 ** min(self._in_a_row - 2, 60))
        return delay * (1 - policy.jitter * chance.random())
