"""Reports of a station in several messages.

The one rule: the parts are sent one after the other, each after the answer to the one before; the last one says so,
unless the station misbehaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .transactions import Misbehaviour

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ...protocol.actions import Request

ITEMS_PER_MESSAGE = 20
LETTERS_PER_MESSAGE = 512


def parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Cut a sequence into parts of a size; an empty one is one empty part."""
    return [items[start : start + size] for start in range(0, len(items), size)] or [items]


def send_parts(
    send: Callable[[Request[Any]], Any],
    items: Sequence[Any],
    make: Callable[[Sequence[Any], bool, int], Request[Any]],
    size: int = ITEMS_PER_MESSAGE,
    misbehaviour: Collection[Misbehaviour] = (),
) -> None:
    """Send items in parts; `make` gets those of one, whether more parts follow, and its number from 0."""
    cut = parts(items, size)
    first = 1 if Misbehaviour.REPORT_FROM_ONE in misbehaviour else 0
    made = [make(part, place < len(cut) - 1, first + place) for place, part in enumerate(cut)]
    if Misbehaviour.REPORT_PART_LOST in misbehaviour:
        del made[1:2]
    if Misbehaviour.REPORT_UNORDERED in misbehaviour:
        made.reverse()
    for part in made:
        send(part)
