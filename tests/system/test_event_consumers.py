"""Durable events are delivered to plugins and to subscriptions with a name, also by the system after this one."""

import datetime as dt

import pytest
from gevent.event import Event

from chargehand import (
    CentralSystem,
    DeadlineSettings,
    DuplicateConsumer,
    EventsDropped,
    GiveUp,
    Plugin,
    RetryLater,
    Settings,
    StatusChanged,
    SupervisionSettings,
    Transaction,
    TransactionCorrected,
    TransactionEnded,
    TransactionStarted,
    on,
)
from chargehand.actors.runtime import threads
from chargehand.config.settings import EventSettings
from chargehand.store.sqlite import SqliteStore
from chargehand.system.event_consumers import Wake
from chargehand.system.event_stream import WrongCursor
from tests.hub import settle, until

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
QUICK = SupervisionSettings(
    shutdown_s=0.05, stop_timeout_s=2.0, redelivery_delay_s=0.01, redelivery_delay_max_s=0.02
)
KINDS = (TransactionStarted, TransactionEnded, TransactionCorrected)


def transaction(number, charge_point_id="CP1", **more):
    return Transaction(
        id=number,
        charge_point_id=charge_point_id,
        connector_id=1,
        id_tag="T1",
        meter_start=100,
        started_at=NOW,
        start_received_at=NOW,
        **more,
    )


class Billing(Plugin):
    """Notes the events that it takes; fails, or crashes, as long as it is told to."""

    def __init__(self, taken, faults):
        super().__init__()
        self.taken, self.faults = taken, faults

    @on(*KINDS)
    def take(self, event):
        if self.faults:
            raise self.faults.pop()
        self.taken.append((type(event).__name__, event.transaction.id, event.id))


class Systems:
    """Systems on one SQLite file, one after the other."""

    def __init__(self, folder):
        self.path = str(folder / "store.sqlite")
        self.taken, self.faults = [], []
        self.system = self.store = None

    def start(self, *plugins, events_s=5.0, **events):
        self.store = SqliteStore.open(self.path, threads)
        settings = Settings(
            port=0,
            supervision=QUICK,
            events=EventSettings(**events),
            deadlines=DeadlineSettings(events_s=events_s),
        )
        self.system = CentralSystem(settings, plugins=plugins, store=self.store)
        self.system.start()
        return self.system

    def billing(self, **events):
        return self.start(Billing.spec(self.taken, self.faults, name="billing"), **events)

    def stop(self):
        if self.system is not None:
            self.system.stop()
            self.store.close()
            self.system = None

    def lives(self, first, last=None):
        for number in range(first, (last or first) + 1):
            self.store.start_transaction(transaction(number))
            self.store.stop_transaction(
                transaction(number, meter_stop=300, stopped_at=NOW, stop_received_at=NOW)
            ).wait(60)

    @property
    def numbers(self):
        return [(kind, number) for kind, number, _ in self.taken]


@pytest.fixture
def systems(tmp_path):
    made = Systems(tmp_path)
    yield made
    made.stop()


def both(*numbers):
    return [(kind, number) for number in numbers for kind in ("TransactionStarted", "TransactionEnded")]


def test_a_plugin_takes_the_events_of_each_transaction_in_order(systems):
    systems.billing()
    systems.lives(1, 3)
    until(lambda: len(systems.taken) == 6)
    assert systems.numbers == both(1, 2, 3)


def test_what_one_system_has_not_delivered_the_next_one_does_first(systems):
    systems.billing()
    systems.lives(1)
    until(lambda: len(systems.taken) == 2)
    systems.faults += [ValueError("it fails")] * 1000
    systems.lives(2)
    systems.stop()
    systems.faults.clear()
    systems.billing()
    systems.lives(3)
    until(lambda: len(systems.taken) >= 6)
    assert systems.numbers == both(1, 2, 3)


def test_a_system_without_the_plugin_in_between_loses_nothing(systems):
    systems.billing()
    systems.stop()
    systems.start()
    systems.lives(1)
    systems.stop()
    systems.billing()
    until(lambda: len(systems.taken) == 2)
    assert systems.numbers == both(1)


def test_a_new_consumer_has_nothing_of_what_was_before(systems):
    systems.start()
    systems.lives(1)
    systems.stop()
    systems.billing()
    systems.lives(2)
    until(lambda: len(systems.taken) == 2)
    assert systems.numbers == both(2)


def test_an_event_that_fails_comes_again_and_those_behind_it_wait(systems):
    systems.billing()
    systems.faults += [ValueError("it fails")] * 2
    systems.lives(1)
    until(lambda: len(systems.taken) == 2)
    assert systems.numbers == both(1)
    assert systems.store.event_log.dead_letters() == []


def test_an_event_that_always_fails_is_a_dead_letter_and_the_next_goes_on(systems):
    systems.billing(attempts=3)
    systems.faults += [ValueError("it fails")] * 3
    systems.lives(1)
    until(lambda: systems.taken)
    assert systems.numbers == [("TransactionEnded", 1)]
    (letter,) = systems.store.event_log.dead_letters()
    assert (letter.consumer, letter.kind, letter.charge_point_id) == ("billing", "TransactionStarted", "CP1")
    assert "it fails" in letter.why


def test_a_handler_that_wants_an_event_later_has_it_again_and_has_not_failed(systems):
    system = systems.billing(attempts=1)
    systems.faults += [RetryLater(0.0, "the shop is closed")] * 5
    systems.lives(1)
    until(lambda: len(systems.taken) == 2)
    assert (systems.numbers, systems.faults) == (both(1), [])
    assert "event_failed" not in system.counters.counts


def test_a_handler_that_gives_an_event_up_makes_it_a_dead_letter_at_once(systems):
    systems.billing()
    systems.faults.append(GiveUp("too old"))
    systems.lives(1)
    until(lambda: len(systems.taken) == 1)
    assert systems.numbers == both(1)[1:]
    (letter,) = systems.store.event_log.dead_letters()
    assert (letter.consumer, letter.why) == ("billing", "too old")


def test_a_subscription_with_a_name_goes_on_where_it_was(systems):
    heard = []
    system = systems.start()
    system.subscribe(KINDS, lambda event: heard.append(event.id), durable="export")
    systems.lives(1)
    until(lambda: len(heard) == 2)
    systems.stop()
    system = systems.start()
    systems.lives(2)
    system.subscribe(KINDS, lambda event: heard.append(event.id), durable="export")
    until(lambda: len(heard) == 4)
    assert len(set(heard)) == 4


def test_a_subscription_that_is_closed_hears_nothing_and_its_name_can_be_used_again(systems):
    heard, again = [], []
    system = systems.start()
    subscription = system.subscribe(KINDS, heard.append, durable="export")
    with pytest.raises(DuplicateConsumer):
        system.subscribe(KINDS, heard.append, durable="export")
    systems.lives(1)
    until(lambda: len(heard) == 2)
    subscription.close()
    systems.lives(2)
    system.subscribe(KINDS, again.append, durable="export")
    until(lambda: len(again) == 2)
    assert len(heard) == 2


def test_live_events_cannot_be_had_durably(systems):
    system = systems.start()
    with pytest.raises(ValueError, match="StatusChanged is no durable event"):
        system.subscribe(StatusChanged, print, durable="export")
    with pytest.raises(ValueError, match="callback"):
        system.subscribe(TransactionEnded, durable="export")


def test_a_subscription_without_a_name_hears_of_durable_events_as_they_come(systems):
    heard = []
    system = systems.start()
    systems.lives(1)
    subscription = system.subscribe(TransactionEnded, lambda event: heard.append(event.transaction.id))
    systems.lives(2)
    until(lambda: heard)
    subscription.close()
    systems.lives(3)
    settle()
    assert heard == [2]


def test_a_consumer_that_was_behind_the_retention_is_told_so_once(systems):
    system = systems.start()
    system.subscribe((*KINDS, EventsDropped), print, durable="export")
    systems.lives(1)
    systems.stop()
    systems.start()
    systems.lives(2, 4)
    while systems.store.event_log.prune(keep=2, since=None):
        systems.store.event_log.origins()
    systems.stop()
    heard = []
    system = systems.start()
    system.subscribe((*KINDS, EventsDropped), heard.append, durable="export")
    until(lambda: len(heard) >= 3)
    dropped = [event for event in heard if type(event) is EventsDropped]
    assert [event.count for event in dropped if event.count == 4] == [4]
    assert [event.transaction.id for event in heard if type(event) is not EventsDropped][-2:] == [4, 4]


def test_a_correction_has_the_transaction_as_it_is_with_its_energy(systems):
    heard = []
    system = systems.start()
    system.subscribe(TransactionCorrected, heard.append, durable="export")
    systems.lives(1)
    systems.store.amend_transaction(1, note="a note").wait(60)
    until(lambda: heard)
    (event,) = heard
    assert event.transaction.note == "a note"
    assert event.transaction.energy_wh == 200
    assert event.id.endswith(":3")


class Slow(Plugin):
    """Takes its time for the first event, and then none."""

    def __init__(self, taken):
        super().__init__()
        self.taken = taken

    @on(*KINDS)
    def take(self, event):
        self.taken.append(event.id)
        if len(self.taken) == 1:
            Event().wait()


def test_an_event_in_the_hands_of_a_plugin_that_is_killed_comes_again(systems):
    system = systems.start(Slow.spec(systems.taken, name="slow"))
    systems.lives(1)
    until(lambda: systems.taken)
    system._parts.router.consumers["slow"].kill()
    until(lambda: len(systems.taken) == 3)
    first, second = f"{systems.store.event_log.origin}:1", f"{systems.store.event_log.origin}:2"
    assert systems.taken == [first, first, second]
    assert systems.store.event_log.dead_letters() == []


def test_a_handler_that_hangs_is_ended_and_its_event_comes_again(systems):
    systems.start(Slow.spec(systems.taken, name="slow"), events_s=0.05)
    systems.lives(1)
    until(lambda: len(systems.taken) == 3)
    assert systems.taken[0] == systems.taken[1]


def test_events_wait_for_a_plugin_in_quarantine(systems):
    system = systems.billing()
    cell = system._parts.router.consumers["billing"]
    system._parts.tree.cells["plugins"].actor._quarantine("billing", cell)
    systems.lives(1, 2)
    settle()
    assert systems.taken == []
    assert system.release("billing")
    until(lambda: len(systems.taken) == 4)
    assert systems.numbers == both(1, 2)


def test_consumers_go_on_after_a_crash_of_their_own(systems):
    system = systems.billing()
    systems.lives(1)
    until(lambda: len(systems.taken) == 2)
    system._parts.durable_events._cell.tell(Wake(None))
    systems.lives(2)
    until(lambda: ("TransactionEnded", 2) in systems.numbers)
    assert list(dict.fromkeys(systems.numbers)) == both(1, 2)


def test_a_stream_whose_reader_does_not_keep_up_has_durable_events_all_the_same(systems):
    system = systems.start()
    stream = system.event_stream(KINDS, queue_limit=2)
    systems.lives(1, 5)
    heard = [stream.next(5.0) for _ in range(10)]
    assert [(type(event).__name__, event.transaction.id) for _, event in heard] == both(1, 2, 3, 4, 5)
    systems.lives(6)
    again = system.event_stream(KINDS, after=heard[7][0])
    assert [again.next(5.0)[1].transaction.id for _ in range(4)] == [5, 5, 6, 6]
    stream.close()
    again.close()


def test_a_stream_goes_on_with_what_the_next_system_stores(systems):
    system = systems.start()
    stream = system.event_stream(KINDS)
    systems.lives(1)
    cursor, _ = stream.next(5.0)
    stream.close()
    systems.stop()
    system = systems.start()
    systems.lives(2)
    stream = system.event_stream((*KINDS, StatusChanged), after=cursor)
    heard = [stream.next(5.0)[1] for _ in range(3)]
    assert [(type(event).__name__, event.transaction.id) for event in heard] == both(1, 2)[1:]
    assert stream.next(0.01) is None
    stream.close()
    with pytest.raises(WrongCursor):
        system.event_stream(KINDS, after="nonsense")
    assert not system._parts.router.watched
