"""Fixtures: a tree of supervision, a house full of sessions, and a ward with a moody plugin."""

import pytest

from chargehand.protocol.session import Session
from chargehand.testing import StubStore

from ..hub import settle
from .failing_plugins import NAMES, SUPERVISION, Moody, Story
from .plugins_harness import Ward
from .sessions_harness import TIME_ANSWER, House, Planted
from .tree_harness import Tree


@pytest.fixture
def tree():
    tree = Tree()
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
def house(way, log):
    house = House(way, log)
    yield house
    house.close()


@pytest.fixture
def charge_point(house):
    return house.connect()


@pytest.fixture
def faulty_reading(monkeypatch):
    """Reading a frame with "crash" in it raises what nobody expects."""
    receive = Session.receive

    def planted(self, data, now):
        if b"crash" in data:
            raise Planted
        return receive(self, data, now)

    monkeypatch.setattr(Session, "receive", planted)


@pytest.fixture
def story():
    return Story()


@pytest.fixture
def store():
    return StubStore()


@pytest.fixture
def ward(story, store):
    with Ward(Moody.spec(story), store=store, **SUPERVISION) as ward:
        yield ward


@pytest.fixture
def fleet(ward):
    return {name: ward.connect(name) for name in NAMES}
