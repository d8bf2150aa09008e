"""Content of a store that is opened again, and records that it cannot hold; on SQLite and PostgreSQL."""

import gevent
import msgspec
import pytest

from chargehand import Event, MeterReading, StoreError, Tag
from chargehand.store.rows import ESCAPED

from .transactions import NOW, START, transaction

LIMIT_S = 60  # a disk that others are using may take seconds


def spool(store, number):
    store.spool(
        version="1.6",
        charge_point_id="CP1", action="StartTransaction", unique_id="1", payload=b"{}", transaction_id=number,
        received_at=NOW, why="a reason",
    ).wait(LIMIT_S)  # fmt: skip


def test_what_was_kept_is_there_when_it_is_opened_again(opened):
    store = opened()
    store.start_transaction(transaction(7))
    store.add_meter_reading(
        MeterReading(charge_point_id="CP1", connector_id=1, transaction_id=7, received_at=NOW, values=b"[1]")
    )
    store.register("CP1", "Accepted")
    store.collections.tags.put(Tag(id_tag="T1", status="Blocked", expiry=NOW, parent="P"))
    store.add_event(Event(charge_point_id="CP1", kind="boot", received_at=NOW, data={"vendor": "V"})).wait(
        LIMIT_S
    )
    store = opened()
    assert store.transaction(7) == transaction(7)
    assert [reading.values for reading in store.meter_readings(7)] == [b"[1]"]
    assert store.registration("CP1").status == "Accepted"
    assert store.collections.tags.get("t1") == Tag(id_tag="T1", status="Blocked", expiry=NOW, parent="P")
    assert [event.data for event in store.events()] == [{"vendor": "V"}]


def test_no_number_is_used_again_after_it_was_opened_again(opened):
    numbers = []
    for _ in range(5):
        store = opened()
        numbers += [store.allot_transaction_id("CP1", None) for _ in range(700)]
        store.register("CP1", "Accepted").wait(LIMIT_S)
    assert len(set(numbers)) == len(numbers)


def test_a_start_that_was_stored_has_its_number_again(opened):
    store = opened()
    number = store.allot_transaction_id("CP1", START)
    store.start_transaction(transaction(number)).wait(LIMIT_S)
    assert opened().allot_transaction_id("CP1", START) == number


def test_a_start_that_was_spooled_has_its_number_again(opened):
    store = opened()
    number = store.allot_transaction_id("CP1", START)
    spool(store, number)
    store = opened()
    assert store.allot_transaction_id("CP1", START) == number
    assert store.spooled_charge_points() == ["CP1"]


def test_a_start_whose_transaction_was_stopped_gets_a_new_number(opened):
    store = opened()
    number = store.allot_transaction_id("CP1", START)
    store.start_transaction(transaction(number))
    store.stop_transaction(transaction(number, meter_stop=200, stopped_at=NOW, stop_received_at=NOW)).wait(
        LIMIT_S
    )
    assert opened().allot_transaction_id("CP1", START) != number


@pytest.mark.parametrize("odd", ["a\ud800b", "a\0b", "Ünïcode"])
def test_a_text_that_the_database_cannot_hold_does_not_cost_its_neighbours(opened, odd):
    store = opened()
    receipts = [
        store.register("CP1", "Accepted"),
        store.add_event(Event(charge_point_id=odd, kind="boot", received_at=NOW)),
        store.register("CP2", "Pending"),
    ]
    for receipt in receipts:
        receipt.wait(LIMIT_S)
    assert len(store.events()) == 1
    assert store.registration("CP2").status == "Pending"


def test_a_number_beyond_64_bits_is_kept(opened):
    store = opened()
    number = 10**30 + 7
    huge = msgspec.structs.replace(
        transaction(7), meter_start=number, connector_id=number + 1, reservation_id=number + 2
    )
    store.start_transaction(huge).wait(LIMIT_S)
    store.flag_transaction(7, "odd").wait(LIMIT_S)
    found = opened().transaction(7)
    assert (found.meter_start, found.connector_id, found.reservation_id) == (number, number + 1, number + 2)
    assert found.flags == (ESCAPED, "odd")


def test_a_closed_store_keeps_what_it_was_given_and_refuses_the_rest(opened):
    store = opened()
    receipts = [store.register(f"CP{number}", "Accepted") for number in range(500)]
    store.close()
    assert all(receipt.done and receipt.error is None for receipt in receipts)
    with pytest.raises(StoreError, match="closed"):
        store.register("CP1", "Accepted").wait(LIMIT_S)
    assert opened().registration("CP499").status == "Accepted"


def test_the_hub_goes_on_while_the_store_writes(opened):
    """Records are handed over while a greenlet counts its turns: it gets them, whatever the disk does."""
    store = opened()
    turns = []

    def count():
        while True:
            turns.append(None)
            gevent.sleep(0)

    counter = gevent.spawn(count)
    try:
        receipts = [store.register(f"CP{number}", "Accepted") for number in range(2000)]
        receipts[-1].wait(LIMIT_S)
    finally:
        counter.kill()
    assert len(turns) > 10


def test_one_who_raises_when_told_keeps_nobody_else_from_being_told(opened, monkeypatch):
    store = opened()
    hub = gevent.get_hub()
    told, reported = [], []
    monkeypatch.setattr(hub, "handle_error", lambda context, kind, value, trace: reported.append(value))
    receipts = [store.register(f"CP{number}", "Accepted") for number in range(4)]

    def fail(error):
        raise ValueError("as it was told to")

    receipts[0].then(fail)
    receipts[0].then(told.append)
    receipts[2].then(fail)
    for receipt in receipts:
        receipt.wait(LIMIT_S)
    assert told == [None]
    assert [str(error) for error in reported] == ["as it was told to"] * 2
    last = store.register("CP9", "Accepted")
    last.then(fail)
    with pytest.raises(ValueError, match="as it was told to"):
        store.close()
    assert last.done
