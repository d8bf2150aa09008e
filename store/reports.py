"""Reports of stations, put together from their parts by `requestId`. OCPP 2.0.1, B07, B08, K09, N02, N09, O03.

The one rule: a part is stored as it was sent, and everything else about a report is derived from its parts.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from ..config.errors import ChargehandError
from .store import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

ReportState = Literal["open", "complete", "partial"]

FIRST_NUMBERS = (0, 1)
"""Numbers that the first part of a report may have."""
MISSING_NAMED = 100
"""Missing numbers of a report that are named."""
PART_BYTES = 512
"""Bytes that a part counts beside its payload, so that the parts of a report are bounded, too."""
IN_PROGRESS = 1000
"""Charge points whose last reports are in memory."""
REPEATED = "a number came twice, with other contents"
"""Flag of a report whose numbers do not tell which of its parts are missing."""
CUT = "it is larger than reports.size_bytes, and was cut"
"""Flag of a report whose further parts were not stored."""


class ReportNotFound(ChargehandError, LookupError):
    """No report with this number is stored of the charge point."""


class ReportPart(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Part of a report; `payload` is that of its message as sent, empty if only the facts were read or it is cut.

    `number` is that of its report, `seq_no` None for messages that have no numbers, `last` true for the part that
    says that none follows. `digest` is the same for a part that comes again.
    """

    charge_point_id: str
    number: int
    action: str
    request_id: int
    seq_no: int | None
    last: bool
    received_at: datetime
    version: str
    size_bytes: int
    digest: str
    payload: bytes = b""
    cut: bool = False


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Report of a charge point; `number` is unique for it, and grows.

    `state` is "complete" when the numbers of the parts have no hole up to the last part, "open" while parts may come,
    else "partial". `missing` are numbers that did not come, as far as they are known.
    """

    charge_point_id: str
    number: int
    action: str
    request_id: int
    version: str
    state: ReportState
    begun_at: datetime
    last_at: datetime
    size_bytes: int
    parts: tuple[ReportPart, ...]
    missing: tuple[int, ...] = ()
    flags: tuple[str, ...] = ()


class StoredReports(Protocol):
    """Parts of reports in a store. What reads may switch greenlets."""

    def add(self, part: ReportPart) -> Receipt:
        """Store a part; one that comes again is stored once."""

    def parts(self, charge_point_id: str, number: int | None = None) -> Sequence[ReportPart]:
        """Return the parts of the reports of a charge point in order of receipt, without their payloads.

        Those of one report, by its number, with them.
        """

    def forget(self, charge_point_id: str, numbers: Sequence[int]) -> Receipt:
        """Delete reports for good."""


class Progress:
    """Facts of a report while its parts come."""

    def __init__(self, first: ReportPart) -> None:
        self.number = first.number
        self.action = first.action
        self.request_id = first.request_id
        self.last_at = first.received_at
        self.size_bytes = 0
        self.parts = 0
        self.cut = False
        self._digests: set[str] = set()
        self._numbers: set[int] = set()
        self._repeated = False
        self._unnumbered = False
        self._last_seen = False
        self._last: int | None = None
        self.take(first)

    def has(self, digest: str) -> bool:
        """Return whether a part has come already."""
        return digest in self._digests

    def has_number(self, seq_no: int | None) -> bool:
        """Return whether a part with this number has come already."""
        return seq_no in self._numbers

    def may_lack(self, seq_no: int | None) -> bool:
        """Return whether a part may come although the report seems whole: one before the first, one without number."""
        if seq_no is None:
            return self._unnumbered
        return seq_no == FIRST_NUMBERS[0] and seq_no not in self._numbers

    def take(self, part: ReportPart) -> None:
        """Take a part into account."""
        self._digests.add(part.digest)
        self.last_at = max(self.last_at, part.received_at)
        self.size_bytes += part.size_bytes
        self.parts += 1
        self.cut = self.cut or part.cut
        if part.seq_no is None:
            self._unnumbered = True
        elif part.seq_no in self._numbers:
            self._repeated = True
        else:
            self._numbers.add(part.seq_no)
        if part.last:
            self._repeated = self._repeated or self._last not in (None, part.seq_no)
            self._last_seen, self._last = True, part.seq_no

    @property
    def complete(self) -> bool:
        """Return whether all parts have come, by their numbers; without numbers, whether the last one has."""
        if not self._last_seen or self._repeated or self.cut:
            return False
        if self._unnumbered:
            return True
        first = min(self._numbers)
        return (
            first in FIRST_NUMBERS
            and self._last == max(self._numbers)
            and len(self._numbers) == max(self._numbers) - first + 1
        )

    @property
    def missing(self) -> tuple[int, ...]:
        """Numbers that did not come, as far as they are known; the first of them."""
        if not self._numbers or self._unnumbered:
            return ()
        # A first number of 0 or 1 is no hole.
        first = min(FIRST_NUMBERS[-1], *self._numbers)
        holes = (number for number in range(first, max(self._numbers)) if number not in self._numbers)
        return tuple(itertools.islice(holes, MISSING_NAMED))

    @property
    def flags(self) -> tuple[str, ...]:
        """Faults of the report beside missing parts."""
        return (*((REPEATED,) if self._repeated else ()), *((CUT,) if self.cut else ()))


def reports_of(parts: Sequence[ReportPart], now: datetime, wait_s: float) -> list[Report]:
    """Put the reports of a charge point together from their parts, newest first.

    One that is not whole is partial when `wait_s` have passed since its last part, or a newer one of its action began.
    """
    found: list[Report] = []
    newer: set[str] = set()
    for number, mine in sorted(by_number(parts).items(), reverse=True):
        progress = progress_of(mine)
        state: ReportState = "open"
        if progress.complete:
            state = "complete"
        elif progress.action in newer or progress.cut or (now - progress.last_at).total_seconds() > wait_s:
            state = "partial"
        newer.add(progress.action)
        found.append(
            Report(
                charge_point_id=mine[0].charge_point_id,
                number=number,
                action=progress.action,
                request_id=progress.request_id,
                version=mine[0].version,
                state=state,
                begun_at=min(part.received_at for part in mine),
                last_at=progress.last_at,
                size_bytes=progress.size_bytes,
                parts=tuple(mine),
                missing=progress.missing,
                flags=progress.flags,
            )
        )
    return found


def by_number(parts: Sequence[ReportPart]) -> dict[int, list[ReportPart]]:
    """Return parts by the number of their report, those of each in their order."""
    found: dict[int, list[ReportPart]] = {}
    for part in parts:
        found.setdefault(part.number, []).append(part)
    return found


def progress_of(parts: Sequence[ReportPart]) -> Progress:
    """Return the facts of one report, of its parts."""
    progress = Progress(parts[0])
    for part in parts[1:]:
        progress.take(part)
    return progress


class ReportCollector:
    """Finds the report that a part belongs to, and stores it.

    A part belongs to the report of its action and `requestId` that is not whole, unless its number is there already or
    `wait_s` have passed; one that was not asked for is a report, too. Of more than `kept` reports of an action the
    oldest are dropped. Parts of one charge point must come one after the other, as calls do.
    """

    def __init__(self, stored: StoredReports, *, size_bytes: int, kept: int, wait_s: float) -> None:
        self._stored = stored
        self._size_bytes = size_bytes
        self._kept = kept
        self._wait_s = wait_s
        # By charge point, each with the connection that it was read in: another process may add to them later.
        self._progress: OrderedDict[str, tuple[object, dict[int, Progress]]] = OrderedDict()

    def take(
        self,
        payload: bytes,
        *,
        charge_point_id: str,
        version: str,
        action: str,
        request_id: int,
        seq_no: int | None,
        last: bool,
        received_at: datetime,
        digest: str,
        connection: object,
    ) -> tuple[Receipt, Progress, bool]:
        """Store a part; return its receipt, its report, and whether it completed it. May switch greenlets.

        `connection` differs for each connection of the charge point.
        """
        known = self._known(charge_point_id, connection)
        progress = self._report_of(known, action, request_id, seq_no, digest, received_at, last=last)
        number = self._new_number(known, received_at) if progress is None else progress.number
        size = len(payload) + PART_BYTES
        cut = (0 if progress is None else progress.size_bytes) + size > self._size_bytes
        part = ReportPart(
            charge_point_id=charge_point_id,
            number=number,
            action=action,
            request_id=request_id,
            seq_no=seq_no,
            last=last,
            received_at=received_at,
            version=version,
            size_bytes=size,
            digest=digest,
            payload=b"" if cut else bytes(payload),
            cut=cut,
        )
        before = progress is not None and progress.complete
        if progress is None:
            progress = known[number] = Progress(part)
            self._drop_oldest(charge_point_id, known, action)
        elif progress.cut:  # nothing of it is stored any more
            return Receipt(done=True), progress, False
        elif not progress.has(digest):
            progress.take(part)
        # One that comes again is handed over again: it may have failed.
        return self._stored.add(part), progress, progress.complete and not before

    def _known(self, charge_point_id: str, connection: object) -> dict[int, Progress]:
        read_in, known = self._progress.get(charge_point_id, (None, {}))
        if read_in != connection or connection is None:
            parts = self._stored.parts(charge_point_id)
            known = {number: progress_of(mine) for number, mine in sorted(by_number(parts).items())}
            self._progress[charge_point_id] = connection, known
            if len(self._progress) > IN_PROGRESS:
                self._progress.popitem(last=False)
        self._progress.move_to_end(charge_point_id)
        return known

    def _report_of(
        self,
        known: dict[int, Progress],
        action: str,
        request_id: int,
        seq_no: int | None,
        digest: str,
        received_at: datetime,
        *,
        last: bool,
    ) -> Progress | None:
        """Return the report that a part belongs to; None if it begins one."""
        for progress in reversed(known.values()):
            if progress.action != action or progress.request_id != request_id:
                continue
            late = (received_at - progress.last_at).total_seconds() > self._wait_s
            if progress.has(digest) and not late:
                return progress
            if progress.complete:
                return progress if not late and not last and progress.may_lack(seq_no) else None
            return None if late and progress.has_number(seq_no) else progress
        return None

    @staticmethod
    def _new_number(known: dict[int, Progress], received_at: datetime) -> int:
        return max(int(received_at.timestamp() * 1e6), max(known, default=0) + 1)

    def _drop_oldest(self, charge_point_id: str, known: dict[int, Progress], action: str) -> None:
        numbers = [number for number, progress in known.items() if progress.action == action]
        surplus = numbers[: -self._kept]
        for number in surplus:
            del known[number]
        if surplus:
            self._stored.forget(charge_point_id, surplus)


class MemoryReports:
    """Reports of a store in memory: `limit` parts; of more the oldest reports are dropped."""

    def __init__(self, append: Callable[[Callable[[], Receipt]], Receipt], limit: int) -> None:
        self._append = append
        self._limit = limit
        self._parts: dict[str, dict[tuple[int, str], ReportPart]] = {}
        self._number = 0

    def add(self, part: ReportPart) -> Receipt:
        """Store a part; one that comes again is stored once."""
        return self._append(lambda: self._add(part))

    def _add(self, part: ReportPart) -> Receipt:
        mine = self._parts.setdefault(part.charge_point_id, {})
        if (part.number, part.digest) not in mine:
            mine[part.number, part.digest] = part
            self._number += 1
            while self._number > self._limit:
                self._drop(next(iter(self._parts)))
        return Receipt(done=True)

    def _drop(self, charge_point_id: str) -> None:
        mine = self._parts[charge_point_id]
        self._forget(charge_point_id, [min(number for number, _ in mine)])

    def parts(self, charge_point_id: str, number: int | None = None) -> Sequence[ReportPart]:
        """Return the parts of the reports of a charge point, or of one report."""
        return [
            part
            for part in self._parts.get(charge_point_id, {}).values()
            if number is None or part.number == number
        ]

    def forget(self, charge_point_id: str, numbers: Sequence[int]) -> Receipt:
        """Delete reports for good."""
        return self._append(lambda: self._forget(charge_point_id, numbers))

    def _forget(self, charge_point_id: str, numbers: Sequence[int]) -> Receipt:
        mine = self._parts.get(charge_point_id, {})
        gone = [key for key in mine if key[0] in numbers]
        for key in gone:
            del mine[key]
        if not mine:
            self._parts.pop(charge_point_id, None)
        self._number -= len(gone)
        return Receipt(done=True)
