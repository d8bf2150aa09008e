"""Tables of the PostgreSQL store, by version: making them, and bringing older ones up to date.

They lie in a schema of their own. A step is never changed once it was released; a new one is added behind it, and only
adds something: `format.py`. A program that uses the store has the lock of its format: so it is known which live.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from .format import Removal, check_format, check_removal
from .libpq import read, run
from .store import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.pq.abc import PGconn

logger = logging.getLogger(__name__)

SCHEMA = "chargehand"

LOCK = 0x43_48_41_52_47_45
"""Advisory lock of the process that makes the tables; the next number is the lock for changes of collections."""
COLLECTIONS_LOCK = LOCK + 1
UPKEEP_LOCK = LOCK + 2
"""Advisory lock of the node that exports and deletes old records, and makes backups."""
FORMATS_LOCK = 0x43_48_46_4D
"""First number of the advisory locks that programs share while they use the store; the second is what they know."""

OLD_APPLICATION = "chargehand"
"""Name that programs from before `RULED` give their connections; that of others is another one."""

ENDING_S, ENDING_LOOKS = 1.0, 10
"""Seconds that connections of programs have to end which have just stopped, and looks within them."""

LOCK_S = 60
"""Seconds to wait for another process that makes the tables."""
STATEMENT_S = 5
"""Seconds that a statement may take; then the server cancels it, and its batch is tried again."""

STEPS: tuple[str, ...] = (
    # Whole numbers that a charge point sends are numeric: nothing says how large they may be. An id tag may be long: it
    # is indexed by a hash, for a row of an index has 2,700 bytes at most. The id of a charge point must fit into that.
    """
    CREATE TABLE ids (name text PRIMARY KEY, next bigint NOT NULL);
    INSERT INTO ids (name, next) VALUES ('transaction', 1);
    CREATE TABLE transactions (
        id bigint PRIMARY KEY, charge_point text NOT NULL, connector numeric, id_tag text NOT NULL,
        meter_start numeric, started_at text, start_received_at text COLLATE "C" NOT NULL, verdict text NOT NULL,
        reservation numeric, meter_stop numeric, stopped_at text, stop_received_at text, stop_reason text NOT NULL,
        stop_id_tag text NOT NULL, flags text NOT NULL);
    CREATE INDEX transactions_by_charge_point ON transactions (charge_point, id);
    CREATE INDEX transactions_by_tag ON transactions USING hash (lower(id_tag));
    CREATE INDEX transactions_open ON transactions (id) WHERE stop_received_at IS NULL;
    CREATE INDEX transactions_open_by_charge_point ON transactions (charge_point, id) WHERE stop_received_at IS NULL;
    CREATE INDEX transactions_open_by_tag ON transactions USING hash (lower(id_tag)) WHERE stop_received_at IS NULL;
    CREATE TABLE readings (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, charge_point text NOT NULL, connector numeric,
        transaction_id numeric, received_at text NOT NULL, digest text NOT NULL, data text NOT NULL);
    CREATE UNIQUE INDEX readings_once ON readings (digest, md5(
        charge_point || ' ' || coalesce(connector::text, '') || ' ' || coalesce(transaction_id::text, '')));
    CREATE INDEX readings_by_transaction ON readings (transaction_id, number);
    CREATE TABLE charge_points (id text PRIMARY KEY, registration text NOT NULL);
    CREATE TABLE events (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, charge_point text NOT NULL, kind text NOT NULL,
        received_at text NOT NULL, data text NOT NULL);
    CREATE INDEX events_by_charge_point ON events (charge_point, number);
    CREATE INDEX events_by_kind ON events (kind, number);
    CREATE SEQUENCE changes;
    CREATE TABLE books (
        book text NOT NULL, key text NOT NULL, data text, changed bigint NOT NULL, removed_at timestamptz,
        PRIMARY KEY (book, key));
    CREATE UNIQUE INDEX books_changed ON books (changed);
    CREATE INDEX books_removed ON books (removed_at) WHERE removed_at IS NOT NULL;
    CREATE TABLE spool (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, charge_point text NOT NULL, action text NOT NULL,
        unique_id text NOT NULL, payload text NOT NULL, transaction_id numeric, received_at text NOT NULL,
        why text NOT NULL, start text, aside integer NOT NULL);
    CREATE UNIQUE INDEX spool_once ON spool (md5(
        charge_point || ' ' || action || ' ' || unique_id || ' ' || received_at || ' ' || payload));
    CREATE INDEX spool_waiting ON spool (charge_point, number) WHERE aside = 0;
    CREATE INDEX spool_in_order ON spool (number, aside);
    """,
    # As `rows.reading_key` writes it now.
    """
    UPDATE readings SET digest = coalesce(substring(data from '"timestamp"\\s*:\\s*"([0-9T:-]{19})'), '') || digest;
    """,
    # Before these tables knew more than one version of OCPP there was only this one.
    """
    ALTER TABLE charge_points ADD COLUMN version text NOT NULL DEFAULT '1.6';
    ALTER TABLE spool ADD COLUMN version text NOT NULL DEFAULT '1.6';
    """,
    # Payloads are bytes. Lists are in order of receipt. An orphaned transaction is derived from facts, no flag.
    """
    ALTER TABLE transactions
        ADD COLUMN version text NOT NULL DEFAULT '1.6', ADD COLUMN started_text text NOT NULL DEFAULT '',
        ADD COLUMN other_stops text NOT NULL DEFAULT '[]', ADD COLUMN closed_by text NOT NULL DEFAULT '',
        ADD COLUMN note text NOT NULL DEFAULT '', ADD COLUMN life_at text COLLATE "C",
        ADD COLUMN assessed integer NOT NULL DEFAULT 0, ADD COLUMN energy_wh numeric,
        ADD COLUMN energy_source text NOT NULL DEFAULT '', ADD COLUMN supported_energy_wh numeric,
        ADD COLUMN findings text NOT NULL DEFAULT '[]';
    DROP INDEX transactions_by_charge_point;
    DROP INDEX transactions_open;
    CREATE INDEX transactions_by_time ON transactions (start_received_at, id);
    CREATE INDEX transactions_by_charge_point ON transactions (charge_point, start_received_at, id);
    CREATE INDEX transactions_open ON transactions (start_received_at, id) WHERE stop_received_at IS NULL;
    INSERT INTO books (book, key, data, changed)
        SELECT 'over_facts', connector || '/' || charge_point, json_build_object(
            'charge_point_id', charge_point, 'connector_id', connector,
            'at', to_char((start_received_at::timestamptz + interval '1 microsecond') AT TIME ZONE 'UTC',
                'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'reason', (SELECT regexp_replace(substr(flag, 9), ' while it was open$', '')
                FROM json_array_elements_text(flags::json) AS flag WHERE flag LIKE 'orphan: %' LIMIT 1))::text,
            nextval('changes')
        FROM (SELECT DISTINCT ON (charge_point, connector) * FROM transactions
            WHERE stop_received_at IS NULL AND flags LIKE '%"orphan: %'
            ORDER BY charge_point, connector, start_received_at DESC) AS orphaned;
    UPDATE transactions SET flags = coalesce((SELECT json_agg(flag)::text
        FROM json_array_elements_text(flags::json) AS flag WHERE flag NOT LIKE 'orphan: %'), '[]')
        WHERE flags LIKE '%"orphan: %';
    ALTER TABLE readings
        ADD COLUMN flags text NOT NULL DEFAULT '[]', ADD COLUMN version text NOT NULL DEFAULT '1.6',
        ADD COLUMN unattached integer NOT NULL DEFAULT 0, ALTER COLUMN received_at TYPE text COLLATE "C",
        ALTER COLUMN data TYPE bytea USING convert_to(data, 'UTF8');
    UPDATE readings SET unattached = 1 WHERE NOT EXISTS (SELECT 1 FROM transactions
        WHERE transactions.id = readings.transaction_id AND transactions.charge_point = readings.charge_point);
    CREATE INDEX readings_unattached ON readings (charge_point, received_at, number) WHERE unattached = 1;
    CREATE TABLE told (
        charge_point text NOT NULL, item text NOT NULL, version text NOT NULL, action text NOT NULL,
        payload bytea NOT NULL, received_at text NOT NULL, PRIMARY KEY (charge_point, item));
    DROP INDEX spool_once;
    ALTER TABLE spool ALTER COLUMN payload TYPE bytea USING convert_to(payload, 'UTF8');
    CREATE UNIQUE INDEX spool_once ON spool (md5(
        charge_point || ' ' || action || ' ' || unique_id || ' ' || received_at || ' ' || md5(payload)));
    CREATE INDEX spool_by_transaction ON spool (transaction_id, number)
        WHERE aside = 1 AND transaction_id IS NOT NULL;
    """,
    # The log of durable events. The place of an event is the number of its origin, shifted, and its own. Starts, ends
    # and late readings have their places in their record, of which their events are made.
    """
    CREATE TABLE event_log (
        place bigint PRIMARY KEY, charge_point text NOT NULL, kind text NOT NULL, at text COLLATE "C" NOT NULL,
        transaction_id bigint, data text NOT NULL);
    ALTER TABLE transactions ADD COLUMN start_place bigint, ADD COLUMN end_place bigint,
        ALTER COLUMN stop_received_at TYPE text COLLATE "C";
    ALTER TABLE readings ADD COLUMN place bigint;
    CREATE INDEX transactions_started ON transactions (start_place) WHERE start_place IS NOT NULL;
    CREATE INDEX transactions_ended ON transactions (end_place) WHERE end_place IS NOT NULL;
    CREATE INDEX readings_late ON readings (place) WHERE place IS NOT NULL;
    CREATE TABLE event_origins (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, begun_at text NOT NULL,
        pruned_to bigint NOT NULL DEFAULT 0);
    CREATE TABLE event_consumers (
        name text NOT NULL, origin bigint NOT NULL, position bigint NOT NULL, owner text NOT NULL,
        PRIMARY KEY (name, origin));
    CREATE TABLE event_dead_letters (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, consumer text NOT NULL, event text NOT NULL,
        charge_point text NOT NULL, kind text NOT NULL, failed_at text NOT NULL, why text NOT NULL,
        data text NOT NULL);
    """,
    # A station of 2.x names its transactions itself, for ever.
    """
    ALTER TABLE transactions
        ADD COLUMN remote_id text, ADD COLUMN evse numeric, ADD COLUMN charging_state text;
    CREATE UNIQUE INDEX transactions_remote ON transactions (charge_point, remote_id) WHERE remote_id IS NOT NULL;
    """,
    # Events of several processes are in order by the times when they were logged; a record may be received long before.
    """
    ALTER TABLE transactions
        ADD COLUMN start_logged_at text COLLATE "C", ADD COLUMN end_logged_at text COLLATE "C";
    ALTER TABLE readings ADD COLUMN logged_at text COLLATE "C";
    """,
    # Tokens of 2.x have types.
    """
    ALTER TABLE transactions ADD COLUMN id_type text;
    """,
    # Reports of stations of 2.x come in parts.
    """
    CREATE TABLE report_parts (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, charge_point text NOT NULL, report bigint NOT NULL,
        action text NOT NULL, request_id numeric, seq_no numeric, last integer NOT NULL,
        received_at text COLLATE "C" NOT NULL, version text NOT NULL, size_bytes bigint NOT NULL, digest text NOT NULL,
        cut integer NOT NULL, payload bytea NOT NULL);
    CREATE UNIQUE INDEX report_parts_once ON report_parts (charge_point, report, digest);
    """,
    # Variables of device models, by attribute.
    """
    CREATE TABLE variables (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, charge_point text NOT NULL,
        key text COLLATE "C" NOT NULL, attribute text COLLATE "C" NOT NULL, name text NOT NULL, value text, access text,
        characteristics text, updated_at text COLLATE "C" NOT NULL);
    CREATE UNIQUE INDEX variables_once ON variables (charge_point, key, attribute);
    """,
    # Costs of transactions.
    """
    ALTER TABLE transactions ADD COLUMN costs text;
    """,
    # From here on a store tells which programs may use it: those that know so many steps.
    """
    INSERT INTO ids (name, next) VALUES ('needs', 12);
    """,
    # Energy stays as it was derived when the readings are deleted.
    """
    ALTER TABLE transactions ADD COLUMN readings_deleted integer NOT NULL DEFAULT 0;
    """,
    # The readings of a charge point are found by time, however many others have.
    """
    CREATE INDEX readings_attached ON readings (charge_point, received_at, number) WHERE unattached = 0;
    """,
    # The time of the last energy, which a price needs, outlives the readings; '' if they did not say.
    """
    ALTER TABLE transactions ADD COLUMN idle_since text;
    """,
)

RULED = 12
"""Number of the first step behind which all only add something."""
REMOVALS: tuple[Removal, ...] = ()
"""Removals, in order: never a part of a step, which happens while other programs use the store."""


def bring_up_to_date(connection: PGconn, where: str) -> None:
    """Make a new connection ready, and the tables where they are missing or older: one process at a time does.

    Raises `StoreError` for tables that this program must not use, and `QueryFailed`.
    """
    if connection.parameter_status(b"server_encoding") != b"UTF8":
        raise StoreError(f"{where}: the database must have the encoding UTF8")
    run(
        connection,
        f"SET search_path = {SCHEMA}; SET lock_timeout = '{LOCK_S}s'; SET bytea_output = 'hex'".encode(),
    )
    # To compile a plan takes longer than any question here.
    run(connection, b"SELECT set_config('jit', 'off', false) FROM pg_settings WHERE name = 'jit'")
    # Never less than durable, whatever the server's default is; more, if it is more.
    run(
        connection,
        b"SELECT set_config('synchronous_commit', 'on', false) "
        b"WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')",
    )
    if version_of(connection) < len(STEPS):
        _make(connection, where)
    _join(connection, where)
    # A transaction whose process is gone, with its machine or its network, ends likewise: others wait for it.
    run(
        connection,
        f"SET statement_timeout = '{STATEMENT_S}s'; "
        f"SET idle_in_transaction_session_timeout = '{STATEMENT_S}s'".encode(),
    )


def version_of(connection: PGconn) -> int:
    """Return the number of steps that made the tables; 0 if there are none."""
    # Asked of the catalogue's rows: to_regclass may remember that there was none.
    there = f"SELECT 1 FROM pg_tables WHERE schemaname = '{SCHEMA}' AND tablename = 'version'"  # noqa: S608 - constants
    if read(connection, there, []) == []:
        return 0
    ((version,),) = read(connection, f"SELECT max(number) FROM {SCHEMA}.version", [])  # noqa: S608 - a constant
    return version or 0


def _join(connection: PGconn, where: str) -> None:
    """Tell that a program of this format uses the store from now on, as long as its connection lives.

    Raises `StoreError` if it must not. Who makes or removes something has the lock alone: so both see each other.
    """
    run(
        connection,
        f"BEGIN; SELECT pg_advisory_xact_lock_shared({LOCK}); "
        f"SELECT pg_advisory_lock_shared({FORMATS_LOCK}, {len(STEPS)})".encode(),
    )
    version = version_of(connection)
    needs = needs_of(connection, version)
    run(connection, b"COMMIT")
    if check_format(where, version, needs, len(STEPS)):
        logger.warning(
            "%s has tables %d, of a newer chargehand; this one knows %d, and leaves alone what it does not know",
            where,
            version,
            len(STEPS),
        )


def needs_of(connection: PGconn, version: int) -> int:
    """Return how many steps a program must know to use the store; 0 if the store does not tell."""
    if version < RULED:
        return 0
    found = read(connection, f"SELECT next FROM {SCHEMA}.ids WHERE name = 'needs'", [])  # noqa: S608 - a constant
    return int(found[0][0]) if found else 0


def living_formats(connection: PGconn) -> list[int]:
    """Return the formats that other programs know which use the store now, each once."""
    query = (
        "SELECT DISTINCT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 "  # noqa: S608
        f"AND classid = {FORMATS_LOCK} AND pid <> pg_backend_pid() "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return sorted(int(row[0]) for row in read(connection, query, []))


def take_away(connection: PGconn, removals: Sequence[Removal] = REMOVALS) -> list[str]:
    """Carry out the removals that are due; return what is gone.

    Raises `StoreError` while a program lives that needs what is to be removed, and `QueryFailed`.
    """
    done = []
    for removal in removals:
        run(connection, f"BEGIN; SELECT pg_advisory_xact_lock({LOCK})".encode())
        try:
            if removal.needs > needs_of(connection, version_of(connection)):
                check_removal(removal, living_formats(connection))
                run(
                    connection,
                    f"{removal.statements}; UPDATE ids SET next = {removal.needs} WHERE name = 'needs'".encode(),  # noqa: S608
                )
                done.append(removal.what)
        except StoreError:
            run(connection, b"ROLLBACK")
            raise
        run(connection, b"COMMIT")
    return done


def _check_old_programs(connection: PGconn, where: str) -> None:
    """Raise `StoreError` while programs use the store that tell no format: what they would do to it is not known."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "  # noqa: S608 - constants
        f"AND application_name = '{OLD_APPLICATION}' AND pid <> pg_backend_pid()"
    )
    for _ in range(ENDING_LOOKS):
        ((count,),) = read(connection, query, [])
        if not count:
            return
        run(connection, f"SELECT pg_sleep({ENDING_S / ENDING_LOOKS})".encode())
    raise StoreError(
        f"{where} is in use by an older chargehand ({count} connections), which cannot use it beside this one: "
        "stop all nodes first"
    )


def _make(connection: PGconn, where: str) -> None:
    run(connection, f"BEGIN; SELECT pg_advisory_xact_lock({LOCK})".encode())
    version = version_of(connection)  # another process may have been first
    if 0 < version < RULED:
        try:
            _check_old_programs(connection, where)
        except StoreError:
            run(connection, b"ROLLBACK")
            raise
    if version == 0:
        # CREATE SCHEMA asks for a right that the owner of a given schema need not have.
        if read(connection, f"SELECT 1 FROM pg_namespace WHERE nspname = '{SCHEMA}'", []) == []:  # noqa: S608
            run(connection, f"CREATE SCHEMA {SCHEMA}".encode())
        run(connection, b"CREATE TABLE version (number integer NOT NULL)")
    for number, step in enumerate(STEPS[version:], version + 1):
        run(connection, f"{step}; INSERT INTO version (number) VALUES ({number})".encode())  # noqa: S608
    run(connection, b"COMMIT")
