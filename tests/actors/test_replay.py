"""What stand-ins acknowledged reaches its plugin after all: in order, one at a time, until it has it."""

import datetime as dt
import json

import gevent
import pytest
from gevent.event import Event

from chargehand import OcppError, StoreError
from chargehand.actors.cell import Cell
from chargehand.actors.replay import Replayer, ReplayNow, SpoolGrew
from chargehand.store.store import RowRefused
from chargehand.testing import Stage, StubStore

from ..hub import settle
from .everything import Everything
from .messages_of_16 import METER_VALUES, START, STOP

DELAY_S, DELAY_MAX_S, ATTEMPTS = 1.0, 8.0, 4
DEADLINE_S = 10.0
CONF = {"StartTransaction": {"idTagInfo": {"status": "Accepted"}, "transactionId": 1}}


class Planted(Exception):
    """A fault of a handler's."""


def fail(call):
    raise Planted


def answer(call):
    return CONF.get(call.action, {})


class Desk:
    """A stage with a replayer. `handle(call)` is what the plugin does; `seen` are the calls that it was asked."""

    def __init__(self, store=None):
        self.handle = answer
        self.seen = []
        self.store = store or StubStore()
        self.stage = Stage(Everything.spec([lambda: self.handle(self.seen[-1])], self.seen), store=self.store)
        self.stage.start()
        services = self.services = self.stage.services
        self.known = True
        self.exits = []
        make = Replayer.maker(services, self, delay_s=DELAY_S, delay_max_s=DELAY_MAX_S, attempts=ATTEMPTS)
        self.cell = Cell(services.scheduler, "replayer", make, lambda _, exit_: self.exits.append(exit_))
        services.spool_grew = lambda charge_point_id: self.cell.tell(SpoolGrew(charge_point_id))
        self.cell.start()

    def find(self, charge_point_id):
        """As a directory does."""
        return self.stage.charge_points.get(charge_point_id) if self.known else None

    def advance(self, seconds):
        self.stage.advance(seconds)

    @property
    def replayed(self):
        """The unique ids of the calls that were replayed, in order."""
        return [call.unique_id for call in self.seen if call.replayed]

    @property
    def spooled(self):
        return [record.unique_id for record in self.store.spooled()]

    def count(self, name):
        return self.stage.counts[name]

    def close(self):
        self.cell.kill()
        self.cell.end()
        self.stage.stop()


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.close()


@pytest.fixture
def charge_point(desk):
    return desk.stage.connect("CP1")


def stop(number):
    return {**STOP, "meterStop": number}


def spool(desk, charge_point, *ids, action="MeterValues", payload=METER_VALUES):
    """Have a stand-in acknowledge these."""
    handle, desk.handle = desk.handle, fail
    for unique_id in ids:
        assert charge_point.call(action, payload, unique_id)[0] == 3
    desk.handle = handle


def test_what_a_stand_in_acknowledged_is_handed_to_its_plugin_after_a_while(desk, charge_point):
    spool(desk, charge_point, "a")
    assert desk.spooled == ["a"]
    desk.advance(DELAY_S - 0.01)
    assert desk.replayed == []
    desk.advance(0.01)
    assert desk.replayed == ["a"]
    assert desk.spooled == []
    assert desk.count("replayed") == 1


def test_a_replayed_call_says_what_the_first_one_said(desk, charge_point):
    desk.handle = fail
    received_at = dt.datetime.fromtimestamp(desk.stage.clock.time(), dt.UTC)
    answered = charge_point.call("StartTransaction", START, "a")[2]
    desk.handle = answer
    desk.advance(5)
    first, replayed = desk.seen
    assert (first.replayed, replayed.replayed) == (False, True)
    assert replayed.transaction_id == first.transaction_id == answered["transactionId"]
    assert replayed.request == first.request
    assert replayed.charge_point is first.charge_point
    assert replayed.received_at == received_at
    assert (replayed.unique_id, replayed.action) == ("a", "StartTransaction")


def test_its_answer_goes_nowhere(desk, charge_point):
    spool(desk, charge_point, "a")
    sent = len(charge_point.frames)
    desk.advance(5)
    assert desk.replayed == ["a"]
    assert len(charge_point.frames) == sent


def test_the_records_of_a_charge_point_come_one_at_a_time_and_in_order(desk, charge_point):
    spool(desk, charge_point, "a", "b", "c")
    running = Event()

    def hold(call):
        running.wait()
        return answer(call)

    desk.handle = hold
    desk.advance(DELAY_S)
    assert desk.replayed == ["a"]
    running.set()
    desk.stage.settle()
    assert desk.replayed == ["a", "b", "c"]


def test_those_of_different_charge_points_do_not_wait_for_each_other(desk):
    for name in ("CP1", "CP2"):
        spool(desk, desk.stage.connect(name), f"{name}-a")
    held = Event()
    desk.handle = lambda call: held.wait() if call.unique_id == "CP1-a" else answer(call)
    desk.advance(DELAY_S)
    assert sorted(desk.replayed) == ["CP1-a", "CP2-a"]
    assert desk.spooled == ["CP1-a"]
    held.set()


def test_further_transaction_messages_of_that_charge_point_go_behind_them(desk, charge_point):
    spool(desk, charge_point, "start", action="StartTransaction", payload=START)
    assert charge_point.call("MeterValues", METER_VALUES, "meter")[2] == {}
    assert charge_point.call("StopTransaction", STOP, "stop")[2] == {}
    assert [call.unique_id for call in desk.seen] == ["start"]  # the plugin has heard of no other
    assert desk.spooled == ["start", "meter", "stop"]
    desk.advance(DELAY_S)
    assert desk.replayed == ["start", "meter", "stop"]
    assert charge_point.call("MeterValues", METER_VALUES, "direct")[2] == {}
    assert not desk.seen[-1].replayed


def test_its_other_messages_and_other_charge_points_do_not_wait(desk, charge_point):
    spool(desk, charge_point, "a")
    assert charge_point.call("DataTransfer", {"vendorId": "V"}, "data")[0] != 2
    other = desk.stage.connect("CP2")
    other.call("MeterValues", METER_VALUES, "b")
    assert [call.unique_id for call in desk.seen] == ["a", "data", "b"]


@pytest.mark.parametrize(
    "error", [Planted, gevent.Timeout, gevent.GreenletExit, SystemExit], ids=lambda error: error.__name__
)
def test_one_that_fails_again_is_tried_again_later_and_later(desk, charge_point, error):
    def leave(_):
        raise error

    spool(desk, charge_point, "a", "b")
    desk.handle = leave
    for wait_s in (DELAY_S, 2.0, 4.0):
        before = len(desk.replayed)
        desk.advance(wait_s - 0.01)
        assert len(desk.replayed) == before
        desk.advance(0.01)
        assert desk.replayed == ["a"] * (before + 1)
    desk.handle = answer
    desk.advance(DELAY_MAX_S)
    assert desk.replayed[-2:] == ["a", "b"]
    assert desk.spooled == []
    assert desk.count("replay_failed") == 3


def test_one_that_fails_too_often_is_set_aside_and_the_next_goes_on(desk, charge_point):
    spool(desk, charge_point, "a", "b")
    desk.handle = lambda call: fail(call) if call.unique_id == "a" else answer(call)
    desk.advance(100)
    assert desk.replayed == ["a"] * ATTEMPTS + ["b"]
    assert desk.spooled == []
    (aside,) = desk.store.aside()
    assert (aside.unique_id, aside.why) == ("a", "Planted()")
    assert desk.count("replay_set_aside") == 1
    desk.advance(100)
    assert len(desk.replayed) == ATTEMPTS + 1


def test_after_one_that_was_set_aside_the_next_has_all_its_attempts(desk, charge_point):
    spool(desk, charge_point, "a", "b")
    desk.handle = fail
    desk.advance(200)
    assert desk.replayed == ["a"] * ATTEMPTS + ["b"] * ATTEMPTS
    assert desk.spooled == []


def test_an_error_that_the_plugin_means_is_an_end_too(desk, charge_point):
    def refuse(_):
        raise OcppError(description="I know it already")

    spool(desk, charge_point, "a")
    desk.handle = refuse
    desk.advance(5)
    assert desk.replayed == ["a"]
    assert desk.spooled == []


def test_a_handler_that_hangs_is_interrupted_at_the_deadline_and_counts_as_failed(desk, charge_point):
    ended = []

    def hang(_):
        try:
            Event().wait()
        finally:
            ended.append(desk.stage.clock.monotonic())

    spool(desk, charge_point, "a")
    desk.handle = hang
    begun_at = desk.stage.clock.monotonic()
    desk.advance(DELAY_S + DEADLINE_S)
    desk.handle = answer
    assert ended == [begun_at + DELAY_S + DEADLINE_S]
    assert desk.count("replay_failed") == 1
    desk.advance(2.0)
    assert desk.spooled == []


def test_it_can_be_answered_later(desk, charge_point):
    laters = []
    spool(desk, charge_point, "a", "b")
    desk.handle = lambda call: laters.append(call.later())
    desk.advance(DELAY_S)
    assert desk.replayed == ["a"]
    laters[0].answer({})
    laters[0].answer({})  # the first one counts
    desk.stage.settle()
    assert desk.replayed == ["a", "b"]
    laters[1].fail(Planted())
    desk.stage.settle()
    assert desk.spooled == ["b"]


def test_while_its_plugin_is_quarantined_it_waits_and_costs_no_attempt(desk, charge_point):
    spool(desk, charge_point, "a")
    (plugin,) = desk.stage.plugins
    plugin.quarantined = True
    desk.advance(10 * DELAY_MAX_S)
    assert desk.replayed == []
    assert desk.count("replay_failed") == 0
    plugin.quarantined = False
    desk.cell.tell(ReplayNow())
    desk.stage.settle()
    assert desk.replayed == ["a"]


def test_times_that_were_set_before_a_release_bring_no_further_tries(desk, charge_point):
    spool(desk, charge_point, "a")
    (plugin,) = desk.stage.plugins
    desk.handle = fail
    for _ in range(3):
        plugin.quarantined = True
        desk.advance(DELAY_MAX_S)
        plugin.quarantined = False
        desk.cell.tell(ReplayNow())
        desk.stage.settle()
    tries = len(desk.replayed)
    desk.advance(DELAY_MAX_S - 0.01)
    assert len(desk.replayed) == tries
    desk.advance(0.01)
    assert len(desk.replayed) == tries + 1


def test_the_charge_point_need_not_be_there_any_more(desk, charge_point):
    spool(desk, charge_point, "a")
    charge_point.hang_up()
    desk.known = False
    desk.advance(DELAY_S)
    assert desk.replayed == ["a"]
    assert desk.seen[-1].charge_point.id == "CP1"
    assert not desk.seen[-1].charge_point.online


# The store


def test_what_an_earlier_run_left_is_taken_up_at_the_start():
    store = StubStore()
    for unique_id in ("a", "b"):
        store.spool(
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
        assert "CP9" in desk.services.spool_owners
        desk.advance(DELAY_S)
        assert desk.replayed == ["a", "b"]
        assert desk.seen[0].received_at.year == 2025
        assert desk.services.spool_owners == set()
    finally:
        desk.close()


def test_a_record_that_cannot_be_read_is_set_aside():
    store = StubStore()
    for unique_id, payload in (("a", b'"nonsense"'), ("b", json.dumps(METER_VALUES).encode())):
        store.spool(
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
        assert desk.replayed == ["b"]
        assert [record.unique_id for record in store.aside()] == ["a"]
    finally:
        desk.close()


def test_while_the_store_is_slow_the_next_one_waits(desk, charge_point):
    spool(desk, charge_point, "a", "b")
    desk.store.hold()
    desk.advance(DELAY_S)
    assert desk.replayed == ["a"]
    desk.advance(10 * DELAY_MAX_S)
    assert desk.replayed == ["a"]
    desk.store.work()
    desk.stage.settle()
    assert desk.replayed == ["a", "b"]


def test_while_the_store_is_down_a_record_is_replayed_again_but_not_over_and_over(desk, charge_point):
    spool(desk, charge_point, "a", "b")
    desk.store.fail()
    desk.advance(DELAY_S + DELAY_MAX_S + 0.5)
    assert desk.replayed == ["a", "a"]  # it cannot be taken out: so it comes again, in order
    desk.store.work()
    desk.advance(DELAY_MAX_S)
    assert desk.replayed == ["a", "a", "a", "b"]
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
    assert [one.unique_id for one in desk.store.aside()] == ["a"]


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
    assert desk.store.aside() == []
    desk.handle = answer
    desk.advance(DELAY_MAX_S)
    assert desk.replayed[-2:] == ["a", "b"]
    assert desk.spooled == []


def test_a_row_that_the_store_will_never_hold_is_set_aside(desk, charge_point):
    def refuse(call):
        raise RowRefused("too large")

    spool(desk, charge_point, "a")
    desk.handle = refuse
    desk.advance(DELAY_S)
    for _ in range(ATTEMPTS):
        desk.advance(DELAY_MAX_S)
    assert [record.unique_id for record in desk.store.aside()] == ["a"]


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
        assert desk.replayed == []
    desk.advance(DELAY_MAX_S)
    desk.advance(DELAY_S)
    assert desk.replayed == ["a"]


# The replayer itself


def test_a_replayer_that_is_started_again_goes_on_with_what_was_not_finished(desk, charge_point):
    spool(desk, charge_point, "a", "b")
    held = Event()
    desk.handle = lambda call: held.wait() and answer(call)
    desk.advance(DELAY_S)
    assert desk.replayed == ["a"]
    desk.cell.kill()
    settle()
    desk.cell.start()
    held.set()
    desk.stage.settle()  # the answer to the replayer before is nobody's
    assert desk.spooled == ["a", "b"]
    desk.handle = answer
    desk.advance(DELAY_S)
    assert desk.replayed == ["a", "a", "b"]
    assert desk.spooled == []


def test_a_message_of_nobodys_is_left_to_pykka(desk):
    assert desk.cell.ref.ask("nonsense", timeout=5) is None
    assert desk.exits == []
