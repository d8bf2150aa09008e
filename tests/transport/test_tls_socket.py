"""Tests of the TLS socket of a connection."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from gevent.socket import socketpair
from gevent.ssl import SSLContext

from chargehand.config.settings import TlsSettings
from chargehand.tests.certificates import make_certificate
from chargehand.transport.tls import load
from chargehand.transport.tls_socket import TlsSocket

Both = tuple[TlsSocket, ssl.SSLSocket]


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    """A socket of the server after its handshake, and gevent's of its client."""
    certificate, key = make_certificate(tmp_path, "server")
    server = load(TlsSettings(certificate=str(certificate), key=str(key))).context
    client = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(certificate)
    near, far = socketpair()
    accepting = gevent.spawn(server.wrap_socket, near, server_side=True)
    peer = client.wrap_socket(far, server_hostname="127.0.0.1")
    ours = TlsSocket(accepting.get(timeout=60))
    yield ours, peer
    ours.close()
    peer.close()


def test_bytes_go_both_ways_and_nothing_blocks(both: Both) -> None:
    ours, peer = both
    with pytest.raises(ssl.SSLWantReadError):
        ours.recv(100)
    peer.sendall(b"question")
    assert ours.recv(4) == b"ques"
    assert ours.pending() == 4
    assert ours.recv(100) == b"tion"
    assert ours.send(b"answer") == 6
    assert peer.recv(100) == b"answer"


def test_a_peer_that_leaves_without_an_alert_is_the_end_of_the_stream(both: Both) -> None:
    ours, peer = both
    peer.shutdown(socket.SHUT_RDWR)
    assert ours.recv(100) == b""


def test_after_a_shutdown_nothing_is_sent_in_the_clear(both: Both) -> None:
    ours, peer = both
    with pytest.raises(ssl.SSLWantReadError):
        ours.unwrap()
    ours.shutdown(socket.SHUT_WR)
    with pytest.raises(OSError, match="TLS was shut down"):
        ours.send(b"secret")
    assert ours.pending() == 0
    assert peer.recv(100) == b""


def test_a_closed_socket_has_no_descriptor(both: Both) -> None:
    ours, _ = both
    ours.close()
    assert ours.fileno() == -1
