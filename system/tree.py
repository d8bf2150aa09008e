"""Supervision tree of a central system, from left to right: plugins, sessions, endpoints.

Plugins are loaded by the names in the settings, and the HTTP API is handed over; nothing here imports either.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from ..actors.plugin.circuit_breaker import CircuitBreakerPolicy
from ..actors.plugin.plugin import Plugin, PluginSpec
from ..actors.plugin.redelivery import Redelivery
from ..config.errors import ConfigError
from ..supervisor.child import ChildSpec
from ..supervisor.endpoint import Endpoint
from ..supervisor.plugins import PluginSpecFactory, PluginSupervisor
from ..supervisor.rules import Policy, Strategy
from ..supervisor.sessions import Sessions, SessionSupervisor
from ..supervisor.supervisor import Supervisor
from ..transport.greenlet_transport import GreenletTransport
from ..transport.proxies import Proxies
from ..transport.reactor_transport import ReactorTransport
from ..transport.server import WebSocketServer
from .cluster_plugins import ClusterPlugin, ClusterPlugins
from .event_consumers import EventConsumers
from .plugin_packages import load_class, load_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from ..actors.plugin.spool import Spool
    from ..actors.runtime.cell import Cell
    from ..actors.session.context import SessionContext
    from ..admission.gatekeeper import Gatekeeper
    from ..admission.intake import Intake
    from ..config.settings import Settings
    from ..store.store import Store
    from ..transport.tls import ServerTls
    from .central_system import CentralSystem
    from .durable_events import DurableEvents
    from .event_reader import EventReader

MARGIN_S = 1.0
"""Seconds that a supervisor has beyond those of its children."""


class HttpServer(Protocol):
    """Factory of the listener of the HTTP API."""

    def __call__(self, system: CentralSystem, address: tuple[str, int], *, share_port: bool) -> Any:
        """Make the listener; `start` binds it."""


@dataclass(slots=True, kw_only=True)
class Tree:
    """Child specs of the root, and the cells made from them.

    `ports` holds, by endpoint, the wanted port and then the bound one; `cells` the running supervisors: "plugins",
    "sessions" and "endpoints"; and "cluster-plugins" if there are such.
    """

    system: CentralSystem
    settings: Settings
    plugins: Iterable[PluginSpec]
    context: SessionContext
    spool: Spool
    sessions: Sessions
    gatekeeper: Gatekeeper
    intake: Intake
    store: Store
    events: DurableEvents
    event_reader: EventReader
    ports: dict[str, int]
    pool: Any
    running: set[Any]  # connections, from the end of their handshake
    share_ports: bool = False  # with other processes that serve the same
    http: HttpServer | None = None  # makes the listener of the HTTP API
    # With several processes: whether a charge point's spool is redelivered by this one.
    redelivered_here: Callable[[Collection[str]], Collection[str]] | None = None
    # Likewise: names of the processes that live.
    living: Callable[[], Collection[str]] | None = None
    tls: ServerTls | None = None  # of wss
    cells: dict[str, Cell] = field(default_factory=dict)
    # By endpoint, those that were made last.
    transports: dict[str, ReactorTransport | GreenletTransport] = field(default_factory=dict)
    servers: dict[str, WebSocketServer] = field(default_factory=dict)

    def take(self, settings: Settings) -> None:
        """Take other settings, for children that start from now on, and for connections that come from now on."""
        self.settings = settings
        for server in self.servers.values():
            server.limits = settings.sessions

    def policy(self) -> Policy:
        """Return the restart policy of the settings."""
        return Policy.of(self.settings.supervision)

    def children(self) -> list[ChildSpec]:
        """Make the specs of the three children of the root, in order."""
        settings, timers, policy = self.settings, self.context.timers, self.policy()
        cluster_plugins: dict[str, ClusterPlugin] = {}
        plugins = [*self._plugins(cluster_plugins), self._redelivery(), self._event_consumers()]
        if cluster_plugins:
            plugins.append(self._cluster_plugins(cluster_plugins))
        endpoints = self._endpoints()
        below_s = settings.supervision.shutdown_s + MARGIN_S
        specs = [
            ChildSpec.of(
                PluginSupervisor,
                plugins,
                timers,
                Strategy.ONE_FOR_ONE,
                policy,
                per_child=True,
                context=self.context,
                quarantine_s=settings.supervision.quarantine_s,
                id="plugins",
                shutdown_s=sum(
                    child.shutdown_s + MARGIN_S
                    for child in (*plugins, *(plugin.child for plugin in cluster_plugins.values()))
                )
                + MARGIN_S,
            ),
            ChildSpec.of(
                SessionSupervisor,
                self.sessions,
                policy,
                hang_s=settings.supervision.hang_s,
                id="sessions",
                shutdown_s=settings.sessions.close_spread_s + settings.sessions.close_timeout_s + below_s,
            ),
            ChildSpec.of(
                Supervisor,
                endpoints,
                timers,
                Strategy.ONE_FOR_ONE,
                policy,
                id="endpoints",
                shutdown_s=below_s,
            ),
        ]
        return [self._with_handle(spec) for spec in specs]

    def _with_handle(self, spec: ChildSpec) -> ChildSpec:
        def make(scheduler: Any, watch: Any) -> Cell:
            cell = self.cells[spec.id] = spec.make(scheduler, watch)
            return cell

        return replace(spec, make=make)

    # -- Plugins -------------------------------------------------------------------------------

    def _plugins(self, elsewhere: dict[str, ClusterPlugin]) -> list[ChildSpec]:
        """Make the specs of all plugins; those that run once in the cluster are put `elsewhere`."""
        settings = self.settings
        factory = self._factory()
        specs = [*self.plugins, *map(load_plugin, settings.plugins)]
        children = []
        for spec in specs:
            if spec.scope == "cluster" and self.system.cluster is not None:
                elsewhere[spec.name] = ClusterPlugin(factory.child(spec), spec.plugin)
            else:
                children.append(factory.child(spec))
        if settings.redis.url:
            children.append(factory.child(self._remote(specs)))
        for class_name in settings.bundled_plugins:
            spec = load_class(class_name).bundled(settings, self.store)
            if spec is not None:
                children.append(factory.child(spec, last_resort=True))
        return children

    def _factory(self) -> PluginSpecFactory:
        supervision = self.settings.supervision
        return PluginSpecFactory(
            system=self.system,
            context=self.context,
            start_s=supervision.start_s,
            shutdown_s=supervision.shutdown_s,
            breaker_policy=CircuitBreakerPolicy.of(supervision),
        )

    def _remote(self, others: Iterable[PluginSpec]) -> PluginSpec:
        context, redis = self.context, self.settings.redis
        router: Any = context.router
        module = importlib.import_module("..remote.plugins.forwarder", __package__)
        spec: PluginSpec = module.Remote.spec(
            redis.url,
            actions=redis.remote_actions,
            groups=redis.remote_groups,
            others=[
                action for spec in others if not spec.shadow for action in spec.plugin.actions_of("passive")
            ],
            prefix=redis.prefix,
            node=redis.node,
            partitions=redis.partitions,
            stream_limit=redis.stream_limit,
            deadline_s=self.settings.deadlines.default_s,
            naive_zone=self.settings.naive_zone,
            epoch_of=self._epoch_of,
            observer=context.observer,
            back=self.spool.redeliver_now,
            watch=router.watch,
            consume=self.events.enter,
        )
        return spec

    def _epoch_of(self, charge_point_id: str) -> int:
        cluster = self.system.cluster
        return cluster.claims.epoch(charge_point_id) if cluster is not None else 0

    def _redelivery(self) -> ChildSpec:
        context, supervision = self.context, self.settings.supervision
        return ChildSpec.of(
            Redelivery,
            context,
            self.spool,
            self.sessions.directory,
            delay_s=supervision.redelivery_delay_s,
            delay_max_s=supervision.redelivery_delay_max_s,
            attempts=supervision.redelivery_attempts,
            redelivered_here=self.redelivered_here,
            id="redelivery",
            shutdown_s=supervision.shutdown_s,
            start_s=supervision.start_s,
        )

    def _cluster_plugins(self, specs: dict[str, ClusterPlugin]) -> ChildSpec:
        cluster: Any = self.system.cluster
        supervision = self.settings.supervision
        spec = ChildSpec.of(
            ClusterPlugins,
            specs,
            self._factory().child,
            lambda: self.cells.get("plugins"),
            timers=self.context.timers,
            leases=cluster.plugin_leases,
            live_events=cluster.live_events,
            router=self.context.router,
            events=self.events,
            id="cluster-plugins",
            shutdown_s=supervision.shutdown_s,
            start_s=supervision.start_s,
        )
        return self._with_handle(spec)

    def _event_consumers(self) -> ChildSpec:
        context, supervision, events = self.context, self.settings.supervision, self.settings.events
        return ChildSpec.of(
            EventConsumers,
            context,
            context.router,
            self.event_reader,
            self.events,
            attempts=events.attempts,
            delay_s=supervision.redelivery_delay_s,
            delay_max_s=supervision.redelivery_delay_max_s,
            keep_number=events.keep_number,
            keep_days=events.keep_days,
            living=self.living,
            id="event-consumers",
            shutdown_s=supervision.shutdown_s,
            start_s=supervision.start_s,
        )

    # -- Endpoints -----------------------------------------------------------------------------

    def _endpoints(self) -> list[ChildSpec]:
        settings, system = self.settings, self.system
        tls, children = settings.tls, []
        if tls.plain or self.tls is None:
            children.append(self._endpoint("ws", settings.host, lambda address: self._server(address, None)))
        if self.tls is not None:
            host = tls.host or settings.host
            children.append(self._endpoint("wss", host, lambda address: self._server(address, self.tls)))
        if settings.http.enabled:
            http = self.http
            if http is None:
                raise ConfigError(
                    ["http.enabled: needs the HTTP server, as CentralSystem(http=chargehand.serve_http)"]
                )
            children.append(
                self._endpoint(
                    "http",
                    settings.http.host,
                    lambda address: http(system, address, share_port=self.share_ports),
                )
            )
        return children

    def _endpoint(self, name: str, host: str, make: Callable[[tuple[str, int]], Any]) -> ChildSpec:
        supervision = self.settings.supervision
        return ChildSpec.of(
            Endpoint,
            make,
            self.ports,
            name,
            host,
            id=name,
            shutdown_s=supervision.shutdown_s,
            start_s=supervision.start_s,
        )

    def _server(self, address: tuple[str, int], tls: ServerTls | None) -> WebSocketServer:
        name = "ws" if tls is None else "wss"
        scheduler = self.context.scheduler
        kind = ReactorTransport if self.settings.transport == "reactor" else GreenletTransport
        transport = self.transports[name] = kind(self.running, self.intake, scheduler.is_behind)
        server = self.servers[name] = WebSocketServer(
            address,
            gate=self.gatekeeper,
            transport=transport,
            limits=self.settings.sessions,
            timers=self.context.timers,
            tls=tls,
            pool=self.pool,
            share_port=self.share_ports,
            proxies=Proxies(self.settings.proxy) if self.settings.proxy.trusted else None,
            intake=self.intake,
            work=scheduler.run_now,
        )
        return server


def spec_of(plugin: PluginSpec | type[Plugin]) -> PluginSpec:
    """Return the spec of a plugin, given as a spec or a class."""
    return plugin if isinstance(plugin, PluginSpec) else plugin.spec()
