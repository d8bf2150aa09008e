"""Transactions, page by page, with their meter readings; and the transaction messages that no handler took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import falcon

from ..store.records import TransactionFilter
from .requests import Problem, Query
from .resources import DEFAULT_LIMIT, MAX_LIMIT, Resource, answer, viewed
from .views import meter_reading, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_ID = 2**31 - 1
AT_A_TIME = 200
"""Transactions that are asked for at a time: a database's thread and the hub share one interpreter."""
DEFAULT_READINGS = 1000


class Transactions(Resource):
    """`/api/v1/transactions`, with `/{id}` one of them."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List transactions by falling number, narrowed by the query; `before` is where the next page begins."""
        query = Query(
            request,
            "charge_point",
            "id_tag",
            "open",
            "flagged",
            "orphans",
            "since",
            "until",
            "before",
            "limit",
        )
        limit = query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
        before = query.whole("before", default=LARGEST_ID + 1, most=LARGEST_ID + 1)
        wanted = TransactionFilter(
            charge_point_id=query.text("charge_point"),
            id_tag=query.text("id_tag"),
            open_only=query.flag("open", default=False),
            flagged_only=query.flag("flagged", default=False),
            orphans_only=query.flag("orphans", default=False),
            since=query.moment("since"),
            until=query.moment("until"),
        )
        answer(response, {"transactions": viewed(self._pages(wanted, before, limit))})

    def _pages(self, wanted: TransactionFilter, before: int, limit: int) -> Iterator[dict[str, Any]]:
        while limit > 0:
            size = min(limit, AT_A_TIME)
            found = self._system.store.transactions(wanted, before=before, limit=size)
            yield from map(transaction, found)
            if len(found) < size:
                return
            before, limit = found[-1].id, limit - size

    def on_get_one(self, request: falcon.Request, response: falcon.Response, transaction_id: str) -> None:
        """Answer with one transaction and its first meter readings by receipt; `more_readings`: there are others."""
        limit = Query(request, "limit").whole("limit", default=DEFAULT_READINGS, most=MAX_LIMIT)
        number = int(transaction_id) if _is_number(transaction_id) else 0
        found = self._system.store.transaction(number) if 0 < number <= LARGEST_ID else None
        if found is None:
            raise Problem(404, "Unknown transaction", f"there is no transaction {transaction_id}")
        readings = self._system.store.meter_readings(number, limit=limit + 1)
        picture = transaction(found) | {
            "meter_readings": viewed(meter_reading(one) for one in readings[:limit]),
            "more_readings": len(readings) > limit,
        }
        answer(response, picture)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_ID))
