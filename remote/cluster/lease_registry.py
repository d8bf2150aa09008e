"""Registry of leases and claims in memory, for the coordinator server of one machine.

No I/O, and the same rules as in Redis.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING
from uuid import uuid4

from .coordinator import DRIFT_S, LEASE_S, Claim, Verified
from .lease import CHUNK, Renewal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...actors.runtime.timers import Clock


class LeaseRegistry:
    """Leases and owners, in memory.

    `fence` is called with node, charge point and epoch, for a node that has its lease.
    """

    def __init__(
        self, clock: Clock, fence: Callable[[str, str, int], None], lease_s: float = LEASE_S
    ) -> None:
        self._clock = clock
        self._fence = fence
        self._lease_s = lease_s + DRIFT_S
        self._name = uuid4().hex
        self._young_until = clock.monotonic() + self._lease_s
        self._ends: dict[str, float] = {}
        self._held: dict[str, dict[str, int]] = {}
        self._holders: dict[str, str] = {}
        self._fences: dict[str, dict[str, int]] = {}
        self._doubts: dict[str, float] = {}
        self._epoch = 0

    def renew(self, node: str, seen: int, acks: Mapping[str, int]) -> Renewal:
        """Hold the lease of a node. `acks` are the fences that it has taken, with their epochs."""
        fences = self._fences.setdefault(node, {})
        for charge_point_id, epoch in acks.items():
            if fences.get(charge_point_id, epoch + 1) <= epoch:
                del fences[charge_point_id]
        self._epoch = max(self._epoch, seen)
        now = self._clock.monotonic()
        self._doubts = {one: ends for one, ends in self._doubts.items() if ends > now}
        lapsed = self._left(node) == 0
        self._ends[node] = now + self._lease_s
        return Renewal(
            server=self._name,
            lapsed=lapsed,
            young_s=self._young_s(),
            nodes=frozenset(one for one in self._ends if self._left(one)),
            fences=dict(islice(fences.items(), CHUNK)),
            more=len(fences) > CHUNK,
        )

    def claim(self, node: str, charge_point_id: str, seen: int) -> Claim | None:
        """Give a charge point to a node; None without a lease."""
        if not self._left(node):
            return None
        self._epoch = max(self._epoch + 1, seen + 1, int(self._clock.time() * 1_000_000))
        doubt_s = self._doubt_s(charge_point_id)
        wait_s = max(self._young_s(), doubt_s)
        previous = self._holders.get(charge_point_id, "")
        self._give(charge_point_id, node, self._epoch)
        if previous in ("", node):
            return Claim(self._epoch, "", wait_s)
        left_s = self._fence_off(previous, charge_point_id, self._epoch)
        return Claim(self._epoch, previous if left_s and not doubt_s else "", max(wait_s, left_s))

    def release(self, node: str, charge_point_id: str, epoch: int) -> None:
        """Take a charge point back, unless it was claimed since."""
        if self._holders.get(charge_point_id) == node and self._held[node][charge_point_id] == epoch:
            self._take(charge_point_id)

    def verify(self, node: str, claims: Mapping[str, int]) -> Verified | None:
        """Which are another's; the highest epoch wins. None without a lease."""
        if not self._left(node):
            return None
        others = set()
        wait_s = self._young_s()
        for charge_point_id, epoch in claims.items():
            holder = self._holders.get(charge_point_id, "")
            stored = self._held[holder][charge_point_id] if holder else 0
            if stored >= epoch and holder != node:
                others.add(charge_point_id)
            elif stored < epoch:
                self._give(charge_point_id, node, epoch)
                if holder not in ("", node):
                    wait_s = max(wait_s, self._fence_off(holder, charge_point_id, epoch))
        return Verified(frozenset(others), wait_s)

    def find(self, charge_point_id: str) -> str:
        """Find the node with a lease that holds a charge point, or ""."""
        node = self._holders.get(charge_point_id, "")
        return node if node and self._left(node) else ""

    def alive(self, node: str) -> bool:
        """Return whether a node has its lease."""
        return self._left(node) > 0

    def charge_points(self) -> list[tuple[str, str]]:
        """Return the node of each held charge point."""
        return [(one, node) for one, node in self._holders.items() if self._left(node)]

    def end(self, node: str) -> None:
        """Remove a node and its claims."""
        self._ends.pop(node, None)
        self._fences.pop(node, None)
        for charge_point_id in self._held.pop(node, {}):
            del self._holders[charge_point_id]

    def _young_s(self) -> float:
        return max(0.0, self._young_until - self._clock.monotonic())

    def _doubt_s(self, charge_point_id: str) -> float:
        """Return the seconds for which a fenced node may not know that it was fenced."""
        return max(0.0, self._doubts.get(charge_point_id, float("-inf")) - self._clock.monotonic())

    def _left(self, node: str) -> float:
        return max(0.0, self._ends.get(node, float("-inf")) - self._clock.monotonic())

    def _fence_off(self, node: str, charge_point_id: str, epoch: int) -> float:
        self._fences.setdefault(node, {})[charge_point_id] = epoch
        left_s = self._left(node)
        if left_s:
            doubt_s = max(left_s, self._doubt_s(charge_point_id))
            self._doubts[charge_point_id] = self._clock.monotonic() + doubt_s
            self._fence(node, charge_point_id, epoch)
        return left_s

    def _give(self, charge_point_id: str, node: str, epoch: int) -> None:
        self._take(charge_point_id)
        self._holders[charge_point_id] = node
        self._held.setdefault(node, {})[charge_point_id] = epoch

    def _take(self, charge_point_id: str) -> None:
        node = self._holders.pop(charge_point_id, "")
        if node:
            del self._held[node][charge_point_id]
