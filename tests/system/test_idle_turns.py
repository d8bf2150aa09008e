"""Turns for work that can wait: the calls go first, and the work is never left undone."""

import gevent

from chargehand.system.idle_turns import IdleTurns
from tests.hub import until


def test_a_hub_with_time_left_takes_a_turn_for_each_time_that_it_was_asked():
    taken = []
    turns = IdleTurns(taken.append)
    try:
        turns.ask()
        turns.ask()
        until(lambda: taken)
        assert len(taken) == 1
        turns.ask()
        until(lambda: len(taken) == 2)
    finally:
        turns.close()


def test_a_hub_without_time_left_takes_turns_all_the_same():
    taken = []

    def take(idle):
        taken.append(idle)
        turns.ask()

    def be_busy():
        while True:
            sum(range(1000))
            gevent.sleep(0)

    turns = IdleTurns(take)
    busy = gevent.spawn(be_busy)
    try:
        turns.ask()
        until(lambda: taken[-2:] == [False, False])
    finally:
        busy.kill()
        turns.close()


def test_no_turn_is_taken_after_the_end():
    taken = []
    turns = IdleTurns(taken.append)
    turns.ask()
    turns.close()
    turns.ask()
    gevent.sleep(0)
    assert taken == []
