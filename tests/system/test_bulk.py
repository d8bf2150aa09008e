"""Bulk commands: one command to many charge points, a limited number at a time, with a result for each."""

import itertools

import gevent
import pytest
from gevent.event import Event

from chargehand import (
    BulkSettings,
    CentralSystem,
    ChargePointFilter,
    InvalidPayload,
    NotACommand,
    Settings,
    TicketState,
    TooManyBulks,
    VerbRefused,
    v16,
    verbs,
)

from ..hub import until
from ..in_process import QUICK, connect, in_a_thread, system_with

NAMES = [f"CP{number}" for number in range(12)]


@pytest.fixture
def fleet(system):
    """Twelve connected charge points, which answer ClearCache when `gates` lets them."""
    made = [connect(system, name, reconnect=False) for name in NAMES]
    for charge_point in made:
        charge_point.connect()
    until(lambda: sum(one.online for one in system.charge_points()) == len(NAMES), "all are there")
    yield made
    for charge_point in made:
        charge_point.close()


class Gate:
    """Counts the commands that have come, and holds their answers back until it is opened."""

    def __init__(self, fleet):
        self.open, self.now, self.most, self.came = Event(), 0, 0, []
        for charge_point in fleet:
            charge_point.answers["ClearCache"] = self.answer_of(charge_point.identity)

    def answer_of(self, name):
        def answer(_):
            self.came.append(name)
            self.now += 1
            self.most = max(self.most, self.now)
            self.open.wait()
            self.now -= 1
            return v16.ClearCacheResponse(status="Accepted")

        return answer


def test_each_charge_point_has_one_result(system, fleet):
    bulk = system.send_many(NAMES, v16.ClearCache(), at_most_at_once=5)
    assert bulk.wait(60)
    assert sorted(result.charge_point_id for result in bulk) == sorted(NAMES)
    assert [result.number for result in bulk] == list(range(1, 13))
    assert {type(result.response) for result in bulk} == {v16.ClearCacheResponse}
    assert all(result.ok and system.ticket(result.ticket_id) for result in bulk)
    progress = bulk.progress
    assert (progress.total, progress.ended, progress.ok, progress.open) == (12, 12, 12, 0)
    assert (progress.states, progress.statuses) == ({"answered": 12}, {"Accepted": 12})
    assert system.bulk(bulk.id) is bulk
    assert system.bulks() == [bulk]


def test_no_more_than_so_many_are_under_way_at_once(system, fleet):
    gate = Gate(fleet)
    bulk = system.send_many(NAMES, v16.ClearCache(), at_most_at_once=3)
    until(lambda: gate.now == 3)
    assert (bulk.progress.open, bulk.progress.ended, bulk.done) == (3, 0, False)
    gate.open.set()
    assert bulk.wait(60)
    assert (gate.most, len(gate.came)) == (3, 12)


def test_results_are_yielded_as_they_end(system, fleet):
    gate = Gate(fleet[1:])
    bulk = system.send_many(NAMES, v16.ClearCache())
    results = iter(bulk)
    assert next(results).charge_point_id == "CP0"
    waiting = gevent.spawn(list, results)
    until(lambda: gate.now == 11)
    assert not waiting.ready()
    gate.open.set()
    assert len(waiting.get(timeout=60)) == 11


def test_a_cancelled_one_sends_nothing_more_and_has_its_results_all_the_same(system, fleet):
    gate = Gate(fleet)
    bulk = system.send_many(NAMES, v16.ClearCache(), at_most_at_once=2)
    until(lambda: gate.now == 2)
    bulk.cancel()
    until(lambda: bulk.progress.ended == 10)
    gate.open.set()
    assert bulk.wait(60)
    assert bulk.progress.states == {"cancelled": 10, "answered": 2}
    assert bulk.progress.cancelled
    assert len(gate.came) == 2


def test_charge_points_that_are_away_are_results_at_once(system):
    bulk = system.send_many((f"away{number}" for number in range(500)), v16.ClearCache())
    assert bulk.wait(60)
    assert (bulk.progress.total, bulk.progress.states) == (500, {"never_sent": 500})
    assert "not connected" in bulk.results(limit=1)[0].reason


def test_a_cancelled_one_reads_no_further_ids(system):
    bulk = system.send_many((f"away{number}" for number in itertools.count()), v16.ClearCache())
    until(lambda: bulk.progress.ended > 10)
    bulk.cancel()
    assert bulk.wait(60)
    assert bulk.progress.total == bulk.progress.ended


def test_an_id_that_is_given_twice_gets_the_command_once(system, fleet):
    for ids in (["CP1", "CP1", "CP2"], ("CP1", "CP1", "CP2"), iter(["CP1", "CP1", "CP2"])):
        bulk = system.send_many(ids, v16.ClearCache())
        assert bulk.wait(60)
        assert [result.charge_point_id for result in bulk] == ["CP1", "CP2"]
        assert bulk.progress.total == 2


def test_a_verb_is_put_into_the_version_of_each_charge_point(system, fleet):
    bulk = system.send_many(["CP1", "CP2"], verbs.Reset())
    assert bulk.wait(60)
    assert (bulk.name, bulk.progress.ok) == ("reset", 2)
    assert {result.version for result in bulk} == {"1.6"}


def test_the_effect_is_waited_for_and_counted(system, fleet):
    for charge_point in fleet:
        charge_point.boot()
    bulk = system.send_many(["CP1", "CP2"], verbs.Trigger(message="Heartbeat"), until_effect=True)
    assert bulk.wait(60)
    assert bulk.progress.effects == {"done": 2}


# Those that are away


def test_what_waits_for_charge_points_that_are_away_holds_nobody_up(system, fleet):
    for number in range(5):
        system.store.register(f"away{number}", "Accepted")
    ids = [*(f"away{number}" for number in range(5)), *NAMES]
    bulk = system.send_many(ids, v16.ClearCache(), at_most_at_once=2, when_offline="queue")
    until(lambda: bulk.progress.ended == 12)
    assert (bulk.progress.open, bulk.progress.waiting) == (5, 5)
    with connect(system, "away3"):
        until(lambda: bulk.progress.ended == 13)
    bulk.cancel()
    assert bulk.wait(60)
    assert bulk.progress.states == {"answered": 13, "cancelled": 4}


def test_nothing_waits_for_one_that_has_never_been_here(system):
    bulk = system.send_many(["stranger"], v16.ClearCache(), when_offline="queue")
    assert bulk.wait(60)
    assert bulk.results()[0].reason == "stranger has never been here"
    assert system.charge_point("stranger") is None


# Filters


def chosen(system, **wanted):
    bulk = system.send_many(ChargePointFilter(**wanted), v16.ClearCache())
    assert bulk.wait(60)
    return sorted(result.charge_point_id for result in bulk)


def test_a_filter_chooses_by_connection_and_id(system, fleet):
    system.store.register("away", "Accepted")
    assert chosen(system) == sorted(NAMES)
    assert chosen(system, connected=False) == sorted([*NAMES, "away"])
    assert chosen(system, id="CP1*") == ["CP1", "CP10", "CP11"]
    assert chosen(system, id="CP[2-4]") == ["CP2", "CP3", "CP4"]
    assert chosen(system, id="cp*") == []


def test_a_filter_chooses_by_vendor_and_model_in_any_case(system):
    with (
        connect(system, "A", vendor="Acme", model="One") as a,
        connect(system, "B", vendor="ACME", model="Two") as b,
        connect(system, "C"),
    ):
        a.boot()
        b.boot()
        assert chosen(system, vendor="acme") == ["A", "B"]
        assert chosen(system, vendor="a*", model="t?o") == ["B"]
        assert chosen(system, model="three") == []


def test_a_filter_that_cannot_be_applied_is_told_as_a_failure(system, monkeypatch):
    def broken(**_):
        raise OSError("no store")

    monkeypatch.setattr(system.store, "registered_ids", broken)
    bulk = system.send_many(ChargePointFilter(connected=False), v16.ClearCache())
    assert bulk.wait(60)
    assert (bulk.progress.total, bulk.progress.failure) == (None, "no store")
    assert list(bulk) == []


# Bounds


def test_only_so_many_results_are_kept_and_the_rest_is_counted():
    with system_with(settings=Settings(port=0, supervision=QUICK, bulk=BulkSettings(results=3))) as system:
        bulk = system.send_many([f"away{number}" for number in range(10)], v16.ClearCache())
        assert bulk.wait(60)
        assert (bulk.progress.ended, bulk.progress.dropped) == (10, 7)
        assert [result.number for result in bulk] == [8, 9, 10]
        assert [result.number for result in bulk.results(after=8, limit=1)] == [9]
        assert bulk.results(after=10) == []


def test_the_oldest_ended_one_is_forgotten_and_one_too_many_is_refused():
    settings = Settings(port=0, supervision=QUICK, bulk=BulkSettings(kept=2))
    with system_with(settings=settings) as system:
        first, second = (system.send_many(["away"], v16.ClearCache()) for _ in range(2))
        assert first.wait(60)
        assert second.wait(60)
        system.store.register("away", "Accepted")
        for _ in range(2):
            system.send_many(["away"], v16.ClearCache(), when_offline="queue")
        assert (system.bulk(first.id), system.bulk(second.id)) == (None, None)
        with pytest.raises(TooManyBulks, match=r"bulk\.kept"):
            system.send_many(["away"], v16.ClearCache())


# Refused at once


@pytest.mark.parametrize(
    ("request_", "options", "error"),
    [
        (v16.ChangeConfiguration(key="k" * 51, value=""), {}, InvalidPayload),
        (v16.Heartbeat(), {}, NotACommand),
        (v16.ClearCacheResponse(status="Accepted"), {}, LookupError),
        (verbs.Limit(), {}, VerbRefused),
        (v16.ClearCache(), {"until_effect": True}, ValueError),
        (v16.ClearCache(), {"timeout_s": 0}, ValueError),
        (v16.ClearCache(), {"when_offline": "never"}, ValueError),
        (v16.ClearCache(), {"at_most_at_once": 0}, ValueError),
    ],
)
def test_a_command_that_cannot_be_is_refused_at_once_and_sent_to_nobody(system, request_, options, error):
    with pytest.raises(error):
        system.send_many(["CP1"], request_, **options)
    assert system.bulks() == []


def test_one_text_is_no_list_of_charge_points(system):
    with pytest.raises(TypeError, match="ids or a filter"):
        system.send_many("CP1", v16.ClearCache())


def test_a_system_that_does_not_run_takes_none(system):
    with pytest.raises(RuntimeError, match="not running"):
        CentralSystem(Settings(port=0)).send_many(["CP1"], v16.ClearCache())


# Threads and the end of the system


def test_a_native_thread_may_send_watch_and_wait(system, fleet):
    def use():
        bulk = system.send_many(NAMES, v16.ClearCache(), at_most_at_once=2)
        return [result.ok for result in bulk], bulk.wait(60)

    assert in_a_thread(use) == ([True] * 12, True)


def test_a_native_thread_may_cancel(system, fleet):
    gate = Gate(fleet)
    bulk = system.send_many(NAMES, v16.ClearCache(), at_most_at_once=1)
    until(lambda: gate.now == 1)
    in_a_thread(bulk.cancel)
    gate.open.set()
    assert bulk.wait(60)
    assert bulk.progress.states[TicketState.CANCELLED] == 11


def test_a_stop_of_the_system_ends_it_and_wakes_who_waits(system, fleet):
    Gate(fleet)
    bulk = system.send_many(NAMES, v16.ClearCache(), at_most_at_once=2)
    until(lambda: bulk.progress.open == 2)
    waiting = gevent.spawn(bulk.wait)
    gevent.sleep(0)
    system.stop()
    assert waiting.get(timeout=60)
    assert bulk.progress.states["outcome_unknown"] == 2
    assert bulk.done


def test_a_wait_that_takes_too_long_is_over(system, fleet):
    Gate(fleet)
    bulk = system.send_many(NAMES, v16.ClearCache())
    assert not bulk.wait(0)
    assert not bulk.wait(0.01)
