"""Wiring of a system's sessions: their context, their rules, their host, and the coordinator of the process."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..actors.runtime.log_limit import LogLimit
from ..actors.session.context import SessionContext
from ..protocol.session import SessionRules
from ..protocol.verbs import RotateKey, SyncLocalList
from ..remote.cluster.redis_coordinator import RedisCoordinator
from ..remote.cluster.unix_coordinator import UnixCoordinator
from ..remote.redis.address import Address, process_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..actors.plugin.routing import Router
    from ..actors.plugin.spool import Spool
    from ..actors.runtime.scheduler import Scheduler
    from ..actors.runtime.timers import Clock, Timers
    from ..actors.session.charge_point import ChargePoint
    from ..actors.session.context import DurableTickets, Observer
    from ..actors.session.directory import Directory
    from ..actors.session.meter import SessionMeter
    from ..actors.session.tickets import Ticket
    from ..config.settings import RedisSettings, Settings
    from ..protocol.actions import Version
    from ..protocol.local_lists import LocalListFacts
    from ..remote.cluster.coordinator import Coordinator
    from ..store.store import Store
    from .membership import Membership

logger = logging.getLogger(__name__)


def open_coordinator(redis: RedisSettings, coordinator_server: str, clock: Clock) -> Coordinator | None:
    """Make the coordinator of this process: on Redis, on the parent's socket `coordinator_server`, or none.

    With Redis the worker processes of one machine are nodes like any others. Raises `AddressError` for a wrong URL.
    """
    name = process_name(redis.node)
    if redis.url:
        if not redis.secret:
            logger.warning("redis.secret is empty: whoever may write to Redis commands every charge point")
        return RedisCoordinator(
            Address(redis.url),
            redis.prefix,
            name,
            clock,
            stream_limit=redis.stream_limit,
            secret=redis.secret,
        )
    return UnixCoordinator(coordinator_server, name, clock) if coordinator_server else None


class SystemHost:
    """Host of a system's sessions: notifies the directory, the cluster and the local lists.

    `membership` is None if this is the only process. `local_list` tells what the local list of a charge point is made
    of, `local_list_sent` is told of the end of a verb that sent one. `key_sent` takes a charge point and the new key
    that it is being sent.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        directory: Directory,
        membership: Membership | None,
        local_list: Callable[[str], LocalListFacts],
        local_list_sent: Callable[[Ticket[Any]], None],
        key_sent: Callable[[str, str | bytes], None],
    ) -> None:
        self._key_sent = key_sent
        self._clock = clock
        self._directory = directory
        self._membership = membership
        self._cluster = membership.cluster if membership is not None else None
        self._local_list = local_list
        self._local_list_sent = local_list_sent

    def went_offline(self, charge_point: ChargePoint, _code: int, _reason: str) -> None:
        """Let the directory count from now, and forward what waits for the charge point."""
        self._directory.note_offline(charge_point.id, self._clock.monotonic())
        if self._membership is not None:
            self._membership.went_offline(charge_point.id)

    def may_send(self, charge_point_id: str) -> bool:
        """Return whether this process holds the charge point for certain; true if it is the only one."""
        return self._cluster is None or self._cluster.claims.may_send(charge_point_id)

    def ticket_sent(self, ticket: Ticket[Any]) -> None:
        """Notify the node that forwarded the command, if one did; a key that is rotated counts from now on."""
        if self._cluster is not None:
            self._cluster.hosted.changed(ticket)
        if type(ticket.verb) is RotateKey:
            row: Any = ticket.request.__action__
            credential = row.credential(ticket.request)
            self._key_sent(ticket.charge_point_id, credential.key)

    def ticket_ended(self, ticket: Ticket[Any]) -> None:
        """Notify the node that forwarded the command, if one did; the rest of a local list is sent now."""
        if self._cluster is not None:
            self._cluster.hosted.changed(ticket)
        if type(ticket.verb) is SyncLocalList:
            self._local_list_sent(ticket)

    def local_list(self, charge_point_id: str) -> LocalListFacts:
        """Return what the local list of a charge point is made of."""
        return self._local_list(charge_point_id)


def context_of(
    settings: Settings,
    versions: Mapping[str, Version],
    *,
    scheduler: Scheduler,
    timers: Timers,
    router: Router,
    store: Store,
    spool: Spool,
    observer: Observer,
    meter: SessionMeter,
    durable_tickets: DurableTickets | None,
    host: SystemHost,
) -> SessionContext:
    """Make the context of a system's sessions."""
    rules = {subprotocol: rules_of(settings, version) for subprotocol, version in versions.items()}
    return SessionContext(
        rules=next(iter(rules.values())),
        more_rules=rules,
        scheduler=scheduler,
        timers=timers,
        router=router,
        store=store,
        spool=spool,
        observer=observer,
        calls_in_flight_limit=settings.sessions.calls_in_flight_limit,
        inbox_limit=settings.sessions.inbox_limit,
        id_tag_status=settings.deadlines.fallback_id_tag_status,
        recorder_bytes=settings.sessions.recorder_bytes,
        clock_tolerance_s=settings.sessions.clock_tolerance_s,
        events_s=settings.deadlines.events_s,
        log_limit=LogLimit(timers, settings.log.repeat_s, settings.log.repeat_lines),
        durable_tickets=durable_tickets,
        host=host,
        meter=meter,
    )


def rules_of(settings: Settings, version: Version) -> SessionRules:
    """Make the rules of a session that speaks a version."""
    return SessionRules(
        version=version,
        strict=settings.policy == "strict",
        default_deadline_s=settings.deadlines.default_s,
        deadlines_s=dict(settings.deadlines.actions),
        queue_limit=settings.sessions.queue_limit,
        queue_reserve=settings.sessions.queue_reserve,
        accept_unbooted=settings.sessions.accept_unbooted,
        answer_transactions_unregistered=settings.sessions.answer_transactions_unregistered,
        naive_zone=settings.naive_zone,
    )
