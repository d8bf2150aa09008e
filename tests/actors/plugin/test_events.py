"""Handlers of events and outcomes: they have a deadline too, and occupy their ordering key for no longer."""

import gevent
import pytest
from gevent.event import Event

from chargehand import ChargePointOffline, ChargePointOnline, Plugin, on, on_outcome, passive, v16
from chargehand.actors.runtime.failure import HandlerKilled
from chargehand.actors.runtime.ordered_cell import GRACE_S
from chargehand.testing import Stage

ACCEPTED = {"idTagInfo": {"status": "Accepted"}}
TAG = {"idTag": "T1"}
EVENTS_S = 4.0
PROBE_S = 30.0


class EventPlugin(Plugin):
    """Receives every kind of event, and acts as the test sets."""

    def __init__(self, hear, heard):
        super().__init__()
        self.hear = hear
        self.heard = heard

    def note(self, what, subject):
        self.heard.append((what, subject))
        self.hear[what](subject)

    @passive("Authorize")
    def authorize(self, call):
        return ACCEPTED

    @on(ChargePointOnline)
    def came(self, event):
        self.note("online", event.charge_point_id)

    @on(ChargePointOffline)
    def went(self, event):
        self.note("offline", event.charge_point_id)

    @on_outcome("ClearCache")
    def cleared(self, ticket):
        self.note("on_outcome", ticket.charge_point_id)

    @on_outcome("*")
    def anything(self, ticket):
        self.note("anything", ticket.charge_point_id)


class EventHarness:
    """Stage with that plugin; `hear` sets its action by event."""

    def __init__(self, **options):
        self.hear = dict.fromkeys(("online", "offline", "on_outcome", "anything"), lambda _: None)
        self.heard = []
        self.stage = Stage(EventPlugin.spec(self.hear, self.heard, **options), events_s=EVENTS_S)
        self.stage.start()
        (self.plugin,) = self.stage.plugins

    def count(self, name):
        return self.stage.counts[name]


@pytest.fixture
def harness():
    harness = EventHarness()
    yield harness
    harness.stage.stop()


def hang(_):
    Event().wait()


def test_a_hung_handler_is_killed_at_its_deadline_and_later_calls_are_answered(harness):
    harness.hear["online"] = hang
    charge_point = harness.stage.connect("CP1")
    assert charge_point.call("Authorize", TAG) is None
    harness.stage.advance(EVENTS_S - 0.01)
    assert charge_point.take() == []
    harness.stage.advance(0.01)
    assert charge_point.take() == [[3, "1", ACCEPTED]]
    assert harness.count("event_overdue") == 1
    assert harness.plugin.ordering_keys == {}


def test_a_hung_handler_of_an_end_holds_the_ordering_key_no_longer_than_that(harness):
    harness.hear["offline"] = hang
    harness.stage.connect("CP1").hang_up()
    charge_point = harness.stage.connect("CP1")
    assert charge_point.call("Authorize", TAG) is None
    harness.stage.advance(EVENTS_S)
    assert charge_point.take() == [[3, "1", ACCEPTED]]


def test_one_deadline_is_for_all_that_hear_of_an_outcome(harness):
    harness.hear["on_outcome"] = hang
    harness.stage.send("nobody", v16.ClearCache())
    harness.stage.settle()
    harness.stage.advance(EVENTS_S)
    assert [what for what, _ in harness.heard] == ["on_outcome"]
    assert harness.plugin.ordering_keys == {}
    harness.stage.send("nobody", v16.Reset(type="Soft"))
    harness.stage.settle()
    assert harness.heard[-1] == ("anything", "nobody")


def test_hung_handlers_up_to_the_limit_hold_up_others_no_longer_than_the_deadline():
    harness = EventHarness(concurrency=2)
    try:
        harness.hear["anything"] = hang
        for name in ("AWAY1", "AWAY2"):
            harness.stage.send(name, v16.Reset(type="Soft"))
        charge_point = harness.stage.connect("CP1")
        assert charge_point.call("Authorize", TAG) is None
        harness.stage.advance(EVENTS_S)
        assert charge_point.take() == [[3, "1", ACCEPTED]]
    finally:
        harness.stage.stop()


def test_each_has_its_time_from_when_it_begins(harness):
    let_go = Event()
    harness.hear["online"] = lambda _: let_go.wait()
    harness.stage.connect("CP1")
    harness.stage.advance(EVENTS_S / 2)
    harness.stage.connect("CP2")
    harness.stage.advance(EVENTS_S / 2)
    assert harness.count("event_overdue") == 1
    let_go.set()
    harness.stage.settle()
    harness.stage.advance(10 * EVENTS_S)
    assert harness.count("event_overdue") == 1


def test_after_three_in_a_row_it_is_not_told_any_more_until_a_trial(harness):
    harness.hear["online"] = hang
    for _ in range(3):
        harness.stage.connect("CP1")
        harness.stage.advance(EVENTS_S)
    assert harness.plugin.breakers.list_open() == [("CP1", "on")]
    charge_point = harness.stage.connect("CP1")
    assert len(harness.heard) == 3
    assert harness.count("event_skipped") == 1
    assert charge_point.call("Authorize", TAG)[2] == ACCEPTED
    harness.hear["online"] = lambda _: None
    harness.stage.advance(PROBE_S)
    harness.stage.connect("CP1")
    assert len(harness.heard) == 4
    assert harness.plugin.breakers.list_open() == []


def test_those_of_three_charge_points_are_the_plugins_failures(harness):
    harness.hear["online"] = hang
    for name in ("CP1", "CP2", "CP3"):
        harness.stage.connect(name)
    before = harness.plugin.actor
    harness.stage.advance(EVENTS_S)
    assert harness.count("event_overdue") == 3
    assert harness.plugin.actor is not before


def test_a_handler_that_only_raises_is_neither_late_nor_blamed(harness):
    def fail(_):
        raise ValueError("a planted fault")

    harness.hear["online"] = fail
    for _ in range(5):
        harness.stage.connect("CP1")
    harness.stage.advance(10 * EVENTS_S)
    assert len(harness.heard) == 5
    assert harness.count("event_overdue") == 0
    assert harness.plugin.breakers.failing == {}


def test_one_that_swallows_its_kill_is_abandoned_and_its_ordering_key_goes_on(harness):
    let_go = Event()

    def swallow(_):
        while not let_go.is_set():
            try:
                let_go.wait()
            except HandlerKilled:
                continue

    harness.hear["online"] = swallow
    charge_point = harness.stage.connect("CP1")
    assert charge_point.call("Authorize", TAG) is None
    harness.stage.advance(EVENTS_S)
    assert charge_point.take() == []
    harness.stage.advance(GRACE_S)
    assert charge_point.take() == [[3, "1", ACCEPTED]]
    assert harness.count("handler_abandoned") == 1
    let_go.set()
    gevent.sleep(0)
    harness.stage.settle()
    assert charge_point.call("Authorize", TAG)[2] == ACCEPTED
    assert harness.plugin.ordering_keys == {}


def test_without_a_time_of_their_own_they_have_that_of_calls():
    with Stage(EventPlugin.spec({}, [])) as stage:
        assert stage.context.events_s == stage.context.rules.default_deadline_s
