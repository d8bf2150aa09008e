"""Simulated time: in order, at the moment of each thing, and standing still while it is held."""

import gevent
from gevent.event import Event

from chargehand.simulator.fleet.pace import Pace

from ...hub import until

FAST = 1e7


def test_each_thing_happens_at_its_own_moment():
    pace, seen = Pace(1000.0, FAST, lambda: False), []
    for due in (5000.0, 2000.5, 90_000.0):
        pace.timers.call_at(due, lambda due=due: seen.append((due, pace.now)))
    pace.run(100_000.0, Event())
    assert seen == [(2000.5, 2000.5), (5000.0, 5000.0), (90_000.0, 90_000.0)]
    assert pace.now == 100_000.0


def test_what_a_greenlet_waits_for_begins_at_that_moment():
    pace, seen = Pace(0.0, FAST, lambda: False), []

    def sleeper():
        for at in (10.0, 86_400.0, 86_401.0):
            pace.sleep_until(at)
            seen.append(pace.now)

    greenlet = gevent.spawn(sleeper)
    gevent.idle()
    pace.run(100_000.0, Event())
    greenlet.get()
    assert seen == [10.0, 86_400.0, 86_401.0]


def test_time_that_is_held_stands_still_until_it_is_let_go():
    held = [True]
    pace, over = Pace(0.0, FAST, lambda: held[0]), Event()
    asked = []

    def look():
        asked.append(pace.now)
        if len(asked) == 5:
            held[0] = False
        return held[0]

    pace._is_held = look

    def tick():
        pace.timers.call_at(pace.now + 1.0, tick)

    tick()
    gevent.spawn(pace.run, 1e9, over)
    until(lambda: len(asked) >= 6)
    over.set()
    assert len(set(asked[:5])) == 1
    assert pace.held_s > 0
