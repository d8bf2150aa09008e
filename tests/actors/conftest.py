"""Fixtures: the two runtimes that must mean the same, and a bench for cells."""

import pykka
import pytest

from chargehand.actors.actor import Actor

from ..hub import settle, until
from .probe import Bench


@pytest.fixture(params=[pykka.ThreadingActor, Actor], ids=["threads", "gevent"])
def runtime(request):
    """The class to derive an actor from."""
    yield request.param
    if request.param is pykka.ThreadingActor:
        pykka.ActorRegistry.stop_all()
        # A future resolves before the thread that resolved it has ended.
        until(lambda: not [one for one in pykka.ActorRegistry.get_all() if one.is_alive()])


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    for cell in bench.cells:
        cell.kill()
        cell.end()
    settle()
