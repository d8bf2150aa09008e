"""Life of an actor on its cell: starts, restarts and ends, and the fate of its messages."""

import gc
import sys
import time

import gevent
import pykka
import pytest
from gevent.event import Event

from chargehand.actors.runtime.actor import Actor
from chargehand.actors.runtime.cell import Cell, CellPhase, Ending
from chargehand.actors.runtime.scheduler import Scheduler

from ...hub import settle, until
from ..recording_actors import ScriptedActor, last_ending

# Starting


def test_a_start_returns_when_on_start_has(cell_harness):
    cell = cell_harness.started()
    assert cell.phase is CellPhase.RUNNING
    assert cell_harness.log == ["init", "on_start"]


def test_a_start_waits_for_an_on_start_that_blocks(cell_harness):
    release, order = Event(), []

    class Slow(ScriptedActor):
        def on_start(self):
            release.wait()
            order.append("on_start is over")

    cell = cell_harness.cell(Slow)
    starting = gevent.spawn(lambda: (cell.start(), order.append("start has returned")))
    settle()
    assert cell.phase is CellPhase.STARTING
    assert order == []
    release.set()
    starting.join()
    assert order == ["on_start is over", "start has returned"]


def test_a_start_raises_what_left_on_start_and_the_watcher_is_not_told(cell_harness):
    class Broken(ScriptedActor):
        def on_start(self):
            raise ValueError("start")

    cell = cell_harness.cell(Broken)
    with pytest.raises(ValueError, match="start"):
        cell.start()
    assert cell.phase is CellPhase.VACANT
    assert cell_harness.exits == []
    assert cell_harness.log == ["init"]  # on_failure is for the handlers of messages


def test_a_failed_start_can_be_tried_again_and_is_watched_then(cell_harness):
    class Moody(ScriptedActor):
        def on_start(self):
            if self.log.count("init") == 1:
                raise ValueError("the first time")

    cell = cell_harness.cell(Moody)
    with pytest.raises(ValueError, match="the first time"):
        cell.start()
    cell.start()
    cell.tell(ValueError("told"))
    assert last_ending(cell_harness) is Ending.CRASH


def test_a_start_that_nobody_waits_for_fails_to_its_watcher(cell_harness):
    class Broken(ScriptedActor):
        def on_start(self):
            raise ValueError("start")

    cell_harness.cell(Broken).start(wait=False)
    assert last_ending(cell_harness) is Ending.CRASH
    assert not cell_harness.exits[0].started


def test_a_failed_start_without_a_watcher_ends_the_cell(cell_harness):
    class Broken(ScriptedActor):
        def on_start(self):
            raise ValueError("start")

    cell = cell_harness.cell(Broken, watched=False)
    future = cell.ref.ask("a", block=False)
    with pytest.raises(ValueError, match="start"):
        cell.start()
    assert cell.phase is CellPhase.ENDED
    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=0)


def test_a_crash_right_after_on_start_is_the_watchers_and_not_the_starters(cell_harness):
    class Eager(ScriptedActor):
        def on_start(self):
            self.actor_ref.tell(ValueError("from on_start"))

    cell_harness.cell(Eager).start()  # it has started: its on_start has returned
    assert last_ending(cell_harness) is Ending.CRASH
    assert cell_harness.exits[0].started


def test_the_watcher_is_back_when_the_waiting_starter_was_interrupted(cell_harness):
    release = Event()

    class Slow(ScriptedActor):
        def on_start(self):
            release.wait()

    cell = cell_harness.cell(Slow)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.001):
        cell.start()
    release.set()
    settle()
    cell.tell(ValueError("told"))
    assert last_ending(cell_harness) is Ending.CRASH


def test_a_start_that_fails_when_nobody_waits_for_it_any_more_is_told_to_the_watcher(cell_harness):
    release = Event()

    class Broken(ScriptedActor):
        def on_start(self):
            release.wait()
            raise ValueError("start")

    with pytest.raises(gevent.Timeout), gevent.Timeout(0.001):
        cell_harness.cell(Broken).start()
    release.set()
    assert last_ending(cell_harness) is Ending.CRASH
    assert not cell_harness.exits[0].started


def test_a_running_actor_is_not_started_again(cell_harness):
    cell = cell_harness.started()
    with pytest.raises(RuntimeError, match="running"):
        cell.start()


def test_what_the_constructor_raises_is_raised_by_start(cell_harness):
    class Broken(ScriptedActor):
        def __init__(self, log):
            raise ValueError("constructor")

    cell = cell_harness.cell(Broken)
    with pytest.raises(ValueError, match="constructor"):
        cell.start()
    assert cell.phase is CellPhase.VACANT
    settle()
    assert cell_harness.exits == []


# Restarting


def test_a_restart_is_a_fresh_actor_under_the_same_ref(cell_harness):
    cell = cell_harness.started()
    ref, first = cell.ref, cell.actor
    cell.tell(ValueError("crash"))
    assert last_ending(cell_harness) is Ending.CRASH
    cell.start()
    assert cell.actor is not first
    assert cell.ref is ref
    assert ref.ask("a", timeout=60) == "a"
    assert cell_harness.log.count("init") == 2


def test_the_current_message_is_not_tried_again_and_the_rest_waits_in_order(cell_harness):
    cell = cell_harness.started()
    for message in ("a", ValueError("crash"), "b", "c"):
        cell.tell(message)
    exit_ = until(lambda: cell_harness.exits)[0]
    assert isinstance(exit_.message, ValueError)
    assert cell_harness.log == ["init", "on_start", "a", ("on_failure", ValueError)]
    cell.tell("d")
    cell.start()
    settle()
    assert cell_harness.log[4:] == ["init", "on_start", "b", "c", "d"]


def test_an_ask_that_waits_over_a_restart_is_answered_by_the_next_actor(cell_harness):
    cell = cell_harness.started()
    cell.tell(ValueError("crash"))
    future = cell.ref.ask("a", block=False)
    until(lambda: cell_harness.exits)
    assert not future.done()
    assert cell.ref.is_alive()
    cell.start()
    assert future.get(timeout=60) == "a"


def test_a_proxy_stays_valid_over_a_restart(cell_harness):
    class Counting(ScriptedActor):
        def count(self):
            return self.log.count("init")

    cell = cell_harness.started(Counting)
    proxy = cell.ref.proxy()
    cell.tell(ValueError("crash"))
    until(lambda: cell_harness.exits)
    cell.start()
    assert proxy.count().get(timeout=60) == 2


def test_an_actor_without_a_watcher_ends_its_cell(cell_harness):
    cell = cell_harness.started(watched=False)
    cell.tell(ValueError("crash"))
    until(lambda: cell.phase is CellPhase.ENDED)
    with pytest.raises(pykka.ActorDeadError):
        cell.tell("a")


def test_a_normal_end_is_told_to_the_watcher_and_the_rest_of_the_inbox_waits(cell_harness):
    cell = cell_harness.started()
    stopped = cell.ref.stop(block=False)
    cell.tell("after the stop")
    assert last_ending(cell_harness) is Ending.NORMAL
    assert stopped.get(timeout=0) is True
    assert cell.depth == 1
    cell.start()
    settle()
    assert "after the stop" in cell_harness.log


# The end


def test_the_end_is_for_good(cell_harness):
    cell = cell_harness.started()
    future = cell.ref.ask("a", block=False)
    stop = cell.ref.stop(block=False)
    cell.end()
    cell.end()
    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=0)
    assert stop.get(timeout=0) is True  # that is what it wanted
    assert cell.phase is CellPhase.ENDED
    with pytest.raises(RuntimeError):
        cell.start()


def test_told_messages_that_nobody_will_handle_are_handed_to_undelivered(cell_harness):
    unheard = []

    class Attentive(Cell):
        __slots__ = ()

        def undelivered(self, message):
            unheard.append(message)

    cell = Attentive(cell_harness.scheduler, "attentive", ScriptedActor.maker(cell_harness.log))
    for message in ("a", "b"):
        cell.tell(message)
    cell.end()
    assert unheard == ["a", "b"]


def test_a_join_waits_for_the_end_of_the_actor(cell_harness):
    cell, block = cell_harness.started(), Event()
    assert cell.join(0) is False
    cell.tell(block)
    cell.ref.stop(block=False)
    joined = gevent.spawn(cell.join, 5)
    settle()
    assert not joined.ready()
    block.set()
    joined.join()
    assert joined.value is True
    assert cell.join(0) is True


def test_a_join_measures_its_time_from_when_it_was_called(cell_harness):
    """The hub's time is that of its last turn, which may be long ago."""
    cell = cell_harness.started()
    begun_at = time.monotonic()
    while time.monotonic() < begun_at + 0.03:
        pass  # the hub does not run meanwhile
    begun_at = time.monotonic()
    assert cell.join(0.02) is False
    assert time.monotonic() - begun_at >= 0.02


# An actor costs nothing while it is idle


def test_an_idle_cell_holds_no_deque_and_no_greenlet(cell_harness):
    cell = cell_harness.started()
    for number in range(100):
        cell.tell(number)
    assert cell.messages is not None
    settle()
    assert cell_harness.log[-1] == 99
    assert cell.messages is None
    assert cell.runner is None
    assert cell_harness.scheduler.runners == 0


def test_an_idle_actor_costs_less_than_a_kilobyte(cell_harness):
    class Small(Actor):
        __slots__ = ()

    many = 1000
    gc.collect()
    cells = [
        Cell(cell_harness.scheduler, f"cell-{number}", Small.maker(), cell_harness.watch)
        for number in range(many)
    ]
    for cell in cells:
        cell.start(wait=False)
    settle()
    cell = cells[0]
    size = sum(map(sys.getsizeof, (cell, cell.actor, cell.actor.__dict__, cell.urn)))
    assert cell.phase is CellPhase.RUNNING
    assert size < 1024, size
    for cell in cells:
        cell.end()


def test_no_actor_is_ever_entered_in_pykkas_registry(cell_harness):
    before = pykka.ActorRegistry.get_all()
    cell = cell_harness.started()
    ref = ScriptedActor.start([])
    settle()
    assert pykka.ActorRegistry.get_all() == before
    ref.stop()
    cell.kill()
    assert pykka.ActorRegistry.get_all() == before


def test_a_cell_takes_no_more_than_its_share_at_a_turn(cell_harness):
    scheduler = Scheduler(spare=0, drain=4)
    log = []
    cells = [Cell(scheduler, name, ScriptedActor.maker(log), cell_harness.watch) for name in "ab"]
    for cell in cells:
        cell.start()
    del log[:]
    for cell in cells:
        for number in range(10):
            cell.tell((cell.urn, number))
    settle()
    assert [name for name, _ in log[:8]] == ["a"] * 4 + ["b"] * 4
    assert [number for name, number in log if name == "a"] == list(range(10))
    for cell in cells:
        cell.end()


def test_an_actor_is_not_made_or_run_in_pykkas_way():
    with pytest.raises(TypeError, match="cell"):
        Actor._create_actor_inbox()
    with pytest.raises(TypeError, match="cell"):
        Actor._start_actor_loop(Actor.__new__(Actor))


def test_the_inbox_has_what_pykka_expects_of_one(cell_harness):
    cell = cell_harness.cell()
    assert cell.empty()
    cell.put("a")
    assert not cell.empty()
    assert cell.get() == "a"
    with pytest.raises(LookupError):
        cell.get()


def test_a_handler_can_ask_that_its_actor_stop_as_pykka_has_it(cell_harness):
    cell = cell_harness.started()
    cell.tell(lambda actor: actor.actor_stopped.set())
    cell.tell("not handled any more")
    assert last_ending(cell_harness) is Ending.NORMAL
    assert "not handled any more" not in cell_harness.log
