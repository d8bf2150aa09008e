"""`chargehand backup`: a file that is whole, or none."""

import errno
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

COPY = b"a store" * 100_000


@pytest.fixture
def backup(stub, _clean_environment):
    """Run it; the current folder is the test's own."""
    stub.body = COPY

    def run(*arguments):
        return CliRunner().invoke(main, ["backup", *arguments, "--url", stub.url])

    return run


def here():
    return [path.name for path in Path().iterdir()]


def test_the_file_is_what_the_server_sent_and_for_its_owner_alone(stub, backup):
    done = backup("copy")
    assert (done.exit_code, done.stdout) == (0, f"copy: {len(COPY)} bytes\n")
    assert Path("copy").read_bytes() == COPY
    assert Path("copy").stat().st_mode & 0o777 == 0o600
    assert stub.requests[0][0] == "/api/v1/backup"
    assert here() == ["copy"]


def test_a_file_that_is_there_is_replaced_by_force_only(stub, backup):
    Path("copy").write_text("mine")
    done = backup("copy")
    assert (done.exit_code, "--force" in done.stderr, stub.requests) == (2, True, [])
    assert Path("copy").read_text() == "mine"
    assert backup("copy", "--force").exit_code == 0
    assert Path("copy").read_bytes() == COPY


def test_a_file_that_is_made_meanwhile_is_left_as_it_is(stub, backup, monkeypatch):
    link = os.link

    def late(source, target):
        Path(target).write_text("theirs")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    done = backup("copy")
    assert (done.exit_code, "somebody else" in done.stderr) == (1, True)
    assert Path("copy").read_text() == "theirs"
    assert here() == ["copy"]


def test_a_refusal_leaves_nothing_behind(stub, backup):
    stub.status, stub.body = 409, {"title": "No backup of this store", "description": "the store is memory"}
    done = backup("copy")
    assert (done.exit_code, "the store is memory" in done.stderr, here()) == (1, True, [])


def test_a_server_that_breaks_off_leaves_nothing_behind(stub, backup):
    class Short(bytes):
        def __len__(self):
            return super().__len__() + 1

    stub.body = Short(COPY)
    handler = stub.server.RequestHandlerClass
    handler.timeout, answer = 5, handler.do_POST

    def break_off(self):
        answer(self)
        self.close_connection = True

    handler.do_POST = break_off
    done = backup("copy")
    assert (done.exit_code, "broken off" in done.stderr, here()) == (1, True, [])


def test_a_disk_that_is_full_here_leaves_nothing_behind(backup, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = backup("copy")
    assert (done.exit_code, "No space left" in done.stderr, here()) == (1, True, [])


def test_a_folder_that_is_not_there_is_status_2(stub, backup):
    assert backup("nowhere/copy").exit_code == 2
    assert stub.requests == []
