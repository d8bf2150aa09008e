"""Requests: ids in their paths, and the end of waiting ones when the server stops."""

import gevent
import pytest
from gevent.event import Event
from hypothesis import given
from hypothesis import strategies as st

from chargehand.web.requests import Segment, Stop, Stopping, encoded_path, segment


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/b?c=/d", "/a/b"),
        ("/a%2Fb/%C3%BC%7C", "/a%2Fb/%C3%BC%7C"),
        ("/\xc3\xbc", "/%C3%BC"),  # raw UTF-8, a character a byte
        ("/a|b+c", "/a|b+c"),
        ("*", "*"),
    ],
)
def test_a_path_stays_as_it_was_sent(target, path):
    assert encoded_path(target) == path


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_id_comes_back(text):
    path = encoded_path(f"/{segment(text)}/x")
    assert path.isascii()
    _, first, last = path.split("/")
    assert Segment().convert(first) == text
    assert last == "x"


def test_a_segment_that_is_not_utf_8_matches_nothing():
    assert Segment().convert("%FF") is None


# How the end reaches those who wait


def waiter(stop, event):
    try:
        with stop.interrupts():
            return event.wait(60)
    except Stopping:
        return "stopping"


def test_whoever_waits_is_interrupted():
    stop, event = Stop(), Event()
    waiting = [gevent.spawn(waiter, stop, event) for _ in range(3)]
    gevent.idle()
    stop.begin()
    assert [one.get(timeout=60) for one in waiting] == ["stopping"] * 3


def test_what_came_at_the_same_moment_counts():
    stop, event = Stop(), Event()
    waiting = gevent.spawn(waiter, stop, event)
    gevent.idle()
    event.set()
    stop.begin()
    assert waiting.get(timeout=60) is True


def test_whoever_has_gone_on_is_left_alone():
    stop, event, later = Stop(), Event(), Event()

    def goes_on():
        waiter(stop, event)
        return later.wait(60)

    going = gevent.spawn(goes_on)
    gevent.idle()
    event.set()
    gevent.idle()
    stop.begin()
    gevent.idle()
    later.set()
    assert going.get(timeout=60) is True


def test_after_the_end_nobody_waits_any_more():
    stop = Stop()
    stop.begin()
    with pytest.raises(Stopping), stop.interrupts():
        pytest.fail("it waited")
