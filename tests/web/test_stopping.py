"""How the end reaches those who wait."""

import gevent
import pytest
from gevent.event import Event

from chargehand.web.requests import Stop, Stopping


def waiter(stop, event):
    try:
        with stop.interrupts():
            return event.wait(10)
    except Stopping:
        return "stopping"


def test_whoever_waits_is_interrupted():
    stop, event = Stop(), Event()
    waiting = [gevent.spawn(waiter, stop, event) for _ in range(3)]
    gevent.idle()
    stop.begin()
    assert [one.get(timeout=5) for one in waiting] == ["stopping"] * 3


def test_what_came_at_the_same_moment_counts():
    stop, event = Stop(), Event()
    waiting = gevent.spawn(waiter, stop, event)
    gevent.idle()
    event.set()
    stop.begin()
    assert waiting.get(timeout=5) is True


def test_whoever_has_gone_on_is_left_alone():
    stop, event, later = Stop(), Event(), Event()

    def goes_on():
        waiter(stop, event)
        return later.wait(10)

    going = gevent.spawn(goes_on)
    gevent.idle()
    event.set()
    gevent.idle()
    stop.begin()
    gevent.idle()
    later.set()
    assert going.get(timeout=5) is True


def test_after_the_end_nobody_waits_any_more():
    stop = Stop()
    stop.begin()
    with pytest.raises(Stopping), stop.interrupts():
        pytest.fail("it waited")
