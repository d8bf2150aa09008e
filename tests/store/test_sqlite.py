"""Behaviour of the SQLite store alone: its file, and failing writes. The rest: test_durable.py."""

import datetime as dt
import hashlib
import json
import sqlite3
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargehand import Event, MeterReading, StoreError, Tag, TransactionFilter
from chargehand.actors.runtime import threads
from chargehand.store import sqlite
from chargehand.store.inspection import Inspection
from chargehand.store.rows import Kind, reading_time
from chargehand.store.sqlite import SqliteFile, SqliteStore
from chargehand.store.sqlite_schema import STEPS, bring_up_to_date

from .transactions import START, transaction

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LIMIT_S = 60  # a disk that others are using may take seconds


SAMPLE = b'[{"timestamp":"2026-01-01T00:00:00Z","sampledValue":[{"value":"1"}]}]'


def reading(transaction_id, values):
    return MeterReading(
        charge_point_id="CP1",
        connector_id=1,
        transaction_id=transaction_id,
        received_at=NOW,
        values=values,
    )


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "store.sqlite")


@pytest.fixture
def opened(path):
    """Open the file at each call, after closing the previous store."""
    stores = []

    def open_() -> SqliteStore:
        while stores:
            stores.pop().close()
        stores.append(SqliteStore.open(path, threads))
        return stores[-1]

    yield open_
    while stores:
        stores.pop().close()


def test_a_full_disk_fails_the_receipts_and_later_ones_are_kept(opened, path):
    store = opened()
    store.register("CP1", "Accepted").wait(LIMIT_S)
    pages = store._writer.ask(lambda file: file.read("PRAGMA page_count", ())[0][0])
    store._writer.ask(lambda file: file.read(f"PRAGMA max_page_count = {pages}", ()))
    lost = Event(charge_point_id="CP1", kind="large", received_at=NOW, data={"text": "x" * 200_000})
    with pytest.raises(StoreError, match="full"):
        store.add_event(lost).wait(LIMIT_S)
    assert store.events() == []
    store._writer.ask(lambda file: file.read("PRAGMA max_page_count = 1000000", ()))
    store.add_event(lost).wait(LIMIT_S)
    assert len(opened().events()) == 1


def test_records_that_are_held_are_refused_as_on_a_full_disk_and_removals_go_on(opened):
    store = opened()
    store.add_event(told := Event(charge_point_id="CP1", kind="boot", received_at=NOW, data={})).wait(LIMIT_S)
    spooled = {"version": "1.6", "action": "MeterValues", "payload": b"{}", "received_at": NOW, "why": "late"}
    kept = store.spool(charge_point_id="CP1", unique_id="1", transaction_id=None, **spooled)
    store.hold_records("the disk is full")  # behind what is on its way
    kept.wait(LIMIT_S)
    assert len(store.events()) == 1
    refused = [
        store.add_event(told),
        store.register("CP1", "Accepted"),
        store.collections.tags.put(Tag(id_tag="T1")),
    ]
    for receipt in refused:
        with pytest.raises(StoreError, match="not stored: the disk is full") as failure:
            receipt.wait(LIMIT_S)
        assert failure.value.passing
    (waiting,) = store.spooled()
    store.unspool([waiting.number])
    assert store.spooled() == []
    answers = []
    store.probe(answers.append)
    assert [str(answer) for answer in answers] == ["the disk is full"]
    store.hold_records("")
    assert store.spooled() == []
    store.add_event(told).wait(LIMIT_S)
    assert len(store.events()) == 2
    assert opened().registrations() == {}


def unnumbered(readings):
    return [msgspec.structs.replace(one, number=0) for one in readings]


def insert_old_transaction(connection, number, *flags, connector=1, stopped=False):
    """Insert a transaction as 0.1.0 did; the numbers are minutes of its start."""
    columns = ("id", "charge_point", "connector", "id_tag", "meter_start", "started_at", "start_received_at",
               "verdict", "stop_received_at", "stop_reason", "stop_id_tag", "flags")  # fmt: skip
    at = (NOW + dt.timedelta(minutes=number)).isoformat()
    values = (number, "CP1", connector, "T1", 100, at, at, "Accepted", at if stopped else None, "", "",
              json.dumps(flags))  # fmt: skip
    places = ", ".join("?" * len(columns))
    connection.execute(f"INSERT INTO transactions ({', '.join(columns)}) VALUES ({places})", values)


@pytest.mark.parametrize("version", range(1, 5))
def test_flags_of_orphans_become_facts_which_end_what_they_ended_and_nothing_else(opened, path, version):
    orphan = "orphan: BootNotification while it was open"
    connection = sqlite3.connect(path, isolation_level=None)
    bring_up_to_date(connection, path, newest=version)
    insert_old_transaction(connection, 1, "odd", orphan)
    insert_old_transaction(connection, 2, orphan)
    insert_old_transaction(connection, 3)
    insert_old_transaction(connection, 4, connector=2)
    insert_old_transaction(connection, 5, "odd", orphan, connector=2, stopped=True)
    connection.execute("UPDATE transactions SET meter_stop = 200, stopped_at = started_at WHERE id = 5")
    connection.close()
    faults = [fault for fault in Inspection(path).faults if "is in use" not in fault]
    assert faults == []  # as it is, without being brought up to date
    store = opened()
    found = store.transactions()
    assert [(one.id, one.flags, one.over) for one in found] == [
        (5, ("odd",), ""), (4, (), ""), (3, (), ""), (2, (), "BootNotification"), (1, ("odd",), "BootNotification"),
    ]  # fmt: skip
    assert [one.id for one in store.transactions(TransactionFilter(orphans_only=True))] == [2, 1]
    assert [fault for fault in Inspection(path).faults if "is in use" not in fault] == []


def started(store):
    """Start a transaction of CP1 and store readings of it, out of order by time; return its number."""
    number = store.allot_transaction_id("CP1", START)
    store.start_transaction(transaction(number))
    for minute in (3, 1, 4, 1, 5, 9, 2):
        at = NOW + dt.timedelta(minutes=minute)
        values = b'{"at":%d,"number":%d}' % (minute, store._writer.depth)
        store.add_meter_reading(msgspec.structs.replace(reading(number, values), received_at=at))
    return number


def minutes_of(store, **wanted):
    found = store.readings_of("CP1", without_transaction=False, **wanted)
    return [(one.received_at - NOW) // dt.timedelta(minutes=1) for one in found]


@pytest.mark.parametrize("at_once", [1, 2, 5, 100])
def test_readings_of_transactions_are_in_order_however_many_are_sorted_at_once(opened, monkeypatch, at_once):
    monkeypatch.setattr(sqlite, "SORTED_AT_ONCE", at_once)
    store = opened()
    number = started(store)
    assert minutes_of(store) == [9, 5, 4, 3, 2, 1, 1]
    store.add_meter_reading(msgspec.structs.replace(reading(number, b"{}"), received_at=NOW))
    assert minutes_of(store, limit=3) == [9, 5, 4]
    until = NOW + dt.timedelta(minutes=4)
    assert minutes_of(opened(), until=until) == [3, 2, 1, 1, 0]


def test_readings_that_get_the_numbers_of_deleted_ones_are_found_by_time(opened):
    store = opened()
    number = started(store)
    assert len(minutes_of(store)) == 7
    rows = store._ask("SELECT number, received_at FROM readings WHERE number > 4")
    store.retention.drop("readings", rows).wait(LIMIT_S)
    assert minutes_of(store) == [9, 5, 4, 3, 2, 1, 1]  # they may not go
    store._ask(
        "UPDATE transactions SET stop_received_at = start_received_at, readings_deleted = 1 RETURNING id"
    )
    store.retention.drop("readings", rows).wait(LIMIT_S)
    assert store._ask("SELECT count(*) FROM sorted_readings") == [(4,)]
    store.add_meter_reading(msgspec.structs.replace(reading(number, b"{}"), received_at=NOW))
    assert minutes_of(store) == [4, 3, 1, 1, 0]


@pytest.mark.parametrize("version", range(1, len(STEPS)))
def test_a_file_of_an_older_program_is_made_newer_and_keeps_what_is_in_it(opened, path, version):
    connection = sqlite3.connect(path, isolation_level=None)
    bring_up_to_date(connection, path, newest=version)
    connection.execute("INSERT INTO charge_points (id, registration) VALUES ('CP1', 'Accepted')")
    connection.execute(
        "INSERT INTO spool (charge_point, action, unique_id, payload, received_at, why, aside) "
        "VALUES ('CP1', 'StopTransaction', '1', '{}', '2026-01-01T00:00:00+00:00', 'x', 0)"
    )
    readings = [reading(7, b"[]"), reading(7, SAMPLE), reading(None, SAMPLE)]
    for one in readings:
        connection.execute(
            "INSERT INTO readings (charge_point, connector, transaction_id, received_at, digest, data) "
            "VALUES ('CP1', 1, ?, ?, ?, ?)",
            (
                one.transaction_id,
                NOW.isoformat(),
                (reading_time(one.values) if version > 2 else "")
                + hashlib.blake2b(one.values, digest_size=16).hexdigest(),
                one.values.decode(),
            ),
        )
    connection.execute("DROP INDEX IF EXISTS readings_by_transaction")  # somebody may have
    connection.close()
    store = opened()
    assert store.registration("CP1") == ("Accepted", "1.6")
    assert [record.version for record in store.spooled()] == ["1.6"]
    for one in readings:  # as its charge point sends it again, whom nobody had answered
        store.add_meter_reading(one).wait(LIMIT_S)
    assert store._ask("SELECT count(*) FROM readings") == [(3,)]
    assert unnumbered(store.meter_readings(7)) == readings[:2]
    assert store._ask("PRAGMA user_version") == [(len(STEPS),)]
    store.register("CP2", "Accepted").wait(LIMIT_S)
    assert set(opened().registrations()) == {"CP1", "CP2"}


def test_a_file_of_a_newer_program_is_refused_in_one_line(opened, path):
    opened().close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
        connection.execute("UPDATE ids SET next = 999 WHERE name = 'needs'")
    connection.close()
    with pytest.raises(StoreError, match="newer chargehand"):
        opened()


def test_what_is_no_database_is_refused(path):
    Path(path).write_bytes(b"this is no database" * 1000)
    with pytest.raises(StoreError, match="not a database"):
        SqliteStore.open(path, threads)


def test_the_file_and_those_beside_it_are_for_their_owner_alone(opened, path):
    opened().register("CP1", "Accepted").wait(LIMIT_S)
    files = list(Path(path).parent.glob("store.sqlite*"))
    assert len(files) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_folder_that_is_not_there_is_one_clear_sentence(tmp_path):
    with pytest.raises(StoreError, match="unable to open"):
        SqliteStore.open(str(tmp_path / "nowhere" / "store.sqlite"), threads)


NUMBERS = st.none() | st.integers(-(2**62), 2**62)
TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.binary(max_size=8), NUMBERS, TEXTS), min_size=1, max_size=300))
def test_rows_of_a_batch_are_stored_as_given_whichever_columns_are_null(tmp_path, values):
    file = SqliteFile(str(tmp_path / "rows.sqlite"))
    try:
        file.begin()
        rows = [
            ("CP1", "StopTransaction", "1", payload, number, "2026-01-01", "", start, 1, "1.6")
            for payload, number, start in values
        ]
        file.write(Kind.SPOOL, rows)
        found = file.read("SELECT payload, transaction_id, start FROM spool ORDER BY number", ())
    finally:
        file.roll_back()
        file.close()
    assert found == values
