"""Coordinators: owners of charge points, and messages between processes that share them.

A node is one process; its name is new at each start. It holds a lease that it renews; while it has one, the charge
points that it has claimed are its own, and it may send them commands. A claim takes a charge point over from its
previous node, with an epoch higher than all before. The previous node is fenced: it is notified by a message and, if
that is lost, with its next renewal; without a renewal its lease ends. There are two implementations: a Unix socket
among the worker processes of one machine, and Redis among nodes.
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
"""Seconds by which the coordinator lets a lease last longer than its node does: clocks differ in speed."""
MESSAGE_BYTES = 262_144
"""The longest message to another node."""
LINK, OLDEST_LINK = 1, 1
"""Newest and oldest version of what nodes say to one another that this program speaks.

A message, a member of one, or a key in Redis that is new needs no other version: nodes that do not know it ignore it.
What means something else than before, or is said no more, needs the next one; the version before is spoken until no
release without the next one is supported. 0 is that of programs that do not tell theirs, as 0.1.0.
"""
CLIENT = "client-"
"""Prefix of the names of processes that hold no charge point and have no HTTP API."""


class CoordinatorUnavailable(ChargehandError):
    """Error: the coordinator cannot be reached. `blameless`: it does not count as a failure of a handler."""

    blameless = True


class Claim(NamedTuple):
    """Claim of this node to a charge point. For `wait_s` no command may be sent: another node may still send some.

    `previous` is that other node, if there is exactly one: the wait ends as soon as it confirms that it has released
    the charge point under a lower epoch. It is "" if there is none, and also if there may be several or unknown
    ones, which cannot confirm: then the whole `wait_s` must pass. A change of the lease does not end the wait.
    """

    epoch: int
    previous: str
    wait_s: float


class Verified(NamedTuple):
    """Result of a verification. `others` are the charge points that other nodes have claimed since; the rest is ours.

    For `wait_s` no command may be sent to the rest: another node may not know yet that it has lost them. The
    remaining wait of a claim counts too.
    """

    others: frozenset[str]
    wait_s: float


class CoordinatorListener(Protocol):
    """Listener of a coordinator, called in the hub; must not block and must not raise."""

    def received(self, sender: str, message: bytes) -> None:
        """Handle a message of another node."""

    def fenced(self, charge_point_id: str, epoch: int) -> None:
        """Handle that another node has claimed a charge point with this epoch; may come twice, or for one not ours.

        It counts only against a lower epoch: it may come late, when we have claimed the charge point again. A fence
        that overtakes the return of our own `claim` comes again right after it: so the caller of `claim` must store
        the returned claim before it switches greenlets.
        """

    def lost(self, node: str) -> None:
        """Handle the end of another node's lease: it sends no more commands, and messages sent to it may be lost.

        Called for each node that a message was sent to, or that is the `previous` of a claim, even if it never was
        among `nodes`. May be called twice.
        """

    def refused(self, why: str) -> None:
        """Handle that this node can never have a lease while another one lives: they do not speak one link."""

    def lease_changed(self, *, held: bool) -> None:
        """Handle that our own lease was lost, or is held (again).

        When it is held again, earlier claims must be verified before commands are sent. Both calls may follow each
        other at once: the coordinator was restarted, or had ended our lease.
        """


class Coordinator(Protocol):
    """Coordinator, as a node sees it. One instance serves one system; all of it belongs to the hub's thread."""

    node: str
    """The name of this node."""

    def start(self, listener: CoordinatorListener) -> None:
        """Start; returns at once. The other methods work as soon as there is a lease."""

    def stop(self) -> None:
        """Give back the lease and all claims, as far as that can be sent at once. Switches greenlets for a moment."""

    @property
    def held(self) -> bool:
        """True while this node has its lease; cheap, read before each command."""

    @property
    def trouble(self) -> str:
        """Text why the coordinator cannot be reached now; "" if it can, as far as is known."""

    def claim(self, charge_point_id: str) -> Claim:
        """Claim a charge point. Switches greenlets. Raises `CoordinatorUnavailable`, at once without a lease.

        Epochs rise strictly but are no count: they follow the time in microseconds, so that none is lower even after
        a coordinator has lost its data. They stay below 2**53.
        """

    def release(self, charge_point_id: str, epoch: int) -> None:
        """Release a charge point, unless another node has claimed it since. Never blocks; may be lost."""

    def verify(self, claims: Mapping[str, int]) -> Verified:
        """Verify claims (charge point to epoch); unowned charge points become ours again.

        The highest epoch wins. Switches greenlets. Raises `CoordinatorUnavailable`.
        """

    def find(self, charge_point_id: str) -> str:
        """Find the live node that holds a charge point, or "". Switches greenlets. Raises `CoordinatorUnavailable`."""

    def send(self, node: str, message: bytes) -> None:
        """Send to a node, at most once and in order. Never blocks. Raises `CoordinatorUnavailable` at once.

        A return does not mean that the message arrives: the other node may end before, or have too much unread.
        Raises ValueError for a message over `MESSAGE_BYTES`.
        """

    def nodes(self) -> Iterable[str]:
        """List the nodes with a lease as of the last renewal, this one included."""

    def charge_points(self) -> Mapping[str, str]:
        """Return the node of each held charge point. Switches greenlets. Raises `CoordinatorUnavailable`."""
