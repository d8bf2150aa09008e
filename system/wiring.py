"""What sessions share, as the settings have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..actors.session.context import SessionContext
from ..protocol import v16
from ..protocol.session import Rules

if TYPE_CHECKING:
    from ..actors.plugin.routing import Router
    from ..actors.runtime.scheduler import Scheduler
    from ..actors.runtime.timers import Timers
    from ..actors.session.context import Observer
    from ..config.settings import Settings
    from ..store.store import Store


def context_of(
    settings: Settings,
    *,
    scheduler: Scheduler,
    timers: Timers,
    router: Router,
    store: Store,
    observer: Observer,
) -> SessionContext:
    """Make them; whoever wants to hear of sessions, or to keep their tickets, says so there."""
    return SessionContext(
        rules=rules_of(settings),
        scheduler=scheduler,
        timers=timers,
        router=router,
        store=store,
        observer=observer,
        calls_in_flight_limit=settings.sessions.calls_in_flight_limit,
        inbox_limit=settings.sessions.inbox_limit,
        id_tag_status=settings.deadlines.fallback_id_tag_status,
        recorder_bytes=settings.sessions.recorder_bytes,
        clock_tolerance_s=settings.sessions.clock_tolerance_s,
        events_s=settings.deadlines.events_s,
    )


def rules_of(settings: Settings) -> Rules:
    """The rules of a session."""
    return Rules(
        version=v16.VERSION,
        strict=settings.policy == "strict",
        default_deadline_s=settings.deadlines.default_s,
        deadlines_s=dict(settings.deadlines.actions),
        queue_limit=settings.sessions.queue_limit,
        queue_reserve=settings.sessions.queue_reserve,
        accept_unbooted=settings.sessions.accept_unbooted,
        answer_transactions_unregistered=settings.sessions.answer_transactions_unregistered,
    )
