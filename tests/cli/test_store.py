"""The commands `check-store` and `backup`: their files, their output and their exit status."""

import errno
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from chargehand.actors.runtime import threads
from chargehand.cli.data_folder import DataFolder
from chargehand.cli.main import main
from chargehand.store.factory import SQLITE_FILE
from chargehand.store.sqlite import SqliteStore

pytestmark = pytest.mark.usefixtures("_clean_environment")


@pytest.fixture
def folder(tmp_path):
    """Data folder as a server has left it."""
    path = tmp_path / "data"
    with DataFolder(str(path)):
        store = SqliteStore.open(str(path / SQLITE_FILE), threads)
        store.register("CP1", "Accepted").wait(60)
        store.close()
    return path


def check(*arguments):
    return CliRunner().invoke(main, ["check-store", *map(str, arguments)])


def spoil(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE charge_points SET registration = '\x1b[2J'")


def test_all_is_well_with_a_folder_and_with_a_file(folder):
    for arguments in (("--data", folder), (folder / SQLITE_FILE,)):
        done = check(*arguments)
        assert (done.exit_code, done.stderr) == (0, "")
        assert "charge points" in done.stdout
        assert done.stdout.rstrip().endswith("all is well")


def test_something_that_is_wrong_is_status_1_and_a_line(folder):
    spoil(folder / SQLITE_FILE)
    done = check("--data", folder)
    assert done.exit_code == 1
    assert "charge point CP1: there is no registration" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stdout.rstrip().endswith("something is wrong")


def test_programs_get_it_as_json(folder):
    told = json.loads(check("--data", folder, "--json").stdout)
    assert told["rows"]["charge_points"] == 1
    assert (told["faults"], set(told["transactions"])) == ([], {"open", "flagged", "orphans"})
    spoil(folder / SQLITE_FILE)
    done = check("--data", folder, "--json")
    assert (done.exit_code, len(json.loads(done.stdout)["faults"])) == (1, 1)


def test_a_folder_that_a_server_uses_is_left_alone(folder):
    with DataFolder(str(folder)):
        for arguments in (("--data", folder), (folder / SQLITE_FILE,)):
            done = check(*arguments)
            assert (done.exit_code, "in use" in done.stderr) == (1, True)
    assert check("--data", folder).exit_code == 0


def test_what_is_not_there_is_status_2_and_nothing_is_made(tmp_path):
    for arguments in (("--data", tmp_path / "none"), (tmp_path / "none",), ("a", "--data", "b")):
        assert check(*arguments).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_store_is_status_1(tmp_path):
    (tmp_path / "file").write_text("no database" * 1000)
    done = check(tmp_path / "file")
    assert (done.exit_code, "not a database" in done.stderr) == (1, True)


# chargehand backup: a file that is whole, or none


COPY = b"a store" * 100_000


@pytest.fixture
def backup(stub, _clean_environment):
    """Run the command; the current folder is the test's own."""
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
    assert (done.exit_code, "another process" in done.stderr) == (1, True)
    assert Path("copy").read_text() == "theirs"
    assert here() == ["copy"]


@pytest.mark.parametrize(
    ("growth", "days", "told"),
    [
        (None, None, "not known"),
        (1 << 20, 12.0, "in 12 days"),
        (-5, None, "not at this growth"),
        (5, None, "not known"),
    ],
)
@pytest.mark.usefixtures("_clean_environment")
def test_the_size_of_a_store_is_told_with_its_growth_and_the_day_it_is_full(stub, growth, days, told):
    size = {
        "measured_at": "2026-01-01T00:00:00Z", "bytes": 3 << 20, "unused_bytes": 1 << 20,
        "kinds": [{"kind": "dead_letters", "bytes": 2 << 20, "rows": 7}],
        "growth_bytes_per_day": growth, "room_bytes": 3 << 30, "full_in_days": days,
    }  # fmt: skip
    stub.body = {"size": size, "folder": "", "kinds": [], "last": None}
    done = CliRunner().invoke(main, ["show-store", "--url", stub.url])
    assert done.exit_code == 0
    assert "dead letters" in done.stdout
    assert told in done.stdout
    assert "3,072.0 MiB" in done.stdout
    assert json.loads(CliRunner().invoke(main, ["show-store", "--json", "--url", stub.url]).stdout) == size


@pytest.mark.usefixtures("_clean_environment")
def test_where_the_disk_of_a_database_is_not_known_its_setting_is_named(stub):
    size = {
        "measured_at": "2026-01-01T00:00:00Z", "bytes": 1, "unused_bytes": 0, "kinds": [],
        "growth_bytes_per_day": 5, "room_bytes": None, "full_in_days": None,
    }  # fmt: skip
    stub.body = {"size": size, "folder": "", "kinds": [], "last": None}
    assert "resources.database_folder" in CliRunner().invoke(main, ["show-store", "--url", stub.url]).stdout


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


@pytest.mark.parametrize("command", [["restore", "{file}"], ["import-steve", "{file}"], ["upgrade-store"]])
def test_a_command_that_writes_takes_no_other_store_than_the_nodes_share(tmp_path, command):
    file, config = tmp_path / "file", tmp_path / "chargehand.toml"
    file.write_bytes(b"")
    config.write_text("[redis]\nurl = 'redis://127.0.0.1'\n")  # `serve` has --store on its command line
    given = [word.format(file=file) for word in command]
    done = CliRunner().invoke(main, [*given, "--config", str(config), "--data", str(tmp_path / "data")])
    assert done.exit_code == 2, done.output
    assert "nodes share their store" in done.output
    assert not (tmp_path / "data").exists()


def test_a_command_that_asks_a_server_needs_no_store(tmp_path):
    config = tmp_path / "chargehand.toml"
    config.write_text("[http]\nport = 9\n[redis]\nurl = 'redis://127.0.0.1'\n")
    done = CliRunner().invoke(main, ["cluster", "--config", str(config), "--data", str(tmp_path)])
    assert "nodes share their store" not in done.output
    assert "no answer from a server" in done.output
