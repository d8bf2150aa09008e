"""Claims of this node on charge points, and whether it may send them commands now.

It may while it has its lease, and once the previous node has released the charge point or its lease has ended. Calls of
charge points are served in any case: their connections are here, and no other node can answer them.
"""

from __future__ import annotations

import itertools
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from ...protocol.log_fields import about
from .coordinator import CoordinatorUnavailable
from .messages import Fence, LetGo, NodeMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...actors.runtime.timers import Timers
    from .coordinator import Coordinator

logger = logging.getLogger(__name__)

VERIFIED_AT_A_TIME = 1000


class Held:
    """Claim of a charge point: its epoch, that of the claim before, and from when commands may be sent."""

    __slots__ = ("before", "epoch", "safe_at")

    def __init__(self, epoch: int, before: int, safe_at: float) -> None:
        self.epoch = epoch
        self.before = before
        self.safe_at = safe_at  # on the monotonic clock


class Claims:
    """Claims of one node on charge points.

    Callbacks take a charge point: `wake` when commands may be sent; `lose` when another node has claimed it; `learn`
    when another node had it for a moment, and may have stored records of it.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        timers: Timers,
        *,
        tell: Callable[[str, NodeMessage], None],
        wake: Callable[[str], None],
        lose: Callable[[str], None],
        learn: Callable[[str], None],
    ) -> None:
        self._coordinator = coordinator
        self._timers = timers
        self._clock = timers.clock
        self._tell = tell
        self._wake = wake
        self._lose = lose
        self._learn = learn
        self._held: dict[str, Held] = {}
        self._unclaimed: set[str] = set()  # connected here while the coordinator was away
        # Charge points whose records were not read since another process may have had them, with the claim's number.
        self._unread: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._verified = False  # since the last lease began

    def __len__(self) -> int:
        return len(self._held)

    def may_send(self, charge_point_id: str) -> bool:
        """Return whether a command may be sent to a charge point at this moment."""
        held = self._held.get(charge_point_id)
        return (
            held is not None
            and self._verified
            and self._coordinator.held
            and held.safe_at <= self._clock.monotonic()
        )

    def epoch(self, charge_point_id: str) -> int:
        """Return the epoch of a claimed charge point; 0 for any other."""
        held = self._held.get(charge_point_id)
        return 0 if held is None else held.epoch

    def claim(self, charge_point_id: str) -> int:
        """Claim a charge point that connects here; return a number if its records have to be read first, else 0.

        They have to if another process may have had it meanwhile, at each claim until `have_read` is called with that
        number. Switches greenlets. Without the coordinator it is claimed later.
        """
        before = self._held.get(charge_point_id)
        try:
            claim = self._coordinator.claim(charge_point_id)
        except CoordinatorUnavailable as error:
            logger.warning(
                "%s is served, but cannot be claimed yet: %s",
                charge_point_id,
                error,
                extra=about(charge_point=charge_point_id),
            )
            if before is None:
                self._unclaimed.add(charge_point_id)
            return self._to_be_read(charge_point_id, moved=before is None)
        self._unclaimed.discard(charge_point_id)
        known = self._held.get(charge_point_id)
        if known is not None and known.epoch > claim.epoch:  # another handshake of it was faster
            return self._to_be_read(charge_point_id, moved=before is None)
        now = self._clock.monotonic()
        safe_at = now + claim.wait_s
        if known is not None:
            safe_at = max(safe_at, known.safe_at)
        self._held[charge_point_id] = Held(
            claim.epoch, claim.epoch if known is None else known.epoch, safe_at
        )
        if safe_at > now:
            self._timers.call_at(safe_at, lambda: self._wake(charge_point_id))
        if claim.previous and claim.previous != self._coordinator.node:
            with suppress(CoordinatorUnavailable):  # it gets the fence with its renewal, or loses its lease
                self._tell(claim.previous, Fence(charge_point_id, claim.epoch))
        # One that was fenced while the claim was under way was at another process, which may have ended since.
        return self._to_be_read(charge_point_id, moved=before is None or known is None or claim.wait_s > 0)

    def _to_be_read(self, charge_point_id: str, *, moved: bool) -> int:
        if moved:
            self._unread[charge_point_id] = next(self._numbers)
        return self._unread.get(charge_point_id, 0)

    def have_read(self, charge_point_id: str, number: int) -> None:
        """Note that the records of a charge point were read, unless another process may have had it since."""
        if self._unread.get(charge_point_id) == number:
            del self._unread[charge_point_id]

    def release(self, charge_point_id: str) -> None:
        """Release the claim of a charge point that has disconnected."""
        self._unclaimed.discard(charge_point_id)
        self._unread.pop(charge_point_id, None)
        held = self._held.pop(charge_point_id, None)
        if held is not None:
            self._coordinator.release(charge_point_id, held.epoch)

    def fenced(self, charge_point_id: str, epoch: int) -> None:
        """Give up a charge point that another node has claimed."""
        held = self._held.get(charge_point_id)
        if held is None:
            return
        if held.epoch < epoch:
            del self._held[charge_point_id]
            self._unread.pop(charge_point_id, None)
            logger.info(
                "%s is at another node now (epoch %d)",
                charge_point_id,
                epoch,
                extra=about(charge_point=charge_point_id),
            )
            self._lose(charge_point_id)
        elif held.before < epoch < held.epoch:
            self._learn(charge_point_id)

    def received(self, sender: str, message: Fence | LetGo) -> None:
        """Handle a fence of another node, or its confirmation that it has released one."""
        if isinstance(message, Fence):
            self.fenced(message.charge_point, message.epoch)
            held = self._held.get(message.charge_point)
            if held is None or held.epoch < message.epoch:
                with suppress(CoordinatorUnavailable):  # then the other node waits for the end of the lease
                    self._tell(sender, LetGo(message.charge_point, message.epoch))
            return
        held = self._held.get(message.charge_point)
        if held is not None and held.epoch == message.epoch:
            held.safe_at = self._clock.monotonic()
            self._wake(message.charge_point)

    def suspend(self) -> None:
        """Note that the lease is lost: claims must be verified before commands are sent."""
        self._verified = False

    def verify(self) -> None:
        """Verify the claims after the lease was lost. Switches greenlets.

        Raises `CoordinatorUnavailable`.
        """
        held = list(self._held.items())
        for at in range(0, len(held), VERIFIED_AT_A_TIME):
            part = {id_: one.epoch for id_, one in held[at : at + VERIFIED_AT_A_TIME]}
            verified = self._coordinator.verify(part)
            for charge_point_id in verified.others:
                self.fenced(charge_point_id, part[charge_point_id] + 1)
            if verified.wait_s > 0:
                self._hold_back(
                    [one for id_, one in held[at : at + VERIFIED_AT_A_TIME] if id_ in self._held],
                    verified.wait_s,
                )
        for charge_point_id in list(self._unclaimed):
            # A node that has claimed it meanwhile has its newer connection, or it reconnects here.
            if self._coordinator.find(charge_point_id) not in ("", self._coordinator.node):
                self._unclaimed.discard(charge_point_id)
                self._lose(charge_point_id)
            elif charge_point_id in self._unclaimed:
                self.claim(charge_point_id)
        self._verified = True
        self._wake_all()

    def _hold_back(self, held: list[Held], wait_s: float) -> None:
        safe_at = self._clock.monotonic() + wait_s
        for one in held:
            one.safe_at = max(one.safe_at, safe_at)
        self._timers.call_at(safe_at, self._wake_all)

    def _wake_all(self) -> None:
        for charge_point_id in list(self._held):
            self._wake(charge_point_id)
