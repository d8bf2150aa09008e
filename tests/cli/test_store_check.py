"""`chargehand check-store`: which file it looks at, what it prints, and how it ends."""

import json
import sqlite3
from contextlib import closing

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
    """A data folder as a server has left it."""
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
