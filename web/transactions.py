"""Transactions, page by page, with their energy; one of them with its meter readings and dead letters."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import falcon
import msgspec

from ..store.records import Cursor, TransactionFilter
from .operations import BEFORE, CHARGE_POINT, LARGEST_ID, Parameter, flag, limit, operation, page, text
from .requests import Problem, Query
from .resources import DEFAULT_LIMIT, MAX_LIMIT, Resource, answer, viewed
from .transaction_views import (
    TransactionView,
    WholeTransaction,
    meter_reading,
    spooled,
    transaction,
    whole_transaction,
)

if TYPE_CHECKING:
    from ..store.records import Transaction

NUMBER = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_ID)]
DEFAULT_READINGS = 1000


class Transactions(Resource):
    """`/api/v1/transactions`, with `/{id}` one of them."""

    @operation(
        "listTransactions",
        "transactions",
        query=(
            CHARGE_POINT,
            Parameter("connector", NUMBER, "Only those of this connector"),
            text("id_tag", "Only those of this id tag"),
            flag("open", "Only those that go on"),
            flag("flagged", "Only those that are doubtful"),
            flag("orphans", "Only those that are open and cannot be going on"),
            Parameter("since", dt.datetime, "Start received at or after this time or day"),
            Parameter("until", dt.datetime, "Start received before this time or day"),
            BEFORE,
            limit(),
        ),
        answer=page("transactions", TransactionView),
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List transactions, newest first by our time of receipt of the start, narrowed by the query.

        `more` says that there are further ones, `next` is the `before` of the next page. A page may be short and have a
        next one: as much is derived for it as does not take long.
        """
        query = Query(
            request,
            "charge_point",
            "connector",
            "id_tag",
            "open",
            "flagged",
            "orphans",
            "since",
            "until",
            "before",
            "limit",
        )
        most = query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
        before = self._before(query)
        connector = query.whole("connector", default=1, most=LARGEST_ID) if query.has("connector") else None
        wanted = TransactionFilter(
            charge_point_id=query.text("charge_point"),
            connector_id=connector,
            id_tag=query.text("id_tag"),
            open_only=query.flag("open", default=False),
            flagged_only=query.flag("flagged", default=False),
            orphans_only=query.flag("orphans", default=False),
            since=query.moment("since"),
            until=query.moment("until"),
        )
        page = self._system.assessment.transactions(wanted, before=before, limit=most)
        shown = viewed(self._view(one) for one in page)
        answer(response, {"transactions": shown} | paging(page.next))

    def _before(self, query: Query) -> Cursor | None:
        """Read the place where a page begins: `next` of the page before, or the id of its last transaction."""
        given = query.text("before")
        if not _is_number(given):
            return query.cursor("before")
        last = self._system.store.transaction(int(given)) if 0 < int(given) <= LARGEST_ID else None
        if last is None:
            raise Problem(400, "Bad query", f"before: there is no transaction {given}")
        return Cursor(last.start_received_at, last.id)

    def _view(self, record: Transaction) -> TransactionView:
        return transaction(record, self._system.assessment.limits)

    @operation("getTransaction", "transactions", query=(limit(DEFAULT_READINGS),), answer=WholeTransaction)
    def on_get_one(self, request: falcon.Request, response: falcon.Response, transaction_id: str) -> None:
        """Show one transaction, its first meter readings by receipt, and its dead letters.

        `connector_readings` came from its connector while it was open, and name no transaction. `more_readings`,
        `more_connector_readings`, `more_dead_letters`: there are others.
        """
        most = Query(request, "limit").whole("limit", default=DEFAULT_READINGS, most=MAX_LIMIT)
        found, store = self._find(transaction_id), self._system.store
        known, derived = self._system.assessment.known(found)
        readings = store.meter_readings(found.id, charge_point_id=found.charge_point_id, limit=most + 1)
        unnamed = store.readings_of(
            found.charge_point_id,
            connector_id=found.connector_id,
            since=found.start_received_at,
            until=found.stop_received_at,
            limit=most + 1,
        )
        dead_letters = store.transaction_dead_letters(found.id, limit=most + 1)
        versions = self._system.versions
        shown: list[list[Any]] = [
            viewed(meter_reading(one, versions) for one in readings[:most]),
            viewed(meter_reading(one, versions) for one in unnamed[:most]),
            viewed(spooled(one) for one in dead_letters[:most]),
        ]
        view = whole_transaction(
            self._view(known),
            derived,
            readings=(shown[0], len(readings) > most),
            connector_readings=(shown[1], len(unnamed) > most),
            dead_letters=(shown[2], len(dead_letters) > most),
        )
        answer(response, view)

    def _find(self, transaction_id: str) -> Transaction:
        number = int(transaction_id) if _is_number(transaction_id) else 0
        found = self._system.store.transaction(number) if 0 < number <= LARGEST_ID else None
        if found is None:
            raise Problem(404, "Unknown transaction", f"there is no transaction {transaction_id}")
        return found


def paging(next_: Cursor | None) -> dict[str, Any]:
    """Return `more` and `next` of a page."""
    return {"more": next_ is not None, "next": None if next_ is None else str(next_)}


def _is_number(given: str) -> bool:
    return given.isascii() and given.isdigit() and len(given) <= len(str(LARGEST_ID))
