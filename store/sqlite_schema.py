"""Tables of the SQLite store, by version: making them, and bringing older ones up to date.

A step is never changed once it was released; a new one is added behind it, and only adds something: `format.py`.
"""

from __future__ import annotations

import datetime as dt
import logging
import sqlite3
from typing import TYPE_CHECKING

import msgspec

from .format import Removal, check_format
from .records import OverFact
from .rows import flags_text, reading_time, time

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

STEPS: tuple[str, ...] = (
    # Whole numbers that a charge point sends have no type: one over 64 bits is kept as its digits, where a column of
    # integers would make a fraction of it, and lose some.
    """
    CREATE TABLE ids (name TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE transactions (
        id INTEGER PRIMARY KEY, charge_point TEXT NOT NULL, connector, id_tag TEXT NOT NULL,
        meter_start, started_at TEXT, start_received_at TEXT NOT NULL, verdict TEXT NOT NULL,
        reservation, meter_stop, stopped_at TEXT, stop_received_at TEXT, stop_reason TEXT NOT NULL,
        stop_id_tag TEXT NOT NULL, flags TEXT NOT NULL);
    CREATE INDEX transactions_by_charge_point ON transactions (charge_point, id);
    CREATE INDEX transactions_by_tag ON transactions (lower(id_tag), id);
    CREATE INDEX transactions_open ON transactions (id) WHERE stop_received_at IS NULL;
    CREATE TABLE readings (
        number INTEGER PRIMARY KEY, charge_point TEXT NOT NULL, connector, transaction_id,
        received_at TEXT NOT NULL, digest TEXT NOT NULL, data TEXT NOT NULL);
    CREATE UNIQUE INDEX readings_once ON readings (charge_point, connector, ifnull(transaction_id, -1), digest);
    CREATE INDEX readings_by_transaction ON readings (transaction_id, number);
    CREATE TABLE charge_points (id TEXT PRIMARY KEY, registration TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE events (
        number INTEGER PRIMARY KEY, charge_point TEXT NOT NULL, kind TEXT NOT NULL, received_at TEXT NOT NULL,
        data TEXT NOT NULL);
    CREATE INDEX events_by_charge_point ON events (charge_point, number);
    CREATE INDEX events_by_kind ON events (kind, number);
    CREATE TABLE books (
        book TEXT NOT NULL, key TEXT NOT NULL, data TEXT, PRIMARY KEY (book, key)) WITHOUT ROWID;
    CREATE TABLE spool (
        number INTEGER PRIMARY KEY AUTOINCREMENT, charge_point TEXT NOT NULL, action TEXT NOT NULL,
        unique_id TEXT NOT NULL, payload TEXT NOT NULL, transaction_id INTEGER, received_at TEXT NOT NULL,
        why TEXT NOT NULL, start TEXT, aside INTEGER NOT NULL);
    CREATE INDEX spool_waiting ON spool (charge_point, number) WHERE aside = 0;
    """,
    # Worker processes follow each other's changes of collections by their numbers.
    """
    ALTER TABLE books ADD COLUMN changed INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE books ADD COLUMN removed_at INTEGER;
    CREATE INDEX books_changed ON books (changed);
    CREATE INDEX books_removed ON books (removed_at) WHERE removed_at IS NOT NULL;
    CREATE INDEX transactions_open_by_charge_point ON transactions (charge_point, id) WHERE stop_received_at IS NULL;
    INSERT INTO ids (name, next) VALUES ('transaction', 1) ON CONFLICT DO NOTHING;
    INSERT INTO ids (name, next) VALUES ('change', 2);
    """,
    # What a batch costs are the pages that it changes: so there is one index in the place of two, and beneath a
    # transaction it is in the order of time, as a digest begins with it.
    """
    DROP INDEX IF EXISTS readings_once;
    DROP INDEX IF EXISTS readings_by_transaction;
    UPDATE readings SET digest = reading_time(data) || digest;
    CREATE UNIQUE INDEX readings_once ON readings (transaction_id, digest, charge_point, connector)
        WHERE transaction_id IS NOT NULL;
    CREATE UNIQUE INDEX readings_once_without ON readings (digest, charge_point, connector)
        WHERE transaction_id IS NULL;
    """,
    # Before these tables knew more than one version of OCPP there was only this one.
    """
    ALTER TABLE charge_points ADD COLUMN version TEXT NOT NULL DEFAULT '1.6';
    ALTER TABLE spool ADD COLUMN version TEXT NOT NULL DEFAULT '1.6';
    """,
    # Payloads are bytes from here on, in the columns that were text: a column's type does not change what is put in.
    # Lists are in order of receipt. An orphaned transaction is derived from facts, no flag.
    """
    ALTER TABLE transactions ADD COLUMN version TEXT NOT NULL DEFAULT '1.6';
    ALTER TABLE transactions ADD COLUMN started_text TEXT NOT NULL DEFAULT '';
    ALTER TABLE transactions ADD COLUMN other_stops TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE transactions ADD COLUMN closed_by TEXT NOT NULL DEFAULT '';
    ALTER TABLE transactions ADD COLUMN note TEXT NOT NULL DEFAULT '';
    ALTER TABLE transactions ADD COLUMN life_at TEXT;
    ALTER TABLE transactions ADD COLUMN assessed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE transactions ADD COLUMN energy_wh;
    ALTER TABLE transactions ADD COLUMN energy_source TEXT NOT NULL DEFAULT '';
    ALTER TABLE transactions ADD COLUMN supported_energy_wh;
    ALTER TABLE transactions ADD COLUMN findings TEXT NOT NULL DEFAULT '[]';
    DROP INDEX IF EXISTS transactions_by_charge_point;
    DROP INDEX IF EXISTS transactions_by_tag;
    DROP INDEX IF EXISTS transactions_open;
    CREATE INDEX transactions_by_time ON transactions (start_received_at, id);
    CREATE INDEX transactions_by_charge_point ON transactions (charge_point, start_received_at, id);
    CREATE INDEX transactions_by_tag ON transactions (lower(id_tag), start_received_at, id);
    CREATE INDEX transactions_open ON transactions (start_received_at, id) WHERE stop_received_at IS NULL;
    INSERT INTO books (book, key, data, changed)
        SELECT 'over_facts', connector || '/' || charge_point,
            over_fact(charge_point, connector, max(start_received_at), flags), 1
        FROM transactions WHERE stop_received_at IS NULL AND flags LIKE '%"orphan: %'
        GROUP BY charge_point, connector;
    UPDATE transactions SET flags = without_orphan(flags) WHERE flags LIKE '%"orphan: %';
    ALTER TABLE readings ADD COLUMN flags TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE readings ADD COLUMN version TEXT NOT NULL DEFAULT '1.6';
    ALTER TABLE readings ADD COLUMN unattached INTEGER NOT NULL DEFAULT 0;
    UPDATE readings SET unattached = 1 WHERE NOT EXISTS (SELECT 1 FROM transactions
        WHERE transactions.id = readings.transaction_id AND transactions.charge_point = readings.charge_point);
    CREATE INDEX readings_unattached ON readings (charge_point, received_at, number) WHERE unattached = 1;
    CREATE TABLE told (
        charge_point TEXT NOT NULL, item TEXT NOT NULL, version TEXT NOT NULL, action TEXT NOT NULL,
        payload BLOB NOT NULL, received_at TEXT NOT NULL, PRIMARY KEY (charge_point, item)) WITHOUT ROWID;
    CREATE INDEX spool_by_transaction ON spool (transaction_id, number)
        WHERE aside = 1 AND transaction_id IS NOT NULL;
    """,
    # The log of durable events. The place of an event is the number of its origin, shifted, and its own. Starts, ends
    # and late readings have their places in their record, of which their events are made: more would be felt at each.
    """
    CREATE TABLE event_log (
        place INTEGER PRIMARY KEY, charge_point TEXT NOT NULL, kind TEXT NOT NULL, at TEXT NOT NULL, transaction_id,
        data TEXT NOT NULL);
    ALTER TABLE transactions ADD COLUMN start_place INTEGER;
    ALTER TABLE transactions ADD COLUMN end_place INTEGER;
    ALTER TABLE readings ADD COLUMN place INTEGER;
    CREATE INDEX transactions_started ON transactions (start_place) WHERE start_place IS NOT NULL;
    CREATE INDEX transactions_ended ON transactions (end_place) WHERE end_place IS NOT NULL;
    CREATE INDEX readings_late ON readings (place) WHERE place IS NOT NULL;
    CREATE TABLE event_origins (
        number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, begun_at TEXT NOT NULL,
        pruned_to INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE event_consumers (
        name TEXT NOT NULL, origin INTEGER NOT NULL, position INTEGER NOT NULL, owner TEXT NOT NULL,
        PRIMARY KEY (name, origin)) WITHOUT ROWID;
    CREATE TABLE event_dead_letters (
        number INTEGER PRIMARY KEY AUTOINCREMENT, consumer TEXT NOT NULL, event TEXT NOT NULL,
        charge_point TEXT NOT NULL, kind TEXT NOT NULL, failed_at TEXT NOT NULL, why TEXT NOT NULL,
        data TEXT NOT NULL);
    """,
    # A station of 2.x names its transactions itself, for ever.
    """
    ALTER TABLE transactions ADD COLUMN remote_id TEXT;
    ALTER TABLE transactions ADD COLUMN evse;
    ALTER TABLE transactions ADD COLUMN charging_state TEXT;
    CREATE UNIQUE INDEX transactions_remote ON transactions (charge_point, remote_id) WHERE remote_id IS NOT NULL;
    """,
    # Events of several processes are in order by the times when they were logged; a record may be received long before.
    """
    ALTER TABLE transactions ADD COLUMN start_logged_at TEXT;
    ALTER TABLE transactions ADD COLUMN end_logged_at TEXT;
    ALTER TABLE readings ADD COLUMN logged_at TEXT;
    """,
    # Tokens of 2.x have types.
    """
    ALTER TABLE transactions ADD COLUMN id_type TEXT;
    """,
    # Reports of stations of 2.x come in parts.
    """
    CREATE TABLE report_parts (
        number INTEGER PRIMARY KEY, charge_point TEXT NOT NULL, report INTEGER NOT NULL, action TEXT NOT NULL,
        request_id, seq_no, last INTEGER NOT NULL, received_at TEXT NOT NULL, version TEXT NOT NULL,
        size_bytes INTEGER NOT NULL, digest TEXT NOT NULL, cut INTEGER NOT NULL, payload BLOB NOT NULL);
    CREATE UNIQUE INDEX report_parts_once ON report_parts (charge_point, report, digest);
    """,
    # Variables of device models, by attribute.
    """
    CREATE TABLE variables (
        number INTEGER PRIMARY KEY, charge_point TEXT NOT NULL, key TEXT NOT NULL, attribute TEXT NOT NULL,
        name TEXT NOT NULL, value TEXT, access TEXT, characteristics TEXT, updated_at TEXT NOT NULL);
    CREATE UNIQUE INDEX variables_once ON variables (charge_point, key, attribute);
    """,
    # Costs of transactions.
    """
    ALTER TABLE transactions ADD COLUMN costs TEXT;
    """,
    # From here on a store tells which programs may use it: those that know so many steps.
    """
    INSERT INTO ids (name, next) VALUES ('needs', 13);
    """,
    # Energy stays as it was derived when the readings are deleted.
    """
    ALTER TABLE transactions ADD COLUMN readings_deleted INTEGER NOT NULL DEFAULT 0;
    """,
    # The readings of a charge point are found by time, however many others have.
    """
    CREATE INDEX readings_attached ON readings (charge_point, received_at, number) WHERE unattached = 0;
    """,
    # An entry at once for each reading changes a page of its charge point at each commit; entries for many readings at
    # a time change it once. So they are in a table, complete up to a number.
    """
    CREATE TABLE sorted_readings (
        charge_point TEXT NOT NULL, received_at TEXT NOT NULL, number INTEGER NOT NULL,
        PRIMARY KEY (charge_point, received_at, number)) WITHOUT ROWID;
    INSERT INTO sorted_readings SELECT charge_point, received_at, number FROM readings WHERE unattached = 0
        ORDER BY charge_point, received_at, number;
    INSERT INTO ids (name, next) SELECT 'sorted', ifnull(max(number), 0) + 1 FROM readings;
    DROP INDEX readings_attached;
    """,
    # The time of the last energy, which a price needs, outlives the readings; '' if they did not say.
    """
    ALTER TABLE transactions ADD COLUMN idle_since TEXT;
    """,
)

RULED = 13
"""Number of the first step behind which all only add something."""
REMOVALS: tuple[Removal, ...] = ()
"""Removals, in order: never a part of a step, which happens while other programs use the store."""

ORPHAN = "orphan: "
"""Beginning of the flag with which 0.1.0 marked a transaction."""


def needs_of(connection: sqlite3.Connection, version: int) -> int:
    """Return how many steps a program must know to write a file; 0 if the file does not tell."""
    if version < RULED:
        return 0
    found = connection.execute("SELECT next FROM ids WHERE name = 'needs'").fetchone()
    return found[0] if found else 0


def take_away(connection: sqlite3.Connection, removals: Sequence[Removal] = REMOVALS) -> list[str]:
    """Carry out the removals that are due in a file that nobody else uses; return what is gone."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    done, needs = [], needs_of(connection, version)
    for removal in removals:
        if removal.needs > needs:
            connection.executescript(
                f"BEGIN IMMEDIATE; {removal.statements}; "  # noqa: S608 - constants
                f"UPDATE ids SET next = {removal.needs} WHERE name = 'needs'; COMMIT;"
            )
            done.append(removal.what)
    return done


def _flags(flags: str) -> list[str]:
    found: list[str] = msgspec.json.decode(flags, type=list[str])
    return found


def without_orphan(flags: str) -> str:
    """Leave the flag of 0.1.0 out of flags."""
    return flags_text([flag for flag in _flags(flags) if not flag.startswith(ORPHAN)])


def over_fact(charge_point: str, connector: int | str, start_received_at: str, flags: str) -> str:
    """Make the fact that a transaction is over out of its flag, of the earliest time that it can be of."""
    flag = next((flag for flag in _flags(flags) if flag.startswith(ORPHAN)), ORPHAN)
    fact = OverFact(
        charge_point_id=charge_point,
        connector_id=int(connector),
        at=time(start_received_at) + dt.timedelta(microseconds=1),
        reason=flag.removeprefix(ORPHAN).removesuffix(" while it was open"),
    )
    return msgspec.json.encode(fact).decode()


def bring_up_to_date(connection: sqlite3.Connection, path: str, newest: int = len(STEPS)) -> None:
    """Make the tables, or make them newer; leave a file of a newer program as it is, if that allows it.

    Raises `StoreError` for one that this program must not write.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if check_format(path, version, needs_of(connection, version), len(STEPS)):
        logger.warning(
            "%s has tables %d, of a newer chargehand; this one knows %d, and leaves alone what it does not know",
            path,
            version,
            len(STEPS),
        )
        return
    connection.create_function(
        "reading_time", 1, lambda data: reading_time(str(data).encode()), deterministic=True
    )
    connection.create_function("without_orphan", 1, without_orphan, deterministic=True)
    connection.create_function("over_fact", 4, over_fact, deterministic=True)
    for number, step in enumerate(STEPS[version:newest], version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {step}; PRAGMA user_version = {number}; COMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.rollback()
            raise
