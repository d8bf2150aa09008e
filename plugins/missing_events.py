"""Events of transactions of OCPP 2.0.1 that did not come, and the question about them to their station.

A question is stored with the end of its transaction, and asked once: `ask_after_s` later, by the process that the
station is connected to, or after its next connection. OCPP 2.0.1, E14.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent

from .. import StatusQuery, v201

if TYPE_CHECKING:
    from collections.abc import Callable

    from .. import Receipt, Store, Transaction

ASK_AFTER_S = 2.0
"""Seconds after the end of a transaction with a hole in its events, before the station is asked for the rest."""
HOLE = "events_missing"
"""Code of the finding of such a hole."""
READINGS = 50_000
"""Events of a transaction among which a hole is looked for."""
QUERIES = 100
"""Questions about transactions that wait for one station; the oldest are dropped first."""
RUNS = 100_000
"""Transactions whose events are known to have come without a hole; those that began first are forgotten first."""


class MissingEvents:
    """Runs of events without a hole, and questions about transactions that have ended and may have one.

    `ask` sends a question, `is_here` tells if a charge point is connected to this process.
    """

    def __init__(
        self,
        store: Store,
        *,
        ask: Callable[[StatusQuery], None],
        is_here: Callable[[str], bool],
        ask_after_s: float,
    ) -> None:
        self._store = store
        self._queries = store.collections.status_queries
        self._send = ask
        self._is_here = is_here
        self._ask_after_s = ask_after_s
        self._asking: dict[int, Any] = {}  # waits before questions, by transaction
        self._runs: dict[int, int] = {}  # last number of the events without a hole, by transaction

    def start(self) -> None:
        """Wait with the questions to stations that are connected."""
        for query in self._queries:
            if self._is_here(query.charge_point_id):
                self._wait_for(query)

    def stop(self) -> None:
        """End all waits; the questions stay in the store."""
        gevent.killall(list(self._asking.values()), block=False)

    # -- Runs --------------------------------------------------------------------------------------

    def begin(self, number: int, seq_no: int) -> None:
        """Note the number of the first event of a transaction, which has told its start."""
        self._runs[number] = seq_no
        if len(self._runs) > RUNS:
            del self._runs[next(iter(self._runs))]

    def go_on(self, number: int, seq_no: int) -> bool:
        """Note the number of an event; return whether none before it is known to be missing, from the start on."""
        last = self._runs.get(number)
        if last is None or seq_no <= last:
            return last is not None
        if seq_no == last + 1:
            self._runs[number] = seq_no
            return True
        del self._runs[number]
        return False

    def end(self, number: int) -> None:
        """Forget the run of a transaction that has ended."""
        self._runs.pop(number, None)

    # -- Questions ---------------------------------------------------------------------------------

    def ask_later(self, known: Transaction) -> Receipt:
        """Ask the station for the state of a transaction that has ended, if events before its end do not come."""
        waiting = self._queries.of(known.charge_point_id)
        for query in waiting[: len(waiting) - QUERIES + 1] if len(waiting) >= QUERIES else ():
            self._drop(query)
        query = StatusQuery(
            charge_point_id=known.charge_point_id, transaction_id=known.id, remote_id=known.remote_id
        )
        receipt = self._queries.put(query)
        self._wait_for(query)
        return receipt

    def came_online(self, charge_point_id: str) -> None:
        """Ask a station what has not been asked yet."""
        if self._queries.has(charge_point_id):
            for query in self._queries.of(charge_point_id):
                self._wait_for(query)

    def _wait_for(self, query: StatusQuery) -> None:
        if query.transaction_id not in self._asking:
            self._asking[query.transaction_id] = gevent.spawn_later(self._ask_after_s, self._ask, query)

    def _ask(self, query: StatusQuery) -> None:
        try:
            if not self._is_here(query.charge_point_id):
                return  # the process that it connects to asks
            found = self._store.meter_readings(
                query.transaction_id, charge_point_id=query.charge_point_id, limit=READINGS
            )
            findings = v201.VERSION.findings([one.values for one in found])
            if any(finding.code == HOLE for finding in findings):
                self._send(query)
            self._drop(query)
        finally:
            del self._asking[query.transaction_id]

    def _drop(self, query: StatusQuery) -> None:
        self._queries.remove(f"{query.transaction_id}/{query.charge_point_id}")
