"""Children as a supervisor knows them: the spec, the cell, and the restarts so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import gevent

from ..actors.runtime.cell import Cell, Exit, Phase
from ..config.errors import ChargehandError
from .rules import Budget, Policy, Restart

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..actors.runtime.actor import Actor
    from ..actors.runtime.scheduler import Scheduler

    Watch = Callable[[Cell, Exit], None]


class StartTimedOut(ChargehandError):
    """A child's `on_start` did not return in time; it was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """Recipe of a child: its factory, when to start it again, and how long it may take to stop.

    `make(scheduler, watch)` makes its cell, once; the actor on it is made again at each start. `shutdown_s` are the
    seconds it has to end after it was asked to; then it is killed. So it is when it has not started within `start_s`;
    None, as in OTP, lets it take its time, and with it all that its supervisor has to do for others.
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
        """A spec for an actor class and the arguments of its `__init__`."""
        name = id or actor.__name__
        return cls(
            id=name,
            make=lambda scheduler, watch: Cell(scheduler, name, actor.maker(*args, **kwargs), watch),
            restart=restart,
            shutdown_s=shutdown_s,
            start_s=start_s,
        )


class Child:
    """A child in its place. `expected` is set while its supervisor itself ends it."""

    __slots__ = ("budget", "cell", "expected", "last_crash", "spec", "waits_until")

    def __init__(self, spec: ChildSpec, cell: Cell, policy: Policy) -> None:
        self.spec = spec
        self.cell = cell
        self.budget = Budget(policy)
        self.expected = False
        self.last_crash = ""
        self.waits_until: float | None = None

    def stop(self) -> None:
        """Ask it to end, wait, kill it if it does not, and give up on it if that does not help either. Blocks."""
        self.expected = True
        self.waits_until = None
        cell = self.cell
        if cell.phase in (Phase.STARTING, Phase.RUNNING):
            cell.ref.stop(block=False)
            if not cell.join(self.spec.shutdown_s):
                self.kill()
        self.expected = False

    def kill(self) -> None:
        """End it now, and give up on it if that does not help. Blocks for at most `KILL_S`."""
        self.expected = True
        self.waits_until = None
        self.cell.kill()
        if not self.cell.join(KILL_S):
            self.cell.abandon()
        self.expected = False

    def start(self) -> None:
        """Start it, or start it again; returns when its `on_start` has, and raises what left that."""
        self.waits_until = None
        start_s = self.spec.start_s
        late = StartTimedOut(f"{self.spec.id} has not started within {start_s} s, and was killed")
        try:
            with gevent.Timeout(start_s, late):
                self.cell.start()
        except StartTimedOut:
            self.kill()
            raise


KILL_S = 1.0
"""Seconds after which a handler that has swallowed its kill is left to itself."""
