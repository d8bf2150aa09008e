"""Fixtures: two runtimes that must behave alike, harnesses for cells and the spool, and cells with ordering keys."""

import pykka
import pytest

from chargehand.actors.runtime.actor import Actor
from chargehand.actors.runtime.ordered_cell import OrderedCell
from chargehand.actors.runtime.scheduler import Scheduler
from chargehand.testing import StubStore

from ..hub import settle, until
from .jobs import JobActor
from .recording_actors import CellHarness
from .spool_harness import SpoolHarness


@pytest.fixture(params=[pykka.ThreadingActor, Actor], ids=["threads", "gevent"])
def runtime(request):
    """Base class of an actor: pykka's on threads, then chargehand's."""
    yield request.param
    if request.param is pykka.ThreadingActor:
        pykka.ActorRegistry.stop_all()
        # A future resolves before the thread that resolved it has ended.
        until(lambda: not [one for one in pykka.ActorRegistry.get_all() if one.is_alive()])


@pytest.fixture
def cell_harness():
    cell_harness = CellHarness()
    yield cell_harness
    for cell in cell_harness.cells:
        cell.kill()
        cell.end()
    settle()


@pytest.fixture
def spool_harness():
    spool_harness = SpoolHarness()
    yield spool_harness
    spool_harness.close()


@pytest.fixture
def log():
    """Messages that reached an actor or a handler, in order."""
    return []


@pytest.fixture
def store():
    return StubStore()


@pytest.fixture
def exits():
    return []


@pytest.fixture
def make(log, exits):
    """Make and start cells with ordering keys; end them with the test."""
    made = []

    def make(concurrency=64, actor=JobActor, timers=None):
        watch = lambda _, exit_: exits.append(exit_)  # noqa: E731
        cell = OrderedCell(
            Scheduler(spare=0),
            "ordering_keys",
            actor.maker(log),
            watch,
            concurrency=concurrency,
            timers=timers,
        )
        made.append(cell)
        cell.start()
        del log[:]
        return cell

    yield make
    for cell in made:
        cell.kill()
        cell.end()
    settle()
