"""Messages on the displays of stations, by their answers and reports. OCPP 2.0.1, block O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from .. import DisplayMessage
from .reservations import key_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection as Numbers

    from .. import Collections, Receipt, Transaction, v201

KEPT_PER_CHARGE_POINT = 200
"""Limit of the messages of one charge point; further ones are not known here."""


def put(
    collections: Collections,
    charge_point_id: str,
    message: v201.MessageInfo,
    transaction: Transaction | None,
    now: dt.datetime,
) -> list[Receipt]:
    """Note a message that was accepted or reported, of this transaction if that is known."""
    record = DisplayMessage(
        message_id=message.id,
        charge_point_id=charge_point_id,
        text=message.message.content,
        priority=str(message.priority),
        accepted_at=now,
        state=str(message.state or ""),
        transaction_id=None if transaction is None else transaction.id,
        data=msgspec.to_builtins(message),
    )
    known = collections.display_messages.of(charge_point_id)
    if len(known) >= KEPT_PER_CHARGE_POINT and all(one.message_id != message.id for one in known):
        return []
    return [collections.display_messages.put(record)]


def remove(collections: Collections, charge_point_id: str, number: int) -> Receipt:
    """Forget a message."""
    return collections.display_messages.remove(key_of(charge_point_id, number))


def transaction_stopped(collections: Collections, transaction: Transaction) -> list[Receipt]:
    """Forget the messages of a transaction: they end with it. OCPP 2.0.1, O02."""
    return [
        remove(collections, one.charge_point_id, one.message_id)
        for one in collections.display_messages.of(transaction.charge_point_id)
        if one.transaction_id == transaction.id
    ]


def keep_only(
    collections: Collections, charge_point_id: str, numbers: Numbers[int], asked: Any, before: dt.datetime
) -> list[Receipt]:
    """Forget messages that were asked for and not reported, unless they were set since."""
    return [
        remove(collections, charge_point_id, one.message_id)
        for one in collections.display_messages.of(charge_point_id)
        if one.message_id not in numbers and one.accepted_at < before and _sought(one, asked)
    ]


def _sought(message: DisplayMessage, asked: v201.GetDisplayMessages) -> bool:
    return (
        (asked.id is None or message.message_id in asked.id)
        and asked.priority in (None, message.priority)
        and asked.state in (None, message.state)
    )
