"""Stores of a newer program: used as far as they allow it, with nothing lost of what only that program knows."""

import re
import sqlite3
from contextlib import closing

import msgspec
import pytest

from chargehand import StoreError, Tag
from chargehand.actors.runtime import threads
from chargehand.store import postgres_schema, sqlite_schema
from chargehand.store.format import Removal, check_format, check_removal
from chargehand.store.libpq import DatabaseAddress
from chargehand.store.postgres import PostgresStore
from chargehand.store.records import LogLevel
from chargehand.store.sqlite import SqliteStore

from ..hub import until
from .transactions import START, stopped, transaction

LIMIT_S = 60
FUTURE = (
    "ALTER TABLE transactions ADD COLUMN future text DEFAULT 'planned'",
    "ALTER TABLE readings ADD COLUMN future integer",
    "CREATE TABLE futures (number bigint PRIMARY KEY)",
    "CREATE INDEX transactions_future ON transactions (future)",
)
TAG = '{"id_tag": "T1", "status": "Accepted", "future": {"a": [1, "\\u00e4"]}}'
BOOKS = (
    f"UPDATE books SET data = '{TAG}' WHERE book = 'tags' AND key = 't1'",
    'UPDATE books SET data = \'{"id_tag": "T2", "expiry": {"after": 1}}\' WHERE book = \'tags\' AND key = \'t2\'',
    "UPDATE books SET book = 'futures' WHERE key = 't3'",
)
"""Writes of a newer program: a member that is new, a record that cannot be read, a collection that is new."""


@pytest.mark.parametrize(
    ("found", "needs", "known", "newer"),
    [(5, 0, 5, False), (4, 0, 5, False), (6, 5, 5, True), (9, 3, 5, True), (5, 9, 5, False)],
)
def test_a_store_is_used_that_is_older_or_allows_it(found, needs, known, newer):
    assert check_format("a", found, needs, known) is newer


@pytest.mark.parametrize(("found", "needs"), [(6, 0), (6, 6), (9, 7)])
def test_a_store_that_needs_a_newer_program_is_refused(found, needs):
    with pytest.raises(StoreError, match=f"a was written by a newer chargehand .tables {found};.* knows 5"):
        check_format("a", found, needs, 5)


def test_nothing_is_removed_while_a_program_lives_that_needs_it():
    removal = Removal(7, "the column x", "")
    check_removal(removal, [7, 8])
    check_removal(removal, [])
    with pytest.raises(StoreError, match=r"the column x is not removed: a node lives .* tables 6, and 7"):
        check_removal(removal, [8, 6])


TAKES_AWAY = re.compile(
    r"\b(DROP(?! INDEX)|RENAME|DELETE|TRUNCATE|ALTER COLUMN|SET NOT NULL)\b", re.IGNORECASE
)
NEEDS_A_VALUE = re.compile(r"ADD COLUMN(?![^,;]*\bDEFAULT\b)[^,;]*\bNOT NULL\b", re.IGNORECASE)


def faults_of(steps):
    """List what in steps an older program could not live with."""
    return [
        found[0] for step in steps for rule in (TAKES_AWAY, NEEDS_A_VALUE) for found in rule.finditer(step)
    ]


@pytest.mark.parametrize("schema", [sqlite_schema, postgres_schema], ids=["sqlite", "postgres"])
def test_steps_behind_the_rule_only_add_something(schema):
    assert "INSERT INTO ids (name, next) VALUES ('needs'" in schema.STEPS[schema.RULED - 1]
    assert faults_of(schema.STEPS[schema.RULED - 1 :]) == []
    assert all(removal.needs > schema.RULED for removal in schema.REMOVALS)


def test_a_step_that_takes_away_or_demands_is_seen():
    assert faults_of(["ALTER TABLE a DROP COLUMN b", "ALTER TABLE a ADD COLUMN b text NOT NULL"]) == [
        "DROP",
        "ADD COLUMN b text NOT NULL",
    ]
    assert faults_of(["ALTER TABLE a ADD COLUMN b text NOT NULL DEFAULT '', ADD COLUMN c text"]) == []


def make_future(run, steps):
    """Have a newer program add something to a store, and write records of its own."""
    for statement in (*FUTURE, *steps, *BOOKS):
        run(statement)


def fill(store):
    """Store a transaction that goes on, and three tags."""
    store.start_transaction(transaction(store.allot_transaction_id("CP1", START))).wait(LIMIT_S)
    for name in ("T1", "T2", "T3"):
        store.collections.tags.put(Tag(id_tag=name)).wait(LIMIT_S)


def use(store):
    """Write as an older program does: each kind of record that the newer one has added to."""
    assert store.collections.tags.get("t1").status == "Accepted"
    assert store.collections.tags.get("t2") is None  # it cannot be read here
    tag = msgspec.structs.replace(store.collections.tags.get("t1"), status="Blocked")
    store.collections.tags.put(tag).wait(LIMIT_S)
    store.collections.log_levels.put(LogLevel(charge_point_id="CP9", level="DEBUG")).wait(LIMIT_S)
    (open_,) = store.open_transactions("CP1")
    store.stop_transaction(stopped(open_.id)).wait(LIMIT_S)


def assert_kept(ask):
    """Assert that what only the newer program knows is as it was, and that the rest was written."""
    tag = msgspec.json.decode(ask("SELECT data FROM books WHERE book = 'tags' AND key = 't1'"))
    assert tag["status"] == "Blocked"
    assert tag["future"] == {"a": [1, "ä"]}
    assert '{"after": 1}' in ask("SELECT data FROM books WHERE book = 'tags' AND key = 't2'")
    assert ask("SELECT count(*) FROM books WHERE book = 'futures' AND data IS NOT NULL") == 1
    assert (
        ask("SELECT count(*) FROM transactions WHERE future = 'planned' AND stop_received_at IS NOT NULL")
        == 1
    )
    assert ask("SELECT count(*) FROM books WHERE book = 'log_levels' AND data IS NOT NULL") == 1


def test_an_older_program_loses_nothing_in_a_file_of_a_newer_one(tmp_path, caplog):
    path = str(tmp_path / "store.sqlite")
    with closing(SqliteStore.open(path, threads)) as store:
        fill(store)
    with closing(sqlite3.connect(path, isolation_level=None)) as newer:
        make_future(newer.execute, [f"PRAGMA user_version = {len(sqlite_schema.STEPS) + 1}"])
    with closing(SqliteStore.open(path, threads)) as store:
        use(store)
    with closing(sqlite3.connect(path)) as newer:
        assert_kept(lambda query: newer.execute(query).fetchone()[0])
    assert "of a newer chargehand" in caplog.text
    assert "tags t2 cannot be read, and is left as it is" in caplog.text


def test_what_is_taken_away_of_a_file_refuses_programs_that_need_it(tmp_path):
    path, known = str(tmp_path / "store.sqlite"), len(sqlite_schema.STEPS)
    SqliteStore.open(path, threads).close()
    removal = Removal(known + 1, "an index", "DROP INDEX events_by_kind")
    with closing(sqlite3.connect(path, isolation_level=None)) as newer:
        newer.execute(f"PRAGMA user_version = {known + 1}")
        assert sqlite_schema.take_away(newer, [removal]) == ["an index"]
        assert sqlite_schema.take_away(newer, [removal]) == []
    with pytest.raises(StoreError, match=f"used by those that know {known + 1}"):
        SqliteStore.open(path, threads)


@pytest.fixture
def server(postgres):
    """Connection of a program that makes no tables and has no format, and its PostgreSQL."""
    PostgresStore.open(postgres.url, threads).close()
    connection = DatabaseAddress(postgres.url).connect()
    postgres_schema.run(connection, b"SET search_path = chargehand")
    yield connection
    connection.finish()


def one(connection, query):
    return postgres_schema.read(connection, query, [])[0][0]


def test_an_older_program_loses_nothing_in_a_database_of_a_newer_one(postgres, server, caplog):
    with closing(PostgresStore.open(postgres.url, threads)) as store:
        fill(store)
    newer = len(postgres_schema.STEPS) + 1
    make_future(
        lambda text: postgres_schema.run(server, text.encode()),
        [f"INSERT INTO version (number) VALUES ({newer})"],
    )
    with closing(PostgresStore.open(postgres.url, threads)) as store:
        use(store)
    assert_kept(lambda query: one(server, query))
    assert f"has tables {newer}, of a newer chargehand" in caplog.text


def test_living_programs_hinder_what_they_need_from_being_taken_away(postgres, server):
    known = len(postgres_schema.STEPS)
    removal = Removal(known + 1, "the index events_by_kind", "DROP INDEX events_by_kind")
    with closing(PostgresStore.open(postgres.url, threads)):
        assert postgres_schema.living_formats(server) == [known]
        with pytest.raises(StoreError, match=f"a node lives that needs it .it knows tables {known}"):
            postgres_schema.take_away(server, [removal])
        assert one(server, "SELECT count(*) FROM pg_indexes WHERE indexname = 'events_by_kind'") == 1
    until(lambda: postgres_schema.living_formats(server) == [])
    postgres_schema.run(server, f"INSERT INTO version (number) VALUES ({known + 1})".encode())
    assert postgres_schema.take_away(server, [removal]) == [removal.what]
    assert postgres_schema.take_away(server, [removal]) == []
    with pytest.raises(StoreError, match=f"used by those that know {known + 1}"):
        PostgresStore.open(postgres.url, threads)
    until(lambda: postgres_schema.living_formats(server) == [])


def test_programs_that_tell_no_format_have_to_stop_before_an_upgrade(postgres, server):
    version = postgres_schema.RULED - 1
    postgres.clear()
    steps = "; ".join(postgres_schema.STEPS[:version])
    numbers = "; ".join(f"INSERT INTO version VALUES ({number})" for number in range(1, version + 1))
    postgres_schema.run(
        server,
        "CREATE SCHEMA chargehand; SET search_path = chargehand; CREATE TABLE version (number integer NOT NULL); "
        f"{steps}; {numbers}; SET application_name = '{postgres_schema.OLD_APPLICATION}'".encode(),
    )
    with pytest.raises(
        StoreError, match=r"in use by an older chargehand \(1 connections\).* stop all nodes first"
    ):
        PostgresStore.open(postgres.url, threads)
    assert one(server, "SELECT max(number) FROM version") == version
    postgres_schema.run(server, b"SET application_name = 'a tool'")
    PostgresStore.open(postgres.url, threads).close()
    assert one(server, "SELECT max(number) FROM version") == len(postgres_schema.STEPS)
