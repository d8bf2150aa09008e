"""A clock that stands still until it is moved, and then stops at each due time."""

import pytest

from chargehand.actors.runtime.timers import Timers
from chargehand.testing import ManualClock


def test_it_stands_still():
    clock = ManualClock(time=100.0, monotonic=5.0)
    assert (clock.time(), clock.monotonic()) == (100.0, 5.0)
    assert (clock.time(), clock.monotonic()) == (100.0, 5.0)


def test_both_clocks_are_moved_together():
    clock = ManualClock(time=100.0, monotonic=5.0)
    clock.advance(2.5)
    assert (clock.time(), clock.monotonic()) == (102.5, 7.5)


def test_the_time_of_day_can_be_changed_alone():
    clock = ManualClock(monotonic=5.0)
    clock.set_time(42.0)
    assert (clock.time(), clock.monotonic()) == (42.0, 5.0)


def test_time_does_not_go_back():
    with pytest.raises(ValueError, match="time does not go back"):
        ManualClock().advance(-0.1)


def driven(count=1):
    clock = ManualClock(monotonic=0.0)
    timers = [Timers(clock) for _ in range(count)]
    for one in timers:
        clock.drive(one)
    return clock, *timers


def test_what_is_due_on_the_way_runs_at_its_own_time():
    clock, timers = driven()
    seen = []
    for due in (3.0, 1.0, 2.0, 9.0):
        timers.call_at(due, lambda: seen.append(clock.monotonic()))
    clock.advance(5)
    assert seen == [1.0, 2.0, 3.0]
    assert clock.monotonic() == 5.0
    clock.advance(4)
    assert seen[-1] == 9.0


def test_what_was_due_already_runs_even_when_no_time_passes():
    clock, timers = driven()
    seen = []
    timers.call_at(-1.0, lambda: seen.append("late"))
    clock.advance(0)
    assert seen == ["late"]
    assert clock.monotonic() == 0.0


def test_what_a_callback_puts_in_runs_too():
    clock, timers = driven()
    seen = []

    def again():
        seen.append(clock.monotonic())
        if len(seen) < 5:
            timers.call_at(clock.monotonic() + 1, again)

    timers.call_at(1.0, again)
    clock.advance(3.5)
    assert seen == [1.0, 2.0, 3.0]


def test_several_timers_are_driven_in_the_order_of_their_times():
    clock, one, two = driven(2)
    seen = []
    one.call_at(2.0, lambda: seen.append("one"))
    two.call_at(1.0, lambda: seen.append("two"))
    clock.advance(3)
    assert seen == ["two", "one"]


def test_whoever_wants_to_works_between_the_steps():
    clock, timers = driven()
    times = []
    timers.call_at(1.0, int)
    timers.call_at(2.0, int)
    clock.advance(5, lambda: times.append(clock.monotonic()))
    assert times == [0.0, 1.0, 2.0]


def test_what_is_put_in_between_the_steps_runs_in_its_time():
    clock, timers = driven()
    seen = []
    clock.advance(
        5, lambda: timers.call_at(3.0, lambda: seen.append(clock.monotonic())) if not seen else None
    )
    assert seen[0] == 3.0
