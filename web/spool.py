"""The spool: what stand-ins acknowledged and no plugin has had, and the way back for what was set aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..store.store import StoreError
from .problems import Problem
from .queries import Query
from .resources import DEFAULT_LIMIT, MAX_LIMIT, Resource, answer, viewed
from .views import spooled

if TYPE_CHECKING:
    from collections.abc import Collection

    import falcon


class Spool(Resource):
    """`/api/v1/spool`, and with `/retry` and `/{number}/retry` what to do with what was set aside."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """The messages that wait for their plugin, and those that are not replayed any more; the oldest first.

        `after` is the number behind which the next page of those that were set aside begins.
        """
        query = Query(request, "after", "limit")
        limit = query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
        after = query.whole("after", default=0, least=0, most=2**63 - 1)
        store = self._system.store
        waiting, dead_letters = store.spooled(limit=limit), store.dead_letters(after=after, limit=limit)
        answer(
            response,
            {
                "waiting": viewed(spooled(record) for record in waiting),
                "dead_letter": viewed(spooled(record) for record in dead_letters),
            },
        )

    def on_post_retry_all(self, request: falcon.Request, response: falcon.Response) -> None:
        """Hand all that was set aside to its plugins again."""
        Query(request)
        answer(response, {"retried": self._retry(None)})

    def on_post_retry(self, request: falcon.Request, response: falcon.Response, number: str) -> None:
        """Hand one message to its plugin again, with the rest of its transaction; 200 when that is durable."""
        Query(request)
        known = number.isascii() and number.isdigit()
        retried = self._retry([int(number)]) if known else []
        if not retried:
            raise Problem(404, "Not set aside", f"no message {number} is set aside")
        answer(response, {"retried": retried})

    def _retry(self, numbers: Collection[int] | None) -> list[int]:
        try:
            return self._system.retry_spooled(numbers)
        except (StoreError, TimeoutError) as error:
            raise Problem(503, "Not stored", str(error)) from error
