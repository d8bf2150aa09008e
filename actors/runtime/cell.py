"""What outlives an actor: its inbox (`inbox.py`), the message in hand, and how it ends.

The actor is the behaviour that runs on a cell and can be replaced; a `Ref` points at the cell, so it stays valid
over restarts. A cell handles one message at a time (`OrderedCell` in `ordering_keys.py` handles several). The message in hand of
a crash is never retried; the rest of the inbox waits for the next actor; everything ends at the final `end`.
Only greenlets of the cell's hub may touch it.
"""

from __future__ import annotations

import logging
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gevent import getcurrent, spawn
from gevent.event import Event
from pykka import ActorDeadError

from .failure import Failure, HandlerKilled, attempt
from .inbox import ENDED, RUNNING, STARTING, VACANT, Inbox
from .pykka_names import ActorStop, Envelope
from .ref import Ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenlet import greenlet

    from .actor import Actor
    from .scheduler import Scheduler

logger = logging.getLogger(__name__)


class Ending(StrEnum):
    """Why an actor's loop ended."""

    NORMAL = "normal"  # it was asked to stop
    CRASH = "crash"  # an exception left `on_start` or the handler of a told message
    KILLED = "killed"  # it was ended from outside


class Exit:
    """How an actor ended, as its supervisor is told."""

    __slots__ = ("ending", "failure", "message", "started")

    def __init__(self, ending: Ending, failure: Failure | None, message: object, *, started: bool) -> None:
        self.ending = ending
        self.failure = failure
        self.message = message  # the one in hand, if there was one
        self.started = started  # whether its `on_start` had returned

    def __repr__(self) -> str:
        return f"Exit({self.ending}, {self.failure!r})"


NOTHING = object()
"""What is in hand when no message is."""


class Cell(Inbox):
    """One actor's place. `watch(cell, exit)` is told whenever an actor ended on it; without one the cell ends too."""

    __slots__ = ("__weakref__", "_awaited", "_changed", "_ref", "in_hand", "make", "runner", "watch")

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
        self.in_hand: Any = NOTHING
        self.runner: greenlet | None = None
        self._ref: Ref[Any] | None = None
        self._changed: Event | None = None
        self._awaited = False  # somebody waits for the start, and will be told how it failed

    @property
    def ref(self) -> Ref[Any]:
        """The reference to hand out."""
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

        What a handler raises leaves it, and comes back to `failed`.
        """
        actor = self.actor
        self.runner = me = getcurrent()
        if actor is None or (self.phase is STARTING and not self._run_start(actor, me)):
            if self.runner is me:
                self._leave()
            return
        inbox = self.inbox
        receive = actor.receive
        while inbox and not self.stopping:
            if not budget:
                self.runner = None
                self.in_hand = NOTHING
                self.scheduler.enqueue(self)
                return
            budget -= 1
            self.in_hand = message = inbox.popleft()
            if type(message) is Envelope:
                self._answer(actor, message)
            else:
                receive(message)
            if self.runner is not me:
                return  # abandoned: another worker has the cell now
            if self.actor is not actor:  # it ended, or was killed while its handler was blocked
                break
        self.in_hand = NOTHING
        if self.stopping and self.actor is actor:
            self._exit(Exit(Ending.NORMAL, None, None, started=True))
        if inbox or self.phase is not RUNNING:
            self._leave()
        else:  # the usual case by itself
            self.runner = self.inbox = None
            self.queued = False

    def failed(self, failure: Failure) -> None:
        """Deal with what left `run`: the actor whose handler raised it has crashed, or was killed."""
        if self.runner is not getcurrent():
            return  # abandoned: another worker has the cell now
        actor, message = self.actor, self.in_hand
        if actor is not None and message is not NOTHING:
            self._crash(actor, message, failure)
        elif not failure.killed:  # its handler has ended it before it raised, or the fault is the runtime's
            self.log(failure)
        self._leave()

    def _run_start(self, actor: Actor, me: greenlet) -> bool:
        """Run `on_start`; false if there is no actor to go on with."""
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

    def _leave(self) -> None:
        """The worker goes; whatever is in the inbox now waits for the next actor, or is taken at the next turn."""
        self.runner = None
        self.queued = False
        self.in_hand = NOTHING
        if self.actor is not None and (self.inbox or self.phase is STARTING):
            self.queued = True
            self.scheduler.enqueue(self)
        elif not self.inbox:
            self.inbox = None

    def _answer(self, actor: Actor, message: Envelope[Any]) -> None:
        """Handle what was asked, or told in pykka's envelope."""
        reply_to: Any = message.reply_to
        result = attempt(actor.receive, message.message)
        if reply_to is not None and reply_to.done():
            return  # its actor was abandoned meanwhile, and the asker told
        if type(result) is not Failure:
            if reply_to is not None:
                reply_to.set(result)
        elif reply_to is None:
            self._crash(actor, message.message, result)
        else:
            # What an asker caused is the asker's to deal with: the actor lives. But one that was killed is dead.
            reply_to.set_exception(result.exc_info)
            if result.killed:
                self._crash(actor, message.message, result)

    def _crash(self, actor: Actor, message: object, failure: Failure) -> None:
        if self.actor is not actor:
            return
        if not failure.killed:
            self.log(failure)
        unheard = attempt(actor.on_failure, *failure.exc_info)
        if type(unheard) is Failure:
            self.log(unheard)
        if self.actor is actor:
            self._exit(
                Exit(Ending.KILLED if failure.killed else Ending.CRASH, failure, message, started=True)
            )

    def log(self, failure: Failure) -> None:
        """Log what left a handler, with its traceback."""
        logger.error("Unhandled exception in %s:", self.urn, exc_info=failure.exc_info)

    def _exit(self, exit_: Exit) -> None:
        """The actor is gone; the watcher decides what becomes of the cell."""
        self.actor = None
        self.in_hand = NOTHING  # what else its handler raises is nobody's any more
        self.phase = VACANT
        self.stopping = False
        if self.watch is None:
            self.end()
        else:
            self._change()
            self.watch(self, exit_)

    def kill(self) -> None:
        """End the actor now: a blocked handler is interrupted, an idle actor just goes. The inbox stays."""
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
        # In the hub, so the worker is not running. It may have gone on to another cell, and the cell to another actor;
        # or the cell has ended meanwhile, and its handler is to end too.
        if self.runner is runner and (self.actor is actor or self.actor is None):
            runner.throw(HandlerKilled("killed"))
        elif self.actor is actor:
            spawn(self.kill)  # `on_killed` may block, which the hub must not

    def abandon(self) -> None:
        """Give up on an actor that could not be killed: its greenlet is left to itself, the cell goes on without it."""
        if self.actor is not None:
            failure = Failure(ActorDeadError(f"{self.urn} did not end when it was killed"))
            message = None if self.in_hand is NOTHING else self.in_hand
            started = self.phase is RUNNING
            self.runner = None
            self.queued = False
            self.in_hand = NOTHING
            if type(message) is Envelope and message.reply_to is not None:
                message.reply_to.set_exception(failure.exc_info)
            self._exit(Exit(Ending.KILLED, failure, message, started=started))

    def end(self) -> None:
        """End for good: asks still waiting fail with `ActorDeadError`, told messages are handed to `unheard`."""
        if self.phase is ENDED:
            return
        self.phase = ENDED
        self.actor = None
        waiting, self.inbox = self.inbox, None
        for message in waiting or ():
            if type(message) is Envelope:
                if message.reply_to is None:
                    self.unheard(message.message)
                elif isinstance(message.message, ActorStop):
                    message.reply_to.set(None)
                else:
                    dead = ActorDeadError(f"{self.urn} stopped before handling the message")
                    message.reply_to.set_exception((ActorDeadError, dead, None))
            else:
                self.unheard(message)
        self._change()

    def unheard(self, message: object) -> None:
        """Hear of a told message that nobody will handle any more. Here: one line in the log."""
        if not isinstance(message, ActorStop):
            logger.debug("%s ended before it handled %r", self.urn, message)
