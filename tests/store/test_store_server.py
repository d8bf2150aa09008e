"""The writing process with several clients: one commit for all of them, and no client that delays the others."""

import socket
import stat
import struct
from pathlib import Path

import gevent
import msgspec
import pytest

from chargehand import StoreError
from chargehand.actors.runtime import threads
from chargehand.protocol import framing
from chargehand.store import store_server
from chargehand.store.rows import Kind, row
from chargehand.store.store_server import StoreServer
from chargehand.store.worker_socket import LARGEST_REQUEST_BYTES, Read, WorkerDatabase, Write
from chargehand.store.writer import Writer

LIMIT_S = 60


class StubDatabase:
    """Database that notes its batches, and waits at its first commit until it is released."""

    def __init__(self, *, waits=False, fails=""):
        self.batches = []
        self.fails = fails
        self.closed = False
        self.reached, self.may_go_on = threads.native_lock(), threads.native_lock()
        self.reached.acquire()
        self.may_go_on.acquire()
        if not waits:
            self.may_go_on.release()

    def begin(self):
        self.batches.append([])

    def write(self, kind, rows):
        self.batches[-1] += ((kind, row) for row in rows)

    def commit(self):
        if len(self.batches) == 1:
            self.reached.release()
            self.may_go_on.acquire()
        if self.fails:
            raise OSError(self.fails)

    def roll_back(self):
        if self.fails == "for good":
            raise RuntimeError("planted")

    def read(self, query, values):
        return [(query, *values)]

    def close(self):
        self.closed = True


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Start a server of a stub at a short path; yield its path and its end."""
    started = []
    monkeypatch.chdir(tmp_path)

    def serve(database):
        failures = []
        started.append(StoreServer("s", lambda: database, threads, failed=failures.append))
        started[-1].start()
        return failures

    yield serve
    for one in started:
        one.stop()


@pytest.fixture
def writer():
    """Make writers of worker processes."""
    writers = []

    def make():
        writers.append(Writer(lambda: WorkerDatabase("s"), threads))
        writers[-1].start()
        return writers[-1]

    yield make
    for one in writers:
        one.close()


@pytest.fixture
def connect():
    """Open a bare connection to the server."""
    connections = []

    def connect():
        connections.append(socket.socket(socket.AF_UNIX))
        connections[-1].settimeout(LIMIT_S)
        connections[-1].connect("s")
        return connections[-1]

    yield connect
    for one in connections:
        one.close()


def in_thread(function, *arguments):
    """Run a blocking function in a thread while the hub goes on."""
    return gevent.get_hub().threadpool.apply(function, arguments)


def frame(request):
    return framing.frame(msgspec.msgpack.encode(request), LARGEST_REQUEST_BYTES)


def received(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        assert more, "the connection was closed"
        data += more
    return data


def answer_of(connection):
    (length,) = struct.unpack(">I", in_thread(received, connection, framing.HEADER_BYTES))
    return msgspec.msgpack.decode(in_thread(received, connection, length))


def test_what_several_hand_over_while_a_batch_is_written_is_one_batch(serve, connect):
    database = StubDatabase(waits=True)
    serve(database)
    connections = [connect() for _ in range(4)]
    for connection in connections:  # so that each is accepted
        connection.sendall(frame(Read("", [])))
        answer_of(connection)
    for number, connection in enumerate(connections):
        connection.sendall(frame(Write([(Kind.EVENT, [(number,)])])))
        if number == 0:
            in_thread(database.reached.acquire)
    database.may_go_on.release()
    assert [answer_of(connection) for connection in connections] == [["written", []]] * 4
    first, second = database.batches
    assert first == [(Kind.EVENT, (0,))]
    assert sorted(second) == [(Kind.EVENT, (1,)), (Kind.EVENT, (2,)), (Kind.EVENT, (3,))]


def test_kinds_of_all_are_written_in_their_order(serve, connect):
    database = StubDatabase()
    serve(database)
    rows = [(Kind.STOP, [(1,)]), (Kind.START, [(2,), (3,)])]
    connection = connect()
    connection.sendall(frame(Write(rows)))
    assert answer_of(connection) == ["written", []]
    assert database.batches == [[(Kind.START, (2,)), (Kind.START, (3,)), (Kind.STOP, (1,))]]


def test_a_commit_that_fails_is_told_to_all_and_the_next_batch_is_tried(serve, writer):
    database = StubDatabase(fails="the disk is full")
    failures = serve(database)
    one = writer()
    with pytest.raises(StoreError, match="not stored: the disk is full") as failure:
        one.append(Kind.EVENT, (1,)).wait(LIMIT_S)
    assert failure.value.passing
    database.fails = ""
    one.append(Kind.EVENT, (2,)).wait(LIMIT_S)
    assert failures == []


def test_a_read_that_fails_is_told_to_whoever_asked(writing):
    store = writing.open()
    try:
        with pytest.raises(StoreError, match="no such table"):
            store._ask("SELECT * FROM nowhere")
        assert store.registrations() == {}
    finally:
        store.close()


def test_a_row_that_one_has_wrong_fails_alone_among_those_of_all(writing):
    stores = [writing.open() for _ in range(3)]
    try:
        wrong = [store._writer.append(Kind.REGISTER, row(None, "Accepted", "1.6")) for store in stores]
        right = [store.register(f"CP{number}", "Accepted") for number, store in enumerate(stores)]
        for receipt in right:
            receipt.wait(LIMIT_S)
        for receipt in wrong:
            with pytest.raises(StoreError, match="refused a row") as refusal:
                receipt.wait(LIMIT_S)
            assert not refusal.value.passing
    finally:
        for store in stores:
            store.close()
    assert writing.sql("SELECT id FROM charge_points ORDER BY id") == [("CP0",), ("CP1",), ("CP2",)]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\0\0\0\1\xc1",
        b"\0\0\0\3abc",
        (LARGEST_REQUEST_BYTES + 1).to_bytes(4),
        b"\0\0\0\3" + msgspec.msgpack.encode([1])[:3] + b"\0",
    ],
)
def test_whoever_sends_nonsense_is_let_go_and_the_others_are_served(serve, connect, nonsense):
    failures = serve(StubDatabase())
    bad, good = connect(), connect()
    bad.sendall(nonsense)
    assert in_thread(bad.recv, 1) == b""
    good.sendall(frame(Read("a query", [1, "x", None])))
    assert answer_of(good) == ["found", [["a query", 1, "x", None]]]
    assert failures == []


def test_a_request_may_come_in_any_pieces(serve, connect):
    serve(StubDatabase())
    connection = connect()
    for byte in frame(Read("a query", [])):
        connection.sendall(bytes([byte]))
        gevent.sleep(0)
    assert answer_of(connection) == ["found", [["a query"]]]


def test_one_that_does_not_take_its_answer_holds_up_nobody(serve, connect):
    serve(StubDatabase())
    slow, other = connect(), connect()
    large = "x" * 4_000_000
    in_thread(slow.sendall, frame(Read(large, [])))
    for _ in range(3):
        other.sendall(frame(Read("a query", [])))
        assert answer_of(other) == ["found", [["a query"]]]
    assert answer_of(slow) == ["found", [[large]]]
    slow.sendall(frame(Read("a query", [])))
    assert answer_of(slow) == ["found", [["a query"]]]


def test_one_that_is_gone_before_its_answer_does_no_harm(serve, connect, writer):
    database = StubDatabase(waits=True)
    failures = serve(database)
    gone = connect()
    gone.sendall(frame(Write([(Kind.EVENT, [(1,)])])))
    in_thread(database.reached.acquire)
    gone.close()
    database.may_go_on.release()
    writer().append(Kind.EVENT, (2,)).wait(LIMIT_S)
    assert failures == []


def test_rows_of_a_client_gone_during_group_commit_are_kept_and_answers_are_ones_own(
    serve, connect, monkeypatch
):
    monkeypatch.setattr(store_server, "COMMIT_WINDOW_S", 0.3)
    database = StubDatabase()
    failures = serve(database)
    before, gone = connect(), connect()
    before.sendall(frame(Write([(Kind.EVENT, [(1,)])])))
    assert answer_of(before) == ["written", []]
    gone.sendall(frame(Write([(Kind.EVENT, [(2,)])])))
    gone.close()
    late = connect()
    late.sendall(frame(Write([(Kind.EVENT, [(3,)]), (Kind.STOP, [(4,)])])))
    assert answer_of(late) == ["written", []]
    late.sendall(frame(Read("a query", [])))
    assert answer_of(late) == ["found", [["a query"]]]
    assert sorted(row for batch in database.batches for _, row in batch) == [(1,), (2,), (3,), (4,)]
    assert failures == []


def test_rows_that_come_soon_after_a_batch_are_gathered_and_a_question_is_not(serve, connect, monkeypatch):
    monkeypatch.setattr(store_server, "COMMIT_WINDOW_S", 60)
    database = StubDatabase()
    serve(database)
    one, other = connect(), connect()
    one.sendall(frame(Write([(Kind.EVENT, [(1,)])])))
    assert answer_of(one) == ["written", []]
    one.sendall(frame(Write([(Kind.EVENT, [(2,)])])))
    other.sendall(frame(Read("a query", [])))
    assert answer_of(other) == ["found", [["a query"]]]
    other.sendall(frame(Read("a query", [])))
    assert answer_of(other) == ["found", [["a query"]]]
    assert answer_of(one) == ["written", []]


def test_the_socket_is_its_owners_only_and_gone_at_the_end(serve):
    database = StubDatabase()
    serve(database)
    assert stat.S_IMODE(Path("s").stat().st_mode) == 0o600
    server = StoreServer("s2", StubDatabase, threads, failed=pytest.fail)
    server.start()
    server.stop()
    server.stop()
    assert not Path("s2").exists()


def test_one_left_by_a_process_that_was_killed_is_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind("s")
    server = StoreServer("s", StubDatabase, threads, failed=pytest.fail)
    server.start()
    server.stop()


def test_a_database_that_cannot_be_opened_fails_the_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def open_():
        raise StoreError("it is broken")

    with pytest.raises(StoreError, match="it is broken"):
        StoreServer("s", open_, threads, failed=pytest.fail).start()
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_the_thread_itself_is_told(serve, writer):
    database = StubDatabase()
    failures = serve(database)
    one = writer()
    database.fails = "for good"
    with pytest.raises(StoreError):
        one.append(Kind.EVENT, (1,)).wait(LIMIT_S)
    with gevent.Timeout(LIMIT_S):
        while not failures:
            gevent.sleep(0)
    assert str(failures[0]) == "planted"
    assert database.closed
