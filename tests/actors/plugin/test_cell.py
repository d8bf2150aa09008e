"""Failures of handlers that count as the plugin's own."""

import pytest
from gevent.event import Event

from chargehand import Plugin
from chargehand.actors.plugin.cell import PluginCell
from chargehand.actors.plugin.circuit_breaker import CircuitBreakerPolicy
from chargehand.actors.runtime.cell import CellPhase, Ending
from chargehand.actors.runtime.scheduler import Scheduler

from ...hub import settle

POLICY = CircuitBreakerPolicy(failures_to_open=3, spread=3, window_s=60.0, trial_call_s=30.0)


class SlowStartPlugin(Plugin):
    """Plugin whose first on_start returns at once, and each further one when it is released."""

    def __init__(self, starts, release):
        super().__init__()
        self.starts = starts
        self.release = release

    def on_start(self):
        self.starts.append(1)
        if len(self.starts) > 1:
            self.release.wait()


@pytest.fixture
def release():
    return Event()


@pytest.fixture
def cell(release, exits):
    watch = lambda _, exit_: exits.append(exit_)  # noqa: E731
    cell = PluginCell(Scheduler(spare=0), SlowStartPlugin.spec([], release), None, watch, lambda: 0.0, POLICY)
    cell.start()
    yield cell
    release.set()
    cell.kill()
    cell.end()
    settle()


def fail(cell, *charge_points):
    for charge_point in charge_points:
        cell.note_failure(charge_point, "Authorize", ValueError("a planted fault"))


def test_failures_for_two_charge_points_are_theirs(cell, exits):
    fail(cell, "CP1", "CP2", "CP1", "CP2", "CP1")
    assert exits == []
    assert not cell.try_admit("CP1", "Authorize")
    assert cell.try_admit("CP1", "Heartbeat")
    assert cell.try_admit("CP3", "Authorize")


def test_failures_for_three_are_the_plugins(cell, exits):
    fail(cell, "CP1", "CP2", "CP3")
    assert [exit_.ending for exit_ in exits] == [Ending.CRASH]
    assert cell.phase is CellPhase.VACANT


def test_failures_that_come_in_while_the_next_one_starts_are_not_its_own(cell, exits):
    fail(cell, "CP1", "CP2", "CP3")
    cell.start(wait=False)
    settle()
    assert cell.phase is CellPhase.STARTING
    fail(cell, "CP1", "CP2", "CP3")
    assert len(exits) == 1
    assert cell.phase is CellPhase.STARTING


def test_a_success_closes_a_breaker_again(cell):
    fail(cell, "CP1", "CP1", "CP1")
    cell.breakers.succeeded("CP1", "Authorize")
    assert cell.try_admit("CP1", "Authorize")


def test_one_in_quarantine_or_at_its_end_is_told_of_nothing(cell):
    cell.quarantined = True
    assert not cell.try_admit("CP1", "Authorize")
    cell.quarantined = False
    assert cell.try_admit("CP1", "Authorize")
    cell.end()
    assert not cell.try_admit("CP1", "Authorize")


class SlowFailurePlugin(Plugin):
    """Plugin whose on_failure waits until it is released."""

    def __init__(self, heard, release):
        self.heard = heard
        self.release = release

    def on_failure(self, _kind, error, _traceback):
        self.heard.append(error)
        self.release.wait()


def test_an_on_failure_that_blocks_does_not_hold_whoever_reports_the_failure(exits):
    heard, release = [], Event()
    cell = PluginCell(
        Scheduler(spare=0),
        SlowFailurePlugin.spec(heard, release),
        None,
        lambda _, exit_: exits.append(exit_),
        lambda: 0.0,
        POLICY,
    )
    cell.start()
    fail(cell, "CP1", "CP2", "CP3")  # the call returns, although nobody has released it
    assert heard == []
    settle()
    assert len(exits) == len(heard) == 1
    release.set()
    cell.end()
    settle()
