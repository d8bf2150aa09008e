"""Cell that handles several messages at once, and those with the same ordering key in order.

For a plugin the ordering key is the charge point. Before a handler runs, the cell puts itself back on the run queue: a
handler that blocks keeps its greenlet, and the next runner takes the next message. `concurrency` bounds the number of
handlers that run or block at a time; 1 makes it an ordinary actor.

A handler that still runs when its actor has ended keeps its ordering key and its place until it ends: order and
`concurrency` hold over a restart too. A handler that ignores its kill is abandoned, and both are free again.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from gevent import getcurrent
from pykka import ActorDeadError

from .cell import ENDED, STARTING, Cell, Ending, Exit
from .failure import Failure, HandlerKilled, attempt
from .pykka_names import ActorStop, Envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from greenlet import greenlet

    from .actor import Actor
    from .scheduler import Scheduler
    from .timers import Timers

GRACE_S = 1.0
"""Seconds that a handler has to end after it was interrupted; then it is abandoned."""


class Ordered(Protocol):
    """Message with an ordering key, which holds the greenlet that handles it."""

    ordering_key: Any
    running: greenlet | None


logger = logging.getLogger(__name__)

STOPPING = object()
"""Ordering key of `on_stop`."""


class OrderedCell(Cell):
    """Cell that handles several messages at once, those with the same ordering key in order.

    The ordering key is a message's `ordering_key` attribute; messages without one share a key.

    Without `timers` an interrupted handler has no grace: it ends in the same turn, or is abandoned.
    """

    __slots__ = ("concurrency", "dying", "ordering_keys", "timers", "waiting")

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
        self.ordering_keys: dict[Hashable, greenlet] = {}  # busy keys, with the runner that handles them
        self.waiting: dict[Hashable, deque[Any]] = {}  # messages for busy keys
        self.dying: dict[Hashable, greenlet] = {}  # busy keys whose handler was killed with its actor

    @property
    def depth(self) -> int:
        """Number of waiting messages."""
        return super().depth + sum(map(len, self.waiting.values()))

    def run(self, budget: int) -> None:
        """Handle messages in order by key, as `Cell.run` does."""
        if self.phase is STARTING:
            super().run(0)  # only `on_start`: without a budget no message is taken
            return
        self.queued = False
        while self._take():
            budget -= 1
            # Still on the run queue: no other runner has taken over, so this one continues without leaving it. Its
            # entry there finds an empty inbox later, or another turn.
            if not self.queued or not budget:
                return

    def failed(self, failure: Failure) -> None:
        """Log a failure of the runtime; exceptions of handlers do not come here."""
        self.log(failure)

    def _take(self) -> bool:
        """Take one message and handle its key; return false if there is none to take now."""
        actor, messages = self.actor, self.messages
        if actor is None or self.stopping or len(self.ordering_keys) >= self.concurrency:
            return False
        if not messages:
            self.messages = None
            return False
        message = messages[0]
        content = message.message if type(message) is Envelope else message
        if type(content) is ActorStop:
            self._take_stop(actor, message)
            return False
        messages.popleft()
        ordering_key = getattr(content, "ordering_key", None)
        if ordering_key in self.ordering_keys:
            self.waiting.setdefault(ordering_key, deque()).append(message)
            self._requeue()  # else `run` would assume that another runner handles the rest
        else:
            me = self.ordering_keys[ordering_key] = getcurrent()
            if messages and not self.queued:
                self._requeue()
            ordering_keys, waiting = self.ordering_keys, self.waiting
            self._handle(actor, message)
            while (
                waiting
                and self.actor is actor
                and ordering_keys.get(ordering_key) is me
                and ordering_key in waiting
            ):
                self._handle(actor, self._next_in(waiting, ordering_key))
            if ordering_keys.get(ordering_key) is me:  # else it was abandoned
                if self.dying or waiting:
                    self._release_key(ordering_key)
                else:  # the usual case
                    del ordering_keys[ordering_key]
            if self.messages and not self.queued:
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
    def _next_in(waiting: dict[Hashable, deque[Any]], ordering_key: Hashable) -> Any:
        rest = waiting[ordering_key]
        message = rest.popleft()
        if not rest:
            del waiting[ordering_key]
        return message

    def _requeue(self) -> None:
        if (
            not self.queued
            and self.messages
            and self.actor is not None
            and len(self.ordering_keys) < self.concurrency
        ):
            self.queued = True
            self.scheduler.enqueue(self)

    def _release_key(self, ordering_key: Hashable) -> None:
        del self.ordering_keys[ordering_key]
        if self.dying:
            self.dying.pop(ordering_key, None)
        if ordering_key in self.waiting:  # messages since its actor ended go before later ones
            self._put_back(self.waiting.pop(ordering_key))

    def _put_back(self, messages: deque[Any]) -> None:
        if self.phase is ENDED:
            for message in messages:
                self.undelivered(message)
            return
        if self.messages is None:
            self.messages = deque()
        self.messages.extendleft(reversed(messages))

    def _take_stop(self, actor: Actor, message: Any) -> None:
        # Started handlers end first, as an ordinary actor ends its current message first.
        if self.ordering_keys or self.messages is None:
            return
        self.messages.popleft()
        me = self.ordering_keys[STOPPING] = getcurrent()
        attempt(actor.receive, ActorStop())
        if self.ordering_keys.get(STOPPING) is me:
            self._release_key(STOPPING)
        if self.actor is actor:  # else it was killed meanwhile
            self._exit(Exit(Ending.NORMAL, None, None, started=True))
        if type(message) is Envelope and message.reply_to is not None:
            message.reply_to.set(None)

    def interrupt(self, message: Ordered) -> None:
        """End the handler of a message if it runs; the actor lives, and the handler's failure says `killed`."""
        self.scheduler.hub.loop.run_callback(self._interrupt, message)

    def _interrupt(self, message: Ordered) -> None:
        # Runs in the hub. It checks the message, not the key, which another actor may use by now.
        runner = message.running
        if runner is None:
            return
        runner.throw(HandlerKilled("the deadline has passed"))
        self._after_grace(
            lambda: self._abandon_handler(message.ordering_key, runner) if message.running is runner else None
        )

    def _after_grace(self, callback: Callable[[], None]) -> None:
        if self.timers is None:
            callback()
        else:
            self.timers.call_at(self.timers.clock.monotonic() + GRACE_S, callback)

    def _abandon_handler(self, ordering_key: Hashable, runner: greenlet) -> None:
        if self.ordering_keys.get(ordering_key) is runner:
            self._release_key(ordering_key)
            self.abandoned(ordering_key)
            self._requeue()

    def abandoned(self, ordering_key: Hashable) -> None:
        """Note that a handler ignored its kill and was abandoned; here it is logged."""
        logger.error("%s: the handler for %s ignored GreenletExit; abandoned", self.urn, ordering_key)

    def _throw_into_dying(self) -> None:
        # Runs in the hub. A handler that has ended since must not be hit in its next message.
        killed = dict(self.dying)
        for ordering_key, runner in killed.items():
            if self.dying.get(ordering_key) is runner:
                runner.throw(HandlerKilled("killed"))
        self._after_grace(lambda: self._abandon_dying(killed))

    def _abandon_dying(self, killed: dict[Hashable, greenlet]) -> None:
        for ordering_key, runner in killed.items():
            if self.dying.get(ordering_key) is runner:
                self._abandon_handler(ordering_key, runner)

    def kill(self) -> None:
        """End the actor now, with all its handlers."""
        actor = self.actor
        if actor is None or self.phase is STARTING:
            super().kill()
            return
        if self.ordering_keys:
            self.dying.update(self.ordering_keys)
            self.scheduler.hub.loop.run_callback(self._throw_into_dying)
        failure = Failure(ActorDeadError(f"{self.urn} was killed"), HandlerKilled("killed"))
        self._exit(Exit(Ending.KILLED, failure, None, started=True))
        attempt(actor.on_killed)

    def end(self) -> None:
        """End for good; handlers that still run are killed."""
        super().end()
        if self.ordering_keys:
            self.dying.update(self.ordering_keys)
            self.scheduler.hub.loop.run_callback(self._throw_into_dying)

    def _exit(self, exit_: Exit) -> None:
        # Messages for busy keys go back to the inbox, before later ones: they may have to be drained.
        for rest in self.waiting.values():
            self._put_back(rest)
        self.waiting.clear()
        super()._exit(exit_)
