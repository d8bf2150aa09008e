"""Messages are stored as they were sent, and facts of charge points are found again: in every store."""

import datetime as dt
import itertools

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargehand import UNKNOWN_TRANSACTION, Cursor, MeterReading, StopFigures, Told, TransactionFilter

from .transactions import LATER, NOW, START, stopped, transaction

LIMIT_S = 60
NUMBERS = itertools.count(1)
"""Numbers of charge points: each example of a property has one of its own."""

SHARED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

payloads = st.binary(max_size=200) | st.sampled_from(
    [
        b"\0",
        b'{"a":"\0"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b"{}",
        b"\\x00",
        b"'\"\\",
        b"\xff\xfe",
    ]
)


@pytest.fixture
def store(any_store):
    return any_store


def reading(charge_point_id, values, *, transaction_id=None, minute=0, connector_id=1, **more):
    return MeterReading(
        charge_point_id=charge_point_id,
        connector_id=connector_id,
        transaction_id=transaction_id,
        received_at=NOW + dt.timedelta(minutes=minute),
        values=values,
        **more,
    )


def dead_letter(store, charge_point_id, payload, transaction_id=None):
    return store.spool(
        charge_point_id=charge_point_id,
        version="1.6",
        action="StopTransaction",
        unique_id="1",
        payload=payload,
        transaction_id=transaction_id,
        received_at=NOW,
        why="a reason",
        redeliver=False,
    )


@SHARED
@given(sent=st.lists(payloads, min_size=1, max_size=6, unique=True))
def test_the_bytes_of_readings_and_dead_letters_are_those_that_were_sent(store, sent):
    whose, number = f"CP{next(NUMBERS)}", next(NUMBERS)
    for payload in (*sent, *sent):  # a repeat is no second reading
        store.add_meter_reading(reading(whose, payload, flags=("odd",), version="9.9")).wait(LIMIT_S)
    for payload in sent:
        dead_letter(store, whose, payload, number).wait(LIMIT_S)
    found = store.readings_of(whose)
    assert [one.values for one in reversed(found)] == sent
    assert {(one.flags, one.version) for one in found} == {(("odd",), "9.9")}
    # The same message spooled twice is one, where two processes may both have spooled it.
    assert [one.payload for one in store.transaction_dead_letters(number)] == sent


def test_a_payload_that_is_a_part_of_a_frame_is_stored_as_bytes(store):
    payload = msgspec.Raw(b'{"a":1}')
    store.add_meter_reading(reading("CP1", payload))
    store.note_told("CP1", item="boot", version="1.6", action="B", payload=payload, received_at=NOW)
    dead_letter(store, "CP1", payload).wait(LIMIT_S)
    found = [store.readings_of("CP1")[0].values, store.dead_letters()[0].payload]
    found += [one.payload for one in store.told("CP1")]
    assert {(type(one), one) for one in found} == {(bytes, b'{"a":1}')}


@SHARED
@given(
    minutes=st.lists(st.integers(0, 2), min_size=1, max_size=10),
    limit=st.integers(1, 4),
    connector=st.sampled_from((None, 0, 1)),
    since=st.sampled_from((None, 0, 1)),
    until=st.sampled_from((None, 1, 2)),
    whole=st.booleans(),
)
def test_pages_of_readings_of_equal_times_neither_skip_nor_repeat(
    store, minutes, limit, connector, since, until, whole
):
    whose, number = f"CP{next(NUMBERS)}", next(NUMBERS) + 1_000_000
    store.start_transaction(transaction(number, whose)).wait(LIMIT_S)
    for place, minute in enumerate(minutes):
        store.add_meter_reading(
            reading(
                whose,
                b"%d" % place,
                minute=minute,
                connector_id=place % 2,
                transaction_id=(None, number, 0, -1, number + 5)[place % 5],
            )
        ).wait(LIMIT_S)
    wanted = [
        b"%d" % place
        for place, minute in sorted(enumerate(minutes), key=lambda one: (one[1], one[0]), reverse=True)
        if (whole or place % 5 != 1)
        and (connector is None or place % 2 == connector)
        and (since is None or minute >= since)
        and (until is None or minute < until)
    ]
    found, before = [], None
    while page := store.readings_of(
        whose,
        connector_id=connector,
        since=None if since is None else NOW + dt.timedelta(minutes=since),
        until=None if until is None else NOW + dt.timedelta(minutes=until),
        without_transaction=not whole,
        before=before,
        limit=limit,
    ):
        found += [one.values for one in page]
        before = Cursor.parse(str(Cursor(page[-1].received_at, page[-1].number)))
    assert found == wanted


@pytest.mark.parametrize(
    "text", ["", "2026-01-01", "2026-01-01T00:00:00_1", "x_1", "2026-01-01T00:00:00Z_-1"]
)
def test_what_is_no_cursor_is_refused(text):
    with pytest.raises(ValueError, match=r"place in a list|isoformat"):
        Cursor.parse(text)


def test_readings_that_named_an_unknown_number_are_of_no_transaction(store):
    whose, number = f"CP{next(NUMBERS)}", next(NUMBERS) + 5000
    flags = ('odd "x"', UNKNOWN_TRANSACTION)
    store.add_meter_reading(reading(whose, b"{}", transaction_id=number, flags=flags)).wait(LIMIT_S)
    store.start_transaction(transaction(number, whose)).wait(LIMIT_S)
    flags = (f'vendor: "{UNKNOWN_TRANSACTION}"',)
    store.add_meter_reading(reading(whose, b"[]", transaction_id=number, flags=flags)).wait(LIMIT_S)
    assert [one.values for one in store.meter_readings(number, charge_point_id=whose)] == [b"[]"]
    assert [one.values for one in store.readings_of(whose)] == [b"{}"]
    assert len(store.readings_of(whose, without_transaction=False)) == 2


@pytest.mark.parametrize("filtered", [False, True])
def test_pages_of_transactions_of_equal_times_neither_skip_nor_repeat(store, filtered):
    """Ids and times of the transactions disagree; they are listed two at a time."""
    minutes = {11: 2, 3: 1, 7: 1, 5: 1, 2: 3, 9: 0}
    for number, minute in minutes.items():
        at = NOW + dt.timedelta(minutes=minute)
        store.start_transaction(transaction(number, start_received_at=at, flags=("odd",))).wait(LIMIT_S)
    wanted = TransactionFilter(flagged_only=filtered, charge_point_id="CP1", connector_id=1)
    found, before = [], None
    while page := store.transactions(wanted, before=before, limit=2):
        found += [one.id for one in page]
        before = Cursor.parse(str(Cursor(page[-1].start_received_at, page[-1].id)))
    assert found == [2, 11, 7, 5, 3, 9]
    none = TransactionFilter(connector_id=0)
    assert store.transactions(none) == []


def test_a_search_for_flagged_ones_can_have_those_that_nobody_has_assessed(store):
    for number in (1, 2, 3):
        at = NOW + dt.timedelta(minutes=number)
        store.start_transaction(transaction(number, start_received_at=at))
        store.stop_transaction(stopped(number)).wait(LIMIT_S)
    derived = {"energy_wh": 100, "energy_source": "figures", "supported_energy_wh": None}
    store.assess_transaction(1, **derived, findings=())
    store.assess_transaction(2, **derived, findings=("suspect",)).wait(LIMIT_S)
    flagged = TransactionFilter(flagged_only=True)
    assert [one.id for one in store.transactions(flagged)] == [2]
    with_unassessed = msgspec.structs.replace(flagged, unassessed_too=True)
    assert [one.id for one in store.transactions(with_unassessed)] == [3, 2]


def test_readings_of_a_transaction_can_be_those_of_its_charge_point_alone(store):
    store.start_transaction(transaction(7))
    store.add_meter_reading(reading("CP1", b"own", transaction_id=7))
    store.add_meter_reading(reading("CP2", b"other", transaction_id=7)).wait(LIMIT_S)
    assert [one.values for one in store.meter_readings(7)] == [b"own", b"other"]
    assert [one.values for one in store.meter_readings(7, charge_point_id="CP1")] == [b"own"]
    assert [one.values for one in store.readings_of("CP2")] == [b"other"]
    assert store.readings_of("CP1") == []


def test_a_start_with_a_time_that_cannot_be_read_is_known_by_its_text(open_store):
    connector, tag, _, meter = START
    start = (connector, tag, "yesterday at noon", meter)
    store = open_store()
    number = store.allot_transaction_id("CP1", start)
    assert store.allot_transaction_id("CP1", start) == number
    assert store.allot_transaction_id("CP1", START) != number
    store.start_transaction(transaction(number, started_text=start[2])).wait(LIMIT_S)
    store.close()
    store = open_store()
    store.refresh("CP1").wait(LIMIT_S)
    assert store.allot_transaction_id("CP1", start) == number
    assert store.transaction(number).started_text == start[2]
    store.close()


def test_a_spooled_start_with_a_time_that_cannot_be_read_keeps_its_number(open_store):
    connector, tag, _, meter = START
    start = (connector, tag, "yesterday at noon", meter)
    store = open_store()
    number = store.allot_transaction_id("CP1", start)
    store.spool(
        charge_point_id="CP1", version="1.6", action="StartTransaction", unique_id="1", payload=b"\0",
        transaction_id=number, received_at=NOW, why="a reason",
    ).wait(LIMIT_S)  # fmt: skip
    store.close()
    store = open_store()
    store.refresh("CP1").wait(LIMIT_S)
    assert store.allot_transaction_id("CP1", start) == number
    store.close()


def test_what_stands_beside_the_figures_of_a_transaction_is_found_again(open_store):
    other = StopFigures(received_at=LATER, meter_stop=300, stopped_at=NOW, reason="Local", id_tag="T2")
    store = open_store()
    store.start_transaction(transaction(7, version="9.9"))
    store.stop_transaction(stopped(7, closed_by="a person", note="its charge point is gone", version="9.9"))
    store.amend_transaction(7, flags=("odd",), other_stops=(other,))
    store.assess_transaction(
        7, energy_wh=10**30, energy_source="registers", supported_energy_wh=12.5, findings=("suspect",)
    ).wait(LIMIT_S)
    wanted = stopped(
        7, closed_by="a person", note="its charge point is gone", version="9.9", flags=("odd",),
        other_stops=(other,), assessed=True, energy_wh=10**30, energy_source="registers",
        supported_energy_wh=12.5, findings=("suspect",), idle_derived=True,
    )  # fmt: skip
    assert store.transaction(7) == wanted
    store.close()
    store = open_store()
    assert store.transaction(7) == wanted
    store.add_meter_reading(reading("CP1", b"late", transaction_id=7)).wait(LIMIT_S)
    assert (store.transaction(7).assessed, store.transaction(7).findings) == (False, ())
    store.close()


def test_what_was_told_last_is_found_after_a_restart(open_store):
    store = open_store()
    boot = {"item": "boot", "version": "1.6", "action": "B", "payload": b"\0", "received_at": NOW}
    status = {"item": "status/1", "version": "9.9", "action": "S", "payload": b"2", "received_at": LATER}
    store.note_told("CP1", **(status | {"version": "1.6", "payload": b"1", "received_at": NOW}))
    store.note_told("CP1", **boot)
    store.note_told("CP1", **status)
    store.note_told("CP2", **status).wait(LIMIT_S)
    store.close()
    store = open_store()
    assert list(store.told("CP1")) == [Told(**boot), Told(**status)]
    recalled = []
    store.recall("CP1", recalled.append)
    store.recall("CP3", recalled.append)
    assert list(store.told("CP3")) == []
    assert recalled == [[Told(**boot), Told(**status)]]
    store.register("CP1", "Accepted")
    store.forget("CP1").wait(LIMIT_S)
    assert list(store.told("CP1")) == []
    assert len(store.told("CP2")) == 1
    store.close()


def test_a_dead_letter_can_be_forgotten_and_a_spooled_message_cannot(store):
    whose, number = f"CP{next(NUMBERS)}", next(NUMBERS) + 2_000_000
    dead_letter(store, whose, b"{}", number).wait(LIMIT_S)
    store.spool(
        charge_point_id=whose, version="1.6", action="StopTransaction", unique_id="2", payload=b"{}",
        transaction_id=number, received_at=NOW, why="a reason",
    ).wait(LIMIT_S)  # fmt: skip
    numbers = [one.number for one in (*store.spooled(), *store.dead_letters())]
    store.forget_dead_letters(numbers).wait(LIMIT_S)
    assert store.transaction_dead_letters(number) == []
    assert [one.unique_id for one in store.spooled()] == ["2"]


def test_an_orphan_is_alive_again_by_a_later_sign_of_life_also_after_a_restart(open_store):
    store = open_store()
    store.start_transaction(transaction(7))
    store.transaction_over("CP1", None, LATER, "BootNotification").wait(LIMIT_S)
    store.close()
    store = open_store()
    store.refresh("CP1").wait(LIMIT_S)
    (known,) = store.open_transactions("CP1")
    assert (known.orphaned, known.over, known.over_at) == (True, "BootNotification", LATER)
    assert store.charging_with_tag("T1") is None
    store.transaction_alive(7, LATER - dt.timedelta(seconds=1)).wait(LIMIT_S)
    assert store.transaction(7).orphaned
    assert store.transaction(7).life_at is None
    store.transaction_alive(7, LATER + dt.timedelta(seconds=1)).wait(LIMIT_S)
    store.close()
    store = open_store()
    store.refresh("CP1").wait(LIMIT_S)
    assert not store.transaction(7).orphaned
    assert store.charging_with_tag("t1").id == 7
    assert store.charging_with_tag("t1", besides=7) is None
    store.stop_transaction(stopped(7)).wait(LIMIT_S)
    assert len(store.collections.over_facts) == 0
    store.close()


def test_an_orphaned_transaction_that_is_stopped_is_stored_without_what_is_derived(store):
    store.start_transaction(transaction(7))
    store.transaction_over("CP1", 1, LATER, "StatusNotification").wait(LIMIT_S)
    known = store.transaction(7)
    assert known.orphaned
    end = msgspec.structs.replace(known, meter_stop=200, stopped_at=LATER, stop_received_at=LATER)
    store.stop_transaction(end).wait(LIMIT_S)
    assert store.transaction(7) == stopped(7)


def test_the_owner_of_a_transaction_is_known_open_closed_and_after_a_restart(open_store):
    store = open_store()
    store.start_transaction(transaction(7))
    assert store.owner_of(7) == "CP1"
    store.stop_transaction(stopped(7)).wait(LIMIT_S)
    assert (store.owner_of(7), store.owner_of(8)) == ("CP1", None)
    store.close()
    store = open_store()
    assert (store.owner_of(7), store.owner_of(8)) == ("CP1", None)
    store.close()


def test_a_reading_of_a_closed_transaction_makes_void_what_was_derived_however_often(store):
    store.start_transaction(transaction(7))
    store.stop_transaction(stopped(7)).wait(LIMIT_S)
    derived = {"energy_wh": 1, "energy_source": "figures", "supported_energy_wh": None, "findings": ()}
    for minute in range(2):
        store.add_meter_reading(reading("CP1", b"early %d" % minute, transaction_id=7, minute=minute))
        store.assess_transaction(7, **derived).wait(LIMIT_S)
        assert store.transaction(7).assessed
        late = reading("CP1", b"late %d" % minute, transaction_id=7, minute=minute)
        store.add_meter_reading(late).wait(LIMIT_S)
        assert not store.transaction(7).assessed
    assert store.readings_of("CP1") == []
