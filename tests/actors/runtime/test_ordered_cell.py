"""Concurrent handlers, and those with the same ordering key in order."""

from gevent.event import Event

from chargehand.actors.runtime.cell import CellPhase
from chargehand.actors.runtime.failure import ActorKilled
from chargehand.actors.runtime.ordered_cell import GRACE_S
from chargehand.actors.runtime.timers import Timers
from chargehand.testing import ManualClock

from ...hub import settle, until
from ..jobs import Job, begun, swallowing


def test_the_jobs_of_an_ordering_key_are_done_in_order_one_at_a_time(make, log):
    cell, block = make(), Event()
    for name in "123":
        cell.tell(Job("a", name, block))
    settle()
    assert log == ["+a1"]
    block.set()
    settle()
    assert log == ["+a1", "-a1", "+a2", "-a2", "+a3", "-a3"]


def test_a_blocked_ordering_key_does_not_hold_the_others(make, log):
    cell, block = make(), Event()
    for job in (Job("a", 1, block), Job("a", 2), Job("b", 1), Job("c", 1), Job("b", 2)):
        cell.tell(job)
    settle()
    assert begun(log) == ["a1", "b1", "c1", "b2"]
    block.set()
    settle()
    assert begun(log) == ["a1", "b1", "c1", "b2", "a2"]


def test_no_more_handlers_run_at_a_time_than_it_may_have(make, log):
    cell, block = make(concurrency=3), Event()
    for number in range(6):
        cell.tell(Job(number, "", block))
    settle()
    assert begun(log) == ["0", "1", "2"]
    assert cell.depth == 3
    block.set()
    settle()
    assert begun(log) == ["0", "1", "2", "3", "4", "5"]


def test_with_a_concurrency_of_one_it_is_a_strict_actor(make, log):
    cell, block = make(concurrency=1), Event()
    jobs = [Job("a", 1, block), Job("b", 1), Job("a", 2), Job("c", 1)]
    for job in jobs:
        cell.tell(job)
    settle()
    assert begun(log) == ["a1"]
    block.set()
    settle()
    assert log == ["+a1", "-a1", "+b1", "-b1", "+a2", "-a2", "+c1", "-c1"]


def test_messages_without_an_ordering_key_share_one(make):
    cell = make()
    futures = [cell.ref.ask(number, block=False) for number in range(5)]
    assert [future.get(timeout=60) for future in futures] == [0, 1, 2, 3, 4]


def test_an_ask_of_a_job_is_answered_whatever_the_other_ordering_keys_do(make):
    cell, block = make(), Event()
    cell.tell(Job("a", 1, block))
    assert cell.ref.ask(Job("b", 1), timeout=60) == "b1"
    waiting = cell.ref.ask(Job("a", 2), block=False)
    block.set()
    assert waiting.get(timeout=60) == "a2"


def test_a_hundred_thousand_turns_leave_nothing_behind(make):
    cell = make(concurrency=4)
    for number in range(20_000):
        cell.tell(Job(number % 7, number))
    until(lambda: not cell.messages)
    settle()
    assert cell.ordering_keys == {}
    assert cell.waiting == {}
    assert cell.depth == 0
    assert cell.scheduler.runners == 0


# Interrupting


def test_an_interrupt_ends_that_handler_alone(make, log, exits):
    cell, block = make(), Event()
    hanging, other, next_one = Job("a", 1, block), Job("b", 1, block), Job("a", 2)
    for job in (hanging, other, next_one):
        cell.tell(job)
    settle()
    cell.interrupt(hanging)
    settle()
    assert isinstance(hanging.outcome.error, ActorKilled)
    assert begun(log) == ["a1", "b1", "a2"]
    assert other.running is not None
    assert exits == []
    assert cell.phase is CellPhase.RUNNING
    block.set()


def test_an_interrupt_of_a_job_that_waits_or_is_done_hits_nobody(make, log):
    cell, block = make(), Event()
    done, running, waiting = Job("a", 0), Job("a", 1, block), Job("a", 2)
    for job in (done, running, waiting):
        cell.tell(job)
    settle()
    cell.interrupt(done)
    cell.interrupt(waiting)
    settle()
    assert running.running is not None
    block.set()
    settle()
    assert log[-1] == "-a2"
    assert running.outcome is None


def test_an_interrupt_for_the_actor_before_never_hits_the_next_one(make, exits):
    cell, block = make(), Event()
    old, new = Job("a", 1, block), Job("a", 2, block)
    cell.tell(old)
    cell.tell(Job("b", 1, error=ValueError("crash")))
    until(lambda: exits)
    cell.start()
    cell.tell(new)
    settle()
    cell.interrupt(old)
    cell.interrupt(old)
    settle()
    assert isinstance(old.outcome.error, ActorKilled)  # though its actor is long gone
    assert new.running is not None
    cell.interrupt(old)
    settle()
    assert new.running is not None
    block.set()


def test_a_handler_that_swallows_its_interrupt_is_abandoned_and_its_key_is_free(make, log):
    block, timers = Event(), Timers(ManualClock())
    cell = make(concurrency=1, actor=swallowing(block), timers=timers)
    stubborn = Job("a", 1, block)
    for job in (stubborn, Job("a", 2), Job("b", 1), Job("a", 3)):
        cell.tell(job)
    settle()
    cell.interrupt(stubborn)
    settle()
    assert log == ["+a1", "swallowed"]
    timers.clock.advance(GRACE_S - 0.01)
    timers.run_due()
    settle()
    assert log == ["+a1", "swallowed"]
    timers.clock.advance(0.01)
    timers.run_due()
    settle()
    assert log == ["+a1", "swallowed", "+a2", "-a2", "+b1", "-b1", "+a3", "-a3"]
    block.set()
    settle()
    assert log[-1] == "-a1"
    assert cell.ordering_keys == cell.waiting == {}
    cell.tell(Job("a", 4))
    settle()
    assert begun(log)[-1] == "a4"


def test_messages_behind_an_abandoned_handler_keep_their_order(make, log):
    block, timers = Event(), Timers(ManualClock())
    cell = make(actor=swallowing(block), timers=timers)
    stubborn = Job("a", 1, block)
    for job in (stubborn, Job("a", 2), Job("a", 3)):
        cell.tell(job)
    settle()
    cell.interrupt(stubborn)
    settle()
    cell.tell(Job("a", 4))
    timers.clock.advance(GRACE_S)
    timers.run_due()
    settle()
    assert begun(log) == ["a1", "a2", "a3", "a4"]
    block.set()


def test_one_that_ends_within_its_grace_is_not_abandoned(make, log):
    block, timers = Event(), Timers(ManualClock())
    cell = make(actor=swallowing(block), timers=timers)
    slow, behind = Job("a", 1, block), Job("a", 2, Event())
    for job in (slow, behind):
        cell.tell(job)
    settle()
    cell.interrupt(slow)
    settle()
    block.set()  # it ends, and the same greenlet goes on with the next of its ordering key
    settle()
    block.clear()
    cell.tell(Job("a", 3, block))
    settle()
    assert begun(log) == ["a1", "a2", "a3"]
    timers.clock.advance(GRACE_S)
    timers.run_due()
    settle()
    assert list(cell.ordering_keys) == ["a"]
    block.set()
