"""Variables of the device models of stations, as they were told last.

The one rule: a message changes what it tells, and nothing else: a value that is read keeps the characteristics that a
report has told.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from ..protocol.device_model import ACTUAL, VariableAccess, VariableCharacteristics, VariableName
from .rows import storable
from .store import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ..protocol.device_model import ToldVariable


class StoredVariable(msgspec.Struct, frozen=True, kw_only=True):
    """Attribute of a variable of a charge point; `value` is None if it has none, or none that may be kept.

    `access` and `characteristics` are None before a report has told them.
    """

    charge_point_id: str
    name: VariableName
    attribute: str = ACTUAL
    value: str | None = None
    access: VariableAccess | None = None
    characteristics: VariableCharacteristics | None = None
    updated_at: datetime


class StoredVariables(Protocol):
    """Variables in a store. What reads may switch greenlets."""

    def put(self, charge_point_id: str, told: Sequence[ToldVariable], at: datetime, *, limit: int) -> Receipt:
        """Store what was told of variables; of more than `limit` of a charge point those told longest ago are dropped.

        They may be dropped with a later call.
        """

    def of(
        self, charge_point_id: str, *, search: str = "", attribute: str = "", limit: int = 10_000
    ) -> Sequence[StoredVariable]:
        """Return the variables of a charge point by their text, without case, then by attribute.

        Narrowed by a part of their text, without case.
        """

    def forget(self, charge_point_id: str) -> Receipt:
        """Delete all variables of a charge point."""


def storable_variable(told: ToldVariable) -> ToldVariable:
    """Return what was told with halves of surrogate pairs escaped, wherever they stand: JSON cannot have them."""
    try:
        msgspec.json.encode(told)
    except UnicodeEncodeError:
        return msgspec.structs.replace(
            told,
            name=VariableName(*map(storable, told.name)),
            value=storable(told.value),
            access=_storable(told.access),
            characteristics=_storable(told.characteristics),
        )
    return told


S = TypeVar("S", bound=msgspec.Struct)


def _storable(record: S | None) -> S | None:
    if record is None:
        return None
    given = {name: storable(getattr(record, name)) for name in record.__struct_fields__}
    return msgspec.structs.replace(record, **given)


class MemoryVariables:
    """Variables of a store in memory."""

    def __init__(self, append: Callable[[Callable[[], Receipt]], Receipt]) -> None:
        self._append = append
        self._variables: dict[str, dict[tuple[str, str], StoredVariable]] = {}

    def put(self, charge_point_id: str, told: Sequence[ToldVariable], at: datetime, *, limit: int) -> Receipt:
        """Store what was told of variables."""
        return self._append(lambda: self._put(charge_point_id, told, at, limit))

    def _put(self, charge_point_id: str, told: Sequence[ToldVariable], at: datetime, limit: int) -> Receipt:
        mine = self._variables.setdefault(charge_point_id, {})
        for one in map(storable_variable, told):
            key = one.name.key, one.attribute
            known = mine.get(key)
            mine[key] = StoredVariable(
                charge_point_id=charge_point_id,
                name=one.name,
                attribute=one.attribute,
                value=one.value if one.has_value or known is None else known.value,
                access=one.access or (None if known is None else known.access),
                characteristics=one.characteristics or (None if known is None else known.characteristics),
                updated_at=at,
            )
        for key in heapq.nsmallest(len(mine) - limit, mine, key=lambda key: mine[key].updated_at):
            del mine[key]
        return Receipt(done=True)

    def of(
        self, charge_point_id: str, *, search: str = "", attribute: str = "", limit: int = 10_000
    ) -> Sequence[StoredVariable]:
        """Return the variables of a charge point."""
        mine = self._variables.get(charge_point_id, {})
        wanted = search.lower()
        found = (
            mine[key] for key in sorted(mine) if wanted in key[0] and attribute in ("", mine[key].attribute)
        )
        return [one for _, one in zip(range(limit), found, strict=False)]

    def forget(self, charge_point_id: str) -> Receipt:
        """Delete all variables of a charge point."""
        return self._append(lambda: self._forget(charge_point_id))

    def _forget(self, charge_point_id: str) -> Receipt:
        self._variables.pop(charge_point_id, None)
        return Receipt(done=True)
