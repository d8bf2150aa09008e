"""A store that waits and fails on demand. Its behaviour as a store is tested in tests/store."""

import datetime as dt

import pytest

from chargehand import Event, StoreError, Transaction
from chargehand.testing import StubStore

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TRANSACTION = Transaction(
    id=1,
    charge_point_id="CP1",
    connector_id=1,
    id_tag="T1",
    meter_start=0,
    started_at=NOW,
    start_received_at=NOW,
)


@pytest.fixture
def store():
    return StubStore()


def test_it_plays_a_durable_store(store):
    assert store.durable


def test_what_it_holds_can_be_read_at_once_but_is_not_durable_yet(store):
    store.hold()
    receipt = store.start_transaction(TRANSACTION)
    assert store.transaction(1) is not None
    assert not receipt.done
    store.settle()
    assert receipt.done
    assert receipt.error is None


def test_what_it_holds_can_fail_after_all(store):
    store.hold()
    receipt = store.register("CP1", "Accepted")
    store.settle(StoreError("the disk is full"))
    assert str(receipt.error) == "the disk is full"
    assert store.pending == []


def test_it_goes_on_holding_until_it_works_again(store):
    store.hold()
    one = store.register("CP1", "Accepted")
    store.settle()
    two = store.register("CP1", "Pending")
    assert (one.done, two.done) == (True, False)
    store.work()
    assert two.done
    assert store.register("CP1", "Accepted").done


def test_one_that_fails_keeps_nothing(store):
    store.fail(StoreError("down"))
    receipt = store.start_transaction(TRANSACTION)
    assert receipt.done
    assert str(receipt.error) == "down"
    assert store.transaction(1) is None
    store.work()
    assert store.start_transaction(TRANSACTION).error is None


def test_everything_that_appends_is_held():
    store = StubStore()
    store.hold()
    receipts = [
        store.start_transaction(TRANSACTION),
        store.stop_transaction(TRANSACTION),
        store.register("CP1", "Accepted"),
        store.add_event(Event(charge_point_id="CP1", kind="k", received_at=NOW)),
        store.unspool([1]),
        store.dead_letter(1, "why"),
        store.requeue([1]),
    ]
    assert not any(receipt.done for receipt in receipts)
    assert len(store.pending) == 7
