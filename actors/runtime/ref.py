"""Ref: a pykka `ActorRef` that points at a cell, and so stays valid over restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pykka
from pykka import ActorDeadError

from .future import Future
from .pykka_names import Envelope
from .threads import native_thread

if TYPE_CHECKING:
    from .actor import Actor
    from .cell import Cell

A = TypeVar("A", bound="Actor")


class Ref(pykka.ActorRef[A]):
    """Reference to an actor: `tell`, `ask`, `stop` and `proxy` mean what they mean in pykka.

    While its actor waits for a restart it is alive, and messages wait in the inbox. It is dead after the final stop.
    """

    any_thread: ClassVar[bool] = True

    def __init__(self, cell: Cell) -> None:
        # pykka's own `__init__` would tie the ref to one actor object.
        self.cell = cell
        self.actor_urn = cell.urn
        self.actor_inbox: Any = cell
        self.actor_stopped: Any = cell

    @property
    def actor_class(self) -> type[A]:  # type: ignore[override]
        """Class of the actor."""
        from .actor import Actor  # noqa: PLC0415 - the two know each other

        actor: Any = self.cell.actor
        return type(actor) if actor is not None else Actor  # type: ignore[return-value]

    def _actor_weakref(self) -> Any:  # type: ignore[override]  # what pykka's proxies look at
        return self.cell.actor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other.cell is self.cell

    def __hash__(self) -> int:
        return hash(self.cell)

    def __str__(self) -> str:
        return self.actor_urn

    def is_alive(self) -> bool:
        """Return whether messages are still taken: true while the actor waits for a restart."""
        return not self.cell.ended

    def tell(self, message: Any) -> None:
        """Send a message, from any greenlet or native thread. Never blocks.

        Raises `pykka.ActorDeadError` after the final stop. Messages of one thread stay in order.
        """
        cell = self.cell
        if native_thread() == cell.scheduler.inlet.thread:
            cell.tell(message)
        elif cell.ended:
            raise ActorDeadError(f"{self.actor_urn} not found")
        else:
            cell.scheduler.inlet.put(_tell_here, (cell, message))

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Send a message and wait for the reply (`timeout` in seconds), or return a future at once.

        Any greenlet or native thread may ask, and wait for the future. Raises `HubBlocked`, a `pykka.Timeout`, in
        another thread than the hub's if the hub hangs, or is blocked when the time limit passes.
        """
        future: Future[Any] = Future()
        future.home = self.cell.scheduler.inlet
        try:
            self.tell(Envelope(message, reply_to=future))
        except ActorDeadError as dead:
            future.set_exception((ActorDeadError, dead, None))
        return future.get(timeout=timeout) if block else future


def _tell_here(told: tuple[Cell, Any]) -> None:
    """Put a message of another thread into its inbox; the cell may have ended on the way."""
    cell, message = told
    try:
        cell.tell(message)
    except ActorDeadError as dead:
        if type(message) is Envelope and message.reply_to is not None:
            message.reply_to.set_exception((ActorDeadError, dead, None))
        else:
            cell.undelivered(message)
