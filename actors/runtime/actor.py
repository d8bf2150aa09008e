"""Base of actors on gevent: pykka's `Actor`, run by cells instead of threads.

`on_start`, `on_receive`, `on_stop` and `on_failure` mean what they mean in pykka. Three things differ on purpose: no
actor is entered in pykka's process-wide registry, `BaseException`s stay inside, and a supervised actor can be started
again under the same ref.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Self

import pykka

from .cell import Cell
from .failure import Failure, attempt
from .future import Future
from .scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable

    from .ref import Ref

_numbers = itertools.count(1)


class Actor(pykka.Actor):
    """Actor without a greenlet of its own while its inbox is empty."""

    _cell: Cell

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        # pykka's own `__init__` is not called: its UUID, event and reference are expensive for a session. A subclass
        # need not call it.
        pass

    def _place(self, cell: Cell) -> None:
        """Place the actor on its cell, before `__init__` runs."""
        self._cell = cell
        self.actor_urn = cell.urn
        self.actor_inbox = cell
        self.actor_stopped: Any = cell

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> Ref[Self]:
        """Start an unsupervised actor with a scheduler of its own, and return its ref at once, as pykka does."""
        cell = Cell(Scheduler(spare=0), f"{cls.__name__}-{next(_numbers)}", cls.maker(*args, **kwargs))
        cell.start(wait=False)
        return cell.ref

    @classmethod
    def maker(cls, *args: Any, **kwargs: Any) -> Callable[[Cell], Actor]:
        """Return a function that builds the actor on a cell: `__init__` runs again at each restart."""

        def make(cell: Cell) -> Actor:
            actor = cls.__new__(cls)
            actor._place(cell)  # noqa: SLF001 - so that `__init__` finds it
            actor.__init__(*args, **kwargs)  # type: ignore[misc]
            return actor

        return make

    @property
    def actor_ref(self) -> Ref[Self]:
        """Ref of the actor."""
        return self._cell.ref

    def receive(self, message: Any) -> Any:
        """Handle one message; a subclass may override this to dispatch its own types faster."""
        return self._handle_receive(message)

    def on_killed(self) -> None:
        """Clean up after an actor that was killed while idle; `on_stop` and `on_failure` are not called then."""

    def __str__(self) -> str:
        return self.actor_urn

    # -- Methods that pykka demands ------------------------------------------------------------

    @staticmethod
    def _create_actor_inbox() -> Any:
        raise TypeError("an actor's inbox is its cell: make actors with start() or by a child spec")

    @staticmethod
    def _create_future() -> Future[Any]:
        return Future()

    def _start_actor_loop(self) -> None:
        raise TypeError("an actor is run by its cell: make actors with start() or by a child spec")

    def _stop(self) -> None:
        self._cell.stopping = True
        failure = attempt(self.on_stop)
        if type(failure) is Failure:  # as in pykka: logged, and the actor stops
            self._cell.log(failure)
