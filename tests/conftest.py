"""Checks around all tests: nothing that a test starts may outlive it."""

import gc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gevent
import pytest
from hypothesis import settings

from .hub import notice_schedulers
from .leftovers import Snapshot
from .postgres_process import NoPostgres, PostgresProcess

# The same examples every time, without a database: what fails here fails everywhere, however slow the machine is.
settings.register_profile("chargehand", derandomize=True, deadline=None, database=None)
settings.load_profile("chargehand")

HERE = Path(__file__).parent
PURE = {"protocol", "config", "test_floors.py", "test_language.py", "test_versions.py"}
"""Folders and files of tests that start nothing: each of their modules is checked once."""
SLOW_PLACES = {"integration", "test_packaging.py", "test_examples.py", "test_typing.py"}
SLOW_FILES = {
    "protocol/test_schemas.py",  # every message of every version, against its schema
    # These wait for real time.
    "store/test_shared.py",
    "supervisor/test_takeover_races.py",
    "supervisor/test_watchdog.py",
    "transport/test_transports.py",
}
SLOW_FIXTURES = {"postgres_process", "shared_redis", "own_redis", "serve_process"}
"""Fixtures that start a process."""
NO_PARAMETERS = SimpleNamespace(params={})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take `--turns 1`, which finds tests that pass only on a fast machine."""
    parser.addoption("--turns", type=int, help="turns of actors after which the hub polls sockets and timers")


def pytest_configure(config: pytest.Config) -> None:
    """Have the tests' schedulers known before the first is made."""
    notice_schedulers(config.getoption("turns"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests as slow that start processes, wait for real time, or look at every message of every version."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if (
            "postgres" in getattr(item, "callspec", NO_PARAMETERS).params.values()
        ):  # asked for by a fixture, later
            fixtures.add("postgres_process")
        place = item.path.relative_to(HERE)
        if place.parts[0] in SLOW_PLACES or str(place) in SLOW_FILES or fixtures & SLOW_FIXTURES:
            item.add_marker("slow")


def pytest_collection_finish() -> None:
    """Freeze all existing objects in the collector, and make the objects that gevent makes only once."""
    hub = gevent.get_hub()
    hub.threadpool.apply(int)
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres_process() -> Iterator[PostgresProcess]:
    """PostgreSQL server for all tests that use it; they are skipped where it is not installed."""
    try:
        process = PostgresProcess()
    except NoPostgres as error:
        pytest.skip(str(error))
    with process:
        yield process


@pytest.fixture
def postgres(postgres_process: PostgresProcess) -> PostgresProcess:
    """The same server with an empty database."""
    postgres_process.clear()
    return postgres_process


@pytest.fixture(autouse=True)
def nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves an actor, a greenlet, a native thread, a descriptor or a process."""
    if is_pure(request):
        yield
        return
    yield from checked()


@pytest.fixture(autouse=True, scope="module")
def no_pure_module_leaves_anything_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the last test of a module of pure functions that leaves something."""
    if not is_pure(request):
        yield
        return
    yield from checked()


def is_pure(request: pytest.FixtureRequest) -> bool:
    """Tell if a module is in one of the folders of pure functions."""
    return request.path.relative_to(HERE).parts[0] in PURE


def checked() -> Iterator[None]:
    """Compare the actors, greenlets, threads, descriptors and processes before and after a test or a module."""
    # A test may have waited for a process without its hub: counted from the hub's last look at the clock, a time limit
    # of the next one could be over at once.
    gevent.get_hub().loop.update_now()
    before = Snapshot()
    yield
    left = before.left_behind()
    if left:
        before.end_greenlets()  # one that computes for ever would make all later tests fail too
    assert not left, "\n".join(left)
