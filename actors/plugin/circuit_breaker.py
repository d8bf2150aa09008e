"""Circuit breakers of a plugin's handlers: pure state, the time is an argument.

There is one breaker per (charge point, action). It opens after `failures_to_open` failures in a row: fallbacks answer
in the handler's place, and after `trial_call_s` one trial call may pass. A success closes it. Failures of one or two
charge points are theirs; from `spread` different ones within `window_s` they count as a crash of the plugin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from ...config.settings import SupervisionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakerPolicy:
    """Limits of the circuit breakers, and of failures that count against the whole plugin."""

    failures_to_open: int = 3
    spread: int = 3
    window_s: float = 60.0
    trial_call_s: float = 30.0

    @classmethod
    def of(cls, settings: SupervisionSettings) -> Self:
        """Make the policy that the settings ask for."""
        return cls(
            failures_to_open=settings.handler_failures,
            spread=settings.failing_charge_points,
            window_s=settings.failure_window_s,
            trial_call_s=settings.trial_call_s,
        )


class CircuitBreakers:
    """Circuit breakers of one plugin, by charge point and action.

    `failing` holds those with failures: how many in a row, and when the next trial call is due.
    """

    __slots__ = ("_recent", "failing", "policy")

    def __init__(self, policy: CircuitBreakerPolicy) -> None:
        self.policy = policy
        self.failing: dict[tuple[str, str], tuple[int, float]] = {}
        # Charge points whose calls failed, with the time of the last failure; oldest first.
        self._recent: dict[str, float] = {}

    def failed(self, charge_point_id: str, action: str, now: float) -> bool:
        """Count a failure; return true if so many charge points were hit that the plugin itself counts as crashed."""
        policy = self.policy
        count, _ = self.failing.get((charge_point_id, action), (0, 0.0))
        self.failing[charge_point_id, action] = (count + 1, now + policy.trial_call_s)
        self._recent.pop(charge_point_id, None)
        self._recent[charge_point_id] = now
        for other, at in list(self._recent.items()):
            if at > now - policy.window_s:
                break
            del self._recent[other]
        if len(self._recent) < policy.spread:
            return False
        self._recent.clear()
        return True

    def succeeded(self, charge_point_id: str, action: str) -> None:
        """Close the breaker: a call went well."""
        self.failing.pop((charge_point_id, action), None)

    def try_pass(self, charge_point_id: str, action: str, now: float) -> bool:
        """Return whether a call may pass; with an open breaker, the first to ask uses up the trial call that is due."""
        found = self.failing.get((charge_point_id, action))
        if found is None or found[0] < self.policy.failures_to_open:
            return True
        if found[1] > now:
            return False
        self.failing[charge_point_id, action] = (found[0], now + self.policy.trial_call_s)
        return True

    def list_open(self) -> list[tuple[str, str]]:
        """List the open breakers by charge point and action."""
        return [key for key, (count, _) in self.failing.items() if count >= self.policy.failures_to_open]

    def clear(self) -> None:
        """Close all breakers and forget all failures."""
        self.failing.clear()
        self._recent.clear()
