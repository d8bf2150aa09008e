"""The log of durable events: written with the records, read by consumers; in all stores."""

import datetime as dt

import pytest

from chargehand import Event, MeterReading, Reservation, StopFigures, StoreError, take_stop
from chargehand.protocol.events import ReservationEnded
from chargehand.store import event_log
from chargehand.store.events import TransactionEnded
from chargehand.store.rows import storable, text, time

from .transactions import LATER, NOW, stopped, transaction

LIMIT_S = 60


def logged(store, after=0):
    log = store.event_log
    return log.read(log.number, after, 1000)


def kinds(store):
    return [one.kind for one in logged(store)]


def reading(number, values=b"[1]", charge_point_id="CP1", flags=()):
    return MeterReading(
        charge_point_id=charge_point_id,
        connector_id=1,
        transaction_id=number,
        received_at=LATER,
        values=values,
        flags=flags,
    )


def test_a_start_and_its_end_are_logged_once_however_often_they_come(any_store):
    for _ in range(2):
        any_store.start_transaction(transaction(7)).wait(LIMIT_S)
    for _ in range(2):
        any_store.stop_transaction(stopped(7)).wait(LIMIT_S)
        any_store.start_transaction(transaction(7)).wait(LIMIT_S)
    start, end = logged(any_store)
    assert (start.kind, end.kind) == ("TransactionStarted", "TransactionEnded")
    origin = any_store.event_log.origin
    assert start.event(origin).transaction == transaction(7)
    assert start.event(origin).id == f"{origin}:{start.number}"
    ended = end.event(origin)
    assert (ended.transaction.meter_stop, ended.transaction.energy_wh) == (200, 100)
    assert (ended.charge_point_id, ended.at) == ("CP1", LATER)


def test_a_start_and_its_end_in_one_batch_are_both_logged(any_store):
    any_store.start_transaction(transaction(7))
    any_store.stop_transaction(stopped(7))
    any_store.stop_transaction(stopped(7)).wait(LIMIT_S)
    with pytest.raises(StoreError, match="other figures"):
        any_store.stop_transaction(stopped(7, stop_reason="Local")).wait(LIMIT_S)
    assert kinds(any_store) == ["TransactionStarted", "TransactionEnded"]


def test_an_end_without_a_start_has_both_events(any_store):
    any_store.start_transaction(stopped(7)).wait(LIMIT_S)
    assert kinds(any_store) == ["TransactionStarted", "TransactionEnded"]


def test_an_end_of_a_transaction_that_is_not_known_is_no_event(any_store):
    with pytest.raises(StoreError, match="no such transaction"):
        any_store.stop_transaction(stopped(7)).wait(LIMIT_S)
    assert kinds(any_store) == []


def test_a_later_stop_with_other_figures_is_a_correction_once(any_store):
    any_store.start_transaction(transaction(7))
    any_store.stop_transaction(stopped(7)).wait(LIMIT_S)
    for _ in range(2):
        stop = StopFigures(received_at=LATER, meter_stop=300, stopped_at=LATER)
        take_stop(any_store, any_store.transaction(7), stop).wait(LIMIT_S)
    assert kinds(any_store) == ["TransactionStarted", "TransactionEnded", "TransactionCorrected"]
    last = logged(any_store)[-1]
    assert (last.charge_point_id, last.transaction_id) == ("CP1", 7)


def test_an_amendment_of_an_open_transaction_is_no_event(any_store):
    any_store.start_transaction(transaction(7))
    any_store.amend_transaction(7, note="a note").wait(LIMIT_S)
    assert kinds(any_store) == ["TransactionStarted"]


def test_a_reading_that_comes_after_the_end_is_a_correction_once(any_store):
    any_store.start_transaction(transaction(7))
    any_store.add_meter_reading(reading(7, b"[0]"))
    any_store.stop_transaction(stopped(7)).wait(LIMIT_S)
    for _ in range(2):
        any_store.add_meter_reading(reading(7, b"[0]")).wait(LIMIT_S)
        any_store.add_meter_reading(reading(7, b"[1]")).wait(LIMIT_S)
    any_store.add_meter_reading(reading(7, b"[2]", "CP2")).wait(LIMIT_S)
    any_store.add_meter_reading(reading(8, b"[3]")).wait(LIMIT_S)
    assert kinds(any_store) == ["TransactionStarted", "TransactionEnded", "TransactionCorrected"]


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (
            "boot",
            {"chargePointVendor": "V", "chargePointModel": "M"},
            ("Booted", {"vendor": "V", "model": "M"}),
        ),
        ("firmware", {"status": "Installed"}, ("FirmwareStatusChanged", {"status": "Installed"})),
        ("diagnostics", {"status": "Uploaded"}, ("LogStatusChanged", {"status": "Uploaded"})),
        ("log", {"status": "Uploading", "requestId": 3}, ("LogStatusChanged", {"request_id": 3})),
        ("security", {"type": "Tampering"}, ("SecurityEventReceived", {"type": "Tampering"})),
        ("data_transfer", {"vendorId": "x\ud800"}, ("DataTransferReceived", {})),
        ("status", {"status": "Available"}, None),
    ],
)
def test_what_a_charge_point_tells_is_logged_with_its_record(any_store, kind, data, expected):
    any_store.add_event(Event(charge_point_id="CP1", kind=kind, received_at=NOW, data=data)).wait(LIMIT_S)
    assert kinds(any_store) == ([] if expected is None else [expected[0]])
    if expected is not None:
        event = logged(any_store)[0].event(any_store.event_log.origin)
        assert event.data == data
        assert {name: getattr(event, name) for name in expected[1]} == expected[1]


def reservation():
    return Reservation(
        id=1, charge_point_id="CP1", connector_id=1, id_tag="T1", expiry=LATER, accepted_at=NOW, state="used"
    )


def reservation_ended():
    return ReservationEnded(
        at=NOW, charge_point_id="CP1", reservation_id=1, evse=1, id_tag="T1", state="used"
    )


def test_an_event_that_is_published_is_logged_with_its_id(any_store):
    any_store.publish(reservation_ended()).wait(LIMIT_S)
    any_store.collections.reservations.put(reservation(), event=reservation_ended()).wait(LIMIT_S)
    any_store.collections.reservations.remove("1/CP1", event=reservation_ended()).wait(LIMIT_S)
    assert kinds(any_store) == ["ReservationEnded"] * 3
    assert [one.event(any_store.event_log.origin).id for one in logged(any_store)] == [
        f"{any_store.event_log.origin}:{number}" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("odd", ["a\ud800b", "a\0b", "Ünïcode"])
def test_an_event_with_an_odd_text_is_logged_and_read(any_store, odd):
    any_store.start_transaction(transaction(7, id_tag=odd))
    any_store.start_transaction(transaction(8)).wait(LIMIT_S)
    tags = [one.event(any_store.event_log.origin).transaction.id_tag for one in logged(any_store)]
    assert tags in ([odd, "T1"], [storable(odd), "T1"])


def test_a_new_consumer_starts_now_and_a_known_one_where_it_was(any_store):
    log = any_store.event_log
    any_store.publish(reservation_ended()).wait(LIMIT_S)
    assert log.register("billing")[log.number].number == 1
    any_store.publish(reservation_ended()).wait(LIMIT_S)
    log.advance("billing", log.number, 2).wait(LIMIT_S)
    log.advance("billing", log.number, 1).wait(LIMIT_S)
    any_store.publish(reservation_ended()).wait(LIMIT_S)
    assert log.register("billing")[log.number].number == 2


def test_the_rest_of_an_earlier_life_is_adopted_by_one(opened):
    store = opened()
    first = store.event_log.number
    store.event_log.register("billing")
    store.publish(reservation_ended())
    store.publish(reservation_ended())
    store.event_log.advance("billing", first, 1).wait(LIMIT_S)
    owner = store.event_log.origin
    store = opened()
    log = store.event_log
    assert log.number > first
    positions = log.register("billing")
    assert positions[first] == (1, owner)
    assert positions[log.number] == (0, log.origin)
    assert log.adopt("billing", first, owner) == 1
    assert log.adopt("billing", first, owner) is None
    assert [one.number for one in log.read(first, 1, 10)] == [2]
    assert [(one.number, one.last) for one in log.origins()] == [(first, 2), (log.number, 0)]


def test_a_consumer_that_is_new_has_nothing_of_earlier_lives(opened):
    store = opened()
    first = store.event_log.number
    store.publish(reservation_ended()).wait(LIMIT_S)
    store = opened()
    assert store.event_log.register("billing")[first].number == 1


def test_events_over_the_limit_are_dropped_and_told(any_store):
    log = any_store.event_log
    for _ in range(10):
        any_store.publish(reservation_ended()).wait(LIMIT_S)
    while log.prune(keep=4, since=None):
        pass
    assert [one.number for one in logged(any_store)] == [7, 8, 9, 10]
    (origin,) = [one for one in log.origins() if one.number == log.number]
    assert (origin.last, origin.pruned_to) == (10, 6)
    while log.prune(keep=0, since=dt.datetime.now(dt.UTC) + dt.timedelta(days=1)):
        pass
    assert logged(any_store) == []


def test_a_dead_letter_of_an_event_is_listed_until_it_is_forgotten(any_store):
    log = any_store.event_log
    any_store.start_transaction(transaction(7)).wait(LIMIT_S)
    log.set_aside("billing", logged(any_store)[0].event("a"), "it failed").wait(LIMIT_S)
    (letter,) = log.dead_letters()
    assert (letter.consumer, letter.kind, letter.why) == ("billing", "TransactionStarted", "it failed")
    log.forget_dead_letters([letter.number]).wait(LIMIT_S)
    assert log.dead_letters() == []


def test_who_watches_hears_of_each_event_when_it_is_durable(any_store):
    heard = []
    any_store.event_log.watch(lambda: heard.append(kinds))
    any_store.start_transaction(transaction(7)).wait(LIMIT_S)
    assert heard
    assert isinstance(logged(any_store)[0].event(""), object)
    assert TransactionEnded.__name__ not in kinds(any_store)


def test_an_event_whose_record_is_refused_is_not_logged(opened):
    store = opened()
    receipt = store.add_event(Event(charge_point_id=None, kind="boot", received_at=NOW, data={}))
    store.start_transaction(transaction(7)).wait(LIMIT_S)
    assert receipt.error is not None
    assert kinds(store) == ["TransactionStarted"]


def test_an_earlier_life_without_events_is_forgotten_when_it_began_long_ago(opened):
    store = opened()
    first = store.event_log.number
    store = opened()
    log = store.event_log
    log.register("billing")
    (ended,) = [one for one in log.origins() if one.number == first]
    log.forget_ended(ended, dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
    assert len(log.origins()) == 2
    log.forget_ended(ended, dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    assert [one.number for one in log.origins()] == [log.number]
    assert set(log.positions("billing")) == {0, log.number}


def test_the_time_of_logging_does_not_go_back_and_is_written_as_others_are(monkeypatch):
    seconds = 1_764_352_800
    times = [seconds, seconds - 5, seconds + 0.000_120, seconds + 1.5, seconds + 1, seconds + 61]
    clock = iter([round(one * 1_000_000) * 1000 for one in times])
    monkeypatch.setattr(event_log, "time_ns", lambda: next(clock))
    log = event_log.EventLog(None, None, "origin")
    written = [log.next_place()[1] for _ in times]
    expected = [seconds, seconds, seconds + 0.000_120, seconds + 1.5, seconds + 1.5, seconds + 61]
    assert [time(one).timestamp() for one in written] == expected
    assert written == sorted(written)
    assert written[2] == text(dt.datetime.fromtimestamp(expected[2], dt.UTC))
