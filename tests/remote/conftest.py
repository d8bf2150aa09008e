"""Redis for tests, and coordinators of both kinds."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from chargehand.actors.runtime.timers import SystemClock
from chargehand.remote.cluster.coordinator_server import CoordinatorServer
from chargehand.remote.cluster.redis_coordinator import RedisCoordinator
from chargehand.remote.cluster.unix_coordinator import UnixCoordinator
from chargehand.remote.redis.address import Address

from ..hub import settle, until
from .recording_listener import RecordingListener
from .redis_process import REDIS, RedisProcess

LEASE_S = 1.0
NUMBERS = itertools.count()
MISSING = "there is no redis-server on this machine (Debian: apt install redis-server)"


@pytest.fixture(scope="session", autouse=True)
def shared_redis(tmp_path_factory) -> Iterator[RedisProcess | None]:
    """Redis server started before any test of this folder counts processes, so that it is no leftover of a test."""
    server = RedisProcess(tmp_path_factory.mktemp("redis")) if REDIS is not None else None
    if server is not None:
        server.start()
    yield server
    if server is not None:
        server.kill()


@pytest.fixture
def redis_server(shared_redis) -> RedisProcess:
    """Redis shared by all tests that leave it alone; each uses a prefix of its own."""
    if shared_redis is None:
        pytest.skip(MISSING)
    return shared_redis


@pytest.fixture
def own_redis(tmp_path) -> Iterator[Callable[..., RedisProcess]]:
    """Start a Redis that a test may kill."""
    if REDIS is None:
        pytest.skip(MISSING)
    started = []

    def start(*options: str, port: int = 0) -> RedisProcess:
        server = RedisProcess(tmp_path, *options, port=port)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()


class CoordinatorFactory:
    """Factory of coordinators for the same charge points."""

    def __init__(self, make) -> None:
        self._make = make
        self.made = []

    def coordinator(self, node: str = "", clock=None, lease_s: float = LEASE_S):
        """Return a started coordinator that has its lease, and its listener."""
        node = node or f"node-{next(NUMBERS)}"
        coordinator = self._make(node, clock or SystemClock(), lease_s)
        listener = RecordingListener()
        self.made.append(coordinator)
        coordinator.start(listener)
        until(lambda: coordinator.held)
        return coordinator, listener

    def close(self) -> None:
        for coordinator in self.made:
            coordinator.stop()
        settle()


def coordinators_on(url: str, prefix: str = "") -> CoordinatorFactory:
    prefix = prefix or f"test{next(NUMBERS)}"
    return CoordinatorFactory(
        lambda node, clock, lease_s: RedisCoordinator(Address(url), prefix, node, clock, lease_s=lease_s)
    )


@pytest.fixture
def redis_coordinators(redis_server) -> Iterator[CoordinatorFactory]:
    coordinators = coordinators_on(redis_server.url)
    yield coordinators
    coordinators.close()


@pytest.fixture
def coordinator_server(tmp_path) -> Iterator[CoordinatorServer]:
    coordinator_server = CoordinatorServer(str(tmp_path / "b"), lease_s=LEASE_S)
    coordinator_server.start()
    yield coordinator_server
    coordinator_server.stop()


@pytest.fixture
def unix_coordinators(coordinator_server) -> Iterator[CoordinatorFactory]:
    coordinators = CoordinatorFactory(
        lambda node, clock, lease_s: UnixCoordinator(coordinator_server.path, node, clock, lease_s=lease_s)
    )
    yield coordinators
    coordinators.close()


@pytest.fixture(params=["redis", "unix"])
def coordinators(request) -> CoordinatorFactory:
    """Coordinators of both kinds."""
    return request.getfixturevalue(f"{request.param}_coordinators")
