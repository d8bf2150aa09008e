"""The command `upgrade-store`: what it says, and what it changes."""

import json
import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner

from chargehand.cli.data_folder import DataFolder
from chargehand.cli.main import main
from chargehand.store import postgres_schema, sqlite_schema
from chargehand.store.factory import SQLITE_FILE
from chargehand.store.format import Removal

pytestmark = pytest.mark.usefixtures("_clean_environment")
KNOWN = len(sqlite_schema.STEPS)


@pytest.fixture
def folder(tmp_path):
    """Data folder with a store of an older program."""
    path = tmp_path / "data"
    path.mkdir()
    with closing(sqlite3.connect(path / SQLITE_FILE, isolation_level=None)) as connection:
        sqlite_schema.bring_up_to_date(connection, "", newest=KNOWN - 1)
    return path


def upgrade(*arguments):
    return CliRunner().invoke(main, ["upgrade-store", *map(str, arguments)])


def version(folder):
    with closing(sqlite3.connect(folder / SQLITE_FILE)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def test_a_dry_run_changes_nothing_and_the_command_upgrades_a_file(folder):
    told = json.loads(upgrade("--data", folder, "--dry-run", "--json").stdout)
    told.pop("plan")
    assert told == {
        "store": str(folder / SQLITE_FILE), "tables": KNOWN - 1, "known": KNOWN, "steps": 1, "taken_away": [],
        "living": [], "changed": False,
    }  # fmt: skip
    assert version(folder) == KNOWN - 1
    done = upgrade("--data", folder)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "1 steps made" in done.stdout
    assert version(folder) == KNOWN
    assert "up to date" in upgrade("--data", folder).stdout


def test_a_dry_run_tells_what_each_step_does_and_how_many_rows_there_are(tmp_path):
    path = tmp_path / "data"
    path.mkdir()
    with closing(sqlite3.connect(path / SQLITE_FILE, isolation_level=None)) as connection:
        sqlite_schema.bring_up_to_date(connection, "", newest=3)
        connection.execute("INSERT INTO charge_points (id, registration) VALUES ('CP1', 'Accepted')")
    told = json.loads(upgrade("--data", path, "--dry-run", "--json").stdout)["plan"]
    assert told[0] == {
        "step": 4, "rows": 1,
        "statement": "ALTER TABLE charge_points ADD COLUMN version TEXT NOT NULL DEFAULT '1.6'",
    }  # fmt: skip
    assert {one["step"] for one in told} == set(range(4, KNOWN + 1))
    assert "readings_deleted" in upgrade("--data", path, "--dry-run").stdout


def test_what_is_not_needed_any_more_is_named_and_taken_away(folder, monkeypatch):
    monkeypatch.setattr(
        sqlite_schema, "REMOVALS", (Removal(KNOWN + 1, "an index", "DROP INDEX events_by_kind"),)
    )
    assert json.loads(upgrade("--data", folder, "--dry-run", "--json").stdout)["taken_away"] == ["an index"]
    assert json.loads(upgrade("--data", folder, "--json").stdout)["taken_away"] == ["an index"]


def test_a_file_in_use_and_one_that_is_not_there_are_refused(folder, tmp_path):
    with DataFolder(str(folder)):
        done = upgrade("--data", folder)
    assert done.exit_code == 1
    assert "is in use by another server" in done.stderr
    assert upgrade("--data", tmp_path / "nothing").exit_code == 2
    assert upgrade("--store", "memory").exit_code == 2


def test_a_database_is_upgraded_as_no_living_program_hinders_it(postgres, monkeypatch):
    known = len(postgres_schema.STEPS)
    told = json.loads(upgrade("--store", postgres.url, "--dry-run", "--json").stdout)
    assert (told["tables"], told["steps"], told["living"]) == (0, known, [])
    assert json.loads(upgrade("--store", postgres.url, "--json").stdout)["steps"] == known
    removal = Removal(known + 1, "an index", "DROP INDEX events_by_kind")
    monkeypatch.setattr(postgres_schema, "REMOVALS", (removal,))
    done = upgrade("--store", postgres.url)
    assert done.exit_code == 0, done.output
    assert "an index" in done.stdout
    assert postgres.sql("SELECT count(*) FROM pg_indexes WHERE indexname = 'events_by_kind'") == "0"


def test_a_file_of_a_newer_program_is_not_called_up_to_date(folder):
    upgrade("--data", folder)
    with closing(sqlite3.connect(folder / SQLITE_FILE, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {KNOWN + 1}")
    done = upgrade("--data", folder, "--dry-run")
    assert "the store is of a newer chargehand" in done.stdout
    assert "up to date" not in done.stdout
