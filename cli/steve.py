"""Conversion of SteVe's tables into records: id tags, charge points, transactions, readings.

One rule: a row is taken, was there already, or is refused with its reason; what has no counterpart here is named.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import msgspec

from ..store.collections import tag_key
from ..store.durable import LARGEST_ID
from ..store.records import Cursor, MeterReading, Tag, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from ..store.store import Receipt, Store
    from .steve_dump import Row, Value

    Rows = Callable[[Collection[str], Callable[[str, str], None]], Iterator[tuple[str, Row]]]

TABLES = {
    "charge_box": "charge_box", "chargebox": "charge_box", "connector": "connector", "ocpp_tag": "ocpp_tag",
    "user": "ocpp_tag", "transaction_start": "transaction_start", "transaction": "transaction_start",
    "transaction_stop": "transaction_stop", "transaction_stop_failed": "transaction_stop_failed",
    "connector_meter_value": "reading", "connector_metervalue": "reading",
}  # fmt: skip
"""Tables by their names in all versions of SteVe; `user` had the tags in old ones, `transaction` both ends."""
LEFT_OUT = ("reservation", "charging_profile", "connector_charging_profile", "connector_status")
BATCH = 1000
"""Writes after which the import waits for the disk."""
IMPORTED = re.compile(r"imported: transaction (\d+) of SteVe")
_SAMPLED = ("value", "context", "format", "measurand", "location", "phase", "unit")


class RowRefused(ValueError):
    """Reason why a row cannot be taken."""


class SteveImport:
    """Import of one dump; `rows(tables, refused)` reads the rows of these tables, each time from the beginning."""

    def __init__(self, rows: Rows, store: Store, zone: tzinfo = UTC, *, dry_run: bool = False) -> None:
        self._rows = rows
        self._store = store
        self._zone = zone
        self._dry_run = dry_run
        self._receipt: Receipt | None = None
        self._first: int | None = None  # number that this store would give next
        self._written = 0
        self._connectors: dict[int, tuple[str, int]] = {}
        self._stops: dict[int, Row] = {}
        self._open: dict[int, Transaction] = {}  # by SteVe's number
        self._known: dict[tuple[str, int], int] = {}  # charge point, SteVe's number: number here
        self._charge_points_there: set[str] = set()
        self._closed_here: set[int] = set()  # SteVe's numbers
        self._stored: dict[
            int, set[bytes]
        ] = {}  # readings of transactions that were there, by SteVe's number
        self._group: tuple[Any, ...] | None = None
        self._samples: list[dict[str, str]] = []
        self.taken: Counter[str] = Counter()
        self.there: Counter[str] = Counter()
        self.refused: list[str] = []
        self.left_out: list[str] = []

    def run(self) -> None:
        """Import everything; starts first, then readings, then stops, so that each has what it belongs to."""
        self._note_known()
        self._pass(("charge_box", "ocpp_tag", "connector", "transaction_stop", "transaction_stop_failed"))
        self._count_left_out()
        self._pass(("transaction_start",))
        self._wait()
        self._pass(("reading",))
        self._end_group()
        self._wait()
        self._stop_all()
        self._wait()

    # -- Rows ------------------------------------------------------------------------------------

    def _pass(self, kinds: tuple[str, ...]) -> None:
        names = [name for name, kind in TABLES.items() if kind in kinds]
        for table, given in self._rows(names, self._refuse):
            row = {_snake(name): value for name, value in given.items()}
            kind = TABLES[table]
            if table == "user" and "id_tag" not in row:
                continue  # people, since tags have a table of their own
            try:
                getattr(self, f"_take_{kind}")(row)
            except RowRefused as error:
                self._refuse(table, f"{error}: {_shown(row)}")

    def _refuse(self, table: str, why: str) -> None:
        self.refused.append(f"{table}: {why}")

    def _count_left_out(self) -> None:
        counts = Counter(table for table, _ in self._rows(LEFT_OUT, self._refuse))
        self.left_out += [f"{count} rows of {table}" for table, count in sorted(counts.items())]

    def _write(self, receipt: Receipt) -> None:
        self._receipt = receipt
        self._written += 1
        if self._written % BATCH == 0:
            self._wait()

    def _wait(self) -> None:
        if self._receipt is not None:
            self._receipt.wait()
            self._receipt = None

    def _note_known(self) -> None:
        before: Cursor | None = None
        while True:
            found = self._store.transactions(before=before, limit=BATCH)
            for one in found:
                for flag in one.flags:
                    if told := IMPORTED.fullmatch(flag):
                        self._known[one.charge_point_id, int(told[1])] = one.id
            if len(found) < BATCH:
                return
            before = Cursor(found[-1].start_received_at, found[-1].id)

    # -- Tags and charge points ------------------------------------------------------------------

    def _take_ocpp_tag(self, row: Row) -> None:
        id_tag = needed(row, "id_tag")
        most = whole(row, "max_active_transaction_count")
        blocked = whole(row, "blocked") == 1 or most == 0
        if most is not None and most > 1:
            self.left_out.append(f"tag {id_tag}: its limit of {most} transactions at a time")
        if text(row, "note"):
            self.left_out.append(f"tag {id_tag}: its note")
        if self._store.collections.tags.get(tag_key(id_tag)) is not None:
            self.there["tags"] += 1
            return
        self.taken["tags"] += 1
        tag = Tag(
            id_tag=id_tag,
            status="Blocked" if blocked else "Accepted",
            expiry=self._moment(row, "expiry_date"),
            parent=text(row, "parent_id_tag"),
        )
        if not self._dry_run:
            self._write(self._store.collections.tags.put(tag))

    def _take_charge_box(self, row: Row) -> None:
        id_ = needed(row, "charge_box_id")
        status = text(row, "registration_status") or "Accepted"
        if status not in ("Accepted", "Pending", "Rejected"):
            raise RowRefused(f"registration status {status} is none of OCPP's")
        if text(row, "auth_password"):
            self.left_out.append(f"charge point {id_}: its password, of which SteVe has a hash only")
        if whole(row, "security_profile"):
            self.left_out.append(f"charge point {id_}: its security profile {text(row, 'security_profile')}")
        if self._store.find_registration(id_) is not None:
            self.there["charge points"] += 1
            self._charge_points_there.add(id_)
            return
        self.taken["charge points"] += 1
        if self._dry_run:
            return
        names = {
            "chargePointVendor": "charge_point_vendor", "chargePointModel": "charge_point_model",
            "chargePointSerialNumber": "charge_point_serial_number", "firmwareVersion": "fw_version",
            "chargeBoxSerialNumber": "charge_box_serial_number", "iccid": "iccid", "imsi": "imsi",
            "meterType": "meter_type", "meterSerialNumber": "meter_serial_number",
        }  # fmt: skip
        boot = {name: text(row, column) for name, column in names.items() if text(row, column)}
        version = "1.6" if text(row, "ocpp_protocol").lower().startswith("ocpp1.6") else ""
        if "chargePointVendor" in boot and "chargePointModel" in boot:
            at = self._moment(row, "last_heartbeat_timestamp") or datetime.now(UTC)
            payload = json.dumps(boot).encode()
            self._write(
                self._store.note_told(
                    id_,
                    item="boot",
                    version="1.6",
                    action="BootNotification",
                    payload=payload,
                    received_at=at,
                )
            )
        self._write(self._store.register(id_, status, version))

    def _take_connector(self, row: Row) -> None:
        self._connectors[number(row, "connector_pk")] = (
            needed(row, "charge_box_id"),
            number(row, "connector_id"),
        )

    # -- Transactions ----------------------------------------------------------------------------

    def _take_transaction_stop(self, row: Row) -> None:
        pk = number(row, "transaction_pk")
        known = self._stops.setdefault(pk, row)
        if known is row:
            return
        older, newer = sorted((known, row), key=lambda one: text(one, "event_timestamp"))
        self._stops[pk] = newer
        self._refuse("transaction_stop", f"a later stop of the transaction counts: {_shown(older)}")

    def _take_transaction_stop_failed(self, _row: Row) -> None:
        raise RowRefused("SteVe could not assign this stop")

    def _take_transaction_start(self, row: Row) -> None:
        pk = number(row, "transaction_pk")
        connector = number(row, "connector_pk")
        if connector not in self._connectors:
            raise RowRefused(f"there is no connector {connector}")
        charge_point, connector_id = self._connectors[connector]
        if text(row, "stop_value") or text(row, "stop_timestamp"):
            self._stops.setdefault(pk, row)
        started_at = self._moment(row, "start_timestamp")
        received_at = (
            self._moment(row, "start_event_timestamp") or self._moment(row, "event_timestamp") or started_at
        )
        if started_at is None or received_at is None:
            raise RowRefused("its start has no time")
        made = Transaction(
            id=0,
            charge_point_id=charge_point,
            connector_id=connector_id,
            id_tag=needed(row, "id_tag"),
            meter_start=meter(row, "start_value"),
            started_at=started_at,
            start_received_at=received_at,
            flags=(f"imported: transaction {pk} of SteVe",),
        )
        if pk in self._stops:
            self._stopped(made, self._stops[pk])  # refused as a whole if its stop is wrong
        known = self._known.get((charge_point, pk))
        if known is not None:
            self.there["transactions"] += 1
            going_on = self._store.open_transaction(known)
            if going_on is None:
                self._closed_here.add(pk)
            else:
                self._open[pk] = going_on
                stored = self._store.meter_readings(known, charge_point_id=charge_point, limit=LARGEST_ID)
                self._stored[pk] = {bytes(one.values) for one in stored}
            return
        self.taken["transactions"] += 1
        if pk not in self._stops:
            self.taken["open transactions among them"] += 1
        if self._dry_run:
            self._open[pk] = made
            return
        made = msgspec.structs.replace(made, id=self._number(charge_point, pk))
        self._open[pk] = made
        self._write(self._store.start_transaction(made))

    def _number(self, charge_point: str, pk: int) -> int:
        """Return SteVe's number where nobody can have it here: charge points know open transactions by it."""
        if not self._store.others_write:
            if self._first is None:
                self._first = self._store.allot_transaction_id(charge_point, None)
            if self._first < pk <= LARGEST_ID and self._store.transaction(pk) is None:
                return pk
        return self._store.allot_transaction_id(charge_point, None)

    def _stopped(self, transaction: Transaction, row: Row) -> Transaction:
        stopped_at = self._moment(row, "stop_timestamp")
        if stopped_at is None:
            raise RowRefused("its stop has no time")
        received_at = (
            self._moment(row, "stop_event_timestamp") or self._moment(row, "event_timestamp") or stopped_at
        )
        actor = text(row, "event_actor") or text(row, "stop_event_actor")
        return msgspec.structs.replace(
            transaction,
            meter_stop=meter(row, "stop_value"),
            stopped_at=stopped_at,
            stop_received_at=received_at,
            stop_reason=text(row, "stop_reason"),
            closed_by="SteVe" if actor == "manual" else "",
        )

    def _stop_all(self) -> None:
        for pk, row in self._stops.items():
            transaction = self._open.pop(pk, None)
            if transaction is None:
                if pk not in self._closed_here:
                    self._refuse("transaction_stop", f"its transaction was not taken: {_shown(row)}")
                continue
            self.taken["stops"] += 1
            if not self._dry_run:
                self._write(self._store.stop_transaction(self._stopped(transaction, row)))

    # -- Readings --------------------------------------------------------------------------------

    def _take_reading(self, row: Row) -> None:
        pk = number(row, "transaction_pk") if row.get("transaction_pk") is not None else None
        connector = number(row, "connector_pk")
        if connector not in self._connectors:
            raise RowRefused(f"there is no connector {connector}")
        if pk in self._closed_here:
            self.there["readings"] += 1
            return
        if pk is not None and pk not in self._open:
            raise RowRefused(f"its transaction {pk} was not taken")
        at = self._moment(row, "value_timestamp")
        if at is None:
            raise RowRefused("it has no time")
        sample = {name: text(row, "reading_context" if name == "context" else name) for name in _SAMPLED}
        group = (pk, connector, at)
        if group != self._group:
            self._end_group()
            self._group = group
        self._samples.append({name: value for name, value in sample.items() if value or name == "value"})

    def _end_group(self) -> None:
        """Store the samples of one moment as one message."""
        group, samples = self._group, self._samples
        self._group, self._samples = None, []
        if group is None:
            return
        pk, connector, at = group
        charge_point, connector_id = self._connectors[connector]
        id_ = None if pk is None else self._open[pk].id
        stamp = at.isoformat().replace("+00:00", "Z")
        payload = {
            "connectorId": connector_id,
            **({} if id_ is None else {"transactionId": id_}),
            "meterValue": [{"timestamp": stamp, "sampledValue": samples}],
        }
        reading = MeterReading(
            charge_point_id=charge_point,
            connector_id=connector_id,
            transaction_id=id_,
            received_at=at,
            values=json.dumps(payload).encode(),
        )
        if self._is_stored(reading, pk):
            self.there["readings"] += len(samples)
            return
        self.taken["readings"] += len(samples)
        if self._dry_run:
            return
        self._write(self._store.add_meter_reading(reading))

    def _is_stored(self, reading: MeterReading, pk: int | None) -> bool:
        """Return whether an import before has stored a reading."""
        if pk is not None:
            return reading.values in self._stored.get(pk, ())
        if reading.charge_point_id not in self._charge_points_there:
            return False
        same = self._store.readings_of(
            reading.charge_point_id,
            connector_id=reading.connector_id,
            since=reading.received_at,
            until=reading.received_at + timedelta(microseconds=1),
        )
        return any(one.values == reading.values for one in same)

    def _moment(self, row: Row, column: str) -> datetime | None:
        given = text(row, column)
        if not given or given.startswith("0000-00-00"):
            return None
        try:
            return datetime.fromisoformat(given).replace(tzinfo=self._zone).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise RowRefused(f"{column} is no time") from error


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _shown(row: Row) -> str:
    return ", ".join(f"{name}={value!s}" for name, value in row.items() if value is not None)[:300]


def text(row: Row, column: str) -> str:
    """Return a value as text, "" for none. Raises `RowRefused`."""
    value: Value = row.get(column)
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RowRefused(f"{column} is not UTF-8") from error
    return value or ""


def needed(row: Row, column: str) -> str:
    """Return a value that must be there. Raises `RowRefused`."""
    if not (value := text(row, column)):
        raise RowRefused(f"it has no {column}")
    return value


def whole(row: Row, column: str) -> int | None:
    """Return a whole number, None for none. Raises `RowRefused`."""
    value = row.get(column)
    if value is None or value == "":
        return None
    if isinstance(value, bytes):  # a bit
        return int.from_bytes(value, "big")
    try:
        return int(value)
    except ValueError as error:
        raise RowRefused(f"{column} is no whole number") from error


def number(row: Row, column: str) -> int:
    """Return a number that must be there. Raises `RowRefused`."""
    if (value := whole(row, column)) is None:
        raise RowRefused(f"it has no {column}")
    return value


def meter(row: Row, column: str) -> int:
    """Return a meter's value in Wh. Raises `RowRefused`."""
    try:
        value = Decimal(needed(row, column))
        exact = int(value)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise RowRefused(f"{column} is no number") from error
    if exact != value:
        raise RowRefused(f"{column} is no whole number of Wh")
    return exact
