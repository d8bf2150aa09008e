"""Formats of a store: which programs may read and write it, and what may be taken away of it.

The format of a store is the number of steps that made its tables. Steps behind `RULED` only add: tables, columns
that have a default or may be null, indexes that are not unique over what was there before; or drop such an index,
without which an older program only waits longer. So a program that knows fewer steps goes on reading and writing it,
and leaves alone what it does not know. What is not needed any more is a
`Removal`: it is carried out by itself, when no program lives that needs it, and from then on such a program is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from .store import StoreError

if TYPE_CHECKING:
    from collections.abc import Collection


class Removal(NamedTuple):
    """Removal of something that programs which know `needs` steps do not use: what it is, and its statements."""

    needs: int
    what: str
    statements: str


def check_format(where: str, found: int, needs: int, known: int) -> bool:
    """Return whether a store is of a newer format than the `known` one, and may be used all the same.

    `found` is its format, `needs` the least that a program must know; 0 for stores from before there was such a rule.
    Raises `StoreError` for one that this program must not write.
    """
    if found <= known:
        return False
    if not 0 < needs <= known:
        raise StoreError(
            f"{where} was written by a newer chargehand (tables {found}; it can be used by those that know "
            f"{needs or found}, this one knows {known})"
        )
    return True


def check_removal(removal: Removal, living: Collection[int]) -> None:
    """Raise `StoreError` while programs live that need what is to be removed; `living` are the formats they know."""
    older = sorted(one for one in living if one < removal.needs)
    if older:
        raise StoreError(
            f"{removal.what} is not removed: a node lives that needs it (it knows tables {older[0]}, and "
            f"{removal.needs} are needed); stop it, or upgrade it first"
        )


TABLE_OF = re.compile(r"(?:ALTER TABLE|CREATE (?:UNIQUE )?INDEX \w+ ON|UPDATE|INSERT INTO)\s+(\w+)")
"""Table that a statement of a step changes."""


def statements_of(step: str) -> list[tuple[str, str]]:
    """Return the statements of a step, each in one line, with the table that it changes; "" if it makes one."""
    lines = [" ".join(one.split()) for one in step.split(";")]
    return [(line, found[1] if (found := TABLE_OF.match(line)) else "") for line in lines if line]
