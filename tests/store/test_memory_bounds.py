"""The memory store is bounded, and drops a record only when there is no room for it."""

import datetime as dt

import pytest

from chargehand import Event, MemoryStore, MeterReading, StoreError, Tag, TransactionFilter

from .test_memory import START, reading, stopped, transaction

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def store():
    return MemoryStore(limit=3)


def spool(store, unique_id, *, redeliver=True):
    receipt = store.spool(
        version="1.6",
        charge_point_id="CP1",
        action="MeterValues",
        unique_id=unique_id,
        payload=b"{}",
        transaction_id=None,
        received_at=NOW,
        why="a reason",
        redeliver=redeliver,
    )
    receipt.wait()


def ids(records):
    return [record.unique_id for record in records]


def test_a_full_spool_does_not_prevent_dead_letters(store):
    for unique_id in "abc":
        spool(store, unique_id)
    spool(store, "d", redeliver=False)
    assert ids(store.dead_letters()) == ["d"]
    with pytest.raises(StoreError, match="3 messages wait in the spool"):
        spool(store, "e")


def test_dead_letters_take_no_room_from_the_spool(store):
    for unique_id in "abc":
        spool(store, unique_id, redeliver=False)
    spool(store, "d")
    assert ids(store.spooled()) == ["d"]
    with pytest.raises(StoreError, match="3 dead letters are kept"):
        spool(store, "e", redeliver=False)


def test_a_full_spool_takes_messages_again_when_some_were_redelivered(store):
    for unique_id in "abc":
        spool(store, unique_id)
    store.unspool([store.spooled()[0].number])
    spool(store, "d")
    assert ids(store.spooled()) == ["b", "c", "d"]


def test_over_their_bound_the_oldest_dead_letter_goes(store):
    for unique_id in "abcde":
        spool(store, unique_id)
        store.dead_letter(store.spooled()[0].number, "it failed")
    assert ids(store.dead_letters()) == ["c", "d", "e"]
    assert ids(store.dead_letters(limit=2)) == ["c", "d"]


def test_a_full_spool_takes_nothing_back_and_loses_nothing(store):
    spool(store, "a", redeliver=False)
    for unique_id in "bcd":
        spool(store, unique_id)
    with pytest.raises(StoreError, match="3 messages wait in the spool"):
        store.requeue([store.dead_letters()[0].number]).wait()
    assert ids(store.dead_letters()) == ["a"]


def test_what_was_seen_long_ago_is_taken_for_new(store):
    values = [b"[%d]" % number for number in range(4)]
    for each in (*values, values[0]):
        reading = MeterReading(
            charge_point_id="CP1", connector_id=1, transaction_id=7, received_at=NOW, values=each
        )
        store.add_meter_reading(reading)
    assert [reading.values for reading in store.meter_readings(7)] == [b"[2]", b"[3]", b"[0]"]


def test_it_says_that_it_is_not_durable():
    assert MemoryStore.durable is False


def test_it_begins_with_the_tags_and_the_number_that_it_is_given():
    store = MemoryStore(first_transaction_id=1000, tags=[Tag(id_tag="T1", status="Blocked")])
    assert store.allot_transaction_id("CP1", None) == 1000
    assert store.collections.tags.get("t1").status == "Blocked"


def test_over_its_bound_the_oldest_closed_transaction_goes_and_an_open_one_never():
    store = MemoryStore(limit=3)
    store.start_transaction(transaction(1))
    for number in range(2, 10):
        store.start_transaction(transaction(number))
        store.stop_transaction(stopped(number))
    assert [found.id for found in store.transactions()] == [9, 8, 1]
    for number in range(10, 20):
        store.start_transaction(transaction(number))
    assert len(store.transactions(TransactionFilter(open_only=True))) == 11


def test_over_its_bound_the_oldest_readings_and_events_go():
    store = MemoryStore(limit=3)
    for number in range(5):
        store.add_meter_reading(reading(7, b"[%d]" % number))
        store.add_event(Event(charge_point_id="CP1", kind=str(number), received_at=NOW))
    assert [found.values for found in store.meter_readings(7)] == [b"[2]", b"[3]", b"[4]"]
    assert [event.kind for event in store.events()] == ["4", "3", "2"]


def test_it_remembers_no_more_starts_than_its_bound():
    store = MemoryStore(limit=2)
    first = store.allot_transaction_id("CP1", START)
    for connector in (2, 3, 4):
        store.allot_transaction_id("CP1", (connector, "T1", NOW, 100))
    assert store.allot_transaction_id("CP1", START) != first


def test_it_runs_out_of_numbers_rather_than_giving_one_twice():
    store = MemoryStore(first_transaction_id=2**31 - 1)
    assert store.allot_transaction_id("CP1", None) == 2**31 - 1
    with pytest.raises(OverflowError):
        store.allot_transaction_id("CP1", None)


def test_open_transactions_stay_however_many_others_come_and_go_behind_them():
    store = MemoryStore(limit=100)
    minute = dt.timedelta(minutes=1)
    for number in range(1, 11):
        store.start_transaction(transaction(number, charge_point_id=f"OPEN{number % 3}"))
    last = 5000
    for number in range(11, last + 1):
        facts = {"charge_point_id": f"CP{number % 7}", "start_received_at": NOW + number * minute}
        store.start_transaction(transaction(number, **facts))
        store.stop_transaction(stopped(number, **facts))
    kept = [*range(last, last - 90, -1), *range(10, 0, -1)]
    assert [one.id for one in store.transactions(limit=1000)] == kept
    for charge_point_id in ("OPEN1", "CP3", "CP4"):
        wanted = TransactionFilter(charge_point_id=charge_point_id)
        remainder = int(charge_point_id[-1])
        of = [one for one in kept if (one % 3 if one <= 10 else one % 7) == remainder]
        of = [one for one in of if (one <= 10) == charge_point_id.startswith("OPEN")]
        assert [one.id for one in store.transactions(wanted, limit=1000)] == of
    # Places of what is gone are dropped, too.
    assert len(store._order) < 2 * len(kept) + 1000
