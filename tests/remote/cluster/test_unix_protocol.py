"""Frames over a real socket pair: an invalid one closes it, and unread ones do not grow without bound."""

from collections import deque

import gevent
import gevent.socket
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand.protocol.framing import LARGEST_BYTES, frame
from chargehand.remote.cluster.unix_protocol import (
    FRAME_BYTES,
    OUTBOX_BYTES,
    Asked,
    Gone,
    Hello,
    Pipe,
    PipeError,
    Renew,
    Tell,
    Told,
)

from ...hub import settle, until


@pytest.fixture
def ends():
    near, far = gevent.socket.socketpair()
    pipe = Pipe(near, Asked)
    yield pipe, far
    pipe.close()
    far.close()
    settle()


def test_frames_arrive_as_they_were_sent_however_they_are_cut(ends):
    pipe, far = ends
    other = Pipe(far, Told)
    frames = [Hello("ä"), Renew(1, 2**52, {"CP1": 5}), Tell("b", bytes(200_000)), Tell("b", b"")]
    for one in frames:
        other.send(one)
    assert [pipe.receive() for _ in frames] == frames
    pipe.send(Gone("x"))
    assert other.receive() == Gone("x")
    other.close()
    with pytest.raises((EOFError, OSError)):
        pipe.receive()


@given(st.binary(max_size=60))
def test_what_is_no_frame_ends_the_pipe(data):
    near, far = gevent.socket.socketpair()
    pipe = Pipe(near, Asked)
    try:
        far.sendall(frame(data, LARGEST_BYTES))
        far.close()
        with pytest.raises((PipeError, EOFError)):
            deque(iter(pipe.receive, None), maxlen=0)
    finally:
        pipe.close()
        settle()


def test_a_frame_that_is_too_long_is_refused_before_it_is_read(ends):
    pipe, far = ends
    far.sendall((FRAME_BYTES + 1).to_bytes(4))
    with pytest.raises(PipeError, match="bytes"):
        pipe.receive()


def test_a_message_too_long_is_refused_after_those_before_it_though_nothing_follows(ends):
    pipe, far = ends
    hello = msgspec.msgpack.encode(Hello("a"))
    far.sendall(frame(hello, FRAME_BYTES) + (FRAME_BYTES + 1).to_bytes(4))
    assert pipe.receive() == Hello("a")
    with gevent.Timeout(60), pytest.raises(PipeError, match="bytes"):
        pipe.receive()


def test_it_says_that_it_is_full_and_when_it_is_drained(ends):
    pipe, far = ends
    while not pipe.full:
        pipe.send(Tell("b", bytes(100_000)))
        settle()
    assert pipe._waiting_bytes <= OUTBOX_BYTES + 110_000
    drained = gevent.spawn(pipe.drain)
    settle()
    assert not drained.ready()
    reader = gevent.spawn(lambda: all(far.recv(1_000_000) for _ in iter(int, 1)))
    drained.join(60)
    assert drained.ready()
    pipe.flush(5.0)
    assert pipe._waiting_bytes == 0
    reader.kill()


def test_a_flush_to_who_does_not_read_ends(ends):
    pipe, _ = ends
    pipe.send(Tell("b", bytes(1_000_000)))
    pipe.flush(0.05)
    assert pipe._waiting_bytes > 0


def test_who_waits_for_a_drain_is_woken_when_the_other_end_goes(ends):
    pipe, far = ends
    while not pipe.full:
        pipe.send(Tell("b", bytes(1_000_000)))
    drained = gevent.spawn(pipe.drain)
    settle()
    far.close()
    until(drained.ready)
