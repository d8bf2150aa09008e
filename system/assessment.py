"""Energy of transactions, derived when somebody looks.

Nothing of this runs when a message comes. The result for a closed transaction is stored, until a later reading or stop
makes it void; that of an open one is derived each time.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING

import msgspec
from gevent import get_hub

from ..config.errors import ChargehandError
from ..protocol.energy import ClaimedFigures, Energy, Finding, LastEnergy, LastStop, Limits, derive
from ..store.records import Cursor, TransactionFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from ..config.sessions import BackOfficeSettings
    from ..protocol.actions import Version
    from ..protocol.energy import Sample
    from ..store.records import Cost, MeterReading, Transaction
    from ..store.store import Store

logger = logging.getLogger(__name__)

READINGS = 50_000
"""Messages with readings from which the energy of one transaction is derived."""
IN_THE_HUB = 100
"""Messages with readings that are read in the hub, in some 5 ms; more are read in a native thread."""
AT_A_TIME = 200
"""Transactions that are asked for at once."""
BUDGET = 20_000
"""Messages with readings, and transactions, from which is derived for one page: some 1 s."""
LOOKED_AT = 5000
"""Transactions that are looked at for one page of flagged ones: a page may be short, and have a next one."""
BEFORE = 3
"""Transactions of the connector among which the last stop is looked for."""


class ReadingsDeleted(ChargehandError):
    """Error: the readings are deleted from which something would be derived, and it was not stored before."""


def limits_of(settings: BackOfficeSettings) -> Limits:
    """Return the limits of suspicion of these settings."""
    return Limits(
        settings.suspect_power_w,
        settings.suspect_difference_wh,
        settings.suspect_clock_ahead_s,
        settings.suspect_clock_behind_s,
    )


class _Budget:
    """Work that is left for a page."""

    def __init__(self) -> None:
        self.left = BUDGET


class Page:
    """Page of a list of transactions, read by iterating once; then `next` is the cursor of the next page, or None."""

    def __init__(self, transactions: Iterator[Transaction | Cursor]) -> None:
        self._transactions = transactions
        self.next: Cursor | None = None

    def __iter__(self) -> Iterator[Transaction]:
        for one in self._transactions:
            if isinstance(one, Cursor):
                self.next = one
            else:
                yield one


class Assessment:
    """Assessment of transactions in a store, by the versions of their messages; its methods switch greenlets."""

    def __init__(
        self,
        store: Store,
        versions: Mapping[str, Version],
        limits: Limits,
        naive_zone: dt.tzinfo | None = dt.UTC,
    ) -> None:
        self._store = store
        self._versions = {version.name: version for version in versions.values()}
        self.limits = limits
        self.pricer: Callable[[Transaction], Cost | None] | None = None
        """Function that a plugin prices closed transactions with."""
        self._naive_zone = naive_zone

    def assessed(self, transaction: Transaction) -> Transaction:
        """Return a transaction with its energy and findings; those of a closed one are stored."""
        return self.assessed_all((transaction,))[0]

    def assessed_all(self, transactions: Sequence[Transaction]) -> list[Transaction]:
        """Return some transactions, each once, with their energy and findings; those of closed ones are stored."""
        # One that was assessed before this was derived with it; readings that are deleted tell nothing more.
        lacking = [
            one
            for one in transactions
            if not one.readings_deleted and not (one.assessed and one.idle_derived)
        ]
        known = {one.id: one for one, _ in self._assess(lacking)}
        return [known.get(one.id, one) for one in transactions]

    def priced(self, transaction: Transaction) -> Transaction:
        """Return a closed transaction with its cost, if it has none yet and a plugin prices transactions."""
        if self.pricer is None or transaction.open or transaction.costs:
            return transaction
        if (
            transaction.energy_wh is None and not transaction.assessed
        ):  # it is deleted, with what it is derived from
            return transaction
        try:
            cost = self.pricer(transaction)
        except Exception:
            logger.exception("transaction %d cannot be priced", transaction.id)
            return transaction
        return transaction if cost is None else msgspec.structs.replace(transaction, costs=(cost,))

    def idle_since(self, transaction: Transaction) -> datetime | None:
        """Return when the last energy of a transaction had come, by its readings; None if they do not say.

        Raises `ReadingsDeleted` if they are gone, and it was not stored before.
        """
        if not transaction.idle_derived and not transaction.readings_deleted:
            last = LastEnergy(self._samples(self._readings(transaction)))
            for _ in last:
                pass
            if transaction.open:
                return last.at
            # Readings go behind the mark of their transaction: without one, all of them were there.
            now = self._store.transaction(transaction.id)
            if now is not None and not now.readings_deleted:
                return last.at
            transaction = transaction if now is None else now
        if not transaction.idle_derived:
            raise ReadingsDeleted(
                f"the readings of transaction {transaction.id} are deleted, and its idle time was not stored"
            )
        return transaction.idle_since

    def known(self, transaction: Transaction) -> tuple[Transaction, Energy]:
        """Return the same, derived now, and the whole of what was derived.

        Of a transaction whose readings are deleted only what is stored is known.
        """
        if transaction.readings_deleted:
            return transaction, _stored(transaction)
        return self._assess([transaction])[0]

    def transactions(
        self, wanted: TransactionFilter, *, before: Cursor | None = None, limit: int = 100
    ) -> Page:
        """List transactions with energy and findings, newest first by our time of receipt of the start, then by id.

        A page may be shorter than `limit` and have a next one: as much is derived for it as does not take long.
        """
        return Page(self._page(wanted, before, limit))

    def _page(
        self, wanted: TransactionFilter, before: Cursor | None, limit: int
    ) -> Iterator[Transaction | Cursor]:
        """Yield the transactions of a page; and last, if there may be more, the cursor of the next one."""
        search = msgspec.structs.replace(wanted, unassessed_too=wanted.flagged_only)
        looked_at, budget = 0, _Budget()
        while limit > 0 and looked_at < LOOKED_AT and budget.left > 0:
            size = AT_A_TIME if wanted.flagged_only else min(limit, AT_A_TIME)
            # One more than is looked at says that there are more.
            found = self._store.transactions(search, before=before, limit=size + 1)
            chunk = found[:size]
            listed = self._listed(chunk, budget)
            for known in listed:
                if limit == 0:
                    break
                before = Cursor(known.start_received_at, known.id)
                if not wanted.flagged_only or wanted.matches(known):
                    limit -= 1
                    yield known
            else:
                if len(found) <= size and len(listed) == len(chunk):
                    return
            looked_at += size
        if before is not None:
            yield before

    # -- Assessment ----------------------------------------------------------------------------

    def _listed(self, chunk: Sequence[Transaction], budget: _Budget) -> list[Transaction]:
        """Assess those of a list that are not, up to the one with which the budget is spent."""
        unassessed = [one for one in chunk if not one.assessed]
        known = {one.id: one for one, _ in self._assess(unassessed, budget)}
        listed = []
        for one in chunk:
            if not one.assessed and one.id not in known:
                break
            listed.append(known.get(one.id, one))
        return listed

    def _assess(
        self, transactions: Sequence[Transaction], budget: _Budget | None = None
    ) -> list[tuple[Transaction, Energy]]:
        """Derive the energy of transactions, and store that of closed ones, all at once: each write is waited for.

        Those behind the one with which the budget is spent are left out.
        """
        found: dict[int, tuple[Transaction, Energy]] = {}
        pending = transactions
        while pending:
            counts: dict[int, int] = {}
            for one in pending:
                if budget is not None and budget.left <= 0 and one.id not in found:
                    break
                readings = self._readings(one)
                counts[one.id] = len(readings)
                found[one.id] = self._unless_deleted(one, self._derive(one, readings))
                if budget is not None:
                    budget.left -= 1 + len(readings)
            changed = [
                one
                for one in pending
                if one.id in counts and found[one.id][0].assessed and found[one.id][0] != one
                if not found[one.id][0].readings_deleted
            ]
            for one in changed:
                self._keep(found[one.id][0])
            # A reading that came while the others were read has made nothing void: there was nothing yet. One that
            # was deleted meanwhile is seen here, too.
            pending = [one for one in changed if len(self._readings(one)) != counts[one.id]]
        return list(found.values())

    def _unless_deleted(self, transaction: Transaction, derived: Energy) -> tuple[Transaction, Energy]:
        """Return a transaction with what was derived of it, or as it is stored if its readings may have been gone.

        Readings go behind the mark of their transaction: one that has no mark yet had all of them when they were read.
        """
        if transaction.open:  # when it was read: none of its readings is old enough
            return _with(transaction, derived), derived
        now = self._store.transaction(transaction.id)
        if now is None:
            return transaction, _stored(transaction)
        if now.readings_deleted:
            return now, _stored(now)
        return _with(transaction, derived), derived

    def _keep(self, known: Transaction) -> None:
        self._store.assess_transaction(
            known.id,
            energy_wh=known.energy_wh,
            energy_source=known.energy_source,
            supported_energy_wh=known.supported_energy_wh,
            findings=known.findings,
            idle_since=known.idle_since,
        )

    # -- What it is derived from ---------------------------------------------------------------

    def _readings(self, transaction: Transaction) -> Sequence[MeterReading]:
        return self._store.meter_readings(
            transaction.id, charge_point_id=transaction.charge_point_id, limit=READINGS
        )

    def _derive(self, transaction: Transaction, readings: Sequence[MeterReading]) -> Energy:
        claim = ClaimedFigures(
            transaction.meter_start,
            transaction.started_at,
            transaction.start_received_at,
            transaction.meter_stop,
            transaction.stopped_at,
            # The time that somebody gave by hand is no clock's.
            transaction.stopped_at if transaction.closed_by else transaction.stop_received_at,
        )
        last_stop = self._last_stop(transaction)
        version = self._versions.get(transaction.version)
        if len(readings) <= IN_THE_HUB:
            return self._compute(claim, readings, last_stop, version)
        return get_hub().threadpool.apply(self._compute, (claim, readings, last_stop, version))

    def _compute(
        self,
        claim: ClaimedFigures,
        readings: Sequence[MeterReading],
        last_stop: LastStop | None,
        version: Version | None,
    ) -> Energy:
        """Read the samples and derive the energy; in any thread."""
        last = LastEnergy(self._samples(readings))
        energy = derive(claim, last, last_stop=last_stop, limits=self.limits)
        more = () if version is None else version.findings([reading.values for reading in readings])
        return energy._replace(findings=(*energy.findings, *more), idle_since=last.at)

    def _samples(self, readings: Sequence[MeterReading]) -> Iterator[tuple[datetime, Sequence[Sample]]]:
        for reading in readings:
            version = self._versions.get(reading.version)
            if version is not None:
                yield reading.received_at, version.samples(reading.values, self._naive_zone).samples

    def _last_stop(self, transaction: Transaction) -> LastStop | None:
        """Find the stop of the transaction before this one at its connector; constant work."""
        wanted = TransactionFilter(
            charge_point_id=transaction.charge_point_id, connector_id=transaction.connector_id
        )
        before = Cursor(transaction.start_received_at, transaction.id)
        for one in self._store.transactions(wanted, before=before, limit=BEFORE):
            if one.meter_stop is not None and one.stopped_at is not None and one.stop_received_at is not None:
                return LastStop(one.meter_start, one.meter_stop, one.stopped_at, one.stop_received_at)
        return None


def _stored(transaction: Transaction) -> Energy:
    """Make what is stored of the energy of a transaction into what was derived."""
    findings = (finding.partition(": ") for finding in transaction.findings)
    return Energy(
        transaction.energy_wh,
        transaction.energy_source,
        transaction.supported_energy_wh,
        first=None,
        last=None,
        peak_w=None,
        duration_s=None,
        findings=tuple(Finding(code, text) for code, _, text in findings),
        idle_since=transaction.idle_since,
    )


def _with(transaction: Transaction, derived: Energy) -> Transaction:
    """Return a transaction with what was derived of it."""
    return msgspec.structs.replace(
        transaction,
        assessed=not transaction.open,
        energy_wh=derived.energy_wh,
        energy_source=derived.source,
        supported_energy_wh=derived.supported_wh,
        findings=tuple(f"{finding.code}: {finding.text}" for finding in derived.findings),
        idle_since=derived.idle_since,
        idle_derived=True,
    )
