"""Closed list of charge points, and those that want to get onto it: who is not known waits until a person approves.

An applicant is let in, and its registration is Pending: it tells who it is, and can be given a key, before somebody
decides. At most `limit` of them wait, for anybody may apply.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

import msgspec

from ..config.errors import ChargehandError
from ..protocol.log_fields import about
from ..protocol.text import shortened
from ..store.records import APPROVED, REJECTED, WAITING, Applicant

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from ..store.collections import Collection
    from ..store.store import Receipt

logger = logging.getLogger(__name__)

SEEN_S = 60.0
"""Seconds after which it is stored again that an applicant came."""


class ApplicantNotFound(ChargehandError, LookupError):
    """Error: no charge point of this id has applied."""


class Applicants:
    """Applicants of a system. `unknown` is what becomes of charge points that nobody has entered.

    For the hub's thread; `is_entered` says whether a charge point is known without having applied, `decided` is told of
    decisions, those of other processes included.
    """

    def __init__(
        self,
        book: Collection[Applicant],
        *,
        unknown: Literal["accept", "refuse", "ask"],
        limit: int,
        is_entered: Callable[[str], bool],
        now: Callable[[], dt.datetime],
        decided: Callable[[Applicant], None],
    ) -> None:
        self._book = book
        self._unknown = unknown
        self._limit = limit
        self._is_entered = is_entered
        self._now = now
        self._waiting: set[str] = set()  # those that waited when they were entered
        self._decided = decided
        for applied in book:
            if applied.state == WAITING:
                self._waiting.add(applied.charge_point_id)
        self.stop_watching = book.watch(self._entered)

    def _entered(self, applied: Applicant) -> None:
        if applied.state == WAITING:
            self._waiting.add(applied.charge_point_id)
        else:
            self._decided(applied)

    def _is_full(self) -> bool:
        """Return whether as many wait as may; another process may have decided about some."""
        if len(self._waiting) >= self._limit:
            self._waiting = {one for one in self._waiting if self.waits(one)}
        return len(self._waiting) >= self._limit

    @property
    def decides(self) -> bool:
        """True if not every charge point may connect."""
        return self._unknown != "accept"

    def is_known(self, charge_point_id: str) -> bool:
        """Return whether a charge point was entered, or approved."""
        applied = self._book.get(charge_point_id)
        if applied is not None and applied.state != APPROVED:
            return False
        return applied is not None or self._is_entered(charge_point_id)

    def waits(self, charge_point_id: str) -> bool:
        """Return whether a charge point waits for a decision."""
        applied = self._book.get(charge_point_id)
        return self._unknown == "ask" and applied is not None and applied.state == WAITING

    def apply(self, charge_point_id: str, peer: str) -> bool:
        """Note that a charge point which is not known wants to connect; return whether it may, and wait."""
        applied, now = self._book.get(charge_point_id), self._now()
        if self._unknown != "ask" or (applied is not None and applied.state == REJECTED):
            return False
        if applied is None:
            if self._is_full():
                return False
            named = shortened(charge_point_id)
            logger.warning(
                "charge point %s (%s) waits for approval (auth.unknown)",
                named,
                peer,
                extra=about(charge_point=named, connection=peer),
            )
            applied = Applicant(
                charge_point_id=charge_point_id, first_seen_at=now, last_seen_at=now, peer=peer
            )
            self._book.put(applied)
        elif (now - applied.last_seen_at).total_seconds() >= SEEN_S or applied.peer != peer:
            self._book.put(msgspec.structs.replace(applied, last_seen_at=now, peer=peer))
        return True

    def decide(self, charge_point_id: str, *, approved: bool, by: str) -> Receipt:
        """Approve or reject an applicant, also one that was rejected or approved before. Raises `ApplicantNotFound`."""
        applied = self._book.get(charge_point_id)
        if applied is None:
            raise ApplicantNotFound(f"charge point {charge_point_id} has not applied")
        state = APPROVED if approved else REJECTED
        return self._book.put(
            msgspec.structs.replace(applied, state=state, decided_by=by, decided_at=self._now())
        )

    def forget(self, charge_point_id: str) -> None:
        """Forget an applicant, if there is one of this id: it may apply again."""
        if self._book.get(charge_point_id) is not None:
            self._book.remove(charge_point_id)
