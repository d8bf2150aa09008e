"""Coordinators: owners of charge points, and messages between processes that share them.

A node is one process; its name is new at each start. It holds a lease that it renews; while it has one, the charge
points it has claimed are its own, and it may send them commands. A claim takes a charge point over from whoever had
it, with an epoch higher than all before. So the one before is fenced: it hears of it by message and, should that be
lost, with its next renewal; and without a renewal its lease ends. Two homes fill this: a Unix socket among the workers
of one machine, and Redis among nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from ...config.errors import ChargehandError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LEASE_S = 5.0
"""Seconds that a lease holds from when its renewal was sent, by the clock of the node that has it."""
RENEW_S = 1.5
"""Seconds between two renewals."""
DRIFT_S = 0.1
"""Seconds that the coordinator gives a lease longer than the node gives itself: clocks do not run quite alike."""
MESSAGE_BYTES = 262_144
"""The longest message to another node."""
CLIENT = "client-"
"""So begins the name of a process that holds no charge point and has no HTTP API."""


class CoordinatorUnavailable(ChargehandError):
    """The coordinator cannot be reached. `blameless`: no handler is to blame for it."""

    blameless = True


class Claim(NamedTuple):
    """A charge point is this node's. No command may be sent for `wait_s`: another node may still do.

    `previous` is the one node that may, if there is but one: as soon as it says that it has let go of what has a lower
    epoch, the wait is over. It is "" if there is none; and if there may be more, or unknown ones, whose word is not to
    be had: then the whole `wait_s` is to be waited. The wait goes on whatever happens to the lease meanwhile.
    """

    epoch: int
    previous: str
    wait_s: float


class Verified(NamedTuple):
    """`others`: the charge points that are another's by now, or were. All the rest is ours, with its epoch.

    For `wait_s` no command may be sent to the rest: another node may not know yet that they are not its own. What is
    left of the wait of a claim counts too.
    """

    others: frozenset[str]
    wait_s: float


class CoordinatorListener(Protocol):
    """Listener of a coordinator, called in the hub; must not block and must not raise."""

    def received(self, sender: str, message: bytes) -> None:
        """Another node has sent a message."""

    def fenced(self, charge_point_id: str, epoch: int) -> None:
        """Another node has claimed a charge point with this epoch. May come twice, and for one that is not ours.

        It counts only against a lower epoch: it may come late, when we have claimed the charge point again. One that
        overtakes the return of our own `claim` comes again right after it: so who calls `claim` keeps what it returns
        before switching greenlets.
        """

    def lost(self, node: str) -> None:
        """The lease of another node has ended: it sends no command any more, and what it was told is in doubt.

        Each one that was told something, or is the `previous` of a claim, is heard of when it is gone; also when it
        never was among `nodes`. It may come twice.
        """

    def lease_changed(self, *, held: bool) -> None:
        """Ours was lost, or is there (again).

        When it is there again, what was claimed before is to be verified, and not commanded until it is. Both may come
        right after each other: the coordinator has begun again, or had let our lease go.
        """


class Coordinator(Protocol):
    """Coordinator, as a node sees it. One instance serves one system; all of it belongs to the hub's thread."""

    node: str
    """The name of this node."""

    def start(self, listener: CoordinatorListener) -> None:
        """Begin; returns at once. Everything works as soon as there is a lease."""

    def stop(self) -> None:
        """Give back the lease and all claims, as far as that can be said at once. Switches greenlets for a moment."""

    @property
    def held(self) -> bool:
        """True while this node has its lease; cheap, read before each command."""

    def claim(self, charge_point_id: str) -> Claim:
        """Claim a charge point. Switches greenlets. Raises `CoordinatorUnavailable`, at once without a lease.

        Epochs rise strictly and are no count: they follow the time in microseconds, so that none is lower even after a
        coordinator has forgotten all. They stay below 2**53.
        """

    def release(self, charge_point_id: str, epoch: int) -> None:
        """Give one back, unless somebody has claimed it since. Never blocks; with the coordinator away it is lost."""

    def verify(self, claims: Mapping[str, int]) -> Verified:
        """Which of these, by charge point and epoch, are another's by now. Those of nobody become ours again.

        The highest epoch wins. Switches greenlets. Raises `CoordinatorUnavailable`.
        """

    def find(self, charge_point_id: str) -> str:
        """The node that holds one and has its lease, "" if there is none. Switches. Raises `CoordinatorUnavailable`."""

    def send(self, node: str, message: bytes) -> None:
        """Send to a node, at most once and in order. Never blocks. Raises `CoordinatorUnavailable` at once.

        That it raises nothing does not say that it arrives: the other one may end before, or have too much unread.
        Raises ValueError for a message over `MESSAGE_BYTES`.
        """

    def nodes(self) -> Iterable[str]:
        """All nodes with a lease, this one too, as of the last renewal."""

    def charge_points(self) -> Mapping[str, str]:
        """All charge points that are held, with their node. Switches greenlets. Raises `CoordinatorUnavailable`."""
