"""A cell that handles several messages at once, and those of one lane in order.

A plugin's messages about one charge point are one lane. Before a handler runs, the cell puts itself back on the run
queue: a handler that blocks keeps its greenlet, and the next worker takes the next message. `concurrency` bounds how
many handlers run or wait at a time; 1 makes it an ordinary actor.

A handler that runs when its actor has ended keeps its lane and its place until it ends, for order and `concurrency`
hold over a restart too. One that has swallowed its kill is disowned: it is left to itself, and both are free again.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from gevent import getcurrent
from pykka import ActorDeadError

from .cell import Cell, Ending, Exit
from .failure import Failure, HandlerKilled, attempt
from .inbox import ENDED, STARTING
from .pykka_names import ActorStop, Envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from greenlet import greenlet

    from .actor import Actor
    from .scheduler import Scheduler
    from .timers import Timers

GRACE_S = 1.0
"""Seconds that a handler has to end after it was interrupted; then it is disowned."""


class Laned(Protocol):
    """A message with a lane, that says who is handling it."""

    lane: Any
    running: greenlet | None


logger = logging.getLogger(__name__)

STOPPING = object()
"""The lane of `on_stop`."""


class LaneCell(Cell):
    """See the head of this file. A message's lane is its `lane` attribute; messages without one share a lane.

    Without `timers` an interrupted handler has no grace: it ends in that very turn, or is disowned.
    """

    __slots__ = ("concurrency", "dying", "lanes", "timers", "waiting")

    def __init__(
        self,
        scheduler: Scheduler,
        urn: str,
        make: Callable[[Cell], Actor],
        watch: Callable[[Cell, Exit], None] | None = None,
        *,
        concurrency: int = 64,
        timers: Timers | None = None,
    ) -> None:
        super().__init__(scheduler, urn, make, watch)
        self.concurrency = concurrency
        self.timers = timers
        self.lanes: dict[Hashable, greenlet] = {}  # the busy ones, with the worker that is in them
        self.waiting: dict[Hashable, deque[Any]] = {}  # what came for a busy lane
        self.dying: dict[Hashable, greenlet] = {}  # busy ones whose handler was killed with its actor

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return super().depth + sum(map(len, self.waiting.values()))

    def run(self, budget: int) -> None:
        """Handle messages, each in its lane; see `Cell.run`."""
        if self.phase is STARTING:
            super().run(0)  # only `on_start`: without a budget no message is taken
            return
        self.queued = False
        while self._take():
            budget -= 1
            # Still on the run queue: no other worker has come by, so this one goes on without leaving the queue. Its
            # entry there finds an empty inbox later, or another turn.
            if not self.queued or not budget:
                return

    def failed(self, failure: Failure) -> None:
        """Hear of a fault of the runtime: what handlers raise does not come here."""
        self.log(failure)

    def _take(self) -> bool:
        """Take one message and handle its lane; false if there is none to take now."""
        actor, inbox = self.actor, self.inbox
        if actor is None or self.stopping or len(self.lanes) >= self.concurrency:
            return False
        if not inbox:
            self.inbox = None
            return False
        message = inbox[0]
        content = message.message if type(message) is Envelope else message
        if type(content) is ActorStop:
            # Whoever has begun ends first, as an ordinary actor ends its message in hand first.
            if not self.lanes:
                inbox.popleft()
                self._stop(actor, message)
            return False
        inbox.popleft()
        lane = getattr(content, "lane", None)
        if lane in self.lanes:
            self.waiting.setdefault(lane, deque()).append(message)
            self._requeue()  # or `run` would take it that another worker goes on with the rest
        else:
            me = self.lanes[lane] = getcurrent()
            if inbox and not self.queued:
                self._requeue()
            lanes, waiting = self.lanes, self.waiting
            self._handle(actor, message)
            while waiting and self.actor is actor and lanes.get(lane) is me and lane in waiting:
                self._handle(actor, self._next_in(waiting, lane))
            if lanes.get(lane) is me:  # else it was disowned
                self._leave_lane(lane)
            if self.inbox and not self.queued:
                self._requeue()
        return True

    def _handle(self, actor: Actor, message: Any) -> None:
        if type(message) is Envelope:
            self._answer(actor, message)
        else:
            result = attempt(actor.receive, message)
            if type(result) is Failure:
                self._crash(actor, message, result)

    @staticmethod
    def _next_in(waiting: dict[Hashable, deque[Any]], lane: Hashable) -> Any:
        rest = waiting[lane]
        message = rest.popleft()
        if not rest:
            del waiting[lane]
        return message

    def _requeue(self) -> None:
        if not self.queued and self.inbox and self.actor is not None and len(self.lanes) < self.concurrency:
            self.queued = True
            self.scheduler.enqueue(self)

    def _leave_lane(self, lane: Hashable) -> None:
        del self.lanes[lane]
        if self.dying:
            self.dying.pop(lane, None)
        if lane in self.waiting:  # what came for it since its actor ended: in front of what came later
            self._put_back(self.waiting.pop(lane))

    def _put_back(self, messages: deque[Any]) -> None:
        if self.phase is ENDED:
            for message in messages:
                self.unheard(message)
            return
        if self.inbox is None:
            self.inbox = deque()
        self.inbox.extendleft(reversed(messages))

    def _stop(self, actor: Actor, message: Any) -> None:
        me = self.lanes[STOPPING] = getcurrent()
        attempt(actor.receive, ActorStop())
        if self.lanes.get(STOPPING) is me:
            self._leave_lane(STOPPING)
        if self.actor is actor:  # else it was killed meanwhile
            self._exit(Exit(Ending.NORMAL, None, None, started=True))
        if type(message) is Envelope and message.reply_to is not None:
            message.reply_to.set(None)

    def interrupt(self, message: Laned) -> None:
        """End the handler of a message if it runs; the actor lives, and the handler's failure says `killed`."""
        self.scheduler.hub.loop.run_callback(self._interrupt, message)

    def _interrupt(self, message: Laned) -> None:
        # In the hub. It asks the message, not the lane: that may be another actor's by now.
        worker = message.running
        if worker is None:
            return
        worker.throw(HandlerKilled("its time is over"))
        self._after_grace(lambda: self._disown(message.lane, worker) if message.running is worker else None)

    def _after_grace(self, callback: Callable[[], None]) -> None:
        if self.timers is None:
            callback()
        else:
            self.timers.call_at(self.timers.clock.monotonic() + GRACE_S, callback)

    def _disown(self, lane: Hashable, worker: greenlet) -> None:
        if self.lanes.get(lane) is worker:
            self._leave_lane(lane)
            self.disowned(lane)
            self._requeue()

    def disowned(self, lane: Hashable) -> None:
        """Hear that a handler was left to itself. Here: one line in the log."""
        logger.error("%s: a handler of %s has swallowed its kill, and is left to itself", self.urn, lane)

    def _throw_into_dying(self) -> None:
        # In the hub. One that has left its lane since is not to be hit in the next one.
        killed = dict(self.dying)
        for lane, worker in killed.items():
            if self.dying.get(lane) is worker:
                worker.throw(HandlerKilled("killed"))
        self._after_grace(lambda: self._disown_dying(killed))

    def _disown_dying(self, killed: dict[Hashable, greenlet]) -> None:
        for lane, worker in killed.items():
            if self.dying.get(lane) is worker:
                self._disown(lane, worker)

    def kill(self) -> None:
        """End the actor now, with all its handlers."""
        actor = self.actor
        if actor is None or self.phase is STARTING:
            super().kill()
            return
        if self.lanes:
            self.dying.update(self.lanes)
            self.scheduler.hub.loop.run_callback(self._throw_into_dying)
        failure = Failure(ActorDeadError(f"{self.urn} was killed"), HandlerKilled("killed"))
        self._exit(Exit(Ending.KILLED, failure, None, started=True))
        attempt(actor.on_killed)

    def end(self) -> None:
        """End for good; handlers that still run are killed."""
        super().end()
        if self.lanes:
            self.dying.update(self.lanes)
            self.scheduler.hub.loop.run_callback(self._throw_into_dying)

    def _exit(self, exit_: Exit) -> None:
        # What waited for a busy lane waits in the inbox now, in front of what came later: it may have to be drained.
        for rest in self.waiting.values():
            self._put_back(rest)
        self.waiting.clear()
        super()._exit(exit_)
