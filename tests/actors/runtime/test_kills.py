"""Killing an actor, idle or blocked, and giving up on one that cannot be killed."""

from contextlib import suppress

import gevent
import pykka
import pytest
from gevent.event import Event

from chargehand.actors.runtime.cell import CellPhase, Ending
from chargehand.actors.runtime.failure import ActorKilled, HandlerKilled

from ...hub import settle, until
from ..recording_actors import ScriptedActor, last_ending

# Killing


def test_an_idle_actor_that_is_killed_is_gone_at_once(cell_harness):
    cell = cell_harness.started()
    cell.kill()
    assert cell.phase is CellPhase.VACANT
    assert cell_harness.exits[0].ending is Ending.KILLED
    assert cell_harness.log == ["init", "on_start", "on_killed"]
    cell.start()
    assert cell.ref.ask("a", timeout=60) == "a"


def test_an_idle_actor_that_is_killed_leaves_no_zombie_and_no_hanging_ask(cell_harness):
    cell = cell_harness.started(watched=False)
    future = cell.ref.ask("a", block=False)
    cell.kill()
    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=60)
    with pytest.raises(pykka.ActorDeadError):
        cell.ref.ask("b", timeout=60)
    assert not cell.ref.is_alive()


def test_a_blocked_handler_that_is_killed_ends_its_ask_and_its_actor(cell_harness):
    cell, block = cell_harness.started(), Event()
    asked = cell.ref.ask(block, block=False)
    waiting = cell.ref.ask("waiting", block=False)
    settle()
    cell.kill()
    with pytest.raises(ActorKilled):
        asked.get(timeout=60)
    assert last_ending(cell_harness) is Ending.KILLED
    assert cell_harness.log == ["init", "on_start", "blocked", ("on_failure", ActorKilled)]
    assert not waiting.done()
    cell.start()
    assert waiting.get(timeout=60) == "waiting"


def test_a_blocked_handler_of_a_cell_that_has_ended_is_interrupted_too(cell_harness):
    cell, block = cell_harness.started(), Event()
    asked = cell.ref.ask(block, block=False)
    settle()
    cell.kill()
    cell.end()
    with pytest.raises(ActorKilled):
        asked.get(timeout=60)
    until(lambda: cell_harness.scheduler.runners == 0)
    assert "unblocked" not in cell_harness.log


def test_an_actor_that_is_killed_while_it_starts_has_not_started(cell_harness):
    class Slow(ScriptedActor):
        def on_start(self):
            Event().wait()

    cell = cell_harness.cell(Slow)
    cell.start(wait=False)
    settle()
    cell.kill()
    assert last_ending(cell_harness) is Ending.KILLED
    assert not cell_harness.exits[0].started


def test_an_actor_that_is_killed_before_its_on_start_ran_has_not_started(cell_harness):
    cell = cell_harness.cell()
    cell.start(wait=False)
    cell.kill()
    settle()
    assert not cell_harness.exits[0].started
    assert "on_start" not in cell_harness.log
    cell.start()
    assert cell.phase is CellPhase.RUNNING


def test_a_handler_can_kill_its_own_actor(cell_harness):
    cell = cell_harness.started()
    cell.tell(lambda actor: actor._cell.kill())
    cell.tell("next")
    assert last_ending(cell_harness) is Ending.KILLED
    assert "next" not in cell_harness.log
    cell.start()
    settle()
    assert "next" in cell_harness.log


def test_a_kill_that_finds_the_handler_over_kills_the_idle_actor(cell_harness):
    cell, block = cell_harness.started(), Event()
    cell.tell(block)
    settle()
    block.set()
    cell.kill()  # is carried out in the hub, when the handler has ended
    assert last_ending(cell_harness) is Ending.KILLED
    settle()
    assert cell_harness.log[-1] in ("on_killed", ("on_failure", ActorKilled))


def test_what_is_done_on_a_kill_may_block_whoever_carries_the_kill_out(cell_harness):
    class Slow(ScriptedActor):
        def on_killed(self):
            gevent.sleep(0)
            super().on_killed()

    cell, block = cell_harness.started(Slow), Event()
    cell.tell(block)
    settle()
    first, worker = cell.actor, cell.runner
    block.set()
    settle()
    gevent.get_hub().loop.run_callback(cell._throw, worker, first)  # its handler ended just before
    until(lambda: "on_killed" in cell_harness.log)


def test_a_kill_meant_for_one_actor_never_hits_the_next(cell_harness):
    cell, block = cell_harness.started(), Event()
    cell.tell(block)
    settle()
    first = cell.actor
    worker = cell.runner
    cell.abandon()
    cell.start(wait=False)
    cell.tell("second")
    settle()
    cell._throw(worker, first)  # late
    settle()
    assert cell.phase is CellPhase.RUNNING
    assert "second" in cell_harness.log
    block.set()
    settle()


def test_a_kill_of_nothing_is_nothing(cell_harness):
    cell = cell_harness.cell()
    cell.kill()
    assert cell_harness.exits == []


# Giving up on a handler that swallows its kill


class KillSwallowingActor(ScriptedActor):
    """Actor that swallows its kill."""

    def on_receive(self, message):
        if isinstance(message, Event):
            self.log.append("blocked")
            while not message.is_set():
                try:
                    message.wait()
                except HandlerKilled:
                    self.log.append("swallowed")
            self.log.append("ended at last")
            return "too late"
        return super().on_receive(message)


def test_an_actor_that_cannot_be_killed_is_abandoned_and_the_cell_goes_on(cell_harness, capfd):
    cell, block = cell_harness.started(KillSwallowingActor), Event()
    asked = cell.ref.ask(block, block=False)
    waiting = cell.ref.ask("waiting", block=False)
    settle()
    cell.kill()
    assert cell.join(0.01) is False
    cell.abandon()
    assert cell_harness.exits[0].ending is Ending.KILLED
    with pytest.raises(pykka.ActorDeadError):
        asked.get(timeout=0)  # nobody hangs because of it
    cell.start()
    assert waiting.get(timeout=60) == "waiting"
    block.set()
    settle()
    assert cell_harness.log[-1] == "ended at last"
    assert cell.ref.ask("still there", timeout=60) == "still there"
    assert len(cell_harness.exits) == 1
    assert capfd.readouterr().err == ""


def test_an_abandoned_on_start_changes_nothing_when_it_returns(cell_harness):
    block = Event()

    class Slow(ScriptedActor):
        def on_start(self):
            self.log.append("on_start")
            if self.log.count("on_start") == 1:
                while not block.is_set():
                    with suppress(HandlerKilled):
                        block.wait()

    cell = cell_harness.cell(Slow)
    cell.start(wait=False)
    settle()
    cell.kill()
    settle()
    cell.abandon()
    assert not cell_harness.exits[0].started
    cell.start()
    block.set()
    settle()
    assert cell.phase is CellPhase.RUNNING
    assert cell.ref.ask("a", timeout=60) == "a"
