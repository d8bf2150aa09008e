"""Rates of messages and bytes of one connection: everything beyond them waits in the socket."""

import pytest

from chargehand.config.sessions import SessionSettings
from chargehand.protocol.websocket import Codec, Pong, Role
from chargehand.transport.connection import FRAMES_AT_A_TURN
from chargehand.transport.read_budget import ReadBudget

from .connection_harness import SILENT

RATES = {"messages_per_s": 100.0, "messages_burst": 300, "bytes_per_s": 0.0}
EMPTY_FRAGMENT = b"\x01\x80abcd"
EMPTY_CONTINUATION = b"\x00\x80abcd"


def junk(line, count):
    return b"".join(line.client.text(b"x") for _ in range(count))


def send(line, frame, count, size=20):
    """Send `count` frames in reads of `size`, whether the connection is paused or not."""
    for _ in range(count // size):
        line.connection.feed(frame * size)


def flood(line, data_of, seconds):
    """Offer `data_of(line, 50)` whenever the connection reads; return the number of messages that it has taken."""
    ends_at = line.clock.monotonic() + seconds
    while line.clock.monotonic() < ends_at:
        while not line.connection.paused:
            line.connection.feed(data_of(line, 20))
        line.clock.advance(0.01)
    return len(line.receiver.messages)


def test_a_burst_is_taken_at_once_and_then_messages_at_the_rate(open_line):
    line = open_line(**RATES)
    taken = flood(line, junk, 10.0)
    assert 300 + 10 * 100 <= taken <= 300 + 10 * 100 + 100
    assert line.connection.open


@pytest.mark.parametrize("what", ["text", "ping", "pong", "fragment"])
def test_control_frames_and_fragments_count_as_messages(open_line, what):
    line = open_line(**RATES)
    frame = {
        "text": line.client.text(b"x"),
        "ping": line.client.ping(b""),
        "pong": line.client.pong(b""),
        "fragment": EMPTY_CONTINUATION,
    }[what]
    if what == "fragment":
        line.connection.feed(EMPTY_FRAGMENT)
        line.clock.advance(0.01)
    send(line, frame, 280)
    assert not line.connection.paused
    send(line, frame, 30, 30)
    assert line.connection.paused
    assert line.receiver.waits == [pytest.approx(0.1, abs=0.02)]


def test_the_bytes_of_long_messages_are_bounded(open_line):
    line = open_line(messages_per_s=0.0, bytes_per_s=1000.0, bytes_burst=5000, max_message_bytes=10_000)
    line.connection.feed(line.client.text(b"x" * 5000))
    assert line.connection.paused
    line.clock.advance(0.1)
    assert not line.connection.paused
    line.connection.feed(line.client.text(b"x" * 2000)[:1000])
    assert line.connection.paused
    assert line.receiver.messages == [b"x" * 5000]


def test_a_message_that_is_never_completed_is_bounded_too(open_line):
    line = open_line(messages_per_s=0.0, bytes_per_s=1000.0, bytes_burst=5000, max_message_bytes=100_000)
    line.connection.feed(line.client.text(b"x" * 90_000)[:6000])
    assert line.connection.paused


def test_rates_of_0_set_no_limit(open_line):
    line = open_line(messages_per_s=0.0, bytes_per_s=0.0)
    for _ in range(500):
        line.connection.feed(junk(line, 20))
        assert not line.connection.paused
    assert len(line.receiver.messages) == 10_000


def test_a_pace_below_the_rate_is_never_paused(open_line):
    line = open_line(messages_per_s=100.0, messages_burst=1, bytes_per_s=10_000.0, bytes_burst=1)
    for _ in range(1000):
        line.clock.advance(0.0101)
        line.says(b"x" * 50)
        assert not line.connection.paused
    assert len(line.receiver.messages) == 1000


def test_the_burst_is_whole_again_after_a_quiet_time(open_line):
    line = open_line(**RATES)
    for _ in range(2):
        send(line, line.client.text(b"x"), 300)
        assert not line.receiver.waits
        line.clock.advance(4.0)


def test_a_turn_takes_a_bounded_number_of_the_frames_of_one_read(open_line):
    line = open_line(messages_per_s=0.0, bytes_per_s=0.0)
    line.connection.feed(junk(line, 500))
    assert len(line.receiver.messages) == FRAMES_AT_A_TURN
    assert line.connection.paused
    assert line.reader.calls == ["paused"]
    while line.connection.paused:
        line.clock.advance(0.0)
    assert len(line.receiver.messages) == 500
    assert not line.connection.paused
    assert not line.receiver.waits


def test_the_rest_of_a_read_is_taken_after_a_long_silence_too(open_line):
    line = open_line()
    line.clock.advance(10.0)
    line.connection.feed(junk(line, 40))
    line.clock.advance(0.0)
    assert len(line.receiver.messages) == 40
    assert not line.connection.paused


def test_messages_keep_their_order_over_turns_and_pauses_of_the_receiver(open_line):
    line = open_line(messages_per_s=0.0, bytes_per_s=0.0)
    texts = [b"%d" % number for number in range(400)]
    line.receiver.on_deliver = lambda connection: len(line.receiver.messages) % 7 or connection.pause()
    line.says(*texts)
    while line.connection.paused:
        line.clock.advance(0.0)
        line.connection.resume()
    assert line.receiver.messages == texts


def test_the_receiver_cannot_resume_what_the_rate_has_paused(open_line):
    line = open_line(**RATES)
    send(line, line.client.text(b"x"), 320)
    line.connection.pause()
    line.connection.resume()
    assert line.connection.paused
    assert line.reader.calls == ["paused"]
    line.clock.advance(1.1)
    assert not line.connection.paused
    assert line.reader.calls == ["paused", "resumed"]


def test_the_end_of_the_wait_does_not_resume_what_the_receiver_has_paused(open_line):
    line = open_line(**RATES)
    send(line, line.client.text(b"x"), 320)
    line.connection.pause()
    line.clock.advance(2.0)
    assert line.connection.paused
    line.connection.resume()
    assert not line.connection.paused


def test_a_peer_that_waits_for_its_rate_is_not_closed_by_the_keepalive(open_line):
    line = open_line(messages_per_s=0.02, messages_burst=1, bytes_per_s=0.0)
    line.sock.quiet_ms = (0, 0)
    line.connection.feed(junk(line, 20))
    for _ in range(900):
        line.clock.advance(1.0)
        assert line.connection.open
    assert line.connection.paused


def test_a_peer_that_dies_while_it_waits_for_its_rate_is_found(open_line):
    line = open_line(messages_per_s=0.1, messages_burst=1, bytes_per_s=0.0)
    line.connection.feed(junk(line, 20))
    line.sock.quiet_ms = (400_000, 400_000)
    line.clock.advance(121.0)
    assert line.receiver.ends == [(1006, SILENT)]


def test_a_connection_that_is_closed_while_it_waits_ends_in_time(open_line):
    line = open_line(messages_per_s=1.0, messages_burst=1, bytes_per_s=0.0)
    line.connection.feed(junk(line, 100))
    line.connection.close(1001, "bye")
    line.clock.advance(1.0)
    assert line.receiver.ends == [(1001, "bye")]
    line.clock.advance(200.0)
    assert line.receiver.ends == [(1001, "bye")]


def test_pings_in_a_flood_are_each_answered(open_line):
    line = open_line(**RATES)
    send(line, line.client.ping(b"p"), 300)
    assert line.sock.events() == [Pong(b"p")] * 300


def test_no_budget_is_kept_for_a_connection_below_its_rates(open_line):
    line = open_line(messages_per_s=100.0, bytes_per_s=10_000.0)
    for _ in range(20):
        line.clock.advance(1.0)
        line.says(b"x")
        assert line.connection._budget is None


def test_the_defaults_let_one_connection_send_its_share_of_the_bench():
    rates = SessionSettings()
    assert rates.messages_per_s == 1000
    assert rates.messages_burst == 5000
    budget = ReadBudget()
    for number in range(20_000):
        assert budget.charge(rates, 100 + number / 400, 1, 500) == 0


@pytest.mark.parametrize("role", list(Role))
def test_a_codec_leaves_frames_over_the_bound_for_the_next_call(role):
    codec, peer = Codec(role), Codec(Role.CLIENT if role is Role.SERVER else Role.SERVER)
    texts = ["ü".encode() * number for number in range(10)]
    data = b"".join(peer.text(text) for text in texts)
    got = codec.receive(data, 4)
    assert got == texts[:4]
    assert codec.frames == 4
    assert codec.unfinished
    got += codec.receive(peer.text(b"last"), 4)
    got += codec.receive(b"", 4)
    assert not codec.unfinished
    assert got == [*texts, b"last"]
