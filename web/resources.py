"""Base of all resources, and their answers: one view, many views, pages."""

from __future__ import annotations

import datetime as dt
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

import gevent
import msgspec

from .requests import place_text
from .views import JSON, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import falcon

    from ..system.central_system import CentralSystem
    from .requests import Query

R = TypeVar("R")

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
READ, COMMAND, ADMIN = SCOPES = ("read", "command", "admin")
"""Scopes of tokens; each one includes those before it."""
WHO = "chargehand.who"
"""Key in the environ of a list that takes the name of the token that a request was made with."""
INNER = "chargehand.asked_by_a_node"
"""Key in the environ of a request that another node has passed on; no header can set it."""
AT_A_TIME = 100
"""Records converted to views before other greenlets have their turn: about 1 ms."""


class Resource:
    """Base of every resource: holds the system, and says which scope its token needs to read, and to change."""

    reads = READ
    changes = ADMIN
    any_node = False
    """True if each node of a cluster answers for every charge point."""

    def __init__(self, system: CentralSystem) -> None:
        self._system = system


def paged(
    records: Iterable[R],
    query: Query,
    key: Callable[[R], tuple[Any, ...]],
    *,
    newest: bool = True,
    default: int = DEFAULT_LIMIT,
) -> tuple[list[R], dict[str, Any]]:
    """Return a page of records in the order of their keys, and its `more` and `next`.

    The keys are unique, of texts, numbers and times in UTC. The parameters are `limit`, and the cursor: `before` for
    the newest first, else `after`.
    """
    limit = query.whole("limit", default=default, most=MAX_LIMIT)
    last = query.place("before" if newest else "after")
    ordered = sorted(((_place(key(record)), record) for record in records), key=itemgetter(0), reverse=newest)
    try:
        found = [
            (place, record)
            for place, record in ordered
            if last is None or (place < last if newest else place > last)
        ]
    except TypeError:  # the cursor of another list
        raise query.wrong_place() from None
    more = len(found) > limit
    next_ = place_text(found[limit - 1][0]) if more else None
    return [record for _, record in found[:limit]], {"more": more, "next": next_}


def paged_by_time(
    read: Callable[[dt.datetime | None, int, int], Sequence[R]],
    query: Query,
    time: Callable[[R], dt.datetime],
) -> tuple[list[R], dict[str, Any]]:
    """Return a page of records without keys, the newest first, and its `more` and `next`.

    `read(until, skip, limit)` returns those of a time or before, but for the first ones of these.
    """
    limit = query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
    until, skip = query.time_and_number("before")
    found = read(until, skip, limit + 1)
    shown, more = list(found[:limit]), len(found) > limit
    if not more:
        return shown, {"more": False, "next": None}
    last = time(shown[-1])
    told = sum(time(one) == last for one in shown)
    if until == last:
        told += skip
    return shown, {"more": True, "next": place_text((last.isoformat(), told))}


def _place(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a key of texts and numbers, in the same order."""
    return tuple(
        one.astimezone(dt.UTC).isoformat(timespec="microseconds") if isinstance(one, dt.datetime) else one
        for one in key
    )


def answer(response: falcon.Response, view: Any) -> None:
    """Answer 200 with a view."""
    response.data = encode(view)
    response.content_type = JSON


def viewed(views: Iterable[Any]) -> list[msgspec.Raw]:
    """Encode any number of views as JSON; switches greenlets."""
    written = []
    for number, view in enumerate(views, 1):
        written.append(msgspec.Raw(encode(view)))
        if number % AT_A_TIME == 0:
            gevent.sleep(0)
    return written
