"""Children of a supervisor: the spec, the cell, and the restarts so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import gevent

from ..actors.runtime.cell import Cell, CellPhase, Exit
from ..config.errors import ChargehandError
from .rules import Budget, Policy, Restart

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..actors.runtime.actor import Actor
    from ..actors.runtime.scheduler import Scheduler

    Watch = Callable[[Cell, Exit], None]


class StartTimedOut(ChargehandError):
    """A child's `on_start` did not return in time, and the child was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """Recipe of a child: its factory, when to start it again, and how long it may take to stop.

    `make(scheduler, watch)` makes its cell, once; the actor on it is made again at each start. `shutdown_s` are the
    seconds that it has to end when asked; then it is killed. It is also killed if it has not started within `start_s`;
    None sets no limit, as in OTP, and its supervisor does nothing else meanwhile.
    """

    id: str
    make: Callable[[Scheduler, Watch], Cell]
    restart: Restart = Restart.PERMANENT
    shutdown_s: float = 3.0
    start_s: float | None = None

    @classmethod
    def of(
        cls,
        actor: type[Actor],
        *args: Any,
        id: str = "",  # noqa: A002 - OTP's word for it
        restart: Restart = Restart.PERMANENT,
        shutdown_s: float = 3.0,
        start_s: float | None = None,
        **kwargs: Any,
    ) -> Self:
        """Make the spec of an actor class with the arguments of its `__init__`."""
        name = id or actor.__name__
        return cls(
            id=name,
            make=lambda scheduler, watch: Cell(scheduler, name, actor.maker(*args, **kwargs), watch),
            restart=restart,
            shutdown_s=shutdown_s,
            start_s=start_s,
        )


class Child:
    """Child of a supervisor. `expected` is set while the supervisor itself ends it."""

    __slots__ = ("budget", "cell", "expected", "last_crash", "spec", "waits_until")

    def __init__(self, spec: ChildSpec, cell: Cell, policy: Policy) -> None:
        self.spec = spec
        self.cell = cell
        self.budget = Budget(policy)
        self.expected = False
        self.last_crash = ""
        self.waits_until: float | None = None

    def stop(self) -> None:
        """Ask the child to end and wait; then kill it, and abandon it if it ignores that. Blocks."""
        self.expected = True
        self.waits_until = None
        cell = self.cell
        if cell.phase in (CellPhase.STARTING, CellPhase.RUNNING):
            cell.ref.stop(block=False)
            if not cell.join(self.spec.shutdown_s):
                self.kill()
        self.expected = False

    def kill(self) -> None:
        """Kill the child, and abandon it if it ignores that. Blocks for at most `KILL_S`."""
        self.expected = True
        self.waits_until = None
        self.cell.kill()
        if not self.cell.join(KILL_S):
            self.cell.abandon()
        self.expected = False

    def start(self) -> None:
        """Start or restart the child; return when its `on_start` has, and raise its exception."""
        self.waits_until = None
        start_s = self.spec.start_s
        late = StartTimedOut(f"{self.spec.id} did not start within {start_s} s and was killed")
        try:
            with gevent.Timeout(start_s, late):
                self.cell.start()
        except StartTimedOut:
            self.kill()
            raise


KILL_S = 1.0
"""Seconds after which a handler that ignores its kill is abandoned."""
