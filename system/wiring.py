"""Wiring of what the sessions of a system share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..actors.session.context import SessionContext
from ..protocol.session import Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..actors.plugin.routing import Router
    from ..actors.plugin.spool import Spool
    from ..actors.runtime.scheduler import Scheduler
    from ..actors.runtime.timers import Timers
    from ..actors.session.charge_point import ChargePoint
    from ..actors.session.context import DurableTickets, Observer
    from ..actors.session.tickets import Ticket
    from ..config.settings import Settings
    from ..protocol.actions import Version
    from ..store.store import Store
    from .membership import Membership


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
    durable_tickets: DurableTickets | None,
    membership: Membership | None,
    went_online: Callable[[ChargePoint], None],
    went_offline: Callable[[ChargePoint, int, str], None],
) -> SessionContext:
    """Make the context of a system's sessions; `membership` is None if this is the only process."""
    cluster = membership.cluster if membership is not None else None
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
        durable_tickets=durable_tickets,
        ticket_ended=cluster.near.changed if cluster is not None else _nothing,
        ticket_sent=cluster.near.changed if cluster is not None else None,
        may_send=cluster.claims.may_send if cluster is not None else None,
        redelivers_here=membership.redelivers_here if membership is not None else None,
        went_online=went_online,
        went_offline=went_offline,
    )


def _nothing(_: Ticket[Any]) -> None:
    """No-op: there is no other process to notify."""


def rules_of(settings: Settings, version: Version) -> Rules:
    """Make the rules of a session that speaks a version."""
    return Rules(
        version=version,
        strict=settings.policy == "strict",
        default_deadline_s=settings.deadlines.default_s,
        deadlines_s=dict(settings.deadlines.actions),
        queue_limit=settings.sessions.queue_limit,
        queue_reserve=settings.sessions.queue_reserve,
        accept_unbooted=settings.sessions.accept_unbooted,
        answer_transactions_unregistered=settings.sessions.answer_transactions_unregistered,
    )
