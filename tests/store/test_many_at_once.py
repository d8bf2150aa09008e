"""Queries of a store for many charge points or transactions at once, as a list of charge points makes them."""

import datetime as dt

from chargehand import Event, MeterReading, Transaction

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_the_last_readings_of_several_transactions_are_read_at_once(any_store):
    for number in (1, 2):
        any_store.start_transaction(
            Transaction(
                id=number,
                charge_point_id=f"CP{number}",
                connector_id=1,
                id_tag="T",
                meter_start=0,
                started_at=NOW,
                start_received_at=NOW,
            )
        ).wait(60)
        for value in (b'{"a":1}', b'{"a":2}'):
            any_store.add_meter_reading(
                MeterReading(
                    charge_point_id=f"CP{number}",
                    connector_id=1,
                    transaction_id=number,
                    received_at=NOW,
                    values=value,
                )
            ).wait(60)
    found = {one.transaction_id: one.values for one in any_store.last_readings([1, 2, 3])}
    assert found == {1: b'{"a":2}', 2: b'{"a":2}'}
    assert list(any_store.last_readings([])) == []


def test_what_several_charge_points_told_is_read_at_once(opened):
    store = opened()
    for id_ in ("CP1", "CP\x002"):
        store.register(id_, "Accepted", "1.6").wait(60)
        store.note_told(
            id_, item="boot", version="1.6", action="BootNotification", payload=b"{}", received_at=NOW
        ).wait(60)
    asked = ["CP1", "CP\x002", "CP3"]
    assert {id_: [one.item for one in told] for id_, told in store.told_by(asked).items()} == {
        "CP1": ["boot"],
        "CP\x002": ["boot"],
    }
    assert set(store.find_registrations(asked)) == {"CP1", "CP\x002"}
    assert dict(store.told_by([])) == dict(store.find_registrations([])) == {}


def test_events_are_read_from_a_time_on_and_behind_so_many_of_them(any_store):
    for number in range(6):
        received_at = NOW + dt.timedelta(seconds=number // 2)
        event = Event(charge_point_id="CP1", kind="status", received_at=received_at, data={"n": number})
        any_store.add_event(event).wait(60)
    read = any_store.events(charge_point_id="CP1", until=NOW + dt.timedelta(seconds=1), limit=9)
    assert [one.data["n"] for one in read] == [3, 2, 1, 0]
    read = any_store.events(charge_point_id="CP1", until=NOW + dt.timedelta(seconds=1), skip=1, limit=2)
    assert [one.data["n"] for one in read] == [2, 1]
