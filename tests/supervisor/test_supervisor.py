"""Supervisors start their children in order, stop them in reverse, and leave none behind."""

from contextlib import suppress

import gevent
import pytest
from gevent.event import Event

from chargehand import ChildSpec, Restart, Strategy, Supervisor
from chargehand.actors.runtime.cell import Cell, CellPhase, Ending
from chargehand.actors.runtime.failure import HandlerKilled
from chargehand.supervisor.child import StartTimedOut

from ..hub import settle, until
from .supervisor_harness import EAGER, SLOW, STARTS, STOPS, Child, starts, stops

# Start and stop


def test_children_start_from_left_to_right_and_stop_from_right_to_left(tree):
    tree.start("a", "b", "c")
    assert tree.taken() == starts("a", "b", "c")
    assert tree.root.ref.stop(timeout=60) is True
    assert tree.taken() == stops("c", "b", "a")
    assert tree.exits[0].ending is Ending.NORMAL


def test_a_child_starts_when_the_on_start_of_the_one_before_it_has_returned(tree):
    release = Event()

    class Slow(Child):
        def on_start(self):
            release.wait()
            super().on_start()

    slow = ChildSpec.of(Slow, "slow", tree.log, tree.faults)
    starting = gevent.spawn(tree.start, slow, "b")
    settle()
    assert tree.taken() == []
    release.set()
    starting.join(60)
    assert tree.taken() == starts("slow", "b")


def test_the_first_that_fails_stops_those_before_it_and_fails_the_start(tree):
    tree.faults["c"] = [ValueError("c cannot start")]
    with pytest.raises(ValueError, match="c cannot start"):
        tree.start("a", "b", "c", "d")
    assert tree.taken() == [*starts("a", "b"), *stops("b", "a")]
    assert tree.root.phase is CellPhase.VACANT


def test_a_child_that_cannot_be_made_fails_the_start_too(tree):
    broken = ChildSpec(id="broken", make=lambda *_: {}["nothing"])
    with pytest.raises(KeyError):
        tree.start("a", broken)
    assert tree.taken() == [*starts("a"), *stops("a")]


def test_a_supervisor_that_is_killed_while_it_starts_leaves_no_child(tree):
    class Hanging(Child):
        def on_start(self):
            Event().wait()

    cell = tree.cell(
        [tree.spec("a"), ChildSpec.of(Hanging, "h", tree.log, tree.faults, id="h", shutdown_s=0.0)]
    )
    cell.start(wait=False)
    until(lambda: tree.log)
    settle()
    cells = [child.cell for child in cell.actor.children]
    cell.kill()
    until(lambda: tree.exits)
    assert [child.phase for child in cells] == [CellPhase.ENDED, CellPhase.ENDED]
    until(lambda: tree.scheduler.runners == 0)


def test_a_child_that_does_not_stop_in_time_is_killed_and_others_keep_their_time(tree):
    class Hanging(Child):
        def on_stop(self):
            Event().wait()

    tree.start("a", ChildSpec.of(Hanging, "h", tree.log, tree.faults, id="h", shutdown_s=0.01), "c")
    tree.taken()
    assert tree.root.ref.stop(timeout=60) is True
    assert tree.taken() == stops("c", "a")
    until(lambda: tree.scheduler.runners == 0)


def test_a_child_whose_handler_swallows_its_kill_is_left_to_itself(tree, monkeypatch):
    monkeypatch.setattr("chargehand.supervisor.child.KILL_S", 0.01)
    block = Event()

    class Stubborn(Child):
        def on_receive(self, message):
            while not block.is_set():
                with suppress(HandlerKilled):
                    block.wait()

    tree.start("a", ChildSpec.of(Stubborn, "s", tree.log, tree.faults, id="s", shutdown_s=0.01))
    tree.tell("s", "block")
    assert tree.root.ref.stop(timeout=60) is True
    assert tree.taken()[-1] == (STOPS, "a")
    block.set()
    until(lambda: tree.scheduler.runners == 0)


def test_a_child_is_asked_to_stop_behind_what_waits_in_its_inbox(tree):
    tree.start("a")
    cell = tree.child("a").cell
    future = cell.ref.ask("before the stop", block=False)
    tree.root.ref.stop(timeout=60)
    assert future.get(timeout=0) == "before the stop"
    assert cell.phase is CellPhase.ENDED


def hanging_at(tree, *numbers, **options):
    """Return the child spec of a child whose starts of these numbers, from 1 on, do not end."""

    class Hanging(Child):
        def on_start(self):
            tree.count = getattr(tree, "count", 0) + 1
            if tree.count in numbers:
                Event().wait()
            super().on_start()

    return ChildSpec.of(Hanging, "h", tree.log, tree.faults, id="h", start_s=0.01, **options)


def test_a_child_that_does_not_start_in_time_fails_the_start_and_is_killed(tree):
    with pytest.raises(StartTimedOut, match=r"h did not start within 0\.01 s"):
        tree.start("a", hanging_at(tree, 1))
    assert tree.taken() == [*starts("a"), *stops("a")]
    until(lambda: tree.scheduler.runners == 0)


def test_one_that_is_not_even_made_in_time_fails_the_start_too(tree):
    class Slow(Child):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            Event().wait()

    with pytest.raises(StartTimedOut):
        tree.start("a", ChildSpec.of(Slow, "s", tree.log, tree.faults, id="s", start_s=0.01))
    assert tree.taken() == [*starts("a"), *stops("a")]


def test_one_that_does_not_start_again_in_time_has_failed_and_the_others_go_on(tree):
    tree.start(hanging_at(tree, 2), "b", per_child=True)
    tree.taken()
    tree.end("h", "crash")
    tree.end("b", "crash")
    until(
        lambda: (
            tree.child("h").cell.phase is CellPhase.RUNNING
            and tree.child("b").cell.phase is CellPhase.RUNNING
        )
    )
    assert sorted(tree.taken()) == starts("b", "h")
    assert tree.child("h").budget.total == 2
    assert "StartTimedOut" in tree.child("h").last_crash
    assert tree.child("b").budget.total == 1
    until(lambda: tree.scheduler.runners == 0)


def test_one_that_swallows_the_kill_of_its_start_is_left_to_itself(tree, monkeypatch):
    monkeypatch.setattr("chargehand.supervisor.child.KILL_S", 0.01)
    block = Event()

    class Stubborn(Child):
        def on_start(self):
            while not block.is_set():
                with suppress(HandlerKilled):
                    block.wait()

    with pytest.raises(StartTimedOut):
        tree.start("a", ChildSpec.of(Stubborn, "s", tree.log, tree.faults, id="s", start_s=0.01))
    assert tree.taken() == [*starts("a"), *stops("a")]
    block.set()
    until(lambda: tree.scheduler.runners == 0)


# The supervisor's own failures


def test_a_supervisor_that_fails_itself_stops_its_children(tree):
    class Odd(Supervisor):
        def on_receive(self, message):
            if message == "odd":
                raise ValueError("odd")
            return super().on_receive(message)

    make = Odd.maker([tree.spec("a"), tree.spec("b")], tree.timers, policy=EAGER)
    tree.root = Cell(tree.scheduler, "root", make, lambda _, exit_: tree.exits.append(exit_))
    tree.root.start()
    tree.taken()
    tree.root.tell("odd")
    settle()
    assert tree.exits[0].ending is Ending.CRASH
    assert tree.taken() == stops("b", "a")


def test_a_supervisor_that_is_killed_leaves_no_child(tree):
    tree.start("a", "b")
    cells = [child.cell for child in tree.root.actor.children]
    tree.root.kill()
    settle()
    assert [cell.phase for cell in cells] == [CellPhase.ENDED, CellPhase.ENDED]


def test_a_supervisor_that_is_killed_while_it_waits_for_a_child_to_stop_leaves_none(tree):
    class Hanging(Child):
        def on_stop(self):
            Event().wait()

    hanging = ChildSpec.of(Hanging, "h", tree.log, tree.faults, id="h", shutdown_s=100.0)
    tree.start("a", hanging)
    cells = [child.cell for child in tree.root.actor.children]
    stopping = tree.root.ref.stop(block=False)
    settle()
    tree.root.kill()
    assert stopping.get(timeout=60) is True
    assert [cell.phase for cell in cells] == [CellPhase.ENDED, CellPhase.ENDED]
    until(lambda: tree.scheduler.runners == 0)


def test_a_kill_of_a_supervisor_waiting_for_a_restart_is_no_failure_of_the_child(tree):
    class Hanging(Child):
        def on_start(self):
            super().on_start()
            if self.log.count((STARTS, "h")) > 1:
                Event().wait()

    tree.start("a", ChildSpec.of(Hanging, "h", tree.log, tree.faults, id="h", shutdown_s=0.01))
    cells = [child.cell for child in tree.root.actor.children]
    tree.end("h", "crash")
    tree.root.kill()
    until(lambda: tree.exits)
    assert tree.exits[0].ending is Ending.KILLED
    assert [cell.phase for cell in cells] == [CellPhase.ENDED, CellPhase.ENDED]


def test_a_message_that_is_none_of_its_own_is_handled_as_by_any_actor(tree, caplog):
    tree.start("a")
    tree.root.tell("something else")
    settle()
    assert "Unexpected message received by root" in caplog.text


# The view


def test_the_tree_is_described_with_the_state_of_everything_in_it(tree):
    inner = ChildSpec.of(Supervisor, [tree.spec("x")], tree.timers, Strategy.ONE_FOR_ALL, SLOW, id="inner")
    tree.start(tree.spec("a", restart=Restart.TRANSIENT), inner, policy=SLOW)
    tree.end("a", "crash")
    tree.end("a", "crash")
    tree.child("a").cell.tell("waits")
    assert tree.root.actor.describe() == {
        "id": "root",
        "strategy": "one_for_one",
        "children": [
            {
                "id": "a",
                "state": "waiting",
                "restart": "transient",
                "restarts": 2,
                "inbox": 1,
                "last_crash": "ValueError('a planted fault')",
            },
            {
                "id": "inner",
                "state": "running",
                "restart": "permanent",
                "restarts": 0,
                "inbox": 0,
                "last_crash": "",
                "strategy": "one_for_all",
                "children": [
                    {
                        "id": "x",
                        "state": "running",
                        "restart": "permanent",
                        "restarts": 0,
                        "inbox": 0,
                        "last_crash": "",
                    }
                ],
            },
        ],
    }


def test_an_error_that_cannot_be_shown_is_described_all_the_same(tree):
    class Unshowable(Exception):
        def __repr__(self):
            raise ValueError("not even this")

    tree.start("a", policy=EAGER)
    tree.tell("a", Unshowable())
    assert tree.child("a").last_crash == "Unshowable, which cannot be shown"
    assert tree.child("a").cell.phase is CellPhase.RUNNING
