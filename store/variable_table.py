"""Variables of the device models of stations in a database: a row for each attribute.

A row that changes one has null in the columns that stay.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import msgspec

from ..protocol.device_model import VariableAccess, VariableCharacteristics, VariableName
from .rows import Kind, json_text, row, storable, text, time
from .variables import StoredVariable, storable_variable

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from ..protocol.device_model import ToldVariable
    from .store import Receipt
    from .writer import Writer

LOOK_EVERY = 20
"""Changes, on average, after which the variables of the charge point that sent the last one are counted."""
COLUMNS = "name, attribute, value, access, characteristics, updated_at"
OF_CHARGE_POINT = f"SELECT {COLUMNS} FROM variables WHERE charge_point = ?"  # noqa: S608
SURPLUS = (
    "DELETE FROM variables WHERE number IN (SELECT number FROM variables WHERE charge_point = ? "
    "ORDER BY updated_at DESC, number DESC LIMIT 10000 OFFSET ?) RETURNING number"
)

_encode = msgspec.json.Encoder().encode


def _json(value: Any) -> str:
    return json_text(_encode(value))


class VariableTable:
    """Variables, a row for each attribute; `ask(query, *values)` reads rows and switches greenlets."""

    def __init__(self, writer: Writer, ask: Callable[..., list[Any]]) -> None:
        self._writer = writer
        self._ask = ask

    def put(
        self, charge_point_id: str, told: Sequence[ToldVariable], at: dt.datetime, *, limit: int
    ) -> Receipt:
        """Store what was told of variables."""
        receipt = self._writer.append(Kind.BARRIER, ())
        for one in map(storable_variable, told):
            values = row(
                charge_point_id,
                one.name.key,
                one.attribute,
                _json(one.name),
                _json(one.value) if one.has_value else None,
                None if one.access is None else _json(one.access),
                None if one.characteristics is None else _json(one.characteristics),
                text(at),
            )
            receipt = self._writer.append(Kind.VARIABLE, values)
        if random.random() * LOOK_EVERY < 1:  # noqa: S311 - no secret
            values = storable(charge_point_id), limit
            self._writer.look(lambda database: database.read(SURPLUS, values), lambda *_: None)
        return receipt

    def of(
        self, charge_point_id: str, *, search: str = "", attribute: str = "", limit: int = 10_000
    ) -> Sequence[StoredVariable]:
        """Return the variables of a charge point."""
        query, values = OF_CHARGE_POINT, [charge_point_id]
        if search:
            # Not LIKE, whose wildcards and case differ among databases.
            query += " AND replace(key, ?, '') <> key"
            values.append(search.lower())
        if attribute:
            query += " AND attribute = ?"
            values.append(attribute)
        found = self._ask(f"{query} ORDER BY key, attribute LIMIT ?", *values, limit)
        return [_variable_of(charge_point_id, columns) for columns in found]

    def forget(self, charge_point_id: str) -> Receipt:
        """Delete all variables of a charge point."""
        return self._writer.append(Kind.VARIABLES_FORGET, row(charge_point_id))


def _variable_of(charge_point_id: str, columns: Sequence[Any]) -> StoredVariable:
    decode = msgspec.json.decode
    return StoredVariable(
        charge_point_id=charge_point_id,
        name=decode(columns[0], type=VariableName),
        attribute=columns[1],
        value=None if columns[2] is None else decode(columns[2], type=str | None),
        access=None if columns[3] is None else decode(columns[3], type=VariableAccess),
        characteristics=None if columns[4] is None else decode(columns[4], type=VariableCharacteristics),
        updated_at=time(columns[5]),
    )
