"""Stores with a database: each can be opened again and again with the same content."""

import itertools
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from chargehand import MemoryStore
from chargehand.actors.runtime import threads
from chargehand.store.postgres import PostgresStore
from chargehand.store.shared import REMOVALS_KEPT_S
from chargehand.store.sqlite import SqliteFile, SqliteStore
from chargehand.store.store_server import StoreServer
from chargehand.store.worker_socket import WorkerStore


class StoreServerHarness:
    """Writing process, here in a thread of this one, with a file and a socket to it."""

    def __init__(self, folder):
        self.file = str(Path(folder) / "store.sqlite")
        self.path = str(Path(folder) / "store.socket")
        self.failures = []
        self.start()

    def start(self):
        self._server = StoreServer(
            self.path,
            lambda: SqliteFile(self.file, removals_kept_s=REMOVALS_KEPT_S),
            threads,
            failed=self.failures.append,
        )
        self._server.start()

    def stop(self, _how=""):
        self._server.stop()

    def open(self):
        return WorkerStore.open(self.path, threads)

    def sql(self, statement):
        with closing(sqlite3.connect(self.file, isolation_level=None, timeout=60)) as connection:
            return connection.execute(statement).fetchall()

    def age_removals(self):
        self.sql("UPDATE books SET removed_at = removed_at - 25 * 3600")

    def books_kept(self):
        return self.sql("SELECT count(*) FROM books")[0][0]


class PostgresHarness:
    """PostgreSQL server in the place of the writing process."""

    def __init__(self, postgres):
        self._postgres = postgres
        self.start, self.stop = postgres.start, postgres.stop

    def open(self):
        return PostgresStore.open(self._postgres.url, threads)

    def age_removals(self):
        self._postgres.sql("UPDATE chargehand.books SET removed_at = now() - interval '25 hours'")

    def books_kept(self):
        return int(self._postgres.sql("SELECT count(*) FROM chargehand.books"))


@pytest.fixture
def writing():
    """Writing process; its path is short because a socket's path has a limit."""
    with tempfile.TemporaryDirectory() as folder:
        one = StoreServerHarness(folder)
        yield one
        one.stop()
        assert one.failures == []


@pytest.fixture(params=["workers", "postgres"])
def shared(request):
    """Database that several stores may have open at once."""
    if request.param == "workers":
        return request.getfixturevalue("writing")
    return PostgresHarness(request.getfixturevalue("postgres"))


@pytest.fixture(params=["sqlite", "workers", "postgres"])
def open_store(request, tmp_path):
    """Open the same store at each call; the caller closes it."""
    return _opener(request, tmp_path)


def _opener(request, tmp_path):
    if request.param == "sqlite":
        return lambda: SqliteStore.open(str(tmp_path / "store.sqlite"), threads)
    if request.param == "workers":
        return request.getfixturevalue("writing").open
    postgres = request.getfixturevalue("postgres")
    return lambda: PostgresStore.open(postgres.url, threads)


@pytest.fixture(params=["memory", "sqlite", "workers", "postgres"])
def any_store(request, tmp_path):
    """Open a store of each kind in turn."""
    store = MemoryStore() if request.param == "memory" else _opener(request, tmp_path)()
    yield store
    store.close()


@pytest.fixture(params=["sqlite", "postgres"])
def empty_store(request, tmp_path):
    """Make an empty store at each call; the result opens it."""
    numbers = itertools.count()
    postgres = request.getfixturevalue("postgres") if request.param == "postgres" else None

    def empty():
        if postgres is not None:
            postgres.clear()
            return lambda: PostgresStore.open(postgres.url, threads)
        path = str(tmp_path / f"{next(numbers)}.sqlite")
        return lambda: SqliteStore.open(path, threads)

    return empty


@pytest.fixture
def opened(open_store):
    """Open the same store at each call, after closing the previous one."""
    stores = []

    def open_():
        while stores:
            stores.pop().close()
        stores.append(open_store())
        return stores[-1]

    yield open_
    while stores:
        stores.pop().close()
