"""What the central system answers in a handler's place. It always answers, and it never says what is not so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .actions import Fallback

if TYPE_CHECKING:
    from .actions import Action


def fallback(action: Action, time: str, transaction_id: int | None, id_tag_status: str) -> bytes | None:
    """The payload that stands in for a handler's answer, as JSON; None where only an error is honest.

    `time` is the current time as OCPP writes it. A transaction message is acknowledged, whatever became of it, for an
    error would make the charge point throw the record away: its sender must have stored it first. A StartTransaction
    gets the number allotted to it, and `id_tag_status` as the verdict that nobody could give.
    """
    if action.fallback is Fallback.ERROR:
        return None
    if action.fallback is Fallback.TIME:
        return b'{"currentTime":"%b"}' % time.encode()
    if transaction_id is not None:
        return b'{"idTagInfo":{"status":"%b"},"transactionId":%d}' % (id_tag_status.encode(), transaction_id)
    return b"{}"
