"""Circuit breakers of a plugin's handlers: pure state, the time is an argument.

A failure is counted per (charge point, action). After `pair_limit` in a row that pair is broken: fallbacks
answer for it, and after
`trial_call_s` one call is let through to see. Failures of one or two charge points are theirs; from `spread`
different ones within
`window_s` they are the plugin's, and spend its budget.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakerPolicy:
    """Limits of the circuit breakers, and of failures that count against the whole plugin."""

    pair_limit: int = 3
    spread: int = 3
    window_s: float = 60.0
    trial_call_s: float = 30.0


class CircuitBreakers:
    """The failures of one plugin."""

    __slots__ = ("_recent", "failing", "policy")

    def __init__(self, policy: CircuitBreakerPolicy) -> None:
        self.policy = policy
        self.failing: dict[
            tuple[str, str], tuple[int, float]
        ] = {}  # failures in a row, and when the next probe is due
        self._recent: dict[str, float] = {}  # charge points whose calls failed, and when they last did

    def failed(self, charge_point_id: str, action: str, now: float) -> bool:
        """Count a failure; true if so many charge points were hit that it is the plugin's own."""
        policy = self.policy
        count, _ = self.failing.get((charge_point_id, action), (0, 0.0))
        self.failing[charge_point_id, action] = (count + 1, now + policy.trial_call_s)
        self._recent.pop(charge_point_id, None)
        self._recent[charge_point_id] = now
        for other, at in list(self._recent.items()):  # oldest first
            if at > now - policy.window_s:
                break
            del self._recent[other]
        if len(self._recent) < policy.spread:
            return False
        self._recent.clear()
        return True

    def succeeded(self, charge_point_id: str, action: str) -> None:
        """A call went well: its pair is whole again."""
        self.failing.pop((charge_point_id, action), None)

    def try_pass(self, charge_point_id: str, action: str, now: float) -> bool:
        """Return whether a call may pass; when a trial call is due, the first that asks is let through."""
        found = self.failing.get((charge_point_id, action))
        if found is None or found[0] < self.policy.pair_limit:
            return True
        if found[1] > now:
            return False
        self.failing[charge_point_id, action] = (found[0], now + self.policy.trial_call_s)
        return True

    def list_open(self) -> list[tuple[str, str]]:
        """The pairs that fallbacks answer for."""
        return [pair for pair, (count, _) in self.failing.items() if count >= self.policy.pair_limit]

    def clear(self) -> None:
        """Forget everything."""
        self.failing.clear()
        self._recent.clear()
