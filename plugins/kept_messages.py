"""Parts of the back offices of all versions: how a message is kept that was not as it should be.

The one rule: nothing here depends on a version.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from .. import passive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .. import Call, Deviation, Receipt, StopFigures, Store, Transaction

FLAGS = 20
"""Deviations of one message that are flagged one by one."""
LONG = 500
"""Characters of a value in a deviation that may have been cut off."""


def passive_each(requests: Iterable[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark one handler for each of these requests."""

    def mark(handler: Callable[..., Any]) -> Callable[..., Any]:
        for request in requests:
            handler = passive(request)(handler)
        return handler

    return mark


def as_sent(call: Call[Any]) -> dict[str, Any]:
    """Return a payload with its deviations; those that no member of it can hold are texts."""
    try:
        return msgspec.json.decode(call.payload, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found: dict[str, Any] = msgspec.to_builtins(call.request)
        return found


_encode = msgspec.json.Encoder(decimal_format="number").encode


def with_numbers(message: Any) -> dict[str, Any]:
    """Return a message as its JSON has it: decimals as numbers, or as texts if one of them is out of range."""
    found: dict[str, Any]
    try:
        found = msgspec.json.decode(_encode(message))
    except ValueError:  # all of msgspec's, and half of a surrogate pair
        found = msgspec.to_builtins(message)
    return found


def utc(at: dt.datetime) -> dt.datetime:
    """Return a time in UTC; the first and the last hours that there are keep their zone."""
    if at.tzinfo is dt.UTC:
        return at
    with contextlib.suppress(OverflowError):
        return at.astimezone(dt.UTC)
    return at


def flag_of(deviation: Deviation) -> str:
    """Write a deviation with its value as sent: it may be kept nowhere else."""
    return f"{deviation}: {deviation.value}" if deviation.value else str(deviation)


def same_time(call: Call[Any], known: Transaction, stop: StopFigures) -> bool:
    """Return whether a stop whose time could not be read was sent with the time of the one that counts."""
    return stop.stopped_at is None and any(
        flag_of(one) in known.flags for one in call.deviations if one.stood_in
    )


def say_all(deviations: Sequence[Deviation]) -> bool:
    """Return whether flags say all that was sent and could not be read."""
    return len(deviations) <= FLAGS and not any(len(one.value) >= LONG for one in deviations)


def flags_of(deviations: Sequence[Deviation]) -> tuple[str, ...]:
    """Write deviations as flags, a limited number of them one by one."""
    flags = tuple(flag_of(one) for one in deviations[:FLAGS])
    return flags if len(deviations) <= FLAGS else (*flags, f"{len(deviations) - FLAGS} more deviations")


def flags_of_call(call: Call[Any]) -> tuple[str, ...]:
    """Write what is doubtful about a call itself: that it comes from the spool, and its deviations."""
    redelivered = (f"{call.action} was acknowledged by a fallback",) if call.redelivered else ()
    return (*redelivered, *flags_of(call.deviations)) if call.deviations else redelivered


def set_aside(
    store: Store, version: str, call: Call[Any], why: str, transaction_id: int | None = None
) -> Receipt:
    """Make a message a dead letter; `transaction_id` is the transaction that it belongs to."""
    return store.spool(
        version=version,
        charge_point_id=call.charge_point.id,
        action=call.action,
        unique_id=call.unique_id,
        payload=call.payload,
        transaction_id=transaction_id,
        received_at=call.received_at,
        why=why,
        redeliver=False,
    )


def reasons(unusable: Sequence[Any]) -> str:
    """Name the parts of a message that cannot be used, with the reasons."""
    named = "; ".join(f"{one.path}: {one.reason}" for one in unusable[:FLAGS])
    more = f"; {len(unusable) - FLAGS} more" if len(unusable) > FLAGS else ""
    return f"cannot be used: {named}{more}"
