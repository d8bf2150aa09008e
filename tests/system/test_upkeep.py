"""Upkeep: what is due is done, whatever fails is counted and tried again, and nothing runs where nothing is asked."""

import pytest

from chargehand import StoreError
from chargehand.system.counters import Counters
from chargehand.system.exports import ExportsInUse
from chargehand.system.upkeep import AGAIN_S, PASS_S, Upkeep


class Work:
    """Retention and backups of a test: `error` is raised when they are asked to work."""

    def __init__(self, *, wanted=True):
        self.days = {"readings": 1.0} if wanted else {}
        self.scheduled = wanted
        self.done = []
        self.error = None

    def run(self):
        self.done.append("pass")
        if self.error is not None:
            raise self.error

    def due(self):
        return self.scheduled

    def make(self):
        self.done.append("backup")
        if self.error is not None:
            raise self.error


@pytest.fixture
def made():
    """Make the upkeep of some work; returns it with its counters and its clock."""

    def make(work, *, here=True):
        counters, clock, spawned = Counters(), [0.0], []
        upkeep = Upkeep(work, work, counters, here=here, spawn=spawned.append, clock=lambda: clock[0])
        return upkeep, counters, clock, spawned

    return make


def test_a_pass_and_a_backup_are_done_when_they_are_due(made):
    work = Work()
    upkeep, _, clock, _ = made(work)
    upkeep.look()
    upkeep.look()
    assert work.done == ["pass", "backup"]
    clock[0] = max(PASS_S, AGAIN_S)
    upkeep.look()
    assert work.done == ["pass", "backup"] * 2


@pytest.mark.parametrize("error", [StoreError("away"), OSError(28, "full"), ZeroDivisionError()])
def test_what_fails_is_counted_and_tried_again(made, error):
    work = Work()
    work.error = error
    upkeep, counters, clock, _ = made(work)
    upkeep.look()
    assert (counters.counts["retention_failed"], counters.counts["backup_failed"]) == (1, 1)
    clock[0] = PASS_S
    upkeep.look()
    assert counters.counts["retention_failed"] == 2


def test_work_of_another_process_is_no_failure(made):
    work = Work()
    work.error = ExportsInUse("another node does it")
    upkeep, counters, _, _ = made(work)
    upkeep.look()
    assert not counters.counts


def test_nothing_runs_where_nothing_is_wanted_or_another_process_does_it(made):
    for work, here in ((Work(wanted=False), True), (Work(), False)):
        upkeep, _, _, spawned = made(work, here=here)
        upkeep.start()
        assert spawned == []
    upkeep, _, _, spawned = made(Work())
    upkeep.start()
    assert len(spawned) == 1
