"""Queries: rows under conditions, and transactions under conditions without an index.

Such a question is put in windows, each with its own query: writes have their turn in between, however much is kept.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, TypeVar

import gevent

from .rows import TRANSACTION, text, transaction_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .records import Transaction, TransactionFilter

WINDOW = 5000
"""Transactions that one query looks at when no index knows which ones are wanted."""

COLUMNS = ", ".join(TRANSACTION)

AT_A_TIME = 200
"""Rows made into records before other greenlets have their turn: some 1 ms."""

R = TypeVar("R")
Conditions = list[tuple[str, Any]]

# Flags are a JSON list of texts: one begins behind `["` or `,"`, and a quotation mark in one has a backslash before it.
_ORPHAN = ("flags LIKE ? OR flags LIKE ?", ('["orphan: %', '%,"orphan: %'))


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
    wanted: TransactionFilter,
    before: int | None,
    limit: int,
) -> Sequence[Transaction]:
    """Read transactions as `Store.transactions` describes; switches greenlets."""
    query, order = f"SELECT {COLUMNS} FROM transactions", "ORDER BY id DESC"  # noqa: S608
    indexed: Conditions = [
        ("charge_point = ?", wanted.charge_point_id),
        ("connector = ?", wanted.connector_id),
        ("lower(id_tag) = lower(?)", wanted.id_tag),
        ("stop_received_at IS NULL", wanted.open_only),
    ]
    looked_for: Conditions = [
        ("flags <> '[]'", wanted.flagged_only and not wanted.unassessed_too),
        (_ORPHAN[0], wanted.orphans_only and _ORPHAN[1]),
        ("start_received_at >= ?", _utc(wanted.since)),
        ("start_received_at < ?", _utc(wanted.until)),
    ]
    if not any(value for _, value in looked_for):
        found = select(ask, query, [*indexed, ("id < ?", before)], order, limit)
        return records(found, transaction_of)
    found = []
    while len(found) < limit:
        within = [*indexed, ("id < ?", before)]
        last = select(ask, "SELECT id FROM transactions", within, order, 1, WINDOW - 1)
        if last:
            within.append(("id >= ?", last[0][0]))
        found += select(ask, query, [*within, *looked_for], order, limit - len(found))
        if not last:
            break
        before = last[0][0]
    return records(found, transaction_of)


def _utc(at: dt.datetime | None) -> str | None:
    """A time as the columns have it: as text it sorts as the times do."""
    return None if at is None else text(at.astimezone(dt.UTC))
