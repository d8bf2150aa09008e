"""Address of a database, and connecting to it: a fault is one line, and never shows the password."""

import sys

import pytest

from chargehand import StoreError
from chargehand.store.libpq import MISSING, DatabaseAddress, QueryFailed, literal, lost, read, run


def test_without_psycopg_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError) as refusal:
        DatabaseAddress("postgresql://u@h/d")
    assert str(refusal.value) == MISSING
    assert "chargehand[postgres]" in MISSING


def test_a_server_that_is_not_there_is_one_line_without_the_password():
    with pytest.raises(StoreError) as refusal:
        DatabaseAddress("postgresql://me:s3cr3t%40@127.0.0.1:1/d?sslpassword=s3cr3t").connect()
    text = str(refusal.value)
    assert "postgresql://me:***@127.0.0.1:1/d?sslpassword=***: " in text
    assert "refused" in text
    assert "s3cr3t" not in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://me:s3cr3t@h/d?nonsense=1", "nonsense"),
        ("postgresql://me:s3cr3t%zz@h/d", "%40"),
        ("postgresql://me:s3cr3t@[::1/d", "not a URL"),
    ],
)
def test_what_is_no_url_is_said_without_the_password(url, says):
    with pytest.raises(StoreError) as refusal:
        DatabaseAddress(url)
    assert says in str(refusal.value)
    assert "s3cr3t" not in repr(refusal.value)
    assert refusal.value.__cause__ is refusal.value.__context__ is None


def test_a_name_that_nobody_has_and_the_next_host_that_is_there(postgres):
    with pytest.raises(StoreError, match="too long"):
        DatabaseAddress(f"postgresql://u@{'x' * 70}.invalid/d").connect()
    with pytest.raises(StoreError, match=r"no\.such\.invalid: "):
        DatabaseAddress("postgresql://u@no.such.invalid/d").connect()
    url = f"postgresql://chargehand@no.such.invalid:1,localhost:{postgres.port}/postgres"
    connection = DatabaseAddress(url).connect()
    assert read(connection, "SELECT 1", []) == [(1,)]
    connection.finish()


def test_a_database_that_is_not_there_is_one_line(postgres):
    with pytest.raises(StoreError, match='database "nowhere" does not exist') as refusal:
        DatabaseAddress(postgres.url.replace("/postgres", "/nowhere")).connect()
    assert "\n" not in str(refusal.value)


@pytest.fixture
def connection(postgres):
    connection = DatabaseAddress(postgres.url).connect()
    yield connection
    connection.finish()


def test_a_unix_socket_is_found_too(postgres):
    connection = DatabaseAddress(
        f"postgresql://chargehand@/postgres?host={postgres.folder}&port={postgres.port}"
    ).connect()
    assert read(connection, "SELECT 1", []) == [(1,)]
    connection.finish()


def test_rows_are_whole_numbers_and_texts(connection):
    rows = read(
        connection,
        "SELECT 1::int2, 2::bigint, 1000000000000000000000000000000::numeric, 'ü', NULL, $1",
        ["⚡".encode()],
    )
    assert rows == [(1, 2, 10**30, "ü", None, "⚡")]


def test_what_fails_is_one_line_and_says_whether_the_data_is_to_blame(connection):
    for statement, refused in ((b"SELECT 1/0", True), (b"SELECT 'x'::int", True), (b"SELECT nothing", False)):
        with pytest.raises(QueryFailed) as failure:
            run(connection, statement)
        assert failure.value.refused is refused
        assert "\n" not in str(failure.value)
    assert not lost(connection)
    with pytest.raises(QueryFailed) as failure:
        run(connection, b"SELECT pg_terminate_backend(pg_backend_pid())")
    assert not failure.value.refused
    assert lost(connection)


@pytest.mark.parametrize("text", ["it's", "\\", "a\\'b", "é'; DROP TABLE x; --", ""])
def test_a_literal_is_what_it_was(connection, text):
    assert run(connection, b"SELECT " + literal(connection, text.encode())).get_value(0, 0) == text.encode()
