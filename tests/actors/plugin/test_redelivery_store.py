"""What the replayer does while the store is slow or away, or has what nobody can read."""

import datetime as dt
import json

from chargehand import StoreError
from chargehand.store.store import RowRefused
from chargehand.testing import StubStore

from ...hub import settle
from ..messages_of_v16 import METER_VALUES
from ..spool_harness import ATTEMPTS, DELAY_MAX_S, DELAY_S, Desk, answer, fail, spool


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
    desk = Desk(store)
    try:
        assert desk.stage.spool.is_behind("CP9", None)
        desk.advance(DELAY_S)
        assert desk.redelivered == ["a", "b"]
        assert desk.seen[0].received_at.year == 2025
        assert not desk.stage.spool.is_behind("CP9", None)
    finally:
        desk.close()


def test_a_record_that_cannot_be_read_is_set_aside():
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
    desk = Desk(store)
    try:
        desk.advance(DELAY_S)
        assert desk.redelivered == ["b"]
        assert [record.unique_id for record in store.dead_letters()] == ["a"]
    finally:
        desk.close()


def test_while_the_store_is_slow_the_next_one_waits(desk, charge_point):
    spool(desk, charge_point, "a", "b")
    desk.store.hold()
    desk.advance(DELAY_S)
    assert desk.redelivered == ["a"]
    desk.advance(10 * DELAY_MAX_S)
    assert desk.redelivered == ["a"]
    desk.store.work()
    desk.stage.settle()
    assert desk.redelivered == ["a", "b"]


def test_while_the_store_is_down_a_record_is_replayed_again_but_not_over_and_over(desk, charge_point):
    spool(desk, charge_point, "a", "b")
    desk.store.fail()
    desk.advance(DELAY_S + DELAY_MAX_S + 0.5)
    assert desk.redelivered == ["a", "a"]  # it cannot be taken out: so it comes again, in order
    desk.store.work()
    desk.advance(DELAY_MAX_S)
    assert desk.redelivered == ["a", "a", "a", "b"]
    assert desk.spooled == []


def test_a_record_that_can_neither_be_read_nor_set_aside_stops_nothing_else(desk, charge_point):
    desk.handle = fail
    spool(desk, charge_point, "a")
    record = desk.store._spool.popitem()[1]
    desk.store._spool[record.number] = type(record)(
        **{name: getattr(record, name) for name in record.__struct_fields__} | {"payload": b"[]"}
    )
    desk.store.fail(StoreError("down"))
    desk.advance(10 * DELAY_MAX_S)
    assert desk.exits == []
    desk.store.work()
    desk.advance(DELAY_MAX_S)
    assert [one.unique_id for one in desk.store.dead_letters()] == ["a"]


def away(*_, **__):
    raise StoreError("the database is away")


def test_a_store_that_cannot_even_be_read_ends_nothing_and_sets_nothing_aside(
    desk, charge_point, monkeypatch
):
    def cannot_keep(call):
        raise StoreError("the database is away")

    spool(desk, charge_point, "a", "b")
    desk.handle = cannot_keep
    desk.advance(DELAY_S)
    for _ in range(2 * ATTEMPTS):
        desk.advance(DELAY_MAX_S)
    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "spooled", away)
        for _ in range(2 * ATTEMPTS):
            desk.advance(DELAY_MAX_S)
    assert desk.exits == []
    assert desk.store.dead_letters() == []
    desk.handle = answer
    desk.advance(DELAY_MAX_S)
    assert desk.redelivered[-2:] == ["a", "b"]
    assert desk.spooled == []


def test_a_row_that_the_store_will_never_hold_is_set_aside(desk, charge_point):
    def refuse(call):
        raise RowRefused("too large")

    spool(desk, charge_point, "a")
    desk.handle = refuse
    desk.advance(DELAY_S)
    for _ in range(ATTEMPTS):
        desk.advance(DELAY_MAX_S)
    assert [record.unique_id for record in desk.store.dead_letters()] == ["a"]


def test_a_replayer_that_starts_while_the_store_is_away_takes_up_what_was_left_when_it_is_back(
    desk, charge_point, monkeypatch
):
    spool(desk, charge_point, "a")
    desk.cell.kill()
    settle()
    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "spooled_charge_points", away)
        desk.cell.start()
        desk.advance(3 * DELAY_MAX_S)
        assert desk.redelivered == []
    desk.advance(DELAY_MAX_S)
    desk.advance(DELAY_S)
    assert desk.redelivered == ["a"]
