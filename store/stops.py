"""Stops of a transaction: the first one closes it, and a further one with other figures stands beside it.

The one rule: a figure that was stored is never replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..config.errors import ChargehandError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .records import StopFigures, Transaction
    from .store import Receipt, Store

OTHER_STOPS = 10
"""Further stops that are kept with a transaction."""

DIFFERS = "another stop came with other figures"
"""Flag of a transaction with a further stop that differs from the one that counts."""
AFTER_CLOSING = "a stop came after it was closed by hand"
"""Flag of a transaction whose stop came too late to count."""


class TooManyStops(ChargehandError):
    """A transaction with as many further stops as are kept; this one has to be kept elsewhere."""


def take_stop(
    store: Store, known: Transaction, stop: StopFigures, flags: Sequence[str] = (), *, same_time: bool = False
) -> Receipt:
    """Store a stop of a transaction as `known` just now: it closes the transaction, or stands beside its figures.

    The receipt is for what was stored, by this stop or by an identical one before. `flags` are what is doubtful about
    the stop. A time that cannot be read is None in `stop`, and `same_time` tells that it was sent as that of the stop
    that counts. Raises `TooManyStops`.
    """
    if known.open:
        return store.stop_transaction(
            msgspec.structs.replace(
                known,
                meter_stop=stop.meter_stop,
                stopped_at=stop.stopped_at or stop.received_at,
                stop_received_at=stop.received_at,
                stop_reason=stop.reason,
                stop_id_tag=stop.id_tag,
                flags=_with(known.flags, flags) if flags else known.flags,
            )
        )
    if not known.closed_by and same_figures(known, stop, same_time=same_time):
        # What came first may have failed: it is handed over again, and counts if it did.
        return store.stop_transaction(known)
    if any(_figures(one) == _figures(stop) for one in known.other_stops):
        return store.amend_transaction(known.id, other_stops=known.other_stops)
    if len(known.other_stops) >= OTHER_STOPS:
        raise TooManyStops(f"transaction {known.id} has {OTHER_STOPS} further stops already")
    flag = AFTER_CLOSING if known.closed_by else DIFFERS
    return store.amend_transaction(
        known.id, flags=_with(known.flags, (flag, *flags)), other_stops=(*known.other_stops, stop)
    )


def same_figures(known: Transaction, stop: StopFigures, *, same_time: bool = False) -> bool:
    """Return whether a stop has the figures of the one that closed a transaction."""
    return (known.meter_stop, known.stop_reason, known.stop_id_tag) == (
        stop.meter_stop,
        stop.reason,
        stop.id_tag,
    ) and (same_time if stop.stopped_at is None else known.stopped_at == stop.stopped_at)


def _figures(stop: StopFigures) -> tuple[object, ...]:
    return stop.meter_stop, stop.stopped_at, stop.reason, stop.id_tag


def _with(flags: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*flags, *more)))
