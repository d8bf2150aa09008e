"""Charge points with a real central system in the same process, and with none."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from chargehand import CentralSystem, Settings
from chargehand.actors.runtime.timers import Timers
from chargehand.simulator import ChargePoint
from chargehand.simulator.errors import Disconnected
from chargehand.simulator.jobs import Jobs
from chargehand.testing import ManualClock

DEADLINE_S = 60.0


def url_of(system: CentralSystem) -> str:
    """Return the URL of the system for charge points."""
    return f"ws://127.0.0.1:{system.port}/ocpp"


CallCommand = Callable[[Any], Any]


@pytest.fixture
def system() -> Iterator[CentralSystem]:
    """Central system with defaults on a free port."""
    with CentralSystem(Settings(port=0)) as system:
        yield system


@pytest.fixture
def make(system: CentralSystem) -> Iterator[Callable[..., ChargePoint]]:
    """Make charge points of that system, not connected yet; close them all at the end."""
    made: list[ChargePoint] = []

    def make(identity: str = "CP1", **options: Any) -> ChargePoint:
        charge_point = ChargePoint(url_of(system), identity, **options)
        made.append(charge_point)
        return charge_point

    yield make
    for charge_point in made:
        charge_point.close()


@pytest.fixture
def booted(make: Callable[..., ChargePoint]) -> ChargePoint:
    """Charge point that is connected, accepted, and has sent its statuses."""
    charge_point = make()
    charge_point.connect()
    charge_point.boot()
    return charge_point


@pytest.fixture
def call(system: CentralSystem, booted: ChargePoint) -> CallCommand:
    """Send a command to the booted charge point and return its answer."""

    def call(request: Any, timeout_s: float = DEADLINE_S) -> Any:
        return system.send(booted.identity, request, timeout_s=timeout_s).result()

    return call


@pytest.fixture
def clock() -> ManualClock:
    """Clock that a test moves."""
    return ManualClock()


@pytest.fixture
def timers(clock: ManualClock) -> Timers:
    """Timers on that clock."""
    timers = Timers(clock)
    clock.drive(timers)
    return timers


@pytest.fixture
def jobs(timers: Timers) -> Iterator[Jobs]:
    """Jobs on that clock."""
    jobs = Jobs("CP1", timers)
    yield jobs
    jobs.end()


class FakeCentralSystem:
    """Fake central system that keeps the requests and answers from a table."""

    def __init__(self) -> None:
        self.client: object | None = self  # None: offline
        self.requests: list[Any] = []
        self.answers: dict[str, Any] = {}

    def send(self, request: Any) -> Any:
        """Answer a request: with a message, by raising an exception, or by calling what the table holds."""
        if self.client is None:
            raise Disconnected("offline")
        self.requests.append(request)
        answer = self.answers.get(type(request).__name__)
        if isinstance(answer, list):
            answer = answer.pop(0)
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        return request.__action__.response() if answer is None else answer

    def names(self) -> list[str]:
        """Return the actions sent so far."""
        return [type(request).__name__ for request in self.requests]


@pytest.fixture
def backend() -> FakeCentralSystem:
    """Fake central system."""
    return FakeCentralSystem()


@pytest.fixture
def settle(jobs: Jobs) -> Callable[[], None]:
    """Let all jobs run to their end that do not wait."""

    def settle() -> None:
        with gevent.Timeout(DEADLINE_S):
            while len(jobs):
                gevent.idle()

    return settle
