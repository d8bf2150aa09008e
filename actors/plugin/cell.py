"""Cell of a plugin: its messages in order by charge point, its circuit breakers, and the system it may call.

Sessions watch the deadlines of calls. The handlers of events, outcomes and shadow calls are watched
here: each has `context.events_s` from its start.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from gevent import getcurrent

from ...protocol.errors import ErrorCode, OcppError
from ...protocol.events import OF_CONNECTIONS
from ...protocol.session import INFINITY
from ..runtime.cell import ENDED, RUNNING, Ending, Exit
from ..runtime.failure import Failure, attempt
from ..runtime.native_pool import Job, NativePool, ThreadsStuck, in_hub
from ..runtime.ordered_cell import OrderedCell
from ..runtime.threads import native_thread
from ..session.call import Call
from ..session.messages import AnswerSent, EventPublished, TicketEnded
from .authentication import AttemptShown
from .circuit_breaker import CircuitBreakerPolicy, CircuitBreakers
from .delivered_event import DeliveredEvent
from .detached_call import Untried
from .passed_call import PassedCall, PassOnFailed
from .resources import PluginOutOfService, ResourceAsked, ResourceRequest
from .retry import GiveUp, RetryLater
from .shadow import ShadowCall

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from greenlet import greenlet

    from ...protocol.events import DomainEvent
    from ..runtime.actor import Actor
    from ..runtime.cell import Cell
    from ..runtime.scheduler import Scheduler
    from ..session.context import SessionContext
    from .plugin import PluginSpec
    from .plugin_system import PluginSystem

logger = logging.getLogger(__name__)

EVENTS: dict[type, str] = {
    TicketEnded: "on_outcome",
    AnswerSent: "after",
    EventPublished: "on",
    DeliveredEvent: "on",
}
"""Names that stand for the action when the handler of an event fails."""

BOUNDED = frozenset({AnswerSent, EventPublished})
"""Messages of which no more than `EVENT_BACKLOG` may wait."""

EVENT_BACKLOG = 1000
"""Answers and events that may wait for a plugin that looks at them; further ones are dropped and counted."""

SHADOW_BACKLOG = 16
"""Calls of one charge point that may wait for a shadow; further ones are dropped."""


class WatchedHandler:
    """Running handler whose deadline the cell itself watches."""

    __slots__ = ("due", "message", "ordering_key", "overdue", "running", "what")

    def __init__(self, message: Any, what: str, due: float) -> None:
        self.message = message
        self.what = what
        self.due = due
        self.ordering_key = message.ordering_key
        self.running: greenlet | None = getcurrent()
        self.overdue = False


class PluginCell(OrderedCell):
    """Cell of one plugin, made from its spec. `OrderedCell` keeps the order of messages by charge point."""

    __slots__ = (
        "_native_pool",
        "_now",
        "_release",
        "_shadowing",
        "_timer_set",
        "_trial_due",
        "_unseen",
        "_watched",
        "breakers",
        "context",
        "handled_by_action",
        "quarantined",
        "shadow",
        "spec",
        "system",
        "trial_call",
    )

    def __init__(
        self,
        scheduler: Scheduler,
        spec: PluginSpec,
        system: PluginSystem,
        watch: Callable[[Cell, Exit], None] | None = None,
        now: Callable[[], float] = time.monotonic,
        policy: CircuitBreakerPolicy | None = None,
        *,
        context: SessionContext | None = None,
    ) -> None:
        make = spec.plugin.maker(*spec.args, **spec.kwargs)
        timers = context.timers if context is not None else None
        super().__init__(scheduler, spec.name, make, watch, concurrency=spec.concurrency, timers=timers)
        self.context = context  # without one there are no deadlines
        self.spec = spec
        self.system = system
        self._now = now
        self.breakers = CircuitBreakers(policy or CircuitBreakerPolicy())
        self.shadow = spec.shadow
        self.quarantined = False  # fallbacks answer then, except for a trial call
        self.trial_call: tuple[str, str] | None = None  # charge point and action of the last trial call
        self._trial_due = INFINITY
        self._release: Callable[[], None] | None = None  # set while the plugin is on trial
        self.handled_by_action: dict[str, int] = {}  # transaction messages handled successfully, by action
        self._watched: dict[WatchedHandler, None] = {}  # in order of their deadlines
        self._timer_set = False  # a timer runs for the first deadline
        self._unseen = 0  # how many answers wait to be looked at
        self._shadowing: dict[Hashable, int] = {}  # calls that wait for a shadow, by charge point
        self._native_pool: NativePool | None = None  # made for the first plugin with handlers that block

    def renew(self, spec: PluginSpec) -> None:
        """Take a spec with other arguments, for the next start of the plugin."""
        self.spec = spec
        self.make = spec.plugin.maker(*spec.args, **spec.kwargs)

    def _handle(self, actor: Actor, message: Any) -> None:
        kind = type(message)
        if kind is Call:
            message.started_at = self._now()
            actor.answer_call(message)  # type: ignore[attr-defined]
        elif kind is ResourceAsked:
            message.answer(actor)
        elif self.context is None:
            super()._handle(actor, message)
        elif kind is DeliveredEvent:
            self._deliver(actor, message)
        elif kind is ShadowCall:
            self._shadow_done(message.ordering_key)
            if self.shadow:
                if self._watch_over(actor, message, message.action):
                    self.note_success(message.ordering_key, message.action)
            else:
                message.return_unhandled("the shadow was promoted")
        elif kind in EVENTS:
            if kind in BOUNDED:
                self._unseen -= 1
            self._handle_event(actor, message, EVENTS[kind])
        else:
            super()._handle(actor, message)

    def tell_event(self, event: Any, *, always: bool = False) -> None:
        """Tell the plugin of an answer or an event, unless too many wait for it already; `always` whatever waits."""
        if self.ended:
            return
        if self._unseen >= EVENT_BACKLOG and not always:
            self._count("event_dropped", event.ordering_key)
            return
        self._unseen += 1
        self.tell(event)

    def hear(self, event: DomainEvent) -> None:
        """Tell the plugin of a live event; one in quarantine hears nothing, unless that may be its trial."""
        message = EventPublished(event)
        if not self.quarantined or self.try_as_trial(message):
            self.tell_event(message, always=type(event) in OF_CONNECTIONS)

    def deliver(self, event: DomainEvent, ended: Callable[[Any], None]) -> None:
        """Tell the plugin of a durable event, in order with the calls of its charge point.

        `ended` is called with None, a `Failure`, or `Untried` if no handler has ended for it.
        """
        message = DeliveredEvent(event, ended)
        if self.ended or (self.quarantined and not self.try_as_trial(message)):
            ended(Untried("the plugin is out of service"))
        else:
            self.tell(message)

    def ask_resource(self, handler: str, request: ResourceRequest) -> Any:
        """Have a resource's handler answer a request, and wait for that, at most `events_s`. Switches greenlets.

        Raises what the handler raises, TimeoutError, and `PluginOutOfService`.
        """
        if self.context is None:
            raise PluginOutOfService(f"plugin {self.urn} has no system")
        if self.ended or self.quarantined:
            state = "ended" if self.ended else "been quarantined"
            raise PluginOutOfService(f"plugin {self.urn} has {state}")
        asked = ResourceAsked(handler, request)
        self.tell(asked)
        try:
            return asked.wait(self.context.events_s)
        finally:  # the client may have gone meanwhile
            if asked.running is not None:
                self.interrupt(asked)

    def _deliver(self, actor: Actor, message: DeliveredEvent) -> None:
        """Have a durable event handled, and report how that ended."""
        charge_point_id = message.ordering_key
        if self._watch_over(actor, message, "on"):
            outcome = message.outcome
            if type(outcome) is Failure and outcome.killed:
                outcome = Untried("the plugin was killed")
        else:
            outcome = Failure(TimeoutError("the handler exceeded its deadline"))
        if outcome is None or (type(outcome) is Failure and isinstance(outcome.error, RetryLater | GiveUp)):
            self.note_success(charge_point_id, "on")
        elif self.on_trial and type(outcome) is Failure:
            self.note_failure(charge_point_id, "on", outcome.error)
        message.finish(outcome)

    def undelivered(self, message: object) -> None:
        """Report a durable event, or a handshake, that no handler will have."""
        if isinstance(message, DeliveredEvent | AttemptShown):
            message.finish(Untried("the plugin has ended"))
        elif isinstance(message, ResourceAsked):
            message.finish(Failure(PluginOutOfService(f"plugin {self.urn} has ended")))
        else:
            super().undelivered(message)

    # -- Passing on ------------------------------------------------------------------------------

    def pass_on(self, call: Call[Any], request: Any = None) -> Any:
        """Have the next plugin answer a call that one of our handlers has, and wait for its answer.

        A `request` takes the place of the call's. Raises the `OcppError` that it answers with, `PassOnFailed` if there
        is no answer, and NotSupported if no other plugin handles the action.
        """
        if native_thread() != self.scheduler.inlet.thread:
            return in_hub(self.scheduler.inlet, self.pass_on, call, request)
        context, row = self.context, call.incoming.action
        if context is None or call.passed is not None:
            raise RuntimeError(f"{call!r} was passed on before, or has no system")
        router: Any = context.router
        following = router.next_of(row, self)
        if following is None:
            raise OcppError(ErrorCode.NOT_SUPPORTED, f"no further plugin handles {row.name}")
        if not (following.is_healthy or following.try_admit(call.ordering_key, row.name)):
            raise PassOnFailed("quarantined", f"{following} takes no {row.name} of {call.charge_point} now")
        passed = PassedCall(call, following, request)
        call.passed = passed
        following.tell(passed)
        return passed.answer()

    def interrupt(self, message: Any) -> None:
        """End the handler of a message if it runs; one that waits for the next plugin is told that it is too late."""
        passed = getattr(message, "passed", None)
        if passed is None or not passed.waits:
            super().interrupt(message)
            return
        passed.expire()
        # It has a moment to end by itself.
        self._after_grace(lambda: OrderedCell.interrupt(self, message))

    def _count(self, name: str, charge_point_id: str) -> None:
        if self.context is not None:
            count = self.context.observer.count
            count(name, charge_point_id)

    # -- Shadows ---------------------------------------------------------------------------------

    def compare(self, call: ShadowCall) -> bool:
        """Tell a shadow of a call, unless too many of that charge point wait for it already."""
        waiting = self._shadowing.get(call.ordering_key, 0)
        if waiting >= SHADOW_BACKLOG:
            self._count("shadow_dropped", call.ordering_key)
            return False
        if self.context is not None:
            self._shadowing[call.ordering_key] = waiting + 1
        self.tell(call)
        return True

    def promote(self) -> None:
        """Make the shadow a plugin that answers; its failures as a shadow do not count."""
        self.shadow = False
        self.breakers.clear()

    def _shadow_done(self, ordering_key: Hashable) -> None:
        waiting = self._shadowing.pop(ordering_key, 0)
        if waiting > 1:
            self._shadowing[ordering_key] = waiting - 1

    # -- Quarantine --------------------------------------------------------------------------------

    @property
    def on_trial(self) -> bool:
        """True while a trial call is let through the quarantine."""
        return self._release is not None

    def begin_trial(self, release: Callable[[], None]) -> None:
        """Let one trial call pass; a success calls `release`, a failure ends the actor."""
        self.breakers.clear()
        self._release = release
        self._trial_due = self._now()

    def end_trial(self) -> None:
        """End the trial: no call passes, or all, as `quarantined` says."""
        self._release = self.trial_call = None
        self._trial_due = INFINITY

    def try_as_trial(self, event: Any) -> bool:
        """Return whether an event may be the trial call, and use it up: only for a plugin that answers no calls."""
        if not self.on_trial or self.spec.plugin.actions_of("passive"):
            return False
        return self._try_trial_call(event.ordering_key, EVENTS[type(event)])

    def _try_trial_call(self, charge_point_id: str, action: str) -> bool:
        now = self._now()
        if self._trial_due > now or self.phase is not RUNNING or self.threads_stuck:
            return False
        self._trial_due = (
            now + self.breakers.policy.trial_call_s
        )  # the next one, if the outcome of this one never comes
        self.trial_call = (charge_point_id, action)
        return True

    def drain(self, why: str) -> None:
        """Have fallbacks answer the calls that wait here, and drop events; other messages stay."""
        kept: deque[Any] = deque()
        for message in self.messages or ():
            if isinstance(message, Call):
                if type(message) is ShadowCall:
                    self._shadow_done(message.ordering_key)
                message.return_unhandled(why)
            elif isinstance(message, DeliveredEvent | AttemptShown):
                message.finish(Untried(why))
            elif isinstance(message, ResourceAsked):
                message.finish(Failure(PluginOutOfService(f"plugin {self.urn}: {why}")))
            elif type(message) in BOUNDED:
                self._unseen -= 1
            elif type(message) not in EVENTS:
                kept.append(message)
        self.messages = kept or None

    # -- Handlers that the cell watches ------------------------------------------------------

    def event_handlers(self) -> list[tuple[str, Hashable, float]]:
        """List the handlers of events and answers that run: what they handle, for which key, and since when."""
        events_s = 0.0 if self.context is None else self.context.events_s
        return [(one.what, one.ordering_key, one.due - events_s) for one in self._watched]

    def _handle_event(self, actor: Actor, event: Any, what: str) -> None:
        breakers = self.breakers
        if breakers.failing and not breakers.try_pass(event.ordering_key, what, self._now()):
            self._count("event_skipped", event.ordering_key)
        elif self._watch_over(actor, event, what):
            self.note_success(event.ordering_key, what)

    def _watch_over(self, actor: Actor, message: Any, what: str) -> bool:
        """Let the actor handle a message within `events_s`; return false if it took longer."""
        context: Any = self.context
        watched = WatchedHandler(message, what, context.clock.monotonic() + context.events_s)
        self._watched[watched] = None
        if not self._timer_set:
            self._timer_set = True
            context.timers.call_at(watched.due, self._look)
        result = attempt(actor.receive, message)
        watched.running = None
        self._watched.pop(watched, None)
        if type(result) is Failure and not watched.overdue:
            self._crash(actor, message, result)
        return not watched.overdue

    def _look(self) -> None:
        # One timer for all handlers.
        now = self._now()
        for watched in list(self._watched):
            if watched.due > now:
                self.timers.call_at(watched.due, self._look)  # type: ignore[union-attr]
                return
            del self._watched[watched]
            self._end_overdue(watched)
        self._timer_set = False

    def _end_overdue(self, watched: WatchedHandler) -> None:
        watched.overdue = True
        is_shadow = type(watched.message) is ShadowCall
        logger.warning(
            "plugin %s: %s for %s exceeded its deadline; killing it",
            self.urn,
            watched.what,
            watched.ordering_key,
        )
        self._count("shadow_overdue" if is_shadow else "event_overdue", watched.ordering_key)
        late = TimeoutError(f"{watched.what} of {watched.ordering_key} exceeded its deadline")
        if is_shadow:
            watched.message.finish(Failure(late))
        self.interrupt(watched)
        self.note_failure(watched.ordering_key, watched.what, late)

    def abandoned(self, ordering_key: Hashable) -> None:
        """Count a handler that ignored its kill and was abandoned."""
        super().abandoned(ordering_key)
        self._count("handler_abandoned", str(ordering_key))

    # -- Native threads --------------------------------------------------------------------------

    def native_pool(self) -> NativePool:
        """Return the threads of handlers that block; they outlive a restart, for what is stuck stays so."""
        if self._native_pool is None:
            self._native_pool = NativePool(
                self.spec.threads,
                self.scheduler.inlet,
                f"plugin {self.urn}",
                abandoned=self._thread_abandoned,
                all_stuck=self._threads_stuck,
            )
        return self._native_pool

    @property
    def threads_stuck(self) -> bool:
        """True if every native thread is held by a handler that did not end at its deadline."""
        return self._native_pool is not None and self._native_pool.all_are_stuck

    def _thread_abandoned(self, job: Job) -> None:
        pool = self.native_pool()
        logger.error(
            "plugin %s: %s did not end at its deadline; its native thread is abandoned, %d of %d are stuck",
            self.urn,
            job.name,
            pool.stuck,
            pool.size,
        )
        charge_point_id = getattr(job.arguments[0], "ordering_key", "") if job.arguments else ""
        self._count("thread_abandoned", str(charge_point_id))

    def _threads_stuck(self) -> None:
        """End the actor: its supervisor puts a plugin without threads into quarantine."""
        if self.phase is RUNNING:
            stuck = ThreadsStuck(f"all {self.spec.threads} threads of plugin {self.urn} are stuck (threads)")
            self._exit(Exit(Ending.CRASH, Failure(stuck), None, started=True))

    def end(self) -> None:
        """End for good, with the threads that have nothing to do."""
        super().end()
        if self._native_pool is not None:
            self._native_pool.close()

    # -- Failures ------------------------------------------------------------------------------

    @property
    def is_healthy(self) -> bool:
        """True if every call may be told to the plugin, so that `try_admit` need not be asked."""
        return not (self.breakers.failing or self.quarantined or self.phase is ENDED)

    def try_admit(self, charge_point_id: str, action: str) -> bool:
        """Return whether a call may be told to the plugin now, using up the trial call; else the fallback answers."""
        if self.ended:
            return False
        if self.quarantined:
            return self._try_trial_call(charge_point_id, action)
        return not self.breakers.failing or self.breakers.try_pass(charge_point_id, action, self._now())

    def note_success(self, charge_point_id: str, action: str) -> None:
        """Count a success: its breaker closes, and a plugin on trial is released if this was the trial call."""
        self.handled_by_action[action] = self.handled_by_action.get(action, 0) + 1
        if self.breakers.failing:
            self.breakers.succeeded(charge_point_id, action)
        trial = self.trial_call  # None mostly: this runs for each transaction message
        if trial is not None and trial == (charge_point_id, action) and self._release is not None:
            self._release()

    def note_failure(self, charge_point_id: str, action: str, error: Exception) -> None:
        """Count a failure; if too many charge points are hit, or it was the trial call, the plugin crashes.

        Handlers that still run continue, and their answers are sent.
        """
        if self.spec.plugin.passes_on:
            return
        actor = self.actor
        spent = self.breakers.failed(charge_point_id, action, self._now())
        spent = spent or self.trial_call == (charge_point_id, action)
        if (
            spent and actor is not None and self.phase is RUNNING
        ):  # else the failure belongs to the previous actor
            failure = Failure(error)
            # In a turn of its own before the restart: it may block, and this is the session's turn.
            self.scheduler.enqueue(_LastWords(self, actor, failure))
            self._exit(Exit(Ending.CRASH, failure, None, started=True))


class _LastWords:
    """Run queue entry that calls `on_failure` of an actor that has ended, once."""

    __slots__ = ("_actor", "_cell", "_failure")

    def __init__(self, cell: PluginCell, actor: Actor, failure: Failure) -> None:
        self._cell = cell
        self._actor = actor
        self._failure = failure

    def run(self, budget: int) -> None:
        """Call `on_failure`, in one turn whatever the budget."""
        del budget
        failed = attempt(self._actor.on_failure, *self._failure.exc_info)
        if type(failed) is Failure:
            self._cell.log(failed)

    def failed(self, failure: Failure) -> None:
        """Log an exception that left `run`."""
        self._cell.log(failure)
