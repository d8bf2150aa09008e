"""The stores that a database keeps: each can be opened again and again, and has what it had."""

import itertools

import pytest

from chargehand.actors import threads
from chargehand.store.postgres import PostgresStore
from chargehand.store.sqlite import SqliteStore


@pytest.fixture(params=["sqlite", "postgres"])
def open_store(request, tmp_path):
    """Opens the same store as often as it is called; whoever calls closes."""
    if request.param == "sqlite":
        return lambda: SqliteStore.open(str(tmp_path / "store.sqlite"), threads)
    postgres = request.getfixturevalue("postgres")
    return lambda: PostgresStore.open(postgres.url, threads)


@pytest.fixture(params=["sqlite", "postgres"])
def empty_store(request, tmp_path):
    """Each call makes an empty store: what it returns opens that."""
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
    """The same, but each time the store before is closed."""
    stores = []

    def open_():
        while stores:
            stores.pop().close()
        stores.append(open_store())
        return stores[-1]

    yield open_
    while stores:
        stores.pop().close()
