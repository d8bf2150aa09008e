"""Transaction of a stop that names none which is known: of a charge point that stopped before it had its number.

Nothing is guessed: the stop is of the one open transaction of its charge point and id tag whose meter and time fit, or
of none.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from .. import Transaction, TransactionFilter, same_figures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .. import StopFigures, Store

LOOKED_AT = 100
"""Transactions of a charge point and tag among which that of a stop is looked for, the last ones."""
REPEATED = dt.timedelta(days=31)
"""Age of a transaction, by receipt, up to which a stop that was matched is known when it comes again."""
NAMED = 10
"""Candidates that the reason of a dead letter names."""


def matched(number: int) -> str:
    """Return the flag of a transaction whose stop named another number."""
    return f"its stop named transaction {number}, and was matched by id tag, meter and time"


def find(
    store: Store,
    charge_point_id: str,
    stop: StopFigures,
    *,
    named: int,
    tolerance: dt.timedelta,
    same_time: Callable[[Transaction], bool],
) -> tuple[Transaction | None, str]:
    """Find the transaction of a stop that names an unknown one; with None comes the reason, with the candidates.

    The same stop sent again finds the transaction that it has closed, of which `same_time` tells whether its stop had
    the same unreadable time. By the charge point's clock the stop may be `tolerance` before the start.
    """
    for letter in store.transaction_dead_letters(named, limit=1) if named > 0 else ():
        return None, f"the start of transaction {named} could not be read: it is dead letter {letter.number}"
    unknown = f"transaction {named} is not known"
    if not stop.id_tag:
        candidates = store.open_transactions(charge_point_id, limit=NAMED + 1)
        return None, f"{unknown}, and the stop has no id tag; {_open(candidates)}"
    since = stop.received_at - REPEATED
    wanted = TransactionFilter(charge_point_id=charge_point_id, id_tag=stop.id_tag, since=since)
    for one in store.transactions(wanted, limit=LOOKED_AT):
        if matched(named) in one.flags and same_figures(one, stop, same_time=same_time(one)):
            return one, ""
    candidates = store.open_with_tag(charge_point_id, stop.id_tag, limit=LOOKED_AT)
    fitting = [one for one in candidates if _fits(one, stop, tolerance)]
    if len(fitting) == 1:
        return fitting[0], ""
    if fitting:
        return None, f"{unknown}, and the stop fits more than one of its id tag; {_open(fitting)}"
    return None, f"{unknown}, and the stop fits none of its id tag; {_open(candidates)}"


def _fits(transaction: Transaction, stop: StopFigures, tolerance: dt.timedelta) -> bool:
    """Return whether meter and time of a stop can be those of a transaction; a time that was not read says nothing."""
    return (stop.meter_stop or 0) >= (transaction.meter_start or 0) and (
        stop.stopped_at is None
        or bool(transaction.started_text)
        or stop.stopped_at + tolerance >= transaction.started_at
    )


def _open(candidates: Sequence[Transaction]) -> str:
    if not candidates:
        return "none is open"
    named = ", ".join(f"{one.id} (meter {one.meter_start} at its start)" for one in candidates[:NAMED])
    more = " and more" if len(candidates) > NAMED else ""
    return f"open: {named}{more}"
