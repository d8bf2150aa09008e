import datetime as dt

import gevent
import pytest
from gevent.event import Event

from chargehand.simulator.errors import Disconnected
from chargehand.simulator.jobs import Jobs, PeriodicTask


def test_a_job_is_done_later_unless_it_is_cancelled(jobs, clock, settle):
    done = []
    jobs.later(10, done.append, "a")
    jobs.later(20, done.append, "b").cancel()
    clock.advance(9, settle)
    assert done == []
    clock.advance(20, settle)
    assert done == ["a"]


def test_the_time_is_in_whole_seconds_of_its_clock(jobs, clock):
    clock.advance(1.75)
    assert jobs.now() == dt.datetime(2026, 1, 1, 0, 0, 1, tzinfo=dt.UTC)


def test_the_end_leaves_nothing_running_and_nothing_to_come(jobs, clock, settle):
    done = []
    jobs.start(Event().wait)
    jobs.later(10, done.append, "a")
    gevent.idle()
    assert len(jobs) == 1
    jobs.end()
    jobs.start(done.append, "b")
    jobs.later(10, done.append, "c")
    clock.advance(20, settle)
    assert (len(jobs), done) == (0, [])


def test_a_job_that_ends_all_jobs_lives_to_its_own_end(jobs, settle):
    done = []

    def end():
        jobs.end()
        done.append("ended")

    jobs.start(Event().wait)
    jobs.start(end)
    settle()
    assert done == ["ended"]


def test_jobs_are_taken_again_after_a_new_beginning(jobs, settle):
    done = []
    jobs.end()
    jobs.begin()
    jobs.start(done.append, "a")
    settle()
    assert done == ["a"]


@pytest.mark.parametrize("error", [Disconnected("lost"), OSError("nobody")])
def test_a_failure_of_the_network_is_only_noted(jobs, settle, capsys, error):
    def fail():
        raise error

    jobs.start(fail)
    settle()
    assert capsys.readouterr().err == ""


def test_a_bug_is_shown(jobs, settle, capsys):
    jobs.start(lambda: 1 // 0)
    settle()
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_without_timers_it_has_its_own():
    jobs = Jobs("CP1")
    done = Event()
    jobs.later(0.001, done.set)
    assert done.wait(60)
    jobs.end()


def test_a_beat_follows_its_interval(jobs, clock, settle):
    interval_s = [10]
    beats = []
    beat = PeriodicTask(jobs, lambda: interval_s[0], lambda: beats.append(clock.monotonic()))
    beat.restart()
    clock.advance(25, settle)
    assert len(beats) == 2
    interval_s[0] = 0
    clock.advance(25, settle)
    assert len(beats) == 3  # the one that was due
    interval_s[0] = 5
    beat.restart()
    clock.advance(10, settle)
    assert len(beats) == 5
    beat.stop()
    clock.advance(60, settle)
    assert len(beats) == 5


def test_a_restarted_beat_counts_from_now(jobs, clock, settle):
    beats = []
    beat = PeriodicTask(jobs, lambda: 10, lambda: beats.append(clock.monotonic()))
    beat.restart()
    clock.advance(9, settle)
    beat.restart()
    clock.advance(9, settle)
    assert beats == []
