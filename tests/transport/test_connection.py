"""One connection on sockets that are fakes, with time moved by hand."""

import logging
import socket
import ssl
import weakref

import gevent
import pytest

from chargehand.actors.timers import Timers
from chargehand.config.sessions import SessionSettings
from chargehand.protocol.websocket import Closed, Codec, Ping, Pong, Role
from chargehand.testing import ManualClock
from chargehand.transport.connection import SocketConnection

from ..hub import settle, until
from .fakes import FakeReader, FakeReceiver, FakeSocket, FakeTlsSocket

LIMITS = SessionSettings(
    max_message_bytes=1000,
    max_outbox_bytes=2000,
    send_timeout_s=30.0,
    ping_interval_s=60.0,
    close_timeout_s=1.0,
)
LOST = "the connection was lost"
DEAF = "it does not read what it is sent"
SILENT = "no sign of life"


class Line:
    """A connection with all that is around it; the test plays the peer."""

    def __init__(self, sock, limits=LIMITS):
        self.clock = ManualClock()
        self.timers = Timers(self.clock)
        self.clock.drive(self.timers)
        self.sock = sock
        self.receiver = FakeReceiver()
        self.reader = FakeReader()
        self.client = Codec(Role.CLIENT)
        secure = isinstance(sock, FakeTlsSocket)
        self.connection = SocketConnection(
            sock, peer="192.0.2.1:7", secure=secure, limits=limits, timers=self.timers
        )
        self.connection.start(self.receiver)
        self.connection.reader = self.reader

    def says(self, *texts):
        self.connection.feed(b"".join(self.client.text(text) for text in texts))

    def pings(self, payload=b""):
        self.connection.feed(self.client.ping(payload))

    def closes(self, code=1000, reason=""):
        self.connection.feed(self.client.close(code, reason))

    def breaks_the_protocol(self):
        self.connection.feed(b"\x81\x02hi")  # not masked

    def takes(self, room):
        """The kernel has room again, and the hub sees it."""
        self.sock.room = room
        self.is_tried()

    def is_tried(self):
        """Let the hub run until what waits has been offered once more."""
        before = self.sock.attempts
        until(lambda: self.sock.attempts > before)

    def close_frame(self):
        """The code and reason of the one frame that was sent last."""
        (event,) = self.sock.events()
        assert type(event) is Closed
        return event.code, event.reason

    @property
    def waiting(self):
        return len(self.connection._outbox or b"")


@pytest.fixture
def open_line():
    """Makes lines; ends what is left of them."""
    lines = []

    def make(kind=FakeSocket, **limits):
        fields = {name: getattr(LIMITS, name) for name in SessionSettings.__dataclass_fields__}
        line = Line(kind(), SessionSettings(**{**fields, **limits}))
        lines.append(line)
        return line

    yield make
    for line in lines:
        line.connection.finish()
        line.sock.release()


@pytest.fixture
def line(open_line):
    return open_line()


@pytest.fixture(params=[FakeSocket, FakeTlsSocket], ids=["plain", "tls"])
def either(open_line, request):
    """A plain line, and one under TLS."""
    return open_line(request.param)


# Out


def test_a_text_goes_out_at_once_in_one_piece(either):
    either.connection.send_text(b"[3]")
    assert either.sock.sends == [5]
    assert either.sock.events() == [b"[3]"]
    assert either.waiting == 0


def test_what_the_kernel_does_not_take_waits_until_it_does(line):
    line.sock.room = 3
    line.connection.send_text(b"first")
    line.connection.send_text(b"second")
    assert line.sock.sends == [3]
    assert line.waiting == 4 + 8
    line.takes(6)
    assert line.waiting == 4 + 8 - 6
    line.takes(100)
    assert line.sock.events() == [b"first", b"second"]
    assert line.waiting == 0


@pytest.mark.parametrize("error", [BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError])
def test_a_text_that_would_block_waits_whole(line, error):
    line.sock.errors = [error()]
    line.connection.send_text(b"text")
    assert line.sock.sent == b""
    line.is_tried()
    assert line.sock.events() == [b"text"]


@pytest.mark.parametrize("silent", [False, True], ids=["raises", "says 0"])
def test_tls_that_would_block_is_offered_the_same_again_or_more_of_it(open_line, silent):
    line = open_line(FakeTlsSocket)
    line.sock.silent = silent
    line.sock.room = 0
    line.connection.send_text(b"first")
    line.connection.send_text(b"second")
    line.is_tried()
    assert line.sock.sent == b""
    line.takes(100)
    assert line.sock.events() == [b"first", b"second"]
    assert line.connection.open


@pytest.mark.parametrize("silent", [False, True], ids=["raises", "says 0"])
def test_a_long_text_goes_into_tls_in_pieces_so_that_a_slow_peer_is_seen_to_read(open_line, silent):
    line = open_line(FakeTlsSocket, max_outbox_bytes=200_000)
    line.sock.silent = silent
    line.sock.room = 0
    line.connection.send_text(b"x" * 100_000)
    for _ in range(6):
        assert line.waiting > 0
        line.clock.advance(20.0)
        line.takes(20_000)
        line.connection.feed(line.client.pong(b""))
    assert line.waiting == 0
    assert max(line.sock.sends) == 16_384
    assert line.sock.events() == [b"x" * 100_000]
    assert line.connection.open


def test_a_long_text_goes_out_at_once_if_tls_takes_it(open_line):
    line = open_line(FakeTlsSocket)
    line.connection.send_text(b"x" * 100_000)
    assert line.sock.events() == [b"x" * 100_000]
    assert line.waiting == 0


def test_bytes_that_come_let_tls_write_on(open_line):
    line = open_line(FakeTlsSocket)
    line.sock.room = 0
    line.connection.send_text(b"text")
    line.sock.room = 100
    line.pings()  # no pass of the hub
    assert line.sock.events() == [b"text", Pong(b"")]


def test_an_outbox_at_its_bound_is_kept_and_one_over_it_ends_the_connection(line):
    line.sock.room = 0
    for _ in range(4):
        line.connection.send_text(b"x" * 496)  # 500 with its header
    assert line.waiting == LIMITS.max_outbox_bytes
    assert line.connection.open
    line.connection.send_text(b"")
    assert not line.connection.open
    assert line.receiver.ends == [(1006, DEAF)]
    assert line.reader.calls == ["ended"]
    assert line.waiting == 0


def test_one_message_over_the_bound_of_the_outbox_may_wait_alone(line):
    line.sock.room = 10
    line.connection.send_text(b"x" * 3000)
    assert line.connection.open
    line.takes(10_000)
    assert line.sock.events() == [b"x" * 3000]


def test_pongs_that_nobody_reads_end_the_connection_too(line):
    line.sock.room = 0
    for _ in range(17):
        line.pings(b"x" * 125)
    assert line.receiver.ends == [(1006, DEAF)]


def test_a_peer_that_takes_nothing_for_the_send_timeout_is_cut_off(either):
    either.sock.room = 0
    either.connection.send_text(b"text")
    either.clock.advance(29.9)
    assert either.connection.open
    either.clock.advance(0.1)
    assert either.receiver.ends == [(1006, DEAF)]


@pytest.mark.parametrize("silent", [False, True], ids=["raises", "says 0"])
def test_a_peer_that_goes_on_talking_but_reads_nothing_is_cut_off_in_the_same_time(open_line, silent):
    line = open_line(FakeTlsSocket)
    line.sock.silent = silent
    line.sock.room = 0
    line.connection.send_text(b"text")
    for _ in range(30):
        assert line.connection.open
        line.says(b"[2]")
        line.is_tried()
        line.clock.advance(1.0)
    assert line.receiver.ends == [(1006, DEAF)]


def test_every_byte_that_is_taken_gives_the_peer_its_time_anew(line):
    line.sock.room = 1
    line.connection.send_text(b"12345678")
    for _ in range(8):
        line.clock.advance(29.0)
        line.takes(1)
        line.pings()
    assert line.connection.open
    line.clock.advance(30.0)
    assert line.receiver.ends == [(1006, DEAF)]


def test_a_peer_that_is_slow_again_and_again_costs_one_timer(line):
    before = len(line.timers)
    for _ in range(100):
        line.sock.room = 1
        line.connection.send_text(b"x")
        line.takes(100)
    assert len(line.sock.events()) == 100
    assert len(line.timers) == before + 1
    line.clock.advance(31.0)
    assert len(line.timers) == before
    assert line.connection.open


@pytest.mark.parametrize(
    "error", [ConnectionResetError(), BrokenPipeError(), ssl.SSLError(1, "bad"), ValueError()]
)
def test_an_error_in_sending_ends_the_connection(either, error):
    either.sock.errors = [error]
    either.connection.send_text(b"text")
    assert either.receiver.ends == [(1006, LOST)]
    assert either.reader.calls == ["ended"]


def test_an_error_in_sending_what_waited_ends_the_connection(either):
    either.sock.room = 0
    either.connection.send_text(b"text")
    either.sock.errors = [ConnectionResetError()]
    either.is_tried()
    assert either.receiver.ends == [(1006, LOST)]


# In


def test_messages_are_delivered_in_order_and_as_they_are_completed(line):
    data = line.client.text(b"one") + line.client.text("zwei ü".encode()) + line.client.text(b"")
    line.connection.feed(data[:5])
    assert line.receiver.messages == []
    line.connection.feed(data[5:20])
    assert line.receiver.messages == [b"one"]
    line.connection.feed(data[20:])
    assert line.receiver.messages == [b"one", "zwei ü".encode(), b""]


def test_a_ping_is_answered_with_what_it_carries(line):
    line.pings(b"payload")
    assert line.sock.events() == [Pong(b"payload")]


def test_the_pings_of_one_read_are_answered_in_order_and_in_one_piece(either):
    pings = b"".join(either.client.ping(b"%d" % number) for number in range(100))
    either.connection.feed(pings + either.client.text(b"text"))
    assert either.sock.events() == [Pong(b"%d" % number) for number in range(100)]
    assert len(either.sock.sends) == 1
    assert either.receiver.messages == [b"text"]


def test_pings_before_the_end_are_answered_before_it(line):
    line.connection.feed(line.client.ping(b"1") + line.client.ping(b"2") + line.client.close(1000))
    first, second, closed = line.sock.events()
    assert (first, second) == (Pong(b"1"), Pong(b"2"))
    assert closed.code == 1000


def test_a_pong_is_taken_without_a_word(line):
    line.connection.feed(line.client.pong(b"unasked"))
    assert line.sock.sent == b""
    assert line.connection.open


@pytest.mark.parametrize("error", [BlockingIOError(), ssl.SSLWantReadError(), ssl.SSLWantWriteError()])
def test_to_read_what_is_not_there_yet_gives_none(line, error):
    line.sock.incoming = [b"data", error]
    assert line.connection.read() == b"data"
    assert line.connection.read() is None


@pytest.mark.parametrize("error", [b"", ConnectionResetError(), ssl.SSLError(1, "bad"), ValueError()])
def test_to_read_where_nothing_will_come_any_more_gives_no_bytes(line, error):
    line.sock.incoming = [error]
    assert line.connection.read() == b""


def test_a_fault_of_the_receiver_closes_the_connection_with_1011(line, caplog):
    line.receiver.on_deliver = lambda _: 1 / 0
    with caplog.at_level(logging.ERROR):
        line.says(b"one", b"two")
    assert line.receiver.messages == [b"one"]
    assert line.close_frame() == (1011, "")
    assert [record.exc_info is not None for record in caplog.records] == [True]
    assert "192.0.2.1:7" in caplog.text
    line.clock.advance(1.0)
    assert line.receiver.ends == [(1011, "")]


# Pause and resume


def test_pause_and_resume_are_told_to_the_reader_once_each(line):
    line.connection.pause()
    line.connection.pause()
    assert line.connection.paused
    line.connection.resume()
    line.connection.resume()
    assert not line.connection.paused
    assert line.reader.calls == ["paused", "resumed"]


def test_what_was_read_already_waits_too_when_it_pauses(line):
    line.receiver.on_deliver = lambda connection: connection.pause()
    line.says(b"one", b"two", b"three")
    assert line.receiver.messages == [b"one"]
    assert line.reader.calls == ["paused"]
    line.connection.resume()
    assert line.receiver.messages == [b"one", b"two"]
    assert line.connection.paused
    line.receiver.on_deliver = None
    line.connection.resume()
    assert line.receiver.messages == [b"one", b"two", b"three"]
    assert not line.connection.paused
    assert line.reader.calls[-1] == "resumed"
    line.says(b"four")
    assert line.receiver.messages[3:] == [b"four"]


def test_a_ping_that_waits_behind_a_pause_is_answered_after_it(line):
    line.receiver.on_deliver = lambda connection: connection.pause()
    line.connection.feed(line.client.text(b"one") + line.client.ping(b"x"))
    assert line.sock.events() == []
    line.connection.resume()
    assert line.sock.events() == [Pong(b"x")]


@pytest.mark.parametrize("theirs", ["close", "fault"])
def test_an_end_that_waits_behind_a_pause_does_not_keep_answers_from_going_out_before_it(line, theirs):
    line.receiver.on_deliver = lambda connection: connection.pause()
    end = line.client.close(1000) if theirs == "close" else b"\x81\x02hi"
    line.connection.feed(line.client.text(b"one") + end)
    line.connection.send_text(b"answer")
    assert line.sock.events() == [b"answer"]
    line.connection.resume()
    (closed,) = line.sock.events()
    assert closed.code == (1000 if theirs == "close" else 1002)
    line.clock.advance(1.0)
    assert line.receiver.ends == [(closed.code, closed.reason)]


@pytest.mark.parametrize("theirs", ["close", "fault"])
def test_an_end_that_waits_behind_a_pause_when_we_close_gets_one_close_frame(line, theirs):
    line.receiver.on_deliver = lambda connection: connection.pause()
    end = line.client.close(1000) if theirs == "close" else b"\x81\x02hi"
    line.connection.feed(line.client.text(b"one") + line.client.text(b"two") + end)
    line.connection.close(1001, "going")
    (closed,) = line.sock.events()
    assert isinstance(closed, Closed)
    line.clock.advance(1.0)
    assert line.receiver.messages == [b"one"]
    assert line.receiver.ends == [(1001, "going")]


def test_what_waits_behind_a_pause_is_dropped_with_the_connection(line):
    line.receiver.on_deliver = lambda connection: connection.pause()
    line.says(b"one", b"two")
    line.connection.finish()
    line.connection.resume()
    assert line.receiver.messages == [b"one"]


def test_a_connection_that_closes_or_has_ended_is_not_paused(line):
    line.connection.close(1001)
    line.connection.pause()
    assert not line.connection.paused
    line.connection.finish()
    line.connection.pause()
    assert not line.connection.paused
    assert line.reader.calls == ["ended"]


def test_a_paused_connection_that_is_closed_is_read_again(line):
    line.connection.pause()
    line.connection.close(1001)
    assert not line.connection.paused
    line.closes(1001)
    assert line.reader.calls == ["paused", "resumed", "ended"]


def test_a_connection_paused_by_what_came_before_a_fault_is_read_on(line):
    """Else its unread bytes would reset it when it is closed, and the peer would never see the close frame."""
    line.receiver.on_deliver = lambda connection: connection.pause()
    line.connection.feed(line.client.text(b"one") + b"\x81\x02hi")
    line.receiver.on_deliver = None
    line.connection.resume()
    assert line.reader.calls == ["paused", "resumed"]


# Signs of life


def test_a_quiet_peer_is_pinged_after_an_interval_and_given_up_after_another(line):
    line.clock.advance(59.9)
    assert line.sock.events() == []
    line.clock.advance(0.1)
    assert line.sock.events() == [Ping(b"")]
    line.clock.advance(59.9)
    assert line.connection.open
    line.clock.advance(0.1)
    assert line.receiver.ends == [(1006, SILENT)]
    assert line.reader.calls == ["ended"]
    assert line.sock.events() == []


@pytest.mark.parametrize("quiet_after_s", [0.0, 1.0, 30.0, 59.9, 60.0, 61.0, 119.9, 120.5, 1000.0])
def test_a_dead_peer_is_found_within_twice_the_interval_of_its_last_byte(line, quiet_after_s):
    while line.clock.monotonic() < 1000.0 + quiet_after_s:
        line.clock.advance(min(50.0, 1000.0 + quiet_after_s - line.clock.monotonic()))
        line.says(b"x")
    died_at = line.clock.monotonic()
    line.clock.advance(120.0)
    assert line.receiver.ends == [(1006, SILENT)]
    assert line.clock.monotonic() - died_at <= 120.0


@pytest.mark.parametrize("sign", [b"\x8a\x80abcd", b"\x89\x80abcd", b"\x81", b"\x81\x80abcd"])
def test_any_byte_is_a_sign_of_life(line, sign):
    line.clock.advance(61.0)
    line.connection.feed(sign)
    line.clock.advance(59.5)
    assert line.connection.open
    line.clock.advance(60.5)
    assert line.receiver.ends == [(1006, SILENT)]


def test_a_peer_that_answers_every_ping_stays_and_is_pinged_once_an_interval(line):
    pings = 0
    for _ in range(100):
        line.clock.advance(60.0)
        pings += len(line.sock.events())
        line.connection.feed(line.client.pong(b""))
    assert line.connection.open
    assert pings == 100


def test_a_busy_peer_is_not_pinged(line):
    for _ in range(100):
        line.clock.advance(30.0)
        line.says(b"x")
    assert line.sock.sent == b""


def test_without_an_interval_nobody_is_pinged(open_line):
    line = open_line(ping_interval_s=0)
    line.clock.advance(1e6)
    assert line.sock.sent == b""
    assert line.connection.open


def test_a_peer_that_we_do_not_read_stays_where_the_kernel_does_not_tell(line):
    line.connection.pause()
    line.clock.advance(1000.0)
    assert line.connection.open
    assert line.sock.events() == []
    line.connection.resume()
    line.clock.advance(59.0)
    assert line.connection.open


def test_a_peer_that_we_do_not_read_is_known_to_live_by_what_its_machine_sends(line):
    line.connection.pause()
    acknowledged_at, pings = line.clock.monotonic(), 0
    for _ in range(600):  # nothing comes but the acknowledgements of our pings
        line.sock.quiet_ms = (1_000_000, round((line.clock.monotonic() + 1 - acknowledged_at) * 1000))
        line.clock.advance(1.0)
        if line.sock.events():
            acknowledged_at, pings = line.clock.monotonic(), pings + 1
    assert line.connection.open
    assert 9 <= pings <= 10


def test_the_clock_of_the_kernel_may_be_a_tick_behind(line):
    line.connection.pause()
    line.clock.advance(60.0)
    line.sock.quiet_ms = (120_000, 60_010)  # the ping was acknowledged before it was sent
    line.clock.advance(60.0)
    assert line.connection.open


@pytest.mark.parametrize("since", ["before the pause", "after it"])
def test_a_half_open_socket_is_found_while_it_is_paused(line, since):
    """Within twice the interval of the peer's last sign, as if it were read."""
    line.connection.pause()
    died_at = line.clock.monotonic()
    if since == "after it":
        line.sock.quiet_ms = (1000, 1000)
        line.clock.advance(60.0)
        died_at = line.clock.monotonic() - 1.0
    while line.connection.open and line.clock.monotonic() < 1400.0:
        quiet = round((line.clock.monotonic() + 1 - died_at) * 1000)
        line.sock.quiet_ms = (quiet, quiet)
        line.clock.advance(1.0)
    assert line.receiver.ends == [(1006, SILENT)]
    assert line.connection.half_open
    assert line.clock.monotonic() - died_at <= 122.0


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="the kernel does not tell")
def test_the_kernel_tells_when_it_heard_of_the_peer_last():
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    with near, far:
        clock = ManualClock()
        connection = SocketConnection(near, peer="", secure=False, limits=LIMITS, timers=Timers(clock))

        def quiet_s():
            return clock.monotonic() - connection._kernel_heard_at(clock.monotonic())

        for wake in (far.send, near.send):  # data, and an acknowledgement
            until(lambda: quiet_s() > 0.3)
            wake(b"x")
            until(lambda: quiet_s() < 0.2)


def test_a_peer_that_was_pinged_and_then_held_back_gets_its_time_again(line):
    line.clock.advance(60.0)
    line.connection.pause()
    line.clock.advance(600.0)
    line.connection.resume()
    resumed_at = line.clock.monotonic()
    line.clock.advance(59.0)
    assert line.connection.open
    line.clock.advance(121.0)
    assert line.receiver.ends == [(1006, SILENT)]
    assert line.clock.monotonic() - resumed_at <= 180.0


def test_a_closing_connection_sends_no_pings(open_line):
    line = open_line(ping_interval_s=1.0, close_timeout_s=10.0)
    line.connection.close(1001)
    line.sock.events()
    line.clock.advance(9.0)
    assert line.sock.events() == []
    line.clock.advance(1.0)
    assert line.receiver.ends == [(1001, "")]


def test_an_ended_connection_leaves_no_timer_behind_for_longer_than_an_interval_and_is_not_kept_by_it(line):
    sock = FakeSocket()
    other = SocketConnection(sock, peer="p", secure=False, limits=LIMITS, timers=line.timers)
    other.start(FakeReceiver())
    line.connection.finish()
    other.finish()
    sock.release()
    gone = weakref.ref(sock)
    del sock, other
    assert len(line.timers) == 2
    assert gone() is None  # without the collector's help
    line.clock.advance(60.0)
    assert len(line.timers) == 0


# Does it answer?


def test_a_peer_that_says_anything_answers(line):
    asker = gevent.spawn(line.connection.answers, 5.0)
    settle()
    assert line.sock.events() == [Ping(b"")]
    line.says(b"x")
    assert asker.get(timeout=1.0) is True


@pytest.mark.parametrize(("quiet_ms", "answers"), [((9000, 0), True), ((9000, 9000), False), (None, True)])
def test_a_peer_that_we_do_not_read_answers_if_its_machine_acknowledges_the_ping(line, quiet_ms, answers):
    line.connection.pause()
    line.sock.quiet_ms = quiet_ms
    assert line.connection.answers(0.001) is answers
    assert line.sock.events() == [Ping(b"")]


def test_a_peer_that_is_read_again_while_it_is_asked_answers_by_what_it_says(line):
    line.connection.pause()
    asker = gevent.spawn(line.connection.answers, 5.0)
    settle()
    line.connection.resume()
    line.says(b"x")
    assert asker.get(timeout=1.0) is True


def test_what_the_peer_said_before_it_was_asked_does_not_count(line):
    line.says(b"x")
    assert line.connection.answers(0.001) is False
    assert line.sock.events() == [Ping(b"")]


def test_a_peer_is_asked_again_after_it_did_not_answer(line):
    assert line.connection.answers(0.001) is False
    asker = gevent.spawn(line.connection.answers, 5.0)
    settle()
    assert line.sock.events() == [Ping(b""), Ping(b"")]
    line.says(b"x")
    assert asker.get(timeout=1.0) is True
    assert line.connection.answers(0.001) is False


def test_several_may_ask_and_one_that_gives_up_does_not_spoil_it_for_the_others(line):
    patient = gevent.spawn(line.connection.answers, 5.0)
    hasty = gevent.spawn(line.connection.answers, 0.001)
    assert hasty.get(timeout=1.0) is False
    line.says(b"x")
    assert patient.get(timeout=1.0) is True


def test_a_connection_that_ends_meanwhile_does_not_answer_and_keeps_nobody_waiting(line):
    asker = gevent.spawn(line.connection.answers, 60.0)
    settle()
    line.connection.finish()
    assert asker.get(timeout=1.0) is False


def test_a_connection_that_closes_or_has_ended_does_not_answer(line):
    line.connection.close(1001)
    assert line.connection.answers(60.0) is False
    line.connection.finish()
    assert line.connection.answers(60.0) is False


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


def test_what_comes_before_the_peers_close_is_delivered_and_what_comes_behind_it_is_not(line):
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


def test_a_fault_is_answered_with_its_code_and_the_stream_ends_but_the_peer_is_read_for_a_while(either):
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


# Nothing after the end


def test_the_end_is_told_once_and_nothing_is_done_after_it(either):
    connection = either.connection
    connection.finish()
    connection.finish()
    calls = list(either.sock.calls)
    connection.send_text(b"late")
    connection.close(1000)
    connection.resume()
    either.says(b"late")
    either.pings()
    either.closes()
    either.clock.advance(1000.0)
    settle()
    assert either.receiver.ends == [(1006, LOST)]
    assert either.receiver.messages == []
    assert either.reader.calls == ["ended"]
    assert either.sock.sent == b""
    assert either.sock.calls == calls == ["shutdown"]


def test_what_waits_at_the_end_is_thrown_away(line):
    line.sock.room = 0
    line.connection.send_text(b"text")
    line.connection.finish()
    assert line.waiting == 0
    assert line.connection._writer is None  # nor does the hub look for room any more


def test_a_message_may_end_the_connection(line):
    line.receiver.on_deliver = lambda connection: connection.finish()
    line.connection.feed(line.client.text(b"one") + line.client.text(b"two") + line.client.ping())
    assert line.receiver.messages == [b"one"]
    assert line.receiver.ends == [(1006, LOST)]
    assert line.sock.sent == b""


def test_a_connection_without_a_receiver_can_be_closed(open_line):
    line = open_line()
    bare = SocketConnection(line.sock, peer="192.0.2.1:8", secure=False, limits=LIMITS, timers=line.timers)
    bare.close(1002, "no subprotocol in common")
    bare.feed(line.client.text(b"x") + line.client.close(1002))
    assert not bare.open
