"""Worker processes as their parent sees them: started, started again, given up, stopped. The processes are stubs."""

import gevent
import pytest
from gevent.event import AsyncResult, Event

from chargehand.cli.workers import Workers
from chargehand.supervisor.rules import Policy

LIMIT_S = 60.0
AT_ONCE = Policy(intensity=3, period_s=5.0, backoff_min_s=0.0)


class StubProcess:
    """Process that acts as the test sets."""

    def __init__(self, number, first, pid):
        self.number = number
        self.first = first
        self.pid = pid
        self.ready = Event()
        self.beaten = Event()
        self.status = AsyncResult()
        self.told = []
        self.asked_to_stop = False
        self.stops = True
        self.aborts = True

    def wait(self):
        return self.status.get()

    def tell(self, message):
        self.told.append(message)

    def stop(self):
        self.asked_to_stop = True
        if self.stops:
            self.end(0)

    def abort(self):
        if self.aborts:
            self.end(-6)

    def kill(self):
        self.end(-9)

    def end(self, status):
        if not self.status.ready():
            self.status.set(status)


class WorkersHarness:
    """Worker processes, and every process that was started for them."""

    def __init__(self, count, policy=AT_ONCE):
        self.now = 0.0
        self.started = []
        self.fails = False
        self.workers = Workers(count, policy, self.spawn, lambda views, _: views, clock=lambda: self.now)
        self.workers.start()

    def spawn(self, number, *, first):
        if self.fails:
            raise OSError("no more processes")
        self.started.append(StubProcess(number, first, 100 + len(self.started)))
        return self.started[-1]

    def wait_for(self, count):
        with gevent.Timeout(LIMIT_S, AssertionError(f"only {len(self.started)} were started")):
            while len(self.started) < count:
                gevent.sleep(0)
        return self.started[-1]

    def serve(self, count):
        """Let the first `count` processes be ready."""
        for number in range(count):
            self.wait_for(number + 1)
            self.started[number].ready.set()
        assert self.workers.serving.wait(LIMIT_S)


@pytest.fixture
def harness():
    stages = []

    def make(*arguments):
        stages.append(WorkersHarness(*arguments))
        return stages[-1]

    yield make
    for one in stages:
        one.workers.stop(0)


def settled():
    for _ in range(5):
        gevent.sleep(0)


def test_the_others_are_started_when_the_first_one_serves(harness):
    one = harness(3)
    one.wait_for(1)
    settled()
    assert len(one.started) == 1
    assert not one.workers.serving.is_set()
    one.serve(3)
    assert [(process.number, process.first) for process in one.started] == [(1, True), (2, True), (3, True)]


def test_one_that_ends_is_started_again_and_is_not_the_first_any_more(harness):
    one = harness(2)
    one.serve(2)
    one.started[1].end(-9)
    again = one.wait_for(3)
    assert (again.number, again.first) == (2, False)
    again.ready.set()
    settled()
    assert one.workers.views() == [
        {"worker": 1, "pid": 100, "state": "running", "restarts": 0, "last_exit": ""},
        {"worker": 2, "pid": 102, "state": "running", "restarts": 1, "last_exit": "SIGKILL"},
    ]
    assert not one.workers.gave_up.ready()


def test_one_that_ended_in_order_unasked_is_started_again_too(harness):
    one = harness(1)
    one.serve(1)
    one.started[0].end(0)
    one.wait_for(2)
    assert one.workers.views()[0]["last_exit"] == "status 0"


def test_all_are_told_what_has_become_of_each(harness):
    one = harness(2)
    one.serve(2)
    settled()
    one.started[1].end(1)
    one.wait_for(3)
    settled()
    states = [[row["state"] for row in told] for told in one.started[0].told]
    assert states == [
        ["starting", "starting"],
        ["running", "starting"],
        ["running", "starting"],
        ["running", "running"],
        ["running", "waiting"],
        ["running", "starting"],
    ]


def test_one_that_could_not_be_started_at_first_is_given_up_with_its_status(harness):
    one = harness(2)
    one.wait_for(1).end(2)
    assert one.workers.gave_up.get(timeout=LIMIT_S) == 2
    assert len(one.started) == 1
    assert not one.workers.serving.is_set()


def test_a_start_that_the_system_refuses_is_given_up(harness):
    one = harness(1)
    one.fails = True
    assert one.workers.gave_up.get(timeout=LIMIT_S) == 1


def test_over_its_budget_one_is_given_up_and_the_others_go_on(harness):
    one = harness(2)
    one.serve(2)
    for count in range(3, 6):
        one.started[-1].end(-11)
        one.wait_for(count).ready.set()
        settled()
    assert not one.workers.gave_up.ready()
    one.started[-1].end(-11)
    assert one.workers.gave_up.get(timeout=LIMIT_S) == 1
    assert one.workers.views()[0]["state"] == "running"


def test_each_has_a_budget_of_its_own_and_time_fills_it(harness):
    one = harness(2)
    one.serve(2)
    for count in range(3, 13):
        one.now += 1.0
        next(
            process
            for process in one.started
            if process.number == count % 2 + 1 and not process.status.ready()
        ).end(1)
        one.wait_for(count).ready.set()
        settled()
    assert not one.workers.gave_up.ready()
    assert [row["restarts"] for row in one.workers.views()] == [5, 5]


def test_a_stop_asks_all_and_waits_for_all(harness):
    one = harness(2)
    one.serve(2)
    assert one.workers.stop(LIMIT_S)
    assert all(process.asked_to_stop for process in one.started)
    assert len(one.started) == 2


def test_one_that_does_not_stop_in_time_is_killed_and_that_is_said(harness, caplog):
    one = harness(2)
    one.serve(2)
    one.started[1].stops = False
    assert not one.workers.stop(0.01)
    assert one.started[1].status.get() == -9
    assert "worker 2 did not stop in time" in caplog.text


def test_a_stop_while_one_waits_for_its_restart_waits_no_longer(harness):
    one = harness(1, Policy(intensity=9, period_s=5.0, backoff_min_s=3600.0, backoff_max_s=3600.0))
    one.serve(1)
    one.started[0].end(1)  # the first restart is at once
    one.wait_for(2).end(1)
    settled()
    assert one.workers.views()[0]["state"] == "waiting"
    assert one.workers.stop(LIMIT_S)
    assert len(one.started) == 2


def test_a_stop_before_the_others_are_there_starts_no_more(harness):
    one = harness(3)
    one.wait_for(1)
    assert one.workers.stop(LIMIT_S)
    assert len(one.started) == 1


def test_one_whose_hub_does_not_run_leaves_its_stacks_and_is_started_again(harness, caplog):
    one = harness(1)
    one.workers._hang_s = 0.02
    one.serve(1)
    again = one.wait_for(2)
    assert one.started[0].status.get() == -6
    assert "worker 1 is killed, for its hub has not run for 0.02 s (WATCHDOG_USEC)" in caplog.text
    again.end(0)  # before it serves: nobody waits for its hub
    one.wait_for(3)


def test_one_that_does_not_even_leave_its_stacks_is_killed(harness, monkeypatch):
    monkeypatch.setattr("chargehand.cli.workers.ABORT_S", 0.0)
    one = harness(1)
    one.workers._hang_s = 0.02
    one.wait_for(1).aborts = False
    one.serve(1)
    one.wait_for(2)
    assert one.started[0].status.get() == -9


def test_one_whose_hub_runs_is_not_killed(harness):
    one = harness(1)
    one.workers._hang_s = LIMIT_S
    one.serve(1)
    for _ in range(3):
        one.started[0].beaten.set()
        settled()
        assert not one.started[0].beaten.is_set()
    assert not one.started[0].status.ready()
