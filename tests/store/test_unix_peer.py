"""User at the other end of a Unix socket."""

import os
import socket
import struct

import pytest

from chargehand.store import unix_peer
from chargehand.store.unix_peer import refused_peer


class Peer:
    """Socket whose other end is of a user."""

    def __init__(self, user):
        self._user = user

    def getsockopt(self, level, option, size):
        assert (level, option, size) == (socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return struct.pack("3i", 1, self._user, 1)


def test_a_process_of_ones_own_user_and_of_root_may_connect():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert refused_peer(ours) == ""
    assert refused_peer(Peer(os.geteuid())) == refused_peer(Peer(0)) == ""


def test_a_process_of_another_user_is_refused_with_both_users_named():
    other = os.geteuid() + 1
    assert refused_peer(Peer(other)) == f"it is of the user {other}, not of {os.geteuid()}"


def test_where_a_system_does_not_tell_the_mode_of_the_file_is_what_there_is(monkeypatch):
    monkeypatch.delattr(unix_peer.socket, "SO_PEERCRED")
    assert refused_peer(Peer(os.geteuid() + 1)) == ""


@pytest.mark.parametrize("user", [-1, 2**31 - 1])
def test_any_other_number_of_a_user_is_refused(user):
    assert "user" in refused_peer(Peer(user))
