"""Futures behave as pykka's do, and greenlets may wait for them without any patching."""

import queue

import gevent
import pykka
import pytest

from chargehand.actors.runtime.future import Future, wake_all

from ...hub import settle

TIMEOUT_S = 60.0


@pytest.fixture(params=[pykka.ThreadingFuture, Future], ids=["threads", "gevent"])
def kind(request):
    """Class of the future."""
    return request.param


@pytest.fixture
def future(kind):
    return kind()


def failure(text="broken"):
    try:
        int(text)
    except ValueError as error:
        return type(error), error, error.__traceback__


@pytest.mark.parametrize("value", [None, 0, "", "text", [], ValueError("as a value")])
def test_a_value_is_given_as_often_as_it_is_asked_for(future, value):
    future.set(value)
    assert future.get(timeout=0) is value
    assert future.get() is value


def test_a_future_set_to_nothing_holds_none(future):
    future.set()
    assert future.get(timeout=0) is None


def test_an_exception_is_raised_as_often_as_it_is_asked_for(future):
    failed = failure()
    future.set_exception(failed)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken") as caught:
            future.get(timeout=0)
        assert caught.value is failed[1]


def test_the_exception_being_handled_is_the_one_that_is_set(future):
    try:
        {}["handled"]
    except KeyError:
        future.set_exception()
    with pytest.raises(KeyError, match="handled"):
        future.get(timeout=0)


def test_an_exception_without_a_value_is_made_from_its_class(future):
    future.set_exception((KeyError, None, None))
    with pytest.raises(KeyError):
        future.get(timeout=0)


def test_a_get_that_takes_too_long_is_a_timeout(future):
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0)
    with pytest.raises(pykka.Timeout, match=r"0\.001 seconds"):
        future.get(timeout=0.001)


@pytest.mark.parametrize("first", ["set", "set_exception", "set_get_hook"])
@pytest.mark.parametrize("second", ["set", "set_exception"])
def test_the_first_result_stands(kind, first, second):
    arguments = {"set": (1,), "set_exception": (failure(),), "set_get_hook": (lambda _: 1,)}
    future = kind()
    getattr(future, first)(*arguments[first])
    with pytest.raises(queue.Full):
        getattr(future, second)(*arguments[second])


def test_a_result_leaves_no_place_for_a_hook(future):
    future.set(1)
    with pytest.raises(queue.Full):
        future.set_get_hook(lambda _: 2)


def test_a_hook_makes_the_value_once_and_is_told_the_timeout(future):
    asked = []
    future.set_get_hook(lambda timeout: asked.append(timeout) or "made")
    assert future.get(timeout=3) == "made"
    assert future.get(timeout=4) == "made"
    assert asked == [3]


def test_a_hook_that_fails_is_asked_again(future):
    asked = []

    def hook(_):
        asked.append(1)
        raise ValueError(len(asked))

    future.set_get_hook(hook)
    for number in (1, 2):
        with pytest.raises(ValueError, match=str(number)):
            future.get(timeout=0)


def test_map_filter_reduce_and_join_work_on_the_value_to_come(kind):
    one, two = kind(), kind()
    mapped, reduced = one.map(lambda values: values[0]), one.reduce(lambda a, b: a + b, 10)
    filtered, joined = one.filter(lambda value: value > 1), one.join(two)
    one.set([1, 2, 3])
    two.set("two")
    assert mapped.get(timeout=0) == 1
    assert filtered.get(timeout=0) == [2, 3]
    assert reduced.get(timeout=0) == 16
    assert joined.get(timeout=0) == [[1, 2, 3], "two"]
    assert pykka.get_all([one, two], timeout=0) == [[1, 2, 3], "two"]


def test_an_exception_needs_one():
    with pytest.raises(ValueError, match="no exception"):
        Future().set_exception()


def test_a_waiting_greenlet_lets_the_others_run():
    future, order = Future(), []

    def wait():
        order.append("waits")
        order.append(future.get(timeout=TIMEOUT_S))

    waiting = [gevent.spawn(wait), gevent.spawn(wait)]
    settle()
    order.append("goes on")
    future.set("value")
    gevent.joinall(waiting, timeout=TIMEOUT_S, raise_error=True)
    assert order == ["waits", "waits", "goes on", "value", "value"]


def test_a_timeout_of_the_callers_own_passes_through():
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.001):
        Future().get(timeout=TIMEOUT_S)


def test_it_says_whether_there_is_a_result():
    future = Future()
    assert not future.done()
    future.set(None)
    assert future.done()
    failed = Future()
    failed.set_exception(failure())
    assert failed.done()


def test_all_are_woken_although_one_gives_up_meanwhile():
    wakers, woken = [], []

    def gives_up():
        wakers.remove(gives_up)
        woken.append("first")

    wakers += [gives_up, lambda: woken.append("second"), lambda: woken.append("third")]
    wake_all(wakers)
    assert woken == ["first", "second", "third"]
