"""The central system: everything put together, started from left to right and stopped from right to left.

    root (rest_for_one)
    ├── plugins    answer calls
    ├── sessions   one actor per charge point
    └── endpoints  ws, wss, HTTP

It lives in the hub of the native thread that starts it. It patches nothing, installs no signal handler, and opens no
HTTP port unless its settings say so.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from ..actors.plugin.alerts import raise_alert
from ..actors.plugin.plugin_system import PluginSystem
from ..actors.runtime.cell import Cell, CellPhase, Exit
from ..actors.runtime.future import wait_until, wake_all
from ..actors.runtime.hub_view import from_any_thread, seen_from_here
from ..actors.runtime.native_pool import in_hub
from ..actors.runtime.threads import Inlet
from ..actors.runtime.timers import SystemClock
from ..admission.applicants import Applicants
from ..admission.credentials import Credentials
from ..admission.security_events import SecurityEvents
from ..admission.security_profiles import SecurityProfiles
from ..config.checks import checked
from ..config.errors import ChargehandError
from ..config.settings import Settings
from ..protocol.events import SiteMetered
from ..protocol.versions import VERSIONS
from ..supervisor.rules import Strategy
from ..supervisor.supervisor import Supervisor
from ..supervisor.watchdog import Watchdog
from .assessment import Assessment
from .commands import Commands
from .counters import Counters
from .event_stream import EventStream
from .parts import Parts
from .reload import apply_settings
from .reports import Reports
from .subscriptions import QUEUE_LIMIT, Subscription
from .tree import spec_of
from .variables import Variables

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from typing import Unpack

    from ..actors.plugin.cell import PluginCell
    from ..actors.plugin.plugin import Plugin, PluginSpec
    from ..actors.runtime.log_limit import LogLimit
    from ..actors.runtime.ref import Ref
    from ..actors.runtime.timers import Clock
    from ..actors.session.charge_point import ChargePoint
    from ..actors.session.command_sender import SendOptions
    from ..actors.session.commands import PreparedCommand
    from ..actors.session.context import Observer
    from ..actors.session.tickets import Ticket
    from ..config.reload import Reload
    from ..config.worker_process import Worker
    from ..protocol.actions import Request, Version
    from ..protocol.events import DomainEvent
    from ..protocol.message import Message
    from ..protocol.verbs import Verb
    from ..remote.cluster.cluster import Cluster
    from ..remote.cluster.coordinator import Coordinator
    from ..store.records import Cost, IssuedCertificate, Spooled, Transaction
    from ..store.store import Receipt, Store
    from ..transport.tls import ServerTls
    from .activity import Activity
    from .bulk import Bulk
    from .charge_point_filter import ChargePointFilter
    from .charge_point_list import ChargePointList
    from .event_targets import DurableSubscription
    from .local_lists import LocalListUpdate
    from .log_levels import LogLevels
    from .metrics import Metrics
    from .operations import RecentFrames
    from .store_sizes import StoreSizes
    from .tree import HttpServer
    from .upkeep import Upkeep
    from .vitals import Vitals
    from .watermarks import Watermarks

logger = logging.getLogger(__name__)

R = TypeVar("R", bound="Message")
T = TypeVar("T")

SWEEP_S = 60.0
"""Seconds between sweeps of charge points that have been offline too long."""


class ActorNotFound(ChargehandError, LookupError):
    """Error: no plugin has this name, or the charge point is not known in this process."""


class SystemFailed(ChargehandError):
    """The root supervisor gave up, or the system may not run beside others, and has stopped."""


class CentralSystem(PluginSystem):
    """OCPP central system. Use it with `with`, or `start` and `stop` it.

    `plugins` are specs (`Tags.spec(...)`) or plugin classes without arguments; those in `settings.plugins` come
    behind them, the bundled ones last. `http` is `serve_http` if the settings enable the HTTP API. `observers` are
    notified of everything that is counted. A `store` that is given is not closed. `worker` is for one of several
    processes. Raises `ConfigError` for invalid settings. `versions` are those of OCPP that it speaks, by subprotocol.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        plugins: Iterable[PluginSpec | type[Plugin]] = (),
        *,
        store: Store | None = None,
        clock: Clock | None = None,
        observers: Iterable[Observer] = (),
        coordinator: Coordinator | None = None,
        worker: Worker | None = None,
        http: HttpServer | None = None,
        versions: Mapping[str, Version] = VERSIONS,
    ) -> None:
        self.versions = versions
        self._http = http
        self.worker = worker
        self._given_coordinator = coordinator
        self.settings = checked(settings or Settings())
        self.counters = Counters(observers)
        self._own_specs = [spec_of(plugin) for plugin in plugins]
        self._store = store
        self._clock = clock or SystemClock()
        self._made: Parts | None = None
        self._root: Cell | None = None
        self._watchdog: Watchdog | None = None
        self.home: Inlet | None = None
        self._has_stopped = True
        self._waiters: list[Callable[[], None]] = []
        self._failure: Exception | None = None
        self._children_s = 0.0
        self._ports = {
            "ws": self.settings.port,
            "wss": self.settings.tls.port,
            "http": self.settings.http.port,
        }

    @property
    def _parts(self) -> Parts:
        """Parts of this run, or of the last one. Raises RuntimeError before the first."""
        if self._made is None:
            raise RuntimeError("the central system has not been started")
        return self._made

    # -- Start and stop ------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and return when it serves. After an exception nothing is left running."""
        if self._root is not None:
            raise RuntimeError("the central system is already running")
        self._made = Parts(
            self,
            clock=self._clock,
            counters=self.counters,
            coordinator=self._given_coordinator,
            store=self._store,
            plugins=self._own_specs,
            http=self._http,
            ports=self._ports,
        )
        self._has_stopped = False
        self._failure = None
        if self._parts.membership is not None:
            self._parts.membership.cluster.start()
        try:
            self._root = self._start_root()
        finally:
            if self._root is None:
                self._let_go()
        self.home = self._parts.scheduler.inlet
        self._parts.commands.open()
        self._parts.timers.call_at(self._clock.monotonic() + SWEEP_S, self._sweep)
        self._parts.tls_files.start()
        self._parts.admission.start()
        self._parts.watermarks.start()
        self._parts.vitals.start()
        self._parts.upkeep.start()
        self._parts.store_sizes.start()
        self._watchdog = Watchdog.of(self.settings.supervision, self.counters)
        if self._watchdog is not None:
            self._watchdog.start()

    def _start_root(self) -> Cell:
        children = self._parts.tree.children()
        self._children_s = sum(child.shutdown_s for child in children)
        make = Supervisor.maker(
            children, self._parts.timers, Strategy.REST_FOR_ONE, self._parts.tree.policy()
        )
        root = Cell(self._parts.scheduler, "root", make)
        started = False
        try:
            root.start()
            started = True
        finally:
            if not started:
                root.kill()  # still starting, if the caller that waits was interrupted
                root.join(self._stop_s())
                root.end()
        root.watch = self._root_ended
        return root

    @property
    def log_limit(self) -> LogLimit:
        """Limit of log lines that others can cause, for endpoints of the host's own."""
        return self._parts.context.log_limit

    @from_any_thread
    def stop(self) -> None:
        """Stop everything in order: no new connections, then the sessions with their sockets, then the plugins.

        Every ticket has ended when it returns. Safe to call again.
        """
        root = self._root
        if root is None:
            return
        self._root = None
        self._parts.commands.close()
        if self._watchdog is not None:
            self._watchdog.stop()
            self._watchdog = None
        root.watch = None
        self._parts.gatekeeper.close()
        if self._parts.membership is not None:
            self._parts.membership.give_back()
        if root.phase in (CellPhase.STARTING, CellPhase.RUNNING):
            root.ref.stop(block=False)
            stop_s = self._stop_s()
            if not root.join(stop_s):
                logger.error("central system did not stop within %g s; killing it", stop_s)
                root.kill()
                root.join(1.0)
        root.end()
        self._let_go()

    def _stop_s(self) -> float:
        """Return the seconds to stop within: the system's and those of single plugins, or all of its children's."""
        limit_s = self.settings.supervision.stop_timeout_s
        own_s = sum(spec.shutdown_s or 0.0 for spec in self._own_specs)
        return limit_s + own_s if limit_s else self._children_s

    def _let_go(self) -> None:
        self._parts.admission.stop()
        self._parts.vitals.stop()
        self._parts.watermarks.stop()
        self._parts.tls_files.stop()
        self._parts.context.log_limit.sum_up()
        for cell in self._parts.directory:
            self._parts.sessions.let_go(cell)
        self._parts.commands.end_all("the central system has stopped")
        self._parts.subscriptions.close()
        self._parts.pool.kill(timeout=1.0)
        for connection in list(
            self._parts.connections
        ):  # still closing, or half-open: nothing else would end them
            connection.finish()
        if self._parts.membership is not None:
            self._parts.membership.cluster.stop()
        self._parts.timers.clear()
        self._parts.scheduler.close()
        self._parts.inlet.close()
        if self._store is None:
            self.store.close()
        self.home = None
        self._note_stopped()

    def _root_ended(self, root: Cell, exit_: Exit) -> None:
        self._failure = exit_.failure.error if exit_.failure is not None else None
        root.watch = None
        self._note_stopped()

    def fail(self, why: str) -> None:
        """Have `wait` raise `SystemFailed`, which stops the system: it cannot go on."""
        self._failure = ChargehandError(why)
        self._note_stopped()

    def _note_stopped(self) -> None:
        self._has_stopped = True
        waiters, self._waiters = self._waiters, []
        wake_all(waiters)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the system has stopped, in any greenlet or native thread; return false after `timeout_s`.

        Raises `SystemFailed`, to all callers, if the root supervisor gave up, or the system cannot go on.
        """
        if not wait_until(lambda: self._has_stopped, self._waiters, timeout_s):
            return False
        if self._failure is not None:
            self.stop()
            raise SystemFailed(str(self._failure)) from self._failure
        return True

    @property
    def store(self) -> Store:
        """Records; in another native thread than the hub's a view of the store, whose calls happen in the hub."""
        return seen_from_here(self._parts.store, self.home)

    @property
    def assessment(self) -> Assessment:
        """Transactions with their energy and findings; in another native thread than the hub's a view."""
        return seen_from_here(self._parts.assessment, self.home)

    @property
    def reports(self) -> Reports:
        """Reports of stations, put together from their parts; in another native thread than the hub's a view."""
        return seen_from_here(self._parts.reports, self.home)

    @property
    def variables(self) -> Variables:
        """Variables of stations, stored, read and set; in another native thread than the hub's a view."""
        return seen_from_here(self._parts.variables, self.home)

    @property
    def credentials(self) -> Credentials:
        """Keys of charge points, those of the settings and those of the store."""
        return self._parts.admission.credentials

    @property
    def security_profiles(self) -> SecurityProfiles:
        """Security profiles that charge points have to connect with."""
        return self._parts.admission.profiles

    @property
    def applicants(self) -> Applicants:
        """Charge points that wait to be approved, or were rejected."""
        return self._parts.admission.applicants

    @property
    def security_events(self) -> SecurityEvents:
        """Security events of the central system itself."""
        return self._parts.admission.security_events

    @property
    def metrics(self) -> Metrics:
        """Metrics of this process. Belongs to the hub's thread."""
        return self._parts.metrics

    @property
    def log_levels(self) -> LogLevels:
        """Levels of log lines about single charge points. Belongs to the hub's thread."""
        return self._parts.log_levels

    @property
    def activity(self) -> Activity:
        """Activity of this process. Belongs to the hub's thread."""
        return self._parts.activity

    @property
    def store_sizes(self) -> StoreSizes:
        """Sizes of the store, now and before. Belongs to the hub's thread."""
        return self._parts.store_sizes

    @property
    def watermarks(self) -> Watermarks:
        """Watermarks of memory and disk of this process. Belongs to the hub's thread."""
        return self._parts.watermarks

    @property
    def upkeep(self) -> Upkeep:
        """Retention of records, and backups."""
        return self._parts.upkeep

    @property
    def vitals(self) -> Vitals:
        """Vital signs of this process: what `/readyz` tells. Belongs to the hub's thread."""
        return self._parts.vitals

    @property
    def cluster(self) -> Cluster | None:
        """Cluster of the processes that share the charge points; None if this is the only one."""
        membership = self._parts.membership
        return membership.cluster if membership is not None else None

    # -- Actors ------------------------------------------------------------------------------------

    def ref(self, plugin: str) -> Ref[Any]:
        """Return the ref of a plugin by its name: any greenlet or native thread may `tell` and `ask`.

        It stays valid over restarts. Raises `ActorNotFound` for a name that no plugin has.
        """
        cell = self._parts.router.plugin(plugin) if self._root is not None else None
        if cell is None:
            raise ActorNotFound(f"no plugin {plugin} runs in this process")
        return cell.ref

    def session_ref(self, charge_point: str) -> Ref[Any]:
        """Return the ref of the session of a charge point that this process knows, from any greenlet or native thread.

        Raises `ActorNotFound` for any other. The ref is dead once the charge point is forgotten, or known elsewhere.
        """
        cell = self._parts.directory.find(charge_point) if self._root is not None else None
        if cell is None:
            raise ActorNotFound(f"charge point {charge_point} is not known in this process")
        return cell.ref

    def run_in_hub(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Call `function` in a greenlet of the system's hub, and return or raise what it does, in any native thread.

        So a thread of the host has what belongs to the hub: `system.run_in_hub(system.store.transaction, 17)`.
        """
        if self._root is None:
            raise RuntimeError("the central system is not running")
        called: T = in_hub(self._parts.scheduler.inlet, function, *arguments, **options)
        return called

    # -- Ports ---------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Port of ws: the bound one if the setting is 0."""
        return self._ports["ws"]

    @property
    def tls_port(self) -> int:
        """Port of wss."""
        return self._ports["wss"]

    @property
    def http_port(self) -> int:
        """Port of the HTTP API."""
        return self._ports["http"]

    # -- Commands --------------------------------------------------------------------------------

    def version_of(self, charge_point: str, version: str = "") -> Version:
        """Find the version of a command: the given one, else the last of the charge point, at whichever process.

        Of a charge point that has never booted it is the preferred one. May switch greenlets. Raises `UnknownVersion`
        for one that the system does not speak.
        """
        return self._parts.commands.find_version(charge_point, version)

    def prepare(
        self, charge_point: str, action: str, payload: bytes, version: str = ""
    ) -> PreparedCommand[Any]:
        """Check a payload in JSON as the request of an action, once; `send` takes what is returned.

        `version` is the name of a version of OCPP, by default that of `version_of`. May switch greenlets. Raises
        `UnknownVersion` for one that the system does not speak; `UnknownAction` (a LookupError) for an action that the
        version has not, `NotACommand` (a ValueError) for one that only charge points send, and `InvalidPayload` with
        all violations.
        """
        return self._parts.commands.prepare(charge_point, action, payload, version)

    def _send(self, charge_point: str, request: Any, **options: Unpack[SendOptions]) -> Ticket[Any]:
        # Never blocks; safe from any greenlet and any native thread.
        return self._running_commands.send(charge_point, request, **options)

    @overload
    def subscribe(
        self,
        kinds: type[DomainEvent] | Iterable[type[DomainEvent]],
        callback: Callable[[Any], None] | None = None,
        *,
        queue_limit: int = QUEUE_LIMIT,
        charge_point_id: str = "",
    ) -> Subscription: ...

    @overload
    def subscribe(
        self,
        kinds: type[DomainEvent] | Iterable[type[DomainEvent]],
        callback: Callable[[Any], None],
        *,
        charge_point_id: str = "",
        durable: str,
    ) -> DurableSubscription: ...

    def subscribe(
        self,
        kinds: type[DomainEvent] | Iterable[type[DomainEvent]],
        callback: Callable[[Any], None] | None = None,
        *,
        queue_limit: int = QUEUE_LIMIT,
        charge_point_id: str = "",
        durable: str = "",
    ) -> Subscription | DurableSubscription:
        """Subscribe to events, of all charge points or of one, while the system runs.

        `callback` is called with each event, in order, in a greenlet of its own, and may block; without one, iterate
        over the subscription that is returned, and close it. More than `queue_limit` events that wait are dropped, the
        newest first, and counted.

        With the name of a `durable` consumer nothing is dropped, and nothing lost when this process ends: whoever
        subscribes with the name goes on where the events had been taken; a new name starts now. The callback is called
        at least once for each event, in order for each charge point and for several at once; after an exception it is
        called again later, up to `events.attempts` times. Live events cannot be had so.

        Raises RuntimeError if the system does not run, ValueError for a durable subscription to live events or without
        a callback, and `DuplicateConsumer` for a name in use.
        """
        wanted = (kinds,) if isinstance(kinds, type) else tuple(kinds)
        return self._subscribe(wanted, callback, queue_limit, charge_point_id, durable)

    @from_any_thread
    def _subscribe(
        self,
        wanted: tuple[type[DomainEvent], ...],
        callback: Callable[[Any], None] | None,
        queue_limit: int,
        charge_point_id: str,
        durable: str,
    ) -> Subscription | DurableSubscription:
        if self._root is None:
            raise RuntimeError("the central system is not running")
        if durable:
            if callback is None:
                raise ValueError("a durable subscription has a callback")
            return self._parts.durable_events.subscribe(durable, wanted, callback, charge_point_id)
        subscription = self._parts.subscriptions.open(
            wanted, limit=queue_limit, charge_point_id=charge_point_id
        )
        if callback is not None:
            self._parts.subscriptions.call(subscription, callback)
        return subscription

    @from_any_thread
    def event_stream(
        self,
        kinds: Iterable[type[DomainEvent]],
        *,
        after: str = "",
        charge_point_id: str = "",
        queue_limit: int = QUEUE_LIMIT,
    ) -> EventStream:
        """Open a stream of events for a reader that keeps its own cursor; close it. May switch greenlets.

        With `after`, a cursor of a stream before, the durable events that came since are read first. Raises
        RuntimeError if the system does not run, and `WrongCursor`.
        """
        wanted = tuple(kinds)
        subscription = self.subscribe(wanted, queue_limit=queue_limit, charge_point_id=charge_point_id)
        opened = False
        try:
            stream = EventStream(
                subscription,
                self._parts.event_reader,
                wanted,
                after=after,
                charge_point_id=charge_point_id,
                others=None if self.cluster is None else self.cluster.live_events,
                now=self._parts.context.now,
            )
            opened = True
        finally:
            if not opened:
                subscription.close()
        return stream

    def send_many(
        self,
        charge_points: Iterable[str] | ChargePointFilter,
        request: Request[Any] | PreparedCommand[Any] | Verb,
        *,
        at_most_at_once: int | None = None,
        **options: Unpack[SendOptions],
    ) -> Bulk:
        """Send a request, a prepared command or a verb to many charge points, and return the bulk command at once.

        `charge_points` are ids, read as they are needed, or a filter; each charge point gets the command once and has
        one result. At most `at_most_at_once` commands (by default `bulk.at_once`) are under way; those that wait for
        charge points which are away do not count. `options` are those of `send`, and so is what is raised; a verb that
        the version of one charge point has no message for is a result. Safe from any greenlet and any native thread.
        Raises `TooManyBulks` while `bulk.kept` of them run.
        """
        if self._root is None:
            raise RuntimeError("the central system is not running")
        return self._parts.bulks.send(charge_points, request, at_once=at_most_at_once, **options)

    def bulk(self, bulk_id: str) -> Bulk | None:
        """Find a bulk command by its id; None if it is unknown, or ended long ago."""
        return self._parts.bulks.find(bulk_id)

    def bulks(self) -> list[Bulk]:
        """List the bulk commands that run, and the last that have ended, newest first."""
        return self._parts.bulks.all()

    @from_any_thread
    def find_transaction(self, transaction_id: int) -> Transaction:
        """Find a transaction by its number; may switch greenlets. Raises `TransactionNotFound` if there is none."""
        return self._parts.by_hand.find_transaction(transaction_id)

    @property
    def _running_commands(self) -> Commands:
        if self._root is None:
            raise RuntimeError("the central system is not running")
        return self._parts.commands

    @from_any_thread
    def ticket(self, ticket_id: str) -> Ticket[Any] | None:
        """Find a ticket by its id; None if it is unknown, or ended long ago."""
        return self._parts.commands.ticket(ticket_id)

    @from_any_thread
    def open_tickets(self, charge_point_id: str = "") -> list[Ticket[Any]]:
        """List the tickets that have not ended: of one charge point, or of all."""
        return self._parts.commands.open_tickets(charge_point_id)

    @from_any_thread
    def push_local_list(
        self,
        charge_point_id: str,
        *,
        full: bool = False,
        clear_cache: bool = False,
        local_list_limit: int | None = None,
        timeout_s: float | None = None,
    ) -> LocalListUpdate:
        """Bring a local list in step as `sync_local_list` does, wait, and return the outcome. Switches greenlets.

        A list that is known for certain gets a Differential, unless the whole is less; any other, or one that has
        refused its Differential, a Full. More than `local_list_limit` tags (by default that of the settings), or more
        than the charge point says that it takes, are sent in parts. With `clear_cache` the authorisation cache is
        cleared too. `timeout_s` is for each answer.
        Raises `LocalListSyncRunning` if one is sent already, `LocalListsNotSupported` if its version of OCPP has no
        such list, ValueError for a limit or a time that is not above 0, and RuntimeError if the central system does
        not run.
        """
        return self._parts.local_lists.push(
            charge_point_id,
            full=full,
            clear_cache=clear_cache,
            local_list_limit=local_list_limit,
            timeout_s=timeout_s,
        )

    @from_any_thread
    def key_sent(self, charge_point_id: str, value: str | bytes, *, certain: bool) -> None:
        """Store the new key of a charge point, as it was sent or as bytes; not `certain` if no answer confirmed it.

        Switches greenlets. Raises `PasswordChecksBusy`, and ValueError for an invalid key.
        """
        self.credentials.key_sent(charge_point_id, value, certain=certain)

    @from_any_thread
    def key_refused(self, charge_point_id: str, value: str | bytes) -> None:
        """Forget a new key that the charge point has not taken. Switches greenlets; raises `PasswordChecksBusy`."""
        self.credentials.key_refused(charge_point_id, value)

    # -- Operations ------------------------------------------------------------------------------

    @from_any_thread
    def charge_points(self) -> Sequence[ChargePoint]:
        """List the charge points that this process knows, connected or not."""
        return self._parts.operations.charge_points()

    @property
    def charge_point_list(self) -> ChargePointList:
        """Charge points of this process and of the store as rows, chosen by a query and read page by page."""
        return self._parts.charge_point_list

    @from_any_thread
    def charge_point(self, charge_point_id: str) -> ChargePoint | None:
        """Return the facts of a charge point; None if it is not known."""
        return self._parts.operations.charge_point(charge_point_id)

    @from_any_thread
    def knows(self, charge_point_id: str) -> bool:
        """Return whether a charge point is known here or has booted at any process. May switch greenlets."""
        known = self._parts.directory.find(charge_point_id) is not None
        return known or self.store.find_registration(charge_point_id) is not None

    @from_any_thread
    def crash_reports(self) -> list[dict[str, object]]:
        """List the last crashes of sessions: charge point, time, error, traceback, and the rows of its recorder."""
        return self._parts.operations.crash_reports()

    @from_any_thread
    def recording(self, charge_point_id: str) -> str | None:
        """Return the recording of a charge point as lines of JSON, redacted; None if it is not known."""
        return self._parts.operations.recording(charge_point_id)

    @from_any_thread
    def frames(self, charge_point_id: str, after: float | None = None) -> RecentFrames | None:
        """Return the rows that the flight recorder of a charge point has since a time of its clock, redacted.

        None if it is not known here, or records nothing. `after` is `next` of the call before; None: from now on.
        """
        return self._parts.operations.frames(charge_point_id, after)

    @from_any_thread
    def tickets(self, charge_point_id: str = "", *, open_only: bool = False) -> list[Ticket[Any]]:
        """List open tickets and the last ended ones, of one charge point or of all, newest first."""
        return self._parts.operations.tickets(charge_point_id, open_only=open_only)

    @from_any_thread
    def register(self, charge_point_id: str, status: str) -> Receipt:
        """Register a charge point that is offline as its BootNotification would.

        `status` is Accepted, Pending or Rejected; raises ValueError if it is none of them, and
        `ChargePointConnected` for one that is connected, whose BootNotification decides. OCPP 1.6, 4.2.
        """
        receipt = self._parts.operations.register(charge_point_id, status)
        self.applicants.forget(charge_point_id)  # entered by hand
        return receipt

    @from_any_thread
    def forget(self, charge_point_id: str) -> Receipt:
        """Forget the registration of a charge point that is offline, and end the commands that wait for it.

        Its transactions and other records stay. Raises `ChargePointConnected` for one
        that is connected.
        """
        receipt = self._parts.operations.forget(charge_point_id)
        self.applicants.forget(charge_point_id)
        return receipt

    @from_any_thread
    def plugins(self) -> list[dict[str, Any]]:
        """List the plugins: their part of the tree, and whether each is `quarantined` or a `shadow`.

        `open_breakers` are pairs (charge point, action). `class` and `version` are those of its package, `settings` its
        own, without secrets.
        """
        return self._parts.operations.plugins()

    def price_with(self, pricer: Callable[[Transaction], Cost | None] | None) -> None:
        """Price closed transactions in events with a function, which may switch greenlets; None: no more."""
        self._parts.assessment.pricer = pricer

    @from_any_thread
    def idle_since(self, transaction: Transaction) -> dt.datetime | None:
        """Return when the last energy of a transaction had come, by its readings; None if they do not say."""
        return self._parts.assessment.idle_since(transaction)

    @from_any_thread
    def assessed(self, transaction: Transaction) -> Transaction:
        """Return a transaction with its energy, derived if it was not yet. Switches greenlets."""
        return self._parts.assessment.assessed(transaction)

    def plugin_resources(self, name: str) -> PluginCell | None:
        """Find a plugin that runs here, to ask for its HTTP resources; None if there is none."""
        return self._parts.operations.plugin_cell(name) if self._root is not None else None

    def cluster_plugin(self, name: str) -> type[Plugin] | None:
        """Return the class of a plugin that runs once among all processes; None if there is none of the name."""
        return self._parts.operations.cluster_plugin(name) if self._root is not None else None

    @from_any_thread
    def spool_by_plugin(self) -> dict[str, int]:
        """Count the first 10,000 messages in the spool by the plugin they wait for. May switch greenlets."""
        return self._parts.operations.spool_by_plugin()

    @from_any_thread
    def retry_spooled(self, numbers: Collection[int] | None = None) -> list[int]:
        """Put dead letters, these or all, back into the spool, to be redelivered; return their numbers.

        A transaction goes back as a whole. Switches greenlets until it is durable; raises `StoreError`.
        """
        return self._parts.operations.retry_spooled(numbers)

    @from_any_thread
    def raise_alert(
        self,
        charge_point_id: str,
        *,
        severity: int | None,
        source: str,
        subject: str,
        text: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> Receipt:
        """Raise an alert about a charge point: the durable event `AlertRaised`, a line of the log, and a count.

        `severity` is from 0, danger, to 9, debugging; None if it is not known. The receipt is that of the event.
        """
        return raise_alert(
            self._parts.context,
            self.store,
            charge_point_id,
            severity=severity,
            source=source,
            subject=subject,
            text=text,
            data=data,
        )

    @from_any_thread
    def report_meter(self, site: str, currents_a: Mapping[str, float]) -> None:
        """Report what a site draws at its grid connection: the live event `SiteMetered`.

        `currents_a` are the amperes of each phase, "L1" to "L3", charge points included.
        """
        context = self._parts.context
        context.router.publish(SiteMetered(at=context.now(), site=site, currents_a=dict(currents_a)))

    @from_any_thread
    def close_transaction(
        self,
        transaction_id: int,
        *,
        by: str,
        reason: str,
        note: str = "",
        meter_stop: int | None = None,
        stopped_at: dt.datetime | None = None,
    ) -> Transaction:
        """Close an open transaction whose stop will not come, and return it. Switches greenlets until it is durable.

        A stop that comes all the same is answered as valid, and its figures stand beside those given here. Without
        `meter_stop` the energy is what the readings say; without `stopped_at` it ends now. Raises
        `TransactionNotFound`, `TransactionClosed`, `WrongFigures` (a ValueError), and `StoreError`.
        """
        return self._parts.by_hand.close_transaction(
            transaction_id, by=by, reason=reason, note=note, meter_stop=meter_stop, stopped_at=stopped_at
        )

    @from_any_thread
    def reattach(self, number: int, transaction_id: int, *, by: str) -> Transaction:
        """Give a transaction the dead letter that is its stop or its readings, and return the transaction.

        A stop closes it if it is open, else its figures stand beside those that count. Switches greenlets until it is
        durable. Raises `DeadLetterNotFound`, `TransactionNotFound`, `NotAttachable`, `TooManyStops` and `StoreError`.
        """
        return self._parts.by_hand.reattach(number, transaction_id, by=by)

    @from_any_thread
    def forget_dead_letter(self, number: int, *, by: str) -> Spooled:
        """Delete a dead letter for good, and return it; its payload stays in the event that tells of it.

        Switches greenlets until it is durable. Raises `DeadLetterNotFound` and `StoreError`.
        """
        return self._parts.by_hand.forget_dead_letter(number, by=by)

    @from_any_thread
    def issued_certificate(self, serial_number: str) -> IssuedCertificate:
        """Find a certificate that the authority has signed. Raises `CertificateNotFound`."""
        return self._parts.admission.issued.find(serial_number)

    @from_any_thread
    def revoke_certificate(
        self, serial_number: str, *, by: str, reason: str = "unspecified"
    ) -> IssuedCertificate:
        """Revoke a certificate that the authority has signed, and return its record.

        `reason` is one of RFC 5280, as "key_compromise". The connection that has shown it is closed, and the authority
        writes its revocation list. Switches greenlets until it is durable. Raises `CertificateNotFound`, ValueError and
        `StoreError`.
        """
        return self._parts.admission.issued.revoke(serial_number, by=by, reason=reason)

    @from_any_thread
    def retry_event(self, number: int) -> None:
        """Deliver the event of a dead letter to its consumer once more; the letter is gone if it is taken.

        Switches greenlets. Raises `EventNotDelivered` if it is not taken, `DeadLetterNotFound`, and `StoreError`.
        """
        self._parts.durable_events.retry(number)

    @from_any_thread
    def approve(self, charge_point_id: str, *, by: str) -> Receipt:
        """Approve a charge point that waits for it: it is registered with its next BootNotification.

        One that is connected is asked for that. Raises `ApplicantNotFound`.
        """
        return self.applicants.decide(charge_point_id, approved=True, by=by)

    @from_any_thread
    def reject(self, charge_point_id: str, *, by: str) -> Receipt:
        """Reject a charge point that waits to be approved, or was: its connection is closed, and it gets no other.

        Raises `ApplicantNotFound`.
        """
        return self.applicants.decide(charge_point_id, approved=False, by=by)

    @from_any_thread
    def quarantined(self) -> list[dict[str, Any]]:
        """List the plugins in quarantine: name, last crash, number of quarantines."""
        return self._parts.operations.quarantined()

    @from_any_thread
    def release(self, plugin: str) -> bool:
        """Release a plugin from quarantine; return false if it is in none. Switches greenlets."""
        return self._parts.operations.release(plugin)

    @from_any_thread
    def promote(self, plugin: str) -> bool:
        """Promote a shadow plugin to answer from now on; return false if there is no such shadow."""
        return self._parts.operations.promote(plugin)

    @from_any_thread
    def describe(self) -> dict[str, Any]:
        """Describe the tree of supervision: state, restarts, inbox depth and last crash of everything in it."""
        root: Any = self._root.actor if self._root is not None else None
        return root.describe() if root is not None else {}

    def workers(self) -> list[dict[str, Any]]:
        """List the processes that serve the same ports, as their parent sees them; none if there is this one only.

        Number, process, state, restarts and how it ended last; `here` is this one.
        """
        worker = self.worker
        if worker is None:
            return []
        return [view | {"here": view["worker"] == worker.number} for view in worker.all]

    # -- TLS ---------------------------------------------------------------------------------------

    @property
    def http_tls(self) -> ServerTls | None:
        """TLS of the HTTP API; None if it is served without."""
        return self._parts.tls_files.http

    @from_any_thread
    def certificates(self) -> list[dict[str, Any]]:
        """List the server's certificates, those of the CAs of clients, and revocation lists, with their ends."""
        return self._parts.tls_files.view()

    @from_any_thread
    def reload_tls(self) -> None:
        """Read the files of TLS again, for connections that come from now on; open ones go on.

        Only in this process: worker processes have the others told by `worker.reload_all`. Raises `TlsError` for files
        that cannot be used: those before stay in use.
        """
        if self._root is None:
            raise RuntimeError("the central system is not running")
        self._parts.tls_files.reload()

    @from_any_thread
    def apply_settings(self, settings: Settings) -> Reload:
        """Let those of other settings count from now on that may change while the system runs: `RELOADED`.

        Only in this process. Returns the names of those that have changed, and of those that wait for a restart. Raises
        `ConfigError` for settings that cannot be used: those before stay in use.
        """
        if self._root is None:
            raise RuntimeError("the central system is not running")
        enters_tags = self.worker is None or self.worker.number == 1
        reload = apply_settings(self._parts, self.settings, checked(settings), enters_tags=enters_tags)
        self.settings = reload.settings
        return reload

    def _sweep(self) -> None:
        if self._root is None:
            return
        now = self._clock.monotonic()
        self._parts.sessions.sweep(now)
        self._parts.admission.sweep()
        self._parts.tls_files.warn()
        self._parts.timers.call_at(now + SWEEP_S, self._sweep)
