"""Checks after the run, read from the database itself and not by the code that wrote it."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from fleet import Event, Log

Row = tuple[Any, ...]


@contextmanager
def opened(where: str) -> Iterator[Any]:
    """Open the database: a file of SQLite, or a URL of PostgreSQL."""
    if "://" in where:
        with psycopg.connect(where, options="-c search_path=chargehand") as server:
            yield server
        return
    file = sqlite3.connect(where)
    with file:
        yield file
    file.close()


class Kept:
    """Contents of the store: rows, messages in the spool that wait for the back office, and dead letters.

    With a fault of `PLANTS` in them, of which nothing stays in the database.
    """

    def __init__(self, where: str, fault: str | None = None) -> None:
        with opened(where) as file:
            if fault is not None:
                file.execute(PLANTS[fault])
            self.integrity = "ok"
            if "://" not in where:
                self.integrity = file.execute("PRAGMA integrity_check").fetchone()[0]
            self.transactions = file.execute(
                "SELECT id, charge_point, connector, id_tag, started_at, meter_start, meter_stop, stop_received_at, "
                "verdict, remote_id, evse FROM transactions"
            ).fetchall()
            self.starts, self.ends = (
                [
                    number
                    for (number,) in file.execute(f"SELECT id FROM transactions WHERE {place} IS NOT NULL")
                ]
                for place in ("start_place", "end_place")
            )
            kept = [
                (charge_point, number, version, json.loads(bytes(data)))
                for charge_point, number, version, data in file.execute(
                    "SELECT charge_point, transaction_id, version, data FROM readings"
                )
            ]
            self.readings = [
                (charge_point, number, data["meterValue"][0]["sampledValue"][0]["value"])
                for charge_point, number, version, data in kept
                if version == "1.6"
            ]
            self.events = [
                (charge_point, number, data)
                for charge_point, number, version, data in kept
                if version != "1.6"
            ]
            self.spool = [
                (charge_point, action, number, json.loads(bytes(payload)))
                for charge_point, action, number, payload in file.execute(
                    "SELECT charge_point, action, transaction_id, payload FROM spool WHERE aside = 0"
                )
            ]
            self.dead_letters = file.execute(
                "SELECT charge_point, action, unique_id, why FROM spool WHERE aside = 1 "
                "UNION ALL SELECT charge_point, kind, event, why FROM event_dead_letters"
            ).fetchall()
            file.rollback()

    def in_spool(self) -> set[Row]:
        """Rows of the spool in the form of the log."""
        found: set[Row] = set()
        for charge_point, action, number, payload in self.spool:
            if action == "StartTransaction":
                found.add((charge_point, "start", number))
            elif action == "StopTransaction":
                found.add((charge_point, "stop", payload["transactionId"]))
            elif action == "TransactionEvent":
                found.add(event_of(charge_point, payload))
            else:
                value = payload["meterValue"][0]["sampledValue"][0]["value"]
                found.add((charge_point, payload["transactionId"], value))
        return found


TABLES = (
    "transactions", "readings", "spool", "books", "event_log", "event_origins", "event_consumers",
    "event_dead_letters",
)  # fmt: skip


def dump(where: str, folder: Path) -> None:
    """Write the tables into a folder, a row of JSON in a line."""
    with opened(where) as file:
        for name in TABLES:
            found = file.execute(f"SELECT * FROM {name}")
            names = [column[0] for column in found.description]
            lines = [
                json.dumps(dict(zip(names, row, strict=True)), default=_shown) for row in found.fetchall()
            ]
            (folder / f"{name}.jsonl").write_text("\n".join(lines))


def _shown(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def event_of(charge_point: str, payload: dict[str, Any]) -> Event:
    """Return by what an event of 2.0.1 is known."""
    return charge_point, payload["transactionInfo"]["transactionId"], payload["seqNo"]


def check(
    log: Log, where: str, told: dict[tuple[str, str], Any], fault: str | None = None
) -> tuple[dict[str, int], list[str]]:
    """Compare log, database and the energies that the server told; return counts, and a line for every fault.

    With a planted fault these are its counts and lines.
    """
    kept = Kept(where, fault)
    spooled = kept.in_spool()
    by_id = {row[0]: row for row in kept.transactions}
    faults = [] if kept.integrity == "ok" else [f"integrity: {kept.integrity}"]
    faults += log.refused
    faults += starts(log, by_id, spooled)
    faults += stops(log, by_id, spooled)
    faults += [
        f"acknowledged meter values are not in the store: {reading}"
        for reading in log.readings - set(kept.readings) - spooled
    ]
    faults += events(kept)
    # Nothing that the fleet sends may become one.
    faults += [f"a message or an event is a dead letter: {one}" for one in kept.dead_letters]
    readings = Counter(kept.readings)
    faults += [f"meter values are there {n} times: {one}" for one, n in readings.items() if n > 1]
    faults += events_of_201(log, kept, spooled)
    faults += energies(log, told, spooled)
    # A station of 2.0.1 gives no figures at the start: its transaction is known by its name.
    same = Counter(row[1:6] if row[9] is None else (row[1], row[9]) for row in kept.transactions)
    faults += [f"a transaction is there {n} times: {one}" for one, n in same.items() if n > 1]
    counts = {
        "starts acknowledged": len(log.starts),
        "stops acknowledged": len(log.stops),
        "meter values acknowledged": len(log.readings),
        "events of 2.0.1 acknowledged": len(log.events),
        "in the spool": len(kept.spool),
        "dead letters": len(kept.dead_letters),
        "transactions in the store": len(kept.transactions),
        "meter values in the store": len(kept.readings),
        "events of 2.0.1 in the store": len(kept.events),
        "events of starts and ends": len(kept.starts) + len(kept.ends),
    }
    return counts, faults


def events(kept: Kept) -> list[str]:
    """Transactions that lack the durable event of their start, or of their end."""
    ended = {row[0] for row in kept.transactions if row[7] is not None}
    started = {row[0] for row in kept.transactions}
    return [
        *(f"transaction {number} has no event of its start" for number in started - set(kept.starts)),
        *(f"transaction {number} has no event of its end" for number in ended - set(kept.ends)),
        *(f"transaction {number} has an event of an end it has not" for number in set(kept.ends) - ended),
    ]


def events_of_201(log: Log, kept: Kept, spooled: set[Row]) -> list[str]:
    """List events of 2.0.1 that are lost, doubled, changed or in the wrong transaction, and wrong transactions."""
    faults = []
    names = {row[0]: (row[1], row[9]) for row in kept.transactions}
    found: dict[Event, list[dict[str, Any]]] = {}
    for charge_point, number, data in kept.events:
        event = event_of(charge_point, data)
        found.setdefault(event, []).append(data)
        if names.get(number) != event[:2]:
            faults.append(f"an event is in a transaction of another name: {event} in {number}")
    for event, payload in log.events.items():
        rows = found.get(event, [])
        if not rows and event not in spooled:
            faults.append(f"an acknowledged event is not in the store: {event}")
        if len(rows) > 1:
            faults.append(f"an event is there {len(rows)} times: {event}")
        if any({name: data[name] for name in data if name != "offline"} != payload for data in rows):
            faults.append(f"an event is not as it was sent: {event}")
    ended = {event[:2] for event, payload in log.events.items() if payload["eventType"] == "Ended"}
    begun = {event[:2] for event in log.events}
    waiting = {one[:2] for one in spooled if one in log.events}
    rows_of = {(row[1], row[9]): row for row in kept.transactions if row[9] is not None}
    for name in sorted(begun - waiting):
        row = rows_of.get(name)
        if row is None:
            faults.append(f"a transaction is not in the store: {name}")
        elif (row[3], row[10]) != (f"T{name[0]}", 1) or (name in ended) != (row[7] is not None):
            faults.append(f"a transaction has another tag, EVSE or end: {name}, {row}")
    return faults


def energies(log: Log, told: dict[tuple[str, str], Any], spooled: set[Row]) -> list[str]:
    """List transactions of 2.0.1 whose energy is not what their station counted."""
    waiting = {one[:2] for one in spooled if one in log.events}
    return [
        f"the energy of {name} is {told.get(name)} instead of {energy_wh} Wh"
        for name, energy_wh in log.energies.items()
        if name not in waiting and told.get(name) != energy_wh
    ]


def starts(log: Log, by_id: dict[int, Row], spooled: set[Row]) -> list[str]:
    """List starts that are lost and transaction ids that were allotted twice."""
    faults = []
    owners: dict[int, tuple[str, str, int]] = {}
    for start, given in log.starts.items():
        if len(given) != 1:
            faults.append(f"one start was given {sorted(given)}: {start}")
        for number, _ in given:
            if owners.setdefault(number, start) != start:
                faults.append(f"transaction id {number} was given twice: {start} and {owners[number]}")
            row = by_id.get(number)
            there = row is not None and (row[1], row[4][:19], row[5]) == (start[0], start[1][:19], start[2])
            if not there and (start[0], "start", number) not in spooled:
                faults.append(f"an acknowledged start is not in the store: {start} as {number}")
    return faults


def stops(log: Log, by_id: dict[int, Row], spooled: set[Row]) -> list[str]:
    """List stops that are lost."""
    faults = []
    for (charge_point, number), meter in log.stops.items():
        row = by_id.get(number)
        there = row is not None and row[6] == meter and row[7] is not None
        if not there and (charge_point, "stop", number) not in spooled:
            faults.append(f"an acknowledged stop is not in the store: {charge_point}, {number}")
    return faults


COLUMNS = (
    "charge_point, connector, id_tag, meter_start, started_at, start_received_at, verdict, reservation, meter_stop, "
    "stopped_at, stop_received_at, stop_reason, stop_id_tag, flags"
)

READING = "charge_point, connector, transaction_id, received_at, flags, version, unattached"

PLANTS = {
    "lose-row": "DELETE FROM transactions WHERE id = (SELECT max(id) FROM transactions)",
    "lose-reading": "DELETE FROM readings WHERE number = (SELECT min(number) FROM readings)",
    "lose-stop": "UPDATE transactions SET stop_received_at = NULL WHERE id = (SELECT min(id) FROM transactions)",
    "duplicate": f"INSERT INTO transactions (id, {COLUMNS}) SELECT id + 1000000, {COLUMNS} FROM transactions LIMIT 1",
    "duplicate-reading": f"INSERT INTO readings (digest, data, {READING}) "
    f"SELECT digest || 'x', data, {READING} FROM readings LIMIT 1",
    "change-energy": "UPDATE transactions SET assessed = 1, energy_wh = 1 "
    "WHERE id = (SELECT min(id) FROM transactions)",
}
"""Faults to plant in the database before it is looked at: each must be found."""

TOLD: Final = frozenset({"change-energy"})
"""Faults that the server has to tell of; one of them at most, for they stay in the database."""


def plant(where: str, fault: str) -> None:
    """Plant a fault in the database for good."""
    with opened(where) as file:
        file.execute(PLANTS[fault])
