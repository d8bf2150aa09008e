"""Lease of a node, as the node itself sees it: the same for every coordinator.

It counts from when its renewal was sent, by the node's own clock, so it never ends later here than at the coordinator.
The answer to a renewal is applied in this order: fences, lost nodes, and only then the extension of the lease. So when
another node may send commands, this node has seen the fence or has no lease any more.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from gevent import get_hub

from ...actors.runtime.timers import HubTimers
from .coordinator import LEASE_S, RENEW_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ...actors.runtime.timers import Clock
    from .coordinator import CoordinatorListener

T = TypeVar("T")

CHUNK = 500
"""Charge points in one message or script, so that neither the other side nor the hub is blocked."""


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Yield the items in lists of `size`, as `itertools.batched` of Python 3.12 does."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


class Renewal(NamedTuple):
    """Answer of a coordinator to a renewal.

    `server` names the run of the coordinator; `lapsed` is true if it had no lease of this node any more; for `young_s`
    it may not know all nodes yet. With `more` there are further fences, and the lease is not extended.
    """

    server: str
    lapsed: bool
    young_s: float
    nodes: frozenset[str]
    fences: dict[str, int]
    more: bool


class Lease:
    """Lease of one node. `renew` is called to send a renewal; it must not block.

    Its answer goes to `renewed` with the time of `sending`. For the hub's thread only.
    """

    def __init__(self, clock: Clock, node: str, lease_s: float = LEASE_S) -> None:
        self.timers = HubTimers(clock)
        self.nodes: frozenset[str] = frozenset()
        self.seen = 0
        self.lease_s = lease_s
        self._renew_s = lease_s * RENEW_S / LEASE_S
        self._clock = clock
        self._node = node
        self._listener: CoordinatorListener | None = None
        self._renew: Callable[[], None] = lambda: None
        self._until = float("-inf")
        self._told = False
        self._watched = False
        self._server = ""
        self._acks: dict[str, int] = {}
        self._claiming: Counter[str] = Counter()
        self._overtaking: dict[str, int] = {}
        self._met: dict[str, float] = {}

    @property
    def held(self) -> bool:
        """True while the lease is valid."""
        return self._clock.monotonic() < self._until

    def start(self, listener: CoordinatorListener, renew: Callable[[], None]) -> None:
        """Start renewing."""
        self._listener, self._renew = listener, renew
        self._tick()

    def stop(self) -> None:
        """End the lease, and stop renewing and notifying."""
        self._listener = None
        self._until = float("-inf")
        self.timers.clear()

    def end(self) -> None:
        """End the lease now, before its time."""
        self._until = float("-inf")
        self._check()

    def sending(self) -> tuple[float, dict[str, int]]:
        """Return the time of a renewal that is sent now, and the fences that it acknowledges."""
        acks, self._acks = self._acks, {}
        return self._clock.monotonic(), acks

    def saw(self, epoch: int) -> None:
        """Note an epoch; later ones are higher, even if the coordinator loses its data."""
        self.seen = max(self.seen, epoch)

    def renewed(self, sent_at: float, renewal: Renewal) -> None:
        """Apply the answer to a renewal."""
        if self._listener is None:
            return
        for charge_point_id, epoch in renewal.fences.items():
            self._acks[charge_point_id] = epoch
            self.fenced(charge_point_id, epoch)
        if renewal.more:
            self._renew()
            return
        # After its restart the coordinator knows only nodes that have renewed since; other leases may still run.
        met = {node for node, met_at in self._met.items() if met_at < sent_at}
        gone = frozenset() if renewal.young_s else (self.nodes | met) - renewal.nodes
        self._met = {node: met_at for node, met_at in self._met.items() if node not in met}
        self.nodes = self.nodes | renewal.nodes if renewal.young_s else renewal.nodes
        for node in gone - {self._node}:
            self._listener.lost(node)
        another = renewal.server != self._server
        self._server = renewal.server
        self._check()
        if another or renewal.lapsed:
            self.end()  # nodes that have claimed meanwhile do not know of this one
        until = sent_at + self.lease_s
        if until > self._clock.monotonic():
            self._until = max(self._until, until)
            self._hold()

    @contextmanager
    def claiming(self, charge_point_id: str) -> Iterator[None]:
        """Repeat a fence that comes while a claim is under way, once the claim has returned."""
        self._claiming[charge_point_id] += 1
        try:
            yield
        finally:
            self._claiming[charge_point_id] -= 1
            if not self._claiming[charge_point_id]:
                del self._claiming[charge_point_id]
                epoch = self._overtaking.pop(charge_point_id, 0)
                if epoch:
                    get_hub().loop.run_callback(self.fenced, charge_point_id, epoch)

    def fenced(self, charge_point_id: str, epoch: int) -> None:
        """Notify the listener of a fence."""
        self.saw(epoch)
        if charge_point_id in self._claiming:
            self._overtaking[charge_point_id] = max(epoch, self._overtaking.get(charge_point_id, 0))
        if self._listener is not None:
            self._listener.fenced(charge_point_id, epoch)

    def met(self, node: str) -> None:
        """Watch a node that was sent a message, so that its loss is reported.

        It may have come and gone between two renewals.
        """
        self._met.setdefault(node, self._clock.monotonic())

    def lost(self, node: str) -> None:
        """Notify the listener of the loss of a node, once."""
        if self._listener is not None and (node in self.nodes or node in self._met):
            self.nodes -= {node}
            self._met.pop(node, None)
            self._listener.lost(node)

    def _hold(self) -> None:
        if self._told or self._listener is None:
            return
        self._told = True
        if not self._watched:
            self._watched = True
            self.timers.call_at(self._until, self._watch)
        self._listener.lease_changed(held=True)

    def _check(self) -> None:
        if self._told and not self.held and self._listener is not None:
            self._told = False
            self._listener.lease_changed(held=False)

    def _watch(self) -> None:
        self._check()
        self._watched = self._told
        if self._told:
            self.timers.call_at(self._until, self._watch)

    def _tick(self) -> None:
        if self._listener is not None:
            self.timers.call_at(self._clock.monotonic() + self._renew_s, self._tick)
            self._renew()
