"""Plugins: actors that answer calls, and handle events and the outcomes of commands.

    class Tags(Plugin):
        @passive(v16.Authorize)
        def authorize(self, call):
            return {"idTagInfo": {"status": "Accepted"}}

Calls of one charge point are handled in order, those of different ones concurrently. A handler may block (the greenlet
is its own) and may send commands to the charge point it is answering. A failure costs the one call it handled, never
the plugin.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar, cast, overload

from gevent import getcurrent

from ...protocol.events import LIVE, DomainEvent
from ..runtime.actor import Actor
from ..runtime.failure import Failure, attempt
from ..runtime.hub_view import HubView
from ..runtime.native_pool import in_hub
from ..runtime.threads import native_thread
from ..session.call import AnsweredCall, Call
from ..session.messages import AnswerSent, EventPublished, TicketEnded
from .alarm import Alarm
from .authentication import AttemptShown, ConnectionAttempt
from .delivered_event import DeliveredEvent
from .detached_call import RedeliveredCall
from .passed_call import PassedCall
from .resources import RESOURCES, route_of
from .shadow import MutedSystem, ShadowCall

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from ...protocol.actions import Action, Request
    from ...protocol.errors import OcppError
    from ...protocol.message import Message
    from ..runtime.cell import Cell
    from ..session.context import SessionContext
    from ..session.tickets import Ticket
    from .plugin_system import PluginSystem
    from .resources import Method, Route, TokenScope

F = TypeVar("F", bound="Callable[..., Any]")
S = TypeVar("S")
C = TypeVar("C")
T = TypeVar("T")
M = TypeVar("M", bound="Message")
Q = TypeVar("Q", bound="Request[Any]")
Q_co = TypeVar("Q_co", bound="Request[Any]", covariant=True)
W = TypeVar("W", bound="Mapping[str, Any] | None")
V = TypeVar("V", bound=bool | None)
E = TypeVar("E", bound=DomainEvent)
E2 = TypeVar("E2", bound=DomainEvent)
E3 = TypeVar("E3", bound=DomainEvent)

CONCURRENCY = 64
"""Default number of calls that a plugin handles at a time."""

_MARK = "__chargehand__"
_EVENTS = "__chargehand_events__"
_BLOCKING = "__chargehand_blocking__"

THREADS = 8
"""Default number of native threads of a plugin with handlers that block."""

_LIFE = ("on_start", "on_stop", "on_failure", "on_receive")
"""Methods that run in a native thread too if the whole plugin is blocking."""

Scope = Literal["process", "cluster"]
"""Scope of a plugin: every process, or one among all worker processes and nodes."""


def _name_of(action: type[Message] | str) -> tuple[str, str]:
    """Return the name of an action, and of its version if it was given as a request."""
    row = getattr(action, "__action__", None)
    if row is not None:
        return row.name, row.version
    if isinstance(action, str):
        return action, ""
    raise TypeError(f"{action!r} is neither a request nor the name of an action")


class _Marked(Protocol[C]):
    """Decorator of handlers that take a `C`."""

    def __call__(self, handler: Callable[[S, C], T], /) -> Callable[[S, C], T]: ...


class _Authenticates(Protocol):
    """Decorator of handlers that decide who may connect."""

    def __call__(
        self, handler: Callable[[S, ConnectionAttempt], V], /
    ) -> Callable[[S, ConnectionAttempt], V]: ...


if TYPE_CHECKING:
    # Not Protocols: those would have to be invariant, and then a request tells no checker its response.

    class _Passive(Generic[Q_co]):
        """Decorator of handlers that answer a `Q_co` with its response, a mapping, or None if they answer later."""

        @overload
        def __call__(
            self: _Passive[Request[M]], handler: Callable[[S, Call[Q_co]], M], /
        ) -> Callable[[S, Call[Q_co]], M]: ...

        @overload
        def __call__(self, handler: Callable[[S, Call[Q_co]], W], /) -> Callable[[S, Call[Q_co]], W]: ...

        @overload
        def __call__(
            self: _Passive[Request[M]], handler: Callable[[S, Call[Q_co]], M | Mapping[str, Any] | None], /
        ) -> Callable[[S, Call[Q_co]], M | Mapping[str, Any] | None]: ...

        def __call__(self, handler: Any, /) -> Any: ...

    class _After(Generic[Q_co]):
        """Decorator of handlers that take a `Q_co` that was answered, and its response or the error."""

        def __call__(
            self: _After[Request[M]], handler: Callable[[S, AnsweredCall[Q_co], M | OcppError], T], /
        ) -> Callable[[S, AnsweredCall[Q_co], M | OcppError], T]: ...


@overload
def passive(action: type[Q], *, blocking: bool = False) -> _Passive[Q]: ...


@overload
def passive(action: str, *, blocking: bool = False) -> Callable[[F], F]: ...


def passive(action: Any, *, blocking: bool = False) -> Any:
    """Mark the handler of a passive action: `handler(self, call) -> response or mapping`.

    A request is the action of its version only, a name the action of every version that has it. A `blocking` handler
    runs in a native thread of its plugin: it may block in C, or in a host that is not patched.
    """
    return _marker("passive", *_name_of(action), blocking=blocking)


@overload
def on(event: type[E], /, *, blocking: bool = False) -> _Marked[E]: ...


@overload
def on(event: type[E], second: type[E2], /, *, blocking: bool = False) -> _Marked[E | E2]: ...


@overload
def on(
    event: type[E], second: type[E2], third: type[E3], /, *, blocking: bool = False
) -> _Marked[E | E2 | E3]: ...


@overload
def on(*events: type[DomainEvent], blocking: bool = False) -> Callable[[F], F]: ...


def on(*events: type[DomainEvent], blocking: bool = False) -> Any:
    """Mark the handler of events: `handler(self, event)`. A `blocking` one runs in a native thread of its plugin.

    Live events come in order with the calls of the same charge point, once, and only while the plugin runs; of what it
    does not keep up with the newest is dropped and counted. Durable events come at least once, in order for each charge
    point, also after a crash: a handler that fails is called again later, and that charge point's further events wait.
    """
    for event in events:
        kind: Any = event
        if not isinstance(kind, type) or kind is DomainEvent or not issubclass(kind, DomainEvent):
            raise TypeError(f"{event!r} is not a kind of event")

    def mark(handler: F) -> F:
        for event in events:
            handler = _marker("on", event.__name__, blocking=blocking)(handler)
        setattr(handler, _EVENTS, {**getattr(handler, _EVENTS, {}), **{one.__name__: one for one in events}})
        return handler

    return mark


@overload
def after(action: type[Q], *, blocking: bool = False) -> _After[Q]: ...


@overload
def after(action: str, *, blocking: bool = False) -> Callable[[F], F]: ...


def after(action: Any, *, blocking: bool = False) -> Any:
    """Mark what sees the calls of an action and their answers: `handler(self, call, answer)`.

    `answer` is the typed response, or the `OcppError`, that was sent; `call.fallback` says if a fallback gave it. Live:
    called once, when the answer has been sent, in order for each charge point, and never the reason for a delay. A
    call that could not be read, or that had no answer, is not seen. Any number of plugins may look at an action; of
    what a plugin does not keep up with the newest is dropped and counted. A `blocking` handler runs in a native thread.
    """
    return _marker("after", *_name_of(action), blocking=blocking)


@overload
def on_outcome(action: type[Request[M]], *, blocking: bool = False) -> _Marked[Ticket[M]]: ...


@overload
def on_outcome(action: str = "*", *, blocking: bool = False) -> Callable[[F], F]: ...


def on_outcome(action: Any = "*", *, blocking: bool = False) -> Any:
    """Mark the handler of ended commands of an action ("*": of every action): `handler(self, ticket)`.

    A request is the action of its version only, a name the action of every version that has it.
    """
    return _marker("outcome", *_name_of(action), blocking=blocking)


@overload
def authenticate(handler: Callable[[S, ConnectionAttempt], V], /) -> Callable[[S, ConnectionAttempt], V]: ...


@overload
def authenticate(*, blocking: bool = False) -> _Authenticates: ...


def authenticate(handler: Any = None, /, *, blocking: bool = False) -> Any:
    """Mark what decides who may connect: `handler(self, attempt) -> bool | None`.

    True admits, False refuses with 401, None leaves it to the next plugin, in the end to the credentials of the
    settings and the store. The handshake waits for at most `auth.authenticate_s`, and nobody else does; a handler that
    fails, is late or is out of service refuses with 503, or has no verdict (`auth.authenticate_failure`). A `blocking`
    handler runs in a native thread of its plugin.
    """
    mark = _marker("authenticate", "", blocking=blocking)
    return mark if handler is None else mark(handler)


def resource(
    method: Method, path: str, *, scope: TokenScope | None = None, blocking: bool = False
) -> Callable[[F], F]:
    """Mark what answers an HTTP request: `handler(self, request) -> JSON`, at `/api/v1/plugins/NAME/` and the path.

    `{name}` in the path is a member of `request.path`. Its tokens need the `scope`: "read" for GET, "admin" for what
    changes something, unless it is given. What is returned is written as JSON by msgspec; `ResourceRefused` is the
    answer with another status. Requests are handled in no order, at most as many at a time as the plugin has
    `concurrency`; the client has an answer with 504 after `deadlines.events_s`. Raises ValueError for a wrong path.
    """
    route = route_of(method, path, scope or ("read" if method == "GET" else "admin"))

    def mark(handler: F) -> F:
        handler = _marker("resource", f"{method} {path}", blocking=blocking)(handler)
        setattr(handler, RESOURCES, (*getattr(handler, RESOURCES, ()), route))
        return handler

    return mark


def _marker(kind: str, action: str, version: str = "", *, blocking: bool = False) -> Callable[[F], F]:
    def mark(handler: F) -> F:
        marks = getattr(handler, _MARK, ())
        setattr(handler, _MARK, (*marks, (kind, action, version)))
        if blocking:
            setattr(handler, _BLOCKING, True)
        return handler

    return mark


class Plugin(Actor):
    """Base of all plugins. `__init__` runs again at each restart, with the arguments of `spec`.

    Handlers share the plugin's attributes: with a concurrency over 1 they may change while a handler blocks.
    """

    handlers: ClassVar[Mapping[tuple[str, str, str], str]] = {}
    """Names of methods by kind, action, and version of OCPP ("" for every version)."""
    settings_class: ClassVar[type[Any] | None] = None
    """Frozen dataclass of the plugin's own settings, whose instance is the first argument of `__init__`; None for none.

    A method `conflicts` of it may yield further faults, as the key of a setting and the text.
    """
    outcomes_once: ClassVar[bool] = False
    """True for a plugin that hears in one process of a cluster how a command ended, not in the sender's too.

    It is the process that the charge point was connected to, or the sender's if that has ended.
    """
    passes_on: ClassVar[bool] = False
    """True for a plugin that forwards calls: their failures are counted where they are handled."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        handlers: dict[tuple[str, str, str], str] = {}
        for kind in reversed(cls.__mro__):
            for name, value in vars(kind).items():
                marks = getattr(value, _MARK, ())
                if marks and hasattr(Plugin, name):
                    raise TypeError(
                        f"{cls.__name__}.{name} hides the attribute {name} of actors; use another name"
                    )
                for mark in marks:
                    if kind is cls and handlers.get(mark, name) != name and handlers[mark] in vars(cls):
                        raise TypeError(f"{cls.__name__} has two handlers for {mark[1] or mark[0]}")
                    if not mark[2]:  # a handler for every version takes the place of inherited ones
                        for one in [one for one in handlers if one[:2] == mark[:2]]:
                            if handlers[one] not in vars(kind):
                                del handlers[one]
                    handlers[mark] = name
        cls.handlers = handlers

    def _place(self, cell: Cell) -> None:
        super()._place(cell)
        self._bound: dict[Action, Callable[[Any], Any]] = {}  # handlers of calls, by row; made at first use
        blocking = self._blocking(whole=getattr(getattr(cell, "spec", None), "blocking", False))
        for name in blocking:  # instead of the method: nothing else need know where a handler runs
            run: Any = cell.native_pool().run  # type: ignore[attr-defined]
            vars(self)[name] = partial(run, getattr(self, name))

    @classmethod
    def _blocking(cls, *, whole: bool) -> list[str]:
        """List the methods that run in native threads."""
        names = dict.fromkeys(cls.handlers.values())
        if not whole:
            return [name for name in names if hasattr(getattr(cls, name), _BLOCKING)]
        return [*names, *(name for name in _LIFE if getattr(cls, name) is not getattr(Plugin, name))]

    @classmethod
    def spec(
        cls,
        *args: Any,
        concurrency: int = CONCURRENCY,
        name: str = "",
        shadow: bool = False,
        shutdown_s: float | None = None,
        scope: Scope = "process",
        blocking: bool = False,
        threads: int = THREADS,
        **kwargs: Any,
    ) -> PluginSpec:
        """Make the spec of this plugin: its arguments, its number of concurrent calls, its name in reports.

        A shadow sees the same calls as the plugin that answers; its own answers are compared and never sent.
        `shutdown_s` are the seconds that it has to stop (default: `supervision.shutdown_s`). With the `scope` "cluster"
        one instance runs among all worker processes and nodes, and has the events of all charge points; it can have
        handlers of events only, for the calls of a charge point stay at its process. Raises ValueError for another one.
        With `blocking` all handlers, and `on_start`, `on_stop` and `on_failure`, run in native threads, at most
        `threads` at a time; handlers that are marked as blocking do so in any case.
        """
        if threads < 1:
            raise ValueError(f"plugin {name or cls.__name__}: {threads} threads are too few")
        other = sorted({kind for kind, _, _ in cls.handlers} - {"on", "resource"})
        if scope == "cluster" and (other or shadow):
            raise ValueError(
                f"plugin {name or cls.__name__}: with the scope cluster it can have handlers of events (@on) only, "
                f"not {', '.join(other) or 'be a shadow'}"
            )
        name = name or cls.__name__
        return PluginSpec(cls, args, kwargs, concurrency, name, shadow, shutdown_s, scope, blocking, threads)

    @classmethod
    def actions_of(cls, kind: str) -> list[str]:
        """Return the actions with a handler of a kind: "passive", "after", "on", "outcome" or "authenticate" ("")."""
        return list(dict.fromkeys(action for found, action, _ in cls.handlers if found == kind))

    @classmethod
    def resources(cls) -> list[Route]:
        """List the HTTP resources of this plugin."""
        return [
            route._replace(handler=name)
            for name in dict.fromkeys(
                name for (kind, _, _), name in cls.handlers.items() if kind == "resource"
            )
            for route in getattr(getattr(cls, name), RESOURCES)
        ]

    @classmethod
    def events_heard(cls) -> list[type[DomainEvent]]:
        """Return the kinds of live events that have a handler."""
        return [kind for kind in cls._kinds_heard() if kind in LIVE]

    @classmethod
    def durable_events_heard(cls) -> list[type[DomainEvent]]:
        """Return the kinds of durable events that have a handler."""
        return [kind for kind in cls._kinds_heard() if kind not in LIVE]

    @classmethod
    def _kinds_heard(cls) -> list[type[DomainEvent]]:
        return [
            getattr(getattr(cls, method), _EVENTS)[name]
            for (kind, name, _), method in cls.handlers.items()
            if kind == "on"
        ]

    @classmethod
    def handler_of(cls, kind: str, action: str, version: str = "") -> str | None:
        """Find the name of the method that handles an action of a version; None if there is none."""
        return cls.handlers.get((kind, action, version)) or cls.handlers.get((kind, action, ""))

    @property
    def system(self) -> PluginSystem:
        """System that this plugin runs in: commands and verbs, charge points, and the store.

        In a native thread it is a view, whose calls happen in the hub. Commands of a shadow end `never_sent`.
        """
        cell: Any = self._cell
        system: PluginSystem | None = getattr(cell, "system", None)
        if system is None:
            raise RuntimeError(f"{self} was not started by a system")
        if cell.shadow and cell.context is not None:
            system = MutedSystem(cell, cell.context)
        inlet = cell.scheduler.inlet
        return system if native_thread() == inlet.thread else cast("PluginSystem", HubView(system, inlet))

    def now(self) -> dt.datetime:
        """Return the UTC time by the system's clock, which a test may move."""
        return self._surroundings.now()

    def call_later(self, seconds: float, function: Callable[..., object], *arguments: Any) -> Alarm:
        """Call a method of this plugin in so many seconds by the system's clock, as a message of its own.

        An exception that leaves it is logged. Nothing happens if the plugin has ended by then; a plugin that is started
        again sets its alarms again, in `on_start`. `cancel` what is returned to leave it undone.
        """
        cell: Any = self._cell
        context = self._surroundings
        alarm = Alarm(self, function, arguments)

        def due() -> None:
            if not alarm.cancelled and not cell.ended:
                cell.tell(alarm)

        def start() -> None:
            context.timers.call_at(context.clock.monotonic() + seconds, due)

        in_hub(cell.scheduler.inlet, start)
        return alarm

    @property
    def _surroundings(self) -> SessionContext:
        context: SessionContext | None = getattr(self._cell, "context", None)
        if context is None:
            raise RuntimeError(f"{self} was not started by a system")
        return context

    def _due(self, alarm: Alarm) -> None:
        if alarm.plugin is self:
            outcome = attempt(alarm.run)
            if type(outcome) is Failure:
                self._cell.log(outcome)

    def receive(self, message: Any) -> Any:
        """Handle a call or an event; pykka handles its own messages."""
        kind = type(message)
        if kind is Call:
            return self.answer_call(message)
        if kind is RedeliveredCall or kind is ShadowCall or kind is PassedCall:
            if message.open:
                self.answer_call(message)
            return None
        if kind is AnswerSent:
            return self._see(message)
        if kind is DeliveredEvent:
            message.outcome = self._take(message.event)
            return None
        if kind is EventPublished:
            return self._hear(message.event, "on", type(message.event).__name__)
        if kind is AttemptShown:
            return self._authenticate(message)
        if kind is Alarm:
            return self._due(message)
        if kind is TicketEnded:
            ticket = message.ticket
            return self._hear(ticket, "outcome", ticket.action, "*", version=ticket.version)
        return super().receive(message)

    def answer_call(self, call: Call[Any]) -> None:
        """Handle a call, unless a fallback has answered it while it waited. For the runtime."""
        if call.fallback_taken:
            return
        call.running = getcurrent()
        row = call.incoming.action
        outcome = attempt(self._bound.get(row) or self._bind(row), call)
        call.running = None
        if type(outcome) is Failure or not call.given_away:
            call.finish(outcome)

    def _bind(self, row: Action) -> Callable[[Any], Any]:
        name = self.handler_of("passive", row.name, row.version)
        if name is None:
            raise LookupError(f"{self} has no handler for {row.name} of OCPP {row.version}")
        handler: Callable[[Any], Any] = getattr(self, name)
        self._bound[row] = handler
        return handler

    def _see(self, event: AnswerSent) -> None:
        row = event.call.incoming.action
        name = self.handler_of("after", row.name, row.version)
        if name is None:
            return
        answer: Any = event.answer
        if isinstance(answer, bytes):
            answer = row.response.__decoder__.decode(answer)
        outcome = attempt(getattr(self, name), event.call, answer)
        if type(outcome) is Failure:
            self._cell.log(outcome)

    def _authenticate(self, shown: AttemptShown) -> None:
        name = self.handler_of("authenticate", "")
        if name is None or not shown.open:
            return
        shown.running = getcurrent()
        outcome = attempt(getattr(self, name), shown.attempt)
        shown.running = None
        shown.finish(outcome)

    def _take(self, event: DomainEvent) -> Failure | None:
        name = self.handler_of("on", type(event).__name__)
        outcome = None if name is None else attempt(getattr(self, name), event)
        return outcome if type(outcome) is Failure else None

    def _hear(self, subject: Any, kind: str, *actions: str, version: str = "") -> None:
        for action in actions:
            name = self.handler_of(kind, action, version)
            if name is None:
                continue
            outcome = attempt(getattr(self, name), subject)
            if type(outcome) is Failure:
                self._cell.log(outcome)
                if outcome.killed:
                    return  # the deadline holds for all of them


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """Recipe of a plugin: class, arguments, concurrency, name."""

    plugin: type[Plugin]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = CONCURRENCY
    name: str = ""
    shadow: bool = False
    shutdown_s: float | None = None
    scope: Scope = "process"
    blocking: bool = False
    threads: int = THREADS
