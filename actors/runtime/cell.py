"""Cells: the part that outlives an actor: its inbox, the message being handled, and how the actor ends.

The actor is the behaviour that runs on a cell and can be replaced; a `Ref` points at the cell, so it stays valid over
restarts. A cell handles one message at a time (`OrderedCell` in `ordered_cell.py` handles several). The message that
was being handled in a crash is never retried; the rest of the inbox waits for the next actor; everything ends at the
final `end`. Only greenlets of the cell's hub may touch it.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gevent import getcurrent, spawn
from gevent.event import Event
from pykka import ActorDeadError

from .failure import Failure, HandlerKilled, attempt
from .pykka_names import ActorStop, Envelope
from .ref import Ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenlet import greenlet

    from .actor import Actor
    from .scheduler import Scheduler

logger = logging.getLogger(__name__)


class CellPhase(StrEnum):
    """Phase of a cell's life."""

    VACANT = "vacant"  # no actor runs: not yet started, or waiting for a restart
    STARTING = "starting"  # the actor is built, its `on_start` has not returned
    RUNNING = "running"
    ENDED = "ended"  # for ever


# Looking a member up on its class costs a Python call before 3.12, and these are looked at for every message.
VACANT, STARTING, RUNNING, ENDED = CellPhase.VACANT, CellPhase.STARTING, CellPhase.RUNNING, CellPhase.ENDED


class Ending(StrEnum):
    """Reason for which an actor ended."""

    NORMAL = "normal"  # asked to stop
    CRASH = "crash"  # an exception left `on_start` or the handler of a told message
    KILLED = "killed"  # killed from outside


class Exit:
    """End of an actor, as its supervisor is told."""

    __slots__ = ("ending", "failure", "message", "started")

    def __init__(self, ending: Ending, failure: Failure | None, message: object, *, started: bool) -> None:
        self.ending = ending
        self.failure = failure
        self.message = message  # the message that it was handling, if any
        self.started = started  # whether its `on_start` had returned

    def __repr__(self) -> str:
        return f"Exit({self.ending}, {self.failure!r})"


class Inbox:
    """Inbox of an actor, as its ref and pykka see it; it takes messages in any phase but the last."""

    __slots__ = ("actor", "messages", "phase", "queued", "scheduler", "stopping", "urn")

    def __init__(self, scheduler: Scheduler, urn: str) -> None:
        self.scheduler = scheduler
        self.urn = urn
        self.actor: Actor | None = None
        # An empty deque costs 0.75 KiB: there is one only while it is needed. Mostly it is one that another inbox has
        # emptied: making a new one for each message would cost time.
        self.messages: deque[Any] | None = None
        self.phase = VACANT
        self.queued = False  # on the run queue, or running
        self.stopping = False

    @property
    def depth(self) -> int:
        """Number of waiting messages."""
        return len(self.messages) if self.messages is not None else 0

    @property
    def ended(self) -> bool:
        """True when the cell has ended for good."""
        return self.phase is ENDED

    def is_set(self) -> bool:
        """Stand for pykka's `actor_stopped` event: `ended` under the name that pykka asks for."""
        return self.phase is ENDED

    def set(self) -> None:
        """Stand for pykka's `actor_stopped` event: the actor stops after the current message."""
        self.stopping = True

    def tell(self, message: Any) -> None:
        """Put a message into the inbox, in any phase but the last. Never blocks; raises `ActorDeadError` at the end."""
        if self.phase is ENDED:
            raise ActorDeadError(f"{self.urn} not found")
        messages, scheduler = self.messages, self.scheduler
        if messages is None:
            spare = scheduler.spare_deques
            self.messages = messages = spare.pop() if spare else deque()
        messages.append(message)
        if not self.queued and self.actor is not None:
            self.queued = True
            scheduler.queue.append(self)
            if not scheduler.armed:
                scheduler.arm()

    put = tell  # pykka's inbox has this name for it

    def get(self) -> Any:
        """Take the next message, as pykka's inbox does; the cell itself never calls it."""
        if not self.messages:
            raise LookupError("the inbox is empty")
        return self.messages.popleft()

    def empty(self) -> bool:
        """Return whether no message waits."""
        return not self.messages

    def run(self, budget: int) -> None:
        """Handle at most `budget` messages, in a runner of the scheduler."""
        raise NotImplementedError

    def failed(self, failure: Failure) -> None:
        """Handle an exception that left `run`."""
        raise NotImplementedError


NOTHING = object()
"""Placeholder for the current message when there is none."""


class Cell(Inbox):
    """Place of one actor. `watch(cell, exit)` is called when an actor ended on it; without one the cell ends too."""

    __slots__ = ("__weakref__", "_awaited", "_changed", "_ref", "current_message", "make", "runner", "watch")

    def __init__(
        self,
        scheduler: Scheduler,
        urn: str,
        make: Callable[[Cell], Actor],
        watch: Callable[[Cell, Exit], None] | None = None,
    ) -> None:
        super().__init__(scheduler, urn)
        self.make = make
        self.watch = watch
        self.current_message: Any = NOTHING
        self.runner: greenlet | None = None
        self._ref: Ref[Any] | None = None
        self._changed: Event | None = None
        self._awaited = False  # a caller waits for the start, and is told its failure

    @property
    def ref(self) -> Ref[Any]:
        """Ref of the actor."""
        if self._ref is None:
            self._ref = Ref(self)
        return self._ref

    # -- The actor's life ----------------------------------------------------------------------

    def start(self, *, wait: bool = True) -> None:
        """Build the actor and let it run; with `wait`, return when its `on_start` has, or raise what left it.

        Called again after an exit it is a restart: a fresh actor on the same inbox. What `make` raises is raised here.
        """
        if self.phase is not VACANT:
            raise RuntimeError(f"{self.urn} is {self.phase}")
        made = attempt(self.make, self)
        if type(made) is Failure:
            raise made.escaped if made.killed and made.escaped is not None else made.error
        self.actor = made
        self.phase = STARTING
        self.stopping = False
        if not self.queued:
            self.queued = True
            self.scheduler.enqueue(self)
        if wait:
            self._await_start()

    def _await_start(self) -> None:
        actor = self.actor
        outcome: list[Exit] = []
        before = self.watch

        def note(cell: Cell, exit_: Exit) -> None:
            # While somebody waits for the start its failure is that somebody's, not the watcher's; but what happens
            # between the end of `on_start` and that somebody's turn is the watcher's again.
            cell.watch = before
            if not exit_.started:
                outcome.append(exit_)
            if before is None:
                cell.end()
            elif exit_.started:
                before(cell, exit_)

        self.watch = note
        self._awaited = True
        try:
            while self.phase is STARTING and self.actor is actor:
                self._wait_for_change(None)
        finally:
            self._awaited = False
            if self.watch is note:
                self.watch = before
        if outcome:
            failure = outcome[0].failure
            raise (
                failure.error if failure is not None else ActorDeadError(f"{self.urn} ended while it started")
            )

    def _wait_for_change(self, timeout_s: float | None) -> None:
        if self._changed is None:
            self._changed = Event()
        changed = self._changed
        changed.wait(timeout_s)

    def _change(self) -> None:
        if self._changed is not None:
            changed, self._changed = self._changed, None
            changed.set()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until no actor runs on the cell; false if it still does after `timeout_s`."""
        ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        while self.phase in (STARTING, RUNNING):
            left = None if ends_at is None else ends_at - time.monotonic()
            if left is not None and left <= 0:
                return False
            self._wait_for_change(left)
        return True

    def run(self, budget: int) -> None:
        """Handle messages until the inbox is empty, the budget is spent or the actor has ended.

        An exception of a handler leaves it, and is given to `failed`.
        """
        actor = self.actor
        self.runner = me = getcurrent()
        if actor is None or (self.phase is STARTING and not self._run_start(actor, me)):
            if self.runner is me:
                self._release_runner()
            return
        messages = self.messages
        receive = actor.receive
        while messages and not self.stopping:
            if not budget:
                self.runner = None
                self.current_message = NOTHING
                self.scheduler.enqueue(self)
                return
            budget -= 1
            self.current_message = message = messages.popleft()
            if type(message) is Envelope:
                self._answer(actor, message)
            else:
                receive(message)
            if self.runner is not me:
                return  # abandoned: another runner has the cell now
            if self.actor is not actor:  # the actor ended, or was killed in a blocked handler
                break
        self.current_message = NOTHING
        if self.stopping and self.actor is actor:
            self._exit(Exit(Ending.NORMAL, None, None, started=True))
        if messages or messages is None or self.phase is not RUNNING:
            self._release_runner()
        else:  # the usual case, kept short
            self.runner = self.messages = None
            self.queued = False
            self.scheduler.spare_deques.append(messages)

    def failed(self, failure: Failure) -> None:
        """Handle an exception that left `run`: the actor whose handler raised it has crashed, or was killed."""
        if self.runner is not getcurrent():
            return  # abandoned: another runner has the cell now
        actor, message = self.actor, self.current_message
        if actor is not None and message is not NOTHING:
            self._crash(actor, message, failure)
        elif not failure.killed:  # the handler ended the actor before it raised, or the runtime failed
            self.log(failure)
        self._release_runner()

    def _run_start(self, actor: Actor, me: greenlet) -> bool:
        """Run `on_start`; return false if the actor has ended."""
        failure = attempt(actor.on_start)
        if self.runner is not me or self.actor is not actor:
            return False
        if type(failure) is Failure:
            if not self._awaited:
                self.log(failure)
            ending = Ending.KILLED if failure.killed else Ending.CRASH
            self._exit(Exit(ending, failure, None, started=False))
            return False
        self.phase = RUNNING
        self._change()
        return True

    def _release_runner(self) -> None:
        """Release the runner; messages left in the inbox wait for the next turn or the next actor."""
        self.runner = None
        self.queued = False
        self.current_message = NOTHING
        if self.actor is not None and (self.messages or self.phase is STARTING):
            self.queued = True
            self.scheduler.enqueue(self)
        elif not self.messages:
            self.messages = None

    def _answer(self, actor: Actor, message: Envelope[Any]) -> None:
        """Handle a message in pykka's envelope: asked, or told by pykka."""
        reply_to: Any = message.reply_to
        result = attempt(actor.receive, message.message)
        if reply_to is not None and reply_to.done():
            return  # the actor was abandoned meanwhile, and the asker was told
        if type(result) is not Failure:
            if reply_to is not None:
                reply_to.set(result)
        elif reply_to is None:
            self._crash(actor, message.message, result)
        else:
            # The asker gets the failure and the actor lives, unless it was killed.
            reply_to.set_exception(result.exc_info)
            if result.killed:
                self._crash(actor, message.message, result)

    def _crash(self, actor: Actor, message: object, failure: Failure) -> None:
        if self.actor is not actor:
            return
        if not failure.killed:
            self.log(failure)
        failed = attempt(actor.on_failure, *failure.exc_info)
        if type(failed) is Failure:
            self.log(failed)
        if self.actor is actor:
            self._exit(
                Exit(Ending.KILLED if failure.killed else Ending.CRASH, failure, message, started=True)
            )

    def log(self, failure: Failure) -> None:
        """Log an exception of a handler, with its traceback."""
        logger.error("Unhandled exception in %s:", self.urn, exc_info=failure.exc_info)

    def _exit(self, exit_: Exit) -> None:
        """Remove the actor; the watcher decides about the cell."""
        self.actor = None
        self.current_message = NOTHING  # further exceptions of its handler are ignored
        self.phase = VACANT
        self.stopping = False
        if self.watch is None:
            self.end()
        else:
            self._change()
            self.watch(self, exit_)

    def kill(self) -> None:
        """End the actor now; a blocked handler is interrupted. The inbox stays."""
        if self.actor is None:
            return
        runner = self.runner
        if runner is not None and runner is not getcurrent():
            self.scheduler.hub.loop.run_callback(self._throw, runner, self.actor)
        else:
            actor = self.actor
            failure = Failure(ActorDeadError(f"{self.urn} was killed"), HandlerKilled("killed"))
            self._exit(Exit(Ending.KILLED, failure, None, started=self.phase is RUNNING))
            attempt(actor.on_killed)

    def _throw(self, runner: greenlet, actor: Actor) -> None:
        # Runs in the hub, so the runner is not running. It may serve another cell by now, and the cell may have another
        # actor; or the cell has ended meanwhile, and its handler must end too.
        if self.runner is runner and (self.actor is actor or self.actor is None):
            runner.throw(HandlerKilled("killed"))
        elif self.actor is actor:
            spawn(self.kill)  # `on_killed` may block, which the hub must not

    def abandon(self) -> None:
        """Give up on an actor that could not be killed; the cell continues without its greenlet."""
        if self.actor is not None:
            failure = Failure(ActorDeadError(f"{self.urn} did not end when it was killed"))
            message = None if self.current_message is NOTHING else self.current_message
            started = self.phase is RUNNING
            self.runner = None
            self.queued = False
            self.current_message = NOTHING
            if type(message) is Envelope and message.reply_to is not None:
                message.reply_to.set_exception(failure.exc_info)
            self._exit(Exit(Ending.KILLED, failure, message, started=started))

    def end(self) -> None:
        """End for good: asks still waiting fail with `ActorDeadError`, told messages are given to `undelivered`."""
        if self.phase is ENDED:
            return
        self.phase = ENDED
        self.actor = None
        waiting, self.messages = self.messages, None
        for message in waiting or ():
            if type(message) is Envelope:
                if message.reply_to is None:
                    self.undelivered(message.message)
                elif isinstance(message.message, ActorStop):
                    message.reply_to.set(None)
                else:
                    dead = ActorDeadError(f"{self.urn} stopped before handling the message")
                    message.reply_to.set_exception((ActorDeadError, dead, None))
            else:
                self.undelivered(message)
        self._change()

    def undelivered(self, message: object) -> None:
        """Handle a told message that no actor will handle any more; here it is logged."""
        if not isinstance(message, ActorStop):
            logger.debug("%s ended; dropping the message %r", self.urn, message)
