"""What the kernel knows of a peer: on real sockets, but for an acknowledgement that does not come."""

import math
import socket
import struct

import pytest

from chargehand.transport.tcp import peer_is_gone


@pytest.fixture
def ends():
    """The two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
        near.settimeout(1.0)
        with near, far:
            yield near, far


class Silent:
    """A socket that sent something again `times` times, and had its last acknowledgement `ms` ago."""

    def __init__(self, times, ms, state=1):
        self.info = struct.pack("=8B13I", state, 0, times, 0, 0, 0, 0, 0, *[0] * 12, ms)

    def getsockopt(self, level, option, size):
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        return self.info[:size]


def test_a_peer_that_acknowledges_is_there_whatever_it_leaves_unread(ends):
    near, far = ends
    assert not peer_is_gone(near, 0.0)
    near.sendall(b"x" * 1000)
    far.sendall(b"x" * 1000)
    assert not peer_is_gone(near, 0.0)


def test_one_that_has_ended_is_gone_although_not_everything_was_read(ends):
    near, far = ends
    far.sendall(b"x" * 1000)
    far.shutdown(socket.SHUT_WR)
    near.recv(1)
    assert peer_is_gone(near, math.inf)


def test_one_that_has_reset_is_gone(ends):
    near, far = ends
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()
    with pytest.raises(ConnectionResetError):
        near.recv(1)
    assert peer_is_gone(near, math.inf)


@pytest.mark.parametrize(
    ("times", "ms", "gone"),
    [(0, 60_000, False), (3, 59_000, False), (3, 59_995, True), (3, 600_000, True), (1, 0, False)],
)
def test_one_that_has_acknowledged_nothing_since_is_gone(times, ms, gone):
    assert peer_is_gone(Silent(times, ms), 60.0) is gone


def test_elsewhere_than_on_linux_nobody_knows(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert not peer_is_gone(Silent(3, 600_000), 60.0)


def test_of_what_is_no_open_tcp_socket_nothing_is_known(ends):
    near, _ = ends
    near.close()
    assert not peer_is_gone(near, 0.0)
    pair = socket.socketpair()
    assert not peer_is_gone(pair[0], 0.0)
    for one in pair:
        one.close()
