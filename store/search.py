"""Queries: rows under conditions, and transactions under conditions without an index.

Such a question is put in windows, each with its own query: writes have their turn in between, however much is stored.
"""

from __future__ import annotations

import datetime as dt
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

import gevent

from .records import UNKNOWN_TRANSACTION
from .rows import TRANSACTION, reading_of, text, transaction_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .records import Cursor, MeterReading, Transaction, TransactionFilter

WINDOW = 5000
"""Transactions that one query looks at when no index knows which ones are wanted."""

COLUMNS = ", ".join(TRANSACTION)

AT_A_TIME = 200
"""Rows made into records before other greenlets have their turn: some 1 ms."""

R = TypeVar("R")
Conditions = list[tuple[str, Any]]

READING_COLUMNS = "charge_point, connector, transaction_id, received_at, data, flags, version, number"
RECEIVED, NUMBER = 3, 7
"""Places of columns among these."""

FACT_IN_SQLITE = "json_extract(data, '$.at')", "json_extract(data, '$.transaction_id')"
FACT_IN_POSTGRES = "(data::json ->> 'at')", "(data::json ->> 'transaction_id')::bigint"
"""Members of the JSON of an `OverFact`: time, and the transaction whose start it was."""

READINGS_BY_TIME = "readings"
SORTED_READINGS = "sorted_readings CROSS JOIN readings USING (charge_point, received_at, number)"
"""Readings of transactions as a query finds those of a charge point by time; the second in SQLite, after `Kind.SORT`.

The CROSS JOIN has SQLite begin with its left side.
"""


def orphaned(fact: tuple[str, str]) -> str:
    """Write the condition that a transaction is orphaned, as `OverFact.ends` has it; `fact` is one of those above."""
    at, by = f"replace({fact[0]}, 'Z', '+00:00')", fact[1]
    alive_at = "coalesce(life_at, start_received_at)"
    return (
        "stop_received_at IS NULL AND EXISTS (SELECT 1 FROM books WHERE book = 'over_facts' AND data IS NOT NULL "  # noqa: S608
        "AND key IN ('/' || charge_point, connector || '/' || charge_point) "
        f"AND ({at} > {alive_at} OR ({at} = {alive_at} AND {by} <> id)))"
    )


def select(
    ask: Callable[..., list[Any]],
    query: str,
    conditions: Conditions,
    order: str,
    limit: int,
    skip: int = 0,
) -> list[Any]:
    """Read rows under the conditions whose value is not empty.

    True has no value of its own, a tuple has several. `ask(query, *values)` reads from the database.
    """
    wanted = [(condition, value) for condition, value in conditions if value]
    where = f" WHERE {' AND '.join(f'({condition})' for condition, _ in wanted)}" if wanted else ""
    values: list[Any] = []
    for _, value in wanted:
        if isinstance(value, tuple):
            values.extend(value)
        elif value is not True:
            values.append(value)
    return ask(f"{query}{where} {order} LIMIT ? OFFSET ?", *values, limit, skip)


def records(rows: Sequence[Sequence[Any]], record_of: Callable[[Sequence[Any]], R]) -> list[R]:
    """Make records out of rows; switches greenlets when there are many."""
    made = []
    for number, values in enumerate(rows, 1):
        made.append(record_of(values))
        if number % AT_A_TIME == 0:
            gevent.sleep(0)
    return made


def newest_transactions(
    ask: Callable[..., list[Any]],
    fact: tuple[str, str],
    wanted: TransactionFilter,
    before: Cursor | None,
    limit: int,
) -> Sequence[Transaction]:
    """Read transactions as `Store.transactions` describes; switches greenlets. `fact` as for `orphaned`."""
    order = "ORDER BY start_received_at DESC, id DESC"
    indexed: Conditions = [
        ("charge_point = ?", wanted.charge_point_id),
        ("connector = ?", None if wanted.connector_id is None else (wanted.connector_id,)),
        ("lower(id_tag) = lower(?)", wanted.id_tag),
        ("stop_received_at IS NULL", wanted.open_only or wanted.orphans_only),
        ("start_received_at >= ?", utc_text(wanted.since)),
        ("start_received_at < ?", utc_text(wanted.until)),
    ]
    place = None if before is None else (utc_text(before.at), before.number)
    is_orphaned = orphaned(fact)
    unassessed = "assessed = 0 OR " if wanted.unassessed_too else ""
    looked_for: Conditions = [
        (f"{unassessed}flags <> '[]' OR findings <> '[]' OR ({is_orphaned})", wanted.flagged_only),
        (is_orphaned, wanted.orphans_only),
    ]
    if not any(value for _, value in looked_for):
        found = select(ask, QUERY, [*indexed, (BEHIND, place)], order, limit)
        return records(found, transaction_of)
    found = []
    while len(found) < limit:
        within = [*indexed, (BEHIND, place)]
        last = select(ask, "SELECT start_received_at, id FROM transactions", within, order, 1, WINDOW - 1)
        if last:
            within.append(("(start_received_at, id) >= (?, ?)", tuple(last[0])))
        found += select(ask, QUERY, [*within, *looked_for], order, limit - len(found))
        if not last:
            break
        place = tuple(last[0])
    return records(found, transaction_of)


QUERY = f"SELECT {COLUMNS} FROM transactions"  # noqa: S608
BEHIND = "(start_received_at, id) < (?, ?)"


def newest_readings(
    ask: Callable[..., list[Any]],
    charge_point_id: str,
    *,
    connector_id: int | None,
    since: dt.datetime | None,
    until: dt.datetime | None,
    without_transaction: bool,
    before: Cursor | None,
    limit: int,
    by_time: str,
) -> Sequence[MeterReading]:
    """Read meter values as `Store.readings_of` describes; switches greenlets. `by_time` as `READINGS_BY_TIME`."""
    conditions: Conditions = [
        ("charge_point = ?", (charge_point_id,)),
        ("connector = ?", None if connector_id is None else (connector_id,)),
        ("received_at >= ?", utc_text(since)),
        ("received_at < ?", utc_text(until)),
        ("(received_at, number) < (?, ?)", None if before is None else (utc_text(before.at), before.number)),
    ]
    # Each of the two is in the order of time somewhere.
    parts = {f"unattached = 1 AND NOT EXISTS ({THEIRS})": "readings"}
    if not without_transaction:
        parts = {"unattached = 1": "readings", f"unattached = 0 AND EXISTS ({OWN})": by_time}
    found: list[Any] = []
    for part, table in parts.items():
        query = f"SELECT {READING_COLUMNS} FROM {table}"  # noqa: S608 - constants
        found += select(
            ask, query, [*conditions, (part, True)], "ORDER BY received_at DESC, number DESC", limit
        )
    found.sort(key=itemgetter(RECEIVED, NUMBER), reverse=True)
    return records(found[:limit], reading_of)


NAMED = (
    "CASE WHEN readings.transaction_id BETWEEN 1 AND 2147483647 "
    "THEN CAST(readings.transaction_id AS bigint) END"
)
"""Number of the transaction that a reading names; null if it names none that could be."""
PROBE = "LIMIT 1 OFFSET 0"
"""End of a query within EXISTS: PostgreSQL looks into the index for each row, and never reads the whole table."""
NAMED_KNOWN = f"readings.flags NOT LIKE '%\"{UNKNOWN_TRANSACTION}\"%'"
"""Condition that the transaction which a reading names was known when it came."""

THEIRS = (
    f"SELECT 1 FROM transactions WHERE transactions.id = {NAMED} "  # noqa: S608 - a constant
    f"AND transactions.charge_point = readings.charge_point AND {NAMED_KNOWN} {PROBE}"
)
"""The transaction that a reading is of, if there is one of its charge point."""
OWN = (
    f"SELECT 1 FROM transactions AS one WHERE one.id = {NAMED} "  # noqa: S608 - constants
    f"AND one.charge_point = readings.charge_point {PROBE}"
)
"""The transaction of its charge point that a reading names."""


def utc_text(at: dt.datetime | None) -> str | None:
    """Write a time as the columns have it: as text it sorts as the times do."""
    return None if at is None else text(at.astimezone(dt.UTC))
