"""A port that several processes may listen on, and that no other can take meanwhile."""

import socket

import pytest

from chargehand.transport.shared_port import hold, listen

HERE = ("127.0.0.1", 0)


@pytest.fixture
def keep():
    sockets = []

    def keep(one):
        sockets.append(one)
        return one

    yield keep
    for one in sockets:
        one.close()


def test_a_port_that_is_held_is_there_for_those_who_share_it_and_nobody_else(keep):
    held = keep(hold(HERE))
    address = held.getsockname()
    listeners = [keep(listen(address, 10)) for _ in range(2)]
    assert {one.getsockname() for one in listeners} == {address}
    with pytest.raises(OSError, match="in use"):
        keep(socket.create_server(address))
    assert all(one.gettimeout() == 0 for one in listeners)


def test_whoever_holds_it_gets_no_connections(keep):
    held = keep(hold(HERE))
    address = held.getsockname()
    with pytest.raises(ConnectionRefusedError):
        keep(socket.create_connection(address, 5))
    listener = keep(listen(address, 100))
    for _ in range(20):
        keep(socket.create_connection(address, 5))
    listener.settimeout(60)
    for _ in range(20):
        keep(listener.accept()[0])


def test_one_that_others_share_already_cannot_be_held(keep):
    listener = keep(listen(HERE, 10))
    with pytest.raises(OSError, match=f"in use.*{listener.getsockname()[1]}"):
        keep(hold(listener.getsockname()))


def test_an_address_that_is_not_there_is_told_with_it(keep):
    with pytest.raises(OSError, match=r"192\.0\.2\.1"):
        keep(hold(("192.0.2.1", 0)))


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
def test_ipv6_works_too(keep):
    held = keep(hold(("::1", 0)))
    keep(listen(("::1", held.getsockname()[1]), 10))
