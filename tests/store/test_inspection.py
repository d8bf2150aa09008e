"""Inspection of a file: a file written by the store passes, and each planted fault is found, and only that."""

import datetime as dt
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chargehand import Event, MeterReading, StoreError, Tag
from chargehand.actors.runtime import threads
from chargehand.store import inspection
from chargehand.store.inspection import Inspection
from chargehand.store.sqlite import SqliteStore

from .test_search import LIMIT_S, NOW, transaction

LATER = NOW + dt.timedelta(days=1)


@pytest.fixture
def path(tmp_path):
    """File with some records of every kind, made by the store."""
    path = str(tmp_path / "store.sqlite")
    store = SqliteStore.open(path, threads)
    for connector, flags in enumerate(((), (), ("odd",)), 1):
        number = store.allot_transaction_id("CP1", None)
        store.start_transaction(transaction(number, flags=flags, connector_id=connector))
    store.transaction_over("CP1", 2, LATER, "BootNotification")
    store.stop_transaction(transaction(1, meter_stop=200, stopped_at=LATER, stop_received_at=LATER))
    for values in (b"[1]", b"[2]"):
        store.add_meter_reading(
            MeterReading(
                charge_point_id="CP1", connector_id=1, transaction_id=1, received_at=NOW, values=values
            )
        )
    store.register("CP1", "Accepted")
    store.note_told("CP1", item="boot", version="1.6", action="B", payload=b"{}", received_at=NOW)
    store.add_event(Event(charge_point_id="CP1", kind="boot", received_at=NOW, data={"a": 1}))
    store.collections.tags.put(Tag(id_tag="T1"))
    start = (2, "T2", NOW, 100)
    for redeliver in (True, False):
        store.spool(
            version="1.6",
            charge_point_id="CP1",
            action="StartTransaction",
            unique_id="1",
            payload=b"{}",
            transaction_id=store.allot_transaction_id("CP1", start),
            received_at=NOW,
            why="a reason",
            redeliver=redeliver,
        )
    store._ask("SELECT 1")
    store.close()
    return path


def plant(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_all_is_well_with_what_the_store_wrote(path):
    found = Inspection(path)
    assert found.faults == []
    assert found.rows == {
        "transactions": 3, "readings": 2, "charge_points": 1, "events": 1, "collections": 2, "spool": 2,
        "told": 1,
    }  # fmt: skip
    assert (found.open, found.flagged, found.orphans) == (2, 2, 1)


def test_dead_letters_and_readings_that_are_no_strict_json_are_no_fault(tmp_path):
    path = str(tmp_path / "store.sqlite")
    store = SqliteStore.open(path, threads)
    for number, payload in enumerate((b"", b"\0", b"\xff", b"{")):
        store.spool(
            charge_point_id="CP1", version="1.6", action="MeterValues", unique_id=str(number), payload=payload,
            transaction_id=None, received_at=NOW, why="unreadable", redeliver=False,
        )  # fmt: skip
    odd = MeterReading(
        charge_point_id="CP1",
        connector_id=1,
        transaction_id=None,
        received_at=NOW,
        values=b'{"a":"\\ud800\n"}',
    )
    store.add_meter_reading(odd).wait(LIMIT_S)
    store.close()
    assert Inspection(path).faults == []


def test_all_is_well_with_an_empty_store(tmp_path):
    path = str(tmp_path / "empty.sqlite")
    SqliteStore.open(path, threads).close()
    assert Inspection(path).faults == []


REPEATED = (
    "INSERT INTO readings (charge_point, connector, transaction_id, received_at, digest, data) "
    "SELECT charge_point, connector, transaction_id, received_at, digest, data FROM readings WHERE number = 1"
)


@pytest.mark.parametrize(
    ("statements", "wanted"),
    [
        (["UPDATE ids SET next = 3"], ["id 4 is in use, though the next one to be given is 3"]),
        (["DELETE FROM ids"], ["the ids that were given are not stored, and 4 is in use"]),
        (["UPDATE transactions SET id = -3 WHERE id = 3"], ["transaction -3: its id is no positive number"]),
        (
            ["UPDATE transactions SET stop_received_at = '2025-01-01T00:00:00+00:00' WHERE id = 1"],
            ["transaction 1: its stop was received before its start"],
        ),
        (["UPDATE transactions SET stopped_at = NULL WHERE id = 1"], ["transaction 1: half of its stop"]),
        (["UPDATE transactions SET started_at = 'noon' WHERE id = 2"], ["transaction 2 cannot be read"]),
        (["UPDATE transactions SET flags = '[' WHERE id = 2"], ["transaction 2 cannot be read"]),
        (["DROP INDEX readings_once", REPEATED], ["readings_once, a table or an index, is missing", "reading 1"]),
        (["UPDATE readings SET data = '[1' WHERE number = 1"], ["readings 1 cannot be read"]),
        (["UPDATE readings SET data = X'5B31' WHERE number = 1"], ["readings 1 cannot be read"]),
        (["UPDATE readings SET received_at = '' WHERE number = 1"], ["readings 1 cannot be read"]),
        (["UPDATE events SET data = 'x'"], ["events 1 cannot be read"]),
        (["UPDATE told SET received_at = 'noon'"], ["boot of CP1 cannot be read"]),
        (["UPDATE spool SET payload = '{' WHERE number = 1"], ["spool 1 cannot be read"]),
        (["UPDATE spool SET start = '[1]' WHERE number = 2"], ["spool 2: the start it stands for"]),
        (["UPDATE spool SET aside = 2 WHERE number = 2"], ["spool 2: it is neither waiting nor a dead letter"]),
        (["UPDATE charge_points SET registration = 'Perhaps'"], ["charge point CP1: there is no registration"]),
        (["UPDATE books SET data = '{}' WHERE book = 'tags'"], ["tags t1 cannot be read"]),
        (["UPDATE books SET key = 't2' WHERE book = 'tags'"], ["tags t2: its record is that of t1"]),
        (["UPDATE books SET book = 'novels' WHERE book = 'tags'"], ["novels t1: there is no such collection"]),
        (["ALTER TABLE spool ADD COLUMN colour TEXT"], ["spool, a table or an index, is not as it was made"]),
    ],
)  # fmt: skip
def test_a_planted_fault_is_seen_and_nothing_else(path, statements, wanted):
    plant(path, *statements)
    faults = Inspection(path).faults
    assert len(faults) == len(wanted)
    for fault, text in zip(faults, wanted, strict=True):
        assert text in fault


def test_a_damaged_page_is_seen(path):
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'transactions_by_tag'"
        ((page,),) = connection.execute(query).fetchall()
        ((size,),) = connection.execute("PRAGMA page_size").fetchall()
    with Path(path).open("r+b") as file:
        file.seek((page - 1) * size + 8)
        file.write(b"\xff" * 100)
    faults = Inspection(path).faults
    # SQLite says what is wrong with the page or, by how its rows lie, that it cannot even look.
    assert any("the file is damaged" in fault or "disk image is malformed" in fault for fault in faults), (
        faults
    )


def test_a_file_that_is_torn_is_one_clear_sentence(path):
    with Path(path).open("r+b") as file:
        file.truncate(file.seek(0, 2) // 2 // 4096 * 4096)
    with pytest.raises(StoreError, match="malformed"):
        Inspection(path)


def test_of_many_faults_of_a_kind_some_are_told_and_the_rest_counted(path, monkeypatch):
    monkeypatch.setattr(inspection, "TOLD", 1)
    plant(path, "UPDATE transactions SET started_at = 'noon'")
    assert len(Inspection(path).faults) == 2
    assert Inspection(path).faults[1] == "… and 2 more of that kind"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: path.write_bytes(b"this is no database" * 1000), "not a database"),
        (lambda path: plant(path, "CREATE TABLE t (a)"), "no store of chargehand's"),
        (lambda path: plant(path, "PRAGMA user_version = 999"), "newer chargehand"),
        (lambda path: None, "unable to open"),
    ],
)
def test_what_is_none_of_ours_is_one_clear_sentence(tmp_path, make, text):
    path = tmp_path / "other.sqlite"
    make(path)
    with pytest.raises(StoreError, match=text):
        Inspection(str(path))


def test_it_changes_nothing_and_sees_what_a_killed_process_left_in_its_log(tmp_path):
    path = tmp_path / "store.sqlite"
    store = SqliteStore.open(str(path), threads)
    store.register("CP1", "Accepted").wait(LIMIT_S)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if not file.name.endswith("-shm")}
    assert "store.sqlite-wal" in before
    assert Inspection(str(path)).rows["charge_points"] == 1
    after = {file.name: file.read_bytes() for file in tmp_path.iterdir() if not file.name.endswith("-shm")}
    assert after == before
    store.close()
