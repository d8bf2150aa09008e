"""Supervisors: actors that start children in order, stop them in reverse, and restart those that end.

As in OTP, with three additions: a restart may wait (backoff), each child may have its own budget, and a subclass may do
something else than give up when it is exceeded (`over_budget`).
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any

import msgspec

from ..actors.runtime.actor import Actor
from ..actors.runtime.cell import Cell, CellPhase, Ending, Exit
from ..actors.runtime.failure import ActorKilled, Failure, HandlerKilled
from ..config.errors import ChargehandError
from .child import Child, ChildSpec
from .rules import Budget, Policy, Restart, Strategy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..actors.runtime.timers import Timers

logger = logging.getLogger(__name__)


class ChildEnded(msgspec.Struct, frozen=True, gc=False):
    """Event: the actor on a child's cell has ended."""

    cell: Cell
    exit: Exit


class RestartDue(msgspec.Struct, frozen=True, gc=False):
    """Event: the backoff of a child is over."""

    cell: Cell


class GaveUp(ChargehandError):
    """A supervisor exceeded its maximum restart intensity; it has stopped its children and ends."""


class Branch(Actor):
    """Supervisor of any kind, which describes its part of the tree."""

    def describe(self) -> dict[str, Any]:
        """Describe the tree below this supervisor."""
        raise NotImplementedError


class Supervisor(Branch):
    """Supervisor of a fixed list of children. `per_child` gives each child a budget of its own.

    Its `on_start` returns when every child's has; the first failure stops the earlier children and fails the start.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        timers: Timers,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        policy: Policy | None = None,
        *,
        per_child: bool = False,
        chance: random.Random | None = None,
    ) -> None:
        super().__init__()
        self.strategy = strategy
        self.policy = policy or Policy()
        self.per_child = per_child
        self.children: list[Child] = []
        self._specs = list(specs)
        self._timers = timers
        self._budget = Budget(self.policy)
        self._chance = chance or random.Random()  # noqa: S311 - jitter

    # -- Start and stop ------------------------------------------------------------------------

    def on_start(self) -> None:
        """Start the children from left to right."""
        started = killed = False
        try:
            for spec in self._specs:
                child = Child(spec, spec.make(self._cell.scheduler, self._watch), self.policy)
                self.children.append(
                    child
                )  # before the start: the child may end before this greenlet's next turn
                child.start()
            started = True
        except HandlerKilled:
            killed = True
            raise
        finally:
            if not started:  # started children must not be left running
                self._stop_children(kill=killed)

    def on_stop(self) -> None:
        """Stop the children from right to left."""
        self._stop_children()

    def on_failure(self, _kind: object, error: object, _traceback: object) -> None:
        """Stop the children when the supervisor fails; kill them when it was killed."""
        self._stop_children(kill=isinstance(error, ActorKilled))

    def on_killed(self) -> None:
        """Kill the children when the supervisor is killed."""
        self._stop_children(kill=True)

    def _stop_children(self, *, kill: bool = False) -> None:
        try:
            while self.children:
                child = self.children[-1]
                if kill:
                    child.kill()
                else:
                    child.stop()
                child.cell.end()
                self.children.pop()
        finally:
            # Children are left when it was killed while it stopped one: they are killed without waiting.
            for child in reversed(self.children):
                child.cell.kill()
                child.cell.end()

    def _watch(self, cell: Cell, exit_: Exit) -> None:
        # Called in the turn in which the child ended; the supervisor acts in its own turn.
        child = self._find(cell)
        if child is not None and not child.expected and not self._cell.ended:
            self._cell.tell(ChildEnded(cell, exit_))

    def _find(self, cell: Cell) -> Child | None:
        return next((child for child in self.children if child.cell is cell), None)

    # -- Restarts ------------------------------------------------------------------------------

    def on_receive(self, message: Any) -> Any:
        """Handle the end of a child, or the end of its backoff."""
        if type(message) is ChildEnded:
            child = self._find(message.cell)
            if child is not None and child.cell.phase is CellPhase.VACANT:
                self._ended(child, message.exit)
        elif type(message) is RestartDue:
            child = self._find(message.cell)
            if child is not None and child.waits_until is not None:
                self._restart(child)
        else:
            return super().on_receive(message)
        return None

    def _ended(self, child: Child, exit_: Exit) -> None:
        abnormal = exit_.ending is not Ending.NORMAL
        if abnormal and exit_.failure is not None:
            child.last_crash = exit_.failure.text
            logger.warning("%s: %s ended: %s", self, child.spec.id, child.last_crash)
        if not child.spec.restart.wants(abnormal=abnormal):
            self.children.remove(child)
            child.cell.end()
            return
        budget = child.budget if self.per_child else self._budget
        child.budget.total += 0 if self.per_child else 1
        now = self._timers.clock.monotonic()
        if not budget.spend(now):
            self.over_budget(child)
            return
        delay_s = budget.delay_s(self._chance)
        if delay_s > 0:
            child.waits_until = now + delay_s
            logger.warning("%s: restarting %s in %.2f s", self, child.spec.id, delay_s)
            self._timers.call_at(child.waits_until, lambda: self._tell_due(child.cell))
        else:
            self._restart(child)

    def _tell_due(self, cell: Cell) -> None:
        if not self._cell.ended:
            self._cell.tell(RestartDue(cell))

    def _restart(self, child: Child) -> None:
        position = self.children.index(child)
        affected = [self.children[place] for place in self.strategy.affected(position, len(self.children))]
        for other in reversed(affected):
            other.stop()
        for other in affected:
            if (
                other.spec.restart is Restart.TEMPORARY
            ):  # a temporary child that a sibling's end took down is not restarted
                self.children.remove(other)
                other.cell.end()
                continue
            try:
                other.start()
            except Exception as error:  # noqa: BLE001 - not a kill: that is meant for this supervisor
                # As if it had started and ended at once: it counts, and later children wait for it.
                failure = Failure(error)
                other.cell.log(failure)
                self._ended(other, Exit(Ending.CRASH, failure, None, started=False))
                return
            logger.info("%s: restarted %s", self, other.spec.id)

    def over_budget(self, child: Child) -> None:
        """Give up: stop the children, and end with an error for the supervisor above."""
        raise GaveUp(
            f"{self}: {child.spec.id} ended too often, the last time with {child.last_crash or 'no error'}"
        )

    # -- Description ---------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """Describe every child: id, state, restarts, inbox depth and last crash."""
        return {
            "id": self.actor_urn,
            "strategy": str(self.strategy),
            "children": [describe(child) for child in self.children],
        }


def describe(child: Child) -> dict[str, Any]:
    """Describe a child and the tree below it."""
    cell = child.cell
    state = "waiting" if child.waits_until is not None else str(cell.phase)
    if getattr(cell, "quarantined", False):
        state = "on_trial" if getattr(cell, "on_trial", False) else "quarantined"
    view = {
        "id": child.spec.id,
        "state": state,
        "restart": str(child.spec.restart),
        "restarts": child.budget.total,
        "inbox": cell.depth,
        "last_crash": child.last_crash,
    }
    return {**cell.actor.describe(), **view} if isinstance(cell.actor, Branch) else view
