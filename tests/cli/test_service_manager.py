"""Notifications to the service manager, over a real datagram socket."""

import os
import socket

import gevent
import pytest

from chargehand.cli.service_manager import ServiceManager

LIMIT_S = 60


@pytest.fixture
def inbox(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(0)
        yield made


@pytest.fixture
def made():
    managers = []

    def make(environ):
        managers.append(ServiceManager(environ))
        return managers[-1]

    yield make
    for one in managers:
        one.close()


def environ_of(inbox, **more):
    return {"NOTIFY_SOCKET": inbox.getsockname(), "PATH": "/bin", **more}


def received(inbox):
    with gevent.Timeout(LIMIT_S, AssertionError("nothing was sent")):
        while True:
            try:
                return inbox.recv(1000).decode().split("\n")
            except BlockingIOError:
                gevent.sleep(0.005)


def test_without_a_socket_nothing_is_sent_and_nothing_runs(made):
    manager = made({"WATCHDOG_USEC": "1000"})
    assert (manager.watchdog_s, manager.beat_s) == (0.0, 0.0)
    manager.ready()
    manager.stopping()
    assert manager._beating is None


def test_ready_reloading_and_stopping_are_sent_in_words_of_systemd(made, inbox):
    manager = made(environ_of(inbox))
    manager.ready("serving 3")
    assert received(inbox) == ["READY=1", "STATUS=serving 3"]
    manager.reloading()
    first, second = received(inbox)
    assert first == "RELOADING=1"
    assert second.startswith("MONOTONIC_USEC=")
    manager.stopping()
    assert received(inbox) == ["STOPPING=1"]
    manager.close()
    manager.stopping()
    with pytest.raises(BlockingIOError):
        inbox.recv(1000)


def test_the_variables_are_taken_out_of_the_environment(made, inbox):
    environ = environ_of(inbox, WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()))
    manager = made(environ)
    assert environ == {"PATH": "/bin"}
    assert (manager.watchdog_s, manager.beat_s) == (3.0, 1.0)


@pytest.mark.parametrize(
    "more", [{"WATCHDOG_USEC": "3000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": ""}]
)
def test_a_watchdog_of_another_process_or_without_a_time_is_none(made, inbox, more):
    assert made(environ_of(inbox, **more)).watchdog_s == 0.0


def test_the_hub_beats_from_ready_on(made, inbox):
    manager = made(environ_of(inbox, WATCHDOG_USEC="30000"))
    manager.ready()
    assert received(inbox)[0] == "READY=1"
    assert [received(inbox) for _ in range(3)] == [["WATCHDOG=1"]] * 3


def test_a_name_that_begins_with_at_is_in_the_abstract_namespace(made):
    name = f"chargehand-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind(f"\0{name}")
        inbox.settimeout(0)
        made({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert received(inbox)[0] == "READY=1"


def test_a_socket_that_nobody_reads_stops_nothing(made, tmp_path, caplog):
    made({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert "READY=1 was not sent to the service manager" in caplog.text
