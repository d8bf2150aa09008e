"""Work that comes at once is done a few pieces at a time, and the hub serves its sockets in between."""

import gevent
import pytest

from chargehand.transport.lots import Lots

from ..hub import settle, until


@pytest.fixture
def done():
    return []


def pieces(done, count):
    return [lambda place=place: done.append(place) for place in range(count)]


def waiting(lots, done, count):
    """Start greenlets that wait for their turn and then note their place."""

    def passes(place):
        lots.wait()
        done.append(place)

    return [gevent.spawn(passes, place) for place in range(count)]


def seen_at_turns(done, most):
    """Return how many were done at each turn of the hub, until so many are."""
    looked = []
    watcher = gevent.get_hub().loop.prepare()
    watcher.start(lambda: looked.append(len(done)))
    until(lambda: len(done) == most)
    watcher.stop()
    watcher.close()
    return looked


def test_a_single_piece_is_done_at_once(done):
    assert Lots(1).do(lambda: done.append(1)) is True
    assert done == [1]
    settle()


def test_of_many_a_few_are_done_at_once_and_the_rest_in_turns_in_order(done):
    lots = Lots(3)
    assert [lots.do(one) for one in pieces(done, 10)] == [True] * 3 + [False] * 7
    until(lambda: len(done) == 10)
    assert done == [*range(10)]


def test_the_hub_has_its_turn_between_two_lots(done):
    lots = Lots(1)
    for one in pieces(done, 5):
        lots.do(one)
    assert {1, 2, 3, 4} <= {*seen_at_turns(done, 5)}


def test_after_a_rest_the_next_piece_is_done_at_once_again(done):
    lots = Lots(1)
    for one in pieces(done, 3):
        lots.do(one)
    until(lambda: len(done) == 3)
    settle()
    assert lots.do(lambda: None) is True
    settle()


def test_while_the_actors_are_behind_a_turn_has_one_piece_and_then_a_few_again(done):
    behind = [True, True, False]
    lots = Lots(3, lambda: behind.pop(0) if behind else False)
    for one in pieces(done, 10):
        lots.do(one)
    assert {*seen_at_turns(done, 10)} - {3, 10} == {4, 5, 8}


def test_a_piece_that_raises_is_told_and_the_others_are_done(done, capfd):
    lots = Lots(1)
    first, *others = pieces(done, 4)
    lots.do(first)
    lots.do(lambda: 1 / 0)
    for one in others:
        lots.do(one)
    until(lambda: len(done) == 4)
    settle()
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_greenlets_go_on_a_few_at_a_turn_in_the_order_in_which_they_came(done):
    lots = Lots(2)
    greenlets = waiting(lots, done, 7)
    assert {4, 6} <= {*seen_at_turns(done, 7)} <= {0, 2, 4, 6, 7}
    gevent.joinall(greenlets)
    assert done == [*range(7)]


def test_a_greenlet_that_ends_while_it_waits_holds_nobody_up(done):
    lots = Lots(1)
    greenlets = waiting(lots, done, 5)
    gevent.sleep(0)
    greenlets[1].kill(block=False)
    gevent.joinall(greenlets)
    assert done == [0, 2, 3, 4]
