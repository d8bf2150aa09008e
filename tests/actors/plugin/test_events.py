"""Handlers of what is no call: they have a deadline too, and a lane is theirs for no longer."""

import gevent
import pytest
from gevent.event import Event

from chargehand import Plugin, on_offline, on_online, on_outcome, passive, v16
from chargehand.actors.runtime.failure import HandlerKilled
from chargehand.actors.runtime.ordered_cell import GRACE_S
from chargehand.testing import Stage

ACCEPTED = {"idTagInfo": {"status": "Accepted"}}
TAG = {"idTag": "T1"}
NOTICES_S = 4.0
PROBE_S = 30.0


class Listening(Plugin):
    """Hears of everything, and does what it is told then."""

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

    @on_online
    def came(self, charge_point):
        self.note("on_online", charge_point.id)

    @on_offline
    def went(self, charge_point):
        self.note("on_offline", charge_point.id)

    @on_outcome("ClearCache")
    def cleared(self, ticket):
        self.note("on_outcome", ticket.charge_point_id)

    @on_outcome("*")
    def anything(self, ticket):
        self.note("anything", ticket.charge_point_id)


class Rig:
    """A stage with that plugin; `hear` says what it does, by notice."""

    def __init__(self, **options):
        self.hear = dict.fromkeys(("on_online", "on_offline", "on_outcome", "anything"), lambda _: None)
        self.heard = []
        self.stage = Stage(Listening.spec(self.hear, self.heard, **options), events_s=NOTICES_S)
        self.stage.start()
        (self.plugin,) = self.stage.plugins

    def count(self, name):
        return self.stage.counts[name]


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    rig.stage.stop()


def hang(_):
    Event().wait()


def test_a_hung_on_online_is_killed_at_the_deadline_and_the_calls_behind_it_are_answered(rig):
    rig.hear["on_online"] = hang
    charge_point = rig.stage.connect("CP1")
    assert charge_point.call("Authorize", TAG) is None
    rig.stage.advance(NOTICES_S - 0.01)
    assert charge_point.take() == []
    rig.stage.advance(0.01)
    assert charge_point.take() == [[3, "1", ACCEPTED]]
    assert rig.count("notice_overdue") == 1
    assert rig.plugin.ordering_keys == {}


def test_a_hung_on_offline_holds_the_lane_no_longer_than_that(rig):
    rig.hear["on_offline"] = hang
    rig.stage.connect("CP1").hang_up()
    charge_point = rig.stage.connect("CP1")
    assert charge_point.call("Authorize", TAG) is None
    rig.stage.advance(NOTICES_S)
    assert charge_point.take() == [[3, "1", ACCEPTED]]


def test_one_deadline_is_for_all_that_hear_of_an_outcome(rig):
    rig.hear["on_outcome"] = hang
    rig.stage.send("nobody", v16.ClearCache())
    rig.stage.settle()
    rig.stage.advance(NOTICES_S)
    assert [what for what, _ in rig.heard] == ["on_outcome"]
    assert rig.plugin.ordering_keys == {}
    rig.stage.send("nobody", v16.Reset(type="Soft"))
    rig.stage.settle()
    assert rig.heard[-1] == ("anything", "nobody")


def test_as_many_hung_handlers_as_it_may_have_hold_up_nobody_else_for_longer_than_the_deadline():
    rig = Rig(concurrency=2)
    try:
        rig.hear["anything"] = hang
        for name in ("AWAY1", "AWAY2"):
            rig.stage.send(name, v16.Reset(type="Soft"))
        charge_point = rig.stage.connect("CP1")
        assert charge_point.call("Authorize", TAG) is None
        rig.stage.advance(NOTICES_S)
        assert charge_point.take() == [[3, "1", ACCEPTED]]
    finally:
        rig.stage.stop()


def test_each_has_its_time_from_when_it_begins(rig):
    let_go = Event()
    rig.hear["on_online"] = lambda _: let_go.wait()
    rig.stage.connect("CP1")
    rig.stage.advance(NOTICES_S / 2)
    rig.stage.connect("CP2")
    rig.stage.advance(NOTICES_S / 2)
    assert rig.count("notice_overdue") == 1
    let_go.set()
    rig.stage.settle()
    rig.stage.advance(10 * NOTICES_S)
    assert rig.count("notice_overdue") == 1


def test_after_three_in_a_row_it_is_not_told_any_more_until_a_probe(rig):
    rig.hear["on_online"] = hang
    for _ in range(3):
        rig.stage.connect("CP1")
        rig.stage.advance(NOTICES_S)
    assert rig.plugin.breakers.list_open() == [("CP1", "on_online")]
    charge_point = rig.stage.connect("CP1")
    assert len(rig.heard) == 3
    assert rig.count("notice_skipped") == 1
    assert charge_point.call("Authorize", TAG)[2] == ACCEPTED
    rig.hear["on_online"] = lambda _: None
    rig.stage.advance(PROBE_S)
    rig.stage.connect("CP1")
    assert len(rig.heard) == 4
    assert rig.plugin.breakers.list_open() == []


def test_those_of_three_charge_points_are_the_plugins_failures(rig):
    rig.hear["on_online"] = hang
    for name in ("CP1", "CP2", "CP3"):
        rig.stage.connect(name)
    before = rig.plugin.actor
    rig.stage.advance(NOTICES_S)
    assert rig.count("notice_overdue") == 3
    assert rig.plugin.actor is not before


def test_a_handler_that_only_raises_is_neither_late_nor_blamed(rig):
    def fail(_):
        raise ValueError("a planted fault")

    rig.hear["on_online"] = fail
    for _ in range(5):
        rig.stage.connect("CP1")
    rig.stage.advance(10 * NOTICES_S)
    assert len(rig.heard) == 5
    assert rig.count("notice_overdue") == 0
    assert rig.plugin.breakers.failing == {}


def test_one_that_swallows_its_kill_is_disowned_and_its_lane_goes_on(rig):
    let_go = Event()

    def swallow(_):
        while not let_go.is_set():
            try:
                let_go.wait()
            except HandlerKilled:
                continue

    rig.hear["on_online"] = swallow
    charge_point = rig.stage.connect("CP1")
    assert charge_point.call("Authorize", TAG) is None
    rig.stage.advance(NOTICES_S)
    assert charge_point.take() == []
    rig.stage.advance(GRACE_S)
    assert charge_point.take() == [[3, "1", ACCEPTED]]
    assert rig.count("handler_disowned") == 1
    let_go.set()
    gevent.sleep(0)
    rig.stage.settle()
    assert charge_point.call("Authorize", TAG)[2] == ACCEPTED
    assert rig.plugin.ordering_keys == {}


def test_without_a_time_of_their_own_they_have_that_of_calls():
    with Stage(Listening.spec({}, [])) as stage:
        assert stage.context.events_s == stage.context.rules.default_deadline_s
