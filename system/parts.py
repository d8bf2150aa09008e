"""Parts of one run of a central system, each made from the earlier ones; nothing of them runs yet.

A system that is started again gets new parts.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gevent.pool import Pool

from ..actors.plugin.alerts import raise_alert
from ..actors.plugin.authentication import Authentication
from ..actors.plugin.routing import Router
from ..actors.plugin.spool import Spool
from ..actors.runtime import threads
from ..actors.runtime.scheduler import Scheduler
from ..actors.runtime.threads import Inlet
from ..actors.runtime.timers import HubTimers
from ..actors.session.commands import CommandDefaults
from ..actors.session.directory import Directory
from ..actors.session.meter import SessionMeter
from ..actors.session.tickets import TicketRegistry
from ..admission.gatekeeper import Gatekeeper
from ..admission.intake import Intake
from ..config.errors import ConfigError
from ..protocol.versions import VERSIONS, version_named
from ..remote.redis.address import process_name
from ..store.factory import open_store
from ..supervisor.sessions import Sessions
from ..transport.descriptors import descriptor_limit
from .activity import ALONE, Activity
from .admission import Admission
from .assessment import Assessment, limits_of
from .backups import Backups
from .bulk import Bulks
from .by_hand import ByHand
from .charge_point_filter import ChargePointChooser
from .charge_point_list import ChargePointList
from .commands import Commands
from .durable_events import DurableEvents
from .event_reader import EventReader
from .local_lists import LocalLists
from .log_levels import LogLevels
from .membership import Membership
from .metrics import Metrics
from .operations import Operations
from .reports import Reports
from .retention import Retention
from .store_sizes import StoreSizes
from .subscriptions import Subscriptions
from .ticket_store import TicketStore
from .tls_files import TlsFiles
from .tree import Tree
from .upkeep import Upkeep
from .variables import Variables
from .vitals import Vitals
from .watermarks import Watermarks
from .wiring import SystemHost, context_of, open_coordinator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..actors.plugin.plugin import PluginSpec
    from ..actors.runtime.timers import Clock
    from ..actors.session.tickets import Ticket
    from ..config.worker_process import Worker
    from ..protocol.actions import Version
    from ..remote.cluster.coordinator import Coordinator
    from ..store.store import Store
    from .central_system import CentralSystem
    from .counters import Counters
    from .tree import HttpServer

logger = logging.getLogger(__name__)

DISK_SEVERITY = 2
"""Severity of the alert that the disk is nearly full: a failure of the system, in the words of OCPP 2.0.1."""


class Parts:
    """Everything that a run of a system consists of.

    `ports` holds the wanted port of each endpoint, and the bound one once it is open. A `store` that is given stays
    its owner's. Raises `ConfigError`, `AddressError`, `TlsError` and `StoreError` for settings that cannot be used.
    """

    def __init__(
        self,
        system: CentralSystem,
        *,
        clock: Clock,
        counters: Counters,
        coordinator: Coordinator | None,
        store: Store | None,
        plugins: Iterable[PluginSpec],
        http: HttpServer | None,
        ports: dict[str, int],
    ) -> None:
        self._system = system
        self._clock = clock
        self._counters = counters
        self._settings = settings = system.settings
        self._versions = system.versions
        self.inlet = Inlet()
        self.scheduler = Scheduler()
        self.timers = HubTimers(clock)
        self.router = Router()
        self.directory = Directory()
        self.registry = TicketRegistry(os.urandom(4).hex(), settings.sessions.tickets_kept)
        self.pool = Pool()
        self.meter = SessionMeter(self._versions.values())
        self.connections: set[Any] = set()  # from the end of their handshake
        # Before anything is opened: settings and files of no use end the start here.
        self._spoken = [subprotocol_of(name, self._versions) for name in settings.sessions.versions]
        self._spoken_by = {
            charge_point_id: subprotocol_of(name, self._versions)
            for charge_point_id, name in settings.sessions.versions_of.items()
        }
        self._compressed = compressed_subprotocols(settings.sessions.compression, self._versions)
        self.tls_files = TlsFiles(settings, self.timers, counters, self.now, self.router.publish)
        self._join_cluster(coordinator, store, system.worker)
        self._make_events()
        self._make_records()
        self._make_sessions()
        self._make_operations()
        self.tree = Tree(
            system=system,
            settings=settings,
            plugins=plugins,
            context=self.context,
            spool=self.spool,
            sessions=self.sessions,
            gatekeeper=self.gatekeeper,
            intake=self.intake,
            store=self.store,
            ports=ports,
            pool=self.pool,
            running=self.connections,
            share_ports=system.worker is not None,
            http=http,
            redelivered_here=self.membership.redelivered_here if self.membership is not None else None,
            events=self.durable_events,
            event_reader=self.event_reader,
            living=self.membership.living if self.membership is not None else None,
            tls=self.tls_files.wss,
        )

        data = settings.data if Path(settings.data).is_dir() else ""
        cluster = None if self.membership is None else self.membership.cluster
        self.watermarks = self._make_watermarks(data)
        self.vitals = Vitals(
            self.store, self.timers, cluster, data, self.watermarks, settings.resources.disk_free_bytes
        )
        self.upkeep = self._make_upkeep()
        self.store_sizes = StoreSizes(
            self.store,
            self.now,
            here=system.worker is None or system.worker.first,
            spawn=self.pool.spawn,
            room=lambda: self.watermarks.room_bytes,
        )
        self.metrics = Metrics(self, counters, self.vitals)
        self.log_levels = LogLevels(self.store.collections.log_levels, self.now)
        self.activity = Activity(self, ALONE if system.worker is None else system.worker.number)

    def _make_watermarks(self, data: str) -> Watermarks:
        settings = self._settings
        logs = str(Path(settings.log.file).absolute().parent) if settings.log.file else ""
        is_file = self.store.durable and self.store.backup_suffix == ".sqlite"
        database = settings.resources.database_folder if self.store.durable and not is_file else ""

        def alert(subject: str, text: str) -> None:
            if self._system.worker is not None and not self._system.worker.first:
                return  # the first worker process speaks for all: the disk is one
            raise_alert(
                self.context,
                self.store,
                "",
                severity=DISK_SEVERITY,
                source="disk",
                subject=subject,
                text=text,
            )

        return Watermarks(
            settings.resources,
            processes=1 if self._system.worker is None else settings.workers,
            folders=[folder for folder in (data, logs, database) if folder],
            connections=self.connections,
            intake=self.intake,
            timers=self.timers,
            observer=self._counters,
            hold_events=self.store.hold_events,
            hold_records=self.store.hold_records,
            store_folder=data if is_file else database,
            alert=alert,
        )

    def _make_upkeep(self) -> Upkeep:
        settings, worker = self._settings, self._system.worker
        retention = Retention(
            self.store,
            settings.retention,
            settings.retention.folder or str(Path(settings.data) / "exports"),
            self.assessment,
            self.now,
            disk_is_low=lambda: self.watermarks.disk_is_low,
        )
        backups = Backups(
            self.store,
            settings.backup,
            settings.backup.folder or str(Path(settings.data) / "backups"),
            self.now,
            disk_is_low=lambda: self.watermarks.disk_is_low,
        )
        return Upkeep(
            retention,
            backups,
            self._counters,
            here=worker is None or worker.first,
            spawn=self.pool.spawn,
            clock=self._clock.monotonic,
        )

    def now(self) -> dt.datetime:
        """Return the UTC time now."""
        return dt.datetime.fromtimestamp(self._clock.time(), dt.UTC)

    def _join_cluster(
        self, given_coordinator: Coordinator | None, given_store: Store | None, worker: Worker | None
    ) -> None:
        """Open the store, and become a member of the cluster, if there is one."""
        settings = self._settings
        coordinator_server = worker.coordinator_path if worker is not None else ""
        coordinator = given_coordinator or open_coordinator(settings.redis, coordinator_server, self._clock)
        # The life of this process is known to the others by one name.
        origin = coordinator.node if coordinator is not None else process_name(settings.redis.node)
        self.store: Store = given_store or open_store(
            settings, threads, self._clock.time(), worker, self._counters.count, origin
        )
        if given_store is not None and coordinator is not None:
            self.store.event_log.rename(origin)
        self.durable_tickets: TicketStore | None = None
        if self.store.durable:
            node = coordinator.node if coordinator is not None else ""
            self.durable_tickets = TicketStore(self.store.collections.tickets, node, self._versions)
        else:
            logger.warning("the store is memory: its records are lost when this process ends")
        self.membership: Membership | None = None
        if coordinator is not None:
            self.membership = Membership(
                coordinator,
                timers=self.timers,
                directory=self.directory,
                registry=self.registry,
                store=self.store,
                router=self.router,
                durable_tickets=self.durable_tickets,
                observer=self._counters,
                meter=self.meter,
                adopt=self._adopt,
                cancel=self._cancel,
                spooled_elsewhere=self._spooled_elsewhere,
                moved=self._moved,
                refused=self._system.fail,
                versions=self._versions,
            )

    def _make_events(self) -> None:
        self.durable_events = DurableEvents(self.store.event_log, self.router, self.pool)
        self.subscriptions = Subscriptions(
            self.router, self._counters, self.pool, self.durable_events.listening
        )

    def _make_records(self) -> None:
        """Make what reads and writes records for people and plugins."""
        settings, system = self._settings, self._system
        self.spool = Spool(self.store, self._versions.values())
        self.assessment = Assessment(
            self.store, self._versions, limits_of(settings.back_office), settings.naive_zone
        )
        self.event_reader = EventReader(self.store, self.assessment)
        self.by_hand = ByHand(self.store, self.spool, self._versions, self.now, settings.naive_zone)
        self.reports = Reports(self.store, wait_s=settings.reports.wait_s, now=self.now)
        self.variables = Variables(
            self.store, self.reports, system.send, system.version_of, system.charge_point
        )
        self.local_lists = LocalLists(
            self.store,
            system.send,
            system.version_of,
            self.pool,
            entry_limit=settings.back_office.local_list_limit,
            limits=self.variables.limits,
            known_limits=self.variables.known_limits,
        )

    def _make_sessions(self) -> None:
        """Make admission, the sessions, and the gatekeeper that lets connections to them."""
        settings = self._settings
        self.admission = Admission(
            settings,
            self.store,
            directory=self.directory,
            versions=self._versions,
            pool=self.pool,
            clock=self._clock,
            now=self.now,
            observer=self._counters,
            ask_to_boot=lambda charge_point_id: self._system.trigger(charge_point_id, "BootNotification"),
        )
        self.context = context_of(
            settings,
            self._versions,
            scheduler=self.scheduler,
            timers=self.timers,
            router=self.router,
            store=self.store,
            spool=self.spool,
            observer=self._counters,
            meter=self.meter,
            durable_tickets=self.durable_tickets,
            host=SystemHost(
                clock=self._clock,
                directory=self.directory,
                membership=self.membership,
                local_list=self.local_lists.facts,
                local_list_sent=self.local_lists.sent,
                key_sent=self.admission.stage_key,
            ),
        )
        self.sessions = Sessions(
            self.context,
            self.directory,
            keep_offline_s=settings.sessions.keep_offline_s,
            keep_unbooted=settings.sessions.keep_unbooted,
            close_timeout_s=settings.sessions.close_timeout_s,
            close_spread_s=settings.sessions.close_spread_s,
            registration_of=self.admission.registration_of,
            id_prefix=os.urandom(4).hex(),
        )
        self.intake = Intake(
            settings.sessions,
            descriptors=descriptor_limit(),
            reserved=settings.resources.descriptors_reserved,
            clock=self._clock,
            observer=self._counters,
            log_limit=self.context.log_limit,
            security_events=self.admission.security_events,
        )
        self.gatekeeper = Gatekeeper(
            settings,
            self.sessions,
            self._spoken or list(self._versions),
            self.admission.credentials,
            self.membership,
            self._spoken_by,
            Authentication(self.router, settings.auth.authenticate_s),
            compressed=self._compressed,
            security_events=self.admission.security_events,
            profiles=self.admission.profiles,
            applicants=self.admission.applicants,
        )

    def _make_operations(self) -> None:
        """Make commands, bulk commands, and the views of what runs."""
        settings = self._settings
        cluster = self.membership.cluster if self.membership is not None else None
        self.commands = Commands(
            registry=self.registry,
            directory=self.directory,
            sessions=self.sessions,
            context=self.context,
            limits=CommandDefaults(
                settings.sessions.command_timeout_s,
                settings.sessions.command_expires_s,
                settings.sessions.effect_timeout_s,
            ),
            inlet=self.inlet,
            versions=self._versions,
            store=self.store,
            peers=self.membership,
        )
        self.bulks = Bulks(
            commands=self.commands,
            chooser=ChargePointChooser(self.directory, self.store, self._versions, cluster),
            knows=self._system.knows,
            spawn=self.pool.spawn,
            now=self._clock.time,
            prefix=os.urandom(4).hex(),
            at_once=settings.bulk.at_once,
            results_kept=settings.bulk.results,
            kept=settings.bulk.kept,
        )
        self.operations = Operations(
            store=self.store,
            registry=self.registry,
            directory=self.directory,
            sessions=self.sessions,
            context=self.context,
            spool=self.spool,
            router=self.router,
            plugins_cell=lambda: self.tree.cells.get("plugins"),
        )
        self.charge_point_list = ChargePointList(
            self.directory,
            self.store,
            self._versions,
            cluster=cluster,
            worker=None if self._system.worker is None else self._system.worker.number,
            clock=self._clock,
            broken=self.operations.open_breakers,
            naive_zone=settings.naive_zone,
        )

    # -- What the members of a cluster tell each other ---------------------------------------------

    def _adopt(self, ticket: Ticket[Any]) -> None:
        self.commands.adopt(ticket)

    def _cancel(self, ticket: Ticket[Any]) -> None:
        self.commands.cancel_here(ticket)

    def _spooled_elsewhere(self, charge_point_id: str) -> None:
        self.spool.put_behind(charge_point_id)
        self.spool.spooled(charge_point_id)

    def _moved(self, charge_point_id: str, *, here: bool) -> None:
        self.durable_events.moved(charge_point_id, here=here)
        if here:
            self.spool.connected(charge_point_id)


def compressed_subprotocols(names: Iterable[str], versions: Mapping[str, Version]) -> list[str]:
    """Return the subprotocols that compression is on for. Raises `ConfigError` for an unknown version."""
    known = {version.name for version in (*VERSIONS.values(), *versions.values())}
    for name in names:
        if name not in known:
            spoken = ", ".join(one.name for one in versions.values())
            raise ConfigError([f"sessions.compression: {name!r} is not one of {spoken}"])
    return [version.subprotocol for version in versions.values() if version.name in names]


def subprotocol_of(name: str, versions: Mapping[str, Version]) -> str:
    """Return the subprotocol of a version that the settings name. Raises `ConfigError` for an unknown one."""
    version = version_named(versions, name)
    if version is None:
        spoken = ", ".join(one.name for one in versions.values())
        raise ConfigError([f"sessions.versions, sessions.versions_of: {name!r} is not one of {spoken}"])
    return version.subprotocol
