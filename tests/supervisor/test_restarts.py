"""Restarts of children: which, how often, and when, as in OTP."""

import pytest

from chargehand import ChildSpec, GaveUp, Policy, Restart, Strategy, Supervisor
from chargehand.actors.runtime.cell import Cell, CellPhase, Ending

from ..hub import settle
from .supervisor_harness import SLOW, STARTS, Child, starts, stops

# Which children are started again: strategies, kinds of restart, kinds of end


@pytest.mark.parametrize("how", ["normal", "crash", "kill"])
@pytest.mark.parametrize("restart", Restart)
@pytest.mark.parametrize(
    ("strategy", "others"),
    [(Strategy.ONE_FOR_ONE, ""), (Strategy.REST_FOR_ONE, "c"), (Strategy.ONE_FOR_ALL, "ac")],
)
def test_a_child_that_ended_is_started_again_with_the_others_of_its_strategy(
    tree, strategy, others, restart, how
):
    tree.start("a", tree.spec("b", restart=restart), "c", strategy=strategy)
    tree.taken()
    tree.end("b", how)
    own = stops("b") if how == "normal" else []
    if restart.wants(abnormal=how != "normal"):
        again = sorted(["b", *others])
        assert tree.taken() == [*own, *stops(*reversed(others)), *starts(*again)]
        assert tree.names() == ["a", "b", "c"]
    else:
        assert tree.taken() == own
        assert tree.names() == ["a", "c"]


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_a_temporary_child_that_another_ones_end_took_down_is_not_started_again(tree, strategy):
    tree.start("a", tree.spec("t", restart=Restart.TEMPORARY), "c", strategy=strategy)
    cell = tree.child("t").cell
    tree.taken()
    tree.end("a", "crash")
    assert tree.taken() == [*stops("c", "t"), *starts("a", "c")]
    assert tree.names() == ["a", "c"]
    assert cell.phase is CellPhase.ENDED


def test_a_transient_child_that_another_ones_end_took_down_is_started_again(tree):
    tree.start("a", tree.spec("t", restart=Restart.TRANSIENT), strategy=Strategy.ONE_FOR_ALL)
    tree.taken()
    tree.end("a", "crash")
    assert tree.taken() == [*stops("t"), *starts("a", "t")]


def test_a_child_that_is_gone_for_good_takes_no_messages(tree):
    tree.start("a", restart=Restart.TEMPORARY)
    cell = tree.child("a").cell
    tree.end("a", "crash")
    assert cell.phase is CellPhase.ENDED
    assert tree.names() == []


def test_the_ref_of_a_child_is_valid_over_its_restarts(tree):
    tree.start("a")
    ref = tree.child("a").cell.ref
    tree.end("a", "crash")
    assert ref.ask("still there", timeout=60) == "still there"


def test_two_that_crash_at_once_are_both_started_again(tree):
    tree.start("a", "b")
    tree.taken()
    tree.child("a").cell.tell(ValueError("a"))
    tree.child("b").cell.tell(ValueError("b"))
    settle()
    assert sorted(tree.taken()) == starts("a", "b")


def test_one_that_was_started_again_with_another_is_not_started_twice(tree):
    tree.start("a", "b", strategy=Strategy.ONE_FOR_ALL)
    tree.taken()
    tree.child("a").cell.tell(ValueError("a"))
    tree.child("b").cell.tell(ValueError("b"))
    settle()
    log = tree.taken()
    assert log.count((STARTS, "a")) == log.count((STARTS, "b")) == 1


def test_a_child_that_crashes_right_after_its_start_is_started_again(tree):
    class Eager(Child):
        def on_start(self):
            super().on_start()
            if self.log.count((STARTS, "e")) == 1:
                self.actor_ref.tell(ValueError("at once"))

    tree.start(ChildSpec.of(Eager, "e", tree.log, tree.faults, id="e"), "b")
    settle()
    assert tree.taken().count((STARTS, "e")) == 2


# Budgets


def test_over_its_budget_a_supervisor_stops_its_children_and_gives_up(tree):
    tree.start("a", "b", policy=Policy(intensity=2, backoff_min_s=0.0))
    for _ in range(2):
        tree.end("a", "crash")
    assert tree.exits == []
    tree.taken()
    tree.end("a", "crash")
    (exit_,) = tree.exits
    assert exit_.ending is Ending.CRASH
    assert isinstance(exit_.failure.error, GaveUp)
    assert "a ended too often, the last time with ValueError('a planted fault')" in str(exit_.failure.error)
    assert tree.taken() == stops("b")


def test_the_restarts_of_all_children_spend_one_budget(tree):
    tree.start("a", "b", policy=Policy(intensity=2, backoff_min_s=0.0))
    for name in ("a", "b", "a"):
        tree.end(name, "crash")
    assert isinstance(tree.exits[0].failure.error, GaveUp)


def test_with_a_budget_each_one_child_does_not_spend_anothers(tree):
    tree.start("a", "b", policy=Policy(intensity=2, backoff_min_s=0.0), per_child=True)
    for name in ("a", "b", "a", "b"):
        tree.end(name, "crash")
    assert tree.exits == []
    tree.end("a", "crash")
    assert isinstance(tree.exits[0].failure.error, GaveUp)


def test_restarts_that_are_long_ago_do_not_count(tree):
    tree.start("a", policy=Policy(intensity=1, period_s=5.0, backoff_min_s=0.0))
    for _ in range(5):
        tree.end("a", "crash")
        tree.clock.advance(5)
    assert tree.exits == []


def test_a_supervisor_that_gave_up_is_started_again_by_its_own(tree):
    inner = ChildSpec.of(
        Supervisor, [tree.spec("a")], tree.timers, Strategy.ONE_FOR_ONE, Policy(intensity=0), id="inner"
    )
    tree.start(inner, "b", strategy=Strategy.REST_FOR_ONE)
    tree.taken()
    tree.child("inner").cell.actor.children[0].cell.tell(ValueError("a planted fault"))
    settle()
    assert tree.taken() == [*stops("b"), *starts("a", "b")]
    assert "GaveUp" in tree.child("inner").last_crash


def test_a_subclass_may_do_something_else_than_give_up(tree):
    over = []

    class Patient(Supervisor):
        def over_budget(self, child):
            over.append(child.spec.id)

    make = Patient.maker([tree.spec("a"), tree.spec("b")], tree.timers, policy=Policy(intensity=0))
    tree.root = Cell(tree.scheduler, "root", make, lambda _, exit_: tree.exits.append(exit_))
    tree.root.start()
    tree.end("a", "crash")
    assert over == ["a"]
    assert tree.exits == []
    assert tree.child("b").cell.phase is CellPhase.RUNNING


# Backoff


def test_the_first_restart_is_at_once_and_the_next_ones_wait_longer_and_longer(tree):
    tree.start("a", policy=SLOW)
    tree.taken()
    tree.end("a", "crash")
    assert tree.taken() == starts("a")
    for wait_s in (1.0, 2.0, 4.0, 4.0):
        tree.end("a", "crash")
        tree.clock.advance(wait_s - 0.001, settle)
        assert tree.taken() == []
        assert tree.child("a").cell.phase is CellPhase.VACANT
        tree.clock.advance(0.001, settle)
        settle()
        assert tree.taken() == starts("a")


def test_what_is_told_while_it_waits_is_handled_after_the_restart(tree):
    tree.start("a", policy=SLOW)
    tree.end("a", "crash")
    tree.end("a", "crash")
    future = tree.child("a").cell.ref.ask("waits", block=False)
    tree.clock.advance(1, settle)
    assert future.get(timeout=60) == "waits"


def test_a_stop_does_not_wait_for_a_backoff(tree):
    tree.start("a", "b", policy=SLOW)
    tree.end("a", "crash")
    tree.end("a", "crash")
    tree.taken()
    assert tree.root.ref.stop(timeout=60) is True
    assert tree.taken() == stops("b")
    tree.clock.advance(100, settle)
    assert tree.taken() == []


def test_a_restart_of_all_takes_one_along_that_was_waiting(tree):
    tree.start("a", "b", policy=SLOW, strategy=Strategy.ONE_FOR_ALL)
    tree.end("a", "crash")
    tree.end("a", "crash")
    tree.taken()
    tree.end("b", "crash")  # it waits too, and longer
    tree.clock.advance(1, settle)
    assert tree.taken() == starts("a", "b")
    tree.clock.advance(100, settle)
    assert tree.taken() == []


def test_a_child_that_cannot_start_again_is_tried_again_later(tree):
    tree.start("a", "b", policy=SLOW)
    tree.taken()
    tree.faults["a"] = [ValueError("not yet"), ValueError("not yet")]
    tree.end("a", "crash")
    assert tree.taken() == []
    assert tree.child("a").last_crash == "ValueError('not yet')"
    tree.clock.advance(1, settle)
    assert tree.taken() == []
    tree.clock.advance(2, settle)
    assert tree.taken() == starts("a")


def test_those_behind_one_that_cannot_start_again_wait_for_it(tree):
    tree.start("a", "b", "c", policy=SLOW, strategy=Strategy.REST_FOR_ONE)
    tree.taken()
    tree.faults["b"] = [ValueError("not yet")]
    tree.end("a", "crash")
    assert tree.taken() == [*stops("c", "b"), *starts("a")]
    tree.clock.advance(1, settle)
    assert tree.taken() == starts("b", "c")
    assert tree.child("c").budget.total == 0  # it was stopped, which is no failure of its own
