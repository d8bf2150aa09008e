"""Redelivery while the store is slow or away, or holds rows that cannot be read."""

import datetime as dt
import json

import gevent
from gevent.event import Event

from chargehand import StoreError
from chargehand.store.store import RowRefused
from chargehand.testing import StubStore

from ...hub import settle
from ..messages_of_v16 import METER_VALUES
from ..spool_harness import ATTEMPTS, DELAY_MAX_S, DELAY_S, SpoolHarness, answer, fail, spool


def test_what_an_earlier_run_left_is_taken_up_at_the_start():
    store = StubStore()
    for unique_id in ("a", "b"):
        store.spool(
            version="1.6",
            charge_point_id="CP9",
            action="MeterValues",
            unique_id=unique_id,
            payload=json.dumps(METER_VALUES).encode(),
            transaction_id=None,
            received_at=dt.datetime(2025, 12, 31, tzinfo=dt.UTC),
            why="before",
        )
    spool_harness = SpoolHarness(store)
    try:
        assert spool_harness.stage.spool.is_behind("CP9", None)
        spool_harness.advance(DELAY_S)
        assert spool_harness.redelivered == ["a", "b"]
        assert spool_harness.seen[0].received_at.year == 2025
        assert not spool_harness.stage.spool.is_behind("CP9", None)
    finally:
        spool_harness.close()


def test_a_record_that_cannot_be_read_becomes_a_dead_letter():
    store = StubStore()
    for unique_id, payload in (("a", b'"nonsense"'), ("b", json.dumps(METER_VALUES).encode())):
        store.spool(
            version="1.6",
            charge_point_id="CP1",
            action="MeterValues",
            unique_id=unique_id,
            payload=payload,
            transaction_id=None,
            received_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            why="before",
        )
    spool_harness = SpoolHarness(store)
    try:
        spool_harness.advance(DELAY_S)
        assert spool_harness.redelivered == ["b"]
        assert [record.unique_id for record in store.dead_letters()] == ["a"]
    finally:
        spool_harness.close()


def test_while_the_store_is_slow_the_next_one_waits(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a", "b")
    spool_harness.store.hold()
    spool_harness.advance(DELAY_S)
    assert spool_harness.redelivered == ["a"]
    spool_harness.advance(10 * DELAY_MAX_S)
    assert spool_harness.redelivered == ["a"]
    spool_harness.store.work()
    spool_harness.stage.settle()
    assert spool_harness.redelivered == ["a", "b"]


def test_while_the_store_is_down_a_record_comes_later_and_later(spool_harness, charge_point):
    spool(spool_harness, charge_point, "a", "b")
    spool_harness.store.fail()
    spool_harness.advance(DELAY_S)
    for wait_s in (DELAY_S, 2 * DELAY_S, 4 * DELAY_S, DELAY_MAX_S, DELAY_MAX_S):
        before = len(spool_harness.redelivered)
        spool_harness.advance(wait_s - 0.01)
        assert len(spool_harness.redelivered) == before
        spool_harness.advance(0.01)
        assert spool_harness.redelivered == ["a"] * (before + 1)  # it could not be taken out
    spool_harness.store.work()
    spool_harness.advance(DELAY_MAX_S)
    assert spool_harness.redelivered[-2:] == ["a", "b"]
    assert spool_harness.spooled == []


def test_after_a_short_outage_of_the_store_redelivery_goes_on_soon(spool_harness, charge_point, monkeypatch):
    spool(spool_harness, charge_point, "a")
    with monkeypatch.context() as patch:
        patch.setattr(spool_harness.store, "spooled", away)
        spool_harness.advance(DELAY_S)
    spool_harness.advance(DELAY_S)
    assert spool_harness.redelivered == ["a"]
    assert spool_harness.spooled == []


def test_a_record_that_can_neither_be_read_nor_moved_stops_nothing_else(spool_harness, charge_point):
    spool_harness.handle = fail
    spool(spool_harness, charge_point, "a")
    record = spool_harness.store._spool.popitem()[1]
    spool_harness.store._spool[record.number] = type(record)(
        **{name: getattr(record, name) for name in record.__struct_fields__} | {"payload": b"[]"}
    )
    spool_harness.store.fail(StoreError("down"))
    spool_harness.advance(10 * DELAY_MAX_S)
    assert spool_harness.exits == []
    spool_harness.store.work()
    spool_harness.advance(DELAY_MAX_S)
    assert [one.unique_id for one in spool_harness.store.dead_letters()] == ["a"]


def away(*_, **__):
    raise StoreError("the database is away")


def test_a_store_that_cannot_be_read_ends_nothing_and_makes_no_dead_letter(
    spool_harness, charge_point, monkeypatch
):
    def cannot_keep(call):
        raise StoreError("the database is away")

    spool(spool_harness, charge_point, "a", "b")
    spool_harness.handle = cannot_keep
    spool_harness.advance(DELAY_S)
    for _ in range(2 * ATTEMPTS):
        spool_harness.advance(DELAY_MAX_S)
    with monkeypatch.context() as patch:
        patch.setattr(spool_harness.store, "spooled", away)
        for _ in range(2 * ATTEMPTS):
            spool_harness.advance(DELAY_MAX_S)
    assert spool_harness.exits == []
    assert spool_harness.store.dead_letters() == []
    spool_harness.handle = answer
    spool_harness.advance(DELAY_MAX_S)
    assert spool_harness.redelivered[-2:] == ["a", "b"]
    assert spool_harness.spooled == []


def test_a_row_that_the_store_will_never_hold_becomes_a_dead_letter(spool_harness, charge_point):
    def refuse(call):
        raise RowRefused("too large")

    spool(spool_harness, charge_point, "a")
    spool_harness.handle = refuse
    spool_harness.advance(DELAY_S)
    for _ in range(ATTEMPTS):
        spool_harness.advance(DELAY_MAX_S)
    assert [record.unique_id for record in spool_harness.store.dead_letters()] == ["a"]


def test_redelivery_started_without_its_store_takes_up_the_spool_when_it_is_back(
    spool_harness, charge_point, monkeypatch
):
    spool(spool_harness, charge_point, "a")
    spool_harness.cell.kill()
    settle()
    with monkeypatch.context() as patch:
        patch.setattr(spool_harness.store, "spooled_charge_points", away)
        spool_harness.cell.start()
        spool_harness.advance(3 * DELAY_MAX_S)
        assert spool_harness.redelivered == []
    spool_harness.advance(DELAY_MAX_S)
    spool_harness.advance(DELAY_S)
    assert spool_harness.redelivered == ["a"]


def test_the_store_is_asked_for_several_messages_at_once(spool_harness, charge_point, monkeypatch):
    look, asked = spool_harness.store.spooled, []

    def counted(**given):
        asked.append(given)
        return look(**given)

    spool(spool_harness, charge_point, *(f"m{number}" for number in range(20)))
    monkeypatch.setattr(spool_harness.store, "spooled", counted)
    spool_harness.advance(DELAY_S)
    assert spool_harness.redelivered == [f"m{number}" for number in range(20)]
    assert len(asked) == 2  # the second time there is none


def test_dead_letters_that_are_put_back_come_before_newer_messages(spool_harness, charge_point):
    spool_harness.handle = fail
    spool(spool_harness, charge_point, "a", "b", "c")
    first = spool_harness.store.spooled()[0]
    spool_harness.store.dead_letter(first.number, "by hand")
    running = Event()
    spool_harness.handle = lambda call: running.wait() and answer(call)
    spool_harness.advance(DELAY_S)
    assert spool_harness.redelivered == ["b"]
    gevent.spawn(spool_harness.stage.spool.requeue, None, 5.0)
    spool_harness.stage.settle()
    running.set()
    spool_harness.stage.settle()
    assert spool_harness.redelivered == ["b", "a", "c"]
