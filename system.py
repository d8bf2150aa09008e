"""The central system: everything put together, started from left to right and stopped from right to left.

    root (rest_for_one)
    ├── plugins    what answers
    ├── sessions   one actor a charge point
    └── endpoints  ws, wss, HTTP

It lives in the hub of the native thread that starts it. It patches nothing, installs no signal handler, and opens no
HTTP port unless its settings say so.
"""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from gevent.event import Event
from gevent.pool import Pool

from .actors import threads
from .actors.cell import Cell, Exit, Phase
from .actors.directory import Directory
from .actors.failure import Failure, attempt
from .actors.messages import CancelCall, OutcomeKnown, SendCall
from .actors.routing import Router
from .actors.scheduler import Scheduler
from .actors.services import Services
from .actors.threads import Inlet, native_thread
from .actors.tickets import Ticket, TicketBook, TicketState
from .actors.timers import HubTimers, SystemClock
from .config.checks import checked
from .config.settings import Settings
from .operations import Operations
from .protocol import v16
from .protocol.actions import Sender
from .protocol.effects import pair_of
from .protocol.payload import build
from .protocol.session import Registration, Rules
from .store.memory import MemoryStore
from .store.postgres import PostgresStore
from .store.records import Tag
from .store.sqlite import SqliteStore
from .supervisor.entrance import Entrance
from .supervisor.rules import Strategy
from .supervisor.sessions import Sessions
from .supervisor.supervisor import Supervisor
from .supervisor.watchdog import Watchdog
from .tree import Tree, spec_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .actors.charge_point import ChargePoint
    from .actors.plugin import Plugin, PluginSpec
    from .actors.services import Observer
    from .actors.timers import Clock
    from .protocol.actions import Request
    from .protocol.message import Message
    from .store.store import Store

logger = logging.getLogger(__name__)

R = TypeVar("R", bound="Message")

SQLITE_FILE = "chargehand.sqlite"
"""The store's file in the data folder."""

SWEEP_S = 60.0
"""Seconds between looks for charge points that have been away too long."""


class SystemFailed(Exception):
    """The root supervisor gave up, and the system has stopped."""


class Counters:
    """How often what happened, by name; whoever else wants to hear of it is told too."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self.counts: dict[str, int] = {}
        self._observers = tuple(observers)

    def count(self, name: str, charge_point_id: str) -> None:
        """Count one."""
        self.counts[name] = self.counts.get(name, 0) + 1
        for observer in self._observers:
            failure = attempt(observer.count, name, charge_point_id)
            if type(failure) is Failure:
                logger.error("An observer failed at %s:", name, exc_info=failure.exc_info)


class CentralSystem(Operations):
    """An OCPP central system. Use it with `with`, or `start` and `stop` it.

    `plugins` are specs (`Tags.spec(...)`) or plugin classes without arguments; those in `settings.plugins` come
    behind them, the back office last. `on_online` and `on_offline` are called in the hub with the `ChargePoint`; they
    must not block. `observers` hear of everything that is counted. With a `store` of your own, you close it. Raises
    `ConfigError` for settings that cannot be.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        plugins: Iterable[PluginSpec | type[Plugin]] = (),
        *,
        store: Store | None = None,
        clock: Clock | None = None,
        on_online: Callable[[ChargePoint], None] | None = None,
        on_offline: Callable[[ChargePoint], None] | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.settings = checked(settings or Settings())
        self.counters = Counters(observers)
        self._own_specs = [spec_of(plugin) for plugin in plugins]
        self._store = store
        self._clock = clock or SystemClock()
        self._on_online = on_online
        self._on_offline = on_offline
        self._root: Cell | None = None
        self._watchdog: Watchdog | None = None
        self._stopped = Event()
        self._stopped.set()
        self._failure: Exception | None = None
        self._ports = {
            "ws": self.settings.port,
            "wss": self.settings.tls.port,
            "http": self.settings.http.port,
        }

    # -- Start and stop ------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything; returns when it serves. Raises what kept it from it, and has stopped the rest then."""
        if self._root is not None:
            raise RuntimeError("it is running")
        settings = self.settings
        self._thread = native_thread()
        self._inlet = Inlet()
        self._scheduler = Scheduler()
        self._timers = HubTimers(self._clock)
        self._router = Router()
        self._directory = Directory()
        self._pool = Pool()
        self._running: set[Any] = set()
        self._book = TicketBook(os.urandom(4).hex())
        self.store: Store = self._store or _open_store(settings, self._clock)
        if not self.store.durable:
            logger.warning("the store is memory: nothing is left of it when this process ends")
        self._services = Services(
            rules=_rules(settings),
            scheduler=self._scheduler,
            timers=self._timers,
            router=self._router,
            ledger=self.store,
            observer=self.counters,
            calls_in_flight_limit=settings.sessions.calls_in_flight_limit,
            inbox_limit=settings.sessions.inbox_limit,
            id_tag_status=settings.deadlines.stand_in_id_tag_status,
            recorder_bytes=settings.sessions.recorder_bytes,
        )
        self._services.went_online = self._went_online
        self._services.went_offline = self._went_offline
        self._sessions = Sessions(
            self._services,
            self._directory,
            keep_offline_s=settings.sessions.keep_offline_s,
            close_timeout_s=settings.sessions.close_timeout_s,
            close_spread_s=settings.sessions.close_spread_s,
            registration_of=self._registration_of,
            id_prefix=os.urandom(4).hex(),
        )
        self._entrance = Entrance(settings, self._sessions, [v16.VERSION.subprotocol])
        self._stopped.clear()
        self._failure = None
        try:
            self._root = self._start_root()
        finally:
            if self._root is None:
                self._let_go()
        self._timers.call_at(self._clock.monotonic() + SWEEP_S, self._sweep)
        if settings.supervision.watchdog_s > 0:
            self._watchdog = Watchdog(settings.supervision.watchdog_s, self._was_blocked)
            self._watchdog.start()

    def _start_root(self) -> Cell:
        tree = Tree(
            system=self,
            settings=self.settings,
            plugins=self._own_specs,
            services=self._services,
            sessions=self._sessions,
            entrance=self._entrance,
            store=self.store,
            ports=self._ports,
            pool=self._pool,
            running=self._running,
        )
        make = Supervisor.maker(tree.children(), self._timers, Strategy.REST_FOR_ONE, tree.policy())
        root = Cell(self._scheduler, "root", make)
        started = False
        try:
            root.start()
            started = True
        finally:
            if not started:
                root.kill()  # it is still starting if whoever waits for it was interrupted
                root.join(self.settings.supervision.stop_timeout_s)
                root.end()
        root.watch = self._root_ended
        return root

    def _was_blocked(self, seconds: float, stack: str) -> None:
        self.counters.count("hub_blocked", "")
        logger.error("the hub was blocked for %.1f s:\n%s", seconds, stack)

    def stop(self) -> None:
        """Stop everything in order: no new connections, then the sessions with their sockets, then the plugins.

        Every ticket has ended when it returns. Safe to call again.
        """
        root = self._root
        if root is None:
            return
        self._root = None
        if self._watchdog is not None:
            self._watchdog.stop()
            self._watchdog = None
        root.watch = None
        self._entrance.close()
        if root.phase in (Phase.STARTING, Phase.RUNNING):
            root.ref.stop(block=False)
            if not root.join(self.settings.supervision.stop_timeout_s):
                logger.error(
                    "it did not stop in %g s and is killed", self.settings.supervision.stop_timeout_s
                )
                root.kill()
                root.join(1.0)
        root.end()
        self._let_go()

    def _let_go(self) -> None:
        for cell in self._directory:
            self._sessions.let_go(cell)
        for ticket in self._book.open_tickets():
            ticket.end(TicketState.NEVER_SENT, self._clock.time(), "the central system has stopped")
        self._pool.kill(timeout=1.0)
        for connection in list(self._running):  # closing still, or half-open: nobody would end them any more
            connection.finish()
        self._timers.clear()
        self._scheduler.close()
        self._inlet.close()
        if self._store is None:
            self.store.close()
        self._stopped.set()

    def _root_ended(self, root: Cell, exit_: Exit) -> None:
        self._failure = exit_.failure.error if exit_.failure is not None else None
        root.watch = None
        self._stopped.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it has stopped, or return at once if it does not run; false if it runs after `timeout_s`.

        Raises `SystemFailed`, to everybody who waits, if the root gave up.
        """
        if not self._stopped.wait(timeout_s):
            return False
        if self._failure is not None:
            self.stop()
            raise SystemFailed(str(self._failure)) from self._failure
        return True

    # -- Ports ---------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port of ws: the one that was bound if the settings said 0."""
        return self._ports["ws"]

    @property
    def tls_port(self) -> int:
        """The port of wss."""
        return self._ports["wss"]

    @property
    def http_port(self) -> int:
        """The port of the HTTP API."""
        return self._ports["http"]

    # -- Active calls ------------------------------------------------------------------------------

    def call(
        self,
        charge_point: str,
        request: Request[R],
        *,
        timeout_s: float | None = None,
        when_offline: str = "fail",
        expires_in_s: float | None = None,
        until_effect: bool = False,
        effect_timeout_s: float | None = None,
    ) -> Ticket[R]:
        """Send a request to a charge point. Never blocks; safe from any greenlet and any native thread.

        `timeout_s` is for the answer once it is sent (default: `sessions.call_timeout_s`). With `when_offline="queue"`
        it waits for a charge point that is away, at most `expires_in_s`. With `until_effect` the ticket ends
        when what was
        promised has shown itself (`ticket.effect`), a RemoteStartTransaction with its StartTransaction for
        example, or after
        `effect_timeout_s`. Raises `InvalidPayload` for a request that breaks its contract, ValueError for one that a
        central system does not send and for a time that is not above 0, LookupError for what is no request of OCPP
        1.6 at all. OCPP 1.6, section 5.
        """
        _check_seconds(timeout_s=timeout_s, expires_in_s=expires_in_s, effect_timeout_s=effect_timeout_s)
        if when_offline not in ("fail", "queue"):
            raise ValueError('when_offline is "fail" or "queue"')
        row = v16.VERSION.row_of(request)
        if not row.sender.allows(Sender.CENTRAL_SYSTEM):
            raise ValueError(f"{row.name} is sent by charge points, not to them")
        if self._root is None:
            raise RuntimeError("the central system is not running")
        if until_effect and pair_of(row.name, request) is None:
            raise ValueError(f"OCPP has no message that shows the effect of {row.name}")
        if until_effect and effect_timeout_s is None:
            effect_timeout_s = self.settings.sessions.effect_timeout_s
        ticket: Ticket[R] = Ticket(
            self._book.new_id(),
            charge_point,
            row.name,
            request,
            build(row.request, request),
            timeout_s=self.settings.sessions.call_timeout_s if timeout_s is None else timeout_s,
            created_at=self._clock.time(),
            when_offline=when_offline,
            expires_in_s=expires_in_s,
            cancel=self._cancel,
            thread=self._thread,
            effect_timeout_s=effect_timeout_s if until_effect else None,
        )
        self._in_hub(self._submit, ticket)
        return ticket

    def _in_hub(self, function: Callable[[Any], None], argument: Any) -> None:
        if native_thread() == self._thread:
            function(argument)
        else:
            self._inlet.put(function, argument)

    def _submit(self, ticket: Ticket[Any]) -> None:
        self._book.add(ticket)
        cell = self._directory.find(ticket.charge_point_id)
        if cell is None and ticket.when_offline == "queue" and self._root is not None:
            cell = self._sessions.expect(ticket.charge_point_id)
        if cell is None or cell.is_set() or self._root is None:
            ticket.end(TicketState.NEVER_SENT, self._clock.time(), "the charge point is not connected")
            self._router.tell_outcome(ticket.action, OutcomeKnown(ticket))
        else:
            cell.tell(SendCall(ticket))

    def _cancel(self, ticket: Ticket[Any]) -> None:
        self._in_hub(self._cancel_in_hub, ticket)

    def _cancel_in_hub(self, ticket: Ticket[Any]) -> None:
        cell = self._directory.find(ticket.charge_point_id)
        if cell is not None and not cell.is_set():
            cell.tell(CancelCall(ticket))

    def ticket(self, ticket_id: str) -> Ticket[Any] | None:
        """Find a ticket; None if it is unknown, or ended long ago."""
        return self._book.find(ticket_id)

    def open_tickets(self, charge_point_id: str = "") -> list[Ticket[Any]]:
        """The tickets that have not ended: of one charge point, or of all."""
        return [
            ticket
            for ticket in self._book.open_tickets()
            if not charge_point_id or ticket.charge_point_id == charge_point_id
        ]

    # -- Inside ------------------------------------------------------------------------------------

    def _registration_of(self, charge_point_id: str) -> Registration | None:
        status = self.store.registration(charge_point_id)
        return Registration(status) if status is not None else None

    def _went_online(self, charge_point: ChargePoint) -> None:
        if self._on_online is not None:
            self._on_online(charge_point)

    def _went_offline(self, charge_point: ChargePoint, _code: int, _reason: str) -> None:
        self._directory.note_offline(charge_point.id, self._clock.monotonic())
        if self._on_offline is not None:
            self._on_offline(charge_point)

    def _sweep(self) -> None:
        if self._root is None:
            return
        now = self._clock.monotonic()
        self._sessions.sweep(now)
        self._timers.call_at(now + SWEEP_S, self._sweep)


def _check_seconds(**given: Any) -> None:
    # Here, for the session could only crash of it; and a call without an end would break what a ticket promises.
    for name, value in given.items():
        if value is None:
            continue
        if not isinstance(value, int | float) or not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} must be seconds above 0, not {value!r}")


def _rules(settings: Settings) -> Rules:
    return Rules(
        version=v16.VERSION,
        strict=settings.policy == "strict",
        default_deadline_s=settings.deadlines.default_s,
        deadlines_s=dict(settings.deadlines.actions),
        queue_limit=settings.sessions.queue_limit,
        accept_unbooted=settings.sessions.accept_unbooted,
        answer_transactions_unregistered=settings.sessions.answer_transactions_unregistered,
    )


def _open_store(settings: Settings, clock: Clock) -> Store:
    tags = (
        Tag(id_tag=id_tag, status=tag.status, expiry=tag.expiry, parent=tag.parent)
        for id_tag, tag in settings.back_office.tags.items()
    )
    if settings.store == "sqlite":
        folder = Path(settings.data)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SqliteStore.open(str(folder / SQLITE_FILE), threads, tags=tags)
    if settings.store != "memory":
        return PostgresStore.open(settings.store, threads, tags=tags)
    # From the clock: a charge point may still be charging under a number of the process before this one.
    return MemoryStore(tags=tags, first_transaction_id=int(clock.time()) % 2**31 or 1)
