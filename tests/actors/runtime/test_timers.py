"""Callbacks by due time, on one heap; run by the test, and by the hub."""

import gevent
import pytest

from chargehand.actors.runtime.timers import LEFT_LEAST, HubTimers, SystemClock, Timers
from chargehand.testing import ManualClock

from ...hub import settle, until


@pytest.fixture
def clock():
    return ManualClock(monotonic=0.0)


@pytest.fixture
def timers(clock):
    return Timers(clock)


def test_callbacks_run_in_the_order_of_their_times_and_then_of_their_coming(clock, timers):
    log = []
    for due, name in ((3, "c"), (1, "a"), (2, "b"), (1, "a too")):
        timers.call_at(due, lambda name=name: log.append(name))
    clock.advance(2)
    assert timers.run_due() == 3
    assert log == ["a", "a too", "b"]
    clock.advance(1)
    assert timers.run_due() is None
    assert log[-1] == "c"


def test_nothing_runs_before_its_time(clock, timers):
    timers.call_at(5, lambda: pytest.fail("too early"))
    clock.advance(4.999)
    assert timers.run_due() == 5
    assert len(timers) == 1


def test_it_knows_when_the_next_callback_is_due(timers):
    assert timers.due == float("inf")
    timers.call_at(5, int)
    timers.call_at(3, int)
    assert timers.due == 3


def test_callbacks_that_are_over_are_taken_out_before_their_time(clock, timers):
    class Callback:
        over = False
        calls = 0

        def __call__(self):
            Callback.calls += 1

    callbacks = [Callback() for _ in range(2 * LEFT_LEAST)]
    for callback in callbacks:
        timers.call_at(60, callback)
    timers.call_at(59, int)
    for callback in callbacks[:-1]:
        callback.over = True
        timers.leave()
    assert len(timers) <= LEFT_LEAST
    assert timers.due == 59
    clock.advance(60)
    timers.run_due()
    assert Callback.calls <= LEFT_LEAST


def test_a_callback_can_put_in_another_one(clock, timers):
    log = []
    timers.call_at(1, lambda: timers.call_at(2, lambda: log.append(clock.monotonic())))
    clock.advance(5)
    timers.run_due()
    assert log == [5.0]


def test_a_callback_that_fails_does_not_hold_the_others(clock, timers, capfd):
    log = []

    def broken():
        raise ValueError("a planted fault")

    timers.call_at(1, broken)
    timers.call_at(2, lambda: log.append("after"))
    clock.advance(3)
    assert timers.run_due() is None
    assert log == ["after"]
    assert "a planted fault" in capfd.readouterr().err


def test_clear_forgets_everything(clock, timers):
    timers.call_at(1, lambda: pytest.fail("forgotten"))
    timers.clear()
    clock.advance(2)
    assert timers.run_due() is None


# Run by the hub


@pytest.fixture
def hub_timers():
    timers = HubTimers(SystemClock())
    yield timers
    timers.clear()


def test_the_hub_runs_what_is_due(hub_timers):
    log, now = [], SystemClock.monotonic()
    hub_timers.call_at(now + 0.004, lambda: log.append("later"))
    hub_timers.call_at(now + 0.001, lambda: log.append("sooner"))
    hub_timers.call_at(now - 1, lambda: log.append("long ago"))
    assert log == []
    until(lambda: len(log) == 3)
    assert log == ["long ago", "sooner", "later"]
    assert SystemClock.monotonic() >= now + 0.004


def test_a_callback_run_by_the_hub_can_put_in_another_one(hub_timers):
    log = []
    now = SystemClock.monotonic()
    hub_timers.call_at(now, lambda: hub_timers.call_at(now + 0.001, lambda: log.append("second")))
    until(lambda: log)


def test_the_hubs_timer_keeps_no_process_alive(hub_timers):
    hub_timers.call_at(SystemClock.monotonic() + 3600, int)
    assert not hub_timers._timer.ref


def test_one_timer_of_the_hub_serves_all(hub_timers):
    now = SystemClock.monotonic()
    hub_timers.call_at(now + 100, int)
    first = hub_timers._timer
    hub_timers.call_at(now + 200, int)
    assert hub_timers._timer is first
    hub_timers.call_at(now + 50, int)
    assert hub_timers._timer is not first
    assert not first.active


def test_a_cleared_timer_fires_no_more(hub_timers):
    hub_timers.call_at(SystemClock.monotonic(), lambda: pytest.fail("cleared"))
    hub_timers.clear()
    gevent.sleep(0)
    settle()
    assert hub_timers._timer is None
