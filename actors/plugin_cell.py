"""The cell of a plugin: lanes by charge point, and the system that its handlers may call."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .call import Call
from .cell import ENDED, RUNNING, Ending, Exit
from .failure import Failure, attempt
from .faults import FaultPolicy, Faults
from .lanes import LaneCell

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actor import Actor
    from .cell import Cell
    from .plugin import Caller, PluginSpec
    from .scheduler import Scheduler


class PluginCell(LaneCell):
    """Made from a spec; see `lanes.py` for how it works."""

    __slots__ = ("_now", "faults", "quarantined", "shadow", "spec", "system")

    def __init__(
        self,
        scheduler: Scheduler,
        spec: PluginSpec,
        system: Caller,
        watch: Callable[[Cell, Exit], None] | None = None,
        now: Callable[[], float] = time.monotonic,
        policy: FaultPolicy | None = None,
    ) -> None:
        make = spec.plugin.maker(*spec.args, **spec.kwargs)
        super().__init__(scheduler, spec.name, make, watch, concurrency=spec.concurrency)
        self.spec = spec
        self.system = system
        self._now = now
        self.faults = Faults(policy or FaultPolicy())
        self.shadow = spec.shadow
        self.quarantined = False  # nothing is told to it then, stand-ins answer

    def _handle(self, actor: Actor, message: Any) -> None:
        if type(message) is Call:
            actor.answer_call(message)  # type: ignore[attr-defined]
        else:
            super()._handle(actor, message)

    @property
    def at_ease(self) -> bool:
        """Whether it may be told of any call: `ready` need not be asked."""
        return not (self.faults.pairs or self.quarantined or self.phase is ENDED)

    def ready(self, charge_point_id: str, action: str) -> bool:
        """Whether it may be told of a call now; if not, a stand-in answers."""
        if self.quarantined or self.is_set():
            return False
        return not self.faults.pairs or self.faults.allows(charge_point_id, action, self._now())

    def note_failure(self, charge_point_id: str, action: str, error: Exception) -> None:
        """A handler failed; when too many charge points are hit, the plugin itself counts as crashed.

        Handlers that still run go on: what they answer is sent.
        """
        if self.spec.plugin.passes_on:
            return
        actor = self.actor
        spent = self.faults.failed(charge_point_id, action, self._now())
        if spent and actor is not None and self.phase is RUNNING:  # else the failure is of the actor before
            failure = Failure(error)
            # In a turn of its own, before the restart has one: it may block, and this is the session's turn.
            self.scheduler.enqueue(_LastWords(self, actor, failure))
            self._exit(Exit(Ending.CRASH, failure, None, started=True))


class _LastWords:
    """Runs `on_failure` of an actor that is gone, once."""

    __slots__ = ("_actor", "_cell", "_failure")

    def __init__(self, cell: PluginCell, actor: Actor, failure: Failure) -> None:
        self._cell = cell
        self._actor = actor
        self._failure = failure

    def run(self, budget: int) -> None:
        """See `scheduler.Runnable`; it is one turn, whatever the budget."""
        del budget
        unheard = attempt(self._actor.on_failure, *self._failure.exc_info)
        if type(unheard) is Failure:
            self._cell.log(unheard)

    def failed(self, failure: Failure) -> None:
        """See `scheduler.Runnable`."""
        self._cell.log(failure)
