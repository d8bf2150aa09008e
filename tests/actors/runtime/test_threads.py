"""Calls from other native threads into a hub."""

import threading

import gevent
import pytest

from chargehand.actors.runtime.threads import Inlet, native_thread

from ...hub import settle, until


@pytest.fixture
def inlet():
    inlet = Inlet()
    yield inlet
    inlet.close()


def in_thread(function):
    """Run a function in a native thread, and let the hub run until it has ended."""
    thread = threading.Thread(target=function)
    thread.start()
    until(lambda: not thread.is_alive(), timeout_s=60)
    thread.join()


def test_what_another_thread_puts_in_is_called_in_the_hubs_thread(inlet):
    called = []
    in_thread(lambda: inlet.put(lambda one: called.append((one, native_thread())), 1))
    until(lambda: called)
    assert called == [(1, native_thread())]


def test_the_order_of_one_thread_is_kept(inlet):
    called = []
    in_thread(lambda: [inlet.put(called.append, number) for number in range(1000)])
    until(lambda: len(called) == 1000)
    assert called == list(range(1000))


def test_of_many_threads_at_once_nothing_is_lost_and_nothing_comes_twice(inlet):
    called = []
    threads = [
        threading.Thread(target=lambda n=n: [inlet.put(called.append, (n, i)) for i in range(500)])
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    until(lambda: len(called) == 4000, timeout_s=60)
    for thread in threads:
        thread.join()
    assert len(set(called)) == 4000


def test_it_wakes_a_hub_that_waits_for_nothing_else(inlet):
    woken = gevent.event.Event()
    thread = threading.Thread(target=lambda: inlet.put(lambda _: woken.set(), None))
    thread.start()
    assert woken.wait(60)
    thread.join()


def test_what_fails_is_shown_and_costs_the_others_nothing(inlet, capfd):
    called = []

    def fail(_):
        raise RuntimeError("planted")

    in_thread(lambda: [inlet.put(function, 1) for function in (fail, called.append)])
    until(lambda: called)
    assert "planted" in capfd.readouterr().err


def test_it_keeps_no_loop_alive(inlet):
    settle()
    before = gevent.get_hub().loop.activecnt
    others = [Inlet() for _ in range(3)]
    settle()
    assert gevent.get_hub().loop.activecnt == before
    for other in others:
        other.close()
    settle()
    assert gevent.get_hub().loop.activecnt == before


def test_what_was_put_in_before_the_close_is_called_by_it():
    inlet, called = Inlet(), []
    inlet.put(called.append, 1)
    inlet.close()
    assert called == [1]


def test_what_comes_after_the_close_is_called_where_it_comes_from():
    inlet, called = Inlet(), []
    inlet.close()
    in_thread(lambda: inlet.put(lambda _: called.append(native_thread()), None))
    assert len(called) == 1
    assert called[0] != native_thread()


def test_a_close_in_the_middle_of_it_loses_nothing():
    for _ in range(50):
        inlet, called = Inlet(), []
        thread = threading.Thread(target=lambda: [inlet.put(called.append, n) for n in range(200)])  # noqa: B023
        thread.start()
        gevent.sleep(0)
        inlet.close()
        until(lambda: not thread.is_alive())  # noqa: B023
        thread.join()
        assert sorted(called) == list(range(200))
