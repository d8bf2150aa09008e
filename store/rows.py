"""Rows of the databases: kinds of writes, and the conversion of records.

A row is a tuple of what a database can hold, made in the hub; rows of a kind that come together are few statements. So
the thread that writes needs the interpreter's lock a few times a batch, for which a busy hub may let it wait 5 ms each.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import msgspec

from .event_bounds import decoded
from .records import Cost, Event, MeterReading, Spooled, StopFigures, Told, Transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_INTEGER = 2**63 - 1

ESCAPED = "stored escaped: the database cannot hold a value as it was sent"
"""The flag of a transaction with such a value; in other records the value itself shows it by its backslashes."""


class Kind(IntEnum):
    """Kind of a write. Those of a batch are done in this order, which has the same result as their own order."""

    BARRIER = 0  # nothing: its receipt says that all before it is durable
    IDS = 1  # next
    START = 2  # a transaction
    AMEND_OPEN = 3  # id of an open transaction, and columns, each null if it stays
    STOP = 4  # transaction id, what its end brought
    AMEND = 5  # id of a transaction, and columns, each null if it stays; an ASSESS follows
    ASSESS = 6  # id of a closed transaction, what was derived of it
    READING = 7
    TOLD = 8
    UNTOLD = 9  # charge point that is forgotten
    REGISTER = 10  # charge point, status or nothing if it is forgotten, version
    EVENT = 11
    COLLECTION = 12  # collection, key, JSON or null for a removal
    SPOOL = 13
    DEAD_LETTER = 14  # number, why
    UNSPOOL = 15  # number
    FORGET = 16  # number of a dead letter
    # Who puts dead letters back has read them before, so this never meets a DEAD_LETTER in its batch.
    REQUEUE = 17  # number
    LOG = 18  # nothing, but for the row of an event behind it
    ADVANCE = 19  # consumer, origin, position, owner
    PRUNE = 20  # origin, last of its numbers that is dropped
    EVENT_DEAD_LETTER = 21  # consumer, id of the event, charge point, kind, time, why, data
    EVENT_FORGET = 22  # number of a dead letter of events
    REPORT_PART = 23
    # A part of a report that is forgotten in its batch goes with it.
    REPORT_FORGET = 24  # charge point, number of the report
    VARIABLE = 25  # charge point, key, attribute, and columns, each null if it stays
    VARIABLES_FORGET = 26  # charge point
    FREEZE = 27  # id of a transaction
    DROP_READING = 28  # number, received_at; a FREEZE of its transaction came before
    DROP_EVENT = 29  # number, received_at
    DROP_TRANSACTION = 30  # id, start_received_at
    SORT = 31  # nothing: readings of each charge point are found by time from then on, all that were stored before


NO_RECORD = frozenset(
    {
        Kind.IDS, Kind.UNTOLD, Kind.DEAD_LETTER, Kind.UNSPOOL, Kind.FORGET, Kind.REQUEUE, Kind.ADVANCE, Kind.PRUNE,
        Kind.EVENT_FORGET, Kind.REPORT_FORGET, Kind.VARIABLES_FORGET, Kind.FREEZE, Kind.DROP_READING, Kind.DROP_EVENT,
        Kind.DROP_TRANSACTION,
    }
)  # fmt: skip
"""Kinds that take something out, or move it: they are written while no record is taken."""

STARTED = (
    "id", "charge_point", "connector", "id_tag", "meter_start", "started_at", "start_received_at", "verdict",
    "reservation", "meter_stop", "stopped_at", "stop_received_at", "stop_reason", "stop_id_tag", "flags", "version",
    "started_text",
)  # fmt: skip
"""Columns of a transaction that its start fills."""
NAMED = ("remote_id", "evse", "charging_state", "id_type")
"""Columns of a transaction that its charge point has named."""
ASSESSED = ("assessed", "energy_wh", "energy_source", "supported_energy_wh", "findings", "idle_since")
NOT_ASSESSED = (0, None, "", None, "[]", None)
"""Values of these columns when nothing is derived, or the derived figures are invalid."""
TRANSACTION = (
    *STARTED,
    "other_stops",
    "closed_by",
    "note",
    "life_at",
    *ASSESSED,
    *NAMED,
    "costs",
    "readings_deleted",
)
STOP = (
    "meter_stop", "stopped_at", "stop_received_at", "stop_reason", "stop_id_tag", "flags", "closed_by", "note",
)  # fmt: skip
FIGURES = ("meter_stop", "stopped_at", "stop_reason", "stop_id_tag")
"""Columns by which the end that counts is known from another one."""
START = (*STARTED, *NAMED, "start_place", "start_logged_at", "end_place", "end_logged_at")
"""Columns of the row of a start; with the place of its event, and of that of its end if it comes with it."""
STOPPED = (*STOP, "end_place", "end_logged_at")
"""Columns of the row of an end, behind the id; with the place of its event."""
AMENDED = (
    "flags", "other_stops", "note", "life_at", "connector", "id_tag", "started_at", "verdict", "reservation", "evse",
    "charging_state", "id_type", "costs",
)  # fmt: skip
READING = (
    "charge_point", "connector", "transaction_id", "received_at", "digest", "data", "flags", "version", "unattached",
    "place", "logged_at",
)  # fmt: skip
TOLD = ("charge_point", "item", "version", "action", "payload", "received_at")
EVENT = ("charge_point", "kind", "received_at", "data")
SPOOL = (
    "charge_point", "action", "unique_id", "payload", "transaction_id", "received_at", "why", "start", "aside",
    "version",
)  # fmt: skip
REPORT_PART = (
    "charge_point", "report", "action", "request_id", "seq_no", "last", "received_at", "version", "size_bytes",
    "digest", "cut", "payload",
)  # fmt: skip
VARIABLE = (
    "charge_point", "key", "attribute", "name", "value", "access", "characteristics", "updated_at",
)  # fmt: skip
VARIABLE_KEY = 3
"""Number of the columns in front that name an attribute of a variable."""

LOGGED = (
    "place", "charge_point", "kind", "at", "transaction_id", "data", "flags", "other_stops", "note", "costs",
)  # fmt: skip
"""Columns of the row of an event, which stands behind the row of the record that it is of.

The last four are compared with what is stored: an event of a change that changes nothing is left out.
"""
LOG_WIDTH = len(LOGGED)
EVENT_DEAD_LETTER = ("consumer", "event", "charge_point", "kind", "failed_at", "why", "data")

WIDTHS = {
    Kind.AMEND: 1 + len(AMENDED), Kind.EVENT: len(EVENT), Kind.COLLECTION: 3, Kind.LOG: 0,
}  # fmt: skip
"""Number of columns of the kinds of rows that may have events behind them."""

ORIGIN_PLACES = 2**40
"""Places in the log that an origin has."""

_TIME = re.compile(rb'"timestamp"\s*:\s*"([0-9T:-]{19})')

_encode = msgspec.json.Encoder().encode
_stops_of = msgspec.json.Decoder(tuple[StopFigures, ...]).decode
_costs_of = msgspec.json.Decoder(tuple[Cost, ...]).decode


Row = tuple[Any, ...]
"""The columns: None, text, bytes, numbers (whole ones of 64 bits)."""


def parted(kind: Kind, rows: Sequence[Row]) -> tuple[Sequence[Row], list[Row]]:
    """Part rows of a kind from those of the events behind them."""
    width = WIDTHS.get(kind)
    if width is None or all(len(row) == width for row in rows):
        return rows, []
    events = [row[place : place + LOG_WIDTH] for row in rows for place in range(width, len(row), LOG_WIDTH)]
    return [row[:width] for row in rows], events


def row(*values: Any) -> Row:
    """Make a row; characters that a database cannot hold are escaped."""
    return tuple([storable(value) for value in values])


def storable(value: Any) -> Any:
    """Convert a value for a database: numbers over 64 bits become text, lone surrogates and NUL are escaped."""
    if type(value) is int:
        return value if -LARGEST_INTEGER <= value <= LARGEST_INTEGER else str(value)
    if type(value) is str and (not value.isascii() or "\0" in value):
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return value


def transaction_row(transaction: Transaction) -> Row:
    """Make the row of a transaction, flagged if something in it had to be escaped."""
    values = [
        transaction.id,
        transaction.charge_point_id,
        transaction.connector_id,
        transaction.id_tag,
        transaction.meter_start,
        text(transaction.started_at),
        text(transaction.start_received_at),
        transaction.verdict,
        transaction.reservation_id,
        transaction.meter_stop,
        text(transaction.stopped_at),
        text(transaction.stop_received_at),
        transaction.stop_reason,
        transaction.stop_id_tag,
    ]
    return _flagged(
        values,
        transaction.flags,
        storable(transaction.version),
        storable(transaction.started_text),
        storable(transaction.remote_id) or None,
        transaction.evse_id,
        storable(transaction.charging_state) or None,
        storable(transaction.id_type) or None,
    )


def stop_row(transaction: Transaction) -> Row:
    """Make the row of a transaction's end, flagged if something in it had to be escaped."""
    values = [
        transaction.id,
        transaction.meter_stop,
        text(transaction.stopped_at),
        text(transaction.stop_received_at),
        transaction.stop_reason,
        transaction.stop_id_tag,
    ]
    return _flagged(values, transaction.flags, storable(transaction.closed_by), storable(transaction.note))


def _flagged(values: list[Any], flags: tuple[str, ...], *more: Any) -> Row:
    # Most are plain, and each call would cost as much as looking.
    stored = [
        value
        if value is None or (type(value) is str and value.isascii() and "\0" not in value)
        else storable(value)
        for value in values
    ]
    if stored != values and ESCAPED not in flags:
        flags = (*flags, ESCAPED)
    return (*stored, flags_text(flags), *more)


def costs_text(costs: Sequence[Cost]) -> str:
    """Write costs as JSON."""
    return msgspec.json.encode(costs).decode()


def grown(table: str) -> str:
    """Make the expression of the costs of an amended transaction: costs that are stored stay in front of later ones.

    Of two that add one to the same costs the second one changes nothing: it has to look again.
    """
    before = f"coalesce({table}.costs, '[]')"
    begin = f"length({before}) - 1"
    return (
        f"CASE WHEN substr(given.costs, 1, {begin}) = substr({before}, 1, {begin}) "
        f"THEN given.costs ELSE {table}.costs END"
    )


def amend_row(number: int, **columns: Any) -> Row:
    """Make the row of an amendment of a transaction: columns that are not given stay as they are."""
    return row(number, *[columns.get(name) for name in AMENDED])


def merged(rows: Sequence[Row], keys: int = 1) -> list[Row]:
    """Merge rows with the same columns in front into one: of each other column the last value that is given."""
    by_key: dict[Row, Row] = {}
    for given in rows:
        before = by_key.get(given[:keys], given)
        by_key[given[:keys]] = tuple(
            [old if new is None else new for old, new in zip(before, given, strict=True)]
        )
    return list(by_key.values())


def as_kept(transaction: Transaction) -> Transaction:
    """Return a transaction with the flag that its row has if something in it had to be escaped."""
    values = (
        transaction.meter_start,
        transaction.id_tag,
        transaction.connector_id,
        transaction.reservation_id,
    )
    if ESCAPED in transaction.flags or all(storable(value) == value for value in values):
        return transaction
    return msgspec.structs.replace(transaction, flags=(*transaction.flags, ESCAPED))


def flags_text(flags: Sequence[str]) -> str:
    """Flags as a column holds them."""
    if not flags:
        return "[]"
    return _encode([storable(flag) for flag in flags]).decode()


def stops_text(stops: Sequence[StopFigures]) -> str:
    """Further stops as a column holds them."""
    return storable(_stops_encoded(stops)) if stops else "[]"


def _stops_encoded(stops: Sequence[StopFigures]) -> str:
    return _encode(
        [
            msgspec.structs.replace(one, reason=storable(one.reason), id_tag=storable(one.id_tag))
            for one in stops
        ]
    ).decode()


def text(at: dt.datetime | None) -> str | None:
    """Write a time as a column holds it: equal to `isoformat`, which is slower."""
    if at is None:
        return None
    written = _encode(at)
    if written.endswith(b'Z"'):
        return written[1:-2].decode() + "+00:00"
    return at.isoformat()


def time(value: str | None) -> Any:
    """Read a time from a column."""
    return None if value is None else dt.datetime.fromisoformat(value)


def json_text(value: bytes) -> str:
    """JSON as a column of text holds it; NUL and lone surrogates can stand in it as escapes only."""
    return value.decode("utf-8", "backslashreplace")


def reading_key(values: bytes, identity: bytes = b"") -> str:
    """Make the key of a meter reading within its transaction: a digest, behind its first timestamp.

    So those of about one time lie side by side in the index, and a batch changes few of its pages. It matters only for
    that whether the time is one.
    """
    return reading_time(values) + hashlib.blake2b(identity or values, digest_size=16).hexdigest()


def reading_time(values: bytes) -> str:
    """Return the first time in meter values, as it was sent, to the second; empty if there is none."""
    found = _TIME.search(values)
    return "" if found is None else found[1].decode()


def reading_row(reading: MeterReading, *, unattached: bool, place: Row = (None, None)) -> Row:
    """Make the row of meter values; `unattached` are those whose transaction may not be known.

    Those whose transaction may have ended have the `place` of their event, and the time when it was logged.
    """
    values = bytes(reading.values)  # it may be a part of a frame
    return (
        storable(reading.charge_point_id),
        storable(reading.connector_id),
        storable(reading.transaction_id),
        text(reading.received_at),
        reading_key(values, reading.identity),
        values,
        flags_text(reading.flags),
        reading.version,
        int(unattached),
        *place,
    )


def transaction_of(values: Sequence[Any]) -> Transaction:
    """Make a transaction out of its columns."""
    return Transaction(
        id=values[0],
        charge_point_id=values[1],
        connector_id=int(values[2]),
        id_tag=values[3],
        meter_start=None if values[4] is None else int(values[4]),
        started_at=time(values[5]),
        start_received_at=time(values[6]),
        verdict=values[7],
        reservation_id=None if values[8] is None else int(values[8]),
        meter_stop=None if values[9] is None else int(values[9]),
        stopped_at=time(values[10]),
        stop_received_at=time(values[11]),
        stop_reason=values[12],
        stop_id_tag=values[13],
        flags=tuple(msgspec.json.decode(values[14])),
        version=values[15],
        started_text=values[16],
        other_stops=() if values[17] == "[]" else tuple(_stops_of(values[17])),
        closed_by=values[18],
        note=values[19],
        life_at=time(values[20]),
        assessed=bool(values[21]),
        energy_wh=number(values[22]),
        energy_source=values[23],
        supported_energy_wh=number(values[24]),
        findings=() if values[25] == "[]" else tuple(msgspec.json.decode(values[25])),
        idle_since=time(values[26] or None),
        idle_derived=values[26] is not None,
        remote_id=values[27] or "",
        evse_id=None if values[28] is None else int(values[28]),
        charging_state=values[29] or "",
        id_type=values[30] or "",
        costs=_costs_of(values[31]) if values[31] else (),
        readings_deleted=bool(values[32]),
    )


def number(value: Any) -> Any:
    """Return a number out of a column: one that was too large for it is its digits."""
    return int(value) if type(value) is str else value


def reading_of(values: Sequence[Any]) -> MeterReading:
    """Make meter values out of charge point, connector, transaction, time, data, flags, version and number."""
    return MeterReading(
        charge_point_id=values[0],
        connector_id=int(values[1]),
        transaction_id=None if values[2] is None else int(values[2]),
        received_at=time(values[3]),
        values=sent(values[4]),
        flags=() if values[5] == "[]" else tuple(msgspec.json.decode(values[5])),
        version=values[6],
        number=values[7],
    )


def sent(value: bytes | str) -> bytes:
    """Read a payload from a column; 0.1.0 stored it as text."""
    return value.encode() if isinstance(value, str) else value


def event_of(values: Sequence[Any]) -> Event:
    """Make an event out of its columns."""
    return Event(
        charge_point_id=values[0],
        kind=values[1],
        received_at=time(values[2]),
        data=decoded(values[3]),
    )


def told_of(values: Sequence[Any]) -> Told:
    """Make what a charge point told out of item, version, action, payload and time."""
    return Told(
        item=values[0], version=values[1], action=values[2], payload=values[3], received_at=time(values[4])
    )


def spooled_of(values: Sequence[Any]) -> Spooled:
    """Make a spooled message out of its columns, its number first."""
    return Spooled(
        number=values[0],
        charge_point_id=values[1],
        action=values[2],
        unique_id=values[3],
        payload=sent(values[4]),
        transaction_id=values[5],
        received_at=time(values[6]),
        why=values[7],
        version=values[8],
    )
