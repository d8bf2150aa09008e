"""Both transports on real sockets: receiving, pausing and resuming, and the end."""

import socket
import struct
import time
from itertools import pairwise

import gevent
import gevent.socket
import pytest

from chargehand.actors.runtime.timers import HubTimers, SystemClock
from chargehand.config.sessions import SessionSettings
from chargehand.protocol.websocket import Closed, Codec, Role
from chargehand.transport.connection import SocketConnection
from chargehand.transport.greenlet_transport import GreenletTransport
from chargehand.transport.hub_turn import HubTurn
from chargehand.transport.reactor_transport import ReactorTransport

from ..hub import settle, until
from .fakes import FakeReceiver, FakeSocket

LIMITS = SessionSettings(ping_interval_s=0, close_timeout_s=0.2)


class PeerHarness:
    """Peer of a connection that a transport runs."""

    def __init__(self, transport, timers, *, near=None, limits=LIMITS):
        self.transport = transport
        self.codec = Codec(Role.CLIENT, max_message_bytes=1 << 24)
        self.receiver = FakeReceiver()
        ours, theirs = socket.socketpair()
        self.far = gevent.socket.socket(fileno=theirs.detach())
        ours.settimeout(0.0)
        self.near = near or ours
        if near is not None:
            ours.close()
        self.connection = SocketConnection(
            self.near, peer="192.0.2.1:7", secure=False, limits=limits, timers=timers, turn=HubTurn(timers)
        )
        self.connection.start(self.receiver)
        self.greenlet = None

    def run(self, early=b""):
        self.greenlet = gevent.spawn(self.transport.run, self.connection, early)
        settle()

    def says(self, *texts):
        self.far.sendall(b"".join(self.codec.text(text) for text in texts))

    def reads_to_the_end(self):
        """Return the events of all bytes until the stream ends; a reset fails the test."""
        events = []
        while data := self.far.recv(65536):
            events += self.codec.receive(data)
        return events

    def is_over(self):
        """Tell if the connection, its socket and its greenlet have ended."""
        return not self.connection.open and self.near.fileno() == -1 and self.greenlet.ready()


@pytest.fixture(params=[GreenletTransport, ReactorTransport], ids=["greenlet", "reactor"])
def make(request):
    """Make peers of the transport; everything must end by itself once they are closed."""
    timers = HubTimers(SystemClock())
    peers = []

    def make(**options):
        peer = PeerHarness(request.param(), timers, **options)
        peers.append(peer)
        return peer

    yield make
    for peer in peers:
        peer.far.close()
        peer.connection.finish()
    settle()
    for peer in peers:
        if peer.greenlet is not None:
            peer.greenlet.get(timeout=1.0)
        peer.near.close()
    timers.clear()


@pytest.fixture
def peer(make):
    return make()


# In


def test_what_came_before_is_delivered_before_what_comes(peer):
    peer.says(b"second")
    peer.run(early=peer.codec.text(b"first"))
    until(lambda: peer.receiver.messages == [b"first", b"second"])


def test_a_message_in_pieces_is_put_together(peer):
    peer.run(early=peer.codec.text(b"")[:3])
    rest = b"\x00\x00\x00" + peer.codec.text(b"x" * 1000)
    for at in range(0, len(rest), 100):
        peer.far.sendall(rest[at : at + 100])
        settle()
    until(lambda: peer.receiver.messages == [b"", b"x" * 1000])


def test_more_than_one_read_can_take_is_read_on(peer):
    peer.run()
    gevent.spawn(peer.says, b"x" * 500_000)
    until(lambda: peer.receiver.messages == [b"x" * 500_000])


def test_others_have_their_turn_between_any_two_reads_of_one_that_sends_fast(make):
    turns = 0

    class Firehose(FakeSocket):
        def __init__(self):
            super().__init__()
            self.seen = []  # how many turns the others had had at each read
            self._far.send(b"x")  # so that the hub always has it readable

        def recv(self, size):
            self.seen.append(turns)
            if len(self.seen) == 1:
                return b"\x82\x80abcd"  # a fault: what comes after it is read and thrown away
            return bytes(size) if len(self.seen) < 10 else b""

    def other():
        nonlocal turns
        while peer.connection.open:
            turns += 1
            gevent.sleep(0)

    near = Firehose()
    peer = make(near=near, limits=SessionSettings(ping_interval_s=0, close_timeout_s=30))
    greenlet = gevent.spawn(other)
    peer.run()
    greenlet.join()
    near.release()
    assert len(near.seen) == 10
    assert all(before < after for before, after in pairwise(near.seen))


# The end


def test_the_end_of_the_stream_ends_everything(peer):
    peer.run()
    peer.far.close()
    until(peer.is_over)
    assert peer.receiver.ends == [(1006, "the connection was lost")]


def test_a_reset_ends_everything(peer):
    peer.run()
    peer.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.far.close()
    until(peer.is_over)
    assert peer.receiver.ends == [(1006, "the connection was lost")]


def test_the_end_of_the_stream_ends_everything_although_nothing_came_before(peer):
    peer.far.close()
    peer.run()
    until(peer.is_over)


def test_a_close_of_the_peer_is_answered_and_ends_everything(peer):
    peer.run()
    peer.far.sendall(peer.codec.close(1000, "bye"))
    assert [event.code for event in peer.reads_to_the_end() if type(event) is Closed] == [1000]
    until(peer.is_over)
    assert peer.receiver.ends == [(1000, "bye")]


def test_a_close_in_what_came_before_ends_everything(peer):
    peer.run(early=peer.codec.close(1000))
    until(peer.is_over)
    assert peer.receiver.ends == [(1000, "")]


def test_our_close_ends_everything_with_the_peers_answer(peer):
    peer.run()
    peer.connection.close(1001)
    closed = peer.codec.receive(peer.far.recv(100))[0]
    assert peer.connection.open
    peer.far.sendall(closed.reply)
    assert peer.far.recv(100) == b""
    until(peer.is_over)


def test_our_close_ends_everything_without_the_peers_answer(peer):
    peer.run()
    peer.connection.close(1001)
    until(peer.is_over)


def test_to_finish_from_elsewhere_ends_everything(peer):
    peer.run()
    peer.connection.finish()
    until(peer.is_over)


def test_to_finish_while_it_is_paused_ends_everything(peer):
    peer.run()
    peer.connection.pause()
    peer.says(b"one")
    settle()
    peer.connection.finish()
    until(peer.is_over)


def test_a_connection_that_was_lost_before_it_began_is_closed(peer):
    peer.connection.finish()
    peer.run(early=peer.codec.text(b"late"))
    until(peer.is_over)
    assert peer.receiver.messages == []


def test_a_connection_that_is_closing_before_it_began_runs_to_its_end(peer):
    peer.connection.close(1002)
    peer.run(early=peer.codec.text(b"one"))
    assert peer.connection.open
    peer.far.sendall(peer.codec.close(1002))
    until(peer.is_over)
    assert peer.receiver.messages == []


def test_a_peer_that_sends_on_after_a_fault_reads_the_close_frame_and_no_reset(peer):
    peer.run()

    def go_on():
        for _ in range(100):
            peer.far.sendall(b"x" * 10_000)
        peer.far.shutdown(socket.SHUT_WR)

    peer.far.sendall(b"\x82\x80abcd")
    sender = gevent.spawn(go_on)
    (closed,) = peer.reads_to_the_end()
    assert closed.code == 1003
    sender.get(timeout=60)
    until(peer.is_over)
    assert peer.receiver.ends == [(1003, "binary message")]


def test_a_fault_of_ours_closes_with_1011_and_hurts_nobody_else(make, caplog):
    peer, other = make(), make()
    peer.run()
    other.run()
    peer.receiver.on_deliver = lambda _: 1 / 0
    peer.says(b"one")
    closed = peer.codec.receive(peer.far.recv(100))[0]
    assert closed.code == 1011
    peer.far.sendall(closed.reply)
    until(peer.is_over)
    other.says(b"two")
    until(lambda: other.receiver.messages == [b"two"])
    assert caplog.text.count("ZeroDivisionError: ") == 1


# Pause and resume


def test_nothing_is_read_while_paused_and_nothing_is_lost(peer):
    peer.run()
    peer.receiver.on_deliver = lambda connection: connection.pause()
    peer.says(b"one")
    until(lambda: peer.connection.paused)
    texts = [b"%d" % number for number in range(100)]
    peer.says(*texts)
    settle()
    assert peer.receiver.messages == [b"one"]
    peer.receiver.on_deliver = None
    peer.connection.resume()
    until(lambda: peer.receiver.messages == [b"one", *texts])


def test_a_peer_that_is_not_read_is_held_back_by_tcp(peer):
    peer.run()
    peer.connection.pause()
    settle()
    sender = gevent.spawn(peer.says, *[b"x" * 60_000] * 100)
    settle()
    assert not sender.ready()
    assert peer.receiver.messages == []
    peer.connection.resume()
    until(lambda: len(peer.receiver.messages) == 100)
    sender.get(timeout=1.0)


def test_a_pause_at_what_came_before_holds_back_what_comes(peer):
    peer.receiver.on_deliver = lambda connection: connection.pause()
    peer.says(b"second")
    peer.run(early=peer.codec.text(b"first"))
    settle()
    assert peer.receiver.messages == [b"first"]
    peer.connection.resume()
    until(lambda: peer.receiver.messages == [b"first", b"second"])


def test_a_connection_that_was_paused_before_it_began_waits(peer):
    peer.connection.pause()
    peer.says(b"one")
    peer.run()
    assert peer.receiver.messages == []
    peer.connection.resume()
    until(lambda: peer.receiver.messages == [b"one"])


def test_a_pause_and_a_resume_in_one_turn_change_nothing(peer):
    peer.run()
    for _ in range(3):
        peer.connection.pause()
        peer.connection.resume()
        settle()
    peer.says(b"one")
    until(lambda: peer.receiver.messages == [b"one"])


def test_the_end_of_a_paused_stream_is_seen_when_it_is_read_again(peer):
    peer.run()
    peer.connection.pause()
    peer.says(b"last")
    peer.far.close()
    settle()
    assert peer.connection.open
    peer.connection.resume()
    until(peer.is_over)
    assert peer.receiver.messages == [b"last"]


# Out


def test_what_does_not_fit_into_the_kernel_arrives_whole_and_in_order(peer):
    peer.run()
    peer.connection.send_text(b"x" * 1_000_000)
    peer.connection.send_text(b"small")
    assert peer.connection.open
    events = []
    while len(events) < 2:
        events += peer.codec.receive(peer.far.recv(10_000))
    assert events == [b"x" * 1_000_000, b"small"]


def test_the_peer_is_read_while_it_does_not_read(peer):
    peer.run()
    peer.connection.send_text(b"x" * 1_000_000)
    peer.says(b"one")
    until(lambda: peer.receiver.messages == [b"one"])


def test_a_peer_that_never_reads_is_cut_off_once_the_outbox_is_full(peer):
    peer.run()
    for _ in range(100):
        peer.connection.send_text(b"x" * 60_000)
    until(peer.is_over)
    assert peer.receiver.ends == [(1006, "the peer does not read")]


def test_neither_keeps_the_greenlet_of_the_handshake(make):
    peer = make()
    peer.run()
    assert peer.greenlet.ready()
    assert peer.connection.open


def test_what_comes_faster_than_its_rate_waits_in_the_socket_and_comes_later(make):
    limits = SessionSettings(ping_interval_s=0, messages_per_s=500.0, messages_burst=10, bytes_per_s=0)
    peer = make(limits=limits)
    peer.run()
    began = time.monotonic()
    peer.says(*[b"%d" % number for number in range(400)])
    until(lambda: len(peer.receiver.messages) == 400)
    assert time.monotonic() - began >= (400 - 10 - 128) / 500
    assert peer.receiver.messages == [b"%d" % number for number in range(400)]
    assert peer.receiver.waits
    assert peer.connection.open
