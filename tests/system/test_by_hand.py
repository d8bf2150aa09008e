"""Corrections by hand: each is reported by an event, and no figure of a charge point is replaced."""

import datetime as dt
import json

import pytest

from chargehand import (
    DeadLetterNotFound,
    NotAttachable,
    Transaction,
    TransactionClosed,
    TransactionNotFound,
)
from chargehand.actors.plugin.spool import Spool
from chargehand.protocol.versions import VERSIONS
from chargehand.store.stops import AFTER_CLOSING, DIFFERS
from chargehand.system.by_hand import ByHand
from chargehand.testing import StubStore

NOW = dt.datetime(2026, 11, 28, 10, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
STOP = {"transactionId": 1, "meterStop": 900, "timestamp": "2026-11-28T09:30:00Z", "idTag": "T1"}
READINGS = [{"timestamp": "2026-11-28T09:30:00Z", "sampledValue": [{"value": "500"}]}]


@pytest.fixture
def store():
    store = StubStore()
    store.start_transaction(
        Transaction(
            id=1,
            charge_point_id="CP1",
            connector_id=2,
            id_tag="T1",
            meter_start=100,
            started_at=NOW - 2 * HOUR,
            start_received_at=NOW - 2 * HOUR,
        )
    )
    return store


@pytest.fixture
def by_hand(store):
    return ByHand(store, Spool(store, VERSIONS.values()), VERSIONS, lambda: NOW)


@pytest.fixture
def letter(store):
    """Make a dead letter, and return its number."""

    def letter(action="StopTransaction", payload=STOP, charge_point_id="CP1", transaction_id=None):
        if not isinstance(payload, bytes):
            payload = json.dumps(payload).encode()
        store.spool(
            charge_point_id=charge_point_id, version="1.6", action=action, unique_id="u", payload=payload,
            transaction_id=transaction_id, received_at=NOW - HOUR, why="of nothing", redeliver=False,
        )  # fmt: skip
        return store.dead_letters()[-1].number

    return letter


def told(store, charge_point_id="CP1"):
    return [event.data for event in store.events(charge_point_id=charge_point_id, kind="by_hand")]


# Closing


def test_a_transaction_is_closed_with_what_was_given(by_hand, store):
    ended = NOW - HOUR
    closed = by_hand.close_transaction(
        1, by="ann", reason="scrapped", note="meter read", meter_stop=700, stopped_at=ended
    )
    assert closed == store.transaction(1)
    assert (closed.open, closed.meter_stop, closed.stopped_at) == (False, 700, ended)
    assert (closed.stop_reason, closed.closed_by, closed.note) == ("scrapped", "ann", "meter read")
    assert closed.stop_received_at == NOW
    assert told(store) == [
        {
            "what": "close_transaction", "by": "ann", "transaction_id": 1, "meter_stop": 700,
            "stopped_at": "2026-11-28T09:00:00Z", "reason": "scrapped", "note": "meter read",
        }
    ]  # fmt: skip


def test_without_figures_it_ends_now_and_has_no_meter_value(by_hand):
    closed = by_hand.close_transaction(1, by="ann", reason="scrapped")
    assert (closed.meter_stop, closed.stopped_at) == (None, NOW)


@pytest.mark.parametrize(
    "facts",
    [
        {"by": " "},
        {"reason": ""},
        {"meter_stop": 99},
        {"stopped_at": NOW.replace(tzinfo=None)},
        {"stopped_at": NOW + HOUR},
    ],
)
def test_what_cannot_be_is_refused_and_closes_nothing(by_hand, store, facts):
    with pytest.raises(ValueError):  # noqa: PT011 - each says its own
        by_hand.close_transaction(1, **{"by": "ann", "reason": "scrapped", **facts})
    assert store.transaction(1).open
    assert told(store) == []


def test_only_an_open_transaction_can_be_closed(by_hand):
    with pytest.raises(TransactionNotFound, match="no transaction 2"):
        by_hand.close_transaction(2, by="ann", reason="scrapped")
    by_hand.close_transaction(1, by="ann", reason="scrapped")
    with pytest.raises(TransactionClosed, match="transaction 1 is closed already"):
        by_hand.close_transaction(1, by="bob", reason="scrapped")


# Attaching


def test_a_stop_that_is_attached_closes_its_transaction(by_hand, store, letter):
    known = by_hand.reattach(letter(), 1, by="ann")
    assert (known.open, known.meter_stop, known.closed_by) == (False, 900, "")
    assert known.stop_received_at == NOW - HOUR
    assert known.flags == ("a dead letter was attached by hand by ann",)
    assert store.dead_letters() == []
    assert [(one["what"], one["transaction_id"]) for one in told(store)] == [("reattach", 1)]


@pytest.mark.parametrize(
    ("meter", "flags", "others"),
    [(900, (), 0), (901, (DIFFERS, "a dead letter was attached by hand by ann"), 1)],
)
def test_a_stop_of_a_closed_transaction_stands_beside_it(by_hand, store, letter, meter, flags, others):
    first = letter()
    by_hand.reattach(first, 1, by="x")
    before = store.transaction(1)
    known = by_hand.reattach(letter(payload={**STOP, "meterStop": meter}), 1, by="ann")
    assert (known.meter_stop, len(known.other_stops)) == (900, others)
    assert known.flags == (*before.flags, *flags)


def test_a_stop_that_is_attached_and_ran_backwards_is_flagged(by_hand, store, letter):
    letter_number = letter(payload={**STOP, "meterStop": -5})
    attached = by_hand.reattach(letter_number, 1, by="ann")
    assert "the meter ran backwards" in attached.flags


def test_a_stop_of_a_transaction_closed_by_hand_never_replaces_its_figures(by_hand, letter):
    by_hand.close_transaction(1, by="ann", reason="scrapped", meter_stop=200)
    known = by_hand.reattach(letter(), 1, by="ann")
    assert known.meter_stop == 200
    assert AFTER_CLOSING in known.flags
    assert [one.meter_stop for one in known.other_stops] == [900]


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("MeterValues", {"connectorId": 1, "transactionId": 77, "meterValue": READINGS}),
        ("MeterValues", b'{"connectorId": "?", "meterValue": 3}'),
        ("StopTransaction", {**STOP, "transactionData": READINGS}),
    ],
)
def test_readings_that_are_attached_are_those_of_the_transaction_as_sent(
    by_hand, store, letter, action, payload
):
    number = letter(action, payload)
    sent = store.dead_letters()[-1].payload
    by_hand.reattach(number, 1, by="ann")
    (reading,) = store.meter_readings(1, charge_point_id="CP1")
    assert (reading.values, reading.connector_id, reading.received_at) == (sent, 2, NOW - HOUR)
    assert reading.flags == ("a dead letter was attached by hand by ann: of nothing",)


def test_what_another_charge_point_sent_is_attached_and_says_so_at_both(by_hand, store, letter):
    payload = {"connectorId": 1, "transactionId": 1, "meterValue": READINGS}
    by_hand.reattach(letter("MeterValues", payload, "CP2"), 1, by="ann")
    (reading,) = store.meter_readings(1, charge_point_id="CP1")
    assert "of CP2" in reading.flags[0]
    assert len(told(store, "CP1")) == len(told(store, "CP2")) == 1


def test_attaching_goes_on_after_it_was_interrupted_and_nothing_is_there_twice(by_hand, store, letter):
    number = letter(payload={**STOP, "transactionData": READINGS})
    forget, store.forget_dead_letters = store.forget_dead_letters, lambda _: 1 / 0
    with pytest.raises(ZeroDivisionError):
        by_hand.reattach(number, 1, by="ann")
    store.forget_dead_letters = forget
    before = store.transaction(1)
    by_hand.reattach(number, 1, by="ann")
    assert store.transaction(1) == before
    assert len(store.meter_readings(1)) == 1
    assert store.dead_letters() == []


@pytest.mark.parametrize(
    ("action", "payload"),
    [("StartTransaction", {}), ("StopTransaction", {"transactionId": 1}), ("Unheard", {})],
)
def test_what_is_no_stop_and_no_readings_cannot_be_attached(by_hand, store, letter, action, payload):
    with pytest.raises(NotAttachable):
        by_hand.reattach(letter(action, payload), 1, by="ann")
    assert len(store.dead_letters()) == 1
    assert store.transaction(1).open


def test_only_what_is_there_can_be_attached(by_hand, letter):
    number = letter()
    with pytest.raises(TransactionNotFound):
        by_hand.reattach(number, 2, by="ann")
    for wrong in (number + 1, number - 1, 0, -5):
        with pytest.raises(DeadLetterNotFound):
            by_hand.reattach(wrong, 1, by="ann")


# Forgetting


def test_a_dead_letter_that_is_forgotten_stays_in_the_event(by_hand, store, letter):
    by_hand.forget_dead_letter(letter(), by="ann")
    assert store.dead_letters() == []
    (event,) = told(store)
    assert (event["what"], event["by"], event["why"]) == ("forget_dead_letter", "ann", "of nothing")
    assert json.loads(event["payload"]) == STOP


def test_only_the_one_with_its_number_is_forgotten(by_hand, store, letter):
    number, other = letter(), letter()
    by_hand.forget_dead_letter(number, by="ann")
    assert [one.number for one in store.dead_letters()] == [other]
    with pytest.raises(DeadLetterNotFound):
        by_hand.forget_dead_letter(number, by="ann")


def test_what_comes_of_a_transaction_whose_start_was_forgotten_follows_it_no_more(store, letter):
    start = {"connectorId": 1, "idTag": "T1", "meterStart": 0, "timestamp": "2026-11-28T09:30:00Z"}
    spool = Spool(store, VERSIONS.values())
    number = letter("StartTransaction", start, transaction_id=5)
    spool.load()
    assert spool.is_behind("CP1", 5)
    ByHand(store, spool, VERSIONS, lambda: NOW).forget_dead_letter(number, by="ann")
    assert not spool.is_behind("CP1", 5)


# Events of OCPP 2.0.1

ENDED = {
    "eventType": "Ended",
    "timestamp": "2026-11-28T09:30:00Z",
    "triggerReason": "EVDeparted",
    "seqNo": 3,
    "transactionInfo": {"transactionId": "tx", "stoppedReason": "EVDisconnected"},
    "idToken": {"idToken": "T9", "type": "Central"},
}
READ = [{"timestamp": "2026-11-28T09:30:00Z", "sampledValue": [{"value": 2500}]}]


@pytest.fixture
def event(store):
    """Make a dead letter of an event of OCPP 2.0.1, and return its number."""

    def event(**members):
        payload = json.dumps({**ENDED, **members}).encode()
        store.spool(
            charge_point_id="CP1", version="2.0.1", action="TransactionEvent", unique_id="u", payload=payload,
            transaction_id=None, received_at=NOW - HOUR, why="of nothing", redeliver=False,
        )  # fmt: skip
        return store.dead_letters()[-1].number

    return event


@pytest.mark.parametrize("members", [{"meterValue": READ}, {}], ids=["with readings", "without"])
def test_an_end_of_2_0_1_closes_its_transaction_and_is_kept_whole(members, event, by_hand, store):
    known = by_hand.reattach(event(**members), 1, by="ann")
    assert (known.open, known.meter_stop, known.stop_reason, known.stop_id_tag) == (
        False, None, "EVDisconnected", "T9"
    )  # fmt: skip
    assert known.stopped_at == NOW - HOUR / 2
    assert known.flags == ("a dead letter was attached by hand by ann",)
    (kept,) = store.meter_readings(1)
    assert (json.loads(kept.values), kept.version) == ({**ENDED, **members}, "2.0.1")
    again = by_hand.reattach(event(**members, offline=True), 1, by="ann")
    assert (again.other_stops, len(store.meter_readings(1))) == ((), 1)


def test_another_event_of_2_0_1_closes_nothing(event, by_hand, store):
    known = by_hand.reattach(event(eventType="Updated", meterValue=READ), 1, by="ann")
    assert (known.open, len(store.meter_readings(1))) == (True, 1)


def test_an_end_of_2_0_1_that_differs_stands_beside_the_first(event, by_hand):
    by_hand.reattach(event(), 1, by="ann")
    known = by_hand.reattach(event(timestamp="2026-11-28T09:40:00Z"), 1, by="ann")
    assert (len(known.other_stops), DIFFERS in known.flags) == (1, True)


def test_the_end_of_2_0_1_that_is_attached_has_the_energy_of_its_readings(event, by_hand, store):
    log = store.event_log
    by_hand.reattach(event(meterValue=READ), 1, by="ann")
    (origin,) = log.origins()
    kinds = [one.kind for one in log.read(origin.number, 0, 100)]
    assert (kinds.count("TransactionEnded"), kinds.count("TransactionCorrected")) == (1, 0)
