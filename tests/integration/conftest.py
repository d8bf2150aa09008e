"""Servers and clients for the integration tests, ended with the test, or the module, that starts them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from .browser import Browser, NoBrowser, Visit, visiting
from .process import ClientProcess
from .server import Server

TRANSPORTS = {name: ("--transport", name) for name in ("greenlet", "reactor")}
STORES = {
    "greenlet-memory": (*TRANSPORTS["greenlet"], "--store", "memory"),
    "reactor-sqlite": (*TRANSPORTS["reactor"], "--store", "sqlite"),
}
"""Options of `serve` for modules that run with each of them: both transports, or both with both stores."""
ON_EACH_TRANSPORT, ON_EACH_STORE = (
    pytest.mark.parametrize("serving", ways.values(), ids=ways, indirect=True, scope="module")
    for ways in (TRANSPORTS, STORES)
)
"""Marks of such modules."""


class StartServer(Protocol):
    """Starts a server of the test's own: options of `serve`, a TOML text, a folder for PYTHONPATH, one for data.

    `descriptors` is how many it may have; 0 for as many as the test.
    """

    def __call__(
        self,
        *options: str,
        config: str = "",
        python_path: Path | None = None,
        data: Path | None = None,
        descriptors: int = 0,
    ) -> Server: ...


class StartClient(Protocol):
    """Starts `client.py` in a scenario against a URL that ends with the charge point's id."""

    def __call__(self, url: str, scenario: str, *options: str) -> ClientProcess: ...


def starting(folder_of: Callable[[str], Path], serving: tuple[str, ...]) -> Iterator[StartServer]:
    """Yield a factory of servers, each in a folder of its own. All are stopped in order, or the test fails."""
    servers: list[Server] = []

    def start(*options: str, **more: Any) -> Server:
        server = Server(folder_of("server"), *serving, *options, **more)
        servers.append(server)
        return server

    try:
        yield start
        for server in servers:
            server.stop()
    finally:
        for server in servers:
            server.close()


@pytest.fixture(scope="module")
def serving(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Options that all servers of a module are started with: none, or those of the module's mark."""
    options: tuple[str, ...] = getattr(request, "param", ())
    return options


@pytest.fixture
def start_server(tmp_path_factory: pytest.TempPathFactory, serving: tuple[str, ...]) -> Iterator[StartServer]:
    """Servers for one test."""
    yield from starting(tmp_path_factory.mktemp, serving)


@pytest.fixture(scope="module")
def start_module_server(
    tmp_path_factory: pytest.TempPathFactory, serving: tuple[str, ...]
) -> Iterator[StartServer]:
    """Servers for all tests of a module."""
    yield from starting(tmp_path_factory.mktemp, serving)


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    """A server with defaults, shared by a module whose tests use charge points of their own."""
    return start_module_server()


@pytest.fixture(scope="session")
def page_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Server for all tests of the operator's page, which use charge points of their own."""
    for start in starting(tmp_path_factory.mktemp, ()):
        yield start("--store", "sqlite")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Browser for all tests of the operator's page; they are skipped where there is none."""
    try:
        browser = Browser()
    except NoBrowser as error:
        pytest.skip(str(error))
    with browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, page_server: Server) -> Iterator[Visit]:
    """Open the operator's page, logged in; nothing may be on its console when the test ends."""
    yield from visiting(browser, page_server)


@pytest.fixture
def start_client() -> Iterator[StartClient]:
    """Clients for one test."""
    clients: list[ClientProcess] = []

    def start(url: str, scenario: str, *options: str) -> ClientProcess:
        client = ClientProcess(url, scenario, *options)
        clients.append(client)
        return client

    try:
        yield start
    finally:
        for client in clients:
            client.close()
