"""The hub pauses for a moment when a thread does not get the GIL, and only then."""

import pytest

from chargehand.store.gil_handoff import LOOK_S, LOOK_SELDOM_S, LOOKS, YIELD_S, GilHandoff


class ManualLoop:
    """Timers that run on the test's command."""

    def __init__(self):
        self.timers = []

    def timer(self, after_s, *, ref):
        self.timers.append(ManualTimer(after_s))
        return self.timers[-1]

    def run(self):
        (timer,) = [timer for timer in self.timers if timer.callback is not None]
        timer.callback(*timer.arguments)


class ManualTimer:
    def __init__(self, after_s):
        self.after_s = after_s
        self.callback = None

    def start(self, callback, *arguments):
        self.callback, self.arguments = callback, arguments

    def stop(self):
        self.callback = None

    close = stop


class RecordingLock:
    """Notes the time for which it is waited."""

    def __init__(self):
        self.waits = []

    def acquire(self, timeout=-1):
        self.waits.append(timeout)


@pytest.fixture
def loop():
    return ManualLoop()


@pytest.fixture
def lock():
    return RecordingLock()


def test_a_thread_that_gets_on_costs_the_hub_nothing(loop, lock):
    done = iter(range(1, 100))
    GilHandoff(lock).begin(loop, lambda: next(done))
    for _ in range(10):
        loop.run()
    assert lock.waits == [-1]
    assert {timer.after_s for timer in loop.timers} == {LOOK_S}


def test_for_one_that_does_not_the_hub_stands_still_and_seldom_after_a_while(loop, lock):
    GilHandoff(lock).begin(loop, lambda: 0)
    for _ in range(LOOKS + 3):
        loop.run()
    assert lock.waits == [-1] + [YIELD_S] * (LOOKS + 3)
    assert [timer.after_s for timer in loop.timers] == [LOOK_S] * LOOKS + [LOOK_SELDOM_S] * 4


def test_with_progress_it_looks_often_again(loop, lock):
    done = [0]
    GilHandoff(lock).begin(loop, lambda: done[0])
    for _ in range(LOOKS):
        loop.run()
    done[0] = 1
    loop.run()
    assert loop.timers[-1].after_s == LOOK_S


def test_it_ends_with_the_work_and_begins_with_it_once(loop, lock):
    courtesy = GilHandoff(lock)
    done = [0]
    courtesy.begin(loop, lambda: done[0])
    courtesy.begin(loop, lambda: done[0])
    done[0] = None
    loop.run()
    assert len(loop.timers) == 1
    done[0] = 1
    courtesy.begin(loop, lambda: done[0])
    assert len(loop.timers) == 2
    courtesy.end()
    courtesy.end()
    assert all(timer.callback is None for timer in loop.timers)
