"""Connections that are lost at once end a few at a time, and the hub serves its sockets in between."""

import gevent
import pytest

from chargehand.transport.graceful_close import GracefulClose

from ..hub import settle, until


class EndRecorder:
    """Records that the connection has ended."""

    def __init__(self, ended):
        self._ended = ended

    def finish(self):
        self._ended.append(self)


@pytest.fixture
def ended():
    return []


def seen_at_turns(ended, most):
    """Return how many had ended at each turn of the hub, until so many have."""
    looked = []
    watcher = gevent.get_hub().loop.prepare()
    watcher.start(lambda: looked.append(len(ended)))
    until(lambda: len(ended) == most)
    watcher.stop()
    watcher.close()
    return looked


def test_one_that_is_lost_ends_at_once(ended):
    assert GracefulClose().let_go(EndRecorder(ended)) is True
    assert len(ended) == 1
    settle()


def test_of_many_a_few_end_at_once_and_the_rest_in_turns_in_order(ended):
    departures = GracefulClose(at_a_turn=3)
    lost = [EndRecorder(ended) for _ in range(10)]
    assert [departures.let_go(one) for one in lost] == [True] * 3 + [False] * 7
    sizes = []
    until(lambda: sizes.append(len(ended)) or len(ended) == 10)
    assert ended == lost


def test_the_hub_has_its_turn_between_two_lots(ended):
    departures = GracefulClose(at_a_turn=1)
    for _ in range(5):
        departures.let_go(EndRecorder(ended))
    assert {1, 2, 3, 4} <= {*seen_at_turns(ended, 5)}


def test_after_a_rest_the_next_one_ends_at_once_again(ended):
    departures = GracefulClose(at_a_turn=1)
    for _ in range(3):
        departures.let_go(EndRecorder(ended))
    until(lambda: len(ended) == 3)
    settle()
    assert departures.let_go(EndRecorder(ended)) is True
    settle()


def test_while_the_actors_are_behind_one_ends_at_a_turn_and_then_a_few_again(ended):
    behind = [True, True, False]
    departures = GracefulClose(lambda: behind.pop(0) if behind else False, at_a_turn=3)
    for _ in range(10):
        departures.let_go(EndRecorder(ended))
    assert {*seen_at_turns(ended, 10)} - {3, 10} == {4, 5, 8}
