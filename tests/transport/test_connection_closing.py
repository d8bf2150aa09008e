"""The end of a connection: begun by the server, by the peer, or by a fault of the peer."""

import pytest

from .fakes import FakeTlsSocket

# The end, begun by us


def test_we_close_and_the_peer_agrees(line):
    line.connection.close(1001, "stop")
    assert line.close_frame() == (1001, "stop")
    assert line.connection.open
    line.closes(1001)
    assert line.receiver.ends == [(1001, "stop")]
    assert line.reader.calls == ["ended"]
    assert line.sock.calls[-1] == "shutdown"


def test_we_close_and_the_peer_says_nothing_for_the_close_timeout(line):
    line.connection.close(1001, "stop")
    line.clock.advance(0.9)
    assert line.connection.open
    line.clock.advance(0.1)
    assert line.receiver.ends == [(1001, "stop")]
    assert line.reader.calls == ["ended"]


def test_what_the_peer_still_sends_after_our_close_is_not_delivered(line):
    line.connection.close(1001)
    line.says(b"late")
    assert line.receiver.messages == []
    line.closes(1001)
    assert line.receiver.ends == [(1001, "")]


def test_a_ping_that_comes_after_our_close_is_answered(line):
    line.connection.close(1001)
    line.sock.events()
    line.pings(b"x")
    assert line.sock.sent.endswith(b"\x8a\x01x")


def test_a_message_of_the_same_packet_may_close_the_connection(line):
    line.receiver.on_deliver = lambda connection: connection.close(1008, "no")
    line.says(b"one", b"two")
    assert line.receiver.messages == [b"one"]
    line.closes(1008)
    assert line.receiver.ends == [(1008, "no")]


def test_only_the_first_close_counts(line):
    line.connection.close(1001, "first")
    line.connection.close(1008, "second")
    line.clock.advance(1.0)
    line.connection.close(1011, "third")
    assert line.receiver.ends == [(1001, "first")]
    assert line.sock.sent.count(b"\x88") == 1


def test_text_behind_our_close_is_swallowed(line):
    line.connection.close(1001)
    sent = line.sock.sent
    line.connection.send_text(b"late")
    assert line.sock.sent == sent


def test_our_close_waits_behind_what_waits_and_no_longer_than_its_timeout(line):
    line.sock.room = 3
    line.connection.send_text(b"text")
    line.connection.close(1001)
    line.takes(100)
    assert line.sock.sent == b"\x81\x04text\x88\x02\x03\xe9"
    assert line.sock.calls == []  # the peer's part is waited for
    line.clock.advance(1.0)
    assert line.receiver.ends == [(1001, "")]


def test_our_close_to_a_peer_that_reads_nothing_ends_with_its_timeout(line):
    line.sock.room = 0
    line.connection.send_text(b"text")
    line.connection.close(1001)
    line.clock.advance(1.0)
    assert line.receiver.ends == [(1001, "")]
    assert line.reader.calls == ["ended"]


def test_a_close_that_cannot_be_sent_ends_the_connection_with_its_code(line):
    line.sock.errors = [ConnectionResetError()]
    line.connection.close(1001, "stop")
    assert line.receiver.ends == [(1001, "stop")]
    line.clock.advance(10.0)
    assert line.reader.calls == ["ended"]


# The end, begun by the peer


@pytest.mark.parametrize(
    ("frame", "code", "reason", "reply"),
    [
        ((1000, ""), 1000, "", b"\x88\x02\x03\xe8"),
        ((1001, "bye"), 1001, "bye", b"\x88\x02\x03\xe9"),
        ((4999, ""), 4999, "", b"\x88\x02\x13\x87"),
        ((1005, ""), 1005, "", b"\x88\x00"),
    ],
)
def test_the_peer_closes_and_gets_its_code_back(line, frame, code, reason, reply):
    line.closes(*frame)
    assert line.sock.sent == reply
    assert line.receiver.ends == [(code, reason)]
    assert line.reader.calls == ["ended"]
    assert line.sock.calls == ["shutdown writing", "shutdown"]


def test_under_tls_the_end_is_said_in_tls_too(open_line):
    line = open_line(FakeTlsSocket)
    line.closes(1000)
    assert line.sock.calls == ["unwrap", "shutdown writing", "shutdown"]


def test_frames_before_the_peers_close_are_delivered_and_those_behind_it_are_not(line):
    late = line.client.text(b"late")
    line.connection.feed(line.client.text(b"one") + line.client.close(1000) + late)
    line.connection.feed(late)
    assert line.receiver.messages == [b"one"]
    assert line.receiver.ends == [(1000, "")]


def test_the_answer_to_the_peers_close_waits_behind_what_waits(either):
    either.sock.room = 0
    either.connection.send_text(b"text")
    either.closes(1000)
    assert either.connection.open
    either.takes(100)
    assert either.sock.sent == b"\x81\x04text\x88\x02\x03\xe8"
    assert either.sock.calls[-1] == "shutdown writing"
    either.clock.advance(1.0)
    assert either.receiver.ends == [(1000, "")]


def test_a_peer_that_closes_and_reads_nothing_ends_with_the_close_timeout(line):
    line.sock.room = 0
    line.connection.send_text(b"text")
    line.closes(1000)
    line.clock.advance(1.0)
    assert line.receiver.ends == [(1000, "")]
    assert line.reader.calls == ["ended"]


# The end, by a fault of the peer


def test_a_fault_is_answered_with_its_code_and_the_peer_is_read_for_a_while(either):
    either.breaks_the_protocol()
    assert either.close_frame() == (1002, "clients must mask, servers must not")
    assert either.sock.calls[-1] == "shutdown writing"
    assert either.connection.open
    for _ in range(9):
        either.clock.advance(0.1)
        either.connection.feed(b"whatever it still sends")
        assert either.connection.open
    either.clock.advance(0.1)
    assert either.receiver.messages == []
    assert either.reader.calls == ["ended"]
    assert [code for code, _ in either.receiver.ends] == [1002]


def test_a_fault_ends_at_once_when_the_peer_has_ended_too(line):
    line.breaks_the_protocol()
    line.connection.finish()  # as a transport does at the end of the stream
    assert [code for code, _ in line.receiver.ends] == [1002]
    line.clock.advance(10.0)
    assert line.reader.calls == ["ended"]


def test_a_fault_in_answer_to_our_close_ends_with_our_code(line):
    line.connection.close(1001, "stop")
    sent = line.sock.sent
    line.breaks_the_protocol()
    assert line.sock.sent == sent
    line.clock.advance(1.0)
    assert line.receiver.ends == [(1001, "stop")]


def test_the_code_of_a_fault_waits_behind_what_waits_and_then_the_stream_ends(line):
    line.sock.room = 0
    line.connection.send_text(b"text")
    line.breaks_the_protocol()
    assert line.sock.calls == []
    line.takes(200)
    assert line.sock.sent.startswith(b"\x81\x04text\x88")
    assert line.sock.calls == ["shutdown writing"]
