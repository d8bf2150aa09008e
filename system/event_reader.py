"""Durable events out of the log, made whole: transactions as they are, and energy that nobody claimed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from ..store.events import CORRECTED, TransactionEnded, corrected

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from ..protocol.events import DomainEvent
    from ..store.store import EventLogView, LoggedEvent, Store
    from .assessment import Assessment

logger = logging.getLogger(__name__)

READ_AT_ONCE = 200
"""Events that are read at once."""


class EventReader:
    """Reader of the event log of a store; its methods switch greenlets."""

    def __init__(self, store: Store, assessment: Assessment) -> None:
        self._store = store
        self._assessment = assessment

    @property
    def log(self) -> EventLogView:
        """Log that is read."""
        return self._store.event_log

    def read(self, origin: int, after: int) -> Sequence[LoggedEvent]:
        """Read the next events of an origin behind a number."""
        return self.log.read(origin, after, READ_AT_ONCE)

    def read_all(self, positions: Mapping[int, int]) -> list[tuple[int, LoggedEvent]]:
        """Read the next events of several origins behind their positions, in the order of their times.

        The order within an origin is kept, though times in a log of an earlier version may go back.
        """
        found: list[tuple[dt.datetime, int, LoggedEvent]] = []
        limit: dt.datetime | None = None
        for origin in sorted(positions):
            rows, at = self.read(origin, positions[origin]), None
            for logged in rows:
                at = logged.logged_at if at is None else max(at, logged.logged_at)
                found.append((at, origin, logged))
            if at is not None and len(rows) >= READ_AT_ONCE:  # what comes later is not known yet
                limit = at if limit is None else min(limit, at)
        found = [one for one in found if limit is None or one[0] <= limit]
        found.sort(key=lambda one: one[:2])
        return [(origin, logged) for _, origin, logged in found]

    def whole(self, logged: LoggedEvent, origin_name: str) -> DomainEvent | None:
        """Make an event; None for one whose transaction is gone, or that cannot be read, which is logged."""
        if logged.kind == CORRECTED:
            return self._corrected(logged, origin_name)
        try:
            event = logged.event(origin_name)
        except (ValueError, KeyError, msgspec.MsgspecError) as error:
            logger.error("event %s:%d cannot be read: %s", origin_name, logged.number, error)  # noqa: TRY400
            return None
        if type(event) is TransactionEnded:
            known = event.transaction
            if known.energy_wh is None:
                # Closed by hand without a meter's value: the readings say.
                known = self._assessment.assessed(known)
            known = self._assessment.priced(known)
            if known is not event.transaction:
                return msgspec.structs.replace(event, transaction=known)
        return event

    def _corrected(self, logged: LoggedEvent, origin_name: str) -> DomainEvent | None:
        known = self._store.transaction(logged.transaction_id or 0)
        if known is None:
            return None
        known = self._assessment.priced(self._assessment.assessed(known))
        return corrected(known, f"{origin_name}:{logged.number}", logged.logged_at)
