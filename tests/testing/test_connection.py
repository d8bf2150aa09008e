"""A connection with both ends in the test."""

import pytest

from chargehand.testing import MemoryConnection


class Receiver:
    """Notes every message."""

    def __init__(self):
        self.frames = []
        self.ends = []
        self.limit = 1000

    def deliver(self, connection, data):
        self.frames.append(data)
        if len(self.frames) >= self.limit:
            connection.pause()

    def closed(self, connection, code, reason):
        self.ends.append((code, reason))


@pytest.fixture
def receiver():
    return Receiver()


@pytest.fixture
def connection(receiver):
    return MemoryConnection(receiver)


@pytest.mark.parametrize(
    "frame", [[2, "1", "Heartbeat", {}], '[2,"1","Heartbeat",{}]', b'[2,"1","Heartbeat",{}]']
)
def test_a_frame_may_be_a_list_or_text_or_bytes(connection, receiver, frame):
    connection.send(frame)
    assert receiver.frames == [b'[2,"1","Heartbeat",{}]']


def test_what_was_sent_is_parsed_when_it_is_looked_at(connection):
    connection.send_text(b'[3,"1",{}]')
    connection.send_text(b"not JSON, and nobody minds until it is looked at")
    assert len(connection.frames) == 2
    with pytest.raises(ValueError, match="Expecting value"):
        connection.sent()


def test_taking_returns_what_is_new(connection):
    connection.send_text(b"[1]")
    assert connection.take() == [[1]]
    assert connection.take() == []
    connection.send_text(b"[2]")
    assert connection.take() == [[2]]
    assert connection.sent() == [[1], [2]]


def test_a_call_returns_its_answer_and_leaves_the_rest_to_be_taken(connection, receiver):
    def deliver(connection, data):
        connection.send_text(b'[2,"x","ClearCache",{}]')
        connection.send_text(b'[3,"1",{"a":1}]')
        connection.send_text(b'[3,"other",{}]')

    receiver.deliver = deliver
    assert connection.call("Heartbeat") == [3, "1", {"a": 1}]
    assert [frame[1] for frame in connection.take()] == ["x", "other"]


def test_a_call_that_is_not_answered_returns_nothing(connection, receiver):
    assert connection.call("Heartbeat") is None
    assert connection.call("Heartbeat", {"a": 1}, "my id") is None
    assert receiver.frames == [b'[2,"1","Heartbeat",{}]', b'[2,"my id","Heartbeat",{"a":1}]']


def test_calls_of_the_systems_can_be_answered_and_refused(connection, receiver):
    call = [2, "x", "ClearCache", {}]
    connection.answer(call, {"status": "Accepted"})
    connection.answer(call)
    connection.refuse(call, "NotSupported", "no")
    assert receiver.frames == [
        b'[3,"x",{"status":"Accepted"}]',
        b'[3,"x",{}]',
        b'[4,"x","NotSupported","no",{}]',
    ]


def test_a_pause_holds_what_comes_and_a_resume_lets_it_in(connection, receiver):
    connection.pause()
    for frame in ("[1]", "[2]", "[3]"):
        connection.send(frame)
    assert receiver.frames == []
    receiver.limit = 2
    connection.resume()
    assert receiver.frames == [b"[1]", b"[2]"]
    assert connection.paused
    receiver.limit = 100
    connection.resume()
    assert receiver.frames[-1] == b"[3]"


def test_what_is_sent_before_there_is_a_receiver_waits_too(receiver):
    connection = MemoryConnection()
    connection.send("[1]")
    connection.receiver = receiver
    connection.resume()
    assert receiver.frames == [b"[1]"]


@pytest.mark.parametrize("end", ["close", "hang_up"])
def test_the_end_is_told_once_and_nothing_passes_after_it(connection, receiver, end):
    getattr(connection, end)(1001, "bye")
    connection.close(1011)
    connection.hang_up()
    assert receiver.ends == [(1001, "bye")]
    assert connection.closed_with == (1001, "bye")
    connection.send_text(b"[1]")
    assert connection.frames == []
    with pytest.raises(ConnectionError, match="1001"):
        connection.send("[1]")


def test_a_cable_is_cut_without_a_word(connection, receiver):
    connection.hang_up()
    assert receiver.ends == [(1006, "")]


def test_it_is_alive_until_it_is_closed_or_told_otherwise(connection):
    assert connection.ping_and_wait(1.0)
    connection.alive = False
    assert not connection.ping_and_wait(1.0)
    connection.alive = True
    connection.close(1000)
    assert not connection.ping_and_wait(1.0)


def test_a_closed_connection_is_not_paused(connection):
    connection.pause()
    connection.close(1000)
    assert not connection.paused
    connection.pause()
    assert not connection.paused


def test_the_system_may_work_after_everything_that_the_charge_point_does(receiver):
    worked = []
    connection = MemoryConnection(receiver, settle=lambda: worked.append(1))
    connection.send("[1]")
    connection.call("Heartbeat")
    connection.hang_up()
    assert len(worked) == 3
