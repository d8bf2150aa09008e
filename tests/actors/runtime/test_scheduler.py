"""Cells take turns, a blocked handler occupies only its own greenlet, and an idle scheduler uses no CPU."""

import socket
from collections import deque
from itertools import pairwise

import gevent
import pytest
from gevent.event import Event

from chargehand.actors.runtime.scheduler import Scheduler

from ...hub import settle, until


class RecordingRunnable:
    """Stays on the run queue for `turns` turns, and notes each of them."""

    def __init__(self, scheduler, name, turns, log, *, block=None):
        self.scheduler = scheduler
        self.name = name
        self.turns = turns
        self.log = log
        self.block = block

    def run(self, budget):
        self.turns -= 1
        self.log.append((self.name, budget))
        if self.block is not None:
            self.block.wait()
            self.log.append((self.name, "unblocked"))
        if self.turns:
            self.scheduler.enqueue(self)


@pytest.fixture
def make():
    """Make schedulers; close them at the end."""
    made = []

    def make(**options):
        made.append(Scheduler(**options))
        return made[-1]

    yield make
    for scheduler in made:
        scheduler.close()


def test_cells_take_turns_in_the_order_in_which_they_came(make):
    scheduler, log = make(drain=7), []
    for name in "abc":
        scheduler.enqueue(RecordingRunnable(scheduler, name, 3, log))
    settle()
    assert log == [(name, 7) for name in "abc"] * 3


def test_nothing_runs_before_the_hub_does(make):
    scheduler, log = make(), []
    scheduler.enqueue(RecordingRunnable(scheduler, "a", 1, log))
    assert log == []
    assert scheduler.busy
    settle()
    assert log
    assert not scheduler.busy


def test_the_hub_looks_at_the_rest_of_the_world_after_so_many_turns(make):
    scheduler, log = make(turns=4), []
    one, other = socket.socketpair()
    with one, other:
        other.send(b"x")
        watcher = gevent.get_hub().loop.io(one.fileno(), 1)
        watcher.start(lambda: log.append("a socket") or watcher.stop())
        scheduler.enqueue(RecordingRunnable(scheduler, "a", 400, log))
        until(lambda: len(log) == 401)
        watcher.close()
    assert log.index("a socket") in (
        4,
        8,
    )  # at the hub's first look, before or after the turns that it grants then


@pytest.mark.parametrize(("turn_s", "turns"), [(0.001, 8), (0.01, 8), (0.0001, 56), (0.0, 400)])
def test_the_hub_looks_at_the_rest_of_the_world_after_so_much_time(make, turn_s, turns):
    log, looks = [], []
    scheduler = make(slice_s=0.00505, monotonic=lambda: len(log) * turn_s)

    class Looking(RecordingRunnable):
        def run(self, budget):
            if not log:  # in its first turn: a timer of the hub, which runs once between two pumps
                timer.start(note)
            super().run(budget)

    def note():
        looks.append(len(log))
        timer.start(note)

    timer = gevent.get_hub().loop.timer(0.0)
    scheduler.enqueue(Looking(scheduler, "a", 400, log))
    until(lambda: looks[-1:] == [400])  # the last turn alone may be seen before the timer behind it has run
    timer.close()
    assert looks[0] == turns
    assert max(later - earlier for earlier, later in pairwise([0, *looks])) <= turns


def test_a_blocked_handler_lets_the_others_go_on(make):
    scheduler, log, block = make(), [], Event()
    scheduler.enqueue(RecordingRunnable(scheduler, "blocked", 1, log, block=block))
    scheduler.enqueue(RecordingRunnable(scheduler, "b", 3, log))
    settle()
    assert [name for name, _ in log] == ["blocked", "b", "b", "b"]
    block.set()
    settle()
    assert log[-1] == ("blocked", "unblocked")


def test_a_hundred_blocked_handlers_have_a_greenlet_each_and_all_come_back(make):
    scheduler, log, block = make(spare=2), [], Event()
    for number in range(100):
        scheduler.enqueue(RecordingRunnable(scheduler, number, 1, log, block=block))
    settle()
    assert scheduler.runners == 100
    block.set()
    until(lambda: len(log) == 200)
    settle()
    assert scheduler.runners == 2  # the spare ones


def test_an_idle_scheduler_without_spare_workers_has_no_greenlet(make):
    scheduler, log = make(spare=0), []
    scheduler.enqueue(RecordingRunnable(scheduler, "a", 5, log))
    settle()
    assert len(log) == 5
    assert scheduler.runners == 0


def test_a_spare_worker_is_used_again(make):
    scheduler, log, seen = make(spare=1), [], []

    class Looking(RecordingRunnable):
        def run(self, budget):
            seen.append(gevent.getcurrent())
            super().run(budget)

    for _ in range(3):
        scheduler.enqueue(Looking(scheduler, "a", 1, log))
        settle()
    assert len(set(map(id, seen))) == 1
    assert scheduler.runners == 1


def test_a_closed_scheduler_lets_its_workers_go_but_still_runs_what_comes(make):
    scheduler, log, block = make(spare=4), [], Event()
    scheduler.enqueue(RecordingRunnable(scheduler, "blocked", 1, log, block=block))
    scheduler.enqueue(RecordingRunnable(scheduler, "a", 1, log))
    settle()
    assert scheduler.runners == 2
    scheduler.close()
    settle()
    assert scheduler.runners == 1  # the blocked one
    scheduler.enqueue(RecordingRunnable(scheduler, "late", 1, log))
    settle()
    assert ("late", 32) in log
    block.set()
    settle()
    assert scheduler.runners == 0


def test_a_fault_of_the_runtime_costs_one_turn_and_not_the_scheduler(make, capfd):
    scheduler, log = make(), []

    class Faulty:
        def run(self, _):
            raise RuntimeError("a planted failure")

        def failed(self, failure):
            raise RuntimeError("a planted fault") from failure.error

    scheduler.enqueue(Faulty())
    scheduler.enqueue(RecordingRunnable(scheduler, "a", 2, log))
    settle()
    assert len(log) == 2
    assert "a planted fault" in capfd.readouterr().err


def test_a_ctrl_c_between_two_turns_costs_one_of_them_at_most(make):
    scheduler, log = make(spare=0), []

    class Interrupted(deque):
        interrupted = False

        def popleft(self):
            if not self.interrupted:
                self.interrupted = True
                raise KeyboardInterrupt
            return super().popleft()

    scheduler.queue = Interrupted()
    scheduler.enqueue(RecordingRunnable(scheduler, "a", 2, log))
    with pytest.raises(KeyboardInterrupt):
        settle()
    until(lambda: len(log) == 2)
    settle()
    assert not scheduler.busy
    assert scheduler.runners == 0


def test_two_schedulers_of_one_hub_do_not_know_each_other(make):
    one, two, log, block = make(), make(), [], Event()
    one.enqueue(RecordingRunnable(one, "one", 1, log, block=block))
    two.enqueue(RecordingRunnable(two, "two", 2, log))
    settle()
    assert (one.runners, two.runners) == (1, 1)
    block.set()
    settle()
    assert len(log) == 4


def in_the_hub(function):
    """Call a function in the hub, and wait for it."""
    done = Event()
    gevent.get_hub().loop.run_callback(lambda: (function(), done.set()))
    assert done.wait(60)


def test_the_queue_can_be_run_in_the_middle_of_a_turn_of_the_hub(make):
    scheduler, log = make(drain=7, turns=3), []

    def turn():
        scheduler.enqueue(RecordingRunnable(scheduler, "a", 2, log))
        scheduler.run_now()
        log.append("later in the turn")
        scheduler.run_now()

    in_the_hub(turn)
    settle()
    assert log == [("a", 7), ("a", 7), "later in the turn"]


def test_a_queue_that_is_longer_than_a_slice_waits_for_the_next_turn_of_the_hub(make):
    scheduler, log = make(drain=7, turns=3), []
    assert not scheduler.is_behind()

    def turn():
        scheduler.enqueue(RecordingRunnable(scheduler, "a", 5, log))
        scheduler.run_now()
        log.append("later in the turn")
        assert scheduler.is_behind()
        scheduler.run_now()

    in_the_hub(turn)
    settle()
    assert not scheduler.is_behind()
    assert log == [*[("a", 7)] * 3, "later in the turn", *[("a", 7)] * 2]
