"""Reports of a station in several messages.

The one rule: the parts are sent one after the other, each after the answer to the one before; the last one says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
) -> None:
    """Send items in parts; `make` gets those of one, whether more parts follow, and its number from 0."""
    cut = parts(items, size)
    for number, part in enumerate(cut):
        send(make(part, number < len(cut) - 1, number))
