"""Fixtures: a real redis-server."""

from collections.abc import Iterator

import pytest

from ..redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One for all tests; each has a prefix of its own in it. A test that kills it starts one of its own."""
    server = RedisServer()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """One for this test alone."""
    server = RedisServer()
    server.start()
    yield server
    server.kill()
