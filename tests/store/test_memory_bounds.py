"""The memory store is bounded, and its bounds keep nothing from its place that has room there."""

import datetime as dt

import pytest

from chargehand import MemoryStore, MeterReading, StoreError

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def store():
    return MemoryStore(keep=3)


def spool(store, unique_id, *, replay=True):
    receipt = store.spool(
        charge_point_id="CP1",
        action="MeterValues",
        unique_id=unique_id,
        payload=b"{}",
        transaction_id=None,
        received_at=NOW,
        why="a reason",
        replay=replay,
    )
    receipt.wait()


def ids(records):
    return [record.unique_id for record in records]


def test_a_full_spool_keeps_nothing_from_being_put_aside(store):
    for unique_id in "abc":
        spool(store, unique_id)
    spool(store, "d", replay=False)
    assert ids(store.aside()) == ["d"]
    with pytest.raises(StoreError, match="3 messages wait in the spool"):
        spool(store, "e")


def test_what_lies_aside_keeps_nothing_from_the_spool(store):
    for unique_id in "abc":
        spool(store, unique_id, replay=False)
    spool(store, "d")
    assert ids(store.spooled()) == ["d"]
    with pytest.raises(StoreError, match="3 messages wait aside"):
        spool(store, "e", replay=False)


def test_a_spool_that_was_full_takes_messages_again_when_some_were_replayed(store):
    for unique_id in "abc":
        spool(store, unique_id)
    store.unspool([store.spooled()[0].number])
    spool(store, "d")
    assert ids(store.spooled()) == ["b", "c", "d"]


def test_over_its_bound_the_oldest_that_was_set_aside_goes(store):
    for unique_id in "abcde":
        spool(store, unique_id)
        store.set_aside(store.spooled()[0].number, "it failed")
    assert ids(store.aside()) == ["c", "d", "e"]
    assert ids(store.aside(limit=2)) == ["c", "d"]


def test_a_full_spool_takes_nothing_back_and_loses_nothing(store):
    spool(store, "a", replay=False)
    for unique_id in "bcd":
        spool(store, unique_id)
    with pytest.raises(StoreError, match="3 messages wait in the spool"):
        store.bring_back([store.aside()[0].number]).wait()
    assert ids(store.aside()) == ["a"]


def test_what_was_seen_long_ago_is_taken_for_new(store):
    values = [b"[%d]" % number for number in range(4)]
    for each in (*values, values[0]):
        reading = MeterReading(
            charge_point_id="CP1", connector_id=1, transaction_id=7, received_at=NOW, values=each
        )
        store.add_meter_reading(reading)
    assert [reading.values for reading in store.meter_readings(7)] == [b"[2]", b"[3]", b"[0]"]
