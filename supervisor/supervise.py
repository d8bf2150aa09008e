"""Supervision tree outside a central system."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..actors.runtime.cell import Cell, Exit
from ..actors.runtime.scheduler import Scheduler
from ..actors.runtime.timers import HubTimers, SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..actors.runtime.ref import Ref
    from ..actors.runtime.timers import Clock
    from .child import ChildSpec
    from .supervisor import Supervisor


class SupervisedTree:
    """Running supervisor, and the refs of its children."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self.failure: Exception | None = None  # why the supervisor gave up

    def ref(self, child_id: str) -> Ref[Any]:
        """Return the ref of a child, valid over restarts. Raises KeyError if there is no such child."""
        actor: Any = self._cell.actor
        for child in actor.children if actor is not None else ():
            if child.spec.id == child_id:
                ref: Ref[Any] = child.cell.ref
                return ref
        raise KeyError(child_id)

    def describe(self) -> dict[str, Any]:
        """Describe the tree: id, state, restarts, inbox depth and last crash; empty if it gave up."""
        actor: Any = self._cell.actor
        return actor.describe() if actor is not None else {}

    def gave_up(self, _cell: Cell, exit_: Exit) -> None:
        """Note that the supervisor ended by itself."""
        self.failure = exit_.failure.error if exit_.failure is not None else None


@contextmanager
def supervise(
    supervisor: type[Supervisor],
    specs: Sequence[ChildSpec],
    *args: Any,
    clock: Clock | None = None,
    shutdown_s: float = 10.0,
    **kwargs: Any,
) -> Iterator[SupervisedTree]:
    """Run a supervisor with these children in this greenlet's hub, and stop it at the end of the `with`.

    `args` and `kwargs` are the supervisor's own (strategy, policy, …). Raises the exception of a child's `on_start`.
    """
    scheduler = Scheduler()
    timers = HubTimers(clock or SystemClock())
    cell = Cell(scheduler, supervisor.__name__, supervisor.maker(specs, timers, *args, **kwargs))
    try:
        cell.start()
        tree = SupervisedTree(cell)
        cell.watch = tree.gave_up
        yield tree
    finally:
        if cell.actor is not None:
            cell.ref.stop(block=False)
            if not cell.join(shutdown_s):
                cell.kill()
                cell.join(1.0)
        cell.watch = None
        cell.end()
        timers.clear()
        scheduler.close()
