"""Fixtures: a stage whose one plugin handles every action as the test says, and a charge point on it."""

import pytest

from chargehand.testing import Stage

from ..recording_plugin import RecordingPlugin

ANSWERS = {
    "Heartbeat": {"currentTime": "2026-01-01T00:00:00Z"},
    "BootNotification": {"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 300},
}


@pytest.fixture
def way(log):
    """The way of the handler, a list of one function to be replaced; by default it answers what it was asked."""
    return [lambda: ANSWERS.get(log[-1].action, {})]


@pytest.fixture
def stage(way, log, store):
    with Stage(RecordingPlugin.spec(way, log), store=store) as stage:
        yield stage


@pytest.fixture
def charge_point(stage):
    return stage.connect("CP1")
