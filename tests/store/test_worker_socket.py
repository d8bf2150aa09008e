"""A worker's store while the writing process is away, slow or gone, and the way in which its batches are sent."""

import socket

import gevent
import msgspec
import pytest

from chargehand import StoreError
from chargehand.actors.runtime import threads
from chargehand.store import worker_socket as socket_database
from chargehand.store.rows import Kind
from chargehand.store.worker_socket import (
    WorkerDatabase,
    WorkerStore,
    Write,
    Written,
    _requests,
    frame_answer,
)

LIMIT_S = 60
WRITTEN = frame_answer(Written([]))


@pytest.fixture
def store(writing):
    opened = writing.open()
    yield opened
    opened.close()


def test_one_that_is_not_there_is_one_clear_line(tmp_path):
    with pytest.raises(StoreError, match="the process that writes cannot be reached: "):
        WorkerStore.open(str(tmp_path / "s"), threads)


def test_while_the_other_is_away_nothing_is_acknowledged_and_then_all_goes_on(store, writing):
    store.register("CP1", "Accepted").wait(LIMIT_S)
    writing.stop()
    for _ in range(2):
        with pytest.raises(StoreError, match="not stored") as failure:
            store.register("CP2", "Accepted").wait(LIMIT_S)
        assert failure.value.passing
    writing.start()
    store.register("CP3", "Accepted").wait(LIMIT_S)
    assert writing.sql("SELECT id FROM charge_points ORDER BY id") == [("CP1",), ("CP3",)]


def test_numbers_are_given_while_it_is_away_and_are_never_given_twice(store, writing):
    given = [store.allot_transaction_id("CP1", None)]
    store.register("CP1", "Accepted").wait(LIMIT_S)
    writing.stop()
    given += [store.allot_transaction_id("CP1", None) for _ in range(500)]
    writing.start()
    other = writing.open()
    given.append(other.allot_transaction_id("CP1", None))
    other.close()
    assert len(set(given)) == 502


def test_a_server_that_does_not_answer_is_left_and_asked_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket_database, "ANSWER_S", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind("s")
        silent.listen()
        database = WorkerDatabase("s")
        for _ in range(2):
            with pytest.raises(StoreError, match="does not answer: timed out"):
                gevent.get_hub().threadpool.apply(database.read, ("SELECT 1", ()))
        database.close()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "closed the connection"),
        (2 * WRITTEN, "more than one answer"),
        (WRITTEN + b"\0", "more than one answer"),
    ],
)
def test_an_answer_that_is_none_or_more_than_one_ends_the_connection(tmp_path, monkeypatch, said, why):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind("s")
        other.listen()
        database = WorkerDatabase("s")
        served, _ = other.accept()
        with served:
            served.sendall(said)
            served.shutdown(socket.SHUT_WR)
            with pytest.raises(StoreError, match=f"does not answer: .* has .*{why}"):
                database.read("SELECT 1", ())
            assert database._socket is None


def test_a_request_over_the_maximum_is_not_sent(store, monkeypatch):
    monkeypatch.setattr(socket_database, "LARGEST_REQUEST_BYTES", 10)
    with pytest.raises(StoreError, match=r"does not answer: message of .* bytes is over the maximum of 10"):
        store._ask("SELECT 'much'")


def test_nothing_but_barriers_is_not_sent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind("s")
        silent.listen()
        database = WorkerDatabase("s")
        database.begin()
        database.write(Kind.BARRIER, [(), ()])
        database.commit()
        database.close()


def test_a_large_batch_is_several_requests_and_places_are_those_of_the_batch(monkeypatch):
    monkeypatch.setattr(socket_database, "REQUEST_BYTES", 10)
    rows = {Kind.START: [("12", 3), ("56", 7), ("90", 1)], Kind.STOP: [("x" * 50,), ("y",)]}
    read = msgspec.msgpack.Decoder(Write).decode
    requests = [(first, dict(read(request).rows)) for first, request in _requests(rows)]
    assert requests == [
        ({Kind.START: 0}, {Kind.START: [("12", 3), ("56", 7)]}),
        ({Kind.START: 2}, {Kind.START: [("90", 1)]}),
        ({Kind.STOP: 0}, {Kind.STOP: [("x" * 50,)]}),
        ({Kind.STOP: 1}, {Kind.STOP: [("y",)]}),
    ]
    assert list(_requests({})) == []


def test_a_refusal_in_the_second_request_finds_its_row(store, monkeypatch):
    monkeypatch.setattr(socket_database, "REQUEST_BYTES", 10)
    names = ["CP1", "CP2", None, "CP3"]
    receipts = [store._writer.append(Kind.REGISTER, (name, "x", "1.6")) for name in names]
    for name, receipt in zip(names, receipts, strict=True):
        if name is None:
            with pytest.raises(StoreError, match="refused a row"):
                receipt.wait(LIMIT_S)
        else:
            receipt.wait(LIMIT_S)
    assert store._ask("SELECT count(*) FROM charge_points") == [[3]]
