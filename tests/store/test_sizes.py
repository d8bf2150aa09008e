"""Sizes of a store: by kind of record, as its database says them."""

import datetime as dt
import random
import sqlite3

import gevent
import pytest

from chargehand import Event, MemoryStore, MeterReading, StoreError
from chargehand.store import sizes
from chargehand.store.sizes import Measurement, size_of

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LIMIT_S = 60


def fill(store):
    """Store 300 readings, 90 events of status, 10 of audit, and three messages, two of them dead letters."""
    for number in range(300):
        payload = b'{"n":%d,"text":"%s"}' % (number, b"x" * 400)
        store.add_meter_reading(
            MeterReading(
                charge_point_id="CP1", connector_id=1, transaction_id=None, received_at=NOW, values=payload
            )
        )
    for number in range(100):
        kind = "by_hand" if number % 10 == 0 else "status"
        store.add_event(Event(charge_point_id="CP1", kind=kind, received_at=NOW, data={}))
    for number in range(3):
        receipt = store.spool(
            charge_point_id="CP1", version="1.6", action="MeterValues", unique_id=str(number), payload=b"{}",
            transaction_id=None, received_at=NOW, why="late", redeliver=number == 0,
        )  # fmt: skip
    receipt.wait(LIMIT_S)


@pytest.fixture
def store(open_store):
    random.seed(1)
    made = open_store()
    yield made
    made.close()


def test_each_kind_of_record_has_its_bytes_and_rows(store):
    fill(store)
    if store.backup_suffix == ".pgdump":
        store._ask("ANALYZE chargehand.readings, chargehand.events, chargehand.spool")
    found = store.measure()
    if found is None:
        pytest.skip("a worker process that is not told of the file")
    assert found.rows["readings"] == 300
    assert found.kinds["readings"] > 300 * 400
    assert found.size_bytes >= sum(found.kinds.values()) > 0
    assert found.rows["status"] + found.rows["audit"] == 100
    assert found.rows["status"] > found.rows["audit"] > 0
    assert (found.rows["spool"], found.rows["dead_letters"]) == (1, 2)
    assert found.kinds["status"] > found.kinds["audit"] > 0
    assert found.unused_bytes >= 0


def test_memory_has_no_size():
    assert MemoryStore().measure() is None


def test_a_file_that_is_gone_is_one_clear_sentence(tmp_path):
    with pytest.raises(StoreError, match="the store was not measured: unable to open"):
        Measurement(str(tmp_path / "none.sqlite")).make()


def test_an_sqlite_without_dbstat_tells_the_size_of_the_whole(tmp_path, monkeypatch):
    path = tmp_path / "store.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE readings (number INTEGER PRIMARY KEY)")
    connection.close()
    real = sqlite3.connect

    class Without(sqlite3.Connection):
        def execute(self, query, *values):
            return super().execute(query.replace("FROM dbstat", "FROM no_dbstat"), *values)

    monkeypatch.setattr(sqlite3, "connect", lambda *given, **more: real(*given, factory=Without, **more))
    found = Measurement(str(path)).make()
    assert found.kinds == {}
    assert found.size_bytes == path.stat().st_size


def test_a_measurement_that_nobody_waits_for_ends(tmp_path, monkeypatch):
    path = tmp_path / "store.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE readings (number INTEGER PRIMARY KEY, data TEXT)")
    connection.executemany("INSERT INTO readings (data) VALUES (?)", [("x" * 2000,)] * 3000)
    connection.commit()
    connection.close()
    rests = []
    monkeypatch.setattr(sizes, "STEPS", 10)
    monkeypatch.setattr(sizes, "rest", rests.append)
    measurement = Measurement(str(path))
    making = gevent.spawn(measurement.make)
    with gevent.Timeout(LIMIT_S):
        while not rests:
            gevent.sleep(0)
        making.kill()
    assert measurement._interrupted


def test_tables_of_a_newer_program_are_other_records():
    found = size_of([("readings", 5, 100), ("of_tomorrow", 7, 50)], lambda *_: [])
    assert found.kinds == {"readings": 100, "other": 50}
    assert found.size_bytes == 150
