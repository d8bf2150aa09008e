"""Ends of an actor with concurrent handlers, by a stop, a crash or a kill, and of its ordering keys."""

import pytest
from gevent.event import Event

from chargehand.actors.runtime.cell import CellPhase, Ending
from chargehand.actors.runtime.failure import ActorKilled, HandlerKilled
from chargehand.actors.runtime.ordered_cell import GRACE_S, OrderedCell
from chargehand.actors.runtime.scheduler import Scheduler
from chargehand.actors.runtime.timers import Timers
from chargehand.testing import ManualClock

from ...hub import settle, until
from ..jobs import Job, JobActor, begun, swallowing

# Stopping


def test_a_stop_waits_for_the_handlers_that_have_begun_and_for_what_came_before_it(make, log):
    cell, block = make(), Event()
    for job in (Job("a", 1, block), Job("a", 2), Job("b", 1)):
        cell.tell(job)
    stopped = cell.ref.stop(block=False)
    cell.tell(Job("c", 1))
    settle()
    assert begun(log) == ["a1", "b1"]
    assert not stopped.done()
    block.set()
    assert stopped.get(timeout=60) is True
    assert log[-2:] == ["-a2", "on_stop"]
    assert cell.depth == 1  # what came behind the stop waits for the next actor


def test_nothing_is_begun_while_on_stop_runs(make, log):
    block = Event()

    class Slow(JobActor):
        def on_stop(self):
            self.log.append("on_stop")
            block.wait()
            self.log.append("on_stop is over")

    cell = make(actor=Slow)
    cell.ref.stop(block=False)
    settle()
    cell.tell(Job("a", 1))
    settle()
    assert log == ["on_stop"]
    block.set()
    settle()
    assert log == ["on_stop", "on_stop is over"]
    assert cell.phase is CellPhase.VACANT


def test_an_on_stop_that_hangs_can_be_killed_and_ends_the_actor_once(make, exits):
    class Hanging(JobActor):
        def on_stop(self):
            Event().wait()

    cell = make(actor=Hanging)
    stopped = cell.ref.stop(block=False)
    settle()
    cell.kill()
    assert stopped.get(timeout=60) is True
    settle()
    assert [exit_.ending for exit_ in exits] == [Ending.KILLED]
    assert cell.scheduler.runners == 0


def test_a_stop_of_an_idle_one_is_a_normal_end(make, exits, log):
    cell = make()
    assert cell.ref.stop(timeout=60) is True
    assert exits[0].ending is Ending.NORMAL
    assert log == ["on_stop"]


# Crashes and kills


def test_a_crash_keeps_what_waits_in_order_for_the_next_actor(make, log, exits):
    cell, block = make(concurrency=3), Event()
    for job in (Job("a", 1, block), Job("b", 1, block), Job("a", 2), Job("b", 2), Job("a", 3)):
        cell.tell(job)
    cell.tell(Job("c", 1, error=ValueError("crash")))
    cell.tell(Job("a", 4))
    until(lambda: exits)
    assert cell.depth == 4
    del log[:]
    block.set()
    settle()
    assert log == ["-a1", "-b1"]  # the handlers that had begun go on to their end, and begin nothing more
    cell.start()
    settle()
    order = begun(log)
    assert sorted(order) == ["a2", "a3", "a4", "b2"]
    assert [name for name in order if name[0] == "a"] == ["a2", "a3", "a4"]


def test_an_ordering_key_waits_for_a_handler_of_the_actor_before(make, log, exits):
    cell, block = make(), Event()
    for job in (Job("a", 1, block), Job("a", 2), Job("c", 1, error=ValueError("crash"))):
        cell.tell(job)
    until(lambda: exits)
    cell.start()
    for job in (Job("a", 3), Job("b", 1)):
        cell.tell(job)
    settle()
    assert begun(log) == ["a1", "c1", "b1"]
    block.set()
    settle()
    assert begun(log) == ["a1", "c1", "b1", "a2", "a3"]
    assert log.index("-a1") < log.index("+a2")
    assert cell.ordering_keys == cell.waiting == {}


def test_the_handlers_of_the_actor_before_count_among_those_it_may_have(make, log, exits):
    cell, block = make(concurrency=2), Event()
    for job in (Job("a", 1, block), Job("b", 1, error=ValueError("crash"))):
        cell.tell(job)
    until(lambda: exits)
    cell.start()
    for name in "cd":
        cell.tell(Job(name, 1, block))
    settle()
    assert begun(log) == ["a1", "b1", "c1"]
    block.set()
    settle()
    assert begun(log) == ["a1", "b1", "c1", "d1"]


def test_a_handler_that_swallows_its_actors_kill_frees_its_key_after_the_grace(make, log):
    block, timers = Event(), Timers(ManualClock())
    cell = make(actor=swallowing(block), timers=timers)
    for job in (Job("a", 1, block), Job("a", 2)):
        cell.tell(job)
    settle()
    cell.kill()
    cell.start()
    settle()
    assert log == ["+a1", "on_killed", "swallowed", "on_start"]
    timers.clock.advance(GRACE_S)
    timers.run_due()
    settle()
    assert begun(log) == ["a1", "a2"]
    block.set()
    settle()
    assert cell.ordering_keys == cell.dying == {}


def test_the_end_kills_handlers_whose_actor_is_gone_already(make, exits):
    cell, block = make(), Event()
    old = Job("a", 1, block)
    for job in (old, Job("b", 1, error=ValueError("crash"))):
        cell.tell(job)
    until(lambda: exits)
    assert old.running is not None
    cell.end()
    settle()
    assert isinstance(old.outcome.error, ActorKilled)
    assert cell.scheduler.runners == 0


def test_a_kill_interrupts_all_handlers_and_keeps_what_waits(make, log, exits):
    cell, block = make(), Event()
    jobs = [Job("a", 1, block), Job("b", 1, block), Job("a", 2), Job("b", 2)]
    for job in jobs:
        cell.tell(job)
    settle()
    cell.kill()
    settle()
    assert exits[0].ending is Ending.KILLED
    assert all(isinstance(job.outcome.error, ActorKilled) for job in jobs[:2])
    assert "on_killed" in log
    cell.start()
    settle()
    assert sorted(begun(log)[2:]) == ["a2", "b2"]


def test_a_handler_that_swallows_its_kill_holds_nobody_up(make, log):
    block = Event()

    class Stubborn(JobActor):
        def work(self, job):
            while job.block is not None and not block.is_set():
                try:
                    block.wait()
                except HandlerKilled:
                    self.log.append("swallowed")
            super().work(Job(job.ordering_key, job.name))

    cell = make(actor=Stubborn)
    cell.tell(Job("a", 1, block))
    settle()
    cell.kill()
    settle()
    assert "swallowed" in log
    cell.start()
    cell.tell(Job("a", 2))
    settle()
    assert begun(log) == ["a2"]
    block.set()
    settle()
    assert begun(log) == ["a2", "a1"]
    assert cell.ordering_keys == {}


def test_asks_in_handlers_that_are_killed_end(make):
    cell, block = make(), Event()
    asked = cell.ref.ask(Job("a", 1, block, error=ValueError("after the kill")), block=False)
    settle()
    cell.kill()
    with pytest.raises(ValueError, match="after the kill"):
        asked.get(timeout=60)


def test_a_kill_while_it_starts_is_a_kill_of_the_start(log, exits):
    class Slow(JobActor):
        def on_start(self):
            Event().wait()

    cell = OrderedCell(
        Scheduler(spare=0), "ordering_keys", Slow.maker(log), lambda _, exit_: exits.append(exit_)
    )
    cell.start(wait=False)
    settle()
    cell.kill()
    settle()
    assert not exits[0].started
    cell.end()


def test_messages_that_come_while_it_starts_wait_for_on_start(log):
    release = Event()

    class Slow(JobActor):
        def on_start(self):
            release.wait()
            self.log.append("on_start")

    cell = OrderedCell(Scheduler(spare=0), "ordering_keys", Slow.maker(log))
    cell.tell(Job("a", 1))
    cell.start(wait=False)
    settle()
    cell.tell(Job("b", 1))
    settle()
    assert log == []
    release.set()
    settle()
    assert log == ["on_start", "+a1", "-a1", "+b1", "-b1"]
    cell.kill()
    cell.end()
