"""Fixtures: a store, a clock that a test moves, and stages with the back office."""

import datetime as dt

import pytest

from chargehand.plugins.accepted_state import AcceptedState
from chargehand.plugins.back_office import BackOffice
from chargehand.testing import ManualClock, Stage, StubStore


@pytest.fixture
def store():
    return StubStore()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def now(clock):
    return lambda: dt.datetime.fromtimestamp(clock.time(), dt.UTC)


@pytest.fixture
def make(store, clock, now):
    """Make stages with the back office; all of them end with the test."""
    stages = []

    def make(**options):
        stage = Stage(BackOffice.spec(store, now=now, **options), store=store, clock=clock)
        stage.start()
        stages.append(stage)
        return stage

    yield make
    for stage in stages:
        stage.stop()


@pytest.fixture
def stage(store, clock, now):
    """Make a stage with the accepted state and the back office."""
    plugins = [AcceptedState.spec(store, now=now), BackOffice.spec(store, now=now)]
    with Stage(*plugins, store=store, clock=clock) as stage:
        yield stage


@pytest.fixture
def charge_point(stage):
    return stage.connect("CP1")
