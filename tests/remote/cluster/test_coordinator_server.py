"""Socket of the coordinator server, and worker processes that break its protocol."""

import socket
import stat
from pathlib import Path

import gevent.socket
import pytest

from chargehand.actors.runtime.timers import SystemClock
from chargehand.remote.cluster import coordinator_server as coordinator_server_module
from chargehand.remote.cluster.coordinator import CoordinatorUnavailable
from chargehand.remote.cluster.coordinator_server import CoordinatorServer, CoordinatorServerError
from chargehand.remote.cluster.unix_coordinator import UnixCoordinator
from chargehand.remote.cluster.unix_protocol import (
    Enumerate,
    Hello,
    NoLease,
    Pipe,
    Renew,
    Renewed,
    Take,
    Taken,
    Tell,
    Told,
)

from ...hub import settle, until
from ..conftest import LEASE_S
from ..recording_listener import RecordingListener, refused


def connect(path: str):
    sock = gevent.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(path)
    return sock


@pytest.fixture
def worker(coordinator_server):
    """Worker process played by frames: it has said its name and has its lease."""
    pipe = Pipe(connect(coordinator_server.path), Told)
    pipe.send(Hello("raw"))
    pipe.send(Renew(1, 0, {}))
    assert isinstance(pipe.receive(), Renewed)
    yield pipe
    pipe.close()
    settle()


def test_only_its_owner_may_open_the_socket(coordinator_server):
    assert stat.S_IMODE(Path(coordinator_server.path).stat().st_mode) == 0o600


def test_a_second_coordinator_server_is_refused_and_the_first_one_lives(
    coordinator_server, unix_coordinators
):
    with pytest.raises(CoordinatorServerError, match="another coordinator server"):
        CoordinatorServer(coordinator_server.path).start()
    unix_coordinators.coordinator()


def test_a_socket_left_by_one_that_was_killed_is_taken_over(tmp_path):
    path = tmp_path / "b"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    coordinator_server = CoordinatorServer(str(path))
    coordinator_server.start()
    connect(coordinator_server.path).close()
    coordinator_server.stop()
    assert not path.exists()
    coordinator_server.stop()
    settle()


def test_a_path_that_cannot_be_used_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in ("no/folder/b", "file", "x" * 200):
        with pytest.raises(CoordinatorServerError, match="the workers' socket"):
            CoordinatorServer(str(tmp_path / path)).start()
    assert (tmp_path / "file").read_text() == "mine"


def test_a_worker_whose_connection_ends_is_lost_at_once(coordinator_server, unix_coordinators, worker):
    a, listener = unix_coordinators.coordinator()
    until(lambda: a.claim("CP0").wait_s == 0)
    worker.send(Renew(2, 0, {}))
    assert isinstance(worker.receive(), Renewed)
    worker.send(Take(3, "CP1", 0))
    assert isinstance(worker.receive(), Taken)
    assert a.find("CP1") == "raw"
    a.send("raw", b"1")
    listener.lost_nodes.clear()  # its first lease may have ended
    worker.close()
    until(lambda: listener.lost_nodes == ["raw"])
    assert a.find("CP1") == ""
    assert a.claim("CP1")[1:] == ("", 0)


@pytest.mark.parametrize(
    "nonsense",
    [b"\x00\x00\x00\x01\xc1", b"\x80\0\0\0", b"\x00\x00\x00\x05hello"],
    ids=["type", "long", "text"],
)
def test_a_worker_that_talks_nonsense_is_cut_off_but_its_lease_is_waited_for(
    coordinator_server, unix_coordinators, worker, nonsense
):
    a, listener = unix_coordinators.coordinator()
    worker.send(Take(2, "CP1", 0))
    worker.receive()
    worker._sock.sendall(nonsense)
    with pytest.raises((EOFError, OSError)):
        worker.receive()
    claim = a.claim("CP1")
    assert claim.previous == "raw"  # it may not know yet that it was cut off
    assert claim.wait_s > 0
    until(lambda: listener.lost_nodes == ["raw"])


def test_who_does_not_say_its_name_first_is_cut_off(coordinator_server):
    for first in (Take(1, "CP1", 0), Hello("")):
        pipe = Pipe(connect(coordinator_server.path), Told)
        pipe.send(first)
        with pytest.raises((EOFError, OSError)):
            pipe.receive()
        pipe.close()
    settle()


def test_a_name_that_connects_again_takes_the_place_of_its_former_connection(coordinator_server, worker):
    again = Pipe(connect(coordinator_server.path), Told)
    again.send(Hello("raw"))
    with pytest.raises((EOFError, OSError)):
        worker.receive()
    again.send(Take(1, "CP1", 0))
    assert isinstance(again.receive(), NoLease)  # that of the former one has ended
    again.close()


def test_who_does_not_read_costs_the_others_nothing(coordinator_server, unix_coordinators, worker):
    a, listener = unix_coordinators.coordinator()
    for number in range(100):
        a.send("raw", bytes(200_000))
        if number % 10 == 0:
            assert a.find("CP1") == ""
    pipe = coordinator_server._pipes["raw"]
    until(lambda: pipe.full)
    a.send(a.node, b"still there")
    until(lambda: listener.messages)
    for number in range(1000):
        worker.send(Enumerate(number))  # it asks on, and reads no answer
    until(lambda: a.find("CP1") == "")
    assert a.held


def test_a_worker_finds_its_coordinator_server_again_and_verifies_what_it_held(tmp_path):
    coordinator_server = CoordinatorServer(str(tmp_path / "b"), lease_s=LEASE_S)
    a, listener = (
        UnixCoordinator(coordinator_server.path, "a", SystemClock(), lease_s=LEASE_S),
        RecordingListener(),
    )
    a.start(listener)
    try:
        settle()
        assert refused(CoordinatorUnavailable, a.claim, "CP1")
        coordinator_server.start()
        until(lambda: a.held)
        first = a.claim("CP1").epoch
        coordinator_server.stop()
        until(lambda: not a.held)
        assert refused(CoordinatorUnavailable, a.find, "CP1")
        assert refused(CoordinatorUnavailable, a.send, "a", b"")
        assert listener.leases == [True, False]
        coordinator_server.start()
        until(lambda: listener.leases == [True, False, True])
        others, wait_s = a.verify({"CP1": first})
        assert others == frozenset()
        assert wait_s > 0  # leases that the new coordinator_server does not know of may still run
        assert a.find("CP1") == "a"
        assert a.claim("CP1").epoch > first
    finally:
        a.stop()
        coordinator_server.stop()
        settle()


def test_what_waits_for_an_answer_when_the_coordinator_server_goes_fails_at_once(
    coordinator_server, unix_coordinators
):
    a, _ = unix_coordinators.coordinator()
    asked = [gevent.spawn(refused, CoordinatorUnavailable, a.find, "CP1") for _ in range(3)]
    gevent.sleep(0)
    coordinator_server.stop()
    gevent.joinall(asked, timeout=2.0)
    assert all(one.ready() for one in asked)
    assert a._waiting == {}


def test_messages_to_a_worker_that_has_no_lease_are_not_kept(coordinator_server, unix_coordinators):
    a, _ = unix_coordinators.coordinator()
    pipe = Pipe(connect(coordinator_server.path), Told)
    pipe.send(Hello("late"))
    a.send("late", b"1")
    a.find("CP1")  # in order after it
    pipe.send(Renew(1, 0, {}))
    assert isinstance(pipe.receive(), Renewed)
    a.send("late", b"2")
    assert pipe.receive() == Tell(a.node, b"2")
    pipe.close()
    settle()


def test_a_process_of_another_user_is_cut_off_at_once_and_the_others_go_on(
    coordinator_server, worker, monkeypatch, caplog
):
    monkeypatch.setattr(coordinator_server_module, "refused_peer", lambda _: "it is of the user 7, not of 8")
    stranger = Pipe(connect(coordinator_server.path), Told)
    with pytest.raises((EOFError, OSError)):
        stranger.receive()
    stranger.close()
    assert "it is of the user 7" in caplog.text
    worker.send(Renew(2, 0, {}))
    assert isinstance(worker.receive(), Renewed)
