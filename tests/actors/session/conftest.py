"""Fixtures: a stage whose one plugin handles every action as the test sets, and a charge point on it."""

import pytest

from chargehand.testing import Stage

from ..recording_plugin import RecordingPlugin

ANSWERS = {
    "Heartbeat": {"currentTime": "2026-01-01T00:00:00Z"},
    "BootNotification": {"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 300},
}


@pytest.fixture
def way(log):
    """List with one function, the handler; a test may replace it. By default it returns the request."""
    return [lambda: ANSWERS.get(log[-1].action, {})]


@pytest.fixture
def stage(way, log, store):
    with Stage(RecordingPlugin.spec(way, log), store=store) as stage:
        yield stage


@pytest.fixture
def charge_point(stage):
    return stage.connect("CP1")
