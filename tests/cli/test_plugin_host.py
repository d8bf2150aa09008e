"""The worker's end of the channel to its parent, and `serve-worker` without a parent."""

import os
import socket
import subprocess
import sys

import gevent
import pytest
from gevent.event import Event

from chargehand import HttpSettings, Settings
from chargehand.cli import channel
from chargehand.cli.channel import Channel, NoParent, OtherVersion, handover, worker_views
from chargehand.cli.workers import WorkerProcess, ending
from chargehand.config.worker_process import Worker

LIMIT_S = 60.0
SETTINGS = Settings(workers=2, store="sqlite", http=HttpSettings(token="s" * 30))
WORKER = Worker(number=2, store_path="/s", coordinator_path="/b", first=False)


@pytest.fixture
def ends(monkeypatch):
    """Both ends of a channel; the worker's is a descriptor like its standard input."""
    parent, worker = socket.socketpair()
    monkeypatch.setattr(channel, "STDIN", worker.fileno())
    with parent, worker:
        made = Channel()
        yield parent, made
        os.close(made._descriptor)


def test_what_the_parent_hands_over_arrives_as_it_was(ends):
    parent, made = ends
    parent.sendall(handover(SETTINGS, WORKER))
    assert made.read() == (SETTINGS, WORKER)
    made.ready()
    assert parent.recv(10) == channel.READY


def test_a_parent_of_another_version_is_told_apart(ends, monkeypatch):
    parent, made = ends
    monkeypatch.setattr(channel, "__version__", "0.0.9")
    parent.sendall(handover(SETTINGS, WORKER))
    monkeypatch.undo()
    with pytest.raises(OtherVersion, match=r"the parent is chargehand 0\.0\.9, and this one 0\."):
        made.read()


def test_what_a_plugin_starts_reads_nothing_of_it(ends):
    parent, made = ends
    parent.sendall(handover(SETTINGS, WORKER))
    assert os.read(channel.STDIN, 10) == b""
    assert not os.get_inheritable(made._descriptor)


@pytest.mark.parametrize(
    "said", [b"", b"\0" * 3, b"\0" * 4, b"\0" * 3 + b"\4abc", b"\0" * 3 + b"\4abcd", b"{}" * 10]
)
def test_a_parent_that_ends_or_is_none_is_told(ends, said):
    parent, made = ends
    parent.sendall(said)
    parent.shutdown(socket.SHUT_WR)
    with pytest.raises(NoParent):
        made.read()


def test_a_list_of_workers_that_comes_with_the_first_message_is_not_lost(ends):
    parent, made = ends
    parent.sendall(handover(SETTINGS, WORKER) + worker_views([{"worker": 7}], 0))
    parent.shutdown(socket.SHUT_WR)
    _, worker = made.read()
    ended = Event()
    back = gevent.get_hub().loop.async_()
    back.start(ended.set)
    made.follow(worker, back.send)
    assert ended.wait(LIMIT_S)
    back.stop()
    back.close()
    assert worker.all == [{"worker": 7}]


def test_lists_of_workers_are_taken_until_the_parent_ends(ends):
    parent, made = ends
    worker = Worker(number=1, store_path="", coordinator_path="", first=True)
    ended = Event()
    back = gevent.get_hub().loop.async_()
    back.start(ended.set)
    made.follow(worker, back.send)
    parent.sendall(worker_views([{"worker": 1}], 0) + worker_views([{"worker": 1}, {"worker": 2}], 0))
    parent.shutdown(socket.SHUT_WR)
    assert ended.wait(LIMIT_S)
    back.stop()
    back.close()
    assert worker.all == [{"worker": 1}, {"worker": 2}]


@pytest.mark.slow
@pytest.mark.parametrize("said", ["", "{}\n", "x" * 1000])
def test_by_hand_it_is_one_clear_line_and_status_two(said):
    done = subprocess.run(
        [sys.executable, "-m", "chargehand", "serve-worker"],
        input=said,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("chargehand: serve-worker cannot be run by hand\n")
    assert "serve --workers N" in done.stderr


# The parent's end, with processes that are no workers


def process(code):
    return WorkerProcess(b"first ", (sys.executable, "-c", code))


def test_the_parent_hears_that_it_is_ready_and_how_it_ends():
    one = process("import os; os.read(0, 6); os.write(0, b'R'); os.read(0, 1); raise SystemExit(3)")
    assert one.ready.wait(LIMIT_S)
    one.stop()
    assert one.wait() == 3


def test_it_is_told_the_first_thing_whole_and_then_the_newest():
    code = "import os\ntold = b''\nwhile not told.endswith(b'last'):\n    told += os.read(0, 100)\n"
    one = process(code + "raise SystemExit(0 if told.startswith(b'first ') else 1)")
    one.tell(b"older")
    one.tell(b"last")
    assert one.wait() == 0


def test_one_that_never_listens_can_be_told_and_killed():
    one = process("import time; time.sleep(600)")
    for _ in range(3):
        one.tell(b"x" * 10_000_000)
        gevent.sleep(0)
    assert not one.ready.is_set()
    one.kill()
    one.kill()
    assert one.wait() == -9


def test_one_that_cannot_be_started_leaves_nothing():
    with pytest.raises(OSError, match="nowhere"):
        WorkerProcess(b"", ("/nowhere/at/all",))


def test_an_exit_status_in_words():
    assert [ending(status) for status in (0, 2, -9, -11, -250)] == [
        "status 0",
        "status 2",
        "SIGKILL",
        "SIGSEGV",
        "signal 250",
    ]
