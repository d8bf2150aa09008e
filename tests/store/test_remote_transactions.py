"""Transactions that their charge points have named: found by that name for ever, and told more of later."""

import datetime as dt

import pytest
from msgspec.structs import replace

from chargehand.store.records import MeterReading, Transaction
from chargehand.store.rows import reading_key

AT = dt.datetime(2026, 11, 28, 12, 0, tzinfo=dt.UTC)


def transaction(number, remote_id, **more):
    facts = {
        "id": number, "charge_point_id": "CP1", "connector_id": 0, "id_tag": "", "meter_start": None,
        "started_at": AT, "start_received_at": AT, "version": "2.0.1", "remote_id": remote_id, **more,
    }  # fmt: skip
    return Transaction(**facts)


def begin(store, remote_id="tx-1", **more):
    number = store.allot_transaction_id(more.get("charge_point_id", "CP1"), None)
    made = transaction(number, remote_id, **more)
    store.start_transaction(made).wait(60)
    return made


def end(store, known):
    store.stop_transaction(replace(known, stopped_at=AT, stop_received_at=AT, stop_reason="Local")).wait(60)


def test_a_transaction_is_found_by_the_name_of_its_charge_point(any_store):
    one, other = begin(any_store), begin(any_store, "tx-2")
    same_name = begin(any_store, charge_point_id="CP2")
    assert any_store.remote_transaction("CP1", "tx-1") == one
    assert any_store.remote_transaction("CP1", "tx-2") == other
    assert any_store.remote_transaction("CP2", "tx-1") == same_name
    assert any_store.remote_transaction("CP1", "tx-3") is None


def test_one_that_has_ended_is_found_too(any_store):
    known = begin(any_store)
    end(any_store, known)
    found = any_store.remote_transaction("CP1", "tx-1")
    assert (found.id, found.open, found.meter_start, found.meter_stop) == (known.id, False, None, None)


def test_tokens_of_two_types_are_charging_apart(any_store):
    card = begin(any_store, id_tag="T1", id_type="ISO14443", evse_id=1)
    assert any_store.remote_transaction("CP1", "tx-1").id_type == "ISO14443"
    assert any_store.charging_with_tag("t1", id_type="eMAID") is None
    assert any_store.charging_with_tag("t1", id_type="ISO14443") == card
    assert any_store.charging_with_tag("t1") == card
    assert any_store.charging_with_tag("t1", besides=card.id) is None


@pytest.mark.parametrize("is_open", [True, False])
def test_what_is_told_later_is_stored(is_open, any_store):
    known = begin(any_store)
    if not is_open:
        end(any_store, known)
    more = {
        "connector_id": 2, "evse_id": 2, "id_tag": "T1", "id_type": "eMAID", "verdict": "Blocked",
        "charging_state": "Charging", "started_at": AT - dt.timedelta(minutes=5), "flags": ("doubtful",),
    }  # fmt: skip
    any_store.update_transaction(replace(any_store.transaction(known.id), **more)).wait(60)
    found = any_store.remote_transaction("CP1", "tx-1")
    assert {name: getattr(found, name) for name in more} == more
    assert found.open is is_open
    assert bool(any_store.open_on_connector("CP1", 2)) is is_open
    assert not any_store.open_on_connector("CP1", 0)


def test_it_is_read_again_after_a_restart(open_store):
    store = open_store()
    try:
        known = begin(store, evse_id=3, connector_id=3, charging_state="EVConnected", id_type="Local")
        closed = begin(store, "tx-2")
        end(store, closed)
    finally:
        store.close()
    store = open_store()
    try:
        assert store.remote_transaction("CP1", "tx-1") == known
        assert store.remote_transaction("CP1", "tx-2").id == closed.id
        assert store.transaction(known.id).evse_id == 3
    finally:
        store.close()


def test_a_message_is_stored_once_by_its_identity(any_store):
    known = begin(any_store)
    for values, identity in ((b'{"a":1}', b"one"), (b'{"a":1,"offline":true}', b"one"), (b'{"a":2}', b"two")):
        reading = MeterReading(
            charge_point_id="CP1", connector_id=0, transaction_id=known.id, received_at=AT, values=values,
            identity=identity, version="2.0.1",
        )  # fmt: skip
        any_store.add_meter_reading(reading).wait(60)
    assert [one.values for one in any_store.meter_readings(known.id)] == [b'{"a":1}', b'{"a":2}']


def test_the_key_of_a_reading_without_an_identity_is_as_it_was():
    assert reading_key(b"values", b"") == reading_key(b"values") != reading_key(b"values", b"other")
