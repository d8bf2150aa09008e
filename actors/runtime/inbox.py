"""An actor's inbox, as its ref and pykka see it: it takes messages in any phase but the last, whoever works on them.

Only greenlets of the hub of its scheduler may touch it.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pykka import ActorDeadError

if TYPE_CHECKING:
    from .actor import Actor
    from .failure import Failure
    from .scheduler import Scheduler


class Phase(StrEnum):
    """Where a cell is in its life."""

    VACANT = "vacant"  # no actor runs: not yet started, or waiting for a restart
    STARTING = "starting"  # the actor is built, its `on_start` has not returned
    RUNNING = "running"
    ENDED = "ended"  # for good


# Looking a member up on its class costs a Python call before 3.12, and these are looked at for every message.
VACANT, STARTING, RUNNING, ENDED = Phase.VACANT, Phase.STARTING, Phase.RUNNING, Phase.ENDED


class Inbox:
    """See the head of this file. `Cell` is what works on it."""

    __slots__ = ("actor", "inbox", "phase", "queued", "scheduler", "stopping", "urn")

    def __init__(self, scheduler: Scheduler, urn: str) -> None:
        self.scheduler = scheduler
        self.urn = urn
        self.actor: Actor | None = None
        self.inbox: deque[Any] | None = (
            None  # an empty deque costs 0.75 KiB: there is one only while it is needed
        )
        self.phase = VACANT
        self.queued = False  # on the run queue, or running
        self.stopping = False

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return len(self.inbox) if self.inbox is not None else 0

    def is_set(self) -> bool:
        """Stand for pykka's `actor_stopped` event: whether the cell has ended for good."""
        return self.phase is ENDED

    def set(self) -> None:
        """Stand for pykka's `actor_stopped` event: the actor stops after the message in hand."""
        self.stopping = True

    def tell(self, message: Any) -> None:
        """Put a message into the inbox, in any phase but the last. Never blocks; raises `ActorDeadError` at the end."""
        if self.phase is ENDED:
            raise ActorDeadError(f"{self.urn} not found")
        inbox = self.inbox
        if inbox is None:
            self.inbox = inbox = deque()
        inbox.append(message)
        if not self.queued and self.actor is not None:
            self.queued = True
            scheduler = self.scheduler
            scheduler.queue.append(self)
            if not scheduler.armed:
                scheduler.arm()

    put = tell  # pykka's inbox has this name for it

    def get(self) -> Any:
        """Take the next message, as pykka's inbox does; the cell itself never calls it."""
        if not self.inbox:
            raise LookupError("the inbox is empty")
        return self.inbox.popleft()

    def empty(self) -> bool:
        """Whether no message waits."""
        return not self.inbox

    def run(self, budget: int) -> None:
        """Handle at most so many messages, in a worker of the scheduler."""
        raise NotImplementedError

    def failed(self, failure: Failure) -> None:
        """Hear what left `run`."""
        raise NotImplementedError
