"""Records by hand: close a transaction, attach a dead letter to it, forget one. An answer 200 means durable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import falcon
import msgspec

from .operations import LARGEST_ID, NOT_STORED, operation, text
from .requests import Problem, Query, body_of, decoded, moment
from .resources import Resource, answer
from .transaction_views import SpooledView, TransactionView, spooled, transaction

if TYPE_CHECKING:
    from ..store.records import Transaction

LARGEST_NUMBER = 2**63 - 1
MOST_WH = 2**53
"""Largest meter value that every reader of JSON represents exactly."""

Who = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
BY = "http"
"""Author of a change that names none."""


class Closing(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Facts of a closing by hand; a time, or a day, without an offset is UTC."""

    by: Who = BY
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = "ClosedByHand"
    note: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    meter_stop: Annotated[int, msgspec.Meta(ge=-MOST_WH, le=MOST_WH)] | None = None
    stopped_at: str | None = None


class Attachment(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Transaction that a dead letter belongs to."""

    transaction_id: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_ID)]
    by: Who = BY


class ByHandResource(Resource):
    """`/api/v1/transactions/{id}/close`, and `/api/v1/spool/dead-letters/{number}` with `/reattach`."""

    @operation(
        "closeTransaction",
        "transactions",
        body=Closing,
        answer=TransactionView,
        problems=NOT_STORED | {409: "It is closed already", 422: "The figures cannot be"},
        example={"by": "mk", "reason": "PowerLoss", "meter_stop": 13500},
    )
    def on_post_close(self, request: falcon.Request, response: falcon.Response, transaction_id: str) -> None:
        """Close a transaction whose stop will not come. 409: it is closed; 422: figures that cannot be."""
        Query(request)
        number = _number(transaction_id, LARGEST_ID, "transaction")
        given = decoded(body_of(request) or b"{}", Closing, "closing")
        try:
            stopped_at = None if given.stopped_at is None else moment(given.stopped_at)
        except ValueError as error:
            raise Problem(422, "Invalid closing", f"stopped_at: {error}") from error
        closed = self._system.close_transaction(
            number,
            by=given.by,
            reason=given.reason,
            note=given.note,
            meter_stop=given.meter_stop,
            stopped_at=stopped_at,
        )
        self._answer(response, closed)

    @operation(
        "reattachDeadLetter",
        "transactions",
        body=Attachment,
        answer=TransactionView,
        problems=NOT_STORED
        | {409: "It is no stop and no readings, or cannot be read", 422: "The body is wrong"},
        example={"transaction_id": 4711, "by": "mk"},
    )
    def on_post_reattach(self, request: falcon.Request, response: falcon.Response, number: str) -> None:
        """Give a transaction the dead letter that is its stop or its readings. 409: it is neither."""
        Query(request)
        given = decoded(body_of(request), Attachment, "attachment")
        found = _number(number, LARGEST_NUMBER, "dead letter")
        self._answer(response, self._system.reattach(found, given.transaction_id, by=given.by))

    @operation(
        "forgetDeadLetter",
        "transactions",
        query=(text("by", "Author of the change, for its event"),),
        answer=SpooledView,
        problems=NOT_STORED,
    )
    def on_delete_letter(self, request: falcon.Request, response: falcon.Response, number: str) -> None:
        """Forget a dead letter for good; `by` says who did it."""
        by = Query(request, "by").text("by") or BY
        letter = self._system.forget_dead_letter(_number(number, LARGEST_NUMBER, "dead letter"), by=by)
        answer(response, spooled(letter))

    def _answer(self, response: falcon.Response, record: Transaction) -> None:
        assessment = self._system.assessment
        answer(response, transaction(assessment.assessed(record), assessment.limits))


def _number(given: str, most: int, what: str) -> int:
    known = given.isascii() and given.isdigit() and len(given) <= len(str(most))
    if not known or not 0 < int(given) <= most:
        raise Problem(404, f"Unknown {what}", f"there is no {what} {given}")
    return int(given)
