"""The check for leftovers finds everything that a test leaves, and nothing else."""

import socket
import subprocess
import sys
import threading

import gevent
import gevent.event
from greenlet import greenlet

from chargehand.actors.runtime.actor import Actor
from chargehand.actors.runtime.scheduler import Scheduler

from .leftovers import Snapshot


class IdleActor(Actor):
    """Does nothing."""


def test_a_test_that_leaves_nothing_is_left_alone():
    before = Snapshot()
    gevent.spawn(int).join()
    socket.socket().close()
    subprocess.run([sys.executable, "-c", ""], check=True)
    IdleActor.start().stop()
    assert before.left_behind() == []


def test_a_blocked_greenlet_is_seen():
    before = Snapshot()
    blocked = gevent.spawn(gevent.event.Event().wait)
    gevent.sleep(0)
    (left,) = before.left_behind(0)
    assert "greenlet" in left
    blocked.kill()
    assert before.left_behind() == []


def test_a_raw_greenlet_that_was_left_in_the_middle_is_seen():
    before = Snapshot()

    def park():
        parked.parent.switch()

    parked = greenlet(park)
    parked.switch()
    assert len(before.left_behind(0)) == 1
    parked.switch()
    assert before.left_behind(0) == []


def test_a_greenlet_that_is_about_to_end_is_waited_for():
    before = Snapshot()
    gevent.spawn_later(0.01, int)
    assert before.left_behind() == []


def test_an_actor_that_was_not_stopped_is_seen():
    before = Snapshot()
    ref = IdleActor.start()
    gevent.sleep(0)
    assert before.left_behind(0) == ["actor " + ref.actor_urn + " is running"]
    ref.stop()
    assert before.left_behind() == []


def test_spare_workers_are_seen_until_their_scheduler_is_closed():
    class Once:
        def run(self, _: int) -> None:
            """Do nothing."""

    before = Snapshot()
    scheduler = Scheduler(spare=1)
    scheduler.enqueue(Once())
    gevent.sleep(0)
    assert len(before.left_behind(0)) == 1
    scheduler.close()
    assert before.left_behind() == []


def test_an_open_socket_is_seen():
    before = Snapshot(objects=False)
    with socket.socket():
        (left,) = before.left_behind(0)
        assert "socket" in left
    assert before.left_behind(0) == []


def test_a_native_thread_is_seen_until_it_ends():
    before = Snapshot(objects=False)
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="left-alone")
    thread.start()
    (left,) = before.left_behind(0)
    assert left.startswith("thread left-alone at ")
    release.set()
    assert before.left_behind() == []


def test_threads_of_the_hubs_pool_are_no_leftovers_however_many_there_are():
    before = Snapshot(objects=False)
    pool = gevent.get_hub().threadpool
    barrier = threading.Barrier(4)
    for waiting in [pool.spawn(barrier.wait) for _ in range(4)]:
        waiting.get(timeout=60)
    assert before.left_behind() == []


def test_a_child_process_is_seen_even_when_it_is_dead_and_nobody_has_waited_for_it():
    before = Snapshot(objects=False)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        left = before.left_behind(0)
        assert f"child process {child.pid}" in left
    assert before.left_behind(0) == []


def test_what_was_there_before_is_no_concern_of_the_test():
    blocked = gevent.spawn(gevent.event.Event().wait)
    gevent.sleep(0)
    with socket.socket():
        assert Snapshot().left_behind(0) == []
    blocked.kill()
