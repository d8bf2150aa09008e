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
import os
from typing import TYPE_CHECKING, Any, Self

from gevent.event import Event
from gevent.pool import Pool

from ..actors.plugin.routing import Router
from ..actors.runtime import threads
from ..actors.runtime.cell import Cell, Exit, Phase
from ..actors.runtime.scheduler import Scheduler
from ..actors.runtime.threads import Inlet, native_thread
from ..actors.runtime.timers import HubTimers, SystemClock
from ..actors.session.commands import CommandDefaults
from ..actors.session.directory import Directory
from ..actors.session.tickets import TicketRegistry, TicketState
from ..admission.credentials import Credentials
from ..admission.gatekeeper import Gatekeeper
from ..config.checks import checked
from ..config.settings import Settings
from ..protocol import v16
from ..protocol.session import Registration
from ..remote.cluster.factory import open_coordinator
from ..store.factory import open_store
from ..supervisor.rules import Strategy
from ..supervisor.sessions import Sessions
from ..supervisor.supervisor import Supervisor
from ..supervisor.watchdog import Watchdog
from .commands import Calls
from .counters import Counters, call_back
from .membership import Membership
from .operations import Operations
from .ticket_store import TicketStore
from .tree import Tree, spec_of
from .wiring import context_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..actors.plugin.plugin import Plugin, PluginSpec
    from ..actors.runtime.timers import Clock
    from ..actors.session.charge_point import ChargePoint
    from ..actors.session.context import Observer
    from ..config.worker_process import Worker
    from ..remote.cluster.cluster import Cluster
    from ..remote.cluster.coordinator import Coordinator
    from ..store.store import Store

logger = logging.getLogger(__name__)

SWEEP_S = 60.0
"""Seconds between looks for charge points that have been away too long."""


class SystemFailed(Exception):
    """The root supervisor gave up, and the system has stopped."""


class CentralSystem(Calls, Operations):
    """An OCPP central system. Use it with `with`, or `start` and `stop` it.

    `plugins` are specs (`Tags.spec(...)`) or plugin classes without arguments; those in `settings.plugins` come
    behind them, the back office last. `on_online` and `on_offline` are called with the `ChargePoint`, in greenlets of
    their own. `observers` hear of everything that is counted. With a `store` of your own, you close it. `worker` is the
    program's, for one of several processes. Raises `ConfigError` for settings that cannot be.
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
        coordinator: Coordinator | None = None,
        worker: Worker | None = None,
    ) -> None:
        self.worker = worker
        self._given_coordinator = coordinator
        self._coordinator: Coordinator | None = None
        self._membership: Membership | None = None
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
        self._children_s = 0.0
        self._lists_on_their_way = set()
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
        self._book = TicketRegistry(os.urandom(4).hex())
        self.store: Store = self._store or open_store(settings, threads, self._clock.time(), self.worker)
        if not self.store.durable:
            logger.warning("the store is memory: nothing is left of it when this process ends")
        self._context = context_of(
            settings,
            scheduler=self._scheduler,
            timers=self._timers,
            router=self._router,
            store=self.store,
            observer=self.counters,
        )
        broker = self.worker.coordinator_path if self.worker is not None else ""
        self._coordinator = self._given_coordinator or open_coordinator(settings.redis, broker, self._clock)
        if self.store.durable:
            node = self._coordinator.node if self._coordinator is not None else ""
            self._context.keeper = TicketStore(self.store.collections.tickets, node)
        self._context.ticket_ended = self._ticket_ended
        self._limits = CommandDefaults(
            settings.sessions.command_timeout_s,
            settings.sessions.command_expires_s,
            settings.sessions.effect_timeout_s,
        )
        self._context.went_online = self._went_online
        self._context.went_offline = self._went_offline
        self._sessions = Sessions(
            self._context,
            self._directory,
            keep_offline_s=settings.sessions.keep_offline_s,
            close_timeout_s=settings.sessions.close_timeout_s,
            close_spread_s=settings.sessions.close_spread_s,
            registration_of=self._registration_of,
            id_prefix=os.urandom(4).hex(),
        )
        self.credentials = Credentials(
            settings.auth.credentials, self.store.collections.credentials, required=settings.auth.required
        )
        self._membership = None
        if self._coordinator is not None:
            self._membership = Membership(
                self._coordinator,
                self,
                context=self._context,
                directory=self._directory,
                book=self._book,
                store=self.store,
            )
        self._entrance = Gatekeeper(
            settings, self._sessions, [v16.VERSION.subprotocol], self.credentials, self._membership
        )
        self._stopped.clear()
        self._failure = None
        if self._membership is not None:
            self._membership.cluster.start()
        try:
            self._root = self._start_root()
        finally:
            if self._root is None:
                self._let_go()
        self._restore_tickets()
        self._timers.call_at(self._clock.monotonic() + SWEEP_S, self._sweep)
        if settings.supervision.watchdog_s > 0:
            self._watchdog = Watchdog(settings.supervision.watchdog_s, self._was_blocked)
            self._watchdog.start()

    def _start_root(self) -> Cell:
        tree = Tree(
            system=self,
            settings=self.settings,
            plugins=self._own_specs,
            context=self._context,
            sessions=self._sessions,
            entrance=self._entrance,
            store=self.store,
            ports=self._ports,
            pool=self._pool,
            running=self._running,
            share_ports=self.worker is not None,
        )
        children = tree.children()
        self._children_s = sum(child.shutdown_s for child in children)
        make = Supervisor.maker(children, self._timers, Strategy.REST_FOR_ONE, tree.policy())
        root = Cell(self._scheduler, "root", make)
        started = False
        try:
            root.start()
            started = True
        finally:
            if not started:
                root.kill()  # it is still starting if whoever waits for it was interrupted
                root.join(self._stop_s())
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
        if self._membership is not None:
            self._membership.give_back()
        if root.phase in (Phase.STARTING, Phase.RUNNING):
            root.ref.stop(block=False)
            stop_s = self._stop_s()
            if not root.join(stop_s):
                logger.error("it did not stop in %g s and is killed", stop_s)
                root.kill()
                root.join(1.0)
        root.end()
        self._let_go()

    def _stop_s(self) -> float:
        """The seconds that the whole system has, and those that plugins have of their own; or all of its children's."""
        limit_s = self.settings.supervision.stop_timeout_s
        own_s = sum(spec.shutdown_s or 0.0 for spec in self._own_specs)
        return limit_s + own_s if limit_s else self._children_s

    def _let_go(self) -> None:
        for cell in self._directory:
            self._sessions.let_go(cell)
        keeper, reason = self._context.keeper, "the central system has stopped"
        for ticket in self._book.open_tickets():
            if self._membership is not None and self._membership.leave(ticket, self._clock.time(), reason):
                continue
            if keeper is not None and keeper.survives(ticket):
                ticket.detach(self._clock.time(), reason)
            else:
                ticket.end(TicketState.NEVER_SENT, self._clock.time(), reason)
        self._pool.kill(timeout=1.0)
        for connection in list(self._running):  # closing still, or half-open: nobody would end them any more
            connection.finish()
        if self._membership is not None:
            self._membership.cluster.stop()
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

    @property
    def cluster(self) -> Cluster | None:
        """The processes that share these charge points; None if this is the only one."""
        return self._membership.cluster if self._membership is not None else None

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

    # -- Inside ------------------------------------------------------------------------------------

    def _registration_of(self, charge_point_id: str) -> Registration | None:
        stored = self.store.registration(charge_point_id)
        return Registration(stored.status) if stored is not None else None

    def _went_online(self, charge_point: ChargePoint) -> None:
        if self._on_online is not None:
            call_back(self._pool, self._on_online, charge_point)

    def _went_offline(self, charge_point: ChargePoint, _code: int, _reason: str) -> None:
        self._directory.note_offline(charge_point.id, self._clock.monotonic())
        if self._membership is not None:
            self._membership.went_offline(charge_point.id)
        if self._on_offline is not None:
            call_back(self._pool, self._on_offline, charge_point)

    def _sweep(self) -> None:
        if self._root is None:
            return
        now = self._clock.monotonic()
        self._sessions.sweep(now)
        self._timers.call_at(now + SWEEP_S, self._sweep)
