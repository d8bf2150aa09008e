"""Fixtures: harnesses of a supervisor, of sessions, and of a whole system with a scripted, failing plugin."""

import pytest

from chargehand.protocol.session import Session
from chargehand.testing import StubStore

from ..faults import PlantedFault
from ..hub import settle
from .failing_plugins import NAMES, SUPERVISION, FailingPlugin, FailurePlan
from .sessions_harness import TIME_ANSWER, SessionsHarness
from .supervisor_harness import SupervisorHarness
from .system_harness import SystemHarness


@pytest.fixture
def tree():
    tree = SupervisorHarness()
    yield tree
    if tree.root is not None:
        tree.root.kill()
        tree.root.end()
    settle()


@pytest.fixture
def way():
    return [lambda: TIME_ANSWER]


@pytest.fixture
def log():
    return []


@pytest.fixture
def sessions_harness(way, log):
    sessions_harness = SessionsHarness(way, log)
    yield sessions_harness
    sessions_harness.close()


@pytest.fixture
def charge_point(sessions_harness):
    return sessions_harness.connect()


@pytest.fixture
def faulty_reading(monkeypatch):
    """Have the reading of a frame with "crash" in it raise an unexpected error."""
    receive = Session.receive

    def planted(self, data, now):
        if b"crash" in data:
            raise PlantedFault
        return receive(self, data, now)

    monkeypatch.setattr(Session, "receive", planted)


@pytest.fixture
def plan():
    return FailurePlan()


@pytest.fixture
def store():
    return StubStore()


@pytest.fixture
def system_harness(plan, store):
    with SystemHarness(FailingPlugin.spec(plan), store=store, **SUPERVISION) as system_harness:
        yield system_harness


@pytest.fixture
def fleet(system_harness):
    return {name: system_harness.connect(name) for name in NAMES}
